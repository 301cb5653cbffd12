"""What a writer of a level takes in: checked when it is given, kept until it is committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ConventionError, InputError
from zarr_vectors.geometry import Categorical, Column, Geometry, Linked, Polylines, as_column, take_column
from zarr_vectors.geometry.base import as_table
from zarr_vectors.query.objects import read_ids
from zarr_vectors.query.values import distinct_rows
from zarr_vectors.spatial.grid import chunk_coords
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.amend import Changes, amend, count_links, count_vertices
from zarr_vectors.types.append_columns import fillable_names
from zarr_vectors.types.append_tables import missing_rows
from zarr_vectors.types.appended import (
    as_value,
    cast_column,
    completed,
    ids_of,
    link_specs,
    with_link_columns,
    with_owner,
    with_same_tables,
    with_tables,
)
from zarr_vectors.types.attributes import check_new_name
from zarr_vectors.types.check import cast_positions
from zarr_vectors.types.join import concatenate
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.objects import as_stored_column
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.table import check_attribute_name, check_column, column_spec
from zarr_vectors.types.unite import concatenate_columns
from zarr_vectors.types.writer import check_append, next_object_id
from zarr_vectors.typing import IntArray

__all__ = ["ChangeBuffer", "ChangeOptions"]

ORDERS = ("store", "input")


@dataclass(frozen=True, kw_only=True)
class ChangeOptions:
    """How a writer of a level takes what it is given.

    Args:
        order: Of attribute values of vertices: ``"store"``, that of a read, or ``"input"``, that in which the vertices
            were written, which a store knows that was written with ``Layout(keep_order=True)``.
        overwrite: Whether attributes that exist may be replaced.
        out_of_bounds, extend, fill: Of appended vertices, as in ``WriteOptions``.
    """

    order: str = "store"
    overwrite: bool = False
    out_of_bounds: str = "raise"
    extend: bool = False
    fill: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise InputError("order is not known", got=repr(self.order), expected=f"one of {', '.join(ORDERS)}")
        self.append()

    def append(self, dtype: Any = None) -> WriteOptions:
        """The same for an append."""
        return WriteOptions(
            mode="append", out_of_bounds=self.out_of_bounds, extend=self.extend, fill=self.fill, dtype=dtype
        )


@dataclass
class ChangeBuffer:
    """Changes of one level that wait to be written.

    Attributes are given for all that is there at that moment: what the level holds, and after it what has been
    appended here, in the order in which it was given.
    """

    storage: Storage
    root: RootState
    level: LevelState
    kind: Kind
    options: ChangeOptions
    changes: Changes = field(init=False)

    def __post_init__(self) -> None:
        self.level.refuse_composite()
        self.changes = Changes(overwrite=self.options.overwrite)

    def add_vertex_attribute(self, name: str, values: Any, dtype: Any) -> None:
        """Take an attribute of vertices."""
        changes, by_row_id = self.changes, self.options.order == "input"
        self._refuse_unordered()
        self._check_name("vertex attribute", name, changes.vertices, self.level.vertex_columns)
        if by_row_id and not self.level.keeps_row_ids:
            raise InputError(
                "the store does not know in which order its vertices were written",
                store=self.level.store,
                hint="give values in the order of level.read(), which level.row_order(positions) relates to yours; "
                "Layout(keep_order=True) keeps the order of a store",
            )
        there = self._row_ids if by_row_id else self._vertices
        appended = changes.appended
        more = 0 if appended is None else appended.vertex_count
        column = self._column("attribute", name, values, there + more, dtype)
        check_column(name, column)
        changes.vertices[name] = take_column(column, slice(0, there))
        changes.specs["vertices", name] = column_spec(column)
        if by_row_id:
            changes.by_row_id.add(name)
        if appended is not None:
            new = take_column(column, slice(there, None))
            changes.appended = replace(appended, attributes={**appended.attributes, name: new})

    def add_link_attribute(self, name: str, values: Any, dtype: Any) -> None:
        """Take an attribute of edges or faces."""
        changes, what = self.changes, "link attribute"
        if self.kind.connects not in ("tree", "links"):
            raise InputError(f"a {self.kind.geometry_type} has no edges or faces", store=self.level.store)
        self._refuse_unordered()
        self._check_name(what, name, changes.links, link_specs(self.level))
        appended = changes.appended
        there = self._links
        more = len(appended.links) if isinstance(appended, Linked) else 0
        column = self._column(what, name, values, there + more, dtype)
        check_column(name, column)
        changes.links[name] = take_column(column, slice(0, there))
        changes.specs["links", name] = column_spec(column)
        if isinstance(appended, Linked):
            new = take_column(column, slice(there, None))
            changes.appended = with_link_columns(appended, {**appended.link_attributes, name: new})

    def add_object_attribute(self, name: str, values: Any, dtype: Any) -> None:
        """Take an attribute of objects; appended objects come after those that are there, ids ascending."""
        changes, what = self.changes, "object attribute"
        if not self.level.has_objects and changes.appended is None:
            raise InputError("the level has no objects", store=self.level.store)
        there, appended = self.level.object_slots, changes.appended
        # Objects that are the first of their level have nothing that waits but their own tables.
        waiting = changes.objects if self.level.has_objects or appended is None else appended.object_attributes
        self._check_name(what, name, waiting, self.level.object_columns)
        own = np.zeros(0, dtype=np.int64) if appended is None else ids_of(appended)
        ids = self._object_ids if appended is not None or isinstance(values, Mapping) else None
        if ids is not None:
            ids = np.concatenate([ids, own[~np.isin(own, ids)]])
        given = values
        if isinstance(values, Mapping) and ids is not None:
            given = as_table("object", name, values, ids.tolist())
        column = self._column(what, name, given, there if ids is None else len(ids), dtype)
        as_stored_column(name, column)
        if self.level.has_objects:
            changes.objects[name] = take_column(column, slice(0, there))
        if appended is not None and ids is not None:
            order = np.argsort(ids, kind="stable")
            rows = order[np.searchsorted(ids[order], own)]
            changes.appended = with_tables(appended, {name: take_column(column, rows)})

    def append(self, positions: Any, object_ids: Any, dtype: Any) -> dict[str, int]:
        """Take more vertices."""
        if self.level.number:
            raise ConventionError(
                "vertices can be appended to level 0 only", store=self.level.store, got=f"level {self.level.number}"
            )
        if object_ids is not None and isinstance(positions, Geometry):
            raise InputError("object_ids go with bare positions; a value has its own")
        value = self._as_value(positions, object_ids)
        if dtype is not None:
            options = self.options.append(dtype)
            value = replace(value, positions=cast_positions(value.positions, options.dtype))
        now, options = self._without_waiting(value), self._fill_now(self.options.append(dtype))
        intake, new_objects = check_append(self.storage, self.root, self.level, now, options)
        self._check_apart(value)
        self._keep(value)
        chunks = np.stack(chunk_coords(intake.extent.sample, self.level.chunk_shape), axis=-1)
        return {
            "vertices_added": intake.extent.rows,
            "new_objects": new_objects,
            "chunks_touched": len(distinct_rows(chunks.astype(np.int64))),
        }

    def commit(self) -> dict[str, Any]:
        """Write all that was taken, as one commit."""
        changes = self.changes
        if changes.is_empty:
            return {"committed": False, "objects_committed": 0}
        appended = changes.appended
        new = 0
        if appended is not None and self._has_objects:
            new = int((~np.isin(ids_of(appended), self._object_ids)).sum())
        amend(self.storage, self.level, self.kind, changes, self.options.append())
        return {"committed": True, "objects_committed": new}

    @cached_property
    def _vertices(self) -> int:
        return count_vertices(self.storage, self.level, self.kind)

    @cached_property
    def _row_ids(self) -> int:
        """Row ids that the level has given out."""
        return self.level.metadata.next_row_id

    @cached_property
    def _links(self) -> int:
        return count_links(self.storage, self.root, self.level, self.kind)

    @cached_property
    def _object_ids(self) -> IntArray:
        return read_ids(self.storage, self.level) if self.level.has_objects else np.zeros(0, dtype=np.int64)

    @property
    def _has_objects(self) -> bool:
        """Whether vertices belong to objects, also where there are none yet."""
        return self.level.has_objects or constants.FRAGMENT_OWNER in self.level.cells

    def _refuse_unordered(self) -> None:
        if self.level.is_unordered:
            raise ConventionError(
                "the Draco cells of this store do not keep the order of their rows, which values would follow",
                store=self.level.store,
                hint="read the store and write it anew",
            )

    def _check_name(self, what: str, name: Any, waiting: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        check_attribute_name(name, what)
        if name in waiting:
            raise InputError(f"{what} {name!r} has been given already", hint="give it once, or discard what waits")
        check_new_name(self.level, what, name, known, overwrite=self.options.overwrite)

    def _column(self, what: str, name: str, values: Any, rows: int, dtype: Any) -> Column:
        column = as_column(name, values, rows, what=what)
        return column if dtype is None else cast_column(what, name, column, dtype)

    def _as_value(self, positions: Any, object_ids: Any) -> Geometry:
        first: int | None = None
        if self._has_objects:
            waiting = np.zeros(0, dtype=np.int64) if self.changes.appended is None else ids_of(self.changes.appended)
            first = max(next_object_id(self.storage, self.level), int(waiting.max(initial=-1)) + 1)
        if not isinstance(positions, Geometry):
            return as_value(positions, object_ids, self.level, self.kind, first)
        return positions if first is None else with_owner(positions, first)

    def _without_waiting(self, value: Geometry) -> Geometry:
        """The value as the level would take it now, when attributes that wait are not there or have other types."""
        changes = self.changes
        columns = _as_now("attribute", value.attributes, changes.vertices, self.level.row_columns, value.vertex_count)
        value = replace(value, attributes=columns)
        if not isinstance(value, Linked):
            return value
        specs = link_specs(self.level)
        links = _as_now("link attribute", value.link_attributes, changes.links, specs, len(value.links))
        return with_link_columns(value, links)

    def _fill_now(self, options: WriteOptions) -> WriteOptions:
        """Options without the fill of attributes that wait."""
        changes, known = self.changes, fillable_names(self.level)
        waiting = {*changes.vertices, *changes.links, *changes.objects}
        return replace(options, fill={n: v for n, v in options.fill.items() if n in known or n not in waiting})

    def _check_apart(self, value: Geometry) -> None:
        """Refuse objects that have been appended already."""
        appended = self.changes.appended
        if appended is None or not self._has_objects:
            return
        own, before = ids_of(value), ids_of(appended)
        twice = own[np.isin(own, before)]
        if len(twice) and not (self.options.extend and not isinstance(value, Polylines)):
            raise InputError(
                "object_ids have been appended already",
                got=f"{len(twice)} of {len(own)}, the first is {int(twice[0])}",
                hint="append all vertices of an object at once, or use other ids",
            )

    def _keep(self, value: Geometry) -> None:
        """Complete a value and put it after those that wait."""
        changes, fill = self.changes, self.options.fill
        value = replace(value, positions=value.positions.astype(self.level.position_dtype, copy=False))
        own = self.level.own_columns
        stored = {name: spec for name, spec in self.level.row_columns.items() if name not in own}
        specs = _specs(stored, changes.vertices)
        value = replace(value, attributes=completed(value.attributes, specs, value.vertex_count, fill))
        if isinstance(value, Linked):
            specs = _specs(link_specs(self.level), changes.links)
            value = with_link_columns(value, completed(value.link_attributes, specs, len(value.links), fill))
        for name, column in changes.objects.items():
            if name not in value.object_attributes:
                # The commit fills it; here it is only seen that this can be done.
                missing_rows(name, column, len(ids_of(value)), fill)
        before = changes.appended
        if before is not None:
            before = with_same_tables(before, value, fill)
            value = concatenate([before, with_same_tables(value, before, fill)])
        changes.appended = value


def _specs(specs: Mapping[str, ColumnSpec], waiting: Mapping[str, Column]) -> dict[str, ColumnSpec]:
    """Types of attributes once those that wait are there."""
    return {**specs, **{name: column_spec(column) for name, column in waiting.items()}}


def _as_now(
    what: str,
    given: Mapping[str, Column],
    waiting: Mapping[str, Column],
    specs: Mapping[str, ColumnSpec],
    rows: int,
) -> dict[str, Column]:
    """Attributes as the level has them now, and those that wait compared with what waits.

    Raises:
        InputError: An attribute that waits is of another type.
    """
    now = {name: column for name, column in given.items() if name not in waiting}
    for name, column in waiting.items():
        if name in given:
            concatenate_columns(what, name, [column, given[name]])
        if name in specs:
            spec = specs[name]
            blank = np.zeros((rows, *spec.row_shape), dtype=spec.dtype)
            now[name] = blank if spec.categories is None else Categorical(np.full(rows, -1), ())
    return now
