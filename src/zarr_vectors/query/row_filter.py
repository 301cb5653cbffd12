"""A condition that rows must meet, with what it must know of the objects that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.geometry import Column
from zarr_vectors.query.expressions import Expression
from zarr_vectors.query.values import take_known
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["RowFilter"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowFilter:
    """A condition on attributes of rows, and of the objects that own them.

    Args:
        condition: What rows must meet.
        ids: ``(O,)`` ids of all objects, where it asks for attributes of theirs.
        of_objects: These attributes by name, ``O`` rows each.
    """

    condition: Expression
    ids: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    of_objects: Mapping[str, Column] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes of rows that it asks for."""
        return tuple(name for name in self.condition.names if name not in self.of_objects)

    @property
    def needs_owners(self) -> bool:
        """Whether it must be known which object each row belongs to."""
        return bool(self.of_objects)

    def mask(self, columns: Mapping[str, Column], owners: IntArray | None, rows: int) -> BoolArray:
        """``(n,)`` which rows meet it.

        Args:
            columns: Attributes of rows by name.
            owners: ``(n,)`` object of each row; a row of an id that is none, or all without owners, lack a value.
            rows: ``n``.

        Raises:
            InputError: An attribute cannot be compared with a value.
        """
        needed: dict[str, Column] = {name: columns[name] for name in self.names}
        if self.of_objects:
            place = np.full(rows, -1, dtype=np.int64) if owners is None else _places(self.ids, owners)
            needed |= {name: take_known(column, place) for name, column in self.of_objects.items()}
        return self.condition.mask(needed)

    def names_beside(self, names: Sequence[str]) -> list[str]:
        """Attributes of rows that must be read for it, beside these."""
        return [name for name in self.names if name not in names]


def _places(ids: IntArray, wanted: IntArray) -> IntArray:
    """``(n,)`` where each wanted id is among all; -1 where it is not."""
    if not len(ids):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(ids, kind="stable")
    place = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return np.where(ids[place] == wanted, place, -1)
