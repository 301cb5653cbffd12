"""What graphs, skeletons and meshes share: vertices connected by links."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import as_array, as_ids
from zarr_vectors.geometry.base import Geometry, Put
from zarr_vectors.geometry.columns import Column, take_column
from zarr_vectors.geometry.interchange.arrow_in import table_from_arrow
from zarr_vectors.geometry.interchange.datasets import Variables, columns_along, dataset_fields
from zarr_vectors.geometry.interchange.fields import Choice, link_fields, vertex_fields
from zarr_vectors.geometry.interchange.scenes import links_of, poly_fields
from zarr_vectors.geometry.interchange.tables import EDGES, Table, table_of
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Linked", "as_links", "kept_links"]


@dataclass(frozen=True, eq=False, repr=False)
class Linked(Geometry):
    """What graphs, skeletons and meshes share: the owner of each vertex, and links between vertices."""

    object_ids: IntArray | None = field(default=None, kw_only=True)

    link_noun: ClassVar[str] = EDGES
    link_ends: ClassVar[tuple[str, ...]] = ("source", "target")
    """Columns of the ends in a table of links; one where they are its channels."""

    def _connect(self, put: Put) -> None:
        ids = self.object_ids
        if ids is None and (self.object_attributes or self.groups):
            # Without ids all vertices are one object, and these tables describe it.
            ids = np.zeros(len(self.positions), dtype=np.int64)
        if ids is not None:
            put(self, "object_ids", as_ids("object_ids", ids, len(self.positions)))

    @property
    def vertex_objects(self) -> IntArray | None:
        """``object_ids``."""
        return self.object_ids

    @property
    @abstractmethod
    def links(self) -> IntArray:
        """``(E, L)`` vertex rows that each link connects."""

    @property
    @abstractmethod
    def link_attributes(self) -> Mapping[str, Column]:
        """A row for each of ``links``."""

    @classmethod
    def from_arrow(
        cls,
        vertices: Any,
        links: Any = None,
        positions: Sequence[str] | str | None = None,
        *,
        attributes: Sequence[str] | None = None,
        object_ids: str | None = None,
        ends: Sequence[str] | None = None,
        link_attributes: Sequence[str] | None = None,
    ) -> Self:
        """A value from a table with a row for each vertex, and one with a row for each edge or face.

        Args:
            vertices: As in ``Points.from_arrow``, as are ``positions``, ``attributes`` and ``object_ids``.
            links: A table of edges or faces, whose ends are rows of the vertices, from 0; None for no links.
            ends: The columns of the ends: ``source`` and ``target`` of edges by default, those of children and parents
                in a skeleton; of faces one for each corner, or a column of lists of a fixed size, ``vertices``.
            link_attributes: Columns that become attributes of edges or faces; all that are left by default.

        Raises:
            InputError: It is no table, there are no coordinates, or a column cannot be what it is asked for.
            MissingDependencyError: pyarrow is not installed.

        Example:
            >>> import pyarrow as pa
            >>> from zarr_vectors.geometry import Graph
            >>> nodes, edges = pa.table({"x": [0.5, 1.5]}), pa.table({"source": [0], "target": [1], "w": [2.5]})
            >>> graph = Graph.from_arrow(nodes, edges)
            >>> graph.edges.tolist(), graph.edge_attributes["w"].tolist()
            ([[0, 1]], [2.5])
        """
        choice = Choice(positions=positions, attributes=attributes, object_ids=object_ids)
        table = table_from_arrow(vertices)
        fields = vertex_fields(table, choice)
        if links is None:
            return cls(**fields)
        rows, columns = link_fields(table_from_arrow(links), cls.link_ends if ends is None else ends, link_attributes)
        return cls._of_links(fields, rows, columns, table.note)

    @classmethod
    @abstractmethod
    def _of_links(
        cls, fields: dict[str, Any], links: AnyArray, attributes: Mapping[str, Column], note: Mapping[str, Any]
    ) -> Self:
        """A value of vertices, links and what a note says of them."""

    def _tables(self) -> dict[str, Callable[[bool | None], Table]]:
        return super()._tables() | {self.link_noun: lambda _: self._link_table()}

    def _link_table(self) -> Table:
        """A row for each link; ends are rows of the table of vertices."""
        if len(self.link_ends) == 1:
            ends = [(self.link_ends[0], self.links)]
        else:
            ends = [(name, self.links[:, number]) for number, name in enumerate(self.link_ends)]
        return table_of([*ends, *self.link_attributes.items()], self._note(self.link_noun))

    @classmethod
    def from_xarray(cls, dataset: Any, axes: Sequence[str] | None = None) -> Self:
        """A value from a ``xarray.Dataset`` as ``to_xarray`` makes it: a variable of edges or faces as UGRID has them.

        Args:
            dataset: The variable whose ``cf_role`` is ``edge_node_connectivity`` or ``face_node_connectivity`` holds
                the ends; its ``start_index`` is the number of the first vertex.
            axes: Names of the coordinates; by default those that the dataset says, or ``x``, ``y``, ``z`` and ``t``.

        Raises:
            InputError: It is no such dataset.
            MissingDependencyError: xarray is not installed.
        """
        fields, link = dataset_fields(dataset, axes), cls.link_noun[:-1]
        role = f"{link}_node_connectivity"
        name = next((name for name, one in dataset.variables.items() if one.attrs.get("cf_role") == role), None)
        if name is None:
            raise InputError(
                f"the dataset has no {cls.link_noun}", hint=f"a variable whose cf_role is {role} holds them"
            )
        fields["attributes"].pop(name, None)
        ends = dataset[name]
        columns = columns_along(dataset, str(ends.dims[0]), leave=[name])
        attributes = {column.removeprefix(f"{link}_"): values for column, values in columns.items()}
        links = np.asarray(ends.values) - int(ends.attrs.get("start_index", 0))
        return cls._of_links(fields, links, attributes, {"directed": dataset.attrs.get("directed", 0)})

    @classmethod
    def from_pyvista(cls, poly: Any) -> Self:
        """A value from a ``pyvista.PolyData``: its lines of two points are edges, its faces faces.

        Raises:
            InputError: It is no such value, or cells have several sizes.
            MissingDependencyError: pyvista is not installed.
        """
        fields, attributes = poly_fields(poly)
        cells = poly.GetLines() if cls.link_noun == EDGES else poly.GetPolys()
        links = links_of(cells, len(cls.link_ends) if cls.link_noun == EDGES else None, cls.link_noun)
        return cls._of_links(fields, links, attributes, {})

    def _describe(self, variables: Variables) -> dict[str, Any]:
        about, link = super()._describe(variables), self.link_noun[:-1]
        ends, role = f"{link}_vertices", f"{link}_node_connectivity"
        variables.add(ends, link, self.links, cf_role=role, start_index=0)
        variables.add_all(link, {f"{link}_{name}": column for name, column in self.link_attributes.items()})
        variables.variables["topology"] = (
            (),
            0,
            {
                "cf_role": "mesh_topology",
                "topology_dimension": 1 if self.link_noun == EDGES else 2,
                "node_coordinates": " ".join(variables.coordinates),
                role: ends,
            },
        )
        return about | {"directed": int(self._note(self.link_noun).get("directed", False))}

    def _cells(self) -> tuple[dict[str, AnyArray], dict[str, Column]]:
        links = self.links
        cells = np.column_stack([np.full(len(links), links.shape[1]), links]).reshape(-1)
        return {"lines" if self.link_noun == EDGES else "faces": cells}, dict(self.link_attributes)

    def _of_rows(self, mask: BoolArray) -> tuple[dict[str, Any], IntArray]:
        """The per-vertex fields of the vertices of a mask, and the new row of each old one."""
        rows = np.flatnonzero(mask)
        new = np.full(len(mask), -1, dtype=np.int64)
        new[rows] = np.arange(len(rows))
        kept = {
            "positions": take_rows(self.positions, rows),
            "attributes": {name: take_column(column, rows) for name, column in self.attributes.items()},
            "object_ids": None if self.object_ids is None else take_rows(self.object_ids, rows),
            "row_ids": None if self.row_ids is None else take_rows(self.row_ids, rows),
        }
        return kept, new

    def _described(self) -> list[str]:
        return [f"{self.vertex_count} vertices", f"{len(self.links)} {self.link_noun}"]


def as_links(name: str, value: Any, rows: int, *, width: int | None = None) -> IntArray:
    """``(E, L)`` int64 vertex rows.

    Args:
        width: The ``L`` that it must be; any from 3 where None.

    Raises:
        InputError: Another shape, no integers, or a row that there is not.

    Example:
        >>> as_links("edges", [[0, 1]], 2, width=2).tolist()
        [[0, 1]]
    """
    links = as_array(name, value)
    wanted = f"(E, {width})" if width else "(F, W) with W from 3"
    if links.size == 0 and not len(links):
        least = width or 3
        columns = links.shape[1] if links.ndim == 2 and links.shape[1] >= least and not width else least
        return np.zeros((0, columns), dtype=np.int64)
    if links.ndim != 2 or (links.shape[1] != width if width else links.shape[1] < 3):
        raise InputError(f"{name} must be an {wanted} array", got=f"shape {links.shape}")
    if links.dtype.kind not in "iu":
        raise InputError(f"{name} must be integers", got=f"dtype {links.dtype}", hint="they are rows of the positions")
    if int(links.min()) < 0 or int(links.max()) >= rows:
        at = int(np.flatnonzero(((links < 0) | (links >= rows)).any(axis=1))[0])
        raise InputError(
            f"{name} name a vertex that there is not",
            got=f"{links[at].tolist()} in row {at}",
            expected=f"rows 0 to {rows - 1}",
            hint="rows count from 0; negative ones do not count from the end",
        )
    return links.astype(np.int64, copy=False)


def kept_links(links: IntArray, attributes: Mapping[str, Column], new: IntArray) -> tuple[IntArray, dict[str, Column]]:
    """The links all of whose ends are kept, in new rows."""
    moved = new[links]
    whole = (moved >= 0).all(axis=1)
    return moved[whole], {name: take_column(column, whole) for name, column in attributes.items()}
