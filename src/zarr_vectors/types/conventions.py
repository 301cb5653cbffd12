"""What a store has been told, when it was made, about those who write into it."""

from __future__ import annotations

import numpy as np

from zarr_vectors import constants
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.metadata.root import RootMetadata
from zarr_vectors.types.kinds import Kind
from zarr_vectors.typing import IntArray, JsonObject

__all__ = ["check_conventions", "check_ids", "keeps_every_link", "stamped_conventions"]


def check_conventions(metadata: RootMetadata, kind: Kind, store: str) -> None:
    """Refuse to write geometry into a store that is to keep its links as no writer does, or another way than the kind.

    Raises:
        ConventionError: With the reason.
    """
    strategy = metadata.cross_chunk_strategy
    if strategy not in (None, constants.CROSS_CHUNK_EXPLICIT):
        raise ConventionError(
            "the store asks for a cross_chunk_strategy that no writer implements: links between chunks are stored as "
            "links, and vertices are not repeated at the faces of chunks",
            store=store,
            got=strategy,
            expected=constants.CROSS_CHUNK_EXPLICIT,
            hint=f"make the store with cross_chunk_strategy={constants.CROSS_CHUNK_EXPLICIT!r}, or leave it out",
        )
    convention = metadata.links_convention
    taken = {None, kind.links_convention, *([constants.LINKS_EXPLICIT] if kind.connects == "tree" else ())}
    if kind.is_linked and convention not in taken:
        raise ConventionError(
            f"the store keeps links by another convention than a {kind.geometry_type} has",
            store=store,
            expected=kind.links_convention,
            got=convention,
            hint="make a store of its own for it, with that links_convention, or leave it out",
        )


def keeps_every_link(metadata: RootMetadata) -> bool:
    """Whether a store leaves no link to the order of its rows."""
    return metadata.links_convention == constants.LINKS_EXPLICIT


def stamped_conventions(metadata: RootMetadata, kind: Kind) -> JsonObject:
    """The conventions of a store that a kind is written into; those that it states stay as they are."""
    defaults = {
        "links_convention": kind.links_convention,
        "object_index_convention": constants.OBJIDX_STANDARD,
        "cross_chunk_strategy": constants.CROSS_CHUNK_EXPLICIT,
    }
    return {name: getattr(metadata, name) or default for name, default in defaults.items()}


def check_ids(metadata: RootMetadata, ids: IntArray, store: str) -> None:
    """Hold a store to ids 0 to n-1, where it was made with ``object_index_convention="identity"``.

    Args:
        ids: ``(O,)`` all ids that the store will have.

    Raises:
        ConventionError: With the first id that is out of place.
    """
    if metadata.object_index_convention != constants.OBJIDX_IDENTITY:
        return
    ordered = np.sort(ids)
    wrong = np.flatnonzero(ordered != np.arange(len(ordered)))
    if len(wrong):
        raise ConventionError(
            "the store was made with object_index_convention='identity', so that its ids must be 0 to n-1",
            store=store,
            got=f"id {ordered[wrong[0]]} in the place of {wrong[0]}",
            hint="number the objects from 0 without a gap, or use a store with the standard convention",
        )
