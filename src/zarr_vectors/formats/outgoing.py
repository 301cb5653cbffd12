"""What goes out of a store: batches with the tables of their own objects, to a format that can hold their kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.api.described import ObjectTable
from zarr_vectors.api.level import ZVLevel
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import Format
from zarr_vectors.geometry import Geometry, Linked, Polylines, as_ids, take_column
from zarr_vectors.query.selection import choose_names
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["check_kind", "in_batches", "with_tables"]


def check_kind(level: ZVLevel, fmt: Format, formats: Iterable[Format]) -> None:
    """Refuse a level of a kind that a format cannot hold.

    Raises:
        ExportError: Naming the kind, and the formats that can hold it.
    """
    kind = level.kind.geometry_type
    if kind in fmt.kinds:
        return
    able = [known for known in formats if kind in known.kinds]
    raise ExportError(
        f"{fmt.name} cannot hold a {kind.replace('_', ' ')}",
        expected=f"one of {', '.join(entry.replace('_', ' ') for entry in fmt.kinds)}",
        got=kind,
        hint="export to " + ", ".join(f"{known.name} ({known.suffixes[0]})" for known in able)
        if able
        else "no format of files can hold it",
    )


def in_batches(level: ZVLevel, **selection: Any) -> Iterator[Geometry]:
    """A selection, ready to be written to another store: in batches, with the tables of their objects.

    Lines that a box has cut into parts come as one line for each part, with new ids.

    Args:
        level: What to read from.
        **selection: As ``level.iter`` has it.
    """
    for batch in with_tables(level, level.iter(**selection), asked=selection, to_store=True):
        yield _parts_as_lines(batch) if isinstance(batch, Polylines) else batch


def with_tables(
    level: ZVLevel,
    batches: Iterator[Geometry],
    *,
    asked: Mapping[str, Any],
    object_attributes: Sequence[str] | None = None,
    groups: bool = True,
    to_store: bool = False,
) -> Iterator[Geometry]:
    """Give every batch what the store knows of its objects; the last one also the objects without vertices.

    To a file, a mesh, graph or skeleton that is object 0, of which nothing is known, goes as a value without objects,
    as files of one object give it, and points go as they are.

    Args:
        level: Where the batches are from.
        batches: As ``level.iter`` gives them.
        asked: The keywords of ``level.iter`` that it was asked by.
        object_attributes: Names of those to go along; None for all.
        groups: Whether groups go along.
        to_store: Whether they go to another store, which keeps every id, and takes objects of points that come in
            several batches.

    Raises:
        AttributeNotFoundError: There is no such object attribute.
    """
    if not level.has_objects or (not level.kind.is_linked and not to_store):
        yield from batches
        return
    whole = level.objects
    chosen = choose_names(object_attributes, list(whole.attributes), what="object attribute")
    table = ObjectTable(
        whole.ids,
        {name: whole.attributes[name] for name in chosen},
        whole.groups if groups else {},
        whole.group_attributes if groups else {},
    )
    nameless = level.kind.connects not in ("nothing", "sequence") and table.ids.tolist() == [0]
    if nameless and not to_store and not table.attributes and not table.groups:
        for batch in batches:
            assert isinstance(batch, Linked)
            yield replace(batch, object_ids=None, objects=None)
        return
    idle = _named(whole, asked)
    waiting: Geometry | None = None
    for batch in batches:
        if waiting is not None:
            yield _with(waiting, table, np.isin(table.ids, _ids_of(waiting)))
        waiting = batch
        idle &= ~np.isin(table.ids, _ids_of(batch))
    if waiting is not None:
        yield _with(waiting, table, np.isin(table.ids, _ids_of(waiting)) | idle)


def _named(table: ObjectTable, asked: Mapping[str, Any]) -> BoolArray:
    """Which objects go along without vertices: those that a selection by ids names, all where there is no selection."""
    if any(asked.get(name) is not None for name in ("bbox", "where", "near", "within")):
        return np.zeros(len(table), dtype=bool)
    object_ids, group_ids = asked.get("object_ids"), asked.get("group_ids")
    if object_ids is None and group_ids is None:
        return np.ones(len(table), dtype=bool)
    named = [] if object_ids is None else [as_ids("object_ids", np.atleast_1d(object_ids))]
    groups = [] if group_ids is None else as_ids("group_ids", np.atleast_1d(group_ids)).tolist()
    named += [table.groups[group] for group in groups if group in table.groups]
    return np.isin(table.ids, np.concatenate(named)) if named else np.zeros(len(table), dtype=bool)


def _ids_of(batch: Geometry) -> IntArray:
    """Ids that occur in a batch, those of lines without vertices too."""
    owners = batch.line_ids if isinstance(batch, Polylines) else batch.vertex_objects
    return np.zeros(0, dtype=np.int64) if owners is None else np.unique(owners)


def _with(batch: Geometry, table: ObjectTable, chosen: BoolArray) -> Geometry:
    ids = table.ids[chosen]
    return replace(
        batch,
        objects=ids,
        object_attributes={name: take_column(column, chosen) for name, column in table.attributes.items()},
        groups={group: members[np.isin(members, ids)] for group, members in table.groups.items()},
        group_attributes=table.group_attributes,
    )


def _parts_as_lines(value: Polylines) -> Polylines:
    """Lines that came in parts as lines of their own: a store has one line for each id."""
    old = value.line_ids
    if value.objects is None or len(np.unique(old)) == len(old):
        return value
    in_order = np.argsort(value.objects, kind="stable")
    rows = in_order[np.searchsorted(value.objects, old, sorter=in_order)]
    new = np.arange(len(old))
    return replace(
        value,
        ids=new,
        objects=new,
        object_attributes={name: take_column(column, rows) for name, column in value.object_attributes.items()},
        groups={group: new[np.isin(old, members)] for group, members in value.groups.items()},
    )
