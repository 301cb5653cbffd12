"""Edits that write no more than they touch.

Most edits concern a few chunks of a level, and need no others read or written. What operations name is looked up first
(``scope``), the chunks around it become a draft, and the operations are done to that as they would be to a draft of
the whole level, so that both come to the same. What differs is how the draft is written, of which there are these ways:

* ``in_place``: values that change where they are, of levels of every kind; arrays in which none does stay as they are,
  and so do all cells when it is only attributes of objects that change.
* ``columns``: attributes of vertices that are made, dropped and renamed, of levels of every kind; only their own arrays
  are written, and those that get another name are copied as they are.
* ``objects_gone``: objects that go as a whole, from levels of every kind; the chunks in which they have vertices are
  written, and the links that lead there.
* ``moved_objects``: connected objects of which vertices leave their chunks; they are cut out of these and appended.
* ``chunks``: points that leave their chunks, come or go; all arrays of these chunks are written anew.

Whatever fits none of these is left to ``rewrite``, which makes the whole level anew and writes what differs.
"""

from __future__ import annotations

from collections.abc import Sequence

from zarr_vectors.edit.checks import has_owners
from zarr_vectors.edit.chunks import can_write_chunks, write_chunks
from zarr_vectors.edit.columns import write_columns
from zarr_vectors.edit.in_place import write_in_place
from zarr_vectors.edit.moved_objects import move_objects
from zarr_vectors.edit.objects_gone import remove_objects
from zarr_vectors.edit.operations import AddRows, Operation, Remove, SetObjectAttribute, Update
from zarr_vectors.edit.scope import find_scope
from zarr_vectors.edit.structure import AddAttribute, Drop, Merge, Rename, Split
from zarr_vectors.edit.which import Opened

__all__ = ["edit_in_part"]

_STRUCTURAL = (Remove, AddRows, Split, Merge)
"""Change which vertices there are, or whose they are."""
_OF_ATTRIBUTES = (AddAttribute, Drop, Rename)


def edit_in_part(opened: Opened, operations: Sequence[Operation], out_of_bounds: str, *, refresh: bool) -> bool:
    """Do all operations by writing a part of the level, where that can be done and is worth it.

    Args:
        opened: The store as it is.
        out_of_bounds: What becomes of bounds that positions leave.
        refresh: Whether coarser levels are made anew right after.

    Returns:
        Whether it is done; nothing has been written otherwise.

    Raises:
        InputError, ObjectNotFoundError, ConventionError: An operation cannot be done; nothing is written.
    """
    level = opened.level
    plain = level.written_here and has_owners(level) == level.has_objects and len(level.vertices.present)
    if not plain or not all(map(_is_known, operations)):
        return False
    if "attribute_specs" in opened.root.metadata.to_json() and any(
        isinstance(one, _OF_ATTRIBUTES) for one in operations
    ):
        # The root has something to say of attributes by their names.
        return False
    if any(map(_is_of_vertices, operations)):
        return write_columns(opened, operations)
    stays = not any(isinstance(one, _STRUCTURAL) for one in operations)
    whole = all(map(_is_of_whole_objects, operations))
    if not stays and not whole and not can_write_chunks(opened):
        return False
    scope = find_scope(opened, operations)
    if scope is None:
        return False
    if stays and (write_in_place(scope) or move_objects(scope, out_of_bounds)):
        return True
    if whole and not stays and remove_objects(scope, refresh=refresh):
        return True
    return can_write_chunks(opened) and write_chunks(scope, out_of_bounds, refresh=refresh)


def _is_known(operation: Operation) -> bool:
    """Whether an operation can be done without the whole level."""
    if isinstance(operation, _OF_ATTRIBUTES):
        return operation.of != "links"
    return isinstance(operation, (Update, SetObjectAttribute, *_STRUCTURAL))


def _is_of_vertices(operation: Operation) -> bool:
    """Whether an operation makes, drops or renames an attribute of vertices."""
    return isinstance(operation, _OF_ATTRIBUTES) and operation.of == "vertices"


def _is_of_whole_objects(operation: Operation) -> bool:
    """Whether an operation removes whole objects, or is about their attributes."""
    if isinstance(operation, _OF_ATTRIBUTES):
        return operation.of == "objects"
    return isinstance(operation, SetObjectAttribute) or (isinstance(operation, Remove) and operation.whole)
