"""What a writer adds to a level reads as if it had been written with it, for every kind and layout."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.connected import KINDS, LAYOUTS, assert_same, columns_of, numbers, values
from tests.storage.stores import fewer_examples
from tests.types.clouds import assert_same_column
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Linked, Polylines, take_column
from zarr_vectors.types.appended import with_link_columns
from zarr_vectors.types.join import concatenate

kinds = pytest.mark.parametrize("kind", KINDS)
examples = fewer_examples(12)


def opened(value: Any, layout: zv.Layout, **options: Any) -> zv.ZVLevel:
    place = MemoryStore()
    zv.write(place, value, layout=layout, **options)
    return zv.open(place, "r+")[0]


def without(value: Any, names: set[str]) -> Any:
    """The value without these attributes of vertices, and without any of links."""
    value = replace(value, attributes={name: c for name, c in value.attributes.items() if name not in names})
    return with_link_columns(value, {}) if isinstance(value, Linked) else value


def in_read_order(level: zv.ZVLevel, value: Any) -> dict[str, Any]:
    """The attributes of a value in the order in which a level is read."""
    rows = np.array(numbers(level.read()), dtype=np.int64)
    return {name: take_column(column, rows) for name, column in value.attributes.items()}


def links_in_read_order(level: zv.ZVLevel, value: Any) -> dict[str, Any]:
    """The same for attributes of links; equal links are told apart by nothing, and take the values in any order."""
    found = level.read()
    rows = np.array(numbers(found), dtype=np.int64)
    places: dict[tuple[int, ...], list[int]] = {}
    for number, ends in enumerate(value.links.tolist()):
        places.setdefault(tuple(ends), []).append(number)
    order = [places[tuple(rows[ends].tolist())].pop(0) for ends in found.links]
    taken = np.array(order, dtype=np.int64)
    return {name: take_column(column, taken) for name, column in value.link_attributes.items()}


@kinds
@examples
@given(data=st.data(), layout=LAYOUTS)
def test_attributes_that_are_added_read_as_if_they_had_been_written(
    kind: str, data: st.DataObject, layout: zv.Layout
) -> None:
    value = data.draw(values(kind))
    names = set(data.draw(st.lists(st.sampled_from(sorted(value.attributes)), unique=True))) - {"row"}
    level = opened(without(value, names), layout)
    columns = in_read_order(level, value)
    with level.writer() as writer:
        for name in sorted(names):
            writer.add_attribute_sync(name, columns[name])
        if isinstance(value, Linked):
            for name, column in links_in_read_order(level, value).items():
                writer.add_face_attribute_sync(name, column)
    assert_same(level.read(), value)
    assert_same(zv.open(level.storage.backend.store)[0].read(), value)  # type: ignore[attr-defined]


@kinds
@examples
@given(data=st.data(), layout=LAYOUTS)
def test_attributes_in_the_order_of_the_input(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind))
    level = opened(without(value, {"f", "t", "rgb"}), replace(layout, keep_order=True))
    with level.writer(order="input") as writer:
        for name in ("f", "t", "rgb"):
            writer.add_node_attribute_sync(name, value.attributes[name])
    got = level.read()
    order = np.argsort(got.row_ids)
    for name in ("row", "f", "t", "rgb"):
        assert_same_column(take_column(got.attributes[name], order), value.attributes[name])
    assert level.row_order().tolist() == numbers(got)


def shifted(value: Any, first: int, id_shift: int) -> Any:
    """The value with other rows and ids."""
    columns = {**value.attributes, "row": value.attributes["row"] + first}
    value = replace(value, attributes=columns)
    if isinstance(value, Polylines):
        return replace(value, ids=value.line_ids + id_shift)
    ids = np.zeros(value.vertex_count, dtype=np.int64) if value.object_ids is None else value.object_ids
    return replace(value, object_ids=ids + id_shift)


@st.composite
def pairs(draw: st.DrawFn, kind: str) -> tuple[Any, Any]:
    """Two values that can be appended to one another."""
    ndim = draw(st.integers(2, 3))
    old = draw(values(kind, ndim, dtypes=["f4"]))
    new = draw(values(kind, ndim, dtypes=["f4"]))
    if kind == "graph":
        new = replace(new, directed=old.directed)
    if kind == "mesh":
        width = old.links.shape[1]
        new = without(new, set())
        new = replace(new, faces=np.zeros((0, width), dtype=np.int64), face_attributes=columns_of(0, "link"))
    if kind == "skeleton":
        old, new = (replace(one, edge_attributes=columns_of(one.edge_count, "link")) for one in (old, new))
    return shifted(old, 0, 0), shifted(new, old.vertex_count, 10**13)


@kinds
@examples
@given(data=st.data(), layout=LAYOUTS)
def test_vertices_and_attributes_in_one_commit(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    old, new = data.draw(pairs(kind))
    both = concatenate([old, new])
    names = {"f", "t", "when"}
    level = opened(without(old, names), layout)
    before = in_read_order(level, old)
    links = links_in_read_order(level, old) if isinstance(old, Linked) else {}
    with level.writer(out_of_bounds="expand") as writer:
        writer.add_attribute_sync("t", before["t"])
        done = writer.append_vertices_sync(without(new, names - {"t"}))
        for name in ("f", "when"):
            writer.add_attribute_sync(name, np.concatenate([before[name], new.attributes[name]]))
        for name, column in links.items():
            more = new.link_attributes[name]
            joined = np.concatenate([np.asarray(column), np.asarray(more)])
            writer.add_face_attribute_sync(name, joined)
    assert done["vertices_added"] == new.vertex_count
    got = level.read()
    assert_same(got, both)
    assert level.vertex_count == both.vertex_count


@kinds
@examples
@given(data=st.data(), layout=LAYOUTS)
def test_vertices_are_appended_as_by_write(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    old, new = data.draw(pairs(kind))
    level, other = opened(old, layout), opened(old, layout)
    parts = data.draw(st.sampled_from([[new], halves(new)]))
    try:
        zv.write(other.storage.backend.store, new, mode="append", out_of_bounds="expand")  # type: ignore[attr-defined]
    except InputError as error:
        writer = level.writer(out_of_bounds="expand")
        with pytest.raises(InputError, match=re.escape(error.message)):
            writer.append_vertices_sync(new)
        return
    with level.writer(out_of_bounds="expand") as writer:
        for part in parts:
            writer.append_vertices_sync(part)
    other.refresh()
    assert_same(level.read(), other.read())
    assert level.bounds == other.bounds
    assert level.state.metadata == other.state.metadata
    assert level.objects.ids.tolist() == other.objects.ids.tolist()


def halves(value: Any) -> list[Any]:
    """The value as two of other objects, where no link leads from one to the other."""
    if isinstance(value, Polylines):
        cut = value.line_count // 2
        return [value.take(np.arange(cut)), value.take(np.arange(cut, value.line_count))]
    ids = np.unique(value.object_ids)
    first = np.isin(value.object_ids, ids[: len(ids) // 2])
    cut = first[value.links]
    return [value] if (cut != cut[:, :1]).any() else [value.within(first), value.within(~first)]
