"""What a store must not say, whatever else it does: documents are not to be trusted."""

from __future__ import annotations

from collections.abc import Mapping

from zarr_vectors import constants
from zarr_vectors.core.listing import OLD_LINKS
from zarr_vectors.exceptions import CorruptionError, FormatError, MetadataError, StoreNotFoundError
from zarr_vectors.metadata.root import OLD_LAYOUT
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.repositories import REPOSITORY_MARKS
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.typing import JsonObject

__all__ = ["check_axes", "checked_slots", "level_attributes", "not_found", "refuse_old_layout"]


def level_attributes(number: int, document: JsonObject, store: str) -> JsonObject:
    """Attributes of a level's group.

    Raises:
        CorruptionError: It is an array.
    """
    if document.get("node_type") == "array":
        raise CorruptionError("a level must be a group", store=store, array=str(number), got="an array")
    attributes: JsonObject = document.get("attributes") or {}
    return attributes


def refuse_old_layout(number: int, documents: Mapping[str, JsonObject | None], store: str) -> None:
    """Refuse a level as formats before 0.9 have them, whatever the root says of its version.

    Args:
        documents: ``zarr.json`` by name below the level.

    Raises:
        FormatError: It is one.
    """
    for name in (constants.VERTICES, constants.VERTEX_FRAGMENTS):
        if (documents.get(name) or {}).get("node_type") == "group":
            raise FormatError(
                "the level is laid out as before format 0.9: a group of arrays where an array must be",
                store=store,
                array=f"{number}/{name}",
                hint=OLD_LAYOUT,
            )
    if documents.get(OLD_LINKS) is not None:
        raise FormatError(
            "the level has links as before format 0.9", store=store, array=f"{number}/{OLD_LINKS}", hint=OLD_LAYOUT
        )


def check_axes(number: int, stated: tuple[int, int], found: tuple[int, int], store: str) -> None:
    """Refuse a level whose chunks have other axes than its root says.

    Args:
        stated: Spatial axes of the root, and axes before those in the level's chunk keys.
        found: Edges of a chunk, and axes of the grid.

    Raises:
        MetadataError: They differ.
    """
    expected = (stated[0], sum(stated))
    if found != expected:
        raise MetadataError(
            "a level differs from its root in its axes",
            store=store,
            array=f"{number}/{constants.VERTICES}",
            expected="chunks of {} axes on a grid of {}".format(*expected),
            got="{} and {}".format(*found),
        )


def checked_slots(manifests: TableArray) -> int:
    """Rows of an object index.

    Raises:
        MetadataError: There are more than the format allows.
    """
    if manifests.rows > constants.MAX_OBJECTS:
        raise MetadataError(
            "the object index has more rows than the format allows",
            store=manifests.store,
            array=manifests.path,
            expected=f"at most {constants.MAX_OBJECTS}",
            got=manifests.rows,
        )
    return manifests.rows


def not_found(storage: Storage) -> StoreNotFoundError:
    """The error for a place without a root document."""
    found = storage.fetch(Get(mark, 0, 1) for mark in REPOSITORY_MARKS)
    if any(data is not None for data in found.values()):
        return StoreNotFoundError(
            "this is an Icechunk repository, not a plain store", store=storage.url, hint="pass backend='icechunk'"
        )
    return StoreNotFoundError(
        "there is no Zarr Vectors store here", store=storage.url, hint="check the path, or write a store first"
    )
