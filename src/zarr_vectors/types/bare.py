"""Stores that have been made and hold nothing yet: what the first rows may bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.options import WriteOptions, as_bounds
from zarr_vectors.types.refill import Refill

__all__ = ["for_a_bare_store", "is_bare", "takes_any_columns"]


def is_bare(level: LevelState) -> bool:
    """Whether a level has neither vertices nor objects."""
    return not level.has_objects and not len(level.vertices.present)


def takes_any_columns(level: LevelState) -> bool:
    """Whether the first rows may bring attributes that the level does not have: it is bare, and declares none."""
    return is_bare(level) and not level.row_columns.keys() - level.own_columns


def for_a_bare_store(storage: Storage, options: WriteOptions) -> WriteOptions:
    """Options that append to a store that has been made and not been written to; for others, those that are given.

    Raises:
        InputError: The store has been made in another way than the options say.
    """
    found, _ = storage.read_root()
    if constants.ROOT_KEY not in ((found or {}).get("attributes") or {}):
        return options
    root, documents = open_root(storage, ["0/zarr.json"])
    level = open_level(storage, root, 0, documents["0/zarr.json"])
    if not is_bare(level) or level_numbers(storage, root.attributes) != [0]:
        return options
    for name, given, kept in _contradictions(root, level, options):
        raise InputError(
            f"{name} is not that of the store, which has been made already",
            store=storage.url,
            expected=repr(kept),
            got=repr(given),
            hint=f"leave {name} out, or use mode='replace'",
        )
    return replace(options, mode="append", bounds=None)


def _contradictions(root: RootState, level: LevelState, options: WriteOptions) -> Iterator[tuple[str, Any, Any]]:
    """Names of options that the store answers otherwise, with what is given and what it has."""
    kept = Refill(root=root, level=level).options(options, root.bounds).layout
    kept = replace(kept, keep_order=level.keeps_row_ids)
    for entry in fields(Layout):
        given, stored = getattr(options.layout, entry.name), getattr(kept, entry.name)
        is_left_out = given is entry.default or (isinstance(given, (str, int)) and given == entry.default)
        if entry.name == "compressor" and not is_left_out:
            given, stored = cell_codecs(given), cell_codecs(stored)
        if not is_left_out and not _equal(given, stored):
            yield entry.name, given, stored
    if options.bounds is not None and not all(map(_equal, as_bounds(options.bounds, root.metadata.ndim), root.bounds)):
        yield "bounds", options.bounds, root.bounds


def _equal(given: Any, stored: Any) -> bool:
    """Whether both are the same, one number standing for one on each axis."""
    try:
        return bool(np.array_equal(np.broadcast_to(given, np.shape(stored)), stored))
    except ValueError:
        return False
