"""One resolution level of an open store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis
from zarr_vectors.core.headers import read_headers
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column, Points
from zarr_vectors.query.rows import iter_rows, read_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.tables import LevelTables, read_level_tables
from zarr_vectors.query.values import Rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import IntArray, Json, JsonObject

__all__ = ["AttributeInfo", "ObjectTable", "ZVLevel"]


_COUNT_ROWS = 1_000_000


@dataclass(frozen=True)
class AttributeInfo:
    """The type of an attribute.

    Args:
        dtype: Of one value; ``object`` for text and categories.
        channels: Values per row.
        categories: The values that occur, for text and categories.
        unit: Physical unit, where known.
    """

    dtype: np.dtype[Any]
    channels: int = 1
    categories: tuple[Json, ...] | None = None
    unit: str | None = None


@dataclass(frozen=True)
class ObjectTable:
    """The objects of a level, without their geometry.

    Args:
        ids: ``(O,)`` object ids.
        attributes: Object attributes, a row for each of ``ids``.
        groups: Group id to object ids.
        group_attributes: Group attributes, a row for each group id from 0.
    """

    ids: IntArray
    attributes: Mapping[str, Column]
    groups: Mapping[int, IntArray]
    group_attributes: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.ids)


class ZVLevel:
    """One resolution level; get it from a store: ``store[0]``.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.write("memory://level-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]], attributes={"w": [1.5, 2.5]}))
        >>> level = zv.open("memory://level-doc")[0]
        >>> level.read(bbox=([0, 0], [1, 1])).attributes["w"].tolist()
        [1.5]
    """

    def __init__(self, storage: Storage, root: RootState, state: LevelState) -> None:
        self._storage = storage
        self._root = root
        self._state = state

    @property
    def state(self) -> LevelState:
        """The level's documents and arrays, for those who extend the library."""
        return self._state

    @property
    def number(self) -> int:
        """Which level; 0 is the full resolution."""
        return self._state.number

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Names and units of the positions' columns."""
        return self._root.axes

    @property
    def bounds(self) -> tuple[list[float], list[float]]:
        """Closed box of the store."""
        low, high = self._root.metadata.bounds
        return list(low), list(high)

    @property
    def crs(self) -> Json:
        """Coordinate reference system of the store, or None."""
        return self._root.metadata.crs

    @cached_property
    def headers(self) -> dict[str, JsonObject]:
        """What ingested files said about themselves, by format."""
        return read_headers(self._storage, self._root.attributes)

    @property
    def vertex_count(self) -> int:
        """Number of vertices, as the level's metadata states it."""
        return self._state.metadata.vertex_count

    @property
    def chunk_shape(self) -> tuple[float, ...]:
        """Edge lengths of a chunk."""
        return self._state.chunk_shape

    @property
    def shard_shape(self) -> tuple[int, ...] | None:
        """Chunks per stored object along each axis; None where every chunk is an object of its own."""
        vertices = self._state.vertices
        return vertices.block if vertices.document.is_sharded else None

    @property
    def bin_shape(self) -> tuple[float, ...]:
        """Edge lengths of a bin."""
        return self._root.level_bin_shape(self.number)

    @property
    def chunk_count(self) -> int:
        """Chunks that hold vertices."""
        return len(self._state.vertices.present)

    @property
    def chunk_keys(self) -> list[tuple[int, ...]]:
        """Coordinates of the chunks that hold vertices, in numeric order."""
        return [tuple(row) for row in self._state.vertices.present.tolist()]

    @property
    def position_dtype(self) -> np.dtype[Any]:
        """Of the stored positions."""
        return self._state.position_dtype

    @cached_property
    def attributes(self) -> dict[str, AttributeInfo]:
        """Vertex attributes by name."""
        return {
            name: AttributeInfo(
                np.dtype(object) if spec.categories is not None else spec.dtype,
                spec.channels,
                spec.categories,
                spec.unit,
            )
            for name, spec in self._state.vertex_columns.items()
            if name != constants.ROW_ID
        }

    @property
    def has_objects(self) -> bool:
        """Whether vertices belong to objects, also where there are none yet."""
        return self._state.has_objects or constants.FRAGMENT_OWNER in self._state.cells

    @property
    def object_count(self) -> int:
        """Objects in the index, those without vertices included."""
        return self._state.object_slots

    @property
    def group_count(self) -> int:
        """Group ids from 0."""
        table = self._state.tables.get(constants.GROUPS)
        return 0 if table is None else table.rows

    @cached_property
    def objects(self) -> ObjectTable:
        """Ids, attributes and groups of all objects; no geometry is read."""
        return _object_table(read_level_tables(self._storage, self._state))

    def read(
        self,
        bbox: Any = None,
        *,
        object_ids: Any = None,
        group_ids: Any = None,
        attributes: Sequence[str] | str | None = None,
        strict: bool = True,
    ) -> Points:
        """Read the points that meet all conditions.

        Args:
            bbox: Closed box ``(lo, hi)``, None in it for an open side, or ``{axis name: (lo, hi)}``.
            object_ids: Points of these objects, in this order.
            group_ids: Points of the objects of these groups.
            attributes: Vertex attributes to read; None for all, ``[]`` for none.
            strict: Raise when a cell is gone or corrupt; otherwise leave its rows out and say so in ``errors``.

        Returns:
            Points in chunk order, or by object in the order asked for. A read of everything also brings the
            tables of objects and groups.

        Raises:
            CorruptionError: A cell is gone or corrupt.
            ObjectNotFoundError, AttributeNotFoundError: An id or a name does not exist.
            InputError: A box or ids that cannot be meant.
        """
        selection = self._selection(bbox, object_ids, group_ids, attributes)
        rows = read_rows(self._storage, self._state, selection, strict=strict)
        tables = self.objects if selection.is_everything and self.has_objects else None
        return self._as_points(rows, tables)

    def iter(
        self,
        bbox: Any = None,
        *,
        object_ids: Any = None,
        group_ids: Any = None,
        attributes: Sequence[str] | str | None = None,
        batch_rows: int = 1_000_000,
        strict: bool = True,
    ) -> Iterator[Points]:
        """Read as ``read`` does, in batches of at most ``batch_rows`` rows; there is always at least one batch."""
        rows = _as_count("batch_rows", batch_rows)
        return self._batches(self._selection(bbox, object_ids, group_ids, attributes), rows, strict)

    def _batches(self, selection: Selection, batch_rows: int, strict: bool) -> Iterator[Points]:
        empty: Rows | None = None
        told = False
        for rows in iter_rows(self._storage, self._state, selection, batch_rows=batch_rows, strict=strict):
            if len(rows.positions) or rows.errors:
                yield self._as_points(rows, None)
                empty, told = None, True
            elif not told:
                empty = rows
        if empty is not None:
            yield self._as_points(empty, None)

    def count(self, bbox: Any = None, *, object_ids: Any = None, group_ids: Any = None) -> int:
        """Number of points that meet all conditions."""
        selection = self._selection(bbox, object_ids, group_ids, (), owners=False)
        batches = iter_rows(self._storage, self._state, selection, batch_rows=_COUNT_ROWS)
        return sum(len(batch.positions) for batch in batches)

    def _selection(
        self, bbox: Any, object_ids: Any, group_ids: Any, attributes: Any, *, owners: bool = True
    ) -> Selection:
        return Selection.of(
            [axis.name for axis in self._root.axes],
            bbox=bbox,
            object_ids=object_ids,
            group_ids=group_ids,
            attributes=attributes if attributes is None or not owners else self._with_row_id(attributes),
            owners=owners,
        )

    def _with_row_id(self, attributes: Sequence[str] | str) -> list[str]:
        if isinstance(attributes, str):
            attributes = [attributes]
        if not isinstance(attributes, Iterable):
            raise InputError("attributes must be names of vertex attributes, or None for all", got=repr(attributes))
        names = list(attributes)
        return [*names, constants.ROW_ID] if constants.ROW_ID in self._state.vertex_columns else names

    def _as_points(self, rows: Rows, tables: ObjectTable | None) -> Points:
        columns = dict(rows.columns)
        row_ids = columns.pop(constants.ROW_ID, None)
        ids = rows.object_ids
        if ids is None and self.has_objects and not len(rows.positions):
            ids = np.zeros(0, dtype=np.int64)
        return Points(
            rows.positions,
            attributes=columns,
            object_ids=ids,
            objects=None if tables is None else tables.ids,
            object_attributes={} if tables is None else tables.attributes,
            groups={} if tables is None else tables.groups,
            group_attributes={} if tables is None else tables.group_attributes,
            axes=self._root.axes,
            row_ids=None if row_ids is None else np.asarray(row_ids),
            errors=tuple(rows.errors),
        )

    def __repr__(self) -> str:
        return (
            f"ZVLevel({self.number}: {self.vertex_count:,} vertices in {self.chunk_count:,} chunks, "
            f"attributes {list(self.attributes)})"
        )


def _as_count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} must be a whole number from 1", got=repr(value))
    return int(value)


def _object_table(tables: LevelTables) -> ObjectTable:
    groups = dict(enumerate(tables.groups.members))
    return ObjectTable(tables.ids, tables.attributes, groups, tables.group_attributes)
