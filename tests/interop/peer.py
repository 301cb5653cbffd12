"""The client of the harness: finds the environment of the published package and talks to it.

The import of 0.9.2 is slow, so one process answers all the requests of a test session.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from tests.interop.peer_server import Arrays, pack, save_arrays, unpack

__all__ = ["Peer", "PeerError", "PeerMissingError", "find_peer_python"]

REPOSITORY = Path(__file__).resolve().parents[2]
REQUEST_SECONDS = 120.0


class PeerMissingError(Exception):
    """The environment of 0.9.2 is not there and could not be built."""


class PeerError(Exception):
    """0.9.2 raised; ``kind`` is the name of the class."""

    def __init__(self, verb: str, kind: str, message: str) -> None:
        super().__init__(f"{verb}: {kind}: {message}")
        self.kind = kind


def find_peer_python() -> Path:
    """The interpreter that has 0.9.2: ``$ZV_PEER_PYTHON``, or the one of ``.venv-peer``, built when missing.

    Raises:
        PeerMissingError: It cannot be built; the message is that of pip.
    """
    command = [sys.executable, str(REPOSITORY / "scripts" / "peer_env.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerMissingError(done.stderr.strip() or f"{command[1]} failed")
    return Path(done.stdout.strip())


class Peer:
    """One running process of the published package.

    Args:
        python: Interpreter of its environment.
        folder: Where arrays and the process's messages are exchanged; must exist.

    Raises:
        PeerError: By every verb, for whatever 0.9.2 raises.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "stderr.txt"
        self._count = 0
        with self._log.open("wb") as log:
            # -I keeps PYTHONPATH out, which may lead to this project under the same import name.
            self._process = subprocess.Popen(
                [str(python), "-I", str(Path(__file__).with_name("peer_server.py")), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            )

    def call(self, verb: str, **args: Any) -> Any:
        """Ask for one of ``peer_server.VERBS``."""
        arrays: Arrays = {}
        self._count += 1
        request: dict[str, Any] = {"id": self._count, "verb": verb, "args": pack(args, arrays), "arrays": None}
        if arrays:
            request["arrays"] = f"request{self._count}.npz"
            save_arrays(self._folder / request["arrays"], arrays)
        reply = json.loads(self._exchange(verb, json.dumps(request)))
        if "error" in reply:
            raise PeerError(verb, reply["error"], reply["message"])
        received: Mapping[str, np.ndarray[Any, Any]] = {}
        if reply["arrays"]:
            path = self._folder / reply["arrays"]
            with np.load(path, allow_pickle=False) as stored:
                received = dict(stored)
            path.unlink()
        if request["arrays"]:
            (self._folder / request["arrays"]).unlink()
        return unpack(reply["result"], received)

    def _exchange(self, verb: str, line: str) -> str:
        requests, replies = self._pipes()
        # A read of a pipe has no timeout of its own; ending the process ends the read.
        watchdog = threading.Timer(REQUEST_SECONDS, self._process.kill)
        watchdog.start()
        try:
            requests.write(line + "\n")
            requests.flush()
            reply = replies.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            watchdog.cancel()
        if not reply:
            tail = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise PeerError(verb, "ProcessEnded", f"no reply within {REQUEST_SECONDS:g} s\n{tail}")
        return reply

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None
        assert replies is not None
        return requests, replies

    def close(self) -> None:
        """End the process."""
        requests, replies = self._pipes()
        requests.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        replies.close()

    def info(self) -> dict[str, str]:
        """Versions of the environment."""
        return dict(self.call("info"))

    def write_points(self, path: Path, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Write a store; ``kwargs`` are those of 0.9.2's ``write_points``, ``positions`` included."""
        return dict(self.call("write_points", path=str(path), kwargs=kwargs))

    def read_points(self, path: Path, **kwargs: Any) -> dict[str, Any]:
        """Read a store with the keywords of 0.9.2's ``read_points``."""
        return dict(self.call("read_points", path=str(path), kwargs=kwargs))

    def validate(self, path: Path, level: int = 5) -> dict[str, Any]:
        """``{"ok", "errors", "warnings"}`` of 0.9.2's validator."""
        return dict(self.call("validate", path=str(path), level=level))

    def describe(self, path: Path, level: int = 0) -> dict[str, Any]:
        """Metadata, names and tables of a level."""
        return dict(self.call("describe", path=str(path), level=level))

    def owners(self, path: Path, level: int = 0) -> dict[str, Any]:
        """``{"stored", "derived"}``: the object id of every fragment, by chunk."""
        return dict(self.call("owners", path=str(path), level=level))

    def fragments(self, path: Path, ndim: int) -> dict[tuple[int, ...], dict[str, Any]]:
        """``{chunk: {"positions", "values"}}``: positions and attributes of every fragment."""
        return dict(self.call("fragments", path=str(path), ndim=ndim))

    def build_pyramid(self, path: Path, kwargs: Mapping[str, Any]) -> None:
        """Add coarser levels; ``kwargs`` are those of 0.9.2's ``build_pyramid``."""
        self.call("build_pyramid", path=str(path), kwargs=kwargs)
