"""Chunks, bins, shards and compressors change how a store is cut, never what is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.choice import covering
from tests.types.clouds import assert_same_cloud, cloud, in_input_order, inside, memory, read, same_rows, uniform
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.fragments import decode_fragments
from zarr_vectors.storage.cells import read_cells

POINTS = uniform(300, low=-9, high=9, attributes={"v": np.arange(300), "t": ["a", "b", "c"] * 100})
OWNED = cloud(POINTS.positions, POINTS.attributes, np.arange(300) % 7 - 3)

GZIP = {"name": "gzip", "configuration": {"level": 5}}
ZSTD = {"name": "zstd", "configuration": {"level": 9, "checksum": True}}
COMPRESSORS = [None, "zstd", "none", "blosc", ZSTD, [GZIP, {"name": "crc32c"}], [{"name": "crc32c"}], [GZIP, ZSTD], []]


@covering("compressor, shard, points", COMPRESSORS, [None, "auto", 2, (1, 3, 2)], {"plain": POINTS, "objects": OWNED})
def test_every_compressor_and_shard_shape_returns_the_rows(compressor: Any, shard: Any, points: zv.Points) -> None:
    place = memory()
    report = zv.write(place, points, layout=zv.Layout(chunk_shape=9, shard_shape=shard, compressor=compressor))
    level = zv.open(place)[0]
    assert same_rows(level.read(), points)
    assert level.shard_shape == report.shard_shape
    assert (report.shard_shape is None) == (shard is None)
    box = ([-5, -5, -5], [0, 5, 4.99])
    assert level.count(box) == inside(points.positions, *box).sum()


@pytest.mark.parametrize("chunk", [1, 2.5, (7, 3, 100), np.array([4.0, 4.0, 4.0]), 1e6, np.float32(3)])
def test_every_chunk_shape_returns_the_rows_in_input_order(chunk: Any) -> None:
    place = memory()
    zv.write(place, POINTS, layout=zv.Layout(chunk_shape=chunk, keep_order=True))
    assert_same_cloud(in_input_order(read(place)), POINTS)


def test_rows_lie_in_the_chunk_of_their_position() -> None:
    place = memory()
    zv.write(place, POINTS, layout=zv.Layout(chunk_shape=(3, 4, 5)))
    level = zv.open(place)[0]
    expected = np.unique(np.floor(POINTS.positions / (3, 4, 5)).astype(int), axis=0)
    assert level.chunk_keys == [tuple(row) for row in expected.tolist()]


@pytest.mark.parametrize(
    ("chunk", "part", "bins"),
    [(1, 0.1, 10), (0.3, 0.1, 3), (0.7, 0.1, 7), (1.1, 0.1, 11), (10, 2.5, 4), (3, 1 / 3, 9), (5, 5, 1)],
)
def test_bins_cut_chunks_into_fragments_by_position(chunk: float, part: float, bins: int) -> None:
    positions = np.concatenate(
        [np.random.default_rng(1).uniform(-1, 1, (200, 2)), np.arange(-10, 11)[:, None] * [part, chunk]]
    )
    place = memory()
    report = zv.write(place, cloud(positions), layout=zv.Layout(chunk_shape=chunk, bin_shape=part, keep_order=True))
    assert report.bins_per_chunk == (bins, bins)
    level = zv.open(place)[0]
    assert level.bin_shape == (part, part)
    assert_same_cloud(in_input_order(level.read()), cloud(positions))
    for edge in (0.0, part, -part, chunk):
        box = ([edge, -chunk], [edge + part, chunk])
        assert level.count(box) == inside(positions, *box).sum()
    storage, state = level._storage, level._state
    cells, index = read_cells(
        storage, [(state.cells[name], state.vertices.present) for name in ("vertices", "vertex_fragments")]
    )
    table, errors = decode_fragments(index.cells)
    assert not errors
    assert (table.per_cell == bins**2).all()
    assert table.counts.sum() == len(positions)
    check_bins(cells.cells, table.counts.reshape(-1, bins**2), state.vertices.present, chunk, part)


def check_bins(cells: Blobs, counts: Any, chunks: Any, chunk: float, part: float) -> None:
    """Every row is at most a rounding error outside the bin that its fragment stands for."""
    bins = round(chunk / part)
    for number, (blob, per_bin) in enumerate(zip(cells.views(), counts, strict=True)):
        rows = np.frombuffer(blob).reshape(-1, 2)
        which = np.repeat(np.arange(bins**2), per_bin)
        corner = chunks[number] * chunk + np.stack(np.divmod(which, bins), axis=1) * part
        assert (rows >= corner - 1e-9).all()
        assert (rows <= corner + part + 1e-9).all()


def test_objects_take_the_place_of_bins_as_fragments() -> None:
    place = memory()
    report = zv.write(place, OWNED, layout=zv.Layout(chunk_shape=6, bin_shape=3))
    assert same_rows(read(place), OWNED)
    assert report.bins_per_chunk == (1, 1, 1)
    assert zv.open(place)[0].bin_shape == (6, 6, 6)


def test_the_automatic_layout_makes_neither_one_chunk_nor_thousands_of_files() -> None:
    points = uniform(400_000, high=1000)
    place = memory()
    report = zv.write(place, points)
    assert 4 <= report.chunk_count <= 100
    assert report.shard_shape is not None
    info = zv.open(place).info()["levels"][0]
    assert info["shard_count"] <= 4
    assert same_rows(read(place, bbox=([0] * 3, [99] * 3)), points.take(inside(points.positions, [0] * 3, [99] * 3)))


@pytest.mark.parametrize(
    "positions",
    [
        np.full((70_000, 3), 7.5),
        np.arange(70_000.0)[:, None] * [1, 0, 0],
        np.r_[np.random.default_rng(0).uniform(0, 1, (70_000, 3)), [[1e6] * 3]],
        1e9 + np.random.default_rng(0).uniform(0, 1, (70_000, 3)),
        np.random.default_rng(0).uniform(-1e-9, 1e-9, (70_000, 3)),
        np.array([[0.0, 0.0], [1e-300, 0.0]]),
        np.array([[-1e300, 0.0], [1e300, 1.0]]),
    ],
    ids=["one place", "a line", "an outlier", "far off", "tiny", "almost nothing", "almost everything"],
)
def test_the_automatic_layout_copes_with_odd_data(positions: Any) -> None:
    points = cloud(positions)
    place = memory()
    report = zv.write(place, points, layout=zv.Layout(keep_order=True))
    assert report.chunk_count <= 100
    assert_same_cloud(in_input_order(read(place)), points)


@st.composite
def small_clouds(draw: st.DrawFn) -> tuple[zv.Points, zv.Layout]:
    """Clouds whose positions like to lie on chunk and bin faces, with a layout for them."""
    ndim = draw(st.integers(1, 4))
    dtype = draw(st.sampled_from(["f2", "f4", "f8", "i1", "i4", "i8", "u1", ">f4", ">i2"]))
    rows = draw(st.integers(0, 25))
    low = 0 if dtype == "u1" else -24
    step = 1 if np.dtype(dtype).kind in "iu" else 0.5
    numbers = st.integers(low, 24).map(lambda n: n * step)
    positions = np.array(draw(st.lists(st.tuples(*[numbers] * ndim), min_size=rows, max_size=rows)), dtype=dtype)
    attributes: dict[str, Any] = {}
    if draw(st.booleans()):
        attributes["v"] = np.arange(rows, dtype="f4").reshape(-1, 1) * [1, 2]
    if draw(st.booleans()):
        words = draw(st.lists(st.sampled_from(["a", "ü", "", None]), min_size=rows, max_size=rows))
        attributes["t"] = np.array(words, dtype=object)
    ids = None
    if draw(st.booleans()):
        known = st.sampled_from([0, -1, -2, 5, 2**40, -(2**63), 2**63 - 1])
        ids = np.array(draw(st.lists(known, min_size=rows, max_size=rows)), dtype=np.int64)
    chunk = draw(st.sampled_from([1, 2, 3.5, 8, 100]))
    layout = zv.Layout(
        chunk_shape=chunk,
        bin_shape=draw(st.sampled_from([None, chunk / 2, chunk])),
        shard_shape=draw(st.sampled_from([None, "auto", 1, 2])),
        compressor=draw(st.sampled_from([None, "none"])),
        keep_order=draw(st.booleans()),
    )
    return cloud(positions.reshape(rows, ndim), attributes, ids), layout


@given(small_clouds())
def test_any_small_cloud_comes_back(given: tuple[zv.Points, zv.Layout]) -> None:
    points, layout = given
    place = MemoryStore()
    report = zv.write(place, points, layout=layout)
    got = read(place)
    assert report.vertex_count == zv.open(place)[0].vertex_count == points.vertex_count
    assert same_rows(got, points)
    if layout.keep_order:
        assert_same_cloud(in_input_order(got), points)
    else:
        assert got.row_ids is None
    if points.object_ids is not None:
        for one in np.unique(points.object_ids):
            assert same_rows(read(place, object_ids=[one]), points.take(points.object_ids == one))
