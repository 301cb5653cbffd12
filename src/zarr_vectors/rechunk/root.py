"""The root document of a store in other chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import RootState
from zarr_vectors.metadata.ngff import dataset_entry, level_transform, upsert_dataset, without_dataset
from zarr_vectors.metadata.root import RootMetadata
from zarr_vectors.types.quantise import Packing
from zarr_vectors.typing import JsonObject

__all__ = ["new_root_document", "with_capability"]


def new_root_document(
    root: RootState,
    chunk_shape: Sequence[float],
    *,
    dropped: Sequence[int],
    packings: Sequence[Packing],
    keeps_links: bool,
    names: tuple[str, str],
) -> JsonObject:
    """The root with other chunks and bins, without levels that are dropped, and all else as it was.

    Args:
        root: The root as it is.
        chunk_shape: Edge lengths of the new chunks of level 0.
        dropped: Levels that are left out.
        packings: How positions of levels are rounded, which may have moved them over the bounds.
        keeps_links: Whether there are links between levels.
        names: Of the store, and of the one that is written.
    """
    attributes = {key: value for key, value in root.attributes.items() if key != constants.COMMIT_KEY}
    facts = _with_packings(root.metadata.replace(chunk_shape=tuple(chunk_shape)), packings)
    if tuple(chunk_shape) == tuple(root.metadata.chunk_shape):
        facts = facts.replace(chunk_shape=root.metadata.chunk_shape)
    if not keeps_links and constants.CAP_MULTISCALE_LINKS in facts.format_capabilities:
        left = [token for token in facts.format_capabilities if token != constants.CAP_MULTISCALE_LINKS]
        facts = facts.replace(format_capabilities=left)
    attributes[constants.ROOT_KEY] = facts.to_json()
    for number in dropped:
        attributes["multiscales"] = without_dataset(attributes["multiscales"], number)
    if tuple(facts.bin_shape) != tuple(root.metadata.bin_shape):
        attributes["multiscales"] = _with_bins(root, attributes["multiscales"], facts)
    node = attributes.get("ome")
    if isinstance(node, dict):
        if node.get("name") == names[0]:
            node = {**node, "name": names[1]}
        if dropped:
            gone = [{"type": "zv:level", "name": str(number)} for number in dropped]
            node = {**node, "nodes": [one for one in node.get("nodes") or [] if _named(one) not in gone]}
        attributes["ome"] = node
    return {**root.document, "attributes": attributes}


def with_capability(document: JsonObject, token: str, *, is_used: bool) -> JsonObject:
    """A root document that names a capability, if it is used."""
    facts = RootMetadata.parse(document["attributes"][constants.ROOT_KEY], where="zarr.json")
    if not is_used or token in facts.format_capabilities:
        return document
    facts = facts.replace(format_capabilities=[*facts.format_capabilities, token])
    return {**document, "attributes": {**document["attributes"], constants.ROOT_KEY: facts.to_json()}}


def _named(node: JsonObject) -> JsonObject:
    return {key: node.get(key) for key in ("type", "name")}


def _with_packings(facts: RootMetadata, packings: Sequence[Packing]) -> RootMetadata:
    low, high = (np.asarray(corner, dtype=np.float64) for corner in facts.bounds)
    for packing in packings:
        low, high = packing.widened((low, high))
    return facts.replace(bounds=(tuple(low.tolist()), tuple(high.tolist()))) if packings else facts


def _with_bins(root: RootState, block: list[JsonObject], facts: RootMetadata) -> list[JsonObject]:
    """The NGFF block with the new bins of level 0, and those of coarser levels by how much larger they are."""
    for entry in list(block[0].get("datasets") or []):
        if not str(entry.get("path")).isdecimal():
            continue
        number = int(entry["path"])
        scale, translation = level_transform(block, number)
        bins = np.asarray(facts.bin_shape if not number else root.level_bin_shape(number), dtype=np.float64)
        if not number:
            # With an offset, level 0 says that in the place of its bins.
            half = translation if root.offset is not None else (bins / 2).tolist()
            block = upsert_dataset(block, dataset_entry(0, scale or [1.0] * len(bins), half))
        elif translation is not None:
            ratio = bins / np.asarray(facts.bin_shape, dtype=np.float64)
            block = upsert_dataset(block, dataset_entry(number, ratio.tolist(), translation))
    return block
