"""Blocks of whole shards, into which a grid is cut for workers that must not share any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.grid import Grid, chunk_coords, format_keys
from zarr_vectors.typing import AnyArray

__all__ = ["Region", "cut_grid"]


@dataclass(frozen=True)
class Region:
    """A block of whole shards (of chunks, in a store without shards), for one part to fill.

    Args:
        chunks: Which chunks.
        chunk_shape: Edge lengths of a chunk.

    Example:
        >>> import zarr_vectors as zv
        >>> layout = zv.Layout(chunk_shape=10, shard_shape=2)
        >>> _ = zv.create("memory://region-doc", bounds=([0, 0], [59, 19]), layout=layout)
        >>> region = zv.distributed.begin("memory://region-doc").regions(3)[1]
        >>> region.name, region.low, region.high
        ('2.0-3.1', (20.0, 0.0), (40.0, 20.0))
        >>> region.contains([[20.0, 5.0], [40.0, 5.0]]).tolist()
        [True, False]
    """

    chunks: Grid
    chunk_shape: tuple[float, ...]

    @property
    def name(self) -> str:
        """Its first and its last chunk."""
        last = [start + length - 1 for start, length in zip(self.chunks.origin, self.chunks.shape, strict=True)]
        return "-".join(format_keys(np.array([self.chunks.origin, last])))

    @property
    def low(self) -> tuple[float, ...]:
        """The least corner; it belongs to the region."""
        return tuple(float(n * edge) for n, edge in zip(self.chunks.origin, self.chunk_shape, strict=True))

    @property
    def high(self) -> tuple[float, ...]:
        """The greatest corner; it does not belong to the region."""
        ends = [start + length for start, length in zip(self.chunks.origin, self.chunks.shape, strict=True)]
        return tuple(float(n * edge) for n, edge in zip(ends, self.chunk_shape, strict=True))

    def contains(self, positions: Any) -> AnyArray:
        """``(N,)`` which of ``(N, D)`` positions lie in the region, told exactly as a write tells it."""
        given = np.asarray(positions)
        if given.ndim != 2 or given.shape[1] != len(self.chunk_shape):
            raise InputError("positions must be (N, D)", got=given.shape, expected=f"D = {len(self.chunk_shape)}")
        return self.chunks.contains(np.stack(chunk_coords(given, self.chunk_shape), axis=1))


def cut_grid(shards: Grid, count: int) -> Iterator[Grid]:
    """So many blocks of shards of about the same size, or one of each shard, by cutting the longest sides.

    Example:
        >>> [block.shape for block in cut_grid(Grid((0, 0), (5, 2)), 3)]
        [(2, 2), (2, 2), (1, 2)]
    """
    count = min(count, shards.cells)
    if count == 1:
        yield shards
        return
    axis = int(np.argmax(shards.shape))
    length = shards.shape[axis]
    cut = min(max(1, round(length * (count // 2) / count)), length - 1)
    origin, first, rest = list(shards.origin), list(shards.shape), list(shards.shape)
    first[axis], rest[axis] = cut, length - cut
    origin[axis] += cut
    low, high = Grid(shards.origin, tuple(first)), Grid(tuple(origin), tuple(rest))
    share = round(count * cut / length)
    share = min(max(share, 1, count - high.cells), count - 1, low.cells)
    yield from cut_grid(low, share)
    yield from cut_grid(high, count - share)
