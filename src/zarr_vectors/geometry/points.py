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
from zarr_vectors.geometry.interchange.annotated import annotated, annotated_fields
from zarr_vectors.geometry.interchange.arrow_in import table_from_arrow
from zarr_vectors.geometry.interchange.datasets import dataset_fields
from zarr_vectors.geometry.interchange.fields import Choice, vertex_fields
from zarr_vectors.geometry.interchange.frames import table_from_frame
from zarr_vectors.geometry.interchange.scenes import poly_fields
from zarr_vectors.geometry.interchange.tables import VERTICES, Table
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

    @classmethod
    def from_arrow(
        cls,
        data: Any,
        positions: Sequence[str] | str | None = None,
        *,
        attributes: Sequence[str] | None = None,
        object_ids: str | None = None,
    ) -> Points:
        """Points from a table with a row for each.

        Args:
            data: An Arrow table, batch or reader, a data frame, a result of DuckDB, or anything else that has
                ``__arrow_c_stream__``.
            positions: Columns of the coordinates in axis order, or a column of geometry. By default a column of
                GeoArrow points, or the axes of a table that ``to_arrow`` has made, or ``x``, ``y``, ``z`` and ``t``
                as far as they exist.
            attributes: Columns that become attributes; all that are left by default.
            object_ids: Column of the object ids; ``object_id`` by default, if there is one.

        Raises:
            InputError: It is no table, there are no coordinates, or a column cannot be what it is asked for.
            MissingDependencyError: pyarrow is not installed.

        Example:
            >>> import pyarrow as pa
            >>> cloud = Points.from_arrow(pa.table({"x": [0.5], "y": [1.5], "word": ["a"]}))
            >>> cloud.positions.tolist(), cloud.attributes["word"][0]
            ([[0.5, 1.5]], 'a')
        """
        choice = Choice(positions=positions, attributes=attributes, object_ids=object_ids)
        return cls(**vertex_fields(table_from_arrow(data), choice))

    @classmethod
    def from_pandas(
        cls,
        frame: Any,
        positions: Sequence[str] | str | None = None,
        *,
        attributes: Sequence[str] | None = None,
        object_ids: str | None = None,
    ) -> Points:
        """Points from a ``pandas.DataFrame``; the arguments are those of ``from_arrow``.

        Raises:
            InputError: It is no data frame, there are no coordinates, or a column cannot be what it is asked for.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"easting": [0.5], "northing": [1.5]})
            >>> Points.from_pandas(frame, ["easting", "northing"]).positions.tolist()
            [[0.5, 1.5]]
        """
        choice = Choice(positions=positions, attributes=attributes, object_ids=object_ids)
        return cls(**vertex_fields(table_from_frame(frame), choice))

    def to_anndata(self, var: Sequence[str] | str = ()) -> Any:
        """An ``anndata.AnnData``: attributes are ``obs``, positions ``obsm["spatial"]``.

        Attributes of several channels are in ``obsm`` too.

        Args:
            var: Attributes that are the variables of ``X`` instead, such as the counts of genes.

        Raises:
            AttributeNotFoundError: There is no such attribute.
            InputError: Values are missing where a dtype has no room for that.
            MissingDependencyError: anndata is not installed.
        """
        found = self.tabulate(VERTICES, False)
        columns = dict(list(found.columns.items())[self.ndim :])
        names = [var] if isinstance(var, str) else list(var)
        return annotated(Table(columns, found.note), self.positions, names)

    @classmethod
    def from_anndata(cls, data: Any, positions: str = "spatial", *, var: Sequence[str] | None = None) -> Points:
        """Points from an ``anndata.AnnData``: observations and variables are attributes.

        Args:
            data: The matrix.
            positions: Key of ``obsm`` with the coordinates.
            var: Variables of ``X`` that become attributes; None for all.

        Raises:
            InputError: It is none, has no such positions, or variables have the names of observations.
        """
        return cls(**annotated_fields(data, positions, var))

    @classmethod
    def from_xarray(cls, dataset: Any, axes: Sequence[str] | None = None) -> Points:
        """Points from a ``xarray.Dataset``; variables along the dimension of the coordinates are attributes.

        Args:
            dataset: The dataset.
            axes: Names of the coordinates; by default those that the dataset says, or ``x``, ``y``, ``z`` and ``t``.

        Raises:
            InputError: It is no dataset, or has no such coordinates.
        """
        return cls(**dataset_fields(dataset, axes))

    @classmethod
    def from_pyvista(cls, poly: Any) -> Points:
        """Points from a ``pyvista.PolyData``: its points and their data.

        Raises:
            InputError: It is no such value.
        """
        return cls(**poly_fields(poly)[0])

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
