"""Values as tables of other libraries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Column
from zarr_vectors.geometry.interchange.arrow_out import record_batch, stream_of
from zarr_vectors.geometry.interchange.datasets import VERTEX, Variables
from zarr_vectors.geometry.interchange.frames import data_frame, parted_frame
from zarr_vectors.geometry.interchange.plain import plain_column
from zarr_vectors.geometry.interchange.scenes import in_space, poly_data, vertex_data
from zarr_vectors.geometry.interchange.tables import (
    GEOMETRY,
    OBJECT_ID,
    OBJECTS,
    ROW_ID,
    VERTICES,
    Coordinates,
    Table,
    TableColumn,
    axes_of,
    coordinate_columns,
    noted_row_id,
    table_of,
)
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, IntArray, Json, JsonObject

__all__ = ["Tabular"]

_POSITIONS = "positions"


class Tabular:
    """What every value can become: tables of vertices, of what connects them, and of objects."""

    positions: AnyArray
    attributes: Mapping[str, Column]
    object_attributes: Mapping[str, Column]
    objects: IntArray | None
    axes: tuple[Axis, ...] | None
    row_ids: IntArray | None

    geometry_type: ClassVar[str]
    default_table: ClassVar[str] = VERTICES
    """The table that a value is where none is named."""

    @property
    @abstractmethod
    def vertex_objects(self) -> IntArray | None:
        """``(N,)`` object id of each vertex; None where there are no objects."""

    def to_arrow(self, table: str | None = None, *, geometry: bool | None = None, crs: Json = None) -> Any:
        """A table as a ``pyarrow.RecordBatchReader``; ``read_all()`` makes a table of it.

        Text and categories are dictionaries; attributes of several channels are lists of a fixed size; missing text,
        integers, booleans and times are null, missing floats stay NaN. The schema's metadata keeps under
        ``zarr_vectors`` what ``from_arrow`` takes the same value from.

        Args:
            table: ``"vertices"``, a row each; of lines ``"lines"`` (their default), a row each, with attributes of
                vertices as lists; of graphs and skeletons ``"edges"``, of meshes ``"faces"``, whose ends are rows of
                the vertices; or ``"objects"``, a row for each object id with attributes.
            geometry: Whether the coordinates are one column ``geometry`` of GeoArrow points or linestrings, float64,
                rather than a column for each axis. None for one of lines where there is a row for each line, and
                columns otherwise, which SQL can compare as they are.
            crs: Coordinate reference system to note, such as ``level.crs``.

        Raises:
            InputError: There is no such table, two of its columns have one name, or Arrow has no type for a column.
            MissingDependencyError: pyarrow is not installed.

        Example:
            >>> from zarr_vectors.geometry import Points
            >>> cloud = Points([[0.0, 1.0], [2.0, 3.0]], attributes={"kind": ["a", None]})
            >>> cloud.to_arrow().read_all().to_pylist()
            [{'x': 0.0, 'y': 1.0, 'kind': 'a'}, {'x': 2.0, 'y': 3.0, 'kind': None}]
        """
        batch = record_batch(self.tabulate(table, geometry), crs=crs)
        return require("pyarrow").RecordBatchReader.from_batches(batch.schema, [batch])

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """What DuckDB, polars, pandas and pyarrow take a value by: ``to_arrow()``, with float32 for float16."""
        batch = record_batch(self.tabulate(None, None))
        return stream_of([batch], batch.schema, requested_schema)

    def to_pandas(self, table: str | None = None) -> Any:
        """A table, as in ``to_arrow``, as a ``pandas.DataFrame``.

        An attribute of several channels is a column for each, ``rgb_0``, ``rgb_1`` and so on; integers and booleans
        of which some are missing are of nullable dtypes.

        Raises:
            InputError: There is no such table, or two columns have one name.
            MissingDependencyError: pandas is not installed.

        Example:
            >>> from zarr_vectors.geometry import Points
            >>> Points([[0.0, 1.0], [2.0, 3.0]], attributes={"w": [1.5, 2.5]}).to_pandas()["w"].sum()
            np.float64(4.0)
        """
        return data_frame(self.tabulate(table, False))

    def to_dask(self, table: str | None = None, *, block_rows: int = 250_000) -> Any:
        """A table, as in ``to_pandas``, as a ``dask.dataframe.DataFrame``; levels have one that is read later.

        Args:
            table: As in ``to_arrow``.
            block_rows: Rows of a partition.

        Raises:
            InputError: There is no such table, or two columns have one name.
            MissingDependencyError: dask, pandas or pyarrow is not installed.

        Example:
            >>> from zarr_vectors.geometry import Points
            >>> frame = Points([[0.0, 1.0], [2.0, 3.0]], attributes={"w": [1.5, 2.5]}).to_dask(block_rows=1)
            >>> frame.npartitions, float(frame["w"].max().compute())
            (2, 2.5)
        """
        require("dask.dataframe")
        return parted_frame(self.to_pandas(table), block_rows)

    def to_polars(self, table: str | None = None) -> Any:
        """A table, as in ``to_arrow``, as a ``polars.DataFrame``.

        Raises:
            InputError: There is no such table, or two columns have one name.
            MissingDependencyError: polars or pyarrow is not installed.
        """
        return require("polars").DataFrame(self.to_arrow(table, geometry=False).read_all())

    def to_numpy(self, table: str | None = None, *, split: bool = False) -> dict[str, AnyArray]:
        """The columns of a table, as in ``to_arrow``, as arrays; text and categories as objects.

        Args:
            table: ``"vertices"``, ``"edges"``, ``"faces"`` or ``"objects"``; vertices by default.
            split: Whether each axis is an array of its own, rather than ``positions`` one of ``(N, D)``.

        Raises:
            InputError: There is no such table, or two columns have one name.

        Example:
            >>> from zarr_vectors.geometry import Points
            >>> cloud = Points([[0.0, 1.0], [2.0, 3.0]], attributes={"w": [1.5, 2.5]})
            >>> list(cloud.to_numpy()), list(cloud.to_numpy(split=True))
            (['positions', 'w'], ['x', 'y', 'w'])
        """
        chosen = VERTICES if table is None else table
        found = self._vertex_table(None) if chosen == VERTICES and not split else self.tabulate(chosen, False)
        return {name: _as_numpy(name, column) for name, column in found.columns.items()}

    def to_xarray(self) -> Any:
        """A ``xarray.Dataset`` by the conventions of CF.

        Coordinates and attributes are variables along ``vertex``, units those of the axes. Lines are a contiguous
        ragged array: ``rowsize`` along ``line`` tells how many vertices each has. Edges and faces are variables
        ``edge_vertices`` and ``face_vertices`` of rows of the vertices, as in UGRID, and their attributes have the same
        word in front.

        Raises:
            InputError: Two variables have one name, or values are missing where a dtype has no room for that.
            MissingDependencyError: xarray is not installed.

        Example:
            >>> from zarr_vectors.geometry import Points
            >>> dict(Points([[0.0, 1.0], [2.0, 3.0]], attributes={"w": [1.5, 2.5]}).to_xarray().sizes)
            {'vertex': 2}
        """
        variables = Variables(axes_of(self.axes, self.positions), self.positions)
        return variables.dataset(geometry_type=self.geometry_type, **self._describe(variables))

    def _describe(self, variables: Variables) -> dict[str, Any]:
        """Add what there is to a dataset, and say what the dataset is."""
        variables.add_all(VERTEX, self.attributes)
        variables.add_all(VERTEX, {OBJECT_ID: self.vertex_objects, ROW_ID: self.row_ids})
        return {"featureType": "point", **noted_row_id(self.attributes, self.row_ids)}

    def to_pyvista(self) -> Any:
        """A ``pyvista.PolyData`` of vertices, lines or faces, whose attributes are point and cell data.

        Positions become float64 in the order x, y, z; those of two axes lie at z = 0. Missing text is empty, missing
        integers are NaN.

        Raises:
            InputError: There are other axes than two or three of space, or VTK has no type for an attribute.
            MissingDependencyError: pyvista is not installed.
        """
        points = in_space(self.positions, axes_of(self.axes, self.positions))
        cells, attributes = self._cells()
        of_cells = {name: plain_column(name, column) for name, column in attributes.items()}
        return poly_data(points, cells, self._vertex_data(), of_cells)

    def _vertex_data(self) -> dict[str, AnyArray]:
        return vertex_data(self.attributes, self.vertex_objects, self.row_ids)

    def _cells(self) -> tuple[dict[str, AnyArray], dict[str, Column]]:
        """Cells of VTK, each its size and its points, and what is known of each."""
        rows = np.arange(len(self.positions))
        return {"verts": np.stack([np.ones_like(rows), rows], axis=1).reshape(-1)}, {}

    def tabulate(self, name: str | None, geometry: bool | None) -> Table:
        """The columns of a table, by its name, for those who extend the library; arguments as in ``to_arrow``."""
        known = self._tables()
        name = self.default_table if name is None else name
        if name not in known:
            raise InputError(
                f"a {self.geometry_type} has no table {name!r}", expected=f"one of {', '.join(map(repr, known))}"
            )
        return known[name](geometry)

    def _tables(self) -> dict[str, Callable[[bool | None], Table]]:
        """How each table is made."""
        return {VERTICES: lambda geometry: self._vertex_table(bool(geometry)), OBJECTS: lambda _: self._object_rows()}

    def _note(self, table: str) -> JsonObject:
        """What the columns of a table do not say."""
        axes = axes_of(self.axes, self.positions)
        return {
            "table": table,
            "geometry_type": self.geometry_type,
            "axes": [axis.to_json() for axis in axes],
            "dtype": self.positions.dtype.newbyteorder("=").str,
            **noted_row_id(self.attributes, self.row_ids),
        }

    def _vertex_table(self, geometry: bool | None) -> Table:
        """A row for each vertex; ``geometry`` None for positions as they are."""
        axes = axes_of(self.axes, self.positions)
        if geometry is None:
            where: list[tuple[str, TableColumn]] = [(_POSITIONS, self.positions)]
        elif geometry:
            where = [(GEOMETRY, Coordinates(self.positions, axes))]
        else:
            where = coordinate_columns(self.positions, axes)
        ids = [(OBJECT_ID, self.vertex_objects), (ROW_ID, self.row_ids)]
        return table_of([*where, *ids, *self.attributes.items()], self._note(VERTICES))

    def _object_rows(self) -> Table:
        """A row for each object of which something is known, or that occurs."""
        ids = self.objects
        if ids is None:
            occurring = self.vertex_objects
            ids = np.zeros(0, dtype=np.int64) if occurring is None else np.unique(occurring)
        return table_of([(OBJECT_ID, ids), *self.object_attributes.items()], self._note(OBJECTS))


def _as_numpy(name: str, column: TableColumn) -> AnyArray:
    if isinstance(column, np.ndarray):
        return column
    if not hasattr(column, "categories"):
        raise InputError(f"column {name!r} holds lists", hint="ask for the table of vertices")
    return np.asarray(column)
