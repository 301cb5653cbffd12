"""Find or build the environment that has the published package zarr-vectors 0.9.2, and print its interpreter.

The package has the import name of this project, so it lives in a virtual environment of its own: ``.venv-peer`` in the
repository root, or the one of the interpreter named by ``$ZV_PEER_PYTHON``, which is used as it is.

Usage: python scripts/peer_env.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows; there the environment must not be built by two processes at once
    fcntl = None  # type: ignore[assignment]

PEER = "zarr-vectors==0.9.2"
DRACO = "DracoPy==2.2.0"
REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / ".venv-peer"


def requirements() -> list[str]:
    """What pip installs; zarr is pinned on Python 3.11, where later versions do not install."""
    return [PEER, DRACO, *(["zarr==3.1.6"] if sys.version_info[:2] == (3, 11) else [])]


def interpreter(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@contextmanager
def alone() -> Iterator[None]:
    """Keep out other processes, such as the workers of one parallel test run; the system lets go when one ends."""
    with Path(__file__).open("rb") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(folder: Path) -> Path:
    """Build the environment unless it is complete.

    Raises:
        RuntimeError: pip failed.
    """
    with alone():
        return _build(folder)


def _build(folder: Path) -> Path:
    # Written last: an environment whose installation was interrupted does not have it.
    marker = folder / "installed.txt"
    wanted = "\n".join([sys.version, *requirements()])
    python = interpreter(folder)
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements()]
    done = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip cannot install {' '.join(requirements())}:\n{done.stdout.strip()}")
    marker.write_text(wanted, encoding="utf-8")
    return python


def check(python: Path) -> None:
    """Raise RuntimeError unless the interpreter has the package."""
    code = "from importlib.metadata import version; print('zarr-vectors==' + version('zarr-vectors'))"
    command = [str(python), "-I", "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RuntimeError(f"{python} cannot be started: {error}") from error
    if done.stdout.strip() != PEER:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        raise RuntimeError(f"{python} must have {PEER}, but says: {said[-1]}")


def peer_python() -> Path:
    """The interpreter to use.

    Raises:
        RuntimeError: It is not there, or cannot be built.
    """
    given = os.environ.get("ZV_PEER_PYTHON")
    python = Path(given) if given else build(FOLDER)
    check(python)
    return python


if __name__ == "__main__":
    try:
        print(peer_python())
    except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(str(problem))
