"""How a store is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zarr_vectors.exceptions import ChunkingError
from zarr_vectors.spatial.grid import chunk_coords
from zarr_vectors.spatial.layout import MAX_GRID_CELLS, Layout, ResolvedLayout, check_edges

NICE = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0)


def resolve(points: Any, layout: Layout | None = None, rows: int | None = None) -> ResolvedLayout:
    rows = len(points) if rows is None else rows
    wide = points.astype(np.float64)
    return (layout or Layout()).resolve(points, rows, (wide.min(axis=0).tolist(), wide.max(axis=0).tolist()))


def rows_of_chunks(points: Any, layout: ResolvedLayout) -> Any:
    coords = np.stack(chunk_coords(points, layout.chunk_shape), axis=1)
    return np.unique(coords, axis=0, return_counts=True)[1]


def is_nice(edge: float) -> bool:
    mantissa = edge / 10.0 ** np.floor(np.log10(edge * (1 + 1e-12)))
    return bool(np.isclose(mantissa, NICE, rtol=1e-9).any())


def cube(rows: int) -> Any:
    return np.random.default_rng(1).uniform(-200, 1200, (rows, 3)).astype(np.float32)


def surface(rows: int) -> Any:
    flat = np.random.default_rng(2).uniform(0, 1000, (rows, 3))
    flat[:, 2] = 20 * np.sin(flat[:, 0] / 100)
    return flat


def clusters(rows: int) -> Any:
    rng = np.random.default_rng(3)
    return rng.uniform(0, 1e5, (200, 3))[rng.integers(0, 200, rows)] + rng.normal(0, 50, (rows, 3))


@pytest.mark.parametrize("shape_of", [cube, surface, clusters])
def test_a_typical_vertex_shares_its_chunk_with_some_ten_thousand(shape_of: Any) -> None:
    points = shape_of(400_000)
    layout = resolve(points)
    counts = rows_of_chunks(points, layout).astype(float)
    assert 8_192 <= (counts**2).sum() / counts.sum() <= 65_536
    assert all(map(is_nice, layout.chunk_shape))


def test_the_sample_stands_for_all_rows() -> None:
    sample = cube(50_000)
    edge = resolve(sample, rows=50_000_000).chunk_shape[0]
    per_chunk = 50_000_000 * (edge / 1400) ** 3
    assert 8_192 <= per_chunk <= 65_536


def test_few_rows_make_few_chunks() -> None:
    for rows in (1, 10, 1000, 40_000):
        assert resolve(cube(rows)).grid.cells <= 8


def test_shards_hold_some_megabytes() -> None:
    points = cube(400_000)
    layout = resolve(points, rows=100_000_000)
    assert layout.shard_shape is not None
    chunk_bytes = 100_000_000 * 12 / layout.grid.cells
    assert 6 * 2**20 <= chunk_bytes * np.prod(layout.shard_shape) <= 32 * 2**20


FLAT = np.linspace(0, 10, 70_000)
DEGENERATE = {
    "one point": np.array([[3.0, 4.0, 5.0]]),
    "all points equal": np.full((70_000, 3), 7.25),
    "all points zero": np.zeros((70_000, 3)),
    "a few places": np.repeat(np.array([[0.0, 0, 0], [1, 2, 3], [9, 9, 9]]), 30_000, axis=0),
    "flat plane": np.stack([FLAT, FLAT[::-1] ** 2, np.zeros(70_000)], axis=1),
    "nearly flat plane": np.stack([FLAT, FLAT[::-1] ** 2, 1e6 + FLAT * 1e-11], axis=1),
    "a line": FLAT[:, None],
    "four axes": np.stack([FLAT, FLAT, -FLAT, np.round(FLAT)], axis=1),
    "far away in float32": (1e9 + FLAT[:, None] * [1e3, 2e3, 64]).astype(np.float32),
    "beyond chunk numbers": np.stack([np.full(100, 1e30), np.arange(100), np.arange(100.0)], axis=1),
    "nanometres": FLAT[:, None] * [1e-10, 2e-10, 1e-9],
    "denormal": np.array([[0.0, 0.0], [1e-320, 5e-324]]),
    "as wide as float64": np.array([[-1.7e308, 0.0], [1.7e308, 1.0]]),
    "float16": FLAT[:, None].astype(np.float16) * np.float16(1000),
    "int64": np.stack([np.arange(70_000) * 10**12, np.arange(70_000) - 35_000], axis=1),
    "uint8": np.stack([np.arange(70_000) % 256, np.arange(70_000) // 300], axis=1).astype(np.uint8),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_extents_are_cut_into_chunks_that_can_be_numbered(name: str) -> None:
    points = DEGENERATE[name]
    layout = resolve(points)
    coords = np.stack(chunk_coords(points, layout.chunk_shape), axis=1)
    assert layout.grid.contains(coords).all()
    assert layout.grid.cells <= MAX_GRID_CELLS
    assert np.abs(coords).max() <= 2**53
    assert all(0 < edge < np.inf for edge in layout.chunk_shape)


def test_equal_points_make_one_chunk_of_ordinary_size() -> None:
    layout = resolve(DEGENERATE["all points equal"])
    assert (layout.chunk_shape, layout.grid.cells, layout.shard_shape) == ((1.0,) * 3, 1, None)


@given(
    npst.arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4)),
                elements=st.floats(allow_nan=False, allow_infinity=False)),
    st.sampled_from([1, 10**6, 10**9]),
)  # fmt: skip
def test_any_finite_positions_are_cut(points: Any, rows: int) -> None:
    layout = resolve(points, rows=rows)
    coords = np.stack(chunk_coords(points, layout.chunk_shape), axis=1)
    assert layout.grid.contains(coords).all()
    assert layout.grid.cells <= MAX_GRID_CELLS


@pytest.mark.parametrize(
    ("layout", "chunk_shape", "shard_shape", "bins"),
    [
        (Layout(chunk_shape=10), (10, 10), (8, 8), (1, 1)),
        (Layout(chunk_shape=(10, 2.5), shard_shape=None), (10, 2.5), None, (1, 1)),
        (Layout(chunk_shape=(10, 5), bin_shape=2.5, shard_shape=3), (10, 5), (3, 3), (4, 2)),
        (Layout(chunk_shape=np.float64(10), shard_shape=(2, int(np.int8(1)))), (10.0, 10.0), (2, 1), (1, 1)),
        (Layout(chunk_shape=0.3, bin_shape=0.1, shard_shape=None), (0.3, 0.3), None, (3, 3)),
    ],
)
def test_what_is_given_is_kept(layout: Layout, chunk_shape: Any, shard_shape: Any, bins: Any) -> None:
    points = np.array([[0.0, 0.0], [77.0, 77.0]])
    resolved = resolve(points, layout)
    assert (resolved.chunk_shape, resolved.bins) == (chunk_shape, bins)
    assert layout.shard_shape == "auto" or resolved.shard_shape == shard_shape
    assert [type(edge) for edge in resolved.chunk_shape] == [type(edge) for edge in chunk_shape]


@pytest.mark.parametrize(
    "edge", [0, -1, np.nan, np.inf, "10", None, True, 1j, [10], [1, 2, 3], [10, None], [10, np.complex64(1)]], ids=str
)
def test_edges_that_cannot_be_used_are_refused(edge: Any) -> None:
    with pytest.raises(ChunkingError, match="chunk_shape must"):
        check_edges("chunk_shape", edge, 2)


@pytest.mark.parametrize("shards", [0, -1, 1.5, True, (2,), (2, 0), (2, 2, 2), "all", [2, "2"]], ids=str)
def test_shards_that_cannot_be_used_are_refused(shards: Any) -> None:
    with pytest.raises(ChunkingError, match="shard_shape"):
        resolve(np.array([[0.0, 0.0], [9.0, 9.0]]), Layout(chunk_shape=1, shard_shape=shards))


@pytest.mark.parametrize("bins", [3, 20, (10, 4)], ids=str)
def test_bins_must_divide_the_chunk(bins: Any) -> None:
    with pytest.raises(ChunkingError, match="divide"):
        resolve(np.array([[0.0, 0.0], [9.0, 9.0]]), Layout(chunk_shape=10, bin_shape=bins))


@pytest.mark.parametrize("edge", [1e-3, 1e-300])
def test_too_many_chunks_are_refused(edge: float) -> None:
    with pytest.raises(ChunkingError, match="larger chunks"):
        resolve(np.array([[0.0, 0.0], [1e3, 1e3]]), Layout(chunk_shape=edge))
