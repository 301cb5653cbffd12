"""What the colour of a point means: a number, a class, or a true colour. Pure numpy."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.typing import AnyArray, ByteArray

__all__ = [
    "MAX_CLASSES",
    "MISSING",
    "PALETTE",
    "Classes",
    "Colour",
    "Numbers",
    "TrueColour",
    "attributes_for",
    "colour_of",
    "robust_limits",
]

MAX_CLASSES = 12
"""The most entries of a legend; rarer classes are drawn together as "other"."""

PALETTE = (
    "#3f6fd1", "#f08a24", "#2f9e63", "#d6435a", "#8a5fc7", "#19a7b8",
    "#c9a227", "#e07ab8", "#7a5a43", "#86b53c", "#2b3f73", "#9aa0a8",
)  # fmt: skip
"""Colours of classes, told apart also in print."""

MISSING = "#cfd2d6"
"""Colour of a point that has no value."""

_TRIPLETS = (("red", "green", "blue"), ("r", "g", "b"), ("R", "G", "B"), ("Red", "Green", "Blue"))
_CHANNEL = re.compile(r"(?P<name>.+)\[(?P<channel>\d+)\]")
_SAMPLE = 100_000
_FEW = 100


@dataclass(frozen=True)
class Numbers:
    """A continuous value per point.

    Args:
        label: What the values are.
        values: ``(N,)`` floats; NaN where missing.
        unit: As the axis states it, where the values are coordinates.
        time: ``"M8[unit]"`` or ``"m8[unit]"`` where the values count ticks of a time; empty otherwise.
    """

    label: str
    values: AnyArray
    unit: str | None = None
    time: str = ""


@dataclass(frozen=True)
class Classes:
    """One of a few classes per point.

    Args:
        label: What the classes are.
        codes: ``(N,)`` integers into ``names``; -1 where missing.
        names: At most ``MAX_CLASSES``, in the order of the legend.
        counts: Points of each class.
        other: Number of classes that the last entry stands for; 0 when there is no such entry.
    """

    label: str
    codes: AnyArray
    names: tuple[str, ...]
    counts: tuple[int, ...]
    other: int = 0


@dataclass(frozen=True)
class TrueColour:
    """A colour per point.

    Args:
        label: Where the colours come from.
        rgb: ``(N, 3)`` uint8.
    """

    label: str
    rgb: ByteArray


Colour: TypeAlias = Numbers | Classes | TrueColour


def attributes_for(name: str, attributes: Collection[str], axes: Sequence[str], *, has_objects: bool) -> list[str]:
    """The attributes that colouring by ``name`` takes; none for an axis and for object ids.

    Raises:
        AttributeNotFoundError: There is nothing of this name; the hint lists what there is.

    Example:
        >>> attributes_for("normal[2]", ["normal", "red"], ["x", "y"], has_objects=False)
        ['normal']
    """
    if name in attributes:
        return [name]
    if name == "rgb":
        for triplet in _TRIPLETS:
            if all(part in attributes for part in triplet):
                return list(triplet)
    if name in axes or (name == "object_id" and has_objects):
        return []
    match = _CHANNEL.fullmatch(name)
    if match and match["name"] in attributes:
        return [match["name"]]
    known = [*attributes, *axes, *(["object_id"] if has_objects else [])]
    hint = f"choose one of {', '.join(known)}"
    raise AttributeNotFoundError(f"there is nothing named {name!r} to colour by", hint=hint)


def colour_of(points: Points, name: str, axes: tuple[Axis, ...]) -> Colour:
    """Find out what ``name`` means for these points.

    ``name`` is an attribute, one channel of it as ``"normal[2]"``, ``"rgb"`` for the attributes red, green and blue,
    an axis, or ``"object_id"``. An attribute comes first where names collide.

    Raises:
        AttributeNotFoundError: There is nothing of this name; the hint lists what there is.
        InputError: The attribute has values that no colour can stand for.

    Example:
        >>> cloud = Points(np.zeros((3, 2)), attributes={"kind": ["soma", "axon", None]})
        >>> classes = colour_of(cloud, "kind", (Axis("x"), Axis("y")))
        >>> classes.names, classes.codes.tolist()
        (('axon', 'soma'), [1, 0, -1])
    """
    names = [axis.name for axis in axes]
    needed = attributes_for(name, points.attributes, names, has_objects=points.object_ids is not None)
    if needed == [name]:
        return _colour_of_column(name, points.attributes[name])
    if len(needed) == 3:
        channels = np.stack([np.asarray(points.attributes[part]) for part in needed], axis=1)
        return TrueColour(", ".join(needed), _as_bytes(name, channels))
    if needed:
        return _colour_of_channel(name, points.attributes[needed[0]], int(name[name.rindex("[") + 1 : -1]))
    if name in names:
        column = names.index(name)
        return Numbers(name, _as_floats(points.positions[:, column]), axes[column].unit)
    assert points.object_ids is not None
    return _colour_of_objects(points.object_ids)


def robust_limits(values: AnyArray, low: float = 2.0, high: float = 98.0) -> tuple[float, float]:
    """The range that ignores outliers: two percentiles of the finite values, of few values the whole; never empty.

    Example:
        >>> robust_limits(np.array([3.0, np.nan, 3.0]))
        (2.5, 3.5)
    """
    flat = values[:: max(1, len(values) // 2_000_000)]
    finite = flat[np.isfinite(flat)]
    if not len(finite):
        return 0.0, 1.0
    if len(finite) < _FEW:
        low, high = 0.0, 100.0
    lower, upper = (float(value) for value in np.percentile(finite, (low, high)))
    if lower == upper:
        lower, upper = float(finite.min()), float(finite.max())
    if lower == upper:
        margin = 0.5 * (abs(lower) * 1e-6 if abs(lower) > 1e6 else 1.0)
        return lower - margin, upper + margin
    return lower, upper


def _colour_of_column(name: str, column: Column) -> Colour:
    if isinstance(column, Categorical):
        return _as_classes(name, column.codes, [str(category) for category in column.categories])
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim == 2:
        if column.shape[1] in (3, 4) and column.dtype in (np.dtype("u1"), np.dtype("u2")):
            return TrueColour(name, _as_bytes(name, column[:, :3]))
        raise InputError(
            f"attribute {name!r} has {column.shape[1]} channels and is no colour",
            hint=f"choose one of them, for example {name}[0]",
        )
    if column.ndim > 2:
        raise InputError(f"attribute {name!r} cannot be a colour", got=f"shape {column.shape}")
    if column.dtype.kind == "b":
        return _as_classes(name, column.astype(np.int8), ["false", "true"])
    if column.dtype.kind in "iu":
        distinct = _few_distinct(column)
        if distinct is not None:
            return _as_classes(name, np.searchsorted(distinct, column), [f"{value:,}" for value in distinct.tolist()])
    return _as_numbers(name, column)


def _colour_of_channel(name: str, column: Column, channel: int) -> Numbers:
    width = 1 if len(column.shape) == 1 else int(column.shape[1])
    if isinstance(column, Categorical) or len(column.shape) != 2 or channel >= width:
        raise InputError(f"there is no channel {channel}", got=name, expected=f"channels 0 to {width - 1}")
    return _as_numbers(name, column[:, channel])


def _colour_of_objects(ids: AnyArray) -> Classes | TrueColour:
    distinct = np.unique(ids)
    if len(distinct) <= MAX_CLASSES:
        return _as_classes("object_id", np.searchsorted(distinct, ids), [f"{value:,}" for value in distinct.tolist()])
    table = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in PALETTE], dtype=np.uint8)
    return TrueColour(f"object_id ({len(distinct):,} objects)", table[np.searchsorted(distinct, ids) % len(table)])


def _as_classes(label: str, codes: AnyArray, names: list[str]) -> Classes:
    """Keep the classes that occur; the rarest become "other" when they are too many for a legend."""
    counts = np.bincount(codes.astype(np.int64) + 1, minlength=len(names) + 1)[1:]
    shown = np.flatnonzero(counts)
    folded = np.empty(0, dtype=np.int64)
    if len(shown) > MAX_CLASSES:
        by_size = shown[np.argsort(-counts[shown], kind="stable")]
        shown, folded = np.sort(by_size[: MAX_CLASSES - 1]), by_size[MAX_CLASSES - 1 :]
    table = np.full(len(names) + 1, -1, dtype=np.int16)
    table[shown] = np.arange(len(shown))
    table[folded] = len(shown)
    labels, sizes = [names[code] for code in shown.tolist()], counts[shown].tolist()
    if len(folded):
        labels.append(f"other ({len(folded):,} classes)")
        sizes.append(int(counts[folded].sum()))
    return Classes(label, table[codes], tuple(labels), tuple(sizes), len(folded))


def _as_numbers(name: str, column: AnyArray) -> Numbers:
    if column.dtype.kind in "mM":
        ticks = np.where(np.isnat(column), np.nan, column.astype(np.int64).astype(np.float64))
        return Numbers(name, ticks, time=f"{column.dtype.kind}8[{np.datetime_data(column.dtype)[0]}]")
    if column.dtype.kind not in "biuf":
        raise InputError(f"attribute {name!r} cannot be a colour", got=f"dtype {column.dtype}")
    return Numbers(name, _as_floats(column))


def _as_floats(column: AnyArray) -> AnyArray:
    small = column.dtype.itemsize <= 2 or column.dtype == np.float32
    return column.astype(np.float32 if small else np.float64, copy=False)


def _few_distinct(column: AnyArray) -> AnyArray | None:
    """The sorted distinct values when a legend can hold them, else None; most columns are settled by a sample."""
    sample = np.unique(column[:: max(1, len(column) // _SAMPLE)])
    if len(sample) > MAX_CLASSES:
        return None
    distinct = np.unique(column)
    return distinct if len(distinct) <= MAX_CLASSES else None


def _as_bytes(name: str, channels: AnyArray) -> ByteArray:
    """Colours as uint8. Files often keep 8-bit colours in 16-bit fields, so the largest value tells the scale."""
    if channels.dtype.kind == "f":
        scale = 255.0 if channels.size and np.nanmax(channels) <= 1 else 1.0
        return np.nan_to_num(channels * scale).clip(0, 255).astype(np.uint8)
    if channels.dtype.kind not in "iu":
        raise InputError(f"{name!r} must be numbers to be a colour", got=f"dtype {channels.dtype}")
    if channels.dtype.itemsize > 1 and channels.size and int(channels.max()) > 255:
        return (channels.clip(0, 65535) // 257).astype(np.uint8)
    return channels.clip(0, 255).astype(np.uint8)
