"""Which levels a store has, and which arrays a level: those that documents name, and those that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from zarr_vectors import constants
from zarr_vectors.exceptions import MetadataError, StoreError
from zarr_vectors.metadata.ngff import level_names
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import JsonObject

__all__ = ["COMPOSITE", "OLD_LINKS", "array_names", "is_cell_array", "is_named", "level_numbers", "renamed_arrays"]

_LEVEL_NAME = re.compile(r"0|[1-9][0-9]{0,8}")
COMPOSITE = "geometry_index"
"""Group of a composite store of 0.9.2, which puts several kinds of geometry side by side."""
OLD_LINKS = "cross_chunk_links"
"""Array of formats before 0.9."""
_FAMILIES = (
    constants.VERTEX_ATTRIBUTES,
    constants.FRAGMENT_ATTRIBUTES,
    constants.OBJECT_ATTRIBUTES,
    constants.GROUP_ATTRIBUTES,
)
_SINGLE = (
    constants.VERTICES,
    constants.VERTEX_FRAGMENTS,
    constants.OBJECT_INDEX,
    constants.OBJECT_MANIFESTS,
    constants.OBJECT_IDS,
    constants.GROUPS,
)


def array_names(storage: Storage, number: int, attributes: JsonObject) -> list[str]:
    """Arrays of a level: those it names and, where listing is cheap or needed, those that are there."""
    declared = attributes.get(constants.ARRAYS_KEY)
    _check_names(storage, number, declared)
    names = dict.fromkeys(declared or ())
    if declared is None or storage.backend.is_local:
        names |= dict.fromkeys((*_SINGLE, COMPOSITE, OLD_LINKS, constants.LINK_FRAGMENTS)) if declared is None else {}
        try:
            families = (*_FAMILIES, f"{constants.LINKS}/0", constants.LINK_ATTRIBUTES)
            children = storage.list_children([f"{number}/{family}" for family in families])
            attributes_of_links = children.pop(f"{number}/{constants.LINK_ATTRIBUTES}")
            names |= dict.fromkeys(_link_attribute_names(storage, attributes_of_links))
        except StoreError as error:
            raise StoreError(
                f"level {number} does not name its arrays, and the store cannot list them",
                store=storage.url,
                hint="open it from a place that can list, and publish it from there",
            ) from error
        found = [key for keys in children.values() for key in keys if key.endswith("/")]
        names |= {key.split("/", 1)[1].rstrip("/"): None for key in found}
        if any(name.startswith(f"{constants.LINKS}/0/") for name in names):
            names[f"{constants.LINKS}/0"] = None
    if constants.OBJECT_MANIFESTS in names:
        names[constants.OBJECT_INDEX] = None
    return list(names)


def _check_names(storage: Storage, number: int, declared: object) -> None:
    """Refuse names that are none of arrays below the level."""
    names = declared or []
    if not isinstance(names, list):
        raise MetadataError("the list of a level's arrays is malformed", store=storage.url, array=f"{number}/zarr.json")
    for name in names:
        if not isinstance(name, str) or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise MetadataError(
                "the list of a level's arrays has what is no name of an array below it",
                store=storage.url,
                array=f"{number}/zarr.json",
                got=repr(name)[:200],
            )


def _link_attribute_names(storage: Storage, attributes: Iterable[str]) -> list[str]:
    """Arrays of these attributes of links, which lie in folders of their own, one for each delta."""
    names = [key for key in attributes if key.endswith("/")]
    found = storage.list_children([f"{name}0" for name in names]) if names else {}
    return [key.split("/", 1)[1].rstrip("/") for keys in found.values() for key in keys if key.endswith("/")]


def renamed_arrays(declared: Iterable[str], made: Mapping[str, JsonObject], gone: Sequence[str]) -> list[str]:
    """The arrays that a level's document names, after nodes below the level have been made and removed.

    Args:
        declared: What it names so far.
        made: Documents by name below the level.
        gone: Names of what is removed with everything below it.

    Example:
        >>> array = {"node_type": "array"}
        >>> renamed_arrays(["groups", "vertices"], {"vertex_attributes/w": array, "mine": array}, ["groups"])
        ['vertex_attributes/w', 'vertices']
    """
    kept = {name for name in declared if not any(name == head or name.startswith(f"{head}/") for head in gone)}
    return sorted(kept | {name for name, document in made.items() if is_named(name, document)})


def is_named(name: str, document: JsonObject) -> bool:
    """Whether a level's document names a node: arrays of the format, and the groups that open with them."""
    parts = name.split("/")
    if document.get("node_type") == "group":
        return name in (constants.OBJECT_INDEX, f"{constants.LINKS}/0")
    if parts[0] in (constants.LINKS, constants.LINK_ATTRIBUTES):
        return parts[-2] == "0" and len(parts) == (3 if parts[0] == constants.LINKS else 4)
    return name in (*_SINGLE, constants.LINK_FRAGMENTS) or (parts[0] in _FAMILIES and len(parts) == 2)


def is_cell_array(name: str) -> bool:
    """Whether a name below a level is that of a chunk-grid array of positions or attributes."""
    return name.partition("/")[0] in {
        constants.VERTICES,
        constants.VERTEX_FRAGMENTS,
        constants.VERTEX_ATTRIBUTES,
        constants.FRAGMENT_ATTRIBUTES,
    }


def level_numbers(storage: Storage, attributes: JsonObject) -> list[int]:
    """The levels of a store: listed where listing is cheap, else as the root names them.

    Args:
        attributes: Of the root.
    """
    if storage.backend.is_local:
        names = [key.rstrip("/") for key in storage.list_keys("") if key.endswith("/")]
    else:
        names = level_names(attributes.get("ome"), attributes.get("multiscales"))
    return sorted(int(name) for name in names if _LEVEL_NAME.fullmatch(name))
