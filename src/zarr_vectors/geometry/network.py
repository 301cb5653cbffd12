"""What graphs and skeletons can become besides tables."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry.columns import Categorical
from zarr_vectors.geometry.interchange.networks import adjacency, network
from zarr_vectors.geometry.interchange.tables import VERTICES, check_row_id_name
from zarr_vectors.geometry.links import Linked
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Network"]


class Network(Linked):
    """Vertices connected by edges."""

    outward: ClassVar[bool] = False
    """Whether edges lead from child to parent; networks have them the other way round."""

    @property
    def _is_directed(self) -> bool:
        return True

    def to_networkx(self, *, multigraph: bool = False) -> Any:
        """A graph of networkx: ``Graph``, or ``DiGraph`` where it is directed.

        Nodes are numbered from 0 in the order of the vertices. They have their coordinates under the names of the axes,
        their attributes, ``object_id`` and ``row_id`` as values of Python; what is missing is left out. A skeleton
        is a ``DiGraph`` whose edges lead from parent to child, as in the trees of networkx.

        Args:
            multigraph: Whether several edges may connect the same nodes; the result is a ``MultiGraph`` or a
                ``MultiDiGraph``.

        Raises:
            InputError: Several edges connect the same nodes, or two attributes have one name.
            MissingDependencyError: networkx is not installed.

        Example:
            >>> from zarr_vectors.geometry import Graph
            >>> graph = Graph([[0.0, 0.0], [1.0, 0.0]], [[0, 1]], edge_attributes={"weight": [2.5]}).to_networkx()
            >>> graph.nodes[1], graph.edges[0, 1]
            ({'x': 1.0, 'y': 0.0}, {'weight': 2.5})
        """
        check_row_id_name(self.attributes, self.row_ids)
        nodes: Any = self.tabulate(VERTICES, False).columns
        directed = self._is_directed
        return network(
            nodes, len(self.positions), self._outward(), self.link_attributes, directed=directed, multi=multigraph
        )

    def to_scipy_sparse(self, weight: str | None = None) -> Any:
        """The ``(N, N)`` adjacency as a ``scipy.sparse.csr_array``.

        It is symmetric where the graph is not directed; that of a skeleton leads from parent to child. Edges between
        the same vertices add up.

        Args:
            weight: An edge attribute whose values are the entries; None for 1.

        Raises:
            AttributeNotFoundError: There is no such attribute.
            InputError: It holds no numbers, or several for each edge.
            MissingDependencyError: scipy is not installed.

        Example:
            >>> from zarr_vectors.geometry import Graph
            >>> Graph([[0.0, 0.0], [1.0, 0.0]], [[0, 1]]).to_scipy_sparse().toarray().tolist()
            [[0, 1], [1, 0]]
        """
        weights = None if weight is None else self._weights(weight)
        return adjacency(len(self.positions), self._outward(), weights, directed=self._is_directed)

    def _outward(self) -> IntArray:
        return self.links[:, ::-1] if self.outward else self.links

    def _weights(self, name: str) -> AnyArray:
        if name not in self.link_attributes:
            raise AttributeNotFoundError(
                f"edges have no attribute {name!r}", expected=f"one of {sorted(self.link_attributes)}"
            )
        column = self.link_attributes[name]
        is_array = not isinstance(column, Categorical) and not np.ma.is_masked(column)
        if not is_array or len(column.shape) > 1 or column.dtype.kind not in "biuf":
            raise InputError(f"edge attribute {name!r} must have one number for each edge to be a weight")
        # Half floats have no place in sparse matrices, and booleans no sum.
        least = {"b": np.int64, "f": np.float32}.get(column.dtype.kind, np.int8)
        plain = np.asarray(column)
        return plain.astype(np.promote_types(plain.dtype, least), copy=False)
