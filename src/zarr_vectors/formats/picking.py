"""The part of a file that a selection keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import InputError
from zarr_vectors.formats.base import Source
from zarr_vectors.geometry import Geometry, as_ids, take_column
from zarr_vectors.spatial.box import ClosedBox

__all__ = ["picked"]


def picked(source: Source, bbox: Any, object_ids: Any) -> Iterator[Geometry]:
    """The batches of a file with only the vertices in a closed box and of some objects, and only their tables.

    Raises:
        InputError: Objects are asked for, and the file has none.
    """
    wanted = None if object_ids is None else as_ids("object_ids", np.atleast_1d(object_ids))
    for batch in source.batches:
        keep = np.ones(batch.vertex_count, dtype=bool)
        if bbox is not None:
            names = [axis.name for axis in source.axes or batch.axes or as_axes(None, batch.ndim)]
            keep &= ClosedBox.from_user(bbox, names).mask(batch.positions)
        owners = batch.vertex_objects
        if wanted is not None:
            if owners is None:
                raise InputError(
                    "the file has no object ids",
                    hint="name their column: ReadOptions(object_ids=...), or --object-id-column",
                )
            keep &= np.isin(owners, wanted)
        if bbox is None and wanted is None:
            yield batch
        else:
            yield _without_idle_objects(batch if keep.all() else batch.within(keep), wanted)


def _without_idle_objects(batch: Geometry, wanted: Any) -> Geometry:
    """The value with tables of the objects that have vertices left, or are asked for by id."""
    owners = batch.vertex_objects
    if batch.objects is None or owners is None:
        return batch
    kept = np.isin(batch.objects, owners if wanted is None else wanted)
    if kept.all():
        return batch
    ids = batch.objects[kept]
    return replace(
        batch,
        objects=ids,
        object_attributes={name: take_column(column, kept) for name, column in batch.object_attributes.items()},
        groups={group: members[np.isin(members, ids)] for group, members in batch.groups.items()},
    )
