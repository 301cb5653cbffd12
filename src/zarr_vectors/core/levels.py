"""The resolution levels of a store: which there are, and what their metadata say."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import open_root
from zarr_vectors.exceptions import InputError, MetadataError, StoreNotFoundError
from zarr_vectors.metadata.ngff import level_transform
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.typing import JsonObject

__all__ = [
    "as_level",
    "bin_of",
    "get_resolution_level",
    "level_blocks",
    "list_available_ratios",
    "list_resolution_levels",
    "read_level_metadata",
    "root_facts",
]


def as_level(level: Any) -> int:
    """The number of a level.

    Raises:
        InputError: It is not a whole number from 0.
    """
    if isinstance(level, bool) or not isinstance(level, (int, np.integer)) or level < 0:
        raise InputError("a level is named by a whole number from 0", got=repr(level))
    return int(level)


def root_facts(root: Group) -> tuple[JsonObject, RootMetadata]:
    """Attributes of a store's root and its metadata, changes that wait included.

    Raises:
        InputError: The group is not the root of its store.
        MetadataError: The metadata are malformed.
    """
    if root.prefix:
        raise InputError("this is not the root group of a store", got=root.url)
    attributes = root.attrs.to_dict()
    return attributes, RootMetadata.parse(attributes.get(constants.ROOT_KEY), where="zarr.json")


def level_blocks(root: Group) -> dict[int, LevelMetadata]:
    """Metadata of every level by number, changes that wait included."""
    session = root.session
    numbers = level_numbers(root.storage, open_root(root.storage)[0].attributes)
    if session.pending is not None:
        numbers += [int(path) for path in session.pending.paths() if path.isdecimal()]
    found = session.documents([str(number) for number in sorted({*numbers})])
    return {
        int(path): LevelMetadata.parse(
            (document.get("attributes") or {}).get(constants.LEVEL_KEY) or {}, where=f"{path}/zarr.json"
        )
        for path, document in found.items()
        if document is not None
    }


def bin_of(root: RootMetadata, multiscales: Any, level: LevelMetadata, number: int) -> tuple[float, ...]:
    """Edges of a level's bins: the root's at level 0, else as NGFF says them, else as older writers did."""
    _, translation = level_transform(multiscales, number)
    if number == 0:
        return tuple(root.bin_shape)
    if translation is not None:
        return tuple(2 * value for value in translation)
    if level.bin_shape is not None:
        return _factors("bin_shape", level.bin_shape, root.ndim)
    return tuple(a * b for a, b in zip(root.bin_shape, _ratio(root, multiscales, level, number), strict=True))


def _ratio(root: RootMetadata, multiscales: Any, level: LevelMetadata, number: int) -> tuple[float, ...]:
    """A level's bin over the root's, along each axis."""
    scale, translation = level_transform(multiscales, number)
    if scale is None and level.bin_ratio is not None:
        each = level.bin_ratio if isinstance(level.bin_ratio, (list, tuple)) else [level.bin_ratio] * root.ndim
        scale = list(_factors("bin_ratio", each, root.ndim))
    if scale is None and (translation is not None or level.bin_shape is not None):
        bins = bin_of(root, multiscales, level, number)
        scale = [a / b for a, b in zip(bins, root.bin_shape, strict=True)]
    return tuple(float(value) for value in scale) if scale is not None else (1.0,) * root.ndim


def _factors(name: str, values: Any, rank: int) -> tuple[float, ...]:
    """What older writers say of a level's bins.

    Raises:
        MetadataError: It is not a number above 0 for each axis.
    """
    plain = isinstance(values, (list, tuple)) and len(values) == rank and {type(v) for v in values} <= {int, float}
    if not plain or not all(0 < value <= sys.float_info.max for value in values):
        raise MetadataError(
            f"{name} of a level is malformed", expected=f"{rank} numbers above 0", got=repr(values)[:200]
        )
    return tuple(values)


def read_level_metadata(root: Group, level: int) -> LevelMetadata:
    """A level's metadata; ``bin_shape`` and ``bin_ratio`` come from the NGFF block, where that has them.

    Args:
        root: The root group of a store.
        level: Number of the level.

    Returns:
        A frozen value; ``bin_shape`` in data units, and ``bin_ratio`` over the bins of level 0, one number per axis.

    Raises:
        StoreError: The level does not exist.
        MetadataError: The metadata are malformed.

    Example:
        >>> import zarr_vectors as zv
        >>> read_level_metadata(zv.create_store("memory://level-metadata-doc"), 0).vertex_count
        0
    """
    number = as_level(level)
    attributes, metadata = root_facts(root)
    block = get_resolution_level(root, number).attrs.get(constants.LEVEL_KEY) or {}
    found = LevelMetadata.parse(block, where=f"{number}/zarr.json")
    multiscales = attributes.get("multiscales")
    bins = bin_of(metadata, multiscales, found, number)
    return found.replace(bin_shape=list(bins), bin_ratio=list(_ratio(metadata, multiscales, found, number)))


def get_resolution_level(root: Group, level: int) -> Group:
    """The group of a level.

    Args:
        root: The root group of a store.
        level: Number of the level.

    Returns:
        The group.

    Raises:
        StoreError: The level does not exist.
        InputError: ``level`` is not a whole number from 0.

    Example:
        >>> import zarr_vectors as zv
        >>> get_resolution_level(zv.create_store("memory://get-level-doc"), 0).prefix
        '0'
    """
    number = as_level(level)
    if str(number) not in root:
        raise StoreNotFoundError(f"the store has no level {number}", store=root.url)
    return root[str(number)]


def list_resolution_levels(root: Group) -> list[int]:
    """Numbers of the levels; other groups at the root are none.

    Args:
        root: The root group of a store.

    Returns:
        Whole numbers, ascending.

    Raises:
        MetadataError: The root document is malformed.

    Example:
        >>> import zarr_vectors as zv
        >>> list_resolution_levels(zv.create_store("memory://levels-doc"))
        [0]
    """
    return list(level_blocks(root))


def list_available_ratios(root: Group) -> list[tuple[float, ...]]:
    """Bin ratio of every level: its bins over those of level 0.

    Args:
        root: The root group of a store.

    Returns:
        One float per axis for each level, in order of the levels.

    Raises:
        MetadataError: The root document, or that of a level, is malformed.

    Example:
        >>> import zarr_vectors as zv
        >>> from zarr_vectors.core.store import add_resolution_level
        >>> root = zv.create_store("memory://ratios-doc", ndim=2)
        >>> _ = add_resolution_level(root, 1, (2, 4))
        >>> list_available_ratios(root)
        [(1.0, 1.0), (2.0, 4.0)]
    """
    attributes, metadata = root_facts(root)
    multiscales = attributes.get("multiscales")
    return [_ratio(metadata, multiscales, level, number) for number, level in level_blocks(root).items()]
