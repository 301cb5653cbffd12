"""Runs jobs in child processes that come to harm: killed, or met by errors of the disk, at a step or a moment.

Usage: python -m tests.faults.victim [ready]; a line of JSON in, one out, for each job. ``ready`` has all modules first.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import json
import os
import pkgutil
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import create_model

import zarr_vectors
from tests.faults.jobs import JOBS
from zarr_vectors.exceptions import UnfinishedCommitError
from zarr_vectors.storage import commit
from zarr_vectors.storage.storage import Put
from zarr_vectors.storage.urls import open_backend

FAILED = 7
UNFINISHED = 8
"""The victim was told that its commit has happened."""
ERRORS: dict[str, BaseException] = {
    "ENOSPC": OSError(errno.ENOSPC, "No space left on device"),
    "EACCES": PermissionError(errno.EACCES, "Permission denied"),
    "interrupt": KeyboardInterrupt(),
    "any": RuntimeError("something that nobody has thought of"),
}
ADDS = ("mkdir", "link", "write")
TAKES = ("rmdir", "unlink", "replace")


class Disk:
    """Counts changes of the disk and meets those from a number on with errors.

    Args:
        at: The first that fails.
        error: A full disk takes deletions and renames, one that may not be written takes nothing.
        met: Called when the first fails.
    """

    def __init__(self, at: int, error: str, met: Callable[[], object]) -> None:
        self.left = at
        self.error = error
        self.met = met
        for name in (*ADDS, *TAKES) if error == "EACCES" else ADDS:
            setattr(os, name, self.wrapped(getattr(os, name)))
        os.open = self.wrapped(os.open)

    def wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **options: Any) -> Any:
            reads = call.__name__ == "open" and not args[1] & (os.O_CREAT | os.O_TRUNC)
            if not reads:
                self.left -= 1
                if self.left == -1:
                    self.met()
                if self.left < 0:
                    raise ERRORS[self.error]
            return call(*args, **options)

        change.__name__ = call.__name__
        return change


def suffer(fault: dict[str, Any], met: Callable[[], object]) -> None:
    """A fault at a step may leave so many commits unharmed."""
    left = fault.get("commits", 0)

    def at_step(step: str) -> None:
        nonlocal left
        if left:
            left -= step == commit.Step.SWEPT
        elif step == fault["step"]:
            meet(fault["error"])

    if "step" in fault:
        commit.on_step = at_step
    elif "last" in fault:
        harm_last_puts(fault["last"], fault["error"])
    elif "change" in fault:
        Disk(fault["change"], fault["error"], met)


def harm_last_puts(unharmed: int, error: str) -> None:
    """Meet a commit when so many of what it puts last, which hangs on the stamps of all else, are on their way."""
    commit_batch = commit.Committer.commit

    def harmed(self: commit.Committer, batch: commit.Batch) -> None:
        commit_batch(self, replace(batch, last=None if batch.last is None else partial(puts, batch.last)))

    def puts(last: Callable[[commit.Stamps], Iterable[Put]], stamps: commit.Stamps) -> Iterator[Put]:
        every = list(last(stamps))
        yield from every[:unharmed]
        if unharmed <= len(every):
            meet(error)
        yield from every[unharmed:]

    commit.Committer.commit = harmed  # type: ignore[method-assign]


def meet(error: str) -> None:
    """Be killed, or raise."""
    if error == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ERRORS[error]


def child(order: dict[str, Any], ready: int) -> None:
    os.write(ready, b"x")
    suffer(order["fault"], partial(os.write, ready, b"m"))
    try:
        JOBS[order["job"]].run(open_backend(order["url"], storage_options=order["options"]))
    except UnfinishedCommitError:
        os._exit(UNFINISHED)
    except KeyboardInterrupt as interrupt:
        os._exit(UNFINISHED if getattr(interrupt, "__notes__", []) else FAILED)
    except BaseException:  # noqa: BLE001 - a child of a fork must not go on with its parent's work
        if not order["fault"]:
            traceback.print_exc()
        os._exit(FAILED)
    os._exit(0)


def import_all() -> None:
    """What jobs would import as they go, and most moments would meet."""
    for module in pkgutil.walk_packages(zarr_vectors.__path__, "zarr_vectors."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("numpy.random", "pandas", "pyarrow.csv", "obstore"):
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    # The first model of a process looks for plugins among all packages.
    create_model("First")


def main() -> None:
    if "ready" in sys.argv:
        import_all()
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            child(order, writing)
        os.close(writing)
        os.read(reading, 1)
        began = time.monotonic()
        after = order["fault"].get("after")
        if after is not None:
            # The pipe closes when the child has come to its end by itself.
            select.select([reading], [], [], after)
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        seconds, met = time.monotonic() - began, bool(os.read(reading, 1))
        os.close(reading)
        print(json.dumps({"status": status, "seconds": seconds, "met": met}), flush=True)


if __name__ == "__main__":
    main()
