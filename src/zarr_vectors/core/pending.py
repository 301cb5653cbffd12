"""Changes to a store that have been asked for and not been committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from zarr_vectors.core.documents import group_document
from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import StoreError
from zarr_vectors.typing import ChunkCoord, JsonObject

__all__ = ["GONE", "Pending"]

GONE: Final = object()
"""In the place of an attribute's value: the attribute is removed."""


@dataclass
class Pending:
    """Changes in the order in which they were asked for: what is removed first is written anew afterwards.

    Args:
        documents: ``zarr.json`` of nodes that are made, or made anew, by path.
        groups: ``zarr.json`` of groups that are made where there is none.
        attributes: What is merged into the attributes of nodes; ``GONE`` removes.
        cells: Cell payloads by array path and chunk coordinate.
        objects: Other stored objects by path.
        deletes: Prefixes to remove.
        stored: Documents as they were stored when a batch first asked for them.
    """

    documents: dict[str, JsonObject] = field(default_factory=dict)
    groups: dict[str, JsonObject] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, dict[ChunkCoord, bytes]] = field(default_factory=dict)
    objects: dict[str, Buffer] = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)
    stored: dict[str, JsonObject | None] = field(default_factory=dict)

    def declare(self, path: str, document: JsonObject) -> None:
        """Make a node, or make it anew, and the groups above it where there are none."""
        self.ensure_group(path.rpartition("/")[0])
        self.documents[path] = document
        self.groups.pop(path, None)
        self.attributes.pop(path, None)

    def ensure_group(self, path: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Make a group and those above it, each where there is none."""
        parts = path.split("/") if path else []
        for length in range(1, len(parts) + 1):
            above = "/".join(parts[:length])
            self.groups.setdefault(above, group_document(dict(attributes or {}) if above == path else None))

    def merge(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Merge attributes into those of a node; a missing one becomes a group."""
        if path:
            self.ensure_group(path.rpartition("/")[0])
        self.attributes.setdefault(path, {}).update(attributes)

    def delete(self, path: str) -> None:
        """Remove a node and everything below it, what has not been committed too."""
        for waiting in (self.documents, self.groups, self.attributes, self.cells, self.objects):
            for known in [known for known in waiting if _is_below(known, path)]:
                del waiting[known]
        self.deletes.append(path)

    def is_deleted(self, path: str) -> bool:
        """Whether what is stored at a path is removed."""
        return any(_is_below(path, prefix) for prefix in self.deletes)

    def paths(self) -> Iterator[str]:
        """Every node that the changes concern."""
        yield from self.documents
        yield from self.groups
        yield from self.attributes
        yield from self.cells

    def seen_through(self, path: str, stored: JsonObject | None) -> JsonObject | None:
        """A node's document with the changes made, from what is stored; None where there is no node."""
        document = self.documents.get(path) or (None if self.is_deleted(path) else stored) or self.groups.get(path)
        changes = self.attributes.get(path)
        if changes is None:
            return document
        document = document or group_document()
        merged = {**(document.get("attributes") or {}), **changes}
        return {**document, "attributes": {key: value for key, value in merged.items() if value is not GONE}}

    def documents_over(self, stored: Mapping[str, JsonObject | None], store: str) -> dict[str, JsonObject]:
        """Documents that change, with the changes made to those that are stored.

        Raises:
            StoreError: An array stands where a group has to be.
        """
        for path in self.groups:
            node = self.seen_through(path, stored.get(path))
            if node is not None and node.get("node_type") != "group" and path not in self.documents:
                raise StoreError("an array stands where a group has to be", store=store, array=path)
        changed: dict[str, JsonObject] = {}
        for path in dict.fromkeys((*self.documents, *self.groups, *self.attributes)):
            old = None if self.is_deleted(path) else stored.get(path)
            new = self.seen_through(path, stored.get(path))
            if new is not None and new != old:
                changed[path] = new
        return changed


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
