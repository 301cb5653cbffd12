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
from zarr_vectors.geometry.links import Linked, as_links, kept_links
from zarr_vectors.typing import AnyArray, BoolArray, IntArray, JsonObject

__all__ = ["Graph"]


@dataclass(frozen=True, eq=False, repr=False)
class Graph(Linked):
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
