"""Object stores that are opened through obstore: they copy by themselves, and overwrite what is still as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache, partial
from hashlib import blake2b
from importlib import import_module
from typing import Any

from zarr.abc.store import Store
from zarr.storage import MemoryStore

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.storage.backend import ABSENT, Stamp, Versioned, changed_meanwhile
from zarr_vectors.storage.lease import Lease
from zarr_vectors.storage.loop import IN_FLIGHT, Change
from zarr_vectors.storage.memory import MemoryBackend
from zarr_vectors.storage.remote import ZarrBackend

__all__ = ["ObstoreBackend", "zarr_backend"]

_DELETED_AT_ONCE = 1000
_FEW_ASKED = 4
"""Objects of an array whose stamps are asked for one by one; a listing tells of a thousand."""
_UNFIT = frozenset({"LocalStore", "HTTPStore"})
"""Stores of obstore that have no conditional overwrite."""


@cache
def _obstore() -> Any:
    return import_module("obstore")


def zarr_backend(store: Store, *, url: str | None = None, read_only: bool = False) -> ZarrBackend:
    """The backend that makes the most of a zarr store."""
    if type(store) is MemoryStore:
        return MemoryBackend(store, url=url, read_only=read_only)
    handle = getattr(store, "store", None)
    through_obstore = type(store).__name__ == "ObjectStore" and type(handle).__module__.startswith("obstore")
    fit = through_obstore and type(handle).__name__ not in _UNFIT
    return (ObstoreBackend if fit else ZarrBackend)(store, url=url, read_only=read_only)


class ObstoreBackend(ZarrBackend):
    """A zarr ``ObjectStore`` in a place with conditional puts."""

    copies_at_once = IN_FLIGHT
    is_shared = True
    has_stamps = True

    def __init__(self, store: Store, *, url: str | None = None, read_only: bool = False) -> None:
        super().__init__(store, url=url, read_only=read_only)
        self._handle: Any = store.store  # type: ignore[attr-defined]  # only zarr's ObjectStore gets here
        self._compares: bool | None = None

    @property
    def locks_everyone(self) -> bool:
        """Unless the place has been found not to heed the condition of a put."""
        return self._compares is not False

    def read_versioned(self, key: str) -> Versioned | None:
        """The whole object as it is now; None where there is none."""

        async def read() -> Versioned | None:
            try:
                found = await _obstore().get_async(self._handle, key)
                return Versioned(bytes(await found.bytes_async()), _version_of(found.meta))
            except FileNotFoundError:
                return None

        return self._ask(read())

    def stamps(self, paths: Sequence[str]) -> list[Stamp | None]:
        """Size and ETag of objects: few are asked for one by one, many by listing what lies below their arrays."""

        async def told(key: str) -> list[Any]:
            try:
                return [await _obstore().head_async(self._handle, key)]
            except FileNotFoundError:
                return []

        async def listed(prefix: str) -> list[Any]:
            return [meta async for part in _obstore().list(self._handle, prefix=prefix) for meta in part]

        of: dict[str, list[str]] = {}
        for path in dict.fromkeys(paths):
            of.setdefault(path.rpartition("/c/")[0], []).append(path)
        few = [key for keys in of.values() if len(keys) <= _FEW_ASKED for key in keys]
        many = [array for array, keys in of.items() if len(keys) > _FEW_ASKED]

        async def all_told() -> list[list[Any]]:
            return list(await asyncio.gather(*map(told, few), *map(listed, many)))

        found = {str(meta["path"]): _stamp_of(meta) for part in self._ask(all_told()) for meta in part}
        return [found.get(path, ABSENT) for path in paths]

    def swap(self, key: str, data: Buffer, expected: Versioned | None) -> Versioned:
        """Overwrite an object that is still as it was, by a conditional put.

        Raises:
            ConcurrentEditError: It is another one by now.
        """
        if not self.locks_everyone:
            return super().swap(key, data, expected)
        kept = bytes(data)
        errors = _obstore().exceptions
        done: list[Any] = []

        async def put() -> None:
            mode = "create" if expected is None else expected.version
            try:
                with self._told(key, errors.AlreadyExistsError, errors.PreconditionError, FileNotFoundError):
                    done.append(await _obstore().put_async(self._handle, key, kept, mode=mode, use_multipart=False))
            except (errors.AlreadyExistsError, errors.PreconditionError, FileNotFoundError):
                return

        self._change_all([Change(key, len(kept), put)])
        if done:
            return Versioned(kept, _version_of(done[0]))
        # A put that was repeated because its answer was lost finds what it has put itself.
        found = self.read_versioned(key)
        if found is None or found.data != kept:
            raise changed_meanwhile(self.url, key)
        return found

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove objects, many with a request; a missing one is no error."""
        listed = list(keys)
        parts = [listed[at : at + _DELETED_AT_ONCE] for at in range(0, len(listed), _DELETED_AT_ONCE)]
        self._change_all(Change(part[0], 0, partial(self._delete_part, part)) for part in parts)

    async def _delete_part(self, keys: list[str]) -> None:
        with self._told(keys[0], FileNotFoundError):
            try:
                await _obstore().delete_async(self._handle, keys)
            except FileNotFoundError:
                # Some places stop at the first that is not there.
                for key in keys:
                    await self._delete(key)

    async def _copy(self, source: str, target: str) -> bool:
        """Whether there is such an object; it does not come here."""
        try:
            with self._told(target, FileNotFoundError):
                await _obstore().copy_async(self._handle, source, target)
        except FileNotFoundError:
            return False
        return True

    def _begin(self, lease: Lease) -> None:
        if self._compares is None:
            self._compares = lease.keeps_others_out()


def _version_of(said: Any) -> dict[str, Any]:
    """What a conditional put wants to know of an object; keys without a value are left out."""
    return {key: said[key] for key in ("e_tag", "version") if said.get(key) is not None}


def _stamp_of(meta: Any) -> Stamp | None:
    """Size and digest of the ETag of an object; None where it has none."""
    tag = meta.get("e_tag")
    if not tag:
        return None
    return Stamp(int(meta["size"]), int.from_bytes(blake2b(str(tag).encode(), digest_size=8).digest()) >> 1)
