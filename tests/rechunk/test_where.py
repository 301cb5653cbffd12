"""Reads by the value of an attribute: on any store as a filter, on one that is chunked by it by its chunks alone."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import induced, of_objects
from tests.rechunk.shapes import KINDS, LAYOUTS, assert_same_rows, ids_of, labels_of, narrowed, values, write
from tests.storage.counting import CountingStore
from zarr_vectors.types.points import read_points

ROWS = 4000
GENES = [f"gene{number}" for number in range(10)]


def spots(**options: Any) -> zv.Points:
    rng = np.random.default_rng(5)
    positions = rng.uniform(0, 40, (ROWS, 3)).astype("f4")
    genes = np.array(GENES, dtype=object)[rng.integers(0, len(GENES), ROWS)]
    return zv.Points(positions, attributes={"gene": genes, "n": np.arange(ROWS)}, **options)


def cells_read(store: CountingStore) -> set[tuple[str, int]]:
    """Array and leading index of every stored object that was asked for."""
    parts = [request.split("/c/") for request in store.requests if "/c/" in request and not request.startswith("list")]
    return {(name, int(rest.split("/")[0])) for name, rest in parts if not name.startswith("0/object")}


@pytest.mark.parametrize("sharded", [False, True])
def test_only_matching_bins_are_read(sharded: bool) -> None:
    store = CountingStore()
    value = spots()
    zv.write(store._store, value, layout=zv.Layout(chunk_shape=20, shard_shape=1 if sharded else None))
    zv.rechunk_by_attribute(store._store, "gene")
    level = zv.open(store)[0]
    store.reset()
    got = level.read(where={"gene": "gene3"})
    expected = np.asarray(value.attributes["gene"]) == "gene3"
    assert sorted(got.attributes["n"]) == np.flatnonzero(expected).tolist()
    assert (got.attributes["gene"] == "gene3").all()
    assert got.object_ids is None
    if not sharded:
        assert {lead for _, lead in cells_read(store)} == {3}
    assert store.rounds <= 2 + 1, "and whether the store has changed meanwhile"
    store.reset()
    assert level.count(where={"gene": ["gene3", "gene7", "no such"]}) == int(
        np.isin(np.asarray(value.attributes["gene"]), ["gene3", "gene7"]).sum()
    )
    if not sharded:
        assert {lead for _, lead in cells_read(store)} == {3, 7}


@pytest.mark.parametrize("bins", [None, [0, 3, 6]])
def test_objects_of_a_value_are_read_from_their_bins_alone(bins: Any) -> None:
    store = CountingStore()
    ids = np.arange(ROWS) % 100
    sizes = np.arange(100) % 9
    value = spots(object_ids=ids, objects=np.arange(100), object_attributes={"size": sizes})
    zv.write(store._store, value, layout=zv.Layout(chunk_shape=20, shard_shape=None))
    zv.rechunk(store._store, zv.RechunkSpec("attribute:size", bins=bins))
    level = zv.open(store)[0]
    store.reset()
    got = level.read(where={"size": 4})
    assert sorted(got.attributes["n"]) == np.flatnonzero(sizes[ids] == 4).tolist()
    assert {lead for _, lead in cells_read(store)} == {4 if bins is None else 1}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3)
@given(data=st.data())
def test_conditions_are_filters_on_any_store(kind: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(kind, data, f"{folder}/store")


def check(kind: str, data: st.DataObject, place: str) -> None:
    value = data.draw(values(kind))
    write(place, value, data.draw(LAYOUTS))
    name = data.draw(st.sampled_from(["row", "t", "flag", "f", *(["size", "name"] if value.object_attributes else [])]))
    spec = zv.RechunkSpec(f"attribute:{name}", categorical=True)
    if data.draw(st.booleans()):
        zv.rechunk(place, spec)
    level = zv.open(place)[0]
    whole = level.read()
    labels = labels_of(spec, value)
    wanted = data.draw(st.lists(st.sampled_from([*labels, None, 1.5, "x"][:12]), max_size=2))
    if any(isinstance(one, str) for one in wanted) != (name in {"t", "name"}):
        wanted = [one for one in wanted if one is None]
    got = level.read(where={name: wanted})
    if name in value.object_attributes:
        column = dict(zip(value.objects.tolist(), np.asarray(value.object_attributes[name]).tolist(), strict=True))
        known = {one: None if label != label else label for one, label in column.items()}
        expected = of_objects(whole, [one for one in ids_of(value) if known[one] in wanted])
    else:
        labels = labels_of(
            spec, replace(whole, objects=None, object_attributes={}) if name in whole.attributes else whole
        )
        expected = induced(whole, np.array([label in wanted for label in labels], dtype=bool))
    assert_same_rows(narrowed(got, expected), expected)
    assert level.count(where={name: wanted}) == expected.vertex_count
    assert sum(part.vertex_count for part in level.iter(where={name: wanted}, batch_rows=3)) == expected.vertex_count


def test_conditions_hold_together_with_the_rest_of_a_selection() -> None:
    ids = np.arange(ROWS) % 100
    value = spots(object_ids=ids, objects=np.arange(100), object_attributes={"size": np.arange(100) % 9})
    zv.write("memory://where-all", value, layout=zv.Layout(chunk_shape=10))
    zv.rechunk_by_attribute("memory://where-all", "gene")
    level = zv.open("memory://where-all")[0]
    box = ([5, 5, 5], [25, 30, 35])
    genes = np.asarray(value.attributes["gene"])
    inside = ((value.positions >= box[0]) & (value.positions <= box[1])).all(axis=1)
    got = level.read(box, where={"gene": "gene2", "size": [1, 2]}, object_ids=list(range(50)), attributes=["n"])
    expected = inside & (genes == "gene2") & np.isin(ids % 9, [1, 2]) & (ids < 50)
    assert list(got.attributes) == ["n"]
    assert sorted(got.attributes["n"]) == np.flatnonzero(expected).tolist()


def test_what_cannot_be_meant_is_refused() -> None:
    colours = np.zeros((ROWS, 3), dtype="u1")
    value = spots()
    zv.write("memory://where-bad", replace(value, attributes={**value.attributes, "rgb": colours}))
    level = zv.open("memory://where-bad")[0]
    with pytest.raises(zv.exceptions.AttributeNotFoundError, match="did you mean 'gene'"):
        level.read(where={"gen": "a"})
    with pytest.raises(zv.exceptions.InputError, match="where must be"):
        level.read(where=["gene"])  # type: ignore[arg-type]
    with pytest.raises(zv.exceptions.InputError, match="several channels"):
        level.read(where={"rgb": 0})
    with pytest.raises(zv.exceptions.InputError, match="cannot compare attribute 'n'"):
        level.read(where={"n": "a"})
    with pytest.raises(zv.exceptions.InputError, match="number, boolean, text or time"):
        level.read(where={"n": {"a": 1}})


def test_the_filter_of_read_points_reads_the_same_chunks() -> None:
    store = CountingStore()
    value = spots()
    zv.write(store._store, value, layout=zv.Layout(chunk_shape=20, shard_shape=None))
    zv.rechunk_by_attribute(store._store, "gene")
    store.reset()
    got = read_points(store, attribute_filter={"gene": "gene3"}, attribute_names=["n", "gene"])
    expected = np.flatnonzero(np.asarray(value.attributes["gene"]) == "gene3")
    assert sorted(got["vertex_attributes"]["n"]) == expected.tolist()
    assert {lead for _, lead in cells_read(store)} == {3}
