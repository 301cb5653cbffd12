"""The drivers by which a place that holds bytes can be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zarr.abc.store import Store
from zarr.storage import MemoryStore

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.backend import Backend
from zarr_vectors.storage.handles import HANDLES
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.objects import zarr_backend
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.urls import detect_scheme, open_backend

__all__ = ["check_sendable", "reopen"]


def check_sendable(backend: Backend) -> None:
    """Refuse to pickle what has no meaning in another process.

    Raises:
        StoreError: The bytes are in the memory of this process.
    """
    in_memory = isinstance(backend, ZarrBackend) and isinstance(backend.store, MemoryStore)
    if in_memory or detect_scheme(backend.url) == "memory":
        raise StoreError(
            "a store in memory cannot be sent to other processes", store=backend.url, hint="write it to a folder or URL"
        )


def reopen(backend: Backend, driver: Any, options: Mapping[str, Any]) -> Backend:
    """The place of a backend by another driver; it is written as the old one was.

    Args:
        backend: What is open.
        driver: ``"local"``, ``"obstore"``, ``"fsspec"``, ``"memory"``, ``"icechunk"``, None, an open zarr store or a
            backend.
        options: ``storage_options`` or the driver's own options.

    Raises:
        StoreError: The driver is not known, or cannot reach the place.
        MissingDependencyError: It is not installed.
    """
    given = dict(options)
    given |= dict(given.pop("storage_options", None) or {})
    if driver is not None and not isinstance(driver, str):
        return _checked(driver, given, backend.read_only)
    if driver not in (None, *_DRIVERS):
        raise StoreError(
            "this backend is not offered", store=backend.url, got=driver, expected=f"one of {', '.join(_DRIVERS)}"
        )
    if isinstance(backend, ZarrBackend) and isinstance(backend.store, MemoryStore):
        # What is in memory has no other name than the store that holds it.
        _refuse(driver not in (None, "memory"), backend, driver)
        return zarr_backend(backend.store, url=backend.url, read_only=backend.read_only)
    if driver is None:
        return open_backend(backend.url, read_only=backend.read_only, storage_options=given)
    return _DRIVERS[driver](backend, given)


def _checked(target: Any, options: dict[str, Any], read_only: bool) -> Backend:
    if not isinstance(target, (Store, LocalBackend, ZarrBackend)):
        raise StoreError("a backend is a name, an open zarr store or a backend", got=type(target).__name__)
    return open_backend(target, read_only=read_only, storage_options=options)


def _refuse(condition: bool, backend: Backend, driver: str | None) -> None:
    if condition:
        raise StoreError(f"the backend {driver!r} cannot reach this place", store=backend.url)


def _local(backend: Backend, options: dict[str, Any]) -> Backend:
    _refuse(detect_scheme(backend.url) not in ("", "file"), backend, "local")
    return open_backend(backend.url, read_only=backend.read_only, storage_options=options)


def _memory(backend: Backend, _options: dict[str, Any]) -> Backend:
    _refuse(True, backend, "memory")
    return backend


def _handle(driver: str) -> Callable[[Backend, dict[str, Any]], Backend]:
    def reopened(backend: Backend, options: dict[str, Any]) -> Backend:
        store = HANDLES[driver](backend.url, detect_scheme(backend.url), options, backend.read_only)
        return zarr_backend(store, url=backend.url, read_only=backend.read_only)

    return reopened


def _icechunk(backend: Backend, options: dict[str, Any]) -> Backend:
    return open_backend(
        backend.url, read_only=backend.read_only, storage_options=options, backend="icechunk", autocommit=False
    )


_DRIVERS: dict[str, Callable[[Backend, dict[str, Any]], Backend]] = {
    "local": _local,
    **{driver: _handle(driver) for driver in HANDLES},
    "memory": _memory,
    "icechunk": _icechunk,
}
