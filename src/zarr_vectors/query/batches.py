"""Reading connected geometry some objects at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zarr_vectors.core.state import LevelState
from zarr_vectors.query.geometry import objects_selected, read_shape
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.storage.storage import Storage

__all__ = ["shapes_by_object"]


def shapes_by_object(
    storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan, objects: int, most: int = 0
) -> Iterator[Shape]:
    """Whole objects of a selection, at least one shape.

    So that no link is lost between two of them, all that is left comes at once as soon as one leads to another object.

    Args:
        objects: How many to read at once.
        most: Up to how many that may grow, twofold from one shape to the next.
    """
    ids = objects_selected(storage, level, selection, plan)
    part = replace(selection.at(None), group_ids=None, lenient=True)
    start = 0
    while start < max(1, len(ids)):
        counting = replace(plan, counts_left=start + objects < len(ids))
        batch = replace(part, object_ids=ids[start : start + objects])
        shape = read_shape(storage, level, batch, counting)
        if shape.links_left:
            # No earlier shape had such a link, so none leads back to one.
            yield read_shape(storage, level, replace(part, object_ids=ids[start:]), plan)
            return
        yield shape
        start, objects = start + objects, max(objects, min(2 * objects, most))
