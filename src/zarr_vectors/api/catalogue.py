"""The objects of a level as a table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.api.described import ObjectTable
from zarr_vectors.api.readable import ReadableLevel, of_one_state
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import take_column
from zarr_vectors.geometry.interchange.arrow_out import record_batch, stream_of
from zarr_vectors.geometry.interchange.frames import data_frame
from zarr_vectors.geometry.interchange.tables import OBJECT_ID, Ragged, Table, TableColumn, rows_for, table_of
from zarr_vectors.optional import require
from zarr_vectors.query.object_boxes import object_boxes
from zarr_vectors.query.sizes import object_sizes
from zarr_vectors.query.where import conditions_of
from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["ObjectCatalogue"]

_COUNT, _GROUPS = "vertex_count", "groups"


@dataclass(frozen=True, eq=False, repr=False)
class ObjectCatalogue(ObjectTable):
    """The objects of a level: a row for each, and no geometry. ``level.objects`` is one.

    ``ids``, ``attributes`` and ``groups`` are read with it; ``vertex_counts`` and ``bounds`` when they are asked for.
    ``objects["volume"]`` is a column; ``columns`` names them all: ``object_id``, ``vertex_count``, the attributes and,
    where there are groups, ``groups``.

    Args:
        ids, attributes, groups, group_attributes: As in ``ObjectTable``.
        level: The level.

    Example:
        >>> import zarr_vectors as zv
        >>> lines = zv.Polylines([[[0.0, 1], [5, 2]], [[6.0, 2]]], ids=[7, 9], object_attributes={"length": [5.1, 0]})
        >>> _ = zv.write("memory://catalogue-doc", lines)
        >>> objects = zv.open("memory://catalogue-doc")[0].objects
        >>> len(objects), objects.vertex_counts.tolist(), objects.bounds[0].tolist()
        (2, [2, 1], [[0.0, 1.0], [6.0, 2.0]])
        >>> objects.where("length < 1").ids.tolist()
        [9]
    """

    level: ReadableLevel | None = field(default=None, kw_only=True)

    @cached_property
    def vertex_counts(self) -> IntArray:
        """``(O,)`` vertices of each object, from manifests and the indexes of chunks; no geometry is read.

        Raises:
            StoreError: The indexes do not tell, as of some Draco cells of other writers.
        """
        level = self._level()
        known, sizes = of_one_state(level, lambda: object_sizes(level.storage, level.state))
        return np.ma.filled(np.ma.asarray(rows_for(self.ids, known, sizes)), 0)

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Two arrays ``(O, D)`` of float64: lowest and highest coordinates of each object's vertices.

        The store does not keep them: the positions of all objects are read once, some chunks at a time, when they are
        first asked for. Objects without vertices have NaN.
        """
        level = self._level()
        if not level.state.has_objects:
            return np.zeros((0, len(level.root.axes))), np.zeros((0, len(level.root.axes)))
        known, low, high = of_one_state(level, lambda: object_boxes(level.storage, level.state, level.root.offset))
        return np.asarray(rows_for(self.ids, known, low)), np.asarray(rows_for(self.ids, known, high))

    def where(self, where: Any) -> ObjectCatalogue:
        """The objects that meet conditions on their attributes, as ``read`` takes them.

        ``level.read(object_ids=level.objects.where(...).ids)`` reads them.

        Raises:
            AttributeNotFoundError: Objects have no such attribute.
            InputError: A condition that cannot be meant.
        """
        condition = conditions_of(where)
        if condition is None:
            return self
        bare = {name: name.removeprefix("object.") for name in condition.names if name not in self.attributes}
        condition = condition.renamed(bare)
        unknown = [name for name in condition.names if name not in self.attributes]
        if unknown:
            near = get_close_matches(unknown[0], list(self.attributes), n=1)
            raise AttributeNotFoundError(
                f"objects have no attribute {unknown[0]!r}",
                expected=f"one of {sorted(self.attributes)}",
                hint=f"did you mean {near[0]!r}?" if near else None,
            )
        return self.take(np.flatnonzero(condition.mask(self.attributes)))

    def take(self, rows: Any) -> ObjectCatalogue:
        """These rows, by an index, mask or slice; groups keep those of their members that are left."""
        numbers = np.arange(len(self.ids))[rows]
        ids = self.ids[numbers]
        taken = replace(
            self,
            ids=ids,
            attributes={name: take_column(column, numbers) for name, column in self.attributes.items()},
            groups={group: members[np.isin(members, ids)] for group, members in self.groups.items()},
        )
        # What is known need not be read again.
        for name in vars(self).keys() & {_COUNT + "s", "bounds"}:
            known = getattr(self, name)
            vars(taken)[name] = tuple(side[numbers] for side in known) if name == "bounds" else known[numbers]
        return taken

    def of_group(self, group: int) -> ObjectCatalogue:
        """The objects of a group.

        Raises:
            InputError: There is no such group.
        """
        if group not in self.groups:
            raise InputError(f"there is no group {group!r}", expected=f"one of {len(self.groups)} from 0")
        return self.take(np.isin(self.ids, self.groups[group]))

    def to_arrow(self, *, bounds: bool = False) -> Any:
        """A row for each object as a ``pyarrow.RecordBatchReader``.

        Its columns are ``object_id``, ``vertex_count``, the attributes, and ``groups``, lists of group ids, where there
        are groups.

        Args:
            bounds: Whether to add ``x_min``, ``x_max`` and so on, for which all positions are read once.

        Raises:
            InputError: Two columns have one name, or Arrow has no type for one.
            MissingDependencyError: pyarrow is not installed.
        """
        batch = record_batch(self._table(bounds=bounds))
        return require("pyarrow").RecordBatchReader.from_batches(batch.schema, [batch])

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """What DuckDB, polars and pyarrow take the table by."""
        batch = record_batch(self._table(bounds=False))
        return stream_of([batch], batch.schema, requested_schema)

    def to_pandas(self, *, bounds: bool = False) -> Any:
        """The same table as a ``pandas.DataFrame``.

        Raises:
            InputError: Two columns have one name.
            MissingDependencyError: pandas is not installed.
        """
        return data_frame(self._table(bounds=bounds))

    def _level(self) -> ReadableLevel:
        if self.level is None:
            raise InputError("this table does not belong to a level")
        return self.level

    def _memberships(self) -> Ragged:
        """The groups of each object."""
        members = [ids[np.isin(ids, self.ids)] for ids in self.groups.values()]
        joined = np.concatenate([np.zeros(0, dtype=np.int64), *members])
        numbers = np.repeat(np.fromiter(self.groups, dtype=np.int64, count=len(members)), [len(ids) for ids in members])
        order = np.argsort(self.ids, kind="stable")
        place = order[np.searchsorted(self.ids, joined, sorter=order)] if len(joined) else joined
        pairs = np.unique(np.stack([place, numbers], axis=1), axis=0)
        counts = np.bincount(pairs[:, 0], minlength=len(self.ids))
        return Ragged(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), pairs[:, 1])

    def _table(self, *, bounds: bool) -> Table:
        columns: list[tuple[str, TableColumn | None]] = [(OBJECT_ID, self.ids), (_COUNT, self.vertex_counts)]
        if bounds:
            for number, axis in enumerate(self._level().root.axes):
                sides = zip(("min", "max"), self.bounds, strict=True)
                columns += [(f"{axis.name}_{side}", values[:, number]) for side, values in sides]
        columns += self.attributes.items()
        groups = self._memberships() if self.groups else None
        return table_of([*columns, (_GROUPS, groups)], {"table": "objects"})

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(dict.fromkeys((OBJECT_ID, _COUNT, *self.attributes, *((_GROUPS,) if self.groups else ()))))

    def __getitem__(self, name: str) -> Any:
        if name in self.attributes:
            return self.attributes[name]
        if name == OBJECT_ID:
            return self.ids
        if name == _COUNT:
            return self.vertex_counts
        if name == _GROUPS and self.groups:
            found = self._memberships()
            return np.split(np.asarray(found.values), found.offsets[1:-1]) if len(self.ids) else []
        raise AttributeNotFoundError(f"objects have no attribute {name!r}", expected=f"one of {list(self.columns)}")

    def __repr__(self) -> str:
        return f"ObjectCatalogue({len(self):,} objects; attributes {list(self.attributes)}; {len(self.groups)} groups)"
