"""Changing a level: attributes for what is there, and more vertices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from zarr_vectors.api.readable import OpenLevel
from zarr_vectors.api.worker import in_worker
from zarr_vectors.exceptions import EditError, ReadOnlyError, UnfinishedCommitError
from zarr_vectors.types.buffer import ChangeBuffer, ChangeOptions

__all__ = ["WritableLevel", "ZVWriter"]

T = TypeVar("T")


class WritableLevel(OpenLevel, Protocol):
    """What a writer needs of a level."""

    def refresh(self) -> None:
        """Take notice of what has been written."""
        ...


class ZVWriter:
    """Takes changes of a level, and publishes all of them as one commit; get it from ``level.writer()``.

    Every method checks what it is given and writes nothing. ``commit`` publishes all of it: either every change is
    there afterwards, or none. At the end of a ``with`` or ``async with`` block what waits is committed; an exception
    discards it. The methods are coroutines, which do their work in a thread of their own; those that end in ``_sync``
    do the same at once, and may be called anywhere.

    Values of attributes come in the order in which ``level.read()`` brings vertices, edges and faces; with
    ``level.writer(order="input")``, those of vertices come in the order in which they were written. What has been
    appended in the same block comes after what is there. Numbers of any dtype, several channels, booleans, times, text
    and categories are taken, as by ``zv.write``.

    Args:
        level: The level, of a store that was opened with ``mode="r+"``.

    Raises:
        ReadOnlyError: The store was opened for reading.
        InputError: By every method, for what cannot be written.
        ConcurrentEditError: By ``commit``, where another writer has changed what the values were lined up with.
        EditError: By every method, once the block has ended.

    Example:
        >>> import numpy as np, zarr_vectors as zv
        >>> xyz = np.array([[0.0, 1.0], [5.0, 2.0], [7.0, 3.0]])
        >>> _ = zv.write("memory://writer-doc", zv.Points(xyz), layout=zv.Layout(keep_order=True))
        >>> level = zv.open("memory://writer-doc", "r+")[0]
        >>> with level.writer(order="input") as writer:
        ...     writer.add_attribute_sync("label", ["a", "b", None])
        ...     writer.append_vertices_sync([[1.0, 1.0]])
        {'vertices_added': 1, 'new_objects': 0, 'chunks_touched': 1}
        >>> values = level.read()
        >>> np.asarray(values.attributes["label"])[np.argsort(values.row_ids)].tolist()
        ['a', 'b', None, None]
    """

    def __init__(self, level: WritableLevel) -> None:
        if level.storage.read_only:
            raise ReadOnlyError(
                "the store was opened for reading", store=level.storage.url, hint="open it with mode='r+'"
            )
        self._level = level
        self._options = ChangeOptions()
        # Coroutines may be awaited together, and then run in several threads.
        self._turn = threading.RLock()
        self._closed = False
        self._buffer = self._new_buffer()

    def with_options(self, **options: Any) -> Self:
        """The writer itself, with the options that ``level.writer`` takes; what waits is discarded."""
        self._options = ChangeOptions(**options)
        self.discard()
        return self

    def _new_buffer(self) -> ChangeBuffer:
        level = self._level
        return ChangeBuffer(level.storage, level.root, level.state, level.kind, self._options)

    async def add_attribute(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """Add an attribute of vertices.

        Args:
            name: Of the attribute, which the level must not have, unless the writer was opened with ``overwrite=True``.
            values: ``(N,)`` or ``(N, ...)`` values, or text; None is missing text.
            dtype: To store them as; by default their own. Floats are rounded to it; anything else must fit exactly.

        Raises:
            InputError: The name is taken or cannot be used, there is not one value for each vertex, or values cannot be
                stored as they are or do not fit ``dtype``.
            EditError: The block of the writer has ended.

        Example:
            >>> import asyncio, zarr_vectors as zv
            >>> _ = zv.write("memory://add-attribute-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> level = zv.open("memory://add-attribute-doc", "r+")[0]
            >>> async def work():
            ...     async with level.writer() as writer:
            ...         await writer.add_attribute("height", level.read().positions[:, 1], dtype="float32")
            >>> asyncio.run(work())
            >>> level.read().attributes["height"]
            array([1., 2.], dtype=float32)
        """
        await self._in_worker(lambda: self.add_attribute_sync(name, values, dtype=dtype))

    def add_attribute_sync(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """``add_attribute``, at once."""
        self._take(lambda buffer: buffer.add_vertex_attribute(name, values, dtype))

    async def add_node_attribute(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """Add an attribute of nodes, which are the vertices of graphs and skeletons: ``add_attribute`` by another name.

        Args:
            name: Of the attribute.
            values: ``(N,)`` or ``(N, ...)`` values, in the order of ``level.read().positions``.
            dtype: To store them as; by default their own.

        Raises:
            InputError, EditError: As ``add_attribute``.

        Example:
            >>> import asyncio, zarr_vectors as zv
            >>> _ = zv.write("memory://add-node-doc", zv.Graph([[0.0, 1.0], [5.0, 2.0]], [[0, 1]]))
            >>> level = zv.open("memory://add-node-doc", "r+")[0]
            >>> async def work():
            ...     async with level.writer() as writer:
            ...         await writer.add_node_attribute("degree", [1, 1])
            >>> asyncio.run(work())
            >>> level.read().attributes["degree"].tolist()
            [1, 1]
        """
        await self.add_attribute(name, values, dtype=dtype)

    def add_node_attribute_sync(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """``add_node_attribute``, at once."""
        self.add_attribute_sync(name, values, dtype=dtype)

    async def add_face_attribute(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """Add an attribute of the faces of a mesh, or of the edges of a graph or skeleton.

        Args:
            name: Of the attribute.
            values: ``(F,)`` or ``(F, ...)`` values, a row for each of ``level.read().faces``, or of its ``edges``.
            dtype: To store them as; by default their own.

        Raises:
            InputError: As ``add_attribute``, and where the level has no faces or edges.
            ConventionError: By ``commit``, where links are stored in a way that their attributes cannot follow.
            EditError: The block of the writer has ended.

        Example:
            >>> import asyncio, zarr_vectors as zv
            >>> corners = [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
            >>> _ = zv.write("memory://add-face-doc", zv.Mesh(corners, [[0, 1, 2]]))
            >>> level = zv.open("memory://add-face-doc", "r+")[0]
            >>> async def work():
            ...     async with level.writer() as writer:
            ...         await writer.add_face_attribute("area", [2.0])
            >>> asyncio.run(work())
            >>> level.read().link_attributes["area"].tolist()
            [2.0]
        """
        await self._in_worker(lambda: self.add_face_attribute_sync(name, values, dtype=dtype))

    def add_face_attribute_sync(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """``add_face_attribute``, at once."""
        self._take(lambda buffer: buffer.add_link_attribute(name, values, dtype))

    async def add_edge_attribute(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """``add_face_attribute`` under the name that it has for graphs and skeletons."""
        await self.add_face_attribute(name, values, dtype=dtype)

    def add_edge_attribute_sync(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """``add_edge_attribute``, at once."""
        self.add_face_attribute_sync(name, values, dtype=dtype)

    async def add_object_attribute(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """Add an attribute of objects.

        Args:
            name: Of the attribute.
            values: ``(O,)`` or ``(O, C)`` values, a row for each of ``level.objects.ids`` and, ids ascending, of the
                objects that have been appended; or ``{object id: value}``.
            dtype: To store them as; by default their own.

        Raises:
            InputError: As ``add_attribute``: one value for each object is needed.
            EditError: The block of the writer has ended.

        Example:
            >>> import asyncio, zarr_vectors as zv
            >>> points = zv.Points([[0.0, 1.0], [5.0, 2.0]], object_ids=[4, 9])
            >>> _ = zv.write("memory://add-object-doc", points)
            >>> level = zv.open("memory://add-object-doc", "r+")[0]
            >>> async def work():
            ...     async with level.writer() as writer:
            ...         await writer.add_object_attribute("name", {9: "soma", 4: "axon"})
            >>> asyncio.run(work())
            >>> level.objects.ids.tolist(), list(level.objects.attributes["name"])
            ([4, 9], ['axon', 'soma'])
        """
        await self._in_worker(lambda: self.add_object_attribute_sync(name, values, dtype=dtype))

    def add_object_attribute_sync(self, name: str, values: Any, *, dtype: Any = None) -> None:
        """``add_object_attribute``, at once."""
        self._take(lambda buffer: buffer.add_object_attribute(name, values, dtype))

    async def append_vertices(self, positions: Any, *, object_ids: Any = None, dtype: Any = None) -> dict[str, int]:
        """Append vertices, and with them new objects, by the rules of ``zv.write(mode="append")``.

        Args:
            positions: ``(N, D)`` positions, or a geometry value of the level's kind, which brings edges, faces and
                values of attributes as well. Attributes that are not given are filled: floats with NaN, text with
                missing, others with what ``level.writer(fill={name: value})`` says.
            object_ids: ``(N,)`` object of each vertex; no object may be there already. By default each vertex of bare
                positions is an object of its own (of lines, each two), with ids above the largest.
            dtype: That of the store, to have positions rounded to it.

        Returns:
            ``vertices_added``, ``new_objects`` and ``chunks_touched``.

        Raises:
            InputError: Positions that are not finite, of another number of axes, outside the bounds, or not to be held
                by the store's dtype; ids that exist; an attribute that has no value for them.
            ConventionError: The level is one that nothing can be appended to.
            EditError: The block of the writer has ended.

        Example:
            >>> import asyncio, zarr_vectors as zv
            >>> points = zv.Points([[0.0, 1.0], [5.0, 2.0]], object_ids=[0, 0])
            >>> _ = zv.write("memory://append-vertices-doc", points)
            >>> level = zv.open("memory://append-vertices-doc", "r+")[0]
            >>> async def work():
            ...     async with level.writer() as writer:
            ...         return await writer.append_vertices([[1.0, 1.0], [2.0, 2.0]], object_ids=[7, 7])
            >>> asyncio.run(work())
            {'vertices_added': 2, 'new_objects': 1, 'chunks_touched': 2}
            >>> level.vertex_count, level.objects.ids.tolist()
            (4, [0, 7])
        """
        return await self._in_worker(lambda: self.append_vertices_sync(positions, object_ids=object_ids, dtype=dtype))

    def append_vertices_sync(self, positions: Any, *, object_ids: Any = None, dtype: Any = None) -> dict[str, int]:
        """``append_vertices``, at once."""
        return self._take(lambda buffer: buffer.append(positions, object_ids, dtype))

    async def commit(self) -> dict[str, Any]:
        """Publish all changes as one commit; the writer may be used on.

        Returns:
            ``committed``, False where there was nothing to do, and ``objects_committed``, the number of new objects.

        Raises:
            ConcurrentEditError: Another writer has changed what values were lined up with; nothing is written.
            UnfinishedCommitError: Everything is written, but not in its place; the writer goes on from there.
            EditError: The block of the writer has ended.

        Example:
            >>> import asyncio, zarr_vectors as zv
            >>> _ = zv.write("memory://writer-commit-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> level = zv.open("memory://writer-commit-doc", "r+")[0]
            >>> async def work():
            ...     writer = level.writer()
            ...     await writer.add_attribute("w", [1, 2])
            ...     return await writer.commit()
            >>> asyncio.run(work())
            {'committed': True, 'objects_committed': 0}
        """
        return await self._in_worker(self.commit_sync)

    def commit_sync(self) -> dict[str, Any]:
        """``commit``, at once."""
        with self._turn:
            try:
                done = self._take(lambda buffer: buffer.commit())
            except UnfinishedCommitError:
                self._start_over()
                raise
            if done["committed"]:
                self._start_over()
            return done

    def _start_over(self) -> None:
        """Go on from what has been written."""
        self._level.refresh()
        self._buffer = self._new_buffer()

    def discard(self) -> None:
        """Forget all changes that wait."""
        with self._turn:
            self._buffer = self._new_buffer()

    def _take(self, call: Callable[[ChangeBuffer], T]) -> T:
        with self._turn:
            if self._closed:
                raise EditError("this writer has ended", store=self._level.storage.url, hint="open another one")
            return call(self._buffer)

    async def _in_worker(self, call: Callable[[], T]) -> T:
        return await in_worker(call, finish=True)

    def _end(self, failed: bool) -> None:
        with self._turn:
            if self._closed:
                return
            try:
                if not failed:
                    self.commit_sync()
            finally:
                self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kind is not None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._in_worker(lambda: self._end(kind is not None))
