"""One resolution level of an open store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

from zarr_vectors import api
from zarr_vectors.api.asked import Asked
from zarr_vectors.api.described import info_of
from zarr_vectors.api.frames import FramedLevel
from zarr_vectors.api.lazy import LazyAttribute, LazyRows, lazy_attribute, lazy_vertices
from zarr_vectors.api.lazy_objects import LazyLines, LazyObjectIndex
from zarr_vectors.api.queries import LevelQueries, as_count
from zarr_vectors.api.worker import in_worker
from zarr_vectors.query.expressions import Expression
from zarr_vectors.query.order import row_order
from zarr_vectors.typing import IntArray

__all__ = ["ZVLevel"]

Where: TypeAlias = str | Expression | Mapping[str, Any] | None
"""A condition on attributes."""


class ZVLevel(LevelQueries, FramedLevel):
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
        own = self._state.own_columns
        whole = {name: replace(info_of(spec), per_fragment=True) for name, spec in self._state.fragment_columns.items()}
        rows = {name: info_of(spec) for name, spec in self._state.vertex_columns.items() if name not in own}
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
        where: Where = None,
        near: tuple[Any, float] | None = None,
        within: Any = None,
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
            where: Condition on attributes: text such as ``"intensity > 100 and not label is null"``, one made by
                ``zv.col``, or ``{attribute: value or list of values}``. Of an object attribute: whole objects that
                meet it. Of a vertex or fragment attribute: vertices that meet it, and what connects them with each
                other. Of an edge or face attribute: edges and faces that meet it, and their vertices; vertices that
                none of these connects are left out. Of several conditions joined by ``and`` each is taken by itself,
                that on edges and faces the last. One that asks of objects and of vertices at once is met by vertices,
                which have the attributes of their object. ``vertex.x``, ``fragment.x``, ``object.x``, ``edge.x`` and
                ``face.x`` tell attributes of one name apart. Of a level that is chunked by an attribute only the chunks
                of the values are read.
            near: ``(centre, radius)``, a closed ball, measured in float64.
            within: A ``zv.Polygon``, ``zv.HalfSpaces``, or a function that tells of ``(n, D)`` float64 positions which
                lie inside, ``(n,)`` bool; or an object that has such a function as ``mask``, and ``box``, a box as
                ``bbox`` takes it, outside of which nothing lies.
            attributes: Vertex and fragment attributes to read; None for all, ``[]`` for none.
            mode: What the box selects. ``"vertices"``: those in the box, and what connects them with each other.
                ``"objects"``: whole objects of which any vertex, segment, edge or face meets the box. ``"clip"``: what
                is left when everything is cut at the box, with new vertices (of row id -1) where something leaves
                it; integer positions become float64, faces triangles. Points are read by ``"vertices"`` where the
                mode is not given, all other kinds by ``"objects"``. ``near`` and ``within`` select vertices, or whole
                objects of which any vertex lies inside; nothing can be cut at them.
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

        Example:
            >>> import zarr_vectors as zv
            >>> points = zv.Points([[0.0, 1.0], [5.0, 2.0], [6.0, 2.5]], attributes={"w": [1.5, 2.5, 3.5]})
            >>> _ = zv.write("memory://read-doc", points)
            >>> level = zv.open("memory://read-doc")[0]
            >>> level.read(where="w > 2", near=([5, 2], 1)).positions.tolist()
            [[5.0, 2.0]]
        """
        asked = Asked(
            bbox=bbox,
            object_ids=object_ids,
            group_ids=group_ids,
            where=where,
            near=near,
            within=within,
            attributes=attributes,
            mode=mode,
            link_attributes=link_attributes,
            limit=None if limit is None else as_count("limit", limit, least=0),
            strict=strict,
        )
        return self._values_asked(asked)

    def read_chunks(self, chunks: Any, *, attributes: Sequence[str] | str | None = None, strict: bool = True) -> Any:
        """Read what lies in these chunks, and what connects it.

        Args:
            chunks: ``(n, K)`` chunk coordinates, as ``chunk_keys`` has them; those without vertices bring nothing.
            attributes: Vertex and fragment attributes to read; None for all, ``[]`` for none.
            strict: As in ``read``.
        """
        return self._values_asked(Asked(chunks=chunks, attributes=attributes, strict=strict))

    def iter(
        self,
        bbox: Any = None,
        *,
        object_ids: Any = None,
        group_ids: Any = None,
        where: Where = None,
        near: tuple[Any, float] | None = None,
        within: Any = None,
        attributes: Sequence[str] | str | None = None,
        mode: str | None = None,
        batch_rows: int = 1_000_000,
        strict: bool = True,
    ) -> Iterator[Any]:
        """Read as ``read`` does, in batches; there is always at least one batch.

        Points come at most ``batch_rows`` at a time. Other kinds come in whole objects, of about so many vertices;
        what a place cuts out of them (``mode="vertices"`` or ``"clip"``) comes at once. So that no edge or face is lost
        between batches, all that is left comes at once as soon as one leads to another object.

        Raises:
            ConcurrentEditError: Another writer has changed the store since the first batch.
        """
        asked = Asked(
            bbox=bbox,
            object_ids=object_ids,
            group_ids=group_ids,
            where=where,
            near=near,
            within=within,
            attributes=attributes,
            mode=mode,
            strict=strict,
        )
        return self._batches_asked(asked, as_count("batch_rows", batch_rows))

    def count(
        self,
        bbox: Any = None,
        *,
        object_ids: Any = None,
        group_ids: Any = None,
        where: Where = None,
        near: tuple[Any, float] | None = None,
        within: Any = None,
        mode: str | None = None,
    ) -> int:
        """Number of vertices that ``read`` would bring."""
        asked = Asked(
            bbox=bbox,
            object_ids=object_ids,
            group_ids=group_ids,
            where=where,
            near=near,
            within=within,
            mode=mode,
            attributes=(),
            link_attributes=(),
            owners=self.kind.is_linked,
        )
        return self._count_asked(asked)

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
