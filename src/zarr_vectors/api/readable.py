"""What is needed of a level to read parts of it later, and how these parts become blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError
from zarr_vectors.optional import require
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.whole import read_whole
from zarr_vectors.types.kinds import Kind
from zarr_vectors.typing import IntArray

__all__ = [
    "BLOCK_ROWS",
    "OpenLevel",
    "ReadableLevel",
    "block_begins",
    "dask_array",
    "dask_delayed",
    "of_one_state",
    "position_dtype",
]

T = TypeVar("T")

BLOCK_ROWS = 250_000
"""Rows of a block of dask, about."""


class OpenLevel(Protocol):
    """What an open level tells of itself."""

    @property
    def storage(self) -> Storage:
        """Where the level is."""
        ...

    @property
    def root(self) -> RootState:
        """The root's documents."""
        ...

    @property
    def state(self) -> LevelState:
        """The level's documents."""
        ...

    @property
    def kind(self) -> Kind:
        """The kind of geometry."""
        ...


class ReadableLevel(OpenLevel, Protocol):
    """What is needed of a level to read it later."""

    @property
    def vertex_count(self) -> int:
        """Number of vertices."""
        ...

    def read(
        self, bbox: Any = None, *, object_ids: Any = None, attributes: Any = None, link_attributes: Any = None
    ) -> Any:
        """Read."""
        ...

    def read_chunks(self, chunks: Any, *, attributes: Any = None) -> Any:
        """Read chunks."""
        ...

    def refresh(self) -> None:
        """Read the documents anew."""
        ...


def of_one_state(level: ReadableLevel, work: Callable[[], T]) -> T:
    """What a read of a level brings, of one state of the store.

    Raises:
        ConcurrentEditError: Others keep changing it.
    """
    return read_whole(level.storage, work, seen=lambda: level.root.seen, again=level.refresh)


def position_dtype(level: ReadableLevel) -> np.dtype[Any]:
    """Of positions as they are read."""
    return level.state.position_dtype if level.root.offset is None else np.dtype(np.float64)


def block_begins(sizes: IntArray, block_rows: int) -> IntArray:
    """Where blocks of about so many rows begin."""
    if block_rows < 1:
        raise InputError("block_rows must be a whole number from 1", got=repr(block_rows))
    block = (np.cumsum(sizes) - sizes) // block_rows
    return np.flatnonzero(np.diff(block, prepend=-1)).astype(np.int64)


def dask_array() -> Any:
    """The module ``dask.array``; raises ``MissingDependencyError``."""
    return require("dask.array", "to_dask needs")


def dask_delayed(call: Any) -> Any:
    """A call that dask makes later."""
    from dask.delayed import delayed

    return delayed(call, pure=False)
