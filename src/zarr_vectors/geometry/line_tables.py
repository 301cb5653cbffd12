"""What lines can become and be made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.base import Geometry
from zarr_vectors.geometry.columns import Column, take_column
from zarr_vectors.geometry.interchange.arrow_in import table_from_arrow
from zarr_vectors.geometry.interchange.datasets import COUNT, LINE, VERTEX, Variables, columns_along, dataset_fields
from zarr_vectors.geometry.interchange.fields import Choice, line_fields
from zarr_vectors.geometry.interchange.scenes import cells_of, poly_fields, vertex_data
from zarr_vectors.geometry.interchange.tables import (
    GEOMETRY,
    LINES,
    OBJECT_ID,
    ROW_ID,
    Coordinates,
    Ragged,
    Table,
    TableColumn,
    axes_of,
    coordinate_columns,
    noted_row_id,
    rows_for,
    table_of,
)
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["LineTables"]


class LineTables(Geometry):
    """Vertices in order, one line after another."""

    offsets: IntArray
    ids: IntArray | None
    kind: str

    default_table: ClassVar[str] = LINES

    @property
    @abstractmethod
    def line_ids(self) -> IntArray:
        """``(P,)`` object id of each line."""

    @classmethod
    def from_arrow(
        cls,
        data: Any,
        positions: Sequence[str] | str | None = None,
        *,
        attributes: Sequence[str] | None = None,
        object_ids: str | None = None,
    ) -> Self:
        """Lines from a table with a row for each line, or with a row for each vertex, line after line.

        Args:
            data: As in ``Points.from_arrow``. Where a row is a line, columns of lists become attributes of vertices,
                and other columns object attributes.
            positions: A column of GeoArrow linestrings, or columns of lists, or of numbers, one for each axis; found
                as in ``Points.from_arrow``.
            attributes: Columns that become attributes; all that are left by default.
            object_ids: Column of the ids of lines; ``object_id`` by default, if there is one. Where a row is a vertex,
                rows that follow each other with one id are a line.

        Raises:
            InputError: It is no table, there are no coordinates, or a column cannot be what it is asked for.
            MissingDependencyError: pyarrow is not installed.

        Example:
            >>> import pyarrow as pa
            >>> from zarr_vectors.geometry import Polylines
            >>> table = pa.table({"x": [0.0, 1, 5], "y": [0.0, 1, 5], "object_id": [7, 7, 3]})
            >>> Polylines.from_arrow(table).offsets.tolist()
            [0, 2, 3]
        """
        choice = Choice(positions=positions, attributes=attributes, object_ids=object_ids)
        return cls(**line_fields(table_from_arrow(data), choice))

    def _tables(self) -> dict[str, Callable[[bool | None], Table]]:
        return {LINES: lambda geometry: self._line_table(geometry is not False), **super()._tables()}

    def _note(self, table: str) -> JsonObject:
        return super()._note(table) | {"kind": self.kind}

    def _line_table(self, geometry: bool) -> Table:
        """A row for each line; what belongs to vertices in lists."""
        axes = axes_of(self.axes, self.positions)
        where: list[tuple[str, TableColumn]] = coordinate_columns(self.positions, axes, self.offsets)
        if geometry:
            where = [(GEOMETRY, Ragged(self.offsets, Coordinates(self.positions, axes)))]
        numbers = None if self.row_ids is None else Ragged(self.offsets, self.row_ids)
        of_vertices = [(name, Ragged(self.offsets, column)) for name, column in self.attributes.items()]
        columns = [*where, (OBJECT_ID, self.ids), (ROW_ID, numbers), *self._of_lines().items(), *of_vertices]
        return table_of(columns, self._note(LINES))

    def _of_lines(self) -> dict[str, Column]:
        """Object attributes, a row for each line."""
        known = self.line_ids[:0] if self.objects is None else self.objects
        return {name: rows_for(self.line_ids, known, column) for name, column in self.object_attributes.items()}

    @classmethod
    def from_xarray(cls, dataset: Any, axes: Sequence[str] | None = None) -> Self:
        """Lines from a contiguous ragged array, a ``xarray.Dataset`` as ``to_xarray`` makes it.

        Args:
            dataset: The variable with the attribute ``sample_dimension`` tells how many vertices each line has.
            axes: Names of the coordinates; by default those that the dataset says, or ``x``, ``y``, ``z`` and ``t``.

        Raises:
            InputError: It is no such dataset.
            MissingDependencyError: xarray is not installed.
        """
        fields = dataset_fields(dataset, axes)
        counts = next((str(n) for n, one in dataset.variables.items() if "sample_dimension" in one.attrs), None)
        if counts is None:
            raise InputError(
                "the dataset does not tell how many vertices lines have",
                hint="a variable with the attribute sample_dimension does",
            )
        columns = columns_along(dataset, str(dataset[counts].dims[0]), leave=[counts])
        ids = columns.pop(OBJECT_ID, None)
        sizes = np.asarray(dataset[counts].values, dtype=np.int64)
        del fields["object_ids"]
        kind = dataset.attrs.get("kind")
        return cls._of_columns(fields | ({"kind": kind} if kind else {}), sizes, ids, columns)

    @classmethod
    def from_pyvista(cls, poly: Any) -> Self:
        """Lines from a ``pyvista.PolyData``; cell data are object attributes, or ids as ``object_id``.

        Raises:
            InputError: It is no such value.
            MissingDependencyError: pyvista is not installed.
        """
        fields, columns = poly_fields(poly)
        offsets, rows = cells_of(poly.GetLines())
        fields = {
            "positions": take_rows(fields["positions"], rows),
            "attributes": {name: take_column(column, rows) for name, column in fields["attributes"].items()},
            "row_ids": None if fields["row_ids"] is None else fields["row_ids"][rows],
        }
        return cls._of_columns(fields, np.diff(offsets), columns.pop(OBJECT_ID, None), columns)

    @classmethod
    def _of_columns(cls, fields: dict[str, Any], sizes: IntArray, ids: Any, columns: dict[str, Column]) -> Self:
        """Lines of so many vertices each, whose columns have a row for each line."""
        first = np.arange(len(sizes)) if ids is None else np.sort(np.unique(ids, return_index=True)[1])
        of_objects = {name: take_column(column, first) for name, column in columns.items()}
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(**fields, offsets=offsets, ids=ids, object_attributes=of_objects)  # type: ignore[call-arg]

    def _describe(self, variables: Variables) -> dict[str, Any]:
        variables.add_all(VERTEX, self.attributes)
        variables.add_all(VERTEX, {ROW_ID: self.row_ids})
        variables.add(COUNT, LINE, np.diff(self.offsets), sample_dimension=VERTEX)
        if self.ids is not None:
            variables.add(OBJECT_ID, LINE, self.ids, cf_role="trajectory_id")
        variables.add_all(LINE, self._of_lines())
        noted = noted_row_id(self.attributes, self.row_ids)
        return {"featureType": "trajectory", "kind": self.kind, **noted}

    def _vertex_data(self) -> dict[str, AnyArray]:
        return vertex_data(self.attributes, None, self.row_ids)

    def _cells(self) -> tuple[dict[str, AnyArray], dict[str, Column]]:
        rows = np.insert(np.arange(len(self.positions)), self.offsets[:-1], np.diff(self.offsets))
        ids = {} if self.ids is None else {OBJECT_ID: self.ids}
        return {"lines": rows}, ids | self._of_lines()
