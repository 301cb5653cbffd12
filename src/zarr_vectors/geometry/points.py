"""Point clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from zarr_vectors.constants import GEOM_POINT_CLOUD
from zarr_vectors.geometry.arrays import as_ids
from zarr_vectors.geometry.base import Geometry, Put
from zarr_vectors.geometry.columns import Column, take_column
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Points"]


@dataclass(frozen=True, eq=False, repr=False)
class Points(Geometry):
    """A point cloud.

    Args:
        positions, attributes, object_attributes, objects, groups, group_attributes, axes, row_ids, errors: As in
            ``Geometry``.
        object_ids: ``(N,)`` int64 owner of each point; None when the cloud has no objects.

    Raises:
        InputError: Shapes or lengths contradict each other.

    Example:
        >>> cloud = Points([[0.0, 1.0], [2.0, 3.0]], attributes={"weight": [1.5, 2.5]})
        >>> cloud.vertex_count, cloud.ndim
        (2, 2)
        >>> cloud["weight"].tolist() == cloud.attributes["weight"].tolist()
        True
    """

    attributes: Mapping[str, Column] = field(default_factory=dict)
    object_ids: IntArray | None = None

    geometry_type: ClassVar[str] = GEOM_POINT_CLOUD
    noun: ClassVar[str] = "points"

    if TYPE_CHECKING:
        # What is taken is wider than what is kept.
        def __init__(  # noqa: PLR0913 (one for each field)
            self,
            positions: npt.ArrayLike,
            attributes: Mapping[str, Any] = ...,
            object_ids: npt.ArrayLike | None = ...,
            *,
            object_attributes: Mapping[str, Any] = ...,
            objects: npt.ArrayLike | None = ...,
            groups: Mapping[int, Any] = ...,
            group_attributes: Mapping[str, Any] = ...,
            axes: Sequence[Any] | str | None = ...,
            row_ids: npt.ArrayLike | None = ...,
            errors: tuple[str, ...] = ...,
        ) -> None: ...

    def _connect(self, put: Put) -> None:
        if self.object_ids is not None:
            put(self, "object_ids", as_ids("object_ids", self.object_ids, len(self.positions)))

    @property
    def vertex_objects(self) -> IntArray | None:
        """``(N,)`` object id of each point; None where there are no objects."""
        return self.object_ids

    def take(self, rows: AnyArray | slice) -> Points:
        """The points of these rows; tables of objects and groups stay whole."""
        return replace(
            self,
            positions=take_rows(self.positions, rows),
            attributes={name: take_column(column, rows) for name, column in self.attributes.items()},
            object_ids=None if self.object_ids is None else take_rows(self.object_ids, rows),
            row_ids=None if self.row_ids is None else take_rows(self.row_ids, rows),
        )

    def within(self, mask: BoolArray) -> Points:
        """The points of a mask."""
        return self.take(mask)
