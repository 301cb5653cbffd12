"""Writing a batch to a store that knows nodes and their chunks, and no other keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, Protocol

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.backend import Get, Put

__all__ = ["DOCUMENT", "NodeTransaction", "Workspace", "split_key"]

DOCUMENT = "zarr.json"
AT_ONCE = 64
_BYTES_AT_ONCE = 2**23
_WIDE = 2**31
"""Chunks along each axis of an array whose document has not been put yet."""


class Workspace(Protocol):
    """Where a transaction writes."""

    def fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        """Serve all requests at once; None where there is no such object."""
        ...

    def put_all(self, puts: Iterable[Put]) -> None:
        """Create or overwrite objects, at once."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        ...

    def clear(self) -> None:
        """Remove every object."""
        ...


class NodeTransaction:
    """What a batch is written to, some objects at a time.

    Cells may come before the document of their array, whose presence list is known only when all are written: until
    then an array without bounds stands in for it.

    Args:
        work: Where it is written.
        url: For messages.
    """

    def __init__(self, work: Workspace, url: str) -> None:
        self._work = work
        self._url = url
        self._stand_ins: set[str] = set()
        self._chunks: dict[str, list[int] | None] = {}
        self._waiting: dict[str, bytes] = {}
        self._bytes = 0

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Create or overwrite an object."""
        if split_key(key)[1] is None:
            raise StoreError("Icechunk keeps nodes and their chunks only", store=self._url, got=key)
        self._waiting[key] = bytes(data)
        self._bytes += len(data)
        if len(self._waiting) >= AT_ONCE or self._bytes >= _BYTES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """Put what waits: documents first, and what stands in for those that are still to come."""
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        documents = {key: data for key, data in waiting.items() if not split_key(key)[1]}
        chunks = {key: data for key, data in waiting.items() if key not in documents}
        for key, data in documents.items():
            node = split_key(key)[0]
            self._stand_ins.discard(node)
            self._chunks[node] = _chunks_of(json.loads(data))
        self._work.put_all([*documents.items(), *self._room_for(chunks).items()])
        self._work.put_all(chunks.items())

    def _room_for(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Documents without bounds for arrays that have none yet, or too narrow ones, for these chunks."""
        furthest: dict[str, list[int]] = {}
        for key in keys:
            array, chunk = split_key(key)
            assert chunk is not None
            furthest[array] = [max(pair) for pair in zip(furthest.get(array, chunk), chunk, strict=True)]
        unknown = [Get(f"{array}/{DOCUMENT}") for array in furthest if array not in self._chunks]
        for get, data in zip(unknown, self._work.fetch(unknown), strict=True):
            self._chunks[split_key(get.path)[0]] = None if data is None else _chunks_of(json.loads(data))
        made: dict[str, bytes] = {}
        for array, chunk in furthest.items():
            limit = self._chunks[array]
            if limit is None or any(at >= end for at, end in zip(chunk, limit, strict=True)):
                made[f"{array}/{DOCUMENT}"] = _stand_in(len(chunk))
                self._stand_ins.add(array)
                self._chunks[array] = [_WIDE] * len(chunk)
        return made

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        self._flush()
        self._work.delete(key)
        self._chunks.pop(split_key(key)[0], None)

    def clear(self) -> None:
        """Remove everything."""
        self._work.clear()
        self._chunks.clear()

    def finish(self) -> None:
        """Put what is left.

        Raises:
            StoreError: There are cells of an array whose document has not come.
        """
        self._flush()
        if self._stand_ins:
            raise StoreError(
                "the batch has cells of an array without its document", store=self._url, array=min(self._stand_ins)
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
