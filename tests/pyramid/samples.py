"""One value of each kind with everything that it can have, and ways to compare levels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.types.clouds import column_values
from zarr_vectors.geometry import Categorical
from zarr_vectors.typing import AnyArray

__all__ = ["KINDS", "attributes", "level_rows", "link_rows", "sample", "shuffled"]

KINDS = ("points", "cloud", "line", "polyline", "streamline", "graph", "digraph", "skeleton")
"""``points`` have objects, a ``cloud`` has none; of graphs one is directed."""
OBJECTS = 6
EACH = 30


def attributes(rng: Any, rows: int) -> dict[str, Any]:
    """A column of every sort."""
    return {
        "heat": rng.normal(size=rows).astype(np.float32),
        "kind": np.array(["ash", "oak", "yew"])[rng.integers(0, 3, rows)],
        "class": Categorical(rng.integers(0, 2, rows).astype(np.int8), ("soil", "roof")),
        "flag": rng.random(rows) < 0.5,
        "day": np.datetime64("2020-01-01") + rng.integers(0, 99, rows).astype("m8[D]"),
        "colour": rng.integers(0, 255, (rows, 3)).astype(np.uint8),
        "number": rng.integers(0, 1000, rows),
    }


def tables(ids: AnyArray, rng: Any) -> dict[str, Any]:
    """Attributes and groups of objects, of which some values are missing."""
    names = [None if number % 4 == 1 else f"object {number}" for number in range(len(ids))]
    return {
        "object_attributes": {"name": names, "size": rng.normal(size=len(ids))},
        "groups": {0: ids[:3], 1: ids[4:6], 2: ids[:0]},
        "group_attributes": {"title": ["first", "second", "none"]},
    }


def walks(rng: Any, ndim: int, dtype: str) -> list[AnyArray]:
    """Lines that wander through the box from 0 to 100."""
    steps = rng.normal(0, 2.5, (OBJECTS, EACH, ndim)).cumsum(axis=1) + rng.uniform(20, 80, (OBJECTS, 1, ndim))
    return list(np.clip(steps, 0, 100).astype(dtype))


def sample(kind: str, seed: int = 0, *, ndim: int = 3, dtype: str = "float32", plain: bool = False) -> Any:
    """A value of the kind in the box from 0 to 100.

    Args:
        plain: Positions, objects and links alone.
    """
    rng = np.random.default_rng(seed)
    ids = np.arange(OBJECTS) * 7 + 3
    parts = walks(rng, ndim, dtype)
    if kind == "line":
        parts = [part[:2] for part in parts]
    positions = np.concatenate(parts)
    owners = np.repeat(ids, [len(part) for part in parts])
    more: dict[str, Any] = {} if plain else {"attributes": attributes(rng, len(positions))}
    if kind == "cloud":
        return zv.Points(positions, **more)
    if not plain:
        more |= tables(ids, rng)
    if kind == "points":
        return zv.Points(positions, object_ids=owners, **more)
    offsets = np.cumsum([0, *map(len, parts)])
    if kind == "line":
        return zv.Lines(positions, offsets, ids=ids, **more)
    if kind in ("polyline", "streamline"):
        return zv.Polylines(positions, offsets, ids=ids, kind=kind, **more)
    if kind == "skeleton":
        return zv.Skeleton(positions, trees(rng), object_ids=owners, **more)
    edges = np.stack([np.arange(len(positions) - 1), np.arange(1, len(positions))], axis=1)
    across = rng.integers(0, len(positions), (30, 2))
    edges = np.concatenate([edges[np.diff(owners) == 0], across[across[:, 0] != across[:, 1]]])
    if not plain:
        more["edge_attributes"] = {"weight": rng.uniform(size=len(edges)), "sort": rng.integers(0, 4, len(edges))}
    return zv.Graph(positions, edges, object_ids=owners, directed=kind == "digraph", **more)


def trees(rng: Any) -> AnyArray:
    """Parents in chains, of which some begin anywhere above."""
    rows = np.arange(EACH)
    parents = np.where(rng.random((OBJECTS, EACH)) < 0.15, (rng.random((OBJECTS, EACH)) * rows).astype(int), rows - 1)
    parents[:, 0] = -1
    return np.where(parents < 0, -1, parents + np.arange(OBJECTS)[:, None] * EACH).ravel()


def level_rows(value: Any, *, floats: bool = True) -> Counter[Any]:
    """Vertices with their objects and attributes, as a multiset.

    Args:
        floats: Whether attributes that are means of floats count, whose last digit hangs on the order of the input.
    """
    names = [
        name for name in sorted(value.attributes) if floats or np.asarray(value.attributes[name]).dtype.kind != "f"
    ]
    columns: list[list[Any]] = [[tuple(row) for row in np.round(value.positions.astype(np.float64), 3).tolist()]]
    columns += [column_values(value.attributes[name]) for name in names]
    owners = owners_of(value)
    if owners is not None:
        columns.append(owners.tolist())
    return Counter(zip(*columns, strict=True))


def owners_of(value: Any) -> Any:
    """The object of each vertex."""
    if isinstance(value, (zv.Lines, zv.Polylines)):
        return None if value.ids is None else np.repeat(value.ids, np.diff(value.offsets))
    return value.object_ids


def link_rows(value: Any) -> Counter[Any]:
    """Links by the places of their ends."""
    places = [tuple(row) for row in np.round(value.positions.astype(np.float64), 3).tolist()]
    if isinstance(value, (zv.Lines, zv.Polylines)):
        links = np.stack([np.arange(len(places) - 1), np.arange(1, len(places))], axis=1)
        links = links[~np.isin(links[:, 1], value.offsets)]
    else:
        links = value.edges
    return Counter(tuple(places[row] for row in link) for link in links.tolist())


def shuffled(value: Any, seed: int = 1) -> Any:
    """The same in another order of its objects, or of its rows where they have no order."""
    rng = np.random.default_rng(seed)
    if isinstance(value, (zv.Lines, zv.Polylines)):
        ids: Any = value.ids
        turn = rng.permutation(len(ids))
        parts = [np.arange(*value.offsets[at : at + 2]) for at in turn.tolist()]
        rows = np.concatenate(parts)
        offsets = np.cumsum([0, *map(len, parts)])
        return type(value)(value.positions[rows], offsets, ids=ids[turn], kind=value.kind)
    turn = rng.permutation(value.vertex_count)
    back = np.argsort(turn)
    owners = None if value.object_ids is None else value.object_ids[turn]
    if isinstance(value, zv.Points):
        return zv.Points(value.positions[turn], object_ids=owners)
    if isinstance(value, zv.Skeleton):
        parents = value.parents[turn]
        return zv.Skeleton(value.positions[turn], np.where(parents < 0, -1, back[parents]), object_ids=owners)
    edges = back[value.edges][rng.permutation(len(value.edges))]
    return zv.Graph(value.positions[turn], edges, object_ids=owners, directed=value.directed)
