"""One resolution level of an open store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors import api, constants
from zarr_vectors.api.described import info_of
from zarr_vectors.api.lazy import LazyAttribute, LazyRows, lazy_attribute, lazy_vertices
from zarr_vectors.api.lazy_objects import LazyLines, LazyObjectIndex
from zarr_vectors.api.queries import LevelQueries, as_count
from zarr_vectors.api.tables import TabularLevel
from zarr_vectors.api.worker import in_worker
from zarr_vectors.exceptions import InputError, ZVError
from zarr_vectors.geometry import Geometry
from zarr_vectors.query.batches import shapes_by_object
from zarr_vectors.query.geometry import ReadPlan, read_shape
from zarr_vectors.query.order import row_order
from zarr_vectors.query.rows import iter_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows
from zarr_vectors.query.where import conditions_of, resolve
from zarr_vectors.storage.whole import check_current
from zarr_vectors.types.value import Tables, plan_for, value_of
from zarr_vectors.typing import IntArray

__all__ = ["ZVLevel"]


_COUNT_ROWS = 1_000_000


class ZVLevel(LevelQueries, TabularLevel):
    """One resolution level; get it from a store: ``store[0]``.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.write("memory://level-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]], attributes={"w": [1.5, 2.5]}))
        >>> level = zv.open("memory://level-doc")[0]
        >>> level.read(bbox=([0, 0], [1, 1])).attributes["w"].tolist()
        [1.5]
    """

    @cached_property
    def attributes(self) -> dict[str, LazyAttribute]:
        """Vertex attributes by name, then the one that the level is chunked by, then those stored per fragment.

        ``.compute()`` reads their values. A fragment attribute that has the name of a vertex attribute is called
        ``fragment_attributes/<name>``.
        """
        whole = {name: replace(info_of(spec), per_fragment=True) for name, spec in self._state.fragment_columns.items()}
        rows = {name: info_of(spec) for name, spec in self._state.vertex_columns.items() if name != constants.ROW_ID}
        chunked = {name: info_of(spec) for name, spec in self._state.chunk_columns.items()}
        specs = {**self._state.row_columns, **self._state.chunk_columns}
        found = {**rows, **chunked, **whole}
        return {name: lazy_attribute(self, name, info, specs[name].row_shape) for name, info in found.items()}

    @property
    def vertices(self) -> LazyRows:
        """The positions: ``.compute()`` reads them, ``[i, j, k].compute()`` those of a chunk, ``.to_dask()`` later."""
        return lazy_vertices(self)

    @property
    def object_index(self) -> LazyObjectIndex:
        """Which fragments each object consists of; read when asked for."""
        return LazyObjectIndex(self)

    @property
    def polylines(self) -> LazyLines:
        """Lines by object id, read when asked for.

        Raises:
            InputError: The level holds another kind of geometry.
        """
        return LazyLines(self)

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
        limit: int | None = None,
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
            limit: At most so many points: the first, after which reading stops. Of other kinds so many objects, in the
                order of ``objects`` or of ``object_ids``. None for all.
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
        most = None if limit is None else as_count("limit", limit, least=0)

        def read() -> Geometry:
            selection = self._selection(bbox, object_ids, group_ids, attributes, where=where)
            plan = self._plan(mode, link_attributes, strict)
            return self._read(selection, plan) if most is None else self._limited(selection, plan, most)

        return self._whole(read)

    def read_chunks(self, chunks: Any, *, attributes: Sequence[str] | str | None = None, strict: bool = True) -> Any:
        """Read what lies in these chunks, and what connects it.

        Args:
            chunks: ``(n, K)`` chunk coordinates, as ``chunk_keys`` has them; those without vertices bring nothing.
            attributes: Vertex and fragment attributes to read; None for all, ``[]`` for none.
            strict: As in ``read``.
        """
        selection = self._selection(None, None, None, attributes, chunks=chunks)
        return self._whole(lambda: self._read(selection, self._plan(None, None, strict)))

    def _read(self, selection: Selection, plan: ReadPlan) -> Geometry:
        shape = read_shape(self._storage, self._state, selection, plan)
        return self._as_value(shape, self._tables if selection.is_everything and self.has_objects else None)

    def _asked(
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
    ) -> tuple[Selection, ReadPlan]:
        selection = self._selection(bbox, object_ids, group_ids, attributes, where=where)
        return selection, self._plan(mode, link_attributes, strict)

    def _plan(self, mode: str | None, link_attributes: Sequence[str] | str | None, strict: bool) -> ReadPlan:
        return plan_for(self._root, self.kind, mode, link_attributes, strict=strict)

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

        Raises:
            ConcurrentEditError: Another writer has changed the store since the first batch.
        """
        rows = as_count("batch_rows", batch_rows)
        selection = self._selection(bbox, object_ids, group_ids, attributes, where=where)
        plan = self._plan(mode, None, strict)
        if not self.kind.is_linked and plan.offset is None and (plan.mode == "vertices" or selection.box is None):
            return self._unchanged(self._batches(selection, rows, strict), self._root.seen)
        return self._unchanged(self._object_batches(selection, plan, rows), self._root.seen)

    def _unchanged(self, batches: Iterator[Geometry], seen: frozenset[bytes]) -> Iterator[Geometry]:
        """Batches of one state of the store; those that have been yielded cannot be taken back."""
        try:
            for batch in batches:
                check_current(self._storage, seen)
                yield batch
        except ZVError:
            check_current(self._storage, seen)
            raise

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
        # Without a table of sizes, objects are taken to be about as large as each other.
        step = max(1, batch_rows * self.object_count // max(1, self.vertex_count))
        for shape in shapes_by_object(self._storage, self._state, selection, plan, step):
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

        def count() -> int:
            selection = self._selection(bbox, object_ids, group_ids, (), where=where, owners=self.kind.is_linked)
            plan = self._plan(mode, (), True)
            if self.kind.is_linked or plan.mode == "objects" or plan.offset is not None:
                return len(read_shape(self._storage, self._state, selection, plan).rows.positions)
            batches = iter_rows(self._storage, self._state, selection, batch_rows=_COUNT_ROWS)
            return sum(len(batch.positions) for batch in batches)

        return self._whole(count)

    def _selection(
        self,
        bbox: Any,
        object_ids: Any,
        group_ids: Any,
        attributes: Any,
        *,
        where: Any = None,
        owners: bool = True,
        chunks: Any = None,
    ) -> Selection:
        selection = Selection.of(
            [axis.name for axis in self._root.axes],
            bbox=bbox,
            object_ids=object_ids,
            group_ids=group_ids,
            chunks=chunks,
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

    async def aread(self, *args: Any, **options: Any) -> Any:
        """Read as ``read`` does, with the same arguments, without keeping an event loop from its other work."""
        return await in_worker(lambda: self.read(*args, **options))

    def writer(
        self,
        *,
        order: str = "store",
        overwrite: bool = False,
        out_of_bounds: str = "raise",
        extend: bool = False,
        fill: Mapping[str, Any] | None = None,
    ) -> api.ZVWriter:
        """A writer that adds attributes and vertices, for a ``with`` or ``async with`` block.

        Args:
            order: Of attribute values of vertices: ``"store"``, that of ``read``, or ``"input"``, that in which they
                were written, where ``Layout(keep_order=True)`` kept it: a value for each row id from 0.
            overwrite: Whether attributes that exist may be replaced.
            out_of_bounds: Appended vertices outside the bounds: ``"raise"``, ``"expand"`` the bounds, or ``"ignore"``
                them.
            extend: Whether appended vertices may join objects that exist.
            fill: ``{attribute: value}`` for attributes that appended vertices lack.

        Raises:
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> _ = zv.write("memory://level-writer-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> level = zv.open("memory://level-writer-doc", "r+")[0]
            >>> with level.writer() as writer:
            ...     writer.add_attribute_sync("height", level.read().positions[:, 1])
            >>> level.read().attributes["height"].tolist()
            [1.0, 2.0]
        """
        return api.ZVWriter(self).with_options(
            order=order, overwrite=overwrite, out_of_bounds=out_of_bounds, extend=extend, fill=fill or {}
        )

    def row_order(self, positions: Any = None) -> IntArray:
        """``(N,)`` int64 row of the input that each vertex was, in the order of ``read``.

        ``values[level.row_order()]`` brings values from the order of the input to that of the store, in which
        ``writer`` takes them.

        Args:
            positions: ``(M, D)`` positions as they were written, to find each vertex again by its own. By default the
                row ids tell that a store keeps with ``Layout(keep_order=True)``.

        Raises:
            InputError: There are no row ids; or a vertex has none of the positions, or several.

        Example:
            >>> import numpy as np, zarr_vectors as zv
            >>> xy = np.array([[9.0, 1.0], [5.0, 2.0], [1.0, 3.0]])
            >>> _ = zv.write("memory://order-doc", zv.Points(xy), layout=zv.Layout(chunk_shape=4))
            >>> level = zv.open("memory://order-doc")[0]
            >>> order = level.row_order(xy)
            >>> bool((xy[order] == level.read().positions).all())
            True
        """
        return self._whole(lambda: row_order(self._storage, self._root, self._state, self.kind.connects, positions))

    def __repr__(self) -> str:
        return (
            f"ZVLevel({self.number}: {self.vertex_count:,} vertices in {self.chunk_count:,} chunks, "
            f"attributes {list(self.attributes)})"
        )
