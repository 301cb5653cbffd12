"""What is said of an array beside what follows from its content, carried to the array that takes its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.documents import EVERY_ROW_PRESENT, ID_RUN, OWNERS_OF
from zarr_vectors.core.state import LevelState
from zarr_vectors.metadata.base import dump_json

__all__ = ["array_attributes", "with_described", "with_kept"]

_DESCRIBED = frozenset({"channel_names", "unit", "description", "declared_categorical"})
"""Attributes of arrays in which the old document knows better than a writer."""
_MEANING = frozenset(
    {
        *(
            constants.NONEMPTY_CHUNKS,
            constants.CHUNK_GRID_ORIGIN,
            "encoding",
            "categories",
            "ordered",
            "_FillValue",
            "dtype",
        ),
        *("row_shape", "shape", "offsets", "has_perm", "link_width", "num_links", "num_physical_records"),
        *("num_objects", "num_present", "layout", "object_ids_sorted", "num_groups", "group_ranges"),
        *("fill_sentinel_meaning", EVERY_ROW_PRESENT, ID_RUN, OWNERS_OF),
    }
)
"""Attributes of arrays that follow from what is written; all others are kept."""


def array_attributes(level: LevelState) -> dict[str, Mapping[str, Any]]:
    """Attributes of the arrays of a level, by path."""
    found: dict[str, Mapping[str, Any]] = {}
    for arrays in (level.cells, level.tables):
        found |= {array.path: array.document.attributes for array in arrays.values()}
    for name, document in level.link_documents.items():
        found[f"{level.number}/{name}"] = document.get("attributes") or {}
    if level.object_index is not None:
        found[f"{level.number}/{constants.OBJECT_INDEX}"] = level.object_index
    return found


def with_kept(data: bytes, old: Mapping[str, Any]) -> bytes:
    """The document of an array with what an old one says that does not follow from what is written."""
    document = json.loads(data)
    new = document.get("attributes") or {}
    kept = {key: value for key, value in old.items() if key not in new and key not in _MEANING | _DESCRIBED}
    kept = {key: value for key, value in kept.items() if not key.startswith("zv_")}
    if list(old.get("row_shape") or ()) == list(new.get("row_shape") or ()):
        kept |= {key: old[key] for key in _DESCRIBED if key in old}
    return dump_json({**document, "attributes": {**new, **kept}}) if kept else data


def with_described(data: bytes, old: Mapping[str, Any]) -> bytes:
    """The document of an array with the units, names and descriptions that another says of the same rows."""
    document = json.loads(data)
    new = document.get("attributes") or {}
    if list(old.get("row_shape") or ()) != list(new.get("row_shape") or ()):
        return data
    kept = {key: old[key] for key in sorted(_DESCRIBED) if key in old}
    return dump_json({**document, "attributes": {**new, **kept}}) if kept else data
