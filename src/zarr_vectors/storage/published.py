"""Stores whose root document holds all other documents, so that one request opens them.

It holds them as zarr-python's consolidated metadata does. An attribute of ours says that nobody changes the store any
more: only then may the copies be believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zarr_vectors.constants import PUBLISHED_KEY
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.typing import JsonObject

__all__ = ["children_of", "published_documents", "sealed_levels", "with_documents", "without_documents"]

_CONSOLIDATED = "consolidated_metadata"
_DOCUMENT = "/zarr.json"


def with_documents(root: JsonObject, documents: Mapping[str, JsonObject], sealed: Sequence[int] = ()) -> JsonObject:
    """A root document that holds all others.

    Args:
        root: The root document.
        documents: The others, by path: ``"0/zarr.json"``.
        sealed: Levels whose cell index need not be checked.

    Example:
        >>> root = with_documents({"attributes": {}}, {"0/zarr.json": {"node_type": "group"}})
        >>> published_documents(root, store="memory://")
        {'0/zarr.json': {'node_type': 'group'}}
        >>> without_documents(root)
        {'attributes': {}}
    """
    nodes = {path.removesuffix(_DOCUMENT): document for path, document in sorted(documents.items())}
    mark: JsonObject = {"documents": len(nodes), **({"cell_indexes": [*sealed]} if sealed else {})}
    return {
        **root,
        "attributes": {**(root.get("attributes") or {}), PUBLISHED_KEY: mark},
        _CONSOLIDATED: {"kind": "inline", "must_understand": False, "metadata": nodes},
    }


def without_documents(root: JsonObject) -> JsonObject:
    """The root document alone, of a store that may be changed."""
    attributes = {key: value for key, value in (root.get("attributes") or {}).items() if key != PUBLISHED_KEY}
    return {**{key: value for key, value in root.items() if key != _CONSOLIDATED}, "attributes": attributes}


def published_documents(root: JsonObject | None, *, store: str) -> dict[str, JsonObject] | None:
    """All other documents by path; None where the root document does not speak for them.

    Raises:
        CorruptionError: It says that it does, but does not hold as many as it says.
    """
    mark: Any = ((root or {}).get("attributes") or {}).get(PUBLISHED_KEY)
    if mark is None:
        return None
    held = (root or {}).get(_CONSOLIDATED)
    nodes = held.get("metadata") if isinstance(held, dict) else None
    if (
        not isinstance(mark, dict)
        or not isinstance(nodes, dict)
        or len(nodes) != mark.get("documents")
        or not all(isinstance(node, dict) for node in nodes.values())
    ):
        raise CorruptionError(
            "the store is published, but its root document does not hold the documents that it should",
            store=store,
            array="zarr.json",
            hint="publish it anew from where it can be written",
        )
    return {path + _DOCUMENT: node for path, node in nodes.items()}


def sealed_levels(root: JsonObject) -> frozenset[int]:
    """Levels of a published store whose cell index need not be checked."""
    mark: Any = ((root.get("attributes") or {}).get(PUBLISHED_KEY) or {}).get("cell_indexes")
    return frozenset(number for number in mark if type(number) is int) if isinstance(mark, list) else frozenset()


def children_of(documents: Mapping[str, JsonObject], prefix: str) -> list[str]:
    """Immediate children of a node, with a slash where there are nodes at or below them.

    Example:
        >>> children_of({"0/zarr.json": {}, "0/a/w/zarr.json": {}, "0/a/v/zarr.json": {}}, "0/a")
        ['0/a/v/', '0/a/w/']
    """
    head = prefix.strip("/") and prefix.strip("/") + "/"
    below = [path[len(head) :].split("/") for path in documents if path.startswith(head)]
    return sorted({head + parts[0] + "/" for parts in below if len(parts) > 1})
