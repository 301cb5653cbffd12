"""Writing attributes per fragment: what is refused, appends, streams, empty stores, and the keywords of 0.9.2."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.connected import assert_same, owners_of
from tests.query.fragmented import KINDS, NAMES, clouds, fragment_columns, fragmented, layout_of, salted, with_columns
from tests.storage.stores import fewer_examples
from tests.types.clouds import column_values, joined, memory, read, same_rows, uniform
from zarr_vectors.exceptions import ConventionError, InputError
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

SOME = fewer_examples(5)
FOUR = zv.Layout(chunk_shape=4)


def spots(rows: int = 60, seed: int = 0, salt: int = 0, **options: Any) -> zv.Points:
    value = uniform(rows, seed, ndim=2, object_ids=np.arange(rows) % 5, **options)
    filled: zv.Points = with_columns(value, {"row": np.arange(rows), **fragment_columns(value, 4, salt=salt)})
    return filled


def test_values_that_change_within_a_fragment_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    value = spots()
    for batches in (value, [value.within(np.arange(60) < 30), value.within(np.arange(60) >= 30)]):
        with pytest.raises(
            InputError, match=r"'row' is not constant within a fragment.*object \d in chunk 0\.0"
        ) as caught:
            zv.write(tmp_path / "s", batches, layout=FOUR, per_fragment=["f.int", "row"])
        assert "per_fragment" in str(caught.value.hint)
        assert not (tmp_path / "s").exists()
    text = np.array(["a"] * 60, dtype=object)
    text[7] = None
    with pytest.raises(InputError, match="got 'a' and None of object 2"):
        zv.write(tmp_path / "s", with_columns(value, {"t": text}), per_fragment="t")
    zv.write(tmp_path / "s", value, layout=FOUR, per_fragment=NAMES)
    before = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    bad = with_columns(value.within(np.ones(60, bool)), {"f.int": np.arange(60).astype("i2")})
    for mode, extra in (("append", {"extend": True}), ("replace", {"per_fragment": NAMES})):
        with pytest.raises(InputError, match=r"'f\.int' is not constant"):
            zv.write(tmp_path / "s", bad, mode=mode, **extra)
    assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["zz"], "does not have"),
        (["object_id"], "kept by the library"),
        (["object_offset"], "kept by the library"),
        ([3], "must be text"),
        (7, "must be names"),
    ],
)
def test_names_that_cannot_be_meant(names: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        zv.write(memory(), spots(), per_fragment=names)


def test_nan_and_not_a_time_are_constant() -> None:
    place = memory()
    value = with_columns(uniform(9), {"n": np.full(9, np.nan), "w": np.full(9, "NaT", "M8[ns]"), "c": np.full(9, 1j)})
    zv.write(place, value, layout=zv.Layout(chunk_shape=100), per_fragment=["n", "w", "c"])
    assert same_rows(read(place), value)


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(st.data())
def test_appended_values_are_stored_per_fragment(kind: str, data: st.DataObject) -> None:
    """Objects get fragments of their own, so that values need not agree with those that are there."""
    edges = data.draw(st.sampled_from([2.5, 6]))
    first = data.draw(fragmented(kind, edges, ndim=2))
    place = MemoryStore()
    layout = layout_of(kind, edges, shard_shape=data.draw(st.sampled_from([None, 2])))
    zv.write(place, first, layout=layout, per_fragment=NAMES)
    second = first
    if kind != "bins":
        later = salted(np.asarray(first.attributes["f.int"]).astype(np.int64) + 3)
        if kind == "polyline":
            other = replace(first, ids=first.line_ids + 10**13)
        else:
            other = replace(first, object_ids=np.array(owners_of(first), dtype=np.int64) + 10**13)
        second = with_columns(other, later)
    zv.write(place, second, mode="append")
    level = zv.open(place)[0]
    got = level.read()
    assert not [path for path in level.state.cells if path.startswith("vertex_attributes/f.")]
    assert sorted(rows_with(got)) == sorted(rows_with(first) + rows_with(second))


def rows_with(value: Any) -> list[str]:
    """Each row with its values."""
    columns = [column_values(value.attributes[name]) for name in ["row", *NAMES]]
    return [repr(row) for row in zip(*columns, strict=True)]


def test_extended_objects_keep_both_values() -> None:
    place = memory()
    first, second, third = spots(), spots(40, 1, salt=5), spots(30, 2, salt=9)
    zv.write(place, first, layout=FOUR, per_fragment=NAMES)
    with pytest.raises(InputError, match="extend=True"):
        zv.write(place, second, mode="append")
    zv.write(place, second, mode="append", extend=True, out_of_bounds="expand")
    zv.write(place, [third.within(np.arange(30) < 9), third.within(np.arange(30) >= 9)], mode="append", extend=True,
             out_of_bounds="expand")  # fmt: skip
    assert same_rows(read(place), joined([first, second, third]))
    got = read(place, object_ids=[3])
    whole = joined([first, second, third])
    assert same_rows(got, whole.within(np.asarray(whole.object_ids) == 3))


def test_a_line_that_goes_on_in_its_chunk_keeps_both_values() -> None:
    place = memory()
    line = zv.Polylines([[[0.0, 0.0], [1.0, 1.0]]], ids=[4], attributes={"a": np.array([1, 1])})
    more = zv.Polylines([[[2.0, 1.0], [5.0, 1.0]]], ids=[4], attributes={"a": np.array([2, 3])})
    zv.write(place, line, layout=FOUR, per_fragment="a")
    zv.write(place, more, mode="append", extend=True, out_of_bounds="expand")
    got = zv.open(place)[0].read()
    assert got.attributes["a"].tolist() == [1, 1, 2, 3]
    assert got.line_count == 1


def test_appended_points_share_bins_with_those_that_are_there() -> None:
    place = memory()
    value = zv.Points(np.array([[0.5, 0.5], [3.5, 0.5]]), attributes={"a": np.array([1, 2]), "t": ["x", "y"]})
    layout = zv.Layout(chunk_shape=4, bin_shape=1)
    zv.write(place, value, layout=layout, per_fragment=["a", "t"], bounds=([0, 0], [9, 9]))
    other = zv.Points(np.array([[0.6, 0.5], [5.0, 5.0]]), attributes={"a": np.array([7, 2]), "t": ["x", "z"]})
    with pytest.raises(InputError, match=r"'a' is not constant.*1 and 7 of one bin of chunk 0\.0"):
        zv.write(place, other, mode="append")
    assert zv.open(place)[0].vertex_count == 2
    same = with_columns(other, {"a": np.array([1, 2])})
    zv.write(place, same, mode="append")
    assert same_rows(read(place), joined([value, same]))


def test_rules_for_missing_attributes_are_those_of_vertex_attributes() -> None:
    place = memory()
    zv.write(place, spots(), layout=FOUR, per_fragment=NAMES, bounds=([0, 0], [10, 10]))
    lacking = uniform(20, 5, ndim=2, object_ids=np.arange(20) + 100)
    with pytest.raises(InputError, match=r"'f\.flag'.*fill="):
        zv.write(place, with_columns(lacking, {"row": np.arange(20)}), mode="append")
    fill = {"f.int": 9, "f.flag": True, "f.text": "new", "row": 0}
    zv.write(place, lacking, mode="append", fill=fill)
    got = read(place, object_ids=[104])
    assert np.asarray(got.attributes["f.int"]).tolist() == [9]
    assert np.asarray(got.attributes["f.text"]).tolist() == ["new"]
    assert np.isnan(got.attributes["f.wide"]).all()
    assert np.isnat(got.attributes["f.when"]).all()
    with pytest.raises(InputError, match="does not keep per fragment"):
        zv.write(place, spots(), mode="append", extend=True, per_fragment="row")


@pytest.mark.parametrize("kind", ["point_cloud", "streamline", "graph"])
def test_empty_stores_know_what_is_kept_per_fragment(kind: str) -> None:
    place = memory()
    zv.create(place, kind, bounds=([0, 0], [9, 9]), attributes={"a": "u1", "v": "f4"}, per_fragment=["a"])
    assert zv.open(place)[0].attributes["a"].per_fragment
    columns = {"a": np.array([3, 3], "u1"), "v": np.array([1, 2], "f4")}
    at = np.array([[1, 1], [2, 2]], "f4")
    values: dict[str, Any] = {
        "point_cloud": zv.Points(at, attributes=columns),
        "streamline": zv.Polylines([at], kind="streamline", attributes=columns),
        "graph": zv.Graph(at, [[0, 1]], attributes=columns, object_ids=[5, 5]),
    }
    zv.write(place, values[kind], mode="append")
    level = zv.open(place)[0]
    assert level.attributes["a"].per_fragment
    assert not level.attributes["v"].per_fragment
    assert level.read().attributes["a"].tolist() == [3, 3]
    assert level.read().attributes["a"].dtype == np.uint8
    with pytest.raises(InputError, match="does not have"):
        zv.create(memory(), bounds=([0, 0], [9, 9]), per_fragment=["a"])


def test_streams_larger_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zarr_vectors.types.spill._IN_MEMORY_ROWS", 20)
    monkeypatch.setattr("zarr_vectors.types.spill._GROUP_ROWS", 10)
    value = spots(90)
    parts = [value.within(np.arange(90) // 15 == n) for n in range(6)]
    place = memory()
    zv.write(place, iter(parts), layout=FOUR, per_fragment=NAMES)
    assert same_rows(read(place), value)
    assert zv.open(place)[0].attributes["f.text"].per_fragment
    with pytest.raises(InputError, match="'row' is not constant"):
        zv.write(memory(), iter(parts), layout=FOUR, per_fragment=["row"])


@SOME
@given(clouds(objects=False, ndim=2), st.sampled_from([None, 2]))
def test_values_by_chunk_for_bins(value: zv.Points, shards: int | None) -> None:
    """A value for each bin of a chunk, the empty ones included; chunks without values have none."""
    place = MemoryStore()
    cells = np.floor(value.positions.astype(float) / 4).astype(int)
    chunks = [tuple(row) for row in np.unique(cells, axis=0).tolist()]
    bins = np.floor(value.positions.astype(float) / 2).astype(int) - cells * 2
    number = bins @ [2, 1]
    a = {chunk: np.arange(4, dtype="u2") + 10 * n for n, chunk in enumerate(chunks)}
    b = {chunk: np.arange(8, dtype=">f4").reshape(4, 2) for chunk in chunks[::2]}
    given_values = {"a": a, "b": b} if chunks else {}
    options: Any = {"chunk_shape": (4, 4), "bin_shape": (2, 2), "shard_shape": shards}
    write_points(place, value.positions, vertex_attributes={"row": np.arange(len(cells))},
                 fragment_attributes=given_values, **options)  # fmt: skip
    if not chunks:
        return
    got = read_points(place, attribute_names=["row", "a", "b"])
    assert set(got["vertex_attributes"]) == {"row"}
    assert got["fragment_attributes"]["a"].dtype == np.uint16
    assert got["fragment_attributes"]["b"].dtype == np.dtype(">f4")
    for row, one, two in zip(
        got["vertex_attributes"]["row"], *(got["fragment_attributes"][n] for n in "ab"), strict=True
    ):
        chunk = tuple(cells[row].tolist())
        assert one == a[chunk][number[row]]
        if chunk in b:
            assert two.tolist() == b[chunk][number[row]].tolist()
        else:
            assert np.isnan(two).all()


def test_values_by_chunk_for_lines_and_graphs() -> None:
    lines = [np.array([[1.0, 1], [2, 1], [5, 1], [1, 2]]), np.array([[1.0, 3], [5, 3]])]
    by_chunk = {"a": {(0, 0): np.array([1, 2, 3], "i1"), (1, 0): np.array([4, 5], "i1")}}
    place = memory()
    write_polylines(place, lines, chunk_shape=(4, 4), fragment_attributes=by_chunk)
    got = read_polylines(place)
    assert got["fragment_attributes"]["a"].tolist() == [1, 1, 4, 2, 3, 5]
    assert got["vertex_attributes"] == {}
    place = memory()
    ids = [7, 7, 3, 3]
    owners = {(0, 0): np.array([3, 7]), (1, 0): np.array([3, 7])}
    write_graph(place, [[1.0, 1], [5, 1], [1, 2], [5, 2]], [[0, 1], [2, 3]], chunk_shape=(4, 4), object_ids=ids,
                fragment_attributes={"t": {(0, 0): ["x", "y"]}, "object_id": owners})  # fmt: skip
    graph = read_graph(place)
    said = dict(zip(map(tuple, graph["positions"].tolist()), graph["fragment_attributes"]["t"].tolist(), strict=True))
    assert said == {(1, 1): "y", (5, 1): None, (1, 2): "x", (5, 2): None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": {(9, 9): [1]}}, "names a chunk that has no vertices.*9.9"),
        ({"a": {(0, 0): [1, 2]}}, r"another number of values.*1 for chunk 0\.0"),
        ({"a": {(0, 0, 0): [1]}}, "2 whole numbers"),
        ({"a": {"0.0": [1]}}, "2 whole numbers"),
        ({"a": {}}, "must be a mapping"),
        ({"a": [1]}, "must be a mapping"),
        ([1], "must be a mapping"),
        ({"a": {(0, 0): [1], (1, 0): [1.5]}}, "one type"),
        ({"v": {(0, 0): [1]}}, "both a vertex attribute and a fragment attribute"),
        ({"object_offset": {(0, 0): [1]}}, "kept by the library"),
        ({"object_id": {(0, 0): [8]}}, "differs from the objects"),
        ({"a/b": {(0, 0): [8]}}, "cannot be used"),
    ],
)
@pytest.mark.parametrize("owned", [True, False])
def test_values_by_chunk_that_do_not_fit(tmp_path: Path, values: Any, message: str, owned: bool) -> None:
    at = np.array([[1.0, 1], [5, 1]])
    with pytest.raises(InputError, match=message):
        write_points(tmp_path / "s", at, chunk_shape=(4, 4), object_ids=[1, 1] if owned else None,
                     vertex_attributes={"v": [1, 2]}, fragment_attributes=values)  # fmt: skip
    assert not (tmp_path / "s").exists()


def test_values_by_chunk_cannot_be_appended_but_as_vertex_attributes() -> None:
    place, at = memory(), np.array([[1.0, 1], [2, 1]])
    write_points(place, at, chunk_shape=(4, 4), object_ids=[1, 1], fragment_attributes={"a": {(0, 0): [6]}})
    with pytest.raises(InputError, match="vertex_attributes"):
        write_points(place, at, object_ids=[2, 2], fragment_attributes={"a": {(0, 0): [6]}}, mode="append")
    write_points(place, at, object_ids=[2, 3], vertex_attributes={"a": [8, 9]}, mode="append")
    assert read_points(place, attribute_names="a")["fragment_attributes"]["a"].tolist() == [6, 6, 8, 9]


def test_what_was_read_can_be_written_again() -> None:
    value = spots()
    place, again = memory(), memory()
    zv.write(place, value, layout=FOUR, per_fragment=NAMES)
    zv.write(again, read(place), layout=FOUR, per_fragment=NAMES)
    assert same_rows(read(again), value)
    facts = zv.open(place).info()["levels"][0]["attributes"]
    assert {name for name, fact in facts.items() if fact["per_fragment"]} == set(NAMES)


def test_a_name_that_vertices_have_too_is_told_apart_and_cannot_be_appended_to(tmp_path: Path) -> None:
    value = spots()
    zv.write(tmp_path / "s", value, layout=FOUR, per_fragment=NAMES)
    (tmp_path / "s/0/fragment_attributes/f.int").rename(tmp_path / "s/0/fragment_attributes/row")
    root = tmp_path / "s/0/zarr.json"
    root.write_text(root.read_text().replace("fragment_attributes/f.int", "fragment_attributes/row"))
    got = read(tmp_path / "s")
    rows = np.asarray(got.attributes["row"])
    assert column_values(got.attributes["fragment_attributes/row"]) == column_values(value.attributes["f.int"][rows])
    assert list(read(tmp_path / "s", attributes="fragment_attributes/row").attributes) == ["fragment_attributes/row"]
    found = read_points(tmp_path / "s", attribute_names=["row", "fragment_attributes/row"])
    assert found["vertex_attributes"]["row"].tolist() == rows.tolist()
    assert set(found["fragment_attributes"]) == {"row"}
    with pytest.raises(ConventionError, match="name of a vertex attribute"):
        zv.write(tmp_path / "s", value, mode="append", extend=True)


def test_meshes_are_written_per_fragment_too() -> None:
    at = np.array([[0.0, 0], [5, 0], [0, 5], [1, 1]])
    mesh = zv.Mesh(at, [[0, 1, 2], [0, 2, 3]], attributes={"part": np.array([1, 2, 3, 1]), "row": np.arange(4)})
    place = memory()
    zv.write(place, mesh, layout=FOUR, per_fragment="part")
    assert_same(zv.open(place)[0].read(), mesh)
