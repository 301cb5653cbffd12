"""Attributes for a level that exists: values in the order of a read, as cells beside those that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec, group_document, presence_list, with_presence
from zarr_vectors.core.links import attribute_family_document, attribute_segment_attributes
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.compression import typed_codecs
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query.places import LinkPlaces, Places
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.cell_facts import CellFacts
from zarr_vectors.types.encode import rows_as_cells
from zarr_vectors.types.fragment_values import first_change, first_values
from zarr_vectors.types.objects import object_attribute_puts, table_codecs
from zarr_vectors.types.table import column_codes
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = [
    "Additions",
    "check_new_name",
    "fragment_attribute",
    "link_attribute",
    "object_attribute",
    "stored_objects",
    "vertex_attribute",
]

_PART_ROWS = 500_000
_TYPE_KEYS = frozenset(
    {"dtype", "row_shape", "channel_names", "encoding", "categories", "ordered", "_FillValue", "shape"}
)
_PLACE_KEYS = frozenset({constants.NONEMPTY_CHUNKS, constants.CHUNK_GRID_ORIGIN})


@dataclass
class Additions:
    """What is added to a level.

    Args:
        puts: Stored objects and documents, in order.
        names: Names below the level of arrays and groups of links.
        gone: Such names of the level that are no more.
        families: What ``arrays_present`` calls them.
        dropped: Stored objects of arrays that are replaced; some may be written again.
        arrays: New arrays of vertex attributes by name below the level.
        facts: What the level's cell index is to say; None for a store that has none.
    """

    puts: list[Iterator[Put]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    families: dict[str, None] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    arrays: dict[str, CellArray] = field(default_factory=dict)
    facts: CellFacts | None = None

    def objects(self) -> Iterator[Put]:
        """All stored objects and documents."""
        for puts in self.puts:
            yield from puts


def check_new_name(level: LevelState, what: str, name: str, known: Mapping[str, Any], *, overwrite: bool) -> None:
    """Refuse a name that an attribute of the level has, or that means something else.

    Args:
        what: The kind of attribute, for the message.
        known: Attributes of that kind.

    Raises:
        InputError: With the way out.
    """
    if name in known and not overwrite:
        raise InputError(
            f"the level has a {what} {name!r} already",
            store=level.store,
            hint="open the writer with overwrite=True to replace its values, or use another name",
        )
    if what != "vertex attribute":
        return
    if name == constants.ROW_ID and not level.takes_row_id:
        raise InputError(
            f"attribute {name!r} is written by the library, with Layout(keep_order=True)", hint="rename it"
        )
    if name in level.fragment_columns and not overwrite:
        raise InputError(
            f"the level stores an attribute {name!r} per fragment already",
            store=level.store,
            hint="open the writer with overwrite=True to replace its values, or use another name",
        )
    if name == level.metadata.chunk_attribute_name:
        raise InputError(
            f"the store is chunked by the attribute {name!r}, which is in its chunk keys", hint="rename it"
        )


def vertex_attribute(
    level: LevelState, name: str, column: Column, spec: ColumnSpec, places: Places, added: Additions
) -> None:
    """Add an attribute of vertices.

    Args:
        column: A value for each vertex, in the order of ``places``.
        spec: The type to store it as.
    """
    path = f"{constants.VERTEX_ATTRIBUTES}/{name}"
    old = level.cells.get(path)
    said = {**_kept(old), "zv_array": "attribute", "name": name, **spec.attributes()}
    array = level.array_beside(level.vertices, path, said)
    codes = np.ascontiguousarray(column_codes(column, spec))
    values = places.stored(codes, _missing(spec), name)
    added.puts.append(_cells(array, places.chunks, places.counts, values))
    added.puts.append(iter([_document(array, places.chunks)]))
    added.names.add(path)
    added.arrays[path] = array
    if added.facts is not None:
        added.facts.amended(path, spec, places.chunks, rows_as_cells(values, places.counts))
    added.families[constants.VERTEX_ATTRIBUTES] = None
    added.dropped |= set(stored_objects(old))


def fragment_attribute(
    level: LevelState,
    name: str,
    column: Column,
    spec: ColumnSpec,
    places: Places,
    fragments: FragmentTable,
    added: Additions,
) -> None:
    """Replace an attribute that is stored per fragment.

    Args:
        column: A value for each vertex, in the order of ``places``.
        spec: The type to store it as.
        fragments: Those of the chunks of ``places``.

    Raises:
        InputError: The vertices of a fragment have several values.
    """
    path = level.column_path(name)
    old = level.cells[path]
    codes = np.ascontiguousarray(column_codes(column, spec))
    stored = places.stored(codes, _missing(spec), name)
    rows = take_rows(stored, fragments.rows(bases=offsets_of(places.counts)[:-1]))
    odd = first_change(rows, fragments.counts)
    if odd is not None:
        cell = fragments.cell_of[np.searchsorted(offsets_of(fragments.counts), odd, side="right") - 1]
        raise InputError(
            f"attribute {name!r} is stored per fragment, and is not constant within one",
            store=level.store,
            cell=tuple(places.chunks[cell].tolist()),
            hint="give the vertices of an object in a chunk one value, or use another name",
        )
    values = first_values(rows, fragments.counts, spec)
    array = level.array_beside(level.cell_array(constants.VERTEX_FRAGMENTS), path, {**_kept(old), **spec.attributes()})
    added.puts.append(_cells(array, places.chunks, fragments.per_cell, values))
    added.puts.append(iter([_document(array, places.chunks)]))
    added.names.add(path)
    added.dropped |= set(stored_objects(old))


def link_attribute(
    level: LevelState, name: str, column: Column, spec: ColumnSpec, places: LinkPlaces, added: Additions
) -> None:
    """Add an attribute of links.

    Args:
        column: A value for each link, in the order of ``places``.
        spec: The type to store it as.
        places: Where the links lie.
    """
    family = level.links
    assert family is not None
    links, held = np.ascontiguousarray(column_codes(column, spec)), places.held
    values = links if places.copies is None else take_rows(links, places.copies)
    group = f"{constants.LINK_ATTRIBUTES}/{name}"
    ends = np.cumsum([int(cells.counts.sum()) for cells in held])
    parts = {cells.segment.name: (cells, part) for cells, part in zip(held, np.split(values, ends), strict=False)}
    none = np.zeros((0, level.vertices.ndim), dtype=np.int64)
    for segment in family.segments.values():
        path = f"{group}/0/{segment.name}"
        old = segment.attributes.get(name)
        said = {**_kept(old), **attribute_segment_attributes(name, spec, segment.offsets)}
        array = level.array_beside(segment.array, path, said)
        chunks = none
        if segment.name in parts:
            cells, part = parts[segment.name]
            chunks = cells.chunks
            added.puts.append(_cells(array, chunks, cells.counts, part))
        added.puts.append(iter([_document(array, chunks)]))
        added.names.add(path)
        added.dropped |= set(stored_objects(old))
    said_of_all = attribute_family_document(name, len(links))
    added.puts.append(
        iter([(f"{level.number}/{group}/0/zarr.json", dump_json(said_of_all)), _group(f"{level.number}/{group}")])
    )
    added.names.add(f"{group}/0")
    added.families[constants.LINK_ATTRIBUTES] = None


def object_attribute(level: LevelState, name: str, column: Column, added: Additions) -> None:
    """Add an attribute of objects.

    Args:
        column: A value for each row of the object index.
    """
    path = f"{constants.OBJECT_ATTRIBUTES}/{name}"
    added.puts.append(object_attribute_puts(level.number, name, column, typed_codecs(table_codecs(level))))
    added.names.add(path)
    added.families[constants.OBJECT_ATTRIBUTES] = None
    old = level.tables.get(path)
    if old is not None:
        added.dropped |= {get.path for get in old.requests()}


def _kept(old: CellArray | None) -> JsonObject:
    """What an array that is replaced says beside its type and place: a unit, a description, keys of others."""
    said = {} if old is None else old.document.attributes
    return {key: value for key, value in said.items() if key not in _TYPE_KEYS | _PLACE_KEYS}


def _missing(spec: ColumnSpec) -> AnyArray:
    """What stands for no value, in rows that no read brings."""
    if spec.categories is not None:
        return np.array(-1 if spec.dtype.kind == "i" else 0, dtype=spec.dtype)
    if spec.dtype.kind in "mM":
        return np.array("NaT", dtype=spec.dtype)
    return np.array(np.nan if spec.dtype.kind in "fc" else 0, dtype=spec.dtype)


def _document(array: CellArray, chunks: IntArray) -> Put:
    document = with_presence(array.document, presence_list(chunks))
    return f"{array.path}/zarr.json", dump_json(document.to_json())


def _group(path: str) -> Put:
    return f"{path}/zarr.json", dump_json(group_document())


def stored_objects(array: CellArray | None) -> Iterator[str]:
    """Paths of what an array has stored."""
    if array is not None and len(array.present):
        for index in np.unique(array.locate(array.present)[0], axis=0).tolist():
            yield array.object_path(index)


def _cells(array: CellArray, chunks: IntArray, counts: IntArray, values: AnyArray) -> Iterator[Put]:
    """Stored objects of rows that lie chunk after chunk, some hundred thousand rows at a time."""
    if not len(chunks):
        return
    index = array.locate(chunks)[0]
    order = stable_order([np.ascontiguousarray(column) for column in index.T])
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (index[order[1:]] != index[order[:-1]]).any(axis=1)
    rows_before = offsets_of(counts[order])
    starts = offsets_of(counts)[:-1]
    first = 0
    for end in (*np.flatnonzero(begins)[1:].tolist(), len(order)):
        if rows_before[end] - rows_before[first] < _PART_ROWS and end < len(order):
            continue
        part = order[first:end]
        sizes = counts[part]
        rows = np.arange(int(sizes.sum())) + np.repeat(starts[part] - offsets_of(sizes)[:-1], sizes)
        yield from array.encode(chunks[part], rows_as_cells(take_rows(values, rows), sizes))
        first = end
