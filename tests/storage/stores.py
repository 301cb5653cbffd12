"""Stores to test on: the golden ones, and small ones in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import settings
from zarr.buffer.cpu import Buffer as CpuBuffer
from zarr.storage import MemoryStore

from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests" / "golden"
REFERENCE = REPOSITORY.parent / "shared" / "reference" / "golden"
"""More stores of the same kind, where they are at hand."""


def golden_stores() -> list[Path]:
    folders = (*GOLDEN.iterdir(), *(REFERENCE.iterdir() if REFERENCE.is_dir() else ()))
    return sorted(folder for folder in folders if (folder / "zarr.json").is_file())


def name_of(store: Path) -> str:
    return f"{store.parent.parent.name}-{store.name}"


def nodes(store: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and document of every array of a local store."""
    for path in sorted(store.rglob("zarr.json")):
        document = json.loads(path.read_text())
        if document["node_type"] == "array":
            yield path.parent.relative_to(store).as_posix(), document


def cell_arrays(store: Path) -> Iterator[CellArray]:
    for path, document in nodes(store):
        if "nonempty_chunks" in document["attributes"]:
            yield CellArray(path, ArrayDocument.parse(document, where=path), str(store))


def tables(store: Path) -> Iterator[TableArray]:
    for path, document in nodes(store):
        if "nonempty_chunks" not in document["attributes"]:
            yield TableArray(path, ArrayDocument.parse(document, where=path), str(store))


def stored_objects(store: Path, array: str) -> set[str]:
    """Paths of the stored chunks of an array."""
    folder = store / array / "c"
    return {path.relative_to(store).as_posix() for path in folder.rglob("*") if path.is_file()}


def open_local(store: Path) -> Storage:
    return Storage(LocalBackend(store))


def open_memory(store: MemoryStore | None = None) -> Storage:
    return Storage(ZarrBackend(store or MemoryStore(), url="memory://test"))


def zarr_store(storage: Storage) -> MemoryStore:
    """The zarr store of a storage that ``open_memory`` made."""
    assert isinstance(storage.backend, ZarrBackend)
    assert isinstance(storage.backend.store, MemoryStore)
    return storage.backend.store


def memory_of(backend: Any) -> dict[str, Any]:
    """The content of a store in memory."""
    content: dict[str, Any] = backend.store._store_dict
    return content


def fewer_examples(divisor: int) -> settings:
    """Settings of a property test that is repeated for many parameters."""
    default = settings.default
    assert default is not None
    return settings(max_examples=max(1, default.max_examples // divisor))


def as_buffer(data: bytes) -> CpuBuffer:
    return CpuBuffer.from_bytes(data)


def put_document(storage: Storage, path: str, document: ArrayDocument) -> None:
    storage.backend.put_bytes(f"{path}/zarr.json", dump_json(document.to_json()))
