"""What the arguments of ``create_store`` must be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import ChunkingError, InputError, MetadataError
from zarr_vectors.metadata.root import divides
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import MAX_GRID_CELLS, check_edges

__all__ = [
    "axes_of_rank",
    "bins_of",
    "bounds_of",
    "check_facts",
    "convention_problems",
    "dtype_of",
    "fact_problems",
    "grid_of",
    "rank_of",
    "whole_box",
]

_ENUMS = {
    "links_convention": constants.VALID_LINKS_CONVENTIONS,
    "object_index_convention": constants.VALID_OBJIDX_CONVENTIONS,
    "cross_chunk_strategy": constants.VALID_CROSS_CHUNK_STRATEGIES,
    "cross_level_storage": constants.VALID_XLEVEL_STORAGE,
    "vertex_encoding": constants.VALID_ENCODINGS,
}
_LISTS = {
    "geometry_types": constants.VALID_GEOMETRY_TYPES,
    "format_capabilities": constants.VALID_CAPABILITIES,
}
_LEAST = {"ndim": 1, "cross_level_depth": -1, "reduction_factor": 2}
_CONVENTIONS = {
    constants.GEOM_LINE: {constants.LINKS_IMPLICIT_SEQUENTIAL},
    constants.GEOM_POLYLINE: {constants.LINKS_IMPLICIT_SEQUENTIAL},
    constants.GEOM_STREAMLINE: {constants.LINKS_IMPLICIT_SEQUENTIAL},
    constants.GEOM_GRAPH: {constants.LINKS_EXPLICIT},
    constants.GEOM_SKELETON: {constants.LINKS_IMPLICIT_BRANCHES, constants.LINKS_EXPLICIT},
    constants.GEOM_MESH: {constants.LINKS_EXPLICIT},
}
"""Which conventions a kind's links may follow; source: the validator of format 0.9.2."""


def check_facts(given: Mapping[str, Any]) -> None:
    """Refuse values that the format does not know; all that is wrong is told at once.

    Raises:
        MetadataError: With every problem.
    """
    problems = fact_problems(given)
    if given["vertex_encoding"] is None:
        problems.append(f"vertex_encoding is None, not one of {sorted(constants.VALID_ENCODINGS)}")
    if given["name"] is not None and not isinstance(given["name"], str):
        problems.append(f"name is {given['name']!r}, not text")
    try:
        json.dumps(given["crs"], allow_nan=False)
    except (TypeError, ValueError) as error:
        problems.append(f"crs is not plain JSON: {error}")
    problems = problems or convention_problems(given["links_convention"], given["geometry_types"] or ())
    if problems:
        raise MetadataError(problems[0], problems=problems)


def fact_problems(given: Mapping[str, Any]) -> list[str]:
    """What of these facts the format does not know; those that are left out or None are not looked at.

    Example:
        >>> fact_problems({"cross_level_storage": "implicit", "reduction_factor": 1})
        ['reduction_factor is 1, not a whole number from 2']
    """
    known = {name: value for name, value in given.items() if value is not None}
    problems = [
        f"{name} is {known[name]!r}, not one of {sorted(allowed)}"
        for name, allowed in _ENUMS.items()
        if name in known and not _is_one_of(known[name], allowed)
    ]
    for name, allowed in _LISTS.items():
        problems += _list_problems(name, known.get(name), allowed)
    problems += [
        f"{name} is {known[name]!r}, not a whole number from {least}"
        for name, least in _LEAST.items()
        if name in known and not _is_whole(known[name], least)
    ]
    return problems


def _is_one_of(value: Any, allowed: frozenset[str]) -> bool:
    return isinstance(value, str) and value in allowed


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= least


def _list_problems(name: str, value: Any, allowed: frozenset[str]) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        return [f"{name} is {value!r}, not a list of texts"]
    return [
        f"{name} names {entry!r}, not one of {sorted(allowed)}" for entry in value if not _is_one_of(entry, allowed)
    ]


def convention_problems(convention: str | None, kinds: Sequence[str]) -> list[str]:
    """Kinds of geometry whose links cannot follow a convention.

    Example:
        >>> convention_problems("explicit", ["graph", "line"])
        ["links_convention is 'explicit', but a line needs implicit_sequential"]
    """
    if convention is None:
        return []
    return [
        f"links_convention is {convention!r}, but a {kind} needs {' or '.join(sorted(_CONVENTIONS[kind]))}"
        for kind in kinds
        if kind in _CONVENTIONS and convention not in _CONVENTIONS[kind]
    ]


def rank_of(given: Mapping[str, Any]) -> int:
    """The number of axes that the arguments agree on.

    Raises:
        MetadataError: They do not, or it is below 1.
    """
    ranks = {} if given["ndim"] is None else {"ndim": int(given["ndim"])}
    for name in ("axes", "chunk_shape", "bounds", "base_bin_shape"):
        value = given[name]
        if name == "bounds" and value is not None:
            value = _corners(value)[0]
        if value is not None and np.iterable(value):
            ranks[name] = len(list(value))
    if len(set(ranks.values())) > 1:
        raise MetadataError("arguments differ in the number of axes", got=ranks)
    rank = next(iter(ranks.values()), 3)
    if rank < 1:
        raise MetadataError("a store must have at least one axis", got=ranks)
    return rank


def _corners(bounds: Any) -> tuple[Any, Any]:
    try:
        lo, hi = bounds
        len(lo), len(hi)
    except (TypeError, ValueError) as error:
        raise MetadataError("bounds must be (min corner, max corner)", got=repr(bounds)) from error
    return lo, hi


def bounds_of(bounds: Any, rank: int) -> tuple[list[float], list[float]]:
    """The corners as lists of plain numbers; whole numbers stay integers.

    Raises:
        MetadataError: Not finite, of another rank, or inverted.
    """
    if bounds is None:
        return [0.0] * rank, [constants.DEFAULT_BOUNDS_SIDE] * rank
    corners = []
    for corner in _corners(bounds):
        numbers = [value.item() if isinstance(value, np.generic) else value for value in corner]
        if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in numbers):
            raise MetadataError("bounds must be numbers", got=repr(bounds))
        corners.append(numbers)
    lo, hi = corners
    if len(lo) != rank or len(hi) != rank or not np.isfinite([lo, hi]).all() or (np.array(lo) > np.array(hi)).any():
        raise MetadataError("bounds must be finite, of the store's rank, and not inverted", got=repr(bounds))
    return lo, hi


def whole_box(lo: Sequence[float], hi: Sequence[float]) -> list[float]:
    """Edges of one chunk of everything; 1 where the bounds are flat."""
    return [float(b) - float(a) or 1.0 for a, b in zip(lo, hi, strict=True)]


def bins_of(value: Any, chunk: tuple[float, ...]) -> tuple[float, ...]:
    """Edges of a bin of level 0.

    Raises:
        MetadataError: Bins do not fill a chunk.
    """
    bins = check_edges("base_bin_shape", value, len(chunk))
    if not divides(chunk, bins):
        raise MetadataError("base_bin_shape must divide chunk_shape", got=f"{bins} in {chunk}")
    return bins


def axes_of_rank(axes: Any, rank: int) -> tuple[Axis, ...]:
    """Names and units of the axes.

    Raises:
        MetadataError: They cannot be meant.
    """
    try:
        return tuple(as_axes(axes, rank))
    except InputError as error:
        raise MetadataError(str(error)) from error


def dtype_of(value: Any) -> np.dtype[Any]:
    """The dtype of positions.

    Raises:
        MetadataError: It is not one of numpy's, or not a real number.
    """
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError as error:
        raise MetadataError("vertex_dtype is not one of numpy's", got=repr(value)) from error
    if value is None or dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise MetadataError("vertex_dtype must be a real number of at most 64 bits", got=repr(value))
    return dtype


def grid_of(lo: Sequence[float], hi: Sequence[float], chunk: Sequence[float]) -> Grid:
    """The chunks of the bounds.

    Raises:
        ChunkingError: There are too many of them.
    """
    grid = Grid.of_bounds(lo, hi, chunk)
    if grid.cells > MAX_GRID_CELLS:
        raise ChunkingError(
            "chunk_shape makes too many chunks for these bounds",
            got=f"{grid.cells:.3g} chunks",
            expected=f"at most {MAX_GRID_CELLS}",
            hint="use larger chunks",
        )
    return grid
