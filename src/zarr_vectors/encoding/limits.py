"""How much may come out of so many bytes: what a store says of sizes is believed within these limits only."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

__all__ = ["LARGEST_CELL", "UNBELIEVABLE", "check_room", "most_content"]

LARGEST_CELL = "ZARR_VECTORS_LARGEST_CELL"
"""Variable of the environment: bytes that a cell may hold however few bytes it is stored in."""
_LARGEST = int(os.environ.get(LARGEST_CELL, "268435456"))
UNBELIEVABLE = "so many bytes would be stored in so few that no reader would believe them"
"""What is said of a cell that is not written, as it would be refused when it is read."""
_MOST_PER_BYTE = 64
_MOST_PROMISED = 2**30
_LARGEST_BLOCK = 2**17
"""What a zstd block of at least four bytes holds at most."""
_FORMAT_LIMIT = 2**32 + 8
"""Bytes of a vlen-bytes chunk of one item."""


def most_content(stored: Any, promised: int = 0) -> Any:
    """The most that a cell of so many stored bytes may hold: one number, or an array of them.

    64 times as much as is stored, or 256 MiB where that is more; never more than zstd can pack.

    Args:
        stored: Bytes, one number or an array.
        promised: Bytes of a chunk whose elements are of one size; believed up to 1 GiB.

    Example:
        >>> [int(most_content(stored)) for stored in (40, 10**6, 10**7)]
        [1441792, 268435456, 640000000]
    """
    class_of_size = np.maximum(np.asarray(stored) * _MOST_PER_BYTE, max(_LARGEST, min(promised, _MOST_PROMISED)))
    return np.minimum(np.minimum((stored // 4 + 1) * _LARGEST_BLOCK, _FORMAT_LIMIT), class_of_size)[()]


def check_room(size: int) -> None:
    """Refuse at once what would need more memory than the machine has, rather than to find out on the way.

    Raises:
        MemoryError: It would.
    """
    memory = _memory()
    if memory is not None and size > memory:
        raise MemoryError(f"{size:,} bytes, where the machine has {memory:,}")


def _memory() -> int | None:
    """Bytes of memory of this machine, where it says so."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
