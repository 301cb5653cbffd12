"""How a store is cut: chunks, bins and shards, from the data where nothing is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10, prod
from typing import Any, Literal

import numpy as np

from zarr_vectors import constants
from zarr_vectors.exceptions import ChunkingError, InputError
from zarr_vectors.spatial.grid import Grid, chunk_coords
from zarr_vectors.spatial.lattice import DEFAULT_BITS, Lattice, check_bits
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["Layout", "ResolvedLayout", "check_edges"]

TARGET_CHUNK_ROWS = 32_768
MOST_SHARD_BYTES = 16 * 2**20
MAX_GRID_CELLS = 2**24
MAX_PARTS = 2**20
_SAMPLE_ROWS = 65_536
_LONGEST_EDGE = 1e307
_SHORTEST_EDGE = 1e-300
_NICE = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a new store is cut and compressed. Every part may be left to be chosen from the data.

    Args:
        chunk_shape: Edge lengths of a chunk in data units, one number for a cube or one per axis. Chosen so that a
            typical vertex shares its chunk with about 32k others.
        bin_shape: Edge lengths of a bin; must divide the chunk. None for none.
        shard_shape: Chunks per stored object along each axis; ``"auto"`` for 8 to 16 MiB of positions a shard;
            None for one object per chunk.
        compressor: None or ``"zstd"`` (zstd with frame checksum), ``"blosc"``, ``"none"`` (CRC32C only), or a list
            of Zarr v3 codecs.
        keep_order: Store a ``row_id`` for every vertex: its input row.
        vertex_encoding: ``"raw"``, or ``"draco"`` for 3-D float32 positions that are rounded to fewer bits and packed.
            What rounding moved at most is told by ``ZVLevel.max_error``; everything else is stored as it is.
        draco_quantization_bits: With ``"draco"``, how many bits are kept of the longest side of the data, or of a
            chunk where that is shorter: 1 to 30.

    Raises:
        InputError: An encoding that is not known, or bits out of range.

    Example:
        >>> Layout(chunk_shape=10).chunk_shape
        10
        >>> Layout(vertex_encoding="draco", draco_quantization_bits=14).draco_quantization_bits
        14
    """

    chunk_shape: float | Sequence[float] | None = None
    bin_shape: float | Sequence[float] | None = None
    shard_shape: int | Sequence[int] | Literal["auto"] | None = "auto"
    compressor: Any = None
    keep_order: bool = False
    vertex_encoding: str = constants.ENCODING_RAW
    draco_quantization_bits: int = DEFAULT_BITS

    def __post_init__(self) -> None:
        if self.vertex_encoding not in constants.VALID_ENCODINGS:
            known = ", ".join(sorted(constants.VALID_ENCODINGS))
            raise InputError("vertex_encoding is not known", got=repr(self.vertex_encoding), expected=f"one of {known}")
        check_bits(self.draco_quantization_bits)

    @property
    def is_draco(self) -> bool:
        """Whether positions are stored in Draco encoding."""
        return self.vertex_encoding == constants.ENCODING_DRACO

    def resolve(self, sample: AnyArray, rows: int, bounds: tuple[Sequence[float], Sequence[float]]) -> ResolvedLayout:
        """Choose what is open.

        Args:
            sample: ``(n, D)`` positions, all or some.
            rows: How many positions there are in all.
            bounds: Closed box of all of them.

        Raises:
            ChunkingError: A given shape cannot be used.
        """
        ndim = len(bounds[0])
        if self.chunk_shape is None:
            chunk = choose_chunk_shape(sample, rows, bounds)
        else:
            chunk = check_edges("chunk_shape", self.chunk_shape, ndim)
        bins = None if self.bin_shape is None else check_edges("bin_shape", self.bin_shape, ndim)
        with np.errstate(over="ignore"):
            edges = np.asarray(chunk, dtype=np.float64)
            # Divided before they are subtracted: bounds may be as wide as float64.
            lengths = np.asarray(bounds[1], np.float64) / edges - np.asarray(bounds[0], np.float64) / edges
        _check_product("chunk_shape makes too many chunks for these bounds", lengths + 1, MAX_GRID_CELLS, "chunks")
        grid = Grid.of_bounds(bounds[0], bounds[1], chunk)
        lattice = Lattice.of(int(self.draco_quantization_bits), chunk, bounds) if self.is_draco else None
        return ResolvedLayout(chunk, bins, grid, self._shards(grid, chunk, sample, rows), self.compressor, lattice)

    def check(self, ndim: int) -> None:
        """Refuse shapes that no store of so many axes can have.

        Raises:
            ChunkingError: With the first of them.

        Example:
            >>> Layout(chunk_shape=(10, 10)).check(2)
        """
        for name, shape in (("chunk_shape", self.chunk_shape), ("bin_shape", self.bin_shape)):
            if shape is not None:
                check_edges(name, shape, ndim)
        if self.shard_shape is not None and self.shard_shape != "auto":
            _check_shards(self.shard_shape, ndim)

    def _shards(self, grid: Grid, chunk: tuple[float, ...], sample: AnyArray, rows: int) -> tuple[int, ...] | None:
        if self.shard_shape is None:
            return None
        if self.shard_shape == "auto":
            return choose_shard_shape(grid, chunk, sample, rows)
        return _check_shards(self.shard_shape, len(chunk))


@dataclass(frozen=True)
class ResolvedLayout:
    """A layout with nothing left open."""

    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...] | None
    grid: Grid
    shard_shape: tuple[int, ...] | None
    compressor: Any
    lattice: Lattice | None = None
    """What positions are rounded to in Draco encoding; None where they are stored as they are."""

    def __post_init__(self) -> None:
        if self.bin_shape is not None:
            ratio = np.asarray(self.chunk_shape, dtype=np.float64) / np.asarray(self.bin_shape, dtype=np.float64)
            off = np.abs(ratio - np.round(ratio)) > 1e-9 * np.maximum(ratio, 1)
            if off.any() or (np.round(ratio) < 1).any():
                raise ChunkingError(
                    "bin_shape must divide chunk_shape on every axis",
                    got=f"bin_shape {self.bin_shape} in chunk_shape {self.chunk_shape}",
                )
            _check_product("bin_shape makes too many bins in a chunk", ratio, MAX_PARTS, "bins")

    @property
    def bins(self) -> tuple[int, ...]:
        """Bins of a chunk along each axis."""
        if self.bin_shape is None:
            return (1,) * len(self.chunk_shape)
        return tuple(round(c / b) for c, b in zip(self.chunk_shape, self.bin_shape, strict=True))


def _check_product(what: str, lengths: FloatArray, most: int, unit: str) -> None:
    count = prod(lengths.tolist())
    if not count <= most:
        raise ChunkingError(
            what,
            got=f"about {count:.2g} {unit}",
            expected=f"at most {most:,}",
            hint=f"use larger chunks, or fewer {unit}",
        )


def _check_shards(given: Any, ndim: int) -> tuple[int, ...]:
    shape = tuple(given) if np.iterable(given) else (given,) * ndim
    if len(shape) != ndim or not all(_is_count(n) for n in shape):
        raise ChunkingError("shard_shape must be whole numbers of chunks from 1, one per axis", got=repr(given))
    _check_product("shard_shape puts too many chunks into a shard", np.array(shape, float), MAX_PARTS, "chunks")
    return tuple(int(n) for n in shape)


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


def check_edges(name: str, value: Any, ndim: int) -> tuple[float, ...]:
    """Edge lengths as a tuple, one per axis; whole numbers stay integers.

    Raises:
        ChunkingError: Wrong number, or an edge that is not finite and above 0.

    Example:
        >>> check_edges("chunk_shape", 2.5, 2), check_edges("chunk_shape", (1, 2), 2)
        ((2.5, 2.5), (1, 2))
    """
    edges = tuple(value) if np.iterable(value) else (value,) * ndim
    if len(edges) != ndim:
        raise ChunkingError(f"{name} must have one number per axis", expected=f"{ndim} numbers", got=repr(value))
    plain = []
    for edge in edges:
        if isinstance(edge, bool) or not isinstance(edge, (int, float, np.integer, np.floating)):
            raise ChunkingError(f"{name} must be numbers", got=repr(value))
        if not np.isfinite(edge) or edge <= 0:
            raise ChunkingError(f"{name} must be finite and above 0", got=repr(value))
        plain.append(int(edge) if isinstance(edge, (int, np.integer)) else float(edge))
    return tuple(plain)


def choose_chunk_shape(
    sample: AnyArray, rows: int, bounds: tuple[Sequence[float], Sequence[float]]
) -> tuple[float, ...]:
    """Cubic chunks, as large as they can be while a typical vertex shares its chunk with about 32k others.

    Clouds are rarely uniform: LiDAR is a surface, neurons are trees. So the edge is not computed from the volume
    but found by counting a sample, weighting each chunk by the vertices in it.
    """
    lo, hi = np.asarray(bounds[0], dtype=np.float64), np.asarray(bounds[1], dtype=np.float64)
    extent = 2 * np.minimum(hi / 2 - lo / 2, _LONGEST_EDGE / 2)
    # Chunks are counted from 0, so that far from it they cannot be as small as the data.
    least = np.maximum(np.maximum(np.abs(lo), np.abs(hi)) * 2.0**-48, _SHORTEST_EDGE)

    def shape_of(edge: float) -> tuple[float, ...]:
        return tuple(_edge_for(*side, edge) for side in zip(extent.tolist(), least.tolist(), strict=True))

    longest = float(extent.max())
    if rows <= 1.5 * TARGET_CHUNK_ROWS or not len(sample) or not longest:
        return shape_of(longest or 1.0)
    step = max(1, len(sample) // _SAMPLE_ROWS)
    points = sample[::step]
    edge = _nice(max(longest, _SHORTEST_EDGE), up=True)
    smallest = max(longest * 2.0**-40, float(least.max()))
    while edge > smallest:
        shape = shape_of(edge)
        grid = Grid.of_bounds(bounds[0], bounds[1], shape)
        if grid.cells > MAX_GRID_CELLS // 16:
            break
        if typical_rows(points, shape, grid, rows) <= 1.5 * TARGET_CHUNK_ROWS:
            return shape
        edge = _nice(edge * 0.8, up=False)
    return shape_of(edge * 1.25)


def typical_rows(points: AnyArray, shape: tuple[float, ...], grid: Grid, rows: int) -> float:
    """Expected number of other vertices in the chunk of a vertex drawn at random, from a sample."""
    counts = _cells_of(points, shape, grid)[1].astype(np.float64)
    pairs = float((counts * (counts - 1)).sum())
    return rows * pairs / max(1.0, float(len(points)) * (len(points) - 1))


def _cells_of(points: AnyArray, shape: tuple[float, ...], grid: Grid) -> tuple[IntArray, IntArray]:
    """Coordinates inside the grid, and points, of each occupied cell."""
    coords = chunk_coords(points, shape, grid.origin)
    inside = tuple(np.clip(axis, 0, length - 1) for axis, length in zip(coords, grid.shape, strict=True))
    numbers, counts = np.unique(np.ravel_multi_index(inside, grid.shape), return_counts=True)
    return np.stack(np.unravel_index(numbers, grid.shape), axis=1), counts


def choose_shard_shape(
    grid: Grid, chunk_shape: tuple[float, ...], sample: AnyArray, rows: int
) -> tuple[int, ...] | None:
    """Blocks of chunks, as large as they can be while a typical vertex shares its shard with 16 MiB of positions.

    None where the grid is a single chunk. The fullest shard, which a writer holds in memory, gets at most twice as
    much, or twice what its fullest chunk holds.
    """
    if grid.cells == 1:
        return None
    total = float(rows) * sample.dtype.itemsize * len(chunk_shape)
    points = sample[:: max(1, len(sample) // _SAMPLE_ROWS)]
    coords, counts = _cells_of(points, chunk_shape, grid)
    shape = [1] * len(chunk_shape)
    most = max(2 * MOST_SHARD_BYTES, 2 * total * counts.max(initial=0) / max(1, counts.sum()))
    while np.prod(shape) < 2**15:
        short = [axis for axis, n in enumerate(shape) if n < grid.shape[axis]]
        if not short:
            break
        axis = min(short, key=lambda a: shape[a])
        larger = [n * 2 if number == axis else n for number, n in enumerate(shape)]
        inside = _vertices_inside(coords // larger, counts)
        share = inside / max(1, inside.sum())
        if (share * share).sum() * total > MOST_SHARD_BYTES or share.max(initial=0) * total > most:
            break
        shape = larger
    return tuple(shape)


def _vertices_inside(blocks: IntArray, counts: IntArray) -> FloatArray:
    """Vertices in each occupied block."""
    if not len(counts):
        return np.zeros(0)
    span = tuple((blocks.max(axis=0) + 1).tolist())
    number = np.unique(np.ravel_multi_index(tuple(blocks.T), span), return_inverse=True)[1]
    return np.bincount(number, weights=counts).astype(np.float64)


def _edge_for(extent: float, least: float, edge: float) -> float:
    """The common edge, or a shorter one on an axis that is much shorter than a chunk."""
    return _nice(max(least, extent if 0 < extent < edge / 4 else edge), up=True)


def _nice(value: float, *, up: bool) -> float:
    """A round number near a positive one.

    Example:
        >>> _nice(3.3, up=True), _nice(3.3, up=False)
        (4.0, 3.2)
    """
    exponent = floor(log10(value))
    steps = [step * 10.0**exponent for step in (*_NICE, 10.0)]
    slack = 1e-9 * value
    if up:
        return next(step for step in steps if step >= value - slack)
    return max(step for step in steps if step <= value + slack)
