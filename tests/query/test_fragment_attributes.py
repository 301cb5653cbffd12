"""Attributes that are stored per fragment come back for each vertex, on every path, aligned and in their types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.connected import assert_same, object_list, of_objects, row_values
from tests.query.damage import edit
from tests.query.damage import stored as stored_objects
from tests.query.fragmented import KINDS, NAMES, fragment_columns, fragmented, layout_of, with_columns
from tests.storage.stores import fewer_examples
from tests.types.clouds import column_values, inside, same_rows, uniform
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import vlen_frame
from zarr_vectors.encoding.fragments import encode_fragments
from zarr_vectors.exceptions import AttributeNotFoundError, CorruptionError

kinds = pytest.mark.parametrize("kind", KINDS)
SOME = fewer_examples(5)
EDGES = st.sampled_from([1, 2.5, 6, 1000])


def written(value: Any, kind: str, edges: float, **options: Any) -> zv.ZVLevel:
    place = MemoryStore()
    keep = options.pop("keep_order", False)
    zv.write(place, value, layout=layout_of(kind, edges, keep_order=keep, **options), per_fragment=NAMES)
    return zv.open(place)[0]


def assert_as_given(got: Any, value: Any) -> None:
    """Every vertex has the values of the input row that it is, in their types."""
    rows = np.asarray(got.attributes["row"])
    for name in NAMES:
        assert got.attributes[name].dtype == value.attributes[name].dtype
        assert column_values(got.attributes[name]) == column_values(value.attributes[name][rows])


@kinds
@SOME
@given(st.data())
def test_all_comes_back(kind: str, data: st.DataObject) -> None:
    edges = data.draw(EDGES)
    value = data.draw(fragmented(kind, edges))
    level = written(
        value, kind, edges, shard_shape=data.draw(st.sampled_from([None, 2])), keep_order=data.draw(st.booleans())
    )
    got = level.read()
    if isinstance(value, zv.Points):
        assert same_rows(got, value)
    else:
        assert_same(got, value)
    assert_as_given(got, value)
    for name in NAMES:
        assert level.attributes[name].per_fragment
        assert f"vertex_attributes/{name}" not in level.state.cells
    assert not level.attributes["row"].per_fragment
    batches = list(level.iter(batch_rows=3))
    assert sum(len(batch.positions) for batch in batches) == value.vertex_count
    for batch in batches:
        assert_as_given(batch, value)


@kinds
@SOME
@given(st.data())
def test_parts_come_back_aligned(kind: str, data: st.DataObject) -> None:
    edges = data.draw(EDGES)
    value = data.draw(fragmented(kind, edges, ndim=2))
    level = written(value, kind, edges)
    corners = [sorted(data.draw(st.tuples(*[st.integers(-13, 13)] * 2))) for _ in range(2)]
    box = tuple(np.array(corners).T / 2)
    for mode in ("vertices", "objects", "clip"):
        assert_as_given(level.read(box, mode=mode), value)
    within = level.read(box, mode="vertices")
    assert (
        sorted(np.asarray(within.attributes["row"]).tolist()) == np.flatnonzero(inside(value.positions, *box)).tolist()
    )
    named = level.read(box, attributes=["f.text", "row"], mode="vertices")
    assert list(named.attributes) == ["f.text", "row"]
    assert column_values(named.attributes["f.text"]) == column_values(within.attributes["f.text"])
    assert list(level.read(attributes=["f.wide"]).attributes) == ["f.wide"]
    if kind == "bins" or not value.vertex_count:
        return
    ids = data.draw(st.lists(st.sampled_from(object_list(value)), unique=True))
    got = level.read(object_ids=ids)
    assert_as_given(got, value)
    assert sorted(row_values(got)) == sorted(row_values(of_objects(value, ids))) if ids else not got.vertex_count


def test_groups_and_unknown_names() -> None:
    value = uniform(200, ndim=2, object_ids=np.arange(200) % 7, groups={0: [1, 3], 1: [6]})
    value = with_columns(value, {"row": np.arange(200), **fragment_columns(value, 4)})
    level = written(value, "points", 4)
    got = level.read(group_ids=[0])
    assert_as_given(got, value)
    assert set(got.object_ids.tolist()) == {1, 3}
    with pytest.raises(AttributeNotFoundError, match=r"did you mean 'f\.int'"):
        level.read(attributes=["f.imt"])
    with pytest.raises(AttributeNotFoundError):
        level.read(attributes=["object_id"])


def put_cell(place: Path, array: str, chunk: tuple[int, int], payload: bytes) -> None:
    """Store another payload as a cell, well encoded."""
    cell = zv.open(place)[0].state.cells[array]
    assert cell.codec is not None
    encoded = cell.codec.encode(vlen_frame(Blobs.from_list([payload])))
    (place / "0" / array / "c" / "/".join(map(str, chunk))).write_bytes(bytes(encoded[0]))


def test_rows_that_fragments_share_or_leave_out_have_the_value_of_the_fragment(tmp_path: Path) -> None:
    """One chunk whose fragments are lists that repeat rows, as 0.9.2 may write them."""
    value = uniform(60, ndim=2, object_ids=np.arange(60) % 5 * 10)
    value = with_columns(value, {"row": np.arange(60), **fragment_columns(value, 1000)})
    place = tmp_path / "s"
    zv.write(place, value, layout=layout_of("points", 1000, shard_shape=None), per_fragment=NAMES)
    lists = [np.array([(7 * n + k * k) % 60 for k in range(n)], dtype=np.int64) for n in range(1, 5)]
    put_cell(place, "vertex_fragments", (0, 0), encode_fragments([(3, 0), *lists]))
    edit(place / "0/zarr.json", lambda document: document["attributes"]["zarr_vectors_level"].pop("fragments_tile"))
    level = zv.open(place)[0]
    stored = np.argsort(value.object_ids, kind="stable")
    for ids, numbers in ((None, [1, 2, 3, 4]), ([30, 10, 0], [3, 1])):
        got = level.read(object_ids=ids)
        assert np.asarray(got.attributes["row"]).tolist() == [
            int(stored[row]) for n in numbers for row in lists[n - 1]
        ]  # fmt: skip
        owners = [10 * n for n in numbers for _ in lists[n - 1]]
        assert got.object_ids.tolist() == owners
        for name in NAMES:
            expected = value.attributes[name][np.array(owners) // 10]
            assert column_values(got.attributes[name]) == column_values(expected)


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, zv.Points]:
    value = uniform(300, ndim=2, object_ids=np.arange(300) % 11)
    value = with_columns(value, {"row": np.arange(300), **fragment_columns(value, 4)})
    zv.write(tmp_path / "s", value, layout=zv.Layout(chunk_shape=4, shard_shape=None), per_fragment=NAMES)
    return tmp_path / "s", value


def check_left_out(place: Path, value: zv.Points, cell: tuple[int, int], array: str) -> None:
    key = ".".join(map(str, cell))
    for options in ({}, {"object_ids": [3, 5]}, {"bbox": ([0, 0], [10, 10])}, {"attributes": ["f.int"]}):
        with pytest.raises(CorruptionError) as caught:
            zv.open(place)[0].read(**options)
        assert (caught.value.array, caught.value.cell) == (f"0/{array}", key)
    got = zv.open(place)[0].read(strict=False)
    assert len(got.errors) == 1
    assert array in got.errors[0]
    assert key in got.errors[0]
    assert_as_given(got, value)
    away = (np.floor(value.positions / 4).astype(int) != cell).any(axis=1)
    assert sorted(np.asarray(got.attributes["row"]).tolist()) == np.flatnonzero(away).tolist()
    assert zv.open(place)[0].read(attributes=["row"]).vertex_count == 300


def test_a_cell_that_is_gone(damaged: tuple[Path, zv.Points]) -> None:
    place, value = damaged
    array = "fragment_attributes/f.int"
    next(path for path in stored_objects(place, array) if str(path).endswith("c/1/0")).unlink()
    check_left_out(place, value, (1, 0), array)


@pytest.mark.parametrize("payload", [b"", b"\0\0", bytes(2 * 12), bytes(3)])
def test_a_cell_of_another_number_of_values(damaged: tuple[Path, zv.Points], payload: bytes) -> None:
    place, value = damaged
    array = "fragment_attributes/f.int"
    put_cell(place, array, (0, 1), payload)
    check_left_out(place, value, (0, 1), array)
