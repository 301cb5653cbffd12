"""The matrix of connected geometry: each case builds what 0.9.2 is to write, by its own keywords.

Used at two sizes: small by ``scripts/make_golden.py``, larger by the live tests. numpy only, because the first runs in
the environment of 0.9.2. All positions of a case are distinct, so that vertices can be told by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["KIND_CASES", "KindCase", "Space"]

Array = np.ndarray[Any, Any]
Keywords = dict[str, Any]
Step = tuple[str, Keywords]
EDGE = 10.0
SPARSE = (7, 3, 2**40, -5, 11, 0)


@dataclass(frozen=True)
class Space:
    """Where a case lies and how large it is.

    Args:
        objects: Number of objects.
        chunks: Chunks along each of the first two axes; every further axis has one.
        ndim: Number of axes.
        low: Least coordinate, a multiple of the chunks' edge.
    """

    objects: int = 3
    chunks: int = 2
    ndim: int = 3
    low: float = 0.0

    @property
    def corner(self) -> Array:
        """The greatest coordinates, exclusive."""
        return self.low + np.array([EDGE * self.chunks if axis < 2 else EDGE for axis in range(self.ndim)])

    def walk(self, rng: np.random.Generator, start: Array | None, count: int) -> Array:
        """So many places, each some steps from the one before, reflected at the faces of the space."""
        size = self.corner - self.low
        begin = rng.random(self.ndim) * size if start is None else start - self.low
        path = begin + np.cumsum(rng.standard_normal((count, self.ndim)) * 3.0, axis=0)
        folded = np.abs(np.mod(path, 2 * size))
        return self.low + np.where(folded >= size, 2 * size - folded - 1e-3, folded)


@dataclass(frozen=True)
class KindCase:
    """One store.

    Args:
        name: Also the folder under ``tests/golden/kinds``.
        kind: ``"lines"``, ``"polylines"``, ``"graph"``, ``"skeleton"`` or ``"mesh"``: what it is to read as.
        writer: A name that ``peer_kinds.write`` knows.
        build: Makes its keywords for a space from a generator.
        space: Of the golden store.
        steps: Verbs to run on the store afterwards, with their keywords.
        large: Objects at the size of the live tests; 0 where the case differs from a live one only in its size.
    """

    name: str
    kind: str
    writer: str
    build: Callable[[Space, np.random.Generator], Keywords]
    space: Space = Space()
    steps: tuple[Step, ...] = ()
    large: int = 0

    def golden(self) -> Keywords:
        """The keywords at golden size; the same on every machine."""
        return self.build(self.space, np.random.default_rng(92))

    @property
    def reader(self) -> str:
        """The name of the reader in ``peer_kinds.read``."""
        return "graph" if self.kind == "skeleton" else self.kind

    def boxes(self) -> list[tuple[list[float], list[float]]]:
        """One chunk, the middle, and a small box between the chunks."""
        low, high = np.full(self.space.ndim, self.space.low), self.space.corner
        middle, reach = (low + high) / 2, (high - low) / 2
        pairs = [(low, low + EDGE), (middle - reach * 0.6, middle + reach * 0.5), (middle - 0.7, middle + 1.2)]
        return [(first.tolist(), last.tolist()) for first, last in pairs]

    @property
    def is_plain(self) -> bool:
        """Whether a golden store is as its writer left it, and chunked by place alone."""
        return not self.steps and "chunk_by_attribute" not in self.golden()

    def live(self) -> Keywords:
        """The keywords at the size of the live tests: chunks with neighbours on all sides."""
        space = Space(self.large, 3, self.space.ndim, self.space.low)
        return self.build(space, np.random.default_rng(920))


def stored(space: Space, **more: Any) -> Keywords:
    return {"chunk_shape": (EDGE,) * space.ndim} | more


def lines(*, tables: bool = False, **more: Any) -> Callable[[Space, np.random.Generator], Keywords]:
    """Short lines, lines between any two chunks, and one that ends on a chunk's face."""

    def build(space: Space, rng: np.random.Generator) -> Keywords:
        count = 3 * space.objects
        first = space.walk(rng, None, count)
        second = np.where(np.arange(count)[:, None] % 3 == 0, space.walk(rng, None, count), first + 0.3)
        second = np.minimum(second, space.corner - 0.01)
        second[1] = space.low + EDGE
        ends = np.stack([first, second], axis=1).astype(np.float32)
        rows = np.arange(2 * count, dtype="i4").reshape(-1, 2)
        keywords = stored(space, endpoints=ends, vertex_attributes={"row": rows}, **more)
        return keywords | ({"object_attributes": {"weight": np.arange(count) / 4}} if tables else {})

    return build


def polylines(*, tables: bool = False, **more: Any) -> Callable[[Space, np.random.Generator], Keywords]:
    """Lines of 1 to 9 vertices, among them one that leaves its chunk and returns, and one that goes backward."""

    def build(space: Space, rng: np.random.Generator) -> Keywords:
        paths = [space.walk(rng, None, int(count)) for count in rng.integers(1, 10, space.objects)]
        there = np.full((4, space.ndim), space.low + 3.0)
        there[:, 0] += [1.0, EDGE, 2.0, EDGE + 0.5]
        paths[0], paths[1] = there, there[::-1] + 0.5
        parts = [path.astype(np.float32) for path in paths]
        firsts = np.cumsum([0, *(len(part) for part in parts)])
        rows = [np.arange(first, first + len(part), dtype="i4") for first, part in zip(firsts, parts, strict=False)]
        keywords = stored(space, polylines=parts, vertex_attributes={"row": rows}, **more)
        if "chunk_by_attribute" in more:
            turns = [np.array([number % 3, *[2 - number % 3] * (len(part) - 1)]) for number, part in enumerate(parts)]
            keywords["vertex_attributes"][more["chunk_by_attribute"]] = turns
        if tables:
            keywords["object_attributes"] = {"weight": np.arange(len(parts)) / 4}
            keywords["groups"] = {0: [0, 2], 2: [1]}
            keywords["group_attributes"] = {"score": np.array([0.5, 0.0, 1.5])}
        return keywords

    return build


def ids_of(space: Space, rng: np.random.Generator, each: int) -> Array:
    """Owners of vertices, mixed."""
    ids = np.array([SPARSE[number] if number < len(SPARSE) else 100 + number for number in range(space.objects)])
    return rng.permutation(np.repeat(ids, each)).astype(np.int64)


def nodes(space: Space, rng: np.random.Generator, each: int = 8) -> Keywords:
    """Vertices of several objects, each within its own."""
    count = space.objects * each
    return stored(
        space,
        positions=space.walk(rng, None, count).astype(np.float32),
        object_ids=ids_of(space, rng, each),
        vertex_attributes={"row": np.arange(count, dtype="i4")},
    )


def pairs(rng: np.random.Generator, ids: Array, width: int, each: int) -> Array:
    """Links of distinct vertices of one object, in any order; the first comes in both directions."""
    found = [rng.permutation(np.flatnonzero(ids == owner))[:width] for owner in np.unique(ids) for _ in range(each)]
    return np.unique(np.stack([*found, found[0][::-1]]), axis=0)[rng.permutation(len(np.unique(found, axis=0)))]


def graph(*, attributes: bool = True, **more: Any) -> Callable[[Space, np.random.Generator], Keywords]:
    """Edges between any vertices of an object, and attributes of two shapes on them."""

    def build(space: Space, rng: np.random.Generator) -> Keywords:
        keywords = nodes(space, rng) | more
        edges = pairs(rng, keywords["object_ids"], 2, 8)
        keywords["edges"] = edges
        if "chunk_by_attribute" in more:
            keywords["vertex_attributes"][more["chunk_by_attribute"]] = keywords["object_ids"] % 3 - 1
        if attributes:
            weight = np.arange(len(edges)) / 8
            keywords["link_attributes"] = {"weight": weight, "label": np.arange(len(edges), dtype="u2")}
        return keywords

    return build


def family(width: int, **policy: Any) -> Callable[[Space, np.random.Generator], Keywords]:
    """Links of any width under any policy; an attribute keeps in step with them."""

    def build(space: Space, rng: np.random.Generator) -> Keywords:
        keywords = nodes(space, rng)
        links = pairs(rng, keywords["object_ids"], width, 5)
        attributes = {"weight": np.arange(len(links), dtype="f4") / 8}
        said = {"links": links, "attributes": attributes, **policy}
        return {"base": "graph" if width == 2 else "mesh", "vertices": keywords, "family": said}

    return build


def tree(space: Space, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Positions and parents of a tree whose vertices come in any order, but for the root.

    0.9.2 stores a root that is not the first vertex of its object as a child of another vertex, and reads it so itself.
    """
    parents, positions = np.full(count, -1), np.zeros((count, space.ndim))
    positions[0] = space.walk(rng, None, 1)[0]
    for row in range(1, count):
        parents[row] = max(0, row - int(rng.integers(1, 4)))
        positions[row] = space.walk(rng, positions[parents[row]], 1)[0]
    order = np.concatenate([[0], 1 + rng.permutation(count - 1)])
    place = np.argsort(order)
    moved = parents[order]
    return positions[order], np.where(moved < 0, -1, place[moved])


def skeleton(**more: Any) -> Callable[[Space, np.random.Generator], Keywords]:
    """Trees, one for each object, which is all that 0.9.2 takes."""

    def build(space: Space, rng: np.random.Generator) -> Keywords:
        trees = [tree(space, rng, int(rng.integers(3, 12))) for _ in range(space.objects)]
        firsts = np.cumsum([0, *(len(part[0]) for part in trees)])
        owners = range(space.objects)
        ids = np.concatenate([np.full(len(part[0]), SPARSE[owner % 6] + 100 * (owner // 6)) for owner, part in
                              zip(owners, trees, strict=True)])  # fmt: skip
        parents = np.concatenate([np.where(part[1] < 0, -1, part[1] + first) for first, part in
                                  zip(firsts, trees, strict=False)])  # fmt: skip
        children = np.flatnonzero(parents >= 0)
        return stored(
            space,
            kind="skeleton",
            positions=np.concatenate([part[0] for part in trees]).astype(np.float32),
            edges=np.stack([children, parents[children]], axis=1),
            object_ids=ids.astype(np.int64),
            vertex_attributes={"radius": np.arange(len(ids), dtype="f4") / 2},
            link_attributes={"weight": np.arange(len(children)) / 8},
            **more,
        )

    return build


def chunked(offset: tuple[float, ...] | None = None, **more: Any) -> Callable[[Space, np.random.Generator], Keywords]:
    """Trees cut at chunks by hand: a piece for each connected part, and crossings in both directions."""

    def build(space: Space, rng: np.random.Generator) -> Keywords:
        pieces: dict[tuple[int, ...], list[Keywords]] = {}
        crossings: list[tuple[int, int]] = []
        first, all_positions, all_parents, owners = 0, [], [], []
        for number in range(space.objects):
            positions, parents = tree(space, rng, 12)
            segment = 2**33 + 5 * number
            positions = positions.astype(np.float32)
            chunk = np.floor(positions.astype(np.float64) / EDGE).astype(int)
            cut = (parents >= 0) & (chunk != chunk[parents]).any(axis=1)
            crossings += [(int(parents[row]) + first, int(row) + first) for row in np.flatnonzero(cut)]
            top = np.arange(len(parents))
            for _ in range(len(parents)):
                top = np.where((parents[top] < 0) | cut[top], top, parents[top])
            for root in np.unique(top):
                rows = np.flatnonzero(top == root)
                inner = rows[rows != root]
                edges = np.stack([np.searchsorted(rows, inner), np.searchsorted(rows, parents[inner])], axis=1)
                piece = {
                    "segment_id": segment,
                    "positions": positions[rows],
                    "edges": edges,
                    "attributes": {"radius": (rows + first).astype("f4") / 2},
                    "anchors": {int(row) + first: place for place, row in enumerate(rows)},
                }
                pieces.setdefault(tuple(chunk[root].tolist()), []).append(piece)
            all_positions.append(positions)
            all_parents.append(np.where(parents < 0, -1, parents + first))
            owners.append(np.full(len(parents), number))
            first += len(parents)
        init = {
            "chunk_shape": (EDGE,) * space.ndim,
            "bounds": ([space.low] * space.ndim, (space.corner - 0.5).tolist()),
            "ndim": space.ndim,
            "attribute_dtypes": {"radius": "float32"},
            **({} if offset is None else {"coordinate_offset": list(offset)}),
            **more,
        }
        told = {"positions": np.concatenate(all_positions), "parents": np.concatenate(all_parents)}
        return {
            "init": init,
            "chunks": [{"chunk": chunk, "pieces": parts} for chunk, parts in sorted(pieces.items())],
            "crossings": crossings,
            "told": told | {"object_ids": np.concatenate(owners)},
        }

    return build


def mesh(width: int = 3, **more: Any) -> Callable[[Space, np.random.Generator], Keywords]:
    """Sheets, one above the other for each object, whose faces reach over one, two, three and four chunks."""

    def build(space: Space, rng: np.random.Generator) -> Keywords:
        side = 3 * space.chunks
        grid = np.stack(np.meshgrid(*[np.arange(side)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
        corners = np.array([[0, side, side + 1, 1]]) + (
            np.arange(side - 1)[:, None] * side + np.arange(side - 1)
        ).reshape(-1, 1)
        faces = corners if width == 4 else np.concatenate([corners[:, [0, 1, 2]], corners[:, [2, 3, 0]]])
        faces = np.take_along_axis(faces, (rng.integers(0, width, (len(faces), 1)) + np.arange(width)) % width, axis=1)
        sheets = []
        for _ in range(space.objects):
            flat = space.low + (grid + rng.random(grid.shape) * 0.8) * (EDGE / 3)
            rest = space.low + rng.random((len(grid), space.ndim - 2)) * (EDGE - 0.1)
            sheets.append(np.concatenate([flat, rest], axis=1))
        count = len(grid) * space.objects
        order = rng.permutation(count)
        place = np.argsort(order)
        every = np.concatenate([faces + len(grid) * number for number in range(space.objects)])
        ids = np.repeat(np.array([*SPARSE, *range(100, 200)])[: space.objects], len(grid))
        return stored(
            space,
            vertices=np.concatenate(sheets)[order].astype(np.float32),
            faces=place[every],
            object_ids=ids[order],
            vertex_attributes={
                "normal": rng.standard_normal((count, 3)).astype("f4"),
                "row": np.arange(count, dtype="i4"),
            },
            **more,
        )

    return build


NEGATIVE, FLAT = Space(low=-20.0), Space(ndim=2, low=-10.0)
SMALL, TWO = Space(1), Space(2)
ZSTD: Keywords = {"compressor": "zstd"}
SHARDS: Keywords = {"shard_shape": 2}
LINES, LINE, GRAPH, TREE, MESH = "lines", "polylines", "graph", "skeleton", "mesh"
STREAMS: Keywords = {"geometry_type": "streamline"}
PYRAMID = {"kwargs": {"factors": [(2.0, 1.0)], "chunk_scale_factors": [2]}}
POINTS = np.array([[1.0, 1, 1], [4, 4, 4], [12, 2, 2]], dtype="f4")
EXTRA = {"geometry_type": "graph", "kwargs": {"positions": POINTS, "edges": np.array([[0, 1], [1, 2]])}}


KIND_CASES: dict[str, KindCase] = {
    case.name: case
    for case in (
        KindCase("lines", LINES, "lines", lines(), large=60),
        KindCase("lines_flat", LINES, "lines", lines(tables=True, **ZSTD), FLAT, large=60),
        KindCase("lines_sharded", LINES, "lines", lines(**SHARDS), NEGATIVE, large=60),
        KindCase("polylines", LINE, "polylines", polylines(geometry_type="polyline"), large=60),
        KindCase("polylines_flat", LINE, "polylines", polylines(tables=True, **ZSTD), FLAT, large=60),
        KindCase("streamlines", LINE, "polylines", polylines(tables=True, **ZSTD, **STREAMS), NEGATIVE, large=60),
        KindCase("streamlines_sharded", LINE, "polylines", polylines(tables=True, **ZSTD, **SHARDS), large=60),
        KindCase("polylines_by_turn", LINE, "polylines", polylines(chunk_by_attribute="turn"), FLAT),
        KindCase("graph_by_part", GRAPH, "graph", graph(chunk_by_attribute="part"), FLAT),
        KindCase("pyramid", LINE, "polylines", polylines(**STREAMS), steps=(("build_pyramid", PYRAMID),)),
        KindCase("graph", GRAPH, "graph", graph(), large=40),
        KindCase("graph_flat", GRAPH, "graph", graph(**ZSTD), FLAT, large=40),
        KindCase("graph_sharded", GRAPH, "graph", graph(**SHARDS), NEGATIVE, large=40),
        KindCase("graph_plain", GRAPH, "graph", graph(attributes=False), SMALL),
        KindCase("graph_directed", GRAPH, "links", family(2, directed=True), large=20),
        KindCase("graph_duplicate", GRAPH, "links", family(2, store="duplicate"), large=20),
        KindCase("graph_directed_duplicate", GRAPH, "links", family(2, directed=True, store="duplicate"), FLAT),
        KindCase("faces_directed", MESH, "links", family(3, directed=True), FLAT),
        KindCase("faces_duplicate", MESH, "links", family(3, store="duplicate"), FLAT, large=20),
        KindCase("quads_canonical", MESH, "links", family(4), FLAT, large=20),
        KindCase("quads_duplicate", MESH, "links", family(4, store="duplicate"), Space(1, 2, 2)),
        KindCase("skeleton", TREE, "graph", skeleton(), large=40),
        KindCase("skeleton_flat", TREE, "graph", skeleton(**ZSTD), FLAT, large=40),
        KindCase("skeleton_sharded", TREE, "graph", skeleton(**SHARDS), NEGATIVE, large=40),
        KindCase("chunked", TREE, "chunked", chunked(), large=20),
        KindCase("chunked_offset", TREE, "chunked", chunked((100.0, -200.0, 300.5)), large=20),
        KindCase("chunked_sharded", TREE, "chunked", chunked(**SHARDS, **ZSTD), NEGATIVE, large=20),
        KindCase("mesh", MESH, "mesh", mesh(), TWO, large=10),
        KindCase("mesh_flat", MESH, "mesh", mesh(**ZSTD), Space(1, 2, 2, -10.0), large=1),
        KindCase("mesh_sharded", MESH, "mesh", mesh(**SHARDS), Space(2, 2, 3, -20.0), large=10),
        KindCase("quads", MESH, "mesh", mesh(4), SMALL, large=10),
        KindCase("composite", LINE, "polylines", polylines(), steps=(("add_geometry", EXTRA),)),
    )
}  # fmt: skip
