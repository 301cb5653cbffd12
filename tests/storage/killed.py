"""A program that runs a job in a child process again and again, killed one change of the disk later each time.

Usage: python killed.py JOB TEMPLATE OUT STEP

``OUT/<number>/store`` begins as a copy of ``TEMPLATE`` and is what the child that was killed at that change left.
A change is a call of the operating system that alters the disk; a write that is cut short leaves half of its bytes.
The last folder is that of the child which came to its end; its number is printed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.storage import jobs

CHANGES = ("mkdir", "rmdir", "unlink", "replace", "link", "write")


class Killer:
    """Counts changes of the disk, and kills this process before one of them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def is_due(self) -> bool:
        self.count += 1
        return self.count > self.at

    def arm(self) -> None:
        for name in CHANGES:
            setattr(os, name, self.wrap(name, getattr(os, name)))
        os.open = self.wrap("open", os.open)

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            creates = name != "open" or args[1] & (os.O_CREAT | os.O_TRUNC)
            if creates and self.is_due():
                if name == "write":
                    call(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return wrapped


def main(job: str, template: Path, out: Path, step: int) -> int:
    at = 0
    while True:
        store = out / str(at) / "store"
        if template.exists():
            shutil.copytree(template, store)
        else:
            store.parent.mkdir(parents=True)
        child = os.fork()
        if not child:
            Killer(at).arm()
            jobs.JOBS[job](store)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            return at if status == 0 else -1
        at += step


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
