"""What a long run tells: what it does, how far it is, and how it has ended."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Run"]


class Run:
    """A run that goes on after what fails, and says in its last line whether anything has.

    Args:
        does: What it does, in a line.
        lasts: How long that takes, about.
    """

    def __init__(self, does: str, lasts: str) -> None:
        self._began = time.monotonic()
        self._failed: list[str] = []
        self._kept: list[str] = []
        print(f"{does}\n({lasts} on two cores)", flush=True)

    def seconds(self) -> str:
        """Since the run has begun."""
        return f"{time.monotonic() - self._began:.0f} s"

    def tell(self, text: str) -> None:
        print(f"  {text}, {self.seconds()}", flush=True)

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """What may fail; all else goes on."""
        try:
            yield
        except Exception:  # noqa: BLE001 - told here, and again by the verdict
            self._failed.append(what)
            print(f"FAILED {what}\n{traceback.format_exc(limit=-6)}", flush=True)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Files of this run, which are kept if anything fails meanwhile."""
        path, before = Path(tempfile.mkdtemp(prefix="zv-faults-")), len(self._failed)
        try:
            yield path
        finally:
            if len(self._failed) > before:
                self._kept.append(f"what has failed on the disk is kept in {path}")
            else:
                shutil.rmtree(path, ignore_errors=True)

    def end(self, passed: str) -> int:
        """The verdict, and the exit code that says the same.

        Args:
            passed: What holds if nothing has failed.
        """
        for line in self._kept:
            print(line)
        if self._failed:
            print(f"FAILED in {self.seconds()}: {'; '.join(self._failed)}", flush=True)
            return 1
        print(f"PASSED in {self.seconds()}: {passed}", flush=True)
        return 0
