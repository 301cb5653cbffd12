"""Values on their way into the part of a partitioned writer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry
from zarr_vectors.spatial.regions import Region

__all__ = ["inside", "peeked"]


def peeked(value: Any) -> tuple[bool, Any]:
    """Whether rows bring ids of their objects, told from the first value, and the same rows."""
    if isinstance(value, Geometry) or not isinstance(value, Iterable):
        return _brings_ids(value), value
    values = iter(value)
    first = next(values, None)
    return _brings_ids(first), chain([] if first is None else [first], values)


def _brings_ids(value: Any) -> bool:
    return isinstance(value, Geometry) and value.has_objects and getattr(value, "ids", value) is not None


def inside(value: Any, region: Region) -> Any:
    """The rows, once all of them have been found in the region; of a stream, as they come."""
    if isinstance(value, Geometry):
        return _checked_inside(value, region)
    return (_checked_inside(item, region) for item in value) if isinstance(value, Iterable) else value


def _checked_inside(value: Any, region: Region) -> Any:
    if not isinstance(value, Geometry):
        return value
    outside = np.flatnonzero(~region.contains(value.positions))
    if len(outside):
        raise InputError(
            "rows lie outside the region of the part",
            got=f"{len(outside)} of {value.vertex_count}, the first is row {outside[0]}: "
            f"{value.positions[outside[0]].tolist()}",
            expected=f"from {region.low} to below {region.high}",
            hint="leave them to the part of their region; append what crosses regions after finish",
        )
    return value
