"""Fragment attributes on their way to disk: one value for all rows of a fragment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.exceptions import InputError
from zarr_vectors.query.values import find_rows
from zarr_vectors.types.table import check_attribute_name
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["GivenFragments", "check_fragment_name", "first_change", "first_values"]

_OWN_NAMES = tuple(path.partition("/")[2] for path in (constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET))


def check_fragment_name(name: Any) -> None:
    """Refuse names that a fragment attribute cannot have.

    Raises:
        InputError: The name cannot be a folder, or is one of those that the library keeps for itself.
    """
    check_attribute_name(name, "fragment attribute")
    if name in _OWN_NAMES:
        raise InputError(
            f"fragment attribute {name!r} is kept by the library for itself",
            hint="rename it; objects are said by object_ids",
        )


def first_values(column: AnyArray, counts: IntArray, spec: ColumnSpec) -> AnyArray:
    """``(F, ...)`` value of each fragment's first row; of a fragment without rows NaN, NaT, no category, or zero.

    Args:
        column: ``(N, ...)`` rows, fragment after fragment.
        counts: ``(F,)`` rows of each fragment.

    Example:
        >>> first_values(np.array([7.0, 7.0, 5.0]), np.array([2, 0, 1]), ColumnSpec(dtype=np.dtype("f4")))
        array([ 7., nan,  5.], dtype=float32)
    """
    values = np.zeros((len(counts), *column.shape[1:]), dtype=spec.dtype)
    filled = counts > 0
    if not filled.all():
        if spec.categories is None and spec.dtype.kind in "fcmM":
            values[:] = "NaT" if spec.dtype.kind in "mM" else np.nan
        elif spec.categories is not None and spec.dtype.kind == "i":
            values[:] = -1
    values[filled] = column[offsets_of(counts)[:-1][filled]]
    return values


def first_change(column: AnyArray, counts: IntArray) -> int | None:
    """The first row whose value is another than that of the row before in its fragment; NaN is NaN.

    Example:
        >>> first_change(np.array([7, 7, 5, 4]), np.array([2, 2])), first_change(np.array([7, 5]), np.array([1, 1]))
        (3, None)
    """
    if len(column) < 2:
        return None
    differs = column[1:] != column[:-1]
    if column.dtype.kind in "fcmM":
        differs &= (column[1:] == column[1:]) | (column[:-1] == column[:-1])
    changes = np.zeros(len(column), dtype=bool)
    changes[1:] = differs.reshape(len(differs), -1).any(axis=1)
    starts = offsets_of(counts)[:-1]
    changes[starts[starts < len(changes)]] = False
    row = int(changes.argmax())
    return row if changes[row] else None


@dataclass(frozen=True, eq=False)
class GivenFragments:
    """Values of a fragment attribute, said chunk by chunk.

    Args:
        name: Of the attribute.
        chunks: ``(n, K)`` distinct chunk coordinates.
        counts: ``(n,)`` values of each chunk.
        values: ``(sum(counts), ...)`` values, chunk after chunk; codes for text.
        spec: Their type.
    """

    name: str
    chunks: IntArray
    counts: IntArray
    values: AnyArray
    spec: ColumnSpec

    def places(self, coords: IntArray) -> IntArray:
        """``(m,)`` place of each chunk among those given; -1 where none is."""
        return find_rows(self.chunks, coords)

    def values_of(self, chunks: IntArray) -> AnyArray:
        """Values of these chunks, by place, one after another."""
        counts = self.counts[chunks]
        rows = np.arange(int(counts.sum())) - np.repeat(offsets_of(counts)[:-1], counts)
        return self.values[rows + np.repeat(offsets_of(self.counts)[:-1][chunks], counts)]

    def cells(self, coords: IntArray) -> tuple[IntArray, Blobs]:
        """Which of these chunks have values, and their cells."""
        place = self.places(coords)
        known = place[place >= 0]
        values = np.ascontiguousarray(self.values_of(known), dtype=self.spec.dtype)
        sizes = self.counts[known] * self.spec.row_bytes
        return coords[place >= 0], Blobs.packed(values.reshape(-1).view(np.uint8), sizes)
