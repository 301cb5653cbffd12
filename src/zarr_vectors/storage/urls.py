"""From what a user names a store by to a backend."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable
from urllib.parse import unquote, urlsplit

from zarr.abc.store import Store
from zarr.storage import LocalStore, MemoryStore, ZipStore

from zarr_vectors.exceptions import InputError, OptionError, ReadOnlyError, StoreError
from zarr_vectors.storage.archive import ZipBackend
from zarr_vectors.storage.backend import Backend, StorageBackend
from zarr_vectors.storage.handles import HANDLES
from zarr_vectors.storage.icechunk import IcechunkBackend
from zarr_vectors.storage.icechunk_repository import View
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.objects import zarr_backend
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.repositories import holds_repository, is_icechunk_value, is_session_store, place_of

__all__ = ["OpenGroup", "StoreLike", "detect_scheme", "open_backend", "store_name", "zarr_store_of"]


@runtime_checkable
class OpenGroup(Protocol):
    """A group of a store that is open."""

    @property
    def backend(self) -> Backend:
        """Where the store is."""
        ...

    @property
    def prefix(self) -> str:
        """Path of the group in the store; empty for its root."""
        ...


StoreLike: TypeAlias = "str | os.PathLike[str] | Store | Backend | OpenGroup"
"""A path, a URL, an open zarr store, a backend, or the root ``Group`` of an open store; a repository or storage of
Icechunk too. The zarr store of an Icechunk session can only be read: to write, pass the group."""

_WEB_SCHEMES = frozenset({"http", "https"})
_OBSTORE_SCHEMES = frozenset({"s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss"}) | _WEB_SCHEMES
_memory: dict[str, MemoryStore] = {}


def detect_scheme(url: str | os.PathLike[str]) -> str:
    r"""The scheme of a URL in lower case.

    Args:
        url: A URL or a path.

    Returns:
        The scheme; empty for a path, one with a drive letter of Windows included.

    Raises:
        TypeError: It is neither text nor a path.

    Example:
        >>> detect_scheme("S3://bucket/a"), detect_scheme("/tmp/a"), detect_scheme("C:\\a")
        ('s3', '', '')
    """
    match = re.match(r"([A-Za-z][A-Za-z0-9+.\-]+):", os.fspath(url))
    return match.group(1).lower() if match else ""


def open_backend(
    target: StoreLike,
    *,
    read_only: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    backend: str | None = None,
    autocommit: bool = True,
) -> Backend:
    """Open the place that a path, URL or zarr store names; nothing is read yet.

    Args:
        target: A path, a URL, an open zarr store or backend, a root group, or a repository or storage of Icechunk.
        read_only: Refuse writing; a backend that is open, that of a group too, stays as it is.
        storage_options: For object stores and for Icechunk; ``anon``, ``endpoint_url``, ``region``, ``key``,
            ``secret`` and ``token`` mean the same for every driver.
        backend: ``"local"``, ``"icechunk"``, ``"obstore"``, ``"fsspec"`` (for every file system that it knows), or
            None to go by the URL and, in local folders and in memory, by what is there.
        autocommit: In Icechunk, commit every batch to its branch.

    Raises:
        InputError: The scheme is not known, the target is of another type, or a group is not the root of its store.
        OptionError: ``storage_options`` for a place that takes none.
        StoreError: The backend is not one of those, or does not fit the target.
        MissingDependencyError: The place needs obstore or icechunk, which is not installed.
    """
    options = dict(storage_options or {})
    if not isinstance(target, (str, os.PathLike)) and isinstance(target, OpenGroup):
        target = _backend_of(target)
    _check_backend(backend, target)
    if _wants_icechunk(target, backend):
        return _icechunk_backend(target, options, read_only=read_only, autocommit=autocommit)
    if isinstance(target, (str, os.PathLike)):
        text = os.fspath(target)
        if not text or "\0" in text:
            raise InputError("a store must have a path", got=repr(text))
        return _at_url(text, options, read_only, backend)
    if isinstance(target, LocalStore):
        _refuse_options(options, "an open zarr store")
        return LocalBackend(target.root, read_only=read_only or target.read_only)
    if isinstance(target, Store):
        _refuse_options(options, "an open zarr store")
        # Of a session alone there is no copy to write a batch to.
        return zarr_backend(target, read_only=read_only or is_session_store(target))
    if isinstance(target, (LocalBackend, ZarrBackend, ZipBackend)):
        _refuse_options(options, "an open backend")
        return target
    raise InputError("a store must be a path, a URL or a zarr store", got=type(target).__name__)


def _at_url(text: str, options: dict[str, Any], read_only: bool, driver: str | None) -> Backend:
    scheme = detect_scheme(text)
    if driver is not None and driver in HANDLES:
        return zarr_backend(HANDLES[driver](text, scheme, options, read_only), url=text, read_only=read_only)
    if scheme in {"", "file"}:
        _refuse_options(options, "a local path")
        path = _local_path(text) if scheme else Path(text)
        is_zip = path.suffix.lower() == ".zip" and not path.is_dir()
        return ZipBackend(path, read_only=read_only) if is_zip else LocalBackend(path, read_only=read_only)
    if scheme == "zip":
        _refuse_options(options, "a zip file")
        return ZipBackend(unquote(text.partition("://")[2]), read_only=read_only)
    if scheme == "memory":
        _refuse_options(options, "memory://")
        return zarr_backend(_memory.setdefault(text, MemoryStore()), url=text, read_only=read_only)
    if scheme in _WEB_SCHEMES and not read_only:
        raise ReadOnlyError("a store on the web can only be read", store=text, hint="open it with mode='r'")
    if scheme in _OBSTORE_SCHEMES:
        return zarr_backend(HANDLES["obstore"](text, scheme, options, read_only), url=text, read_only=read_only)
    raise InputError(
        "the URL's scheme is not known",
        got=text,
        hint="use a path, file://, zip://, memory://, s3://, gs://, az://, http(s)://, pass backend='fsspec', "
        "or pass an open zarr store",
    )


def _backend_of(group: OpenGroup) -> Backend:
    if group.prefix:
        raise InputError(
            "a store is named by its root group", store=group.backend.url, got=group.prefix, hint="pass the root group"
        )
    return group.backend


def _check_backend(backend: str | None, target: object) -> None:
    if backend not in {None, "local", "icechunk", *HANDLES}:
        offered = "'local', 'icechunk', 'obstore', 'fsspec' or None"
        raise StoreError("this backend is not offered", got=backend, expected=offered)
    if backend in HANDLES and not isinstance(target, (str, os.PathLike)):
        raise StoreError(f"backend={backend!r} is for URLs", got=str(target), hint="leave it out")
    if backend == "local":
        is_folder = isinstance(target, (str, os.PathLike)) and detect_scheme(target) in {"", "file"}
        if not is_folder and not isinstance(target, (LocalStore, LocalBackend)):
            raise StoreError("backend='local' is for folders", got=str(target), hint="leave it out")


def _wants_icechunk(target: object, backend: str | None) -> bool:
    """Whether a target is to be opened as an Icechunk repository: it is said, it is one, or there is one in it."""
    if backend is not None or isinstance(target, IcechunkBackend):
        return backend == "icechunk" and not isinstance(target, IcechunkBackend)
    if not isinstance(target, (str, os.PathLike)):
        return is_icechunk_value(target)
    scheme, text = detect_scheme(target), os.fspath(target)
    return holds_repository(scheme, str(_local_path(text)) if scheme == "file" else text)


def _icechunk_backend(target: Any, options: dict[str, Any], *, read_only: bool, autocommit: bool) -> Backend:
    if not isinstance(target, (str, os.PathLike)) and not is_icechunk_value(target):
        raise InputError(
            "an Icechunk store must be a path, a URL, an icechunk.Repository or an icechunk.Storage",
            got=type(target).__name__,
        )
    text = os.fspath(target) if isinstance(target, (str, os.PathLike)) else ""
    scheme = detect_scheme(text)
    view = View(
        *(options.pop(key, default) for key, default in (("branch", "main"), ("tag", None), ("snapshot_id", None)))
    )
    if view.is_fixed and not read_only:
        raise OptionError(
            "a tag or a snapshot can only be read", hint="open it with mode='r', or make a branch from it"
        )
    place = place_of(target, scheme, str(_local_path(text)) if scheme == "file" else text, options)
    return IcechunkBackend(place, view, read_only=read_only, autocommit=autocommit)


def zarr_store_of(backend: StorageBackend) -> Store:
    """A backend as a zarr store, for what only zarr-python does."""
    if isinstance(backend, ZarrBackend):
        return backend.store
    if isinstance(backend, LocalBackend):
        return LocalStore(backend.root, read_only=backend.read_only)
    if isinstance(backend, ZipBackend):
        return ZipStore(backend.path, read_only=True)
    raise InputError("this backend has no zarr store", got=type(backend).__name__)


def store_name(url: str) -> str:
    """The last segment of a URL without the suffixes of this format and of zip files.

    Example:
        >>> store_name("s3://bucket/brain%201.zarrvectors"), store_name("memory://")
        ('brain 1', 'zarr_vectors')
    """
    parts = urlsplit(url)
    last = unquote((parts.path or parts.netloc).rstrip("/").rsplit("/", 1)[-1])
    for suffix in (".zip", ".zarrvectors", ".zv", ".zarr"):
        last = last.removesuffix(suffix)
    return last or "zarr_vectors"


def _local_path(url: str) -> Path:
    path = unquote(urlsplit(url).path)
    return Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)


def _refuse_options(options: dict[str, Any], what: str) -> None:
    if options:
        raise OptionError(f"storage_options do not apply to {what}", got=sorted(options))
