"""Writing a batch to a store that knows nodes and their chunks, and no other keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from typing import Any

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.remote import ZarrBackend

__all__ = ["DOCUMENT", "NodeTransaction", "split_key"]

DOCUMENT = "zarr.json"
_WIDE = 2**31
"""Chunks along each axis of an array whose document has not been put yet."""


class NodeTransaction:
    """What a batch is written to.

    Cells may come before the document of their array, whose presence list is known only when all are written: until
    then an array without bounds stands in for it.
    """

    def __init__(self, work: ZarrBackend) -> None:
        self._work = work
        self._stand_ins: set[str] = set()
        self._chunks: dict[str, list[int] | None] = {}

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Create or overwrite an object."""
        array, chunk = split_key(key)
        if chunk is None:
            raise StoreError("Icechunk keeps nodes and their chunks only", store=self._work.url, got=key)
        if chunk:
            self._make_room(array, chunk)
        else:
            self._stand_ins.discard(array)
            self._chunks.pop(array, None)
        self._work.put_bytes(key, data)

    def _make_room(self, array: str, chunk: Sequence[int]) -> None:
        if array not in self._chunks:
            data = self._work.fetch([Get(f"{array}/{DOCUMENT}")])[0]
            self._chunks[array] = None if data is None else _chunks_of(json.loads(data))
        limit = self._chunks[array]
        if limit is None or any(at >= end for at, end in zip(chunk, limit, strict=True)):
            self._work.put_bytes(f"{array}/{DOCUMENT}", _stand_in(len(chunk)))
            self._stand_ins.add(array)
            self._chunks[array] = [_WIDE] * len(chunk)

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        self._work.delete(key)
        self._chunks.pop(split_key(key)[0], None)

    def clear(self) -> None:
        """Remove everything."""
        self._work.clear()
        self._chunks.clear()

    def check(self) -> None:
        """Refuse a batch that has put cells and not the document of their array."""
        if self._stand_ins:
            raise StoreError(
                "the batch has cells of an array without its document",
                store=self._work.url,
                array=min(self._stand_ins),
            )


def split_key(key: str) -> tuple[str, list[int] | None]:
    """The node that a key belongs to, and the index of a chunk; an empty one for the node's document.

    None in place of the index for keys that Icechunk does not have.
    """
    if key == DOCUMENT or key.endswith("/" + DOCUMENT):
        return key[: -len(DOCUMENT)].rstrip("/"), []
    node, found, index = key.rpartition("/c/")
    parts = index.split("/")
    if found and node and all(part.isdecimal() for part in parts):
        return node, [int(part) for part in parts]
    return key, None


def _chunks_of(document: Any) -> list[int] | None:
    """Chunks along each axis of an array."""
    try:
        shape, chunk = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
        return [ceil(length / size) for length, size in zip(shape, chunk, strict=True)]
    except (KeyError, TypeError, ValueError):
        return None


def _stand_in(ndim: int) -> bytes:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [_WIDE] * ndim,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1] * ndim}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }
    return json.dumps(document).encode()
