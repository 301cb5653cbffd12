"""Skeletons: trees of vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import GEOM_SKELETON
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import as_ids, as_positions
from zarr_vectors.geometry.base import DERIVED, Put, as_columns, as_mapping
from zarr_vectors.geometry.columns import Column, take_column
from zarr_vectors.geometry.interchange.networks import network_fields
from zarr_vectors.geometry.links import as_links, kept_links
from zarr_vectors.geometry.network import Network
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Skeleton", "check_forest"]


@dataclass(frozen=True, eq=False, repr=False)
class Skeleton(Network):
    """Trees, such as neurons: every vertex has at most one parent.

    Args:
        positions: ``(N, D)`` vertices.
        parents: ``(N,)`` row of each vertex's parent; -1 for a root.
        edge_attributes: A row for each of ``edges``.
        object_ids: ``(N,)`` int64 owner of each vertex; None where all vertices are one object. An object may have
            several roots.
        attributes, object_attributes, objects, groups, group_attributes, axes, row_ids, errors: As in ``Geometry``;
            radii and SWC types are the attributes ``radius`` and ``type``.

    Raises:
        InputError: Shapes or lengths contradict each other, or a parent is a vertex that there is not.

    Example:
        >>> neuron = Skeleton([[0.0, 0], [1, 0], [2, 0], [1, 1]], [-1, 0, 1, 1], attributes={"radius": [3.0, 1, 1, 1]})
        >>> neuron.edges.tolist(), neuron.roots.tolist()
        ([[1, 0], [2, 1], [3, 1]], [0])
    """

    parents: IntArray = DERIVED
    edge_attributes: Mapping[str, Column] = field(default_factory=dict, kw_only=True)

    geometry_type: ClassVar[str] = GEOM_SKELETON
    counted: ClassVar[tuple[str, ...]] = ("vertex_count", "node_count", "edges", "edge_count")
    outward: ClassVar[bool] = True

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913 (one for each field)
            self,
            positions: npt.ArrayLike,
            parents: npt.ArrayLike | None = ...,
            *,
            edge_attributes: Mapping[str, Any] = ...,
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

    @classmethod
    def from_edges(cls, positions: npt.ArrayLike, edges: npt.ArrayLike, **fields: Any) -> Self:
        """A skeleton from ``(E, 2)`` rows ``[child, parent]``; ``edge_attributes`` follow these edges.

        Raises:
            InputError: A vertex has two parents, or an edge names a vertex that there is not.

        Example:
            >>> Skeleton.from_edges([[0.0, 0], [1, 0]], [[1, 0]]).parents.tolist()
            [-1, 0]
        """
        rows = len(as_positions(positions))
        links = as_links("edges", edges, rows, width=2)
        times = np.bincount(links[:, 0], minlength=rows)
        if (times > 1).any():
            child = int(np.argmax(times > 1))
            raise InputError(
                "a vertex of a skeleton may have one parent",
                got=f"vertex {child} with parents {links[links[:, 0] == child, 1].tolist()}",
                hint="edges are [child, parent]; for anything but trees use Graph",
            )
        parents = np.full(rows, -1, dtype=np.int64)
        parents[links[:, 0]] = links[:, 1]
        given = as_columns("edge attribute", fields.pop("edge_attributes", {}), len(links))
        order = np.argsort(links[:, 0], kind="stable")
        attributes = {name: take_column(column, order) for name, column in given.items()}
        return cls(positions, parents, edge_attributes=attributes, **fields)

    @classmethod
    def from_networkx(cls, graph: Any, positions: Sequence[str] | str | None = None) -> Skeleton:
        """A skeleton from a ``DiGraph`` of networkx whose edges lead from parent to child.

        Args:
            graph: As in ``Graph.from_networkx``, as are ``positions``.

        Raises:
            InputError: It is not directed, a node has two parents or no coordinates, or attributes make no columns.

        Example:
            >>> import networkx as nx
            >>> tree = nx.DiGraph([(0, 1), (0, 2)])
            >>> nx.set_node_attributes(tree, {n: (float(n), 0.0) for n in tree}, "pos")
            >>> Skeleton.from_networkx(tree).parents.tolist()
            [-1, 0, 0]
        """
        fields, edges, attributes = network_fields(graph, positions)
        if not graph.is_directed():
            raise InputError(
                "the graph of a skeleton must be directed, from parent to child",
                hint="networkx.bfs_tree(graph, root) makes such a one",
            )
        return cls._of_links(fields, edges[:, ::-1], attributes, {})

    @classmethod
    def _of_links(
        cls, fields: dict[str, Any], links: AnyArray, attributes: Mapping[str, Column], _note: Mapping[str, Any]
    ) -> Self:
        positions = fields.pop("positions")
        return cls.from_edges(positions, links, edge_attributes=attributes, **fields)

    def _connect(self, put: Put) -> None:
        super()._connect(put)
        rows = len(self.positions)
        parents = np.full(rows, -1) if self.parents is DERIVED else as_ids("parents", self.parents, rows)
        bad = np.flatnonzero((parents < -1) | (parents >= rows))
        if len(bad):
            raise InputError(
                "parents must be rows of the positions, or -1 for a root",
                got=f"{parents[bad[0]]} for vertex {bad[0]}",
                expected=f"-1 to {rows - 1}",
            )
        put(self, "parents", parents.astype(np.int64, copy=False))
        given = as_mapping("edge_attributes", self.edge_attributes)
        put(self, "edge_attributes", as_columns("edge attribute", given, int((parents >= 0).sum())))

    @property
    def node_count(self) -> int:
        """Number of vertices."""
        return len(self.positions)

    @property
    def edge_count(self) -> int:
        """Number of edges: vertices that are no roots."""
        return int((self.parents >= 0).sum())

    @property
    def edges(self) -> IntArray:
        """``(E, 2)`` rows ``[child, parent]``, in order of the child."""
        children = np.flatnonzero(self.parents >= 0)
        return np.stack([children, self.parents[children]], axis=1)

    @property
    def roots(self) -> IntArray:
        """Rows of the vertices without a parent."""
        return np.flatnonzero(self.parents < 0)

    @property
    def links(self) -> IntArray:
        """``edges``."""
        return self.edges

    @property
    def link_attributes(self) -> Mapping[str, Column]:
        """``edge_attributes``."""
        return self.edge_attributes

    def within(self, mask: BoolArray) -> Skeleton:
        """The vertices of a mask; those whose parent is left out become roots."""
        kept, new = self._of_rows(mask)
        links, attributes = kept_links(self.edges, self.edge_attributes, new)
        parents = np.full(len(kept["positions"]), -1, dtype=np.int64)
        parents[links[:, 0]] = links[:, 1]
        return replace(self, **kept, parents=parents, edge_attributes=attributes)


def check_forest(parents: IntArray) -> None:
    """Refuse parents that lead in a circle.

    Args:
        parents: ``(N,)`` row of each vertex's parent, -1 for a root.

    Raises:
        InputError: With a vertex of the circle.

    Example:
        >>> check_forest(np.array([1, -1]))
    """
    rows = np.arange(len(parents))
    if (parents < rows).all():
        return
    # Most vertices follow their parent: only the first of each such run is looked at; every circle leads through one.
    begins = parents != rows - 1
    begins[0] = True
    first, run = np.flatnonzero(begins), np.cumsum(begins) - 1
    above = parents[first]
    up = np.where(above < 0, np.arange(len(first)), run[above])
    # Each jumps to its ancestor twice as far with each round; in the end only circles are not at a root.
    for _ in range(len(first).bit_length()):
        farther = up[up]
        if np.array_equal(farther, up):
            break
        up = farther
    lost = np.flatnonzero(above[up] >= 0)
    if len(lost):
        vertex = int(first[up[lost[0]]])
        raise InputError(
            "the parents of a skeleton lead in a circle",
            got=f"vertex {vertex}, whose parent is {parents[vertex]}",
            hint="remove an edge of the circle, or use Graph",
        )
