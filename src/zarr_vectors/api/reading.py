"""Reading what is asked of a level: at once, in batches, or only its number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zarr_vectors.api.asked import Asked
from zarr_vectors.api.facts import LevelFacts
from zarr_vectors.exceptions import ZVError
from zarr_vectors.geometry import Geometry
from zarr_vectors.query.batches import shapes_by_object
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.rows import count_rows, first_rows, iter_rows
from zarr_vectors.query.sample import first_objects
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows
from zarr_vectors.storage.whole import check_current
from zarr_vectors.types.value import Tables, value_of
from zarr_vectors.typing import IntArray

__all__ = ["LevelReading"]


class LevelReading(LevelFacts):
    """A level, of which parts can be read."""

    def _values_asked(self, asked: Asked) -> Geometry:
        """All of it, of one state of the store."""

        def read() -> Geometry:
            selection, plan = self._selected(asked), asked.plan(self._root, self.kind)
            return self._read(selection, plan) if asked.limit is None else self._first(selection, plan, asked.limit)

        return self._whole(read)

    def _batches_asked(self, asked: Asked, batch_rows: int) -> Iterator[Geometry]:
        """At least one batch, all of one state of the store."""
        selection, plan = self._selected(asked), asked.plan(self._root, self.kind)
        whole = plan.mode != "vertices" and selection.places_asked
        if not self.kind.is_linked and plan.offset is None and not whole:
            return self._unchanged(self._row_batches(selection, batch_rows, asked.strict), self._root.seen)
        return self._unchanged(self._object_batches(selection, plan, batch_rows), self._root.seen)

    def _count_asked(self, asked: Asked) -> int:
        """Its vertices."""

        def count() -> int:
            selection, plan = self._selected(asked), asked.plan(self._root, self.kind)
            points = not self.kind.is_linked and plan.mode != "objects" and plan.offset is None
            if not points and not plan.is_counted_by_row(self._state, selection):
                return len(read_shape(self._storage, self._state, selection, plan).rows.positions)
            return count_rows(self._storage, self._state, selection)

        return self._whole(count)

    def _selected(self, asked: Asked) -> Selection:
        return asked.selection(self._storage, self._root, self._state)

    def _read(self, selection: Selection, plan: ReadPlan) -> Geometry:
        shape = read_shape(self._storage, self._state, selection, plan)
        return self._as_value(shape, self._tables if selection.is_everything and self.has_objects else None)

    def _first(self, selection: Selection, plan: ReadPlan, limit: int) -> Geometry:
        """The first points of a selection, or the first objects of other kinds."""
        if plan.is_by_row(selection):
            return self._as_value(Shape(first_rows(self._storage, self._state, selection, limit, strict=plan.strict)))
        if plan.connects == "nothing":
            rows = read_shape(self._storage, self._state, selection, plan).rows
            return self._as_value(Shape(rows.take(np.arange(min(limit, len(rows.positions))))))
        return self._of(first_objects(self._storage, self._state, selection, plan, limit), selection, plan)

    def _of(self, ids: IntArray, selection: Selection, plan: ReadPlan) -> Geometry:
        """What a selection has of these objects."""
        return self._read(replace(selection, object_ids=ids, group_ids=None, lenient=True), plan)

    def _unchanged(self, batches: Iterator[Geometry], seen: frozenset[bytes]) -> Iterator[Geometry]:
        """Batches of one state of the store; those that have been yielded cannot be taken back."""
        try:
            for batch in batches:
                check_current(self._storage, seen)
                yield batch
        except ZVError:
            check_current(self._storage, seen)
            raise

    def _row_batches(self, selection: Selection, batch_rows: int, strict: bool) -> Iterator[Geometry]:
        empty: Rows | None = None
        told = False
        for rows in iter_rows(self._storage, self._state, selection, batch_rows=batch_rows, strict=strict):
            if len(rows.positions) or rows.errors:
                yield self._as_value(Shape(rows))
                empty, told = None, True
            elif not told:
                empty = rows
        if empty is not None:
            yield self._as_value(Shape(empty))

    def _object_batches(self, selection: Selection, plan: ReadPlan, batch_rows: int) -> Iterator[Geometry]:
        if not self.has_objects or (selection.places_asked and plan.mode != "objects"):
            yield self._read(selection, plan)
            return
        # Without a table of sizes, objects are taken to be about as large as each other.
        step = max(1, batch_rows * self.object_count // max(1, self.vertex_count))
        for shape in shapes_by_object(self._storage, self._state, selection, plan, step):
            yield self._as_value(shape)

    @property
    def _tables(self) -> Tables:
        table = self._object_table
        return Tables(
            objects=table.ids,
            object_attributes=table.attributes,
            groups=table.groups,
            group_attributes=table.group_attributes,
        )

    def _as_value(self, shape: Shape, tables: Tables | None = None) -> Geometry:
        if shape.rows.object_ids is None and self.has_objects and not len(shape.rows.positions):
            shape.rows.object_ids = np.zeros(0, dtype=np.int64)
        family = self._state.links if self.kind.connects == "links" else None
        return value_of(shape, self.kind, self._root.axes, family, tables)
