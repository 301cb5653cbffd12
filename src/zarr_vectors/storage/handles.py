"""zarr stores for URLs, by the libraries that know protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from zarr.abc.store import Store

from zarr_vectors.exceptions import MissingDependencyError, StoreError
from zarr_vectors.optional import require
from zarr_vectors.storage.access import fsspec_options, obstore_options

__all__ = ["HANDLES"]


def _by_obstore(url: str, scheme: str, options: Mapping[str, Any], read_only: bool) -> Store:
    stores = require("obstore.store", _needs(scheme))
    translated = obstore_options(scheme, url, options)
    wrapper = import_module("zarr.storage").ObjectStore
    return _attempt(url, "obstore", lambda: wrapper(stores.from_url(url, **translated), read_only=read_only))


def _by_fsspec(url: str, scheme: str, options: Mapping[str, Any], read_only: bool) -> Store:
    require("fsspec", _needs(scheme))
    translated = fsspec_options(scheme, options)
    if scheme in ("", "file"):
        # Alone among its file systems, that of local files makes no folders by itself.
        translated = {"auto_mkdir": True, **translated}
    stores = import_module("zarr.storage").FsspecStore
    return _attempt(url, "fsspec", lambda: stores.from_url(url, storage_options=translated, read_only=read_only))


def _needs(scheme: str) -> str:
    return f"{scheme}:// needs" if scheme else "this backend needs"


def _attempt(url: str, driver: str, make: Callable[[], Store]) -> Store:
    """Every driver has errors of its own for URLs and options that it does not take."""
    try:
        return make()
    except ImportError as error:
        raise MissingDependencyError(f"{driver} lacks a package for {url}", got=str(error)) from error
    except Exception as error:
        got = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise StoreError(
            f"{driver} cannot reach the place, at least not with these storage_options", store=url, got=got
        ) from error


HANDLES: Mapping[str, Callable[[str, str, Mapping[str, Any], bool], Store]] = {
    "obstore": _by_obstore,
    "fsspec": _by_fsspec,
}
"""By the name of the library: URL, its scheme, ``storage_options`` and whether writing is refused, to a store."""
