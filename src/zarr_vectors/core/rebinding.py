"""Opening a store that is open already by another driver, without moving data."""

from __future__ import annotations

from typing import Any

from zarr_vectors.core.group import Group
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.drivers import reopen
from zarr_vectors.storage.storage import Storage

__all__ = ["rebind"]


def rebind(group: Group, backend: Any, **backend_kwargs: Any) -> Group:
    """Open the store of a group again by another driver; no data are moved.

    Every group of the store that came from the same opening goes through the new driver afterwards.

    Args:
        group: A group of an open store.
        backend: ``"local"``, ``"obstore"``, ``"fsspec"`` or ``"memory"``; None for the one that the URL asks for; or
            an open zarr store or backend that leads to the same place.
        **backend_kwargs: ``storage_options``, or options of the driver themselves, such as ``region`` for S3.

    Returns:
        The same group.

    Raises:
        StoreError: The driver is not known or cannot reach the place, the same store is not found through it, or
            changes wait inside ``batched_writes``. The group stays as it was.
        MissingDependencyError: The driver is not installed.

    Example:
        >>> import tempfile
        >>> import zarr_vectors as zv
        >>> from zarr.storage import LocalStore
        >>> place = tempfile.mkdtemp() + "/store"
        >>> root = zv.create_store(place)
        >>> level = root["0"]
        >>> zv.rebind(root, LocalStore(place)) is root
        True
        >>> level.list_chunks("vertices")
        []
    """
    session = group.session
    if session.pending is not None or session.prefetched is not None:
        raise StoreError("a store cannot be bound anew inside a batch", store=group.url)
    old, _ = session.storage.read_root()
    fresh = Storage(reopen(session.storage.backend, backend, backend_kwargs))
    found, _ = fresh.read_root()
    if found is None or found != old:
        raise StoreError(
            "the same store is not found through this driver",
            store=group.url,
            got=fresh.url if found is None else f"another root document at {fresh.url}",
        )
    session.storage = fresh
    return group
