"""The OME-NGFF blocks of a store: where each level says its bins, and which levels there are.

``multiscales`` is shaped like NGFF 0.4 and lies at the root, ``scale`` being a level's bin shape over the root's and
``translation`` half its bin shape. The ``ome`` node beside it names the levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors.core.group import Group
from zarr_vectors.core.levels import as_level, bin_of, level_blocks, root_facts
from zarr_vectors.exceptions import InputError, MetadataError
from zarr_vectors.metadata.ngff import axes_of, dataset_entry, level_transform, ome_node, upsert_dataset
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = [
    "get_level_scale",
    "get_level_translation",
    "read_level_transform",
    "read_multiscale_metadata",
    "upsert_level_transform",
    "write_multiscale_metadata",
]


def read_multiscale_metadata(root: Group) -> list[JsonObject] | None:
    """The ``multiscales`` block of the root's attributes, shaped like that of NGFF 0.4.

    Args:
        root: The root group of a store.

    Returns:
        A list with one mapping; None where there is no block.

    Raises:
        CorruptionError: The root document is not valid JSON.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://multiscales-doc", bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
        >>> read_multiscale_metadata(root)[0]["datasets"][0]["path"]
        '0'
    """
    block = root.attrs.get("multiscales")
    return block or None


def read_level_transform(root: Group, level: int) -> tuple[list[float] | None, list[float] | None]:
    """Scale and translation of a level, each None where the block does not say it.

    Args:
        root: The root group of a store.
        level: Number of the level; it need not exist.

    Returns:
        Two lists with one float per axis, the factor over bins of level 0 and half a bin in data units; or None.

    Raises:
        MetadataError: The block is malformed.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://transform-doc", bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
        >>> read_level_transform(root, 0), read_level_transform(root, 1)
        (([1.0, 1.0], [2.0, 2.0]), (None, None))
    """
    try:
        return level_transform(read_multiscale_metadata(root), level)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise MetadataError("the multiscales block is malformed", store=root.url, got=repr(error)) from error


def get_level_scale(root: Group, level: int) -> list[float] | None:
    """Scale of a level: its bin shape over the root's.

    Args:
        root: The root group of a store.
        level: Number of the level; it need not exist.

    Returns:
        One float per axis; None where it is not said.

    Raises:
        MetadataError: The block is malformed.

    Example:
        >>> import zarr_vectors as zv
        >>> from zarr_vectors.core.store import add_resolution_level
        >>> root = zv.create_store("memory://scale-doc", bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
        >>> _ = add_resolution_level(root, 1, (2, 2))
        >>> get_level_scale(root, 1)
        [2.0, 2.0]
    """
    return read_level_transform(root, level)[0]


def get_level_translation(root: Group, level: int) -> list[float] | None:
    """Translation of a level: half its bin shape.

    Args:
        root: The root group of a store.
        level: Number of the level; it need not exist.

    Returns:
        One float per axis, in data units; None where it is not said.

    Raises:
        MetadataError: The block is malformed.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://translation-doc", bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
        >>> get_level_translation(root, 0)
        [2.0, 2.0]
    """
    return read_level_transform(root, level)[1]


def upsert_level_transform(
    root: Group, level: int, *, scale: Sequence[float] | AnyArray, translation: Sequence[float] | AnyArray | None = None
) -> None:
    """Say a level's scale and translation, in the place of what the block said of it.

    Args:
        root: The root group of a store.
        level: Number of the level.
        scale: One factor per axis, finite and above 0.
        translation: One offset per axis, finite; left out of the block where it is 0 on every axis.

    Raises:
        InputError: Numbers that cannot be meant, or another count of them than the store has axes.
        MetadataError: The store has no ``multiscales`` block with axes.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://upsert-doc", bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
        >>> upsert_level_transform(root, 1, scale=[2, 2], translation=[4, 4])
        >>> read_level_transform(root, 1)
        ([2.0, 2.0], [4.0, 4.0])
    """
    number = as_level(level)
    session = root.session
    session.check_writable()
    with session.storage.lock():
        block = read_multiscale_metadata(root)
        rank = len(axes_of(block))
        factors = _per_axis("scale", scale, rank)
        if min(factors) <= 0:
            raise InputError("scale must be above 0", got=repr(scale))
        offsets = None if translation is None else _per_axis("translation", translation, rank)
        new = upsert_dataset(block or [], dataset_entry(number, factors, offsets))
        with session.changes() as waiting:
            waiting.merge("", {"multiscales": new})


def write_multiscale_metadata(root: Group) -> list[JsonObject]:
    """Make the ``multiscales`` block and the ``ome`` node name the levels that there are, each once.

    What they say of existing levels and what others have added is kept; entries of levels that are gone are dropped;
    a level without an entry gets one from its own metadata.

    Args:
        root: The root group of a store.

    Returns:
        The block.

    Raises:
        MetadataError: There are no axes to be found in the store.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://write-multiscales-doc", bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
        >>> upsert_level_transform(root, 7, scale=[2, 2])
        >>> [entry["path"] for entry in write_multiscale_metadata(root)[0]["datasets"]]
        ['0']
    """
    session = root.session
    session.check_writable()
    with session.storage.lock():
        attributes, metadata = root_facts(root)
        blocks = level_blocks(root)
        old = attributes.get("multiscales") or []
        entries = []
        for number, level in blocks.items():
            scale, translation = level_transform(old, number)
            if scale is None:
                bins = bin_of(metadata, old, level, number)
                scale = [a / b for a, b in zip(bins, metadata.bin_shape, strict=True)]
                translation = [edge / 2 for edge in bins]
            entries.append(dataset_entry(number, scale, translation))
        axes = axes_of(old)
        first = {
            **old[0],
            "datasets": entries,
            "metadata": {**(old[0].get("metadata") or {}), "format": "zarr_vectors"},
        }
        new = [first, *old[1:]]
        node = ome_node(session.storage.name, axes, list(blocks), attributes.get("ome"))
        with session.changes() as waiting:
            waiting.merge("", {"multiscales": new, "ome": node})
    return new


def _per_axis(name: str, values: Any, rank: int) -> list[float]:
    """Finite numbers, one per axis.

    Raises:
        InputError: They are not.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers", got=repr(values)) from error
    if numbers.shape != (rank,) or not np.isfinite(numbers).all():
        raise InputError(f"{name} must be one finite number per axis", expected=f"{rank} numbers", got=repr(values))
    plain: list[float] = numbers.tolist()
    return plain
