"""What the tests of rechunking share: values with tables, specifications, and what must still be there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query import connected
from tests.types.clouds import column_values
from zarr_vectors.query.rows import read_rows
from zarr_vectors.query.selection import Selection

KINDS = ["points", *connected.KINDS]
SHAPES = [None, 2.5, 6, 1000]
LAYOUTS = st.builds(
    zv.Layout,
    chunk_shape=st.sampled_from([2.5, 6, 1000]),
    shard_shape=st.sampled_from([None, "auto", 2]),
    keep_order=st.booleans(),
    compressor=st.just("none"),
)


@st.composite
def point_values(draw: st.DrawFn, /, ndim: int, *, most: int = 24, **options: Any) -> zv.Points:
    rows = draw(st.integers(0, most))
    given = draw(connected.positions(rows, ndim, **options))
    known = draw(st.lists(st.integers(-3, 10**12), min_size=1, max_size=5, unique=True))
    owners = np.array(draw(st.lists(st.sampled_from(known), min_size=rows, max_size=rows)), dtype=np.int64)
    return zv.Points(given, attributes=connected.columns_of(rows, "row"), object_ids=owners)


@st.composite
def values(draw: st.DrawFn, /, kind: str, ndim: int | None = None, **options: Any) -> Any:
    """A value of a kind with tables of objects and groups."""
    if kind == "points":
        axes = draw(st.integers(1, 4)) if ndim is None else ndim
        value: Any = draw(point_values(axes, **options))
    else:
        value = draw(connected.values(kind, ndim, **options))
        if kind in connected.LINKED and value.object_ids is None:
            value = replace(value, object_ids=np.zeros(value.vertex_count, dtype=np.int64))
    ids = ids_of(value)
    if not ids:
        return value
    groups = draw(
        st.dictionaries(st.integers(0, 4), st.lists(st.sampled_from(ids), unique=True, max_size=5), max_size=4)
    )
    numbers = st.sampled_from([1.5, -2.0, 7.25, float("nan")])
    return replace(
        value,
        objects=np.array(ids, dtype=np.int64),
        object_attributes={
            "size": np.array(draw(st.lists(numbers, min_size=len(ids), max_size=len(ids))), dtype="f4"),
            "name": np.array([["x", None, "ü"][one % 3] for one in range(len(ids))], dtype=object),
            "place": np.arange(2 * len(ids)).reshape(-1, 2),
        },
        groups={group: np.array(members, dtype=np.int64) for group, members in groups.items()},
    )


def ids_of(value: Any) -> list[int]:
    """Every object id once, ascending."""
    ids = value.line_ids if isinstance(value, zv.Polylines) else np.asarray(value.object_ids)
    return sorted(set(ids.tolist()))


@st.composite
def specs(draw: st.DrawFn, value: Any) -> zv.RechunkSpec:
    """A specification that a store of the value takes."""
    has_tables = bool(value.object_attributes)
    ways = ["spatial", "object_id", "attribute:row", "attribute:t", "attribute:flag", "attribute:f"]
    ways += ["attribute:size", "attribute:name"] if has_tables else []
    ways += ["group"] if value.groups else []
    by = draw(st.sampled_from(ways))
    shape = draw(st.sampled_from(SHAPES))
    bins = None
    if by in {"object_id", "attribute:row", "attribute:size"}:
        ends = st.lists(st.integers(-4, 12), min_size=1, max_size=4, unique=True).map(sorted)
        bins = draw(st.none() | ends)
    return zv.RechunkSpec(
        by,
        bins=bins,
        spatial_chunk_shape=None if shape is None else (shape,) * value.ndim,
        categorical=draw(st.booleans()),
    )


def write(place: Any, value: Any, layout: zv.Layout | None = None) -> None:
    """Write a value; an empty one into a small box, as chunks of the one that is chosen for it would be too many."""
    bounds = ([-13.0] * value.ndim, [13.0] * value.ndim) if not value.vertex_count else None
    zv.write(place, value, layout=layout, bounds=bounds)


def narrowed(got: Any, expected: Any) -> Any:
    """A read without the attribute that a store is chunked by, where that is one of objects."""
    columns = {name: got.attributes[name] for name in expected.attributes}
    return replace(got, attributes=columns)


def assert_same_rows(got: Any, expected: Any) -> None:
    """The same vertices, attributes and connections."""
    if isinstance(expected, zv.Points):
        assert sorted(map(repr, connected.row_values(got))) == sorted(map(repr, connected.row_values(expected)))
        for name, column in expected.attributes.items():
            assert got.attributes[name].dtype == column.dtype
    else:
        connected.assert_same(got, expected)


def tables_of(level: zv.ZVLevel) -> Any:
    """Everything that is told of objects and groups."""
    table = level.objects
    order = np.argsort(table.ids)
    return (
        table.ids[order].tolist(),
        {name: [column_values(column)[row] for row in order] for name, column in table.attributes.items()},
        {group: members.tolist() for group, members in table.groups.items()},
        {name: column_values(column) for name, column in table.group_attributes.items()},
    )


def rows_by_chunk(level: zv.ZVLevel) -> list[tuple[tuple[int, ...], Any]]:
    """What each chunk holds."""
    found = []
    for key in level.chunk_keys:
        selection = Selection(chunks=np.array([key]))
        rows = read_rows(level._storage, level.state, selection)
        found.append((key, zv.Points(rows.positions, attributes=rows.columns)))
    return found


def expected_bins(spec: zv.RechunkSpec, whole: Any) -> dict[int, int]:
    """The bin of each vertex by its number, told one by one."""
    labels = dict(zip(connected.numbers(whole), labels_of(spec, whole), strict=True))
    known = [label for label in labels.values() if label is not None]
    if spec.by == "group":
        return {row: max(whole.groups) + 1 if label is None else label for row, label in labels.items()}
    if spec.by == "object_id" and spec.bins is None:
        known = ids_of(whole)
    if spec.by.startswith("attribute:") and spec.attribute in whole.object_attributes:
        column = np.asarray(whole.object_attributes[spec.attribute]).tolist()
        known = [value for value in column if value is not None and value == value]
    cuts = sorted(set(known))
    counted = spec.by == "object_id" or spec.categorical or len(cuts) <= 10 or isinstance(cuts[0], str)
    if spec.bins is not None or not counted:
        ends = list(spec.bins) if spec.bins is not None else sorted(set(np.quantile(known, [0, 0.25, 0.5, 0.75])))
        place = {label: max([0, *(n for n, end in enumerate(ends) if end <= label)]) for label in set(known)}
        return {row: len(ends) if label is None else place[label] for row, label in labels.items()}
    return {row: len(cuts) if label is None else cuts.index(label) for row, label in labels.items()}


def labels_of(spec: zv.RechunkSpec, whole: Any) -> list[Any]:
    """By what each vertex is told apart; None for what has no group or value."""
    if spec.by == "spatial":
        return [None] * whole.vertex_count
    owners = np.repeat(whole.line_ids, whole.lengths) if isinstance(whole, zv.Polylines) else whole.object_ids
    owners = list(np.asarray(owners).tolist())
    if spec.by == "object_id":
        return owners
    if spec.by == "group":
        first: dict[int, int] = {}
        for group, members in sorted(whole.groups.items()):
            for member in members.tolist():
                first.setdefault(member, group)
        return [first.get(owner) for owner in owners]
    if spec.attribute in whole.object_attributes:
        column = np.asarray(whole.object_attributes[spec.attribute]).tolist()
        of = dict(zip(whole.objects.tolist(), column, strict=True))
        values = [of[owner] for owner in owners]
    else:
        values = np.asarray(whole.attributes[spec.attribute or ""]).tolist()
    return [None if value is None or value != value else value for value in values]
