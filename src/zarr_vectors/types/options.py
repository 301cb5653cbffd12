"""How to write, as one value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.types.fragment_values import GivenFragments, check_fragment_name
from zarr_vectors.types.table import check_attribute_name
from zarr_vectors.typing import FloatArray, JsonObject

__all__ = ["MODES", "POLICIES", "Progress", "WriteOptions", "as_bounds", "position_dtype"]

Progress = Callable[[int, "int | None"], None]
"""Called with rows done and rows in all, None where not known."""

MODES = ("create", "append", "replace")
POLICIES = ("raise", "expand", "ignore")


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How to write.

    Args:
        mode: ``"create"`` a store where there is none, ``"append"`` to one, or ``"replace"`` all of its content.
        layout: How a new store is cut; an existing one keeps its own when appended to.
        bounds: Closed box of the store; by default that of the data.
        out_of_bounds: What to do with rows outside given or existing bounds: ``"raise"``, ``"expand"`` the bounds,
            or ``"ignore"`` the rows and report their number.
        axes: Names or ``Axis`` values, one per column.
        crs: Coordinate reference system, any JSON.
        headers: ``{format: JSON}`` to keep under ``headers/``.
        extend: Let appended rows join objects that exist.
        fill: ``{attribute: value}`` for attributes of the store that appended rows lack.
        dtype: Of the stored positions; by default that of the input.
        per_fragment: Attributes of a new store that are kept once for each fragment, rather than for each vertex.
        fragment_values: Fragment attributes by name whose values are given chunk by chunk.
        progress: Called as rows are done.
    """

    mode: str = "create"
    layout: Layout = field(default_factory=Layout)
    bounds: Any = None
    out_of_bounds: str = "raise"
    axes: Any = None
    crs: Any = None
    headers: Mapping[str, JsonObject] = field(default_factory=dict)
    extend: bool = False
    fill: Mapping[str, Any] = field(default_factory=dict)
    dtype: Any = None
    per_fragment: Sequence[str] | str = ()
    fragment_values: Mapping[str, GivenFragments] = field(default_factory=dict)
    progress: Progress | None = None

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, MODES)
        _one_of("out_of_bounds", self.out_of_bounds, POLICIES)
        if not isinstance(self.layout, Layout):
            raise InputError("layout must be a Layout", got=type(self.layout).__name__, hint="use zv.Layout(...)")
        if self.dtype is not None:
            object.__setattr__(self, "dtype", position_dtype(self.dtype))
        _check_json("crs", self.crs)
        _check_mapping("fill", self.fill)
        _check_mapping("headers", self.headers)
        for name, header in self.headers.items():
            check_attribute_name(name, "header")
            _check_mapping(f"headers[{name!r}]", header)
            _check_json(f"headers[{name!r}]", header)
        object.__setattr__(self, "per_fragment", _names("per_fragment", self.per_fragment))
        if self.progress is not None and not callable(self.progress):
            raise InputError("progress must be callable", got=type(self.progress).__name__)

    def notify(self, done: int, total: int | None) -> None:
        """Tell how far it is."""
        if self.progress is not None:
            self.progress(done, total)


def as_bounds(value: Any, ndim: int) -> tuple[FloatArray, FloatArray]:
    """Check bounds.

    Raises:
        InputError: Wrong rank, not finite, or inverted.

    Example:
        >>> as_bounds(([0, 0], [1, 2]), 2)[1].tolist()
        [1.0, 2.0]
    """
    try:
        lo, hi = (np.asarray(corner, dtype=np.float64) for corner in value)
    except (TypeError, ValueError) as error:
        raise InputError("bounds must be (min corner, max corner)", got=repr(value)) from error
    if lo.shape != (ndim,) or hi.shape != (ndim,):
        raise InputError("bounds must have one number per axis and corner", expected=f"{ndim} axes", got=repr(value))
    if not (np.isfinite(lo).all() and np.isfinite(hi).all()):
        raise InputError("bounds must be finite", got=repr(value))
    if (lo > hi).any():
        axis = int(np.flatnonzero(lo > hi)[0])
        raise InputError("bounds are inverted", got=f"min {lo[axis]} above max {hi[axis]} on axis {axis}")
    return lo, hi


def position_dtype(value: Any) -> np.dtype[Any]:
    """Check the type of positions.

    Raises:
        InputError: It is no real number of at most 64 bits.

    Example:
        >>> position_dtype("float32")
        dtype('float32')
    """
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError as error:
        raise InputError("dtype is not one of numpy's", got=repr(value)) from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise InputError("dtype must be a real number of at most 64 bits", got=str(dtype))
    return dtype


def _names(option: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = (value,)
    if isinstance(value, (bytes, Mapping)) or not isinstance(value, Iterable):
        raise InputError(f"{option} must be names of attributes", got=repr(value))
    names = tuple(dict.fromkeys(value))
    for name in names:
        check_fragment_name(name)
    return names


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is not known", got=repr(value), expected=f"one of {', '.join(allowed)}")


def _check_mapping(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be a mapping", got=type(value).__name__)


def _check_json(name: str, value: Any) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be plain JSON values", got=str(error)) from error
