"""The documents of a store that are not arrays: root, level, headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zarr_vectors import constants
from zarr_vectors.axes import Axis
from zarr_vectors.core.cell_index import INDEX_VERSION
from zarr_vectors.core.documents import group_document
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.metadata.ngff import multiscales_block, ome_node
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.typing import JsonObject

__all__ = ["HEADER_NAMES", "header_puts", "level_document", "new_root_document", "read_headers"]

HEADER_NAMES = "zarr_vectors_headers"
"""Root attribute (additive): names under ``headers/``, so that nothing needs listing."""


def new_root_document(metadata: RootMetadata, axes: Sequence[Axis], name: str) -> JsonObject:
    """The root of a new store with level 0."""
    return group_document(
        {
            constants.ROOT_KEY: metadata.to_json(),
            "multiscales": multiscales_block(axes, metadata.bin_shape),
            "ome": ome_node(name, axes, [0]),
        }
    )


def level_document(
    metadata: LevelMetadata, arrays: Sequence[str], old: JsonObject | None = None, *, indexed: bool = False
) -> JsonObject:
    """A level's group; foreign attributes of an old one are kept.

    Args:
        indexed: Whether a cell index is written with it; one of before stays, which may be out of date by now.
    """
    attributes = dict((old or {}).get("attributes") or {})
    attributes[constants.LEVEL_KEY] = metadata.to_json()
    attributes[constants.ARRAYS_KEY] = sorted(arrays)
    if indexed:
        attributes[constants.CELL_INDEX_KEY] = INDEX_VERSION
    return group_document(attributes)


def header_puts(headers: Mapping[str, JsonObject]) -> list[Put]:
    """The groups that keep what files said about themselves."""
    if not headers:
        return []
    puts: list[Put] = [(f"{constants.HEADERS}/zarr.json", dump_json(group_document()))]
    for name, header in headers.items():
        puts.append((f"{constants.HEADERS}/{name}/zarr.json", dump_json(group_document(dict(header)))))
    return puts


def read_headers(storage: Storage, root_attributes: JsonObject) -> dict[str, JsonObject]:
    """Every header, in one round, or two where the names must be listed."""
    names = root_attributes.get(HEADER_NAMES)
    if names is None and storage.backend.is_local:
        names = [key.split("/")[1] for key in storage.list_keys(constants.HEADERS) if key.endswith("/")]
    if not isinstance(names or [], list) or not all(isinstance(name, str) for name in names or ()):
        raise MetadataError("the list of headers is malformed", store=storage.url, array="zarr.json")
    paths = {name: f"{constants.HEADERS}/{name}/zarr.json" for name in names or ()}
    documents = storage.read_documents(list(paths.values()))
    found = {name: documents[path] for name, path in paths.items()}
    return {name: document.get("attributes") or {} for name, document in found.items() if document is not None}
