"""Parts of a level that are read when they are asked for: nothing before, and then the same as a read brings."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import KINDS, LAYOUTS, stored, values
from tests.storage.counting import CountingStore
from tests.storage.stores import GOLDEN, fewer_examples
from tests.types.clouds import assert_same_column, values_of
from zarr_vectors.exceptions import InputError, MissingCellError, MissingDependencyError, ObjectNotFoundError
from zarr_vectors.geometry import Polylines

kinds = pytest.mark.parametrize("kind", ["point_cloud", *KINDS])


@st.composite
def clouds(draw: st.DrawFn) -> zv.Points:
    graph = draw(values("graph"))
    return zv.Points(graph.positions, graph.attributes, graph.object_ids)


@kinds
@fewer_examples(16)
@given(data=st.data(), layout=LAYOUTS)
def test_parts_are_those_of_a_read(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    level = stored(data.draw(clouds() if kind == "point_cloud" else values(kind)), layout)
    whole = level.read()
    assert_same_column(level.vertices.compute(), whole.positions)
    assert level.vertices.shape == whole.positions.shape
    rows = data.draw(st.integers(1, 9))
    blocks = level.vertices.to_dask(rows)
    assert (blocks.shape, blocks.dtype) == (whole.positions.shape, whole.positions.dtype)
    np.testing.assert_array_equal(blocks.compute(scheduler="sync"), whole.positions)
    for name, column in whole.attributes.items():
        lazy = level.attributes[name]
        assert_same_column(lazy.compute(), column)
        found = lazy.to_dask(rows).compute(scheduler="sync")
        assert values_of(found) == values_of(column)
        assert found.dtype == column.dtype
    found = [values_of(level.vertices[chunk].compute()) for chunk in level.chunk_keys]
    assert sorted(row for part in found for row in part) == sorted(whole.positions.tolist())
    index = level.object_index.compute()
    assert list(index) == list(level.object_index) == level.objects.ids.tolist()
    assert all(level.object_index[one] == parts for one, parts in index.items())
    if isinstance(whole, Polylines):
        check_lines(level, whole, rows)


def check_lines(level: zv.ZVLevel, whole: Polylines, rows: int) -> None:
    found = level.polylines
    assert found.object_ids.tolist() == whole.line_ids.tolist()
    assert [line.tolist() for line in found.compute()] == [line.tolist() for line in whole.lines()]
    arrays = found.to_dask(rows)
    assert list(arrays) == whole.line_ids.tolist()
    for one, line in zip(whole.line_ids.tolist(), whole.lines(), strict=True):
        assert found[one].compute().tolist() == line.tolist()
        assert arrays[one].shape == line.shape
        assert arrays[one].compute(scheduler="sync").tolist() == line.tolist()


def test_nothing_is_read_before_it_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    lines = zv.Polylines([rng.uniform(0, 20, (5, 2)) for _ in range(20)], attributes={"a": np.arange(100)})
    counting = CountingStore()
    zv.write(counting, lines, layout=zv.Layout(chunk_shape=4, shard_shape=2))
    level = zv.open(counting)[0]
    counting.reset()
    told = (level.vertices, level.attributes["a"], level.object_index, level.polylines, level.polylines[3])
    chunk = level.vertices[level.chunk_keys[0]]
    assert level.vertices.shape == (100, 2)
    assert (len(level.vertices), len(level.object_index), level.polylines.count) == (100, 20, 20)
    assert level.polylines.filter(object_ids=[4, 2]).count == 2
    assert all(map(repr, told))
    assert counting.requests == []
    assert len(chunk.compute())
    counting.reset()
    blocks = level.attributes["a"].to_dask(30)
    assert blocks.numblocks[0] > 1
    names = {request.split("/")[1] for request in counting.requests}
    assert names == {"object_index", "vertex_fragments"}, "indexes alone tell how large blocks are"
    counting.reset()
    level.polylines[3].compute()
    assert counting.rounds == 3 + 1, "and whether the store has changed meanwhile"


def test_what_is_not_there() -> None:
    level = stored(zv.Points([[0.0, 1.0], [5.0, 2.0]], {"a": [1, 2]}), zv.Layout(chunk_shape=2))
    with pytest.raises(MissingCellError, match="no vertices in this chunk"):
        level.vertices[7, 7]
    with pytest.raises(MissingCellError):
        level.attributes["a"][0]
    with pytest.raises(InputError, match="chunk by chunk"):
        level.vertices[:5]
    with pytest.raises(InputError, match="block_rows"):
        level.vertices.to_dask(0)
    with pytest.raises(InputError, match="no lines"):
        _ = level.polylines
    with pytest.raises(ObjectNotFoundError, match="no objects"):
        level.object_index[1]
    assert level.object_index.compute() == {}
    assert level.object_index.to_dask().compute().shape == (0, 4)
    lines = stored(zv.Polylines([[[0.0, 1.0], [5.0, 2.0]]], ids=[5]), zv.Layout(chunk_shape=2))
    with pytest.raises(ObjectNotFoundError, match="7"):
        lines.object_index[7]
    with pytest.raises(ObjectNotFoundError, match="no object 7"):
        lines.polylines.filter(object_ids=[7]).to_dask()
    with pytest.raises(ObjectNotFoundError, match="not among"):
        lines.polylines.filter(object_ids=[5])[6]
    assert lines.object_index.to_dask().compute()[:, 0].tolist() == [5, 5]


def test_dask_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    level = stored(zv.Points([[0.0, 1.0]]), zv.Layout(chunk_shape=2))
    monkeypatch.setitem(sys.modules, "dask.array", None)
    assert np.asarray(level.vertices).tolist() == [[0, 1]]
    with pytest.raises(MissingDependencyError, match=r"zarr-vectors\[dask\]"):
        level.vertices.to_dask()


def test_blocks_of_a_store_on_disk_can_be_sent_elsewhere(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).uniform(0, 9, (50, 2))
    zv.write(tmp_path / "store", zv.Points(positions), layout=zv.Layout(chunk_shape=3))
    level = pickle.loads(pickle.dumps(zv.open(str(tmp_path / "store"))[0]))
    blocks = level.vertices.to_dask(10)
    assert np.allclose(blocks.compute(scheduler="threads"), level.read().positions)


@pytest.mark.parametrize("name", ["points_binned", "channel_attributes", "kinds/streamlines", "kinds/mesh"])
def test_stores_of_0_9_2(name: str) -> None:
    level = zv.open(str(GOLDEN / name))[0]
    whole = level.read()
    np.testing.assert_array_equal(level.vertices.to_dask(5).compute(scheduler="sync"), whole.positions)
    for attribute, column in whole.attributes.items():
        found = level.attributes[attribute].to_dask(5).compute(scheduler="sync")
        assert values_of(found) == values_of(column)
