"""Editing a store: changes of what it holds, noted down and made as one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from zarr_vectors.api.readable import OpenLevel
from zarr_vectors.edit import EditOptions, Opened, Recorder
from zarr_vectors.edit.structure import Of
from zarr_vectors.exceptions import EditError, InputError, ReadOnlyError
from zarr_vectors.typing import IntArray

__all__ = ["Edit"]


class Edit:
    """Takes down changes of what a store holds; get it from ``store.edit()``, for a ``with`` block.

    The methods check what they are given and change nothing. At the end of the block all is done in the order in which
    it was said, as one commit: either every change is there afterwards, or none. An exception in the block discards
    everything.

    Vertices are named by ``(object id, place in the object)``, as ``level.read(object_ids=[id])`` brings them, or by
    row id, where the store keeps row ids (``Layout(keep_order=True)``). Names and selections mean the store as it was
    when it was opened for the edit, whatever was said before in the block; vertices that are added in the block are
    named by their object and their place, which follow those that the object has. What is not changed stays as it is:
    ids of objects, row ids, attributes, links, groups. Row ids of removed vertices are not given out again.

    Raises:
        InputError, ObjectNotFoundError, AttributeNotFoundError: By every method, for what cannot be done, with nothing
            changed; also at the end of the block, for what only the vertices themselves show.
        EditError: By every method, once the block has ended, or outside of it.
        ConcurrentEditError: At the end of the block, where another writer has changed the store since it was opened.

    Example:
        >>> import zarr_vectors as zv
        >>> cells = zv.Points([[0.0, 1.0], [5.0, 2.0], [6.0, 3.0]], object_ids=[4, 9, 9], attributes={"w": [1, 2, 3]})
        >>> _ = zv.write("memory://edit-doc", cells)
        >>> store = zv.open("memory://edit-doc", "r+")
        >>> with store.edit() as e:
        ...     e.move(object=4, positions=[[1.0, 1.0]])
        ...     e.update([(9, 1)], attributes={"w": 30})
        ...     e.remove(where={"w": 2})
        >>> store[0].read().positions.tolist(), store[0].read().attributes["w"].tolist()
        ([[1.0, 1.0], [6.0, 3.0]], [1, 30])
    """

    def __init__(self, level: OpenLevel, options: Mapping[str, Any], done: Callable[[], object]) -> None:
        if level.storage.read_only:
            raise ReadOnlyError(
                "the store was opened for reading", store=level.storage.url, hint="open it with mode='r+'"
            )
        opened = Opened(level.storage, level.root, level.state, level.kind)
        self._recorder = Recorder(opened, EditOptions(**options))
        self._done = done
        self._state = "new"

    def __enter__(self) -> Self:
        if self._state != "new":
            raise EditError("this edit has begun already", hint="call store.edit() for another one")
        self._state = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = "ended"
        if kind is None and self._recorder.operations:
            self._recorder.commit()
            self._done()

    @property
    def _open(self) -> Recorder:
        if self._state != "open":
            raise EditError(
                "this edit has ended" if self._state == "ended" else "an edit is a with block",
                hint="with store.edit() as e: ...",
            )
        return self._recorder

    def move(self, object: int, positions: Any = None, *, by: Any = None) -> None:  # noqa: A002 (what it names)
        """Move all vertices of an object.

        Args:
            object: Its id.
            positions: ``(n, D)`` new positions, in the order of ``level.read(object_ids=[object])``; floats are rounded
                to the store's dtype.
            by: ``(D,)`` how far to move all of them instead.

        Raises:
            ObjectNotFoundError: There is no such object.
            InputError: Positions outside the bounds, not finite, or not as many as there are vertices.
        """
        recorder = self._open
        recorder.update(recorder.which(vertices=[object])[0], positions, by, None)

    def update(
        self,
        ids: Any = None,
        *,
        row_ids: Any = None,
        positions: Any = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Change positions or attributes of some vertices.

        Args:
            ids: ``(n, 2)`` object id and place in the object of each vertex; or ``(m,)`` ids of whole objects, the
                vertices of which are meant one object after another.
            row_ids: ``(n,)`` row ids instead.
            positions: ``(n, D)`` new positions.
            attributes: ``{name: values}``, a value for each vertex, or one for all. Floats are rounded to the stored
                type, all else must fit it; text may be new.

        Raises:
            ObjectNotFoundError, AttributeNotFoundError: An object or attribute does not exist.
            InputError: A vertex does not exist or is named twice, or values do not fit.
        """
        recorder = self._open
        if ids is None and row_ids is None:
            raise InputError("ids or row_ids must be given", hint="set_attribute changes an attribute of all vertices")
        recorder.update(recorder.which(vertices=ids, row_ids=row_ids)[0], positions, None, attributes)

    def remove(
        self,
        ids: Any = None,
        *,
        object_ids: Any = None,
        row_ids: Any = None,
        group_ids: Any = None,
        bbox: Any = None,
        where: Any = None,
        near: tuple[Any, float] | None = None,
        within: Any = None,
        mode: str | None = None,
    ) -> None:
        """Remove vertices, with the edges and faces that lead to them, or whole objects.

        What goes is what ``level.read`` brings with the same arguments. Objects that are chosen by id, by group, by
        their own attributes, or by a place in the mode ``"objects"`` (the default for all kinds but points), go with
        their ids and attributes. Vertices that are chosen otherwise leave their object behind, even an empty one; a
        polyline goes on from the vertex before to the one after.

        Args:
            ids: ``(n, 2)`` object id and place in the object of each vertex.
            object_ids: Whole objects.
            row_ids: Row ids of vertices.
            group_ids, bbox, where, near, within, mode: As in ``level.read``.

        Raises:
            ObjectNotFoundError, AttributeNotFoundError, InputError: As by ``level.read``; or nothing is chosen.
        """
        recorder = self._open
        select = {"object_ids": object_ids, "group_ids": group_ids, "bbox": bbox, "where": where, "mode": mode}
        select |= {"near": near, "within": within}
        if ids is None and row_ids is None and all(v is None for k, v in select.items() if k != "mode"):
            raise InputError(
                "what is to be removed must be given",
                hint="name ids, row_ids, object_ids, group_ids, bbox, where, near or within",
            )
        which, whole = recorder.which(vertices=ids, row_ids=row_ids, **select)
        recorder.remove(which, whole=whole)

    def add(self, value: Any, *, object_ids: Any = None, extend: bool = False) -> IntArray:
        """Add vertices: of new objects, or more of objects that there are.

        Args:
            value: A geometry value of the store's kind, or ``(N, D)`` positions. Attributes that are not given are
                filled: floats with NaN, text with missing, others with what ``store.edit(fill={name: value})`` says.
            object_ids: ``(N,)`` objects of bare positions.
            extend: Whether objects may exist already; their new vertices come after those that they have.

        Returns:
            ``(O,)`` sorted ids of the objects that the vertices belong to; empty where the level has no objects.

        Raises:
            InputError: Ids exist, positions lie outside the bounds, or an attribute has no value.
            ConventionError: The value is of another kind than the store.
        """
        return self._open.add(value, object_ids, extend=extend)

    def set_attribute(
        self,
        name: str,
        values: Any,
        *,
        object_ids: Any = None,
        row_ids: Any = None,
        group_ids: Any = None,
        bbox: Any = None,
        where: Any = None,
        near: tuple[Any, float] | None = None,
        within: Any = None,
        mode: str | None = None,
    ) -> None:
        """Change an attribute of vertices: of all, or of those that ``level.read`` brings with the same arguments.

        Args:
            name: Of the attribute, which exists.
            values: A value for each of these vertices in the order of the read, or one for all.
            object_ids, group_ids, bbox, where, near, within, mode: As in ``level.read``.
            row_ids: Row ids of vertices instead.

        Raises:
            AttributeNotFoundError: There is no such attribute; the message names the nearest.
            InputError: Values do not fit.
        """
        recorder = self._open
        select = {"object_ids": object_ids, "group_ids": group_ids, "bbox": bbox, "where": where, "mode": mode}
        select |= {"near": near, "within": within}
        which, _ = recorder.which(row_ids=row_ids, **select)
        recorder.update(which, None, None, {name: values})

    def set_object_attribute(self, name: str, values: Any, *, object_ids: Any = None) -> None:
        """Change an attribute of objects.

        Args:
            name: Of the attribute, which exists.
            values: ``{object id: value}``; or a value for each of ``object_ids``, or one for all of them.
            object_ids: Which objects; by default all, in the order of ``level.objects.ids``.

        Raises:
            ObjectNotFoundError, AttributeNotFoundError: An object or the attribute does not exist.
            InputError: Values do not fit.
        """
        self._open.set_object_attribute(name, values, object_ids)

    def add_attribute(self, name: str, values: Any = None, *, fill: Any = None, of: Of = "vertices") -> None:
        """Add an attribute.

        Args:
            name: Of the attribute, which must not exist.
            values: A value for each vertex, object or link in the order of ``level.read()`` and ``level.objects.ids``,
                or one for all; of objects also ``{object id: value}``.
            fill: For all, where no values are given; and for those that are added in the same block.
            of: Whose it is: ``"vertices"``, ``"objects"`` or ``"links"`` (edges or faces).

        Raises:
            InputError: The name is taken or cannot be used, or values cannot be stored.
        """
        self._open.add_attribute(of, name, values, fill)

    def drop_attribute(self, name: str, *, of: Of = "vertices") -> None:
        """Remove an attribute with all its values.

        Args:
            name: Of the attribute.
            of: Whose it is: ``"vertices"``, ``"objects"`` or ``"links"``.

        Raises:
            AttributeNotFoundError: There is no such attribute.
        """
        self._open.drop_attribute(of, name)

    def rename(self, old: str, new: str, *, of: Of = "vertices") -> None:
        """Give an attribute another name; its values, unit and description stay.

        Args:
            old: Its name.
            new: A name that no other attribute has.
            of: Whose it is: ``"vertices"``, ``"objects"`` or ``"links"``.

        Raises:
            AttributeNotFoundError: There is no such attribute.
            InputError: The new name is taken or cannot be used.
        """
        self._open.rename(of, old, new)

    def add_links(self, links: Any = None, *, row_ids: Any = None, attributes: Mapping[str, Any] | None = None) -> None:
        """Add edges or faces between vertices.

        Args:
            links: ``(n, L, 2)`` object id and place in it of each end; of a skeleton child and parent.
            row_ids: ``(n, L)`` row ids instead.
            attributes: ``{name: values}``, a value for each; others are filled as by ``add``.

        Raises:
            ObjectNotFoundError, InputError: An end does not exist, or a vertex of a skeleton would have two parents.
        """
        recorder = self._open
        recorder.add_links(recorder.ends(links, row_ids), attributes)

    def remove_links(self, links: Any = None, *, row_ids: Any = None) -> None:
        """Remove edges or faces; their vertices stay.

        Args:
            links: ``(n, L, 2)`` object id and place in it of each end, in any order unless the graph is directed.
            row_ids: ``(n, L)`` row ids instead.

        Raises:
            ObjectNotFoundError, InputError: There is no such vertex or link.
        """
        recorder = self._open
        recorder.remove_links(recorder.ends(links, row_ids))

    def split(self, object: int, at: Any, *, new_ids: Any = None) -> IntArray:  # noqa: A002 (what it names)
        """Split an object.

        Args:
            object: Its id, which the first part keeps.
            at: Places in the object: each is the first vertex of another part, and the segment before it goes. Of a
                skeleton, the vertex with everything below it becomes an object, and the edge to its parent goes. Edges
                of graphs and faces of meshes stay.
            new_ids: Ids of the other parts; by default the next above the largest.

        Returns:
            ``(n,)`` the ids of the other parts, which have the attributes and groups of the object.

        Raises:
            ObjectNotFoundError, InputError: There is no such object or vertex, or nothing would be left of the object.
        """
        return self._open.split(object, at, new_ids)

    def merge(self, objects: Any, *, into: int | None = None) -> int:
        """Make one object of several.

        Args:
            objects: Their ids; lines follow one another in this order.
            into: Which of them stays, with its attributes; the first by default. It joins the groups of the others.

        Returns:
            The id of the object that stays.

        Raises:
            ObjectNotFoundError, InputError: There is no such object, or not two of them.
        """
        return self._open.merge(objects, into)
