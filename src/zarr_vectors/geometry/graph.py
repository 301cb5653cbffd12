"""Graphs whose nodes have positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import GEOM_GRAPH
from zarr_vectors.geometry.base import Put, as_columns, as_mapping
from zarr_vectors.geometry.columns import Column
from zarr_vectors.geometry.interchange.networks import edges_of_matrix, network_fields
from zarr_vectors.geometry.links import as_links, kept_links
from zarr_vectors.geometry.network import Network
from zarr_vectors.typing import AnyArray, BoolArray, IntArray, JsonObject

__all__ = ["Graph"]


@dataclass(frozen=True, eq=False, repr=False)
class Graph(Network):
    """A graph whose nodes have positions.

    Args:
        positions: ``(N, D)`` nodes.
        edges: ``(E, 2)`` integer rows of ``positions``.
        edge_attributes: ``{name: (E,) or (E, C) array}``.
        directed: Whether ``edges[:, 0]`` to ``edges[:, 1]`` is another edge than the way back.
        object_ids: ``(N,)`` int64 owner of each node; None where all nodes are one object.
        attributes, object_attributes, objects, groups, group_attributes, axes, row_ids, errors: As in ``Geometry``.

    Raises:
        InputError: Shapes or lengths contradict each other, or an edge names a node that there is not.

    Example:
        >>> graph = Graph([[0.0, 0.0], [1.0, 0.0]], [[0, 1]], edge_attributes={"weight": [2.5]})
        >>> graph.node_count, graph.edge_count
        (2, 1)
    """

    edges: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    edge_attributes: Mapping[str, Column] = field(default_factory=dict, kw_only=True)
    directed: bool = field(default=False, kw_only=True)

    geometry_type: ClassVar[str] = GEOM_GRAPH
    noun: ClassVar[str] = "nodes"
    counted: ClassVar[tuple[str, ...]] = ("vertex_count", "node_count", "edge_count")

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913 (one for each field)
            self,
            positions: npt.ArrayLike,
            edges: npt.ArrayLike = ...,
            *,
            edge_attributes: Mapping[str, Any] = ...,
            directed: bool = ...,
            object_ids: npt.ArrayLike | None = ...,
            attributes: Mapping[str, Any] = ...,
            object_attributes: Mapping[str, Any] = ...,
            objects: npt.ArrayLike | None = ...,
            groups: Mapping[int, Any] = ...,
            group_attributes: Mapping[str, Any] = ...,
            axes: Sequence[Any] | str | None = ...,
            row_ids: npt.ArrayLike | None = ...,
            errors: tuple[str, ...] = ...,
        ) -> None: ...

    def _connect(self, put: Put) -> None:
        super()._connect(put)
        put(self, "edges", as_links("edges", self.edges, len(self.positions), width=2))
        given = as_mapping("edge_attributes", self.edge_attributes)
        put(self, "edge_attributes", as_columns("edge attribute", given, len(self.edges)))

    @classmethod
    def from_networkx(cls, graph: Any, positions: Sequence[str] | str | None = None) -> Graph:
        """A graph from one of networkx; its nodes are the vertices in their order.

        Nodes that are not numbered from 0 in this order keep their names as the attribute ``node_id``. What a node or
        an edge lacks is missing in the attribute.

        Args:
            graph: A ``Graph``, ``DiGraph``, ``MultiGraph`` or ``MultiDiGraph``.
            positions: Attributes of nodes that are the coordinates, or one that holds them all; by default ``x``,
                ``y``, ``z`` and ``t`` as far as they exist, or ``pos``.

        Raises:
            InputError: It is no graph, a node has no coordinates, or attributes make no columns.

        Example:
            >>> import networkx as nx
            >>> path = nx.path_graph(3)
            >>> nx.set_node_attributes(path, {n: (float(n), 0.0) for n in path}, "pos")
            >>> Graph.from_networkx(path).edges.tolist()
            [[0, 1], [1, 2]]
        """
        fields, edges, attributes = network_fields(graph, positions)
        return cls(**fields, edges=edges, edge_attributes=attributes, directed=graph.is_directed())

    @classmethod
    def from_scipy_sparse(
        cls, matrix: Any, positions: npt.ArrayLike, *, weight: str = "weight", directed: bool = False, **fields: Any
    ) -> Graph:
        """A graph from a sparse matrix, with an edge for each entry that it holds.

        Args:
            matrix: ``(N, N)`` sparse array or matrix of scipy.
            positions: ``(N, D)`` nodes.
            weight: The edge attribute that keeps the entries.
            directed: Whether the graph is; otherwise the matrix must be symmetric.
            fields: More of the graph: ``attributes``, ``object_ids``, ``axes`` and so on.

        Raises:
            InputError: The matrix is not square, not symmetric, or not of so many nodes.
            MissingDependencyError: scipy is not installed.

        Example:
            >>> from scipy.sparse import csr_array
            >>> graph = Graph.from_scipy_sparse(csr_array([[0, 2.5], [2.5, 0]]), [[0.0, 0.0], [1.0, 0.0]])
            >>> graph.edges.tolist(), graph.edge_attributes["weight"].tolist()
            ([[0, 1]], [2.5])
        """
        edges, values = edges_of_matrix(matrix, directed=directed)
        return cls(positions, edges, edge_attributes={weight: values}, directed=directed, **fields)

    @property
    def _is_directed(self) -> bool:
        return self.directed

    @classmethod
    def _of_links(
        cls, fields: dict[str, Any], links: AnyArray, attributes: Mapping[str, Column], note: Mapping[str, Any]
    ) -> Self:
        return cls(**fields, edges=links, edge_attributes=attributes, directed=bool(note.get("directed", False)))

    def _note(self, table: str) -> JsonObject:
        return super()._note(table) | {"directed": self.directed}

    @property
    def node_count(self) -> int:
        """Number of nodes."""
        return len(self.positions)

    @property
    def edge_count(self) -> int:
        """Number of edges."""
        return len(self.edges)

    @property
    def links(self) -> IntArray:
        """``edges``."""
        return self.edges

    @property
    def link_attributes(self) -> Mapping[str, Column]:
        """``edge_attributes``."""
        return self.edge_attributes

    def within(self, mask: BoolArray) -> Graph:
        """The nodes of a mask, and the edges between them."""
        kept, new = self._of_rows(mask)
        edges, attributes = kept_links(self.edges, self.edge_attributes, new)
        return replace(self, **kept, edges=edges, edge_attributes=attributes)
