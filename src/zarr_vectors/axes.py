"""The axes of a store: a name, a kind and a unit for each column of the positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from zarr_vectors.constants import DEFAULT_AXES_NAMES
from zarr_vectors.exceptions import InputError

__all__ = ["Axis", "as_axes"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis in the terms of OME-NGFF.

    Args:
        name: Unique among the axes of a store.
        unit: For example ``"micrometer"``; None where unknown.
        type: ``"space"``, ``"time"`` or any other kind.

    Example:
        >>> Axis("z", unit="nanometer").to_json()
        {'name': 'z', 'type': 'space', 'unit': 'nanometer'}
    """

    name: str
    unit: str | None = None
    type: str = "space"

    def to_json(self) -> dict[str, str]:
        """The entry of ``multiscales[0].axes``."""
        entry = {"name": self.name, "type": self.type}
        return entry | {"unit": self.unit} if self.unit else entry


def as_axes(value: Sequence[Any] | str | None, ndim: int) -> tuple[Axis, ...]:
    """Take axes as names, ``Axis`` values, mappings or NGFF models, and check their number.

    Raises:
        InputError: Wrong number, no order, an empty or a repeated name, or a unit or type that is no text.

    Example:
        >>> [axis.name for axis in as_axes("zyx", 3)]
        ['z', 'y', 'x']
        >>> as_axes(None, 2)[1]
        Axis(name='y', unit=None, type='space')
    """
    if value is None:
        if ndim > len(DEFAULT_AXES_NAMES):
            raise InputError(
                f"axes must be named for {ndim}-dimensional positions",
                hint=f"names are known by default for up to {len(DEFAULT_AXES_NAMES)} axes",
            )
        return tuple(Axis(name) for name in DEFAULT_AXES_NAMES[:ndim])
    if isinstance(value, (bytes, Mapping, AbstractSet)) or not isinstance(value, Iterable):
        raise InputError(
            "axes must be names or Axis values in the order of the columns",
            got=repr(value),
            hint="for example 'xyz', or [zv.Axis('x', 'micrometer'), 'y']",
        )
    axes = tuple(_as_axis(entry) for entry in value)
    names = [axis.name for axis in axes]
    if len(axes) != ndim:
        raise InputError("axes must name every column of the positions", expected=f"{ndim} axes", got=names)
    if len(set(names)) != len(names) or not all(names):
        raise InputError("axes must have distinct, non-empty names", got=names)
    return axes


def _as_axis(entry: Any) -> Axis:
    if isinstance(entry, str):
        return Axis(entry)
    if isinstance(entry, Mapping):
        name, unit, kind = (entry.get(key) for key in ("name", "unit", "type"))
    else:
        name, unit, kind = (getattr(entry, key, None) for key in ("name", "unit", "type"))
    if not isinstance(name, str):
        raise InputError("an axis must be a name, a mapping with a name, or an Axis", got=repr(entry))
    for what, text in (("unit", unit), ("type", kind)):
        if text is not None and not isinstance(text, str):
            raise InputError(f"the {what} of axis {name!r} must be text", got=repr(text), hint="leave it out")
    return entry if isinstance(entry, Axis) else Axis(name, unit, kind or "space")
