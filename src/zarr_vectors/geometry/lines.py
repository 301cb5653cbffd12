"""Polylines, streamlines and lines: vertices in order, one line after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import GEOM_LINE, GEOM_POLYLINE, GEOM_STREAMLINE
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import as_array, as_ids, as_positions
from zarr_vectors.geometry.base import DERIVED, Put, as_mapping
from zarr_vectors.geometry.columns import Categorical, take_column
from zarr_vectors.geometry.line_tables import LineTables
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Lines", "Polylines"]


@dataclass(frozen=True, eq=False, repr=False)
class Polylines(LineTables):
    """Polylines or streamlines, as one array of vertices and the offsets at which each line begins.

    Args:
        positions: ``(N, D)`` vertices of all lines one after another; or, without ``offsets``, a list of
            ``(n, D)`` arrays, one per line.
        offsets: ``(P + 1,)`` int64, ascending from 0 to ``N``: line ``p`` is ``positions[offsets[p]:offsets[p + 1]]``.
        ids: ``(P,)`` int64 object id of each line. None numbers them from 0, and from the next unused id where they
            are appended to a store. Parts of one line, as a read by box may bring them, share its id.
        kind: ``"polyline"`` or ``"streamline"``; the store keeps the word.
        attributes: A row for each vertex; or a list of arrays, one per line.
        object_attributes, objects, groups, group_attributes, axes, row_ids, errors: As in ``Geometry``; ``objects``
            are the ``ids`` in their order where not given.

    Raises:
        InputError: Shapes or lengths contradict each other.

    Example:
        >>> tracts = Polylines([[[0.0, 0.0], [1.0, 1.0]], [[5.0, 5.0]]], kind="streamline")
        >>> tracts.offsets.tolist(), tracts.object_ids.tolist(), tracts.line(1).tolist()
        ([0, 2, 3], [0, 0, 1], [[5.0, 5.0]])
    """

    offsets: IntArray = DERIVED
    ids: IntArray | None = field(default=None, kw_only=True)
    kind: str = field(default=GEOM_POLYLINE, kw_only=True)

    geometry_type: ClassVar[str] = GEOM_POLYLINE
    noun: ClassVar[str] = "vertices"
    counted: ClassVar[tuple[str, ...]] = ("vertex_count", "line_count", "line_ids", "object_ids")
    kinds: ClassVar[tuple[str, ...]] = (GEOM_POLYLINE, GEOM_STREAMLINE)

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913 (one for each field)
            self,
            positions: npt.ArrayLike | Sequence[npt.ArrayLike],
            offsets: npt.ArrayLike | None = ...,
            *,
            ids: npt.ArrayLike | None = ...,
            kind: str = ...,
            attributes: Mapping[str, Any] = ...,
            object_attributes: Mapping[str, Any] = ...,
            objects: npt.ArrayLike | None = ...,
            groups: Mapping[int, Any] = ...,
            group_attributes: Mapping[str, Any] = ...,
            axes: Sequence[Any] | str | None = ...,
            row_ids: npt.ArrayLike | None = ...,
            errors: tuple[str, ...] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        put: Put = object.__setattr__
        if self.offsets is DERIVED:
            positions, sizes = _joined_lines(self.positions)
            put(self, "positions", positions)
            put(self, "offsets", np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
        sizes = np.diff(as_ids("offsets", self.offsets)).tolist()
        given = as_mapping("attributes", self.attributes)
        put(self, "attributes", {name: _joined_values(name, value, sizes) for name, value in given.items()})
        super().__post_init__()

    def _connect(self, put: Put) -> None:
        if self.kind not in self.kinds:
            raise InputError("kind is not known", got=repr(self.kind), expected=f"one of {', '.join(self.kinds)}")
        offsets = as_ids("offsets", self.offsets)
        rows = len(self.positions)
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets) < 0).any():
            raise InputError(
                "offsets must ascend from 0 to the number of vertices",
                expected=f"0 to {rows}",
                got=offsets.tolist()[:9],
            )
        put(self, "offsets", offsets)
        if self.ids is not None:
            put(self, "ids", as_ids("ids", self.ids, len(offsets) - 1))

    def _default_objects(self) -> IntArray:
        ids = self.line_ids
        return ids[np.sort(np.unique(ids, return_index=True)[1])]

    @property
    def line_count(self) -> int:
        """Number of lines."""
        return len(self.offsets) - 1

    @property
    def line_ids(self) -> IntArray:
        """``(P,)`` object id of each line: ``ids``, or numbers from 0."""
        return np.arange(self.line_count, dtype=np.int64) if self.ids is None else self.ids

    @property
    def lengths(self) -> IntArray:
        """``(P,)`` vertices of each line."""
        return np.diff(self.offsets)

    @property
    def object_ids(self) -> IntArray:
        """``(N,)`` id of the line that each vertex belongs to."""
        return np.repeat(self.line_ids, self.lengths)

    @property
    def vertex_objects(self) -> IntArray:
        """``object_ids``."""
        return self.object_ids

    @property
    def has_objects(self) -> bool:
        """Every line is an object."""
        return True

    def line(self, number: int) -> AnyArray:
        """``(n, D)`` vertices of one line, by its number in this value."""
        return self.positions[self.offsets[number] : self.offsets[number + 1]]

    def lines(self) -> list[AnyArray]:
        """The vertices of each line; views, nothing is copied."""
        return np.split(self.positions, self.offsets[1:-1]) if self.line_count else []

    def take(self, lines: AnyArray | slice) -> Polylines:
        """These lines, by an index, mask or slice of their numbers; tables of objects and groups stay whole."""
        numbers = np.arange(self.line_count)[lines]
        lengths = self.lengths[numbers]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(int(offsets[-1])) + np.repeat(self.offsets[:-1][numbers] - offsets[:-1], lengths)
        return replace(
            self,
            positions=take_rows(self.positions, rows),
            offsets=offsets,
            ids=self.line_ids[numbers],
            attributes={name: take_column(column, rows) for name, column in self.attributes.items()},
            row_ids=None if self.row_ids is None else take_rows(self.row_ids, rows),
        )

    def within(self, mask: BoolArray) -> Polylines:
        """The lines all of whose vertices are in a mask: a line that lacks vertices would be another line."""
        outside = np.concatenate([[0], np.cumsum(~mask)])
        return self.take(outside[self.offsets[1:]] == outside[self.offsets[:-1]])

    def _described(self) -> list[str]:
        return [f"{self.line_count} {self.kind}s", f"{self.vertex_count} vertices"]


@dataclass(frozen=True, eq=False, repr=False)
class Lines(Polylines):
    """Straight lines between two points each.

    Args:
        positions: ``(M, 2, D)`` end points. What a read by box brings may be ``(N, D)`` with ``offsets``, where a
            line of which only one end lies in the box is a single vertex.
        ids: ``(M,)`` int64 object id of each line, as in ``Polylines``.
        attributes: A row for each vertex: ``2 M`` rows, or ``(M, 2)`` values.
        offsets, kind, object_attributes, objects, groups, group_attributes, axes, row_ids, errors: As in ``Polylines``.

    Example:
        >>> lines = Lines([[[0.0, 0.0], [3.0, 4.0]]], object_attributes={"weight": [0.5]})
        >>> lines.endpoints.shape, lines.line_count
        ((1, 2, 2), 1)
    """

    kind: str = field(default=GEOM_LINE, kw_only=True)

    geometry_type: ClassVar[str] = GEOM_LINE
    kinds: ClassVar[tuple[str, ...]] = (GEOM_LINE,)

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913 (one for each field)
            self,
            positions: npt.ArrayLike,
            offsets: npt.ArrayLike | None = ...,
            *,
            ids: npt.ArrayLike | None = ...,
            kind: str = ...,
            attributes: Mapping[str, Any] = ...,
            object_attributes: Mapping[str, Any] = ...,
            objects: npt.ArrayLike | None = ...,
            groups: Mapping[int, Any] = ...,
            group_attributes: Mapping[str, Any] = ...,
            axes: Sequence[Any] | str | None = ...,
            row_ids: npt.ArrayLike | None = ...,
            errors: tuple[str, ...] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        put: Put = object.__setattr__
        if self.offsets is DERIVED:
            ends = as_array("positions", self.positions)
            if ends.ndim != 3 or ends.shape[1] != 2:
                raise InputError("lines must be an (M, 2, D) array of end points", got=f"shape {ends.shape}")
            put(self, "positions", ends.reshape(-1, ends.shape[2]))
            put(self, "offsets", np.arange(0, 2 * len(ends) + 1, 2, dtype=np.int64))
            given = as_mapping("attributes", self.attributes)
            put(self, "attributes", {name: _ends_as_rows(values, len(ends)) for name, values in given.items()})
        super().__post_init__()

    @property
    def endpoints(self) -> AnyArray:
        """``(M, 2, D)`` end points.

        Raises:
            InputError: A line has not two vertices, as in what a box cut off.
        """
        if (self.lengths != 2).any():
            raise InputError(
                "not every line has two vertices here", hint="use positions and offsets, or read with mode='objects'"
            )
        return self.positions.reshape(-1, 2, self.ndim)


def _ends_as_rows(values: Any, lines: int) -> Any:
    """``(M, 2)`` or ``(M, 2, C)`` values as one row for each end."""
    if isinstance(values, Categorical):
        return values
    try:
        array = np.asanyarray(values)
    except ValueError:
        return values  # Rows of several lengths: what is wrong is told with the column.
    is_pair = array.ndim > 1 and array.shape[:2] == (lines, 2)
    return array.reshape(-1, *array.shape[2:]) if is_pair else values


def _joined_lines(value: Any) -> tuple[AnyArray, list[int]]:
    """The vertices of a list of lines one after another, and how many each has."""
    if isinstance(value, np.ndarray) and value.ndim == 3:
        return value.reshape(-1, value.shape[2]), [value.shape[1]] * len(value)
    if isinstance(value, (np.ndarray, str, bytes)) or not isinstance(value, Sequence):
        raise InputError(
            "polylines must be a list of (n, D) arrays, or positions with offsets",
            got=f"shape {np.shape(value)}" if isinstance(value, np.ndarray) else type(value).__name__,
            hint="pass offsets, which say where each line begins",
        )
    parts = [as_array(f"line {number}", part) for number, part in enumerate(value)]
    widths = {part.shape[1] for part in parts if part.ndim == 2}
    if not widths:
        raise InputError(
            "polylines must be a list of (n, D) arrays",
            got="an empty list" if not parts else f"shape {parts[0].shape} as line 0",
            hint="for no lines pass np.empty((0, 3)) and offsets [0]",
        )
    width = min(widths)
    arrays = []
    for number, part in enumerate(parts):
        rows = part.reshape(0, width) if part.size == 0 else part
        if rows.ndim != 2 or rows.shape[1] != width:
            raise InputError(
                "polylines must all be (n, D) arrays with the same D", got=f"shape {part.shape} as line {number}"
            )
        arrays.append(as_positions(rows, f"line {number}"))
    full = [rows for rows in arrays if len(rows)]
    return np.concatenate(full or arrays[:1]), [len(rows) for rows in arrays]


def _joined_values(name: str, value: Any, sizes: Sequence[int]) -> Any:
    """One column from a list of arrays, one per line; other values as they are."""
    per_line = isinstance(value, (list, tuple)) and any(
        isinstance(part, (list, tuple)) or np.ndim(part) > 0 for part in value
    )
    if not per_line or (len(value) == sum(sizes) and len(value) != len(sizes)):
        return value
    if len(value) != len(sizes):
        raise InputError(
            f"attribute {name!r} must have one array per line", expected=f"{len(sizes)} arrays", got=len(value)
        )
    parts = [as_array(f"attribute {name!r} of line {number}", part) for number, part in enumerate(value)]
    for number, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        if part.ndim == 0 or len(part) != size:
            raise InputError(
                f"attribute {name!r} must have one value per vertex",
                expected=f"{size} values for line {number}",
                got=len(part) if part.ndim else "a single value",
            )
    full = [part for part in parts if len(part)]
    shapes = {part.shape[1:] for part in full}
    if len(shapes) > 1:
        raise InputError(f"attribute {name!r} must have rows of one shape", got=sorted(shapes))
    return np.concatenate(full or parts[:1])
