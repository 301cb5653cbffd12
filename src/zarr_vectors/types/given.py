"""Fragment attributes as 0.9.2 takes them: chunk by chunk, in the order of each chunk's fragments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import as_column
from zarr_vectors.types.fragment_values import GivenFragments, check_fragment_name
from zarr_vectors.types.table import check_column, column_codes, column_spec
from zarr_vectors.types.unite import concatenate_columns

__all__ = ["given_fragments"]

_OWNER = constants.FRAGMENT_OWNER.partition("/")[2]


def given_fragments(fragment_attributes: Any, ndim: int) -> dict[str, GivenFragments]:
    """From ``{name: {chunk coordinates: (F,) or (F, C) values}}``.

    Args:
        ndim: Number of axes.

    Raises:
        InputError: Something else, a name that cannot be used, coordinates that are none, or values of several types.

    Example:
        >>> given_fragments({"side": {(0, 1): [1, 2], (0, 0): [3]}}, 2)["side"].values.tolist()
        [1, 2, 3]
    """
    if fragment_attributes is None:
        return {}
    if not isinstance(fragment_attributes, Mapping):
        raise InputError("fragment_attributes must be a mapping", got=type(fragment_attributes).__name__)
    return {name: _given(name, per_chunk, ndim) for name, per_chunk in fragment_attributes.items()}


def _given(name: Any, per_chunk: Any, ndim: int) -> GivenFragments:
    if name != _OWNER:
        check_fragment_name(name)
    what = f"fragment_attributes[{name!r}]"
    if not isinstance(per_chunk, Mapping) or not per_chunk:
        raise InputError(f"{what} must be a mapping of chunk coordinates to values", got=repr(per_chunk)[:80])
    chunks = [_chunk_of(what, key, ndim) for key in per_chunk]
    columns = [as_column(f"{name} of chunk {key}", values) for key, values in per_chunk.items()]
    column = concatenate_columns("fragment attribute", name, columns)
    check_column(name, column)
    spec = column_spec(column)
    counts = np.array([len(part) for part in columns], dtype=np.int64)
    return GivenFragments(name, np.array(chunks, dtype=np.int64), counts, column_codes(column, spec), spec)


def _chunk_of(what: str, key: Any, ndim: int) -> tuple[int, ...]:
    whole = isinstance(key, tuple) and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in key)
    if not whole or len(key) != ndim:
        raise InputError(f"{what} must name chunks by {ndim} whole numbers each", got=repr(key))
    return tuple(int(n) for n in key)
