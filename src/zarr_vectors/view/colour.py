"""What the colour of a vertex, an edge or a face means: a number, a class, or a true colour. Pure numpy."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import Categorical, Column, Geometry
from zarr_vectors.typing import AnyArray, ByteArray

__all__ = [
    "DIRECTION",
    "MAX_CLASSES",
    "MISSING",
    "PALETTE",
    "Classes",
    "Colour",
    "Directions",
    "Numbers",
    "TrueColour",
    "attributes_for",
    "colour_from",
    "colour_of",
    "recounted",
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

DIRECTION = "direction"
"""What segments are coloured by when their course says their colour."""

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


@dataclass(frozen=True)
class Directions(TrueColour):
    """A colour per segment that says how it runs: red, green and blue along three axes.

    Args:
        axes: Names of the axes of these channels.
    """

    axes: tuple[str, ...] = ()


Colour: TypeAlias = Numbers | Classes | TrueColour


def attributes_for(
    name: str, attributes: Collection[str], axes: Sequence[str], *, has_objects: bool, others: Collection[str] = ()
) -> list[str]:
    """The attributes that colouring by ``name`` takes; none for an axis and for object ids.

    Args:
        name: What to colour by.
        attributes: Names of attributes.
        axes: Names of axes.
        has_objects: Whether there are object ids.
        others: What else can be coloured by without any of ``attributes``: attributes of other things, directions.

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
    match = _CHANNEL.fullmatch(name)
    base = match["name"] if match else name
    if name in others or name in axes or (name == "object_id" and has_objects):
        return []
    if match and base in attributes:
        return [base]
    if match and base in others:
        return []
    known = [*attributes, *others, *axes, *(["object_id"] if has_objects else [])]
    hint = f"choose one of {', '.join(dict.fromkeys(known))}"
    raise AttributeNotFoundError(f"there is nothing named {name!r} to colour by", hint=hint)


def colour_of(value: Geometry, name: str, axes: tuple[Axis, ...], others: Collection[str] = ()) -> Colour:
    """Find out what ``name`` means for the vertices of a value.

    ``name`` is an attribute, one channel of it as ``"normal[2]"``, ``"rgb"`` for the attributes red, green and blue,
    an object attribute, an axis, or ``"object_id"``. The first of these counts where names collide.

    Raises:
        AttributeNotFoundError: There is nothing of this name; the hint lists what there is, and ``others``.
        InputError: The attribute has values that no colour can stand for.

    Example:
        >>> from zarr_vectors.geometry import Points
        >>> cloud = Points(np.zeros((3, 2)), attributes={"kind": ["soma", "axon", None]})
        >>> classes = colour_of(cloud, "kind", (Axis("x"), Axis("y")))
        >>> classes.names, classes.codes.tolist()
        (('axon', 'soma'), [1, 0, -1])
    """
    names = [axis.name for axis in axes]
    owners = value.vertex_objects
    known = [*value.object_attributes, *others]
    needed = attributes_for(name, value.attributes, names, has_objects=owners is not None, others=known)
    if needed:
        return colour_from(value.attributes, name, needed)
    of_objects = [part for part in value.object_attributes if name == part or name.startswith(f"{part}[")]
    if of_objects and owners is not None and value.objects is not None:
        column = _spread(value.object_attributes[of_objects[-1]], value.objects, owners)
        return colour_from({of_objects[-1]: column}, name, of_objects[-1:])
    if name in names:
        at = names.index(name)
        return Numbers(name, _as_floats(value.positions[:, at]), axes[at].unit)
    assert owners is not None
    return _colour_of_objects(owners)


def colour_from(columns: Mapping[str, Column], name: str, needed: Sequence[str]) -> Colour:
    """The meaning of a name that stands for columns, as ``attributes_for`` found them.

    Raises:
        InputError: They have values that no colour can stand for.
    """
    if list(needed) == [name]:
        return _colour_of_column(name, columns[name])
    if len(needed) == 3:
        channels = np.stack([np.asarray(columns[part]) for part in needed], axis=1)
        return TrueColour(", ".join(needed), _as_bytes(name, channels))
    return _colour_of_channel(name, columns[needed[0]], int(name[name.rindex("[") + 1 : -1]))


def recounted(classes: Classes, codes: AnyArray) -> Classes:
    """The same classes for other rows.

    Example:
        >>> recounted(Classes("kind", np.array([0, 1]), ("a", "b"), (1, 1)), np.array([1, 1, -1])).counts
        (0, 2)
    """
    counts = np.bincount(codes.astype(np.int64) + 1, minlength=len(classes.names) + 1)[1:]
    return replace(classes, codes=codes, counts=tuple(counts.tolist()))


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


def _spread(column: Column, objects: AnyArray, owners: AnyArray) -> Column:
    """A value of each object as one of each of its vertices; missing where an object is not described."""
    order = np.argsort(objects, kind="stable")
    at = np.searchsorted(objects, owners, sorter=order)
    rows = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(owners), dtype=np.int64)
    known = objects[rows] == owners if len(order) else np.zeros(len(owners), dtype=bool)
    if isinstance(column, Categorical):
        codes = np.where(known, column.codes[rows], -1) if len(order) else np.full(len(owners), -1)
        return Categorical(codes, column.categories, column.ordered)
    if known.all() and len(order):
        return column[rows]
    if column.dtype.kind not in "biuf":
        raise InputError("not every object that occurs is described by object_attributes", hint="colour by object_id")
    spread = np.full((len(owners), *column.shape[1:]), np.nan)
    spread[known] = column[rows[known]]
    return spread


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
