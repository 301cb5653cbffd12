"""Lines, graphs, skeletons and meshes at random, and what must be left of them, told in plain Python.

Every value has a vertex attribute ``row`` and, where it has links, a link attribute ``link``, which number what was
given: a read can be compared with the input row by row without asking the store for the identity of anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.types.clouds import column_values
from zarr_vectors.geometry import Graph, Lines, Mesh, Polylines, Skeleton
from zarr_vectors.typing import AnyArray

KINDS = ["line", "polyline", "streamline", "graph", "skeleton", "mesh"]
LINKED = ["graph", "skeleton", "mesh"]
DTYPES = ["f2", "f4", "f8", ">f4", "i2", "i4", "i8"]
WORDS = ["a", "", "ü", None]
Row: TypeAlias = tuple[Hashable, ...]


def columns_of(rows: int, number: str) -> dict[str, Any]:
    """An attribute of every sort; all follow from the row, so that a row that is out of place shows."""
    n = np.arange(rows)
    return {
        number: n,
        "f": (n * 0.25 - 3).astype("f4"),
        "flag": n % 3 == 0,
        "rgb": np.stack([n, n + 1, 7 * n], axis=1).astype("u1"),
        "t": np.array([WORDS[row % 4] for row in range(rows)], dtype=object),
        "when": n.astype("M8[s]"),
    }


@st.composite
def positions(draw: st.DrawFn, rows: int, ndim: int, *, dtypes: Sequence[str] = DTYPES, far: int = 12) -> AnyArray:
    """Positions on a lattice of small numbers, some of them the same."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    flat = draw(st.lists(st.integers(-far, far), min_size=rows * ndim, max_size=rows * ndim))
    step = 1 if dtype.kind in "iu" else 0.5
    return (np.array(flat, dtype=np.float64).reshape(rows, ndim) * step).astype(dtype)


@st.composite
def line_values(draw: st.DrawFn, /, kind: str, ndim: int, *, least: int = 0, **options: Any) -> Any:
    """Lines of at least so many vertices."""
    if kind == "line":
        lengths = [2] * draw(st.integers(-(-least // 2), 8))
    else:
        lengths = draw(st.lists(st.integers(0, 9), max_size=7 - bool(least)))
        lengths += [draw(st.integers(least, 9))] if least else []
    ids = draw(st.none() | st.lists(st.integers(-5, 10**12), min_size=len(lengths), max_size=len(lengths), unique=True))
    given = draw(positions(sum(lengths), ndim, **options))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    columns = columns_of(len(given), "row")
    if kind == "line":
        return Lines(given, offsets=offsets, ids=ids, attributes=columns)
    return Polylines(given, offsets, ids=ids, kind=kind, attributes=columns)


@st.composite
def linked_values(
    draw: st.DrawFn, /, kind: str, ndim: int, *, least: int = 0, most: int = 24, named: bool = False, **options: Any
) -> Any:
    """Links of vertices that are so many; ``named`` ones have attributes, and those of graphs and meshes are some."""
    rows = draw(st.integers(least, most))
    given = draw(positions(rows, ndim, **options))
    known = draw(st.lists(st.integers(-3, 10**12), min_size=1, max_size=3, unique=True))
    owners = None
    if draw(st.booleans()):
        owners = np.array(draw(st.lists(st.sampled_from(known), min_size=rows, max_size=rows)), dtype=np.int64)
    columns = columns_of(rows, "row")
    if kind == "skeleton":
        parents = draw(forests(rows))
        if owners is not None:
            owners = owners[roots_of(parents)]
        edges = columns_of(int((parents >= 0).sum()), "link") if named or draw(st.booleans()) else {}
        return Skeleton(given, parents, attributes=columns, edge_attributes=edges, object_ids=owners)
    width = 2 if kind == "graph" else draw(st.integers(3, 5))
    count = draw(st.integers(int(named), 14)) if rows else 0
    flat = draw(st.lists(st.integers(0, max(rows - 1, 0)), min_size=count * width, max_size=count * width))
    links = np.array(flat, dtype=np.int64).reshape(count, width)
    numbered = columns_of(count, "link")
    if kind == "mesh":
        return Mesh(given, links, face_attributes=numbered, attributes=columns, object_ids=owners)
    directed = draw(st.booleans())
    return Graph(given, links, edge_attributes=numbered, directed=directed, attributes=columns, object_ids=owners)


@st.composite
def forests(draw: st.DrawFn, rows: int) -> AnyArray:
    """Parents in any order of rows: about one vertex in five is a root."""
    order = draw(st.permutations(range(rows)))
    parents = np.full(rows, -1, dtype=np.int64)
    for place, row in enumerate(order):
        chosen = draw(st.integers(-1 - place // 4, place - 1)) if place else -1
        parents[row] = order[chosen] if chosen >= 0 else -1
    return parents


def roots_of(parents: AnyArray) -> AnyArray:
    """The root above each vertex, step by step."""
    roots = np.arange(len(parents))
    for row in range(len(parents)):
        while parents[roots[row]] >= 0:
            roots[row] = parents[roots[row]]
    return roots


def values(kind: str, ndim: int | None = None, **options: Any) -> st.SearchStrategy[Any]:
    """Values of a kind."""
    dims = st.integers(2 if kind == "mesh" else 1, 4) if ndim is None else st.just(ndim)
    if kind in LINKED:
        return dims.flatmap(lambda axes: linked_values(kind, axes, **options))
    return dims.flatmap(lambda axes: line_values(kind, axes, **options))


LAYOUTS = st.builds(
    zv.Layout,
    chunk_shape=st.sampled_from([1, 2.5, 6, 1000]),
    shard_shape=st.sampled_from([None, "auto", 2]),
    keep_order=st.booleans(),
    compressor=st.just("none"),
)


def stored(value: Any, layout: zv.Layout, **options: Any) -> zv.ZVLevel:
    """The level of a store in memory that holds a value, or a stream of them."""
    place = MemoryStore()
    zv.write(place, value, layout=layout, **options)
    return zv.open(place)[0]


def owners_of(value: Any) -> list[int]:
    """Object id of each vertex as a store tells it: vertices without an owner are all of object 0."""
    ids = value.object_ids
    return [0] * value.vertex_count if ids is None else np.asarray(ids).tolist()


def row_values(value: Any) -> list[Row]:
    """Each vertex with everything known of it."""
    names = sorted(value.attributes)
    columns = [column_values(value.positions), *(column_values(value.attributes[name]) for name in names)]
    return list(zip(*columns, owners_of(value), strict=True))


def numbers(value: Any) -> list[int]:
    """The row of the input that each vertex is."""
    return [int(n) for n in np.asarray(value.attributes["row"])]


def link_values(value: Any) -> list[Row]:
    """Each link: the input rows of its ends in their order, and its attributes."""
    rows = np.array(numbers(value), dtype=np.int64)
    ends = [tuple(row) for row in rows[value.links].tolist()] if len(value.links) else []
    columns = [column_values(value.link_attributes[name]) for name in sorted(value.link_attributes)]
    return list(zip(ends, *columns, strict=True))


def parts_of(value: Any) -> list[tuple[int, list[int]]]:
    """Id and input rows of each line or part of a line."""
    rows = numbers(value)
    ends = value.offsets.tolist()
    return [
        (one, rows[a:b]) for one, a, b in zip(value.line_ids.tolist(), ends[:-1], ends[1:], strict=True)
    ]  # fmt: skip


def assert_same(got: Any, expected: Any, *, ordered: bool = False) -> None:
    """The same vertices with all of their values, and the same connections; lines with ``ordered`` in this order."""
    assert type(got) is type(expected)
    assert got.positions.dtype == expected.positions.dtype
    assert got.errors == ()
    for name, column in expected.attributes.items():
        assert got.attributes[name].dtype == column.dtype
    if isinstance(expected, Polylines):
        assert got.kind == expected.kind
        there, wanted = parts_of(got), parts_of(expected)
        assert there == wanted if ordered else sorted(there) == sorted(wanted)
    else:
        assert Counter(link_values(got)) == Counter(link_values(expected))
        assert sorted(got.link_attributes) == sorted(expected.link_attributes)
        for name, column in expected.link_attributes.items():
            assert got.link_attributes[name].dtype == column.dtype
            assert got.link_attributes[name].shape == column.shape
    if isinstance(expected, Graph):
        assert got.directed == expected.directed
    assert Counter(row_values(got)) == Counter(row_values(expected))


def induced(value: Any, mask: AnyArray) -> Any:
    """What is between the vertices of a mask: lines fall into runs, links need all of their ends."""
    if not isinstance(value, Polylines):
        return value.within(mask)
    rows: list[int] = []
    sizes: list[int] = []
    ids: list[int] = []
    for one, a, b in zip(value.line_ids.tolist(), value.offsets[:-1], value.offsets[1:], strict=True):
        run: list[int] = []
        for row in [*range(a, b), None]:
            if row is not None and mask[row]:
                run.append(row)
            elif run:
                rows, run, sizes, ids = rows + run, [], [*sizes, len(run)], [*ids, one]
    return rebuilt(value, rows, sizes, ids)


def rebuilt(value: Any, rows: list[int], sizes: list[int], ids: list[int]) -> Any:
    """Lines of these rows of a value."""
    taken = np.array(rows, dtype=np.int64)
    return type(value)(
        value.positions[taken],
        np.concatenate([[0], np.cumsum(sizes)]).astype(int),
        ids=np.array(ids, dtype=np.int64),
        kind=value.kind,
        attributes={name: column[taken] for name, column in value.attributes.items()},
    )


def of_objects(value: Any, ids: Sequence[int]) -> Any:
    """Whole objects, lines in the order of ids."""
    if isinstance(value, Polylines):
        place = {one: number for number, one in enumerate(value.line_ids.tolist())}
        return value.take(np.array([place[one] for one in ids], dtype=np.int64))
    return value.within(np.isin(owners_of(value), list(ids)))


def object_list(value: Any) -> list[int]:
    """Every object id once."""
    return value.line_ids.tolist() if isinstance(value, Polylines) else sorted(set(owners_of(value)))


def segments(value: Any) -> list[tuple[int, ...]]:
    """Input rows of the ends of every segment, edge or face."""
    if not isinstance(value, Polylines):
        return [tuple(ends) for ends in value.links.tolist()]
    return [
        (row, row + 1) for a, b in zip(value.offsets[:-1], value.offsets[1:], strict=True) for row in range(a, b - 1)
    ]
