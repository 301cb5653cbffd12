"""The drivers by which a place that holds bytes can be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from zarr.abc.store import Store
from zarr.storage import MemoryStore

from zarr_vectors.exceptions import MissingDependencyError, StoreError, ZVError
from zarr_vectors.storage.backend import Backend
from zarr_vectors.storage.local import LocalBackend
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
        return ZarrBackend(backend.store, url=backend.url, read_only=backend.read_only)
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


def _obstore(backend: Backend, options: dict[str, Any]) -> Backend:
    stores = _optional("obstore.store", "cloud", "obstore")
    opened = _attempt(backend, "obstore", lambda: stores.from_url(backend.url, **options))
    wrapped = import_module("zarr.storage").ObjectStore(opened, read_only=backend.read_only)
    return ZarrBackend(wrapped, url=backend.url, read_only=backend.read_only)


def _fsspec(backend: Backend, options: dict[str, Any]) -> Backend:
    _optional("fsspec", "fsspec", "fsspec")
    store_class = import_module("zarr.storage").FsspecStore
    if detect_scheme(backend.url) in ("", "file"):
        # Alone among its file systems, that of local files makes no folders by itself.
        options = {"auto_mkdir": True, **options}
    store = _attempt(
        backend,
        "fsspec",
        lambda: store_class.from_url(backend.url, storage_options=options, read_only=backend.read_only),
    )
    return ZarrBackend(store, url=backend.url, read_only=backend.read_only)


def _icechunk(backend: Backend, options: dict[str, Any]) -> Backend:
    return open_backend(
        backend.url, read_only=backend.read_only, storage_options=options, backend="icechunk", autocommit=False
    )


def _optional(module: str, extra: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"this backend needs {package}", hint=f"pip install 'zarr-vectors[{extra}]'"
        ) from error


def _attempt(backend: Backend, driver: str, make: Callable[[], Any]) -> Any:
    """Every driver has errors of its own for URLs and options that it does not take."""
    try:
        return make()
    except ZVError:
        raise
    except ImportError as error:
        raise MissingDependencyError(
            f"the backend {driver!r} lacks a package for this place", got=str(error)
        ) from error
    except Exception as error:
        raise StoreError(
            f"the backend {driver!r} cannot reach this place", store=backend.url, got=f"{type(error).__name__}: {error}"
        ) from error


_DRIVERS: dict[str, Callable[[Backend, dict[str, Any]], Backend]] = {
    "local": _local,
    "obstore": _obstore,
    "fsspec": _fsspec,
    "memory": _memory,
    "icechunk": _icechunk,
}
