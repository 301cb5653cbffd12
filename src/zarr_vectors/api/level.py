"""One resolution level of an open store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.headers import read_headers
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column, Geometry
from zarr_vectors.query.geometry import ReadPlan, objects_selected, read_shape
from zarr_vectors.query.rows import iter_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.tables import LevelTables, read_level_tables
from zarr_vectors.query.values import Rows
from zarr_vectors.query.where import conditions_of, resolve
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.kinds import Kind, kind_of_types
from zarr_vectors.types.value import Tables, plan_for, value_of
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
        per_fragment: Whether it is a fragment attribute: stored once for each part of an object in a chunk, or for each
            bin, and read as a value for each vertex.
    """

    dtype: np.dtype[Any]
    channels: int = 1
    categories: tuple[Json, ...] | None = None
    unit: str | None = None
    per_fragment: bool = False


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
        return self._root.bounds

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

    @property
    def vertex_encoding(self) -> str:
        """How positions are stored: ``"raw"`` or ``"draco"``."""
        return constants.ENCODING_DRACO if self._state.is_draco else constants.ENCODING_RAW

    @property
    def max_error(self) -> float | None:
        """What rounding for Draco encoding moved a coordinate at most; None where nothing is rounded or it is unknown.

        Example:
            >>> import numpy as np, zarr_vectors as zv
            >>> cloud = zv.Points(np.array([[0, 0, 0], [1.3, 2.7, 4.1], [8, 9, 10]], dtype="f4"))
            >>> _ = zv.write("memory://error-doc", cloud, layout=zv.Layout(vertex_encoding="draco"))
            >>> level = zv.open("memory://error-doc")[0]
            >>> bool(0 < level.max_error <= 10 / 2**11)
            True
        """
        facts = self._state.metadata.draco
        return None if facts is None or not self._state.is_draco else facts.max_error

    @cached_property
    def attributes(self) -> dict[str, AttributeInfo]:
        """Vertex attributes by name, then the one that the level is chunked by, then those stored per fragment.

        A fragment attribute that has the name of a vertex attribute is called ``fragment_attributes/<name>``.
        """
        whole = {name: replace(_info(spec), per_fragment=True) for name, spec in self._state.fragment_columns.items()}
        rows = {name: _info(spec) for name, spec in self._state.vertex_columns.items() if name != constants.ROW_ID}
        chunked = {name: _info(spec) for name, spec in self._state.chunk_columns.items()}
        return {**rows, **chunked, **whole}

    @cached_property
    def link_attributes(self) -> dict[str, AttributeInfo]:
        """Attributes of edges or faces by name."""
        links = self._state.links
        return {} if links is None else {name: _info(spec) for name, spec in links.columns.items()}

    @property
    def link_count(self) -> int | None:
        """Links between vertices that are stored, where the store states it; not those that order implies."""
        links = self._state.links
        return None if links is None else links.links

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
        where: Mapping[str, Any] | None = None,
        attributes: Sequence[str] | str | None = None,
        mode: str | None = None,
        link_attributes: Sequence[str] | str | None = None,
        strict: bool = True,
    ) -> Any:
        """Read what meets all conditions.

        Args:
            bbox: Closed box ``(lo, hi)``, None in it for an open side, or ``{axis name: (lo, hi)}``.
            object_ids: These objects, in this order.
            group_ids: The objects of these groups.
            where: ``{attribute: value}``, or a list of values of which any will do: objects with such a value, or, for
                a vertex or fragment attribute, vertices with one and what connects them with each other. Of a level
                that is chunked by the attribute only the chunks of these values are read.
            attributes: Vertex and fragment attributes to read; None for all, ``[]`` for none.
            mode: What the box selects. ``"vertices"``: those in the box, and what connects them with each other.
                ``"objects"``: whole objects of which any vertex, segment, edge or face meets the box. ``"clip"``: what
                is left when everything is cut at the box, with new vertices (of row id -1) where something leaves
                it; integer positions become float64, faces triangles. Points are read by ``"vertices"`` where the
                mode is not given, all other kinds by ``"objects"``.
            link_attributes: Attributes of edges or faces to read; None for all, ``[]`` for none.
            strict: Raise when a cell is gone or corrupt; otherwise leave its rows out and say so in ``errors``.

        Returns:
            A value of the store's kind: ``Points``, ``Lines``, ``Polylines``, ``Graph``, ``Skeleton`` or ``Mesh``.
            Points, edges and faces come in chunk order, or by object in the order asked for; lines by object. A read
            of everything also brings the tables of objects and groups.

        Raises:
            CorruptionError: A cell is gone or corrupt.
            ObjectNotFoundError, AttributeNotFoundError: An id or a name does not exist.
            InputError: A box, ids, a condition or a mode that cannot be meant.
        """
        selection = self._selection(bbox, object_ids, group_ids, attributes, where=where)
        return self._read(selection, self._plan(mode, link_attributes, strict))

    def _read(self, selection: Selection, plan: ReadPlan) -> Geometry:
        shape = read_shape(self._storage, self._state, selection, plan)
        return self._as_value(shape, self._tables if selection.is_everything and self.has_objects else None)

    def _plan(self, mode: str | None, link_attributes: Sequence[str] | str | None, strict: bool) -> ReadPlan:
        return plan_for(self._root, self.kind, mode, link_attributes, strict=strict)

    @cached_property
    def kind(self) -> Kind:
        """The kind of geometry that the store holds.

        Raises:
            StoreError: It is a composite store.
            ConventionError: It mixes kinds that nothing tells apart.
        """
        self._state.refuse_composite()
        return kind_of_types(self._root.metadata.geometry_types, self._storage.url)

    def iter(
        self,
        bbox: Any = None,
        *,
        object_ids: Any = None,
        group_ids: Any = None,
        where: Mapping[str, Any] | None = None,
        attributes: Sequence[str] | str | None = None,
        mode: str | None = None,
        batch_rows: int = 1_000_000,
        strict: bool = True,
    ) -> Iterator[Any]:
        """Read as ``read`` does, in batches; there is always at least one batch.

        Points come at most ``batch_rows`` at a time. Other kinds come in whole objects, of about so many vertices;
        what a box cuts out of them (``mode="vertices"`` or ``"clip"``) comes at once. So that no edge or face is lost
        between batches, all that is left comes at once as soon as one leads to another object.
        """
        rows = _as_count("batch_rows", batch_rows)
        selection = self._selection(bbox, object_ids, group_ids, attributes, where=where)
        plan = self._plan(mode, None, strict)
        if not self.kind.is_linked and plan.offset is None and (plan.mode == "vertices" or selection.box is None):
            return self._batches(selection, rows, strict)
        return self._object_batches(selection, plan, rows)

    def _batches(self, selection: Selection, batch_rows: int, strict: bool) -> Iterator[Geometry]:
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
        if not self.has_objects or (selection.box is not None and plan.mode != "objects"):
            yield self._read(selection, plan)
            return
        ids = objects_selected(self._storage, self._state, selection, plan)
        # Without a table of sizes, objects are taken to be about as large as each other.
        step = max(1, batch_rows * self.object_count // max(1, self.vertex_count))
        part = replace(selection, box=None, group_ids=None, lenient=True)
        for start in range(0, max(1, len(ids)), step):
            counting = replace(plan, counts_left=start + step < len(ids))
            batch = replace(part, object_ids=ids[start : start + step])
            shape = read_shape(self._storage, self._state, batch, counting)
            if shape.links_left:
                # No earlier batch had such a link, so none leads back to one.
                rest = replace(part, object_ids=ids[start:])
                yield self._as_value(read_shape(self._storage, self._state, rest, plan))
                return
            yield self._as_value(shape)

    def count(
        self,
        bbox: Any = None,
        *,
        object_ids: Any = None,
        group_ids: Any = None,
        where: Mapping[str, Any] | None = None,
        mode: str | None = None,
    ) -> int:
        """Number of vertices that ``read`` would bring."""
        selection = self._selection(bbox, object_ids, group_ids, (), where=where, owners=self.kind.is_linked)
        plan = self._plan(mode, (), True)
        if self.kind.is_linked or plan.mode == "objects" or plan.offset is not None:
            return len(read_shape(self._storage, self._state, selection, plan).rows.positions)
        batches = iter_rows(self._storage, self._state, selection, batch_rows=_COUNT_ROWS)
        return sum(len(batch.positions) for batch in batches)

    def _selection(
        self, bbox: Any, object_ids: Any, group_ids: Any, attributes: Any, *, where: Any, owners: bool = True
    ) -> Selection:
        selection = Selection.of(
            [axis.name for axis in self._root.axes],
            bbox=bbox,
            object_ids=object_ids,
            group_ids=group_ids,
            attributes=attributes if attributes is None or not owners else self._with_row_id(attributes),
            owners=owners,
        )
        conditions = conditions_of(where)
        return resolve(self._storage, self._state, replace(selection, where=conditions)) if conditions else selection

    def _with_row_id(self, attributes: Sequence[str] | str) -> list[str]:
        if isinstance(attributes, str):
            attributes = [attributes]
        if not isinstance(attributes, Iterable):
            raise InputError("attributes must be names of vertex attributes, or None for all", got=repr(attributes))
        names = list(attributes)
        return [*names, constants.ROW_ID] if constants.ROW_ID in self._state.vertex_columns else names

    @property
    def _tables(self) -> Tables:
        table = self.objects
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

    def __repr__(self) -> str:
        return (
            f"ZVLevel({self.number}: {self.vertex_count:,} vertices in {self.chunk_count:,} chunks, "
            f"attributes {list(self.attributes)})"
        )


def _info(spec: ColumnSpec) -> AttributeInfo:
    dtype = np.dtype(object) if spec.categories is not None else spec.dtype
    return AttributeInfo(dtype, spec.channels, spec.categories, spec.unit)


def _as_count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} must be a whole number from 1", got=repr(value))
    return int(value)


def _object_table(tables: LevelTables) -> ObjectTable:
    groups = dict(enumerate(tables.groups.members))
    return ObjectTable(tables.ids, tables.attributes, groups, tables.group_attributes)
