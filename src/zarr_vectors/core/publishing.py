"""Making a store fit for static hosting: one request opens it, and nobody changes it."""

from __future__ import annotations

import numpy as np

from zarr_vectors.core.cell_index_reader import CellIndex
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, open_level, open_root
from zarr_vectors.exceptions import OptionError, StoreNotFoundError
from zarr_vectors.storage.backend import Transactional
from zarr_vectors.storage.published import with_documents
from zarr_vectors.storage.storage import ROOT, Batch, Storage
from zarr_vectors.typing import JsonObject

__all__ = ["publish_store", "unpublish_store"]


def publish_store(storage: Storage) -> int:
    """Put copies of all documents into the root document; how many there are.

    A store that is published already is published anew. From here on every writer of this library refuses to change
    it, and readers trust the copies: other programs must not change it either.

    Raises:
        StoreNotFoundError: There is no store.
        ReadOnlyError: The store was opened for reading.
        StoreError: The place cannot list its objects.
        OptionError: The place keeps versions by itself.
    """
    _refuse_transactional(storage)
    with storage.lock(published=True):
        root = _root_of(storage)
        keys = [key for key in storage.list_keys("", recursive=True) if key.endswith(f"/{ROOT}")]
        found = storage.read_stored(keys)
        documents = {path: document for path, document in found.items() if document is not None}
        sealed = _sealed(storage, root)
        storage.commit(Batch(puts=(), root=lambda: with_documents(root, documents, sealed)))
        storage.read_root()
    return len(documents)


def unpublish_store(storage: Storage) -> None:
    """Take the copies out again, so that the store may be changed; nothing happens where there are none.

    Raises:
        StoreNotFoundError: There is no store.
        ReadOnlyError: The store was opened for reading.
    """
    _refuse_transactional(storage)
    with storage.lock(published=True):
        root = _root_of(storage)
        if storage.is_published:
            storage.commit(Batch(puts=(), root=lambda: root))
            storage.read_root()


def _sealed(storage: Storage, root: JsonObject) -> list[int]:
    """Levels whose cell index holds in every point, and so from now on for as long as nobody changes the store."""
    state, _ = open_root(storage)
    sealed: list[int] = []
    for number in level_numbers(storage, root.get("attributes") or {}):
        level = open_level(storage, state, number)
        index = level.index.get(storage)
        if index is not None and _holds(level, index):
            sealed.append(number)
    return sealed


def _holds(level: LevelState, index: CellIndex) -> bool:
    """Whether all that an index describes is as it was."""
    links = {} if level.links is None else level.links.segments
    known = {**level.cells, **{array.path.partition("/")[2]: array for array in (one.array for one in links.values())}}
    arrays = [known[one.name] for one in index.described if one.name in known]
    if len(arrays) < len(index.described) or not all(index.describes(array) for array in arrays):
        return False
    cells = [index.coords if one.presence is None else known[one.name].present for one in index.described]
    asked = [(array, np.arange(len(own))) for array, own in zip(arrays, cells, strict=True)]
    return all(bool(holds.all()) for holds in index.agreeing_each(asked))


def _root_of(storage: Storage) -> JsonObject:
    root, _ = storage.read_root()
    if root is None:
        raise StoreNotFoundError("there is no Zarr Vectors store here", store=storage.url)
    return root


def _refuse_transactional(storage: Storage) -> None:
    if isinstance(storage.backend, Transactional):
        raise OptionError(
            "an Icechunk repository needs no publishing, and zip files cannot be changed",
            store=storage.url,
            hint="tag a snapshot instead, or pack a published folder",
        )
