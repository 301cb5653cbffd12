"""The lock of a folder: who holds it may change what is in there, one process at a time."""

from __future__ import annotations

import errno
import os
import random
import sys
import time

from zarr_vectors.exceptions import ConcurrentEditError, StoreError
from zarr_vectors.storage.backend import STAGE

__all__ = ["acquire", "is_open_lock", "open_lock"]

_LOCK_SECONDS = 60.0
_LONGEST_PAUSE = 0.02

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    _FLAGS = os.O_RDWR | os.O_CREAT

    def _locked(folder: str) -> str:
        return os.path.join(folder, f"{STAGE}.lock")

    def _try_lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    _FLAGS = os.O_RDONLY

    def _locked(folder: str) -> str:
        # The folder itself: no lock file is left behind.
        return folder

    def _try_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def open_lock(folder: str) -> int:
    """A handle by which the lock of a folder can be taken; closing it lets go of the lock.

    Raises:
        OSError: There is no such folder, or it may not be opened.
    """
    return os.open(_locked(folder), _FLAGS)


def is_open_lock(handle: int, folder: str) -> bool:
    """Whether a handle is of the folder that is there now, and not of one that was removed meanwhile.

    Raises:
        FileNotFoundError: There is none now.
    """
    return os.path.samestat(os.fstat(handle), os.stat(_locked(folder)))


def acquire(handle: int, folder: str, url: str) -> None:
    """Wait for the lock, as long as whoever holds it comes to an end or others take their turns.

    Args:
        url: Of the folder, for messages.

    Raises:
        ConcurrentEditError: Another process holds it, and has committed nothing for a long time.
        StoreError: The folder cannot be locked.
    """
    seen = _last_commit(folder)
    deadline = time.monotonic() + _LOCK_SECONDS
    pause = 0.002
    while True:
        try:
            _try_lock(handle)
            return
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise StoreError("the store's folder cannot be locked", store=url, got=str(error)) from error
        if time.monotonic() > deadline:
            last = _last_commit(folder)
            if last == seen:
                raise ConcurrentEditError(
                    f"another process has been writing to the store for {_LOCK_SECONDS:.0f} s",
                    store=url,
                    hint="try again when it is done",
                )
            seen, deadline = last, time.monotonic() + _LOCK_SECONDS
        # Between two commits of a busy writer there is not much time to come in.
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _last_commit(folder: str) -> tuple[int, int] | None:
    """What changes with every commit: the file of the root document, which is a new one each time."""
    try:
        found = os.stat(os.path.join(folder, "zarr.json"))
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
