"""Which column of a table is what, and what tables of all formats share.

Coordinates are found by name, without regard to case, as the first row of this list whose ``x`` and ``y`` exist::

    global_x  x  pos_x  position_x  x_position  x_location  x_centroid  centroid_x  center_x  coord_x

with ``z`` and ``t`` beside them where they exist. A unit may follow: ``x_um``, ``x (nm)``, ``y [µm]``.
A column ``object_id`` holds object ids, unless it is asked for as an attribute. Every other column is an attribute.
Where something else is called ``z`` or ``t`` beside an ``x`` and a ``y``, ``ReadOptions.positions`` says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError, InputError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.geometry import Categorical, Points
from zarr_vectors.geometry.interchange.arrow_types import native_values
from zarr_vectors.typing import AnyArray, IntArray

__all__ = [
    "OTHER_OBJECT_IDS",
    "OTHER_POSITIONS",
    "CategoryTable",
    "ColumnPlan",
    "check_columns",
    "has_positions",
    "listed",
    "native_times",
    "object_ids_of",
    "peek",
    "plan_columns",
    "rows_per_batch",
]

OTHER_OBJECT_IDS = (
    "name another column with object_ids= (--object-id-column), or list this one in attributes= (--attributes)"
)
OTHER_POSITIONS = "name others with positions= (--positions), or cast them first"
"""Hints for errors of columns that cannot be what their names say."""

_FAMILIES = (
    "global_{}",
    "{}",
    "pos_{}",
    "position_{}",
    "{}_position",
    "{}_location",
    "{}_centroid",
    "centroid_{}",
    "center_{}",
    "coord_{}",
)
_UNITS = {
    "nm": "nanometer",
    "um": "micrometer",
    "μm": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "s": "second",
    "ms": "millisecond",
    "px": None,
    "pixel": None,
    "pixels": None,
}
_WITH_UNIT = re.compile(rf"(?P<base>.+?)(?:_| *[(\[]| +)(?P<unit>{'|'.join(_UNITS)})[)\]]?")

_UNUSABLE_NAMES = frozenset({"", ".", "..", "zarr.json"})
_BATCH_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class ColumnPlan:
    """What each column of a table becomes.

    Args:
        positions: Columns of the coordinates, in axis order.
        axes: One for each of ``positions``.
        object_ids: Column of the object ids, or None.
        attributes: Columns that become attributes.
    """

    positions: tuple[str, ...]
    axes: tuple[Axis, ...]
    object_ids: str | None
    attributes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column to read."""
        return (*self.positions, *((self.object_ids,) if self.object_ids else ()), *self.attributes)


def plan_columns(path: Path, names: Sequence[str], options: ReadOptions) -> ColumnPlan:
    """Say what each column of a table becomes.

    Raises:
        IngestError: There are no coordinates, a named column does not exist, or a name cannot be used.

    Example:
        >>> plan = plan_columns(Path("cells.csv"), ["cell", "X (um)", "Y (um)", "area"], ReadOptions())
        >>> plan.positions, plan.attributes, plan.axes[0].unit
        (('X (um)', 'Y (um)'), ('cell', 'area'), 'micrometer')
    """
    if options.positions is None:
        positions, axes = _find_positions(path, names)
    else:
        positions = tuple(options.positions)
        _check_named(path, names, positions, "positions")
        axes = _axes_of(positions)
    if options.object_ids is not None:
        _check_named(path, names, (options.object_ids,), "object_ids")
    object_ids = replace(options, positions=positions).owner_among(names)
    taken = {*positions, object_ids}
    if options.attributes is None:
        attributes = tuple(name for name in names if name not in taken)
    else:
        attributes = tuple(dict.fromkeys(options.attributes))
        _check_named(path, names, attributes, "attributes")
    plan = ColumnPlan(positions=positions, axes=axes, object_ids=object_ids, attributes=attributes)
    _check_usable(path, names, plan)
    return plan


def has_positions(names: Sequence[str]) -> bool:
    """Whether ``x`` and ``y`` are found among the names."""
    bases = {_base_and_unit(name)[0] for name in names}
    return any({family.format("x"), family.format("y")} <= bases for family in _FAMILIES)


def _find_positions(path: Path, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[Axis, ...]]:
    by_base: dict[str, list[str]] = {}
    for name in names:
        by_base.setdefault(_base_and_unit(name)[0], []).append(name)
    for family in _FAMILIES:
        if family.format("x") in by_base and family.format("y") in by_base:
            bases = [family.format(letter) for letter in "xyzt" if family.format(letter) in by_base]
            positions = tuple(_only(path, base, by_base[base]) for base in bases)
            return positions, _axes_of(positions)
    raise IngestError(
        f"{path}: no columns of coordinates such as x, y and z were found",
        got=f"columns {listed(names)}",
        hint="name them with positions= (--positions)",
    )


def _only(path: Path, base: str, names: Sequence[str]) -> str:
    if base in names and names.count(base) == 1:
        return base
    if len(names) > 1:
        raise IngestError(
            f"{path}: more than one column could hold the coordinate {base!r}",
            got=f"columns {listed(names)}",
            hint="name the wanted ones with positions= (--positions)",
        )
    return names[0]


def _base_and_unit(name: str) -> tuple[str, str | None]:
    folded = name.strip().casefold()
    match = _WITH_UNIT.fullmatch(folded)
    base = match["base"] if match else folded
    return base.strip().replace(" ", "_"), _UNITS[match["unit"]] if match else None


def _axes_of(positions: Sequence[str]) -> tuple[Axis, ...]:
    letters = {family.format(letter): letter for letter in "xyzt" for family in _FAMILIES}
    pairs = [_base_and_unit(name) for name in positions]
    names = [letters.get(base) for base, _ in pairs]
    if None in names or len(set(names)) != len(names):
        return tuple(Axis(name, type="time" if name.casefold() in {"t", "time"} else "space") for name in positions)
    return tuple(
        Axis(str(name), unit, "time" if name == "t" else "space") for name, (_, unit) in zip(names, pairs, strict=True)
    )


def _check_named(path: Path, names: Sequence[str], wanted: Sequence[str], option: str) -> None:
    unknown = [name for name in wanted if name not in names]
    if unknown:
        near = get_close_matches(unknown[0], names, n=1)
        raise IngestError(
            f"{path}: {option} names columns that do not exist: {listed(unknown)}",
            got=f"columns {listed(names)}",
            hint=f"did you mean {near[0]!r}?" if near else None,
        )
    if option == "positions" and (not 1 <= len(wanted) <= 4 or len(set(wanted)) != len(wanted)):
        raise IngestError(f"{path}: positions must name 1 to 4 different columns", got=listed(wanted))


def _check_usable(path: Path, names: Sequence[str], plan: ColumnPlan) -> None:
    counts = Counter(names)
    repeated = [name for name in dict.fromkeys(plan.columns) if counts[name] > 1]
    if repeated:
        raise IngestError(
            f"{path}: more than one column has the name {listed(repeated)}",
            hint="rename them, or choose other columns with attributes= (--attributes)",
        )
    both = [name for name in plan.attributes if name in plan.positions]
    if both or plan.object_ids in plan.positions:
        raise IngestError(
            f"{path}: columns of coordinates are asked for a second time: {listed(both or [str(plan.object_ids)])}",
            hint="leave them out of attributes= and object_ids=",
        )
    unusable = [name for name in plan.attributes if "/" in name or name in _UNUSABLE_NAMES]
    if unusable:
        raise IngestError(
            f"{path}: attributes cannot have these names: {listed(unusable)}",
            hint="rename the columns, or choose others with attributes= (--attributes)",
        )


def listed(names: Iterable[str], most: int = 40) -> str:
    """Names for a message, quoted where they are no plain words."""
    quoted = [name if name.isidentifier() else repr(name[:80]) for name in names]
    return (", ".join(quoted[:most]) or "none") + (f" and {len(quoted) - most} more" if len(quoted) > most else "")


class CategoryTable:
    """The categories met so far in one text column; codes stay valid while it grows.

    Example:
        >>> table = CategoryTable()
        >>> table.recode(np.array([0, 1]), ["soma", "axon"]).tolist()
        [0, 1]
        >>> table.recode(np.array([0, -1, 1]), ["axon", "spine"]).tolist()
        [1, -1, 2]
        >>> table.categorical(np.array([2, -1])).categories
        ('soma', 'axon', 'spine')
    """

    def __init__(self, *, ordered: bool = False) -> None:
        self._codes: dict[Any, int] = {}
        self._values: tuple[Any, ...] = ()
        self._ordered = ordered

    def recode(self, codes: AnyArray, categories: Iterable[Any]) -> AnyArray:
        """Turn codes into ``categories`` into int32 codes of this table; -1 stays -1."""
        known = self._codes
        translation = [-1 if value is None else known.setdefault(value, len(known)) for value in categories]
        recoded: AnyArray = np.array([*translation, -1], dtype=np.int32)[codes]
        return recoded

    def categorical(self, codes: AnyArray) -> Categorical:
        """The values of codes that this table gave out."""
        if len(self._values) != len(self._codes):
            self._values = tuple(self._codes)
        return Categorical(codes, self._values, self._ordered)


def object_ids_of(path: Path, name: str, values: AnyArray, first_row: int = 0) -> IntArray:
    """Object ids as int64.

    Raises:
        IngestError: They are no integers, or too large.
    """
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise IngestError(
            f"{path}: object ids must be integers, one per point",
            got=f"{values.dtype} of shape {values.shape} in {name!r}",
            hint=OTHER_OBJECT_IDS,
        )
    if values.dtype == np.uint64 and values.size and int(values.max()) > np.iinfo(np.int64).max:
        row = int(np.argmax(values > np.uint64(np.iinfo(np.int64).max)))
        raise IngestError(
            f"{path}: object ids must fit in int64",
            got=f"{values[row]} in row {first_row + row}",
            hint=OTHER_OBJECT_IDS,
        )
    return values.astype(np.int64, copy=False)


def rows_per_batch(options: ReadOptions, row_bytes: int) -> int:
    """``options.batch_rows``, or fewer where rows are wide."""
    return max(1, min(options.batch_rows, _BATCH_BYTES // max(1, row_bytes)))


def check_columns(path: Path, names: Sequence[str], points: Points, *, kinds: str) -> None:
    """Check that points can become the columns of a table.

    Args:
        path: The file to be written.
        names: Every column, in order.
        points: The first batch.
        kinds: The dtype kinds that the format holds.

    Raises:
        ExportError: Two columns have one name, or an attribute is of a kind that the format lacks.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ExportError(
            f"{path}: more than one column would have the name {listed(repeated)}",
            hint="choose attributes with attributes= (--attributes)",
        )
    for name, column in points.attributes.items():
        if isinstance(column, Categorical):
            continue
        if column.dtype.kind not in kinds or (column.dtype.kind == "f" and column.dtype.itemsize > 8):
            raise ExportError(
                f"{path}: attribute {name!r} cannot be written in this format",
                got=f"dtype {column.dtype}",
                hint="choose others with attributes= (--attributes), or write .npz",
            )
        if column.ndim > 2:
            raise ExportError(
                f"{path}: attribute {name!r} has more than one axis of channels, which this format lacks",
                got=f"shape {column.shape}",
                hint="choose others with attributes= (--attributes)",
            )


def native_times(path: Path, name: str, values: AnyArray) -> AnyArray:
    """Values in the byte order of this machine, and times in a unit that Arrow knows; a mask stays.

    Raises:
        ExportError: The unit is finer than Arrow's, or is none.
    """
    try:
        return native_values(name, values)
    except InputError as error:
        raise ExportError(
            f"{path}: {error.message}",
            expected=error.expected,
            got=error.got,
            hint="choose others with attributes= (--attributes), or write .npz",
        ) from error


def peek(batches: Iterator[Points]) -> tuple[Points, Iterator[Points]]:
    """The first batch, and all of them."""
    first = next(batches)

    def again() -> Iterator[Points]:
        yield first
        yield from batches

    return first, again()
