"""Comparing stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr_vectors.api.store import ZVStore, open_zv_store
from zarr_vectors.edit import Diff, diff_levels

__all__ = ["Diff", "diff"]


def diff(a: Any, b: Any, *, storage_options: Mapping[str, Any] | None = None) -> Diff:
    """What level 0 of two stores holds differently, for example of two snapshots of an Icechunk repository.

    Objects are told apart by their ids; points without objects by row id, where both stores keep them, and otherwise
    by position. Both levels are read into memory.

    Args:
        a: A path, a URL, or an open store.
        b: The same, of the store that has changed.
        storage_options: As in ``zarr_vectors.open``, for what is not open.

    Returns:
        ``added``, ``removed``, ``moved`` and ``changed`` ids, ``attributes`` that differ, ``is_empty``, ``summary()``
        and ``to_json()``.

    Raises:
        ConventionError: The stores hold different kinds of geometry.
        StoreNotFoundError, CorruptionError: As in ``zarr_vectors.open`` and by reading.

    Example:
        >>> import zarr_vectors as zv
        >>> for name, x in (("a", 1.0), ("b", 2.0)):
        ...     _ = zv.write(f"memory://diff-doc-{name}", zv.Points([[x, 1.0], [5.0, 2.0]], object_ids=[3, 4]))
        >>> zv.diff("memory://diff-doc-a", "memory://diff-doc-b").moved.tolist()
        [3]
    """
    stores = [
        one if isinstance(one, ZVStore) else open_zv_store(one, storage_options=storage_options) for one in (a, b)
    ]
    first, second = ((store.storage, store[0].root, store[0].state) for store in stores)
    return diff_levels(first, second)
