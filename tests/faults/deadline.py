"""Time that runs out: what hangs fails, and tells where it was."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tests.storage.running import environment

__all__ = ["run_program", "start", "stop", "within"]

_groups: set[int] = set()
"""Programs that are ended with this process, and their children."""


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """End this process and all programs that it has started if the block takes longer."""

    def end() -> None:
        print(f"{what}: not done after {seconds:.0f} s", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.stderr, all_threads=True)
        for group in list(_groups):
            _signal(group, signal.SIGABRT)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def start(
    module: str, *arguments: str, stdin: int | None = None, stdout: int | None = None, stderr: int | None = None
) -> subprocess.Popen[str]:
    """A program of the tests, leader of a group of processes; one that is aborted tells where it was."""
    command = [sys.executable, "-X", "faulthandler", "-m", module, *arguments]
    program = subprocess.Popen(
        command, env=environment(), stdin=stdin, stdout=stdout, stderr=stderr, text=True, start_new_session=True
    )
    _groups.add(program.pid)
    return program


def stop(program: subprocess.Popen[str]) -> None:
    """End a program and all its children."""
    _signal(program.pid, signal.SIGKILL)
    program.communicate()
    _groups.discard(program.pid)


def run_program(module: str, arguments: Sequence[str], *, seconds: float) -> str:
    """Run a program of the tests to its end; what it has told.

    Raises:
        AssertionError: It fails, or is not done in time.
    """
    program = start(module, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said, told = program.communicate(timeout=seconds)
        assert program.returncode == 0, said + told
        return said
    except subprocess.TimeoutExpired:
        _signal(program.pid, signal.SIGABRT)
        _, told = program.communicate()
        raise AssertionError(f"not done after {seconds:.0f} s\n{told}") from None
    finally:
        stop(program)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
