"""Graphs and trees as those of networkx and as sparse matrices of scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical, Column
from zarr_vectors.geometry.interchange.fields import Choice, is_coordinate, vertex_fields
from zarr_vectors.geometry.interchange.plain import columns_of_records, records
from zarr_vectors.geometry.interchange.tables import Table
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["adjacency", "edges_of_matrix", "network", "network_fields"]

_NODE_ID = "node_id"
_AXES = ("x", "y", "z", "t")


def network(
    nodes: Mapping[str, Column],
    count: int,
    edges: IntArray,
    columns: Mapping[str, Column],
    *,
    directed: bool,
    multi: bool,
) -> Any:
    """A graph of networkx, whose nodes are numbered from 0.

    Args:
        nodes: Attributes of nodes, coordinates included.
        count: How many nodes.
        edges: ``(E, 2)`` nodes that each edge connects.
        columns: Attributes of edges.
        directed: Whether it is a ``DiGraph``.
        multi: Whether several edges may connect the same nodes.

    Raises:
        InputError: Several edges do, and must not.
        MissingDependencyError: networkx is not installed.
    """
    nx = require("networkx")
    if not multi:
        _refuse_parallel(edges, directed)
    kinds = {(False, False): nx.Graph, (True, False): nx.DiGraph, (False, True): nx.MultiGraph}
    graph = kinds.get((directed, multi), nx.MultiDiGraph)()
    graph.add_nodes_from(enumerate(records(nodes, count)))
    ends = edges.tolist()
    graph.add_edges_from((a, b, row) for (a, b), row in zip(ends, records(columns, len(ends)), strict=True))
    return graph


def _refuse_parallel(edges: IntArray, directed: bool) -> None:
    """Of edges that connect the same nodes, networkx would keep the last."""
    ends = edges if directed else np.sort(edges, axis=1)
    found, first, times = np.unique(ends, axis=0, return_index=True, return_counts=True)
    if len(found) < len(ends):
        at = int(np.argmax(times > 1))
        raise InputError(
            "several edges connect the same nodes",
            got=f"{times[at]} edges {edges[first[at]].tolist()}",
            hint="pass multigraph=True",
        )


def network_fields(
    graph: Any, positions: Sequence[str] | str | None
) -> tuple[dict[str, Any], IntArray, dict[str, Column]]:
    """Fields of a value, ``(E, 2)`` edges and their attributes, from a graph of networkx.

    Args:
        positions: Attributes of nodes that are the coordinates, or one that holds them all.

    Raises:
        InputError: It is no graph, or a node has no coordinates.
    """
    if not all(hasattr(graph, name) for name in ("nodes", "edges", "is_directed")):
        raise InputError("this is no graph of networkx", got=type(graph).__name__)
    labels = list(graph.nodes)
    columns = columns_of_records(attributes for _, attributes in graph.nodes(data=True))
    if labels != list(range(len(labels))) and _NODE_ID not in columns:
        columns[_NODE_ID] = _label_column(labels)
    if positions is None:
        # In the order in which the nodes name them.
        found = [name for name, column in columns.items() if name in _AXES and is_coordinate(column)]
        positions = found or ("pos" if "pos" in columns else None)
    width = 3 if positions is None or isinstance(positions, str) else len(positions)
    fields: dict[str, Any] = {"positions": np.zeros((0, width))}
    if labels:
        fields = vertex_fields(Table(columns), Choice(positions=positions))
    absent = np.isnan(fields["positions"].astype(np.float64)).any(axis=1)
    if absent.any():
        raise InputError("a node has no coordinates", got=f"node {labels[int(np.argmax(absent))]!r}")
    rows = {label: number for number, label in enumerate(labels)}
    listed = list(graph.edges(data=True))
    edges = np.array([(rows[a], rows[b]) for a, b, _ in listed], dtype=np.int64).reshape(-1, 2)
    return fields, edges, columns_of_records(attributes for _, _, attributes in listed)


def _label_column(labels: Sequence[Any]) -> Column:
    if all(isinstance(label, (int, np.integer)) and not isinstance(label, bool) for label in labels):
        return np.array(labels, dtype=np.int64)
    if all(isinstance(label, str) for label in labels):
        return Categorical.from_values(np.array([*labels, None], dtype=object)[:-1])
    odd = next(label for label in labels if not isinstance(label, str))
    raise InputError(
        "nodes must be called by integers or by text",
        got=repr(odd),
        hint="networkx.convert_node_labels_to_integers gives them numbers",
    )


def adjacency(nodes: int, edges: IntArray, weights: AnyArray | None, *, directed: bool) -> Any:
    """A ``scipy.sparse.csr_array`` of ``(nodes, nodes)``; edges between the same nodes add up.

    Args:
        weights: ``(E,)`` a number for each edge; None for 1.
        directed: Whether an edge stands in its own direction only.

    Raises:
        MissingDependencyError: scipy is not installed.
    """
    sparse = require("scipy.sparse")
    values = np.ones(len(edges), dtype=np.int64) if weights is None else weights
    rows, columns = edges.T
    if not directed:
        back = rows != columns
        rows, columns = np.concatenate([rows, columns[back]]), np.concatenate([columns, rows[back]])
        values = np.concatenate([values, values[back]])
    return sparse.csr_array((values, (rows, columns)), shape=(nodes, nodes))


def edges_of_matrix(matrix: Any, *, directed: bool) -> tuple[IntArray, AnyArray]:
    """``(E, 2)`` edges and ``(E,)`` values of a sparse matrix; of an undirected graph each edge once.

    Raises:
        InputError: It is not square, or it must be symmetric and is not.
        MissingDependencyError: scipy is not installed.
    """
    found = require("scipy.sparse").coo_array(matrix)
    if len(found.shape) != 2 or found.shape[0] != found.shape[1]:
        raise InputError("the matrix of a graph must be square", got=f"shape {found.shape}")
    found.sum_duplicates()
    rows, columns, values = found.row.astype(np.int64), found.col.astype(np.int64), found.data
    order = np.lexsort([columns, rows])
    rows, columns, values = rows[order], columns[order], values[order]
    if not directed:
        back = np.lexsort([rows, columns])
        if not all(
            np.array_equal(one, other[back]) for one, other in ((rows, columns), (columns, rows), (values, values))
        ):
            raise InputError("the matrix of an undirected graph must be symmetric", hint="pass directed=True")
        once = rows <= columns
        rows, columns, values = rows[once], columns[once], values[once]
    return np.stack([rows, columns], axis=1), values
