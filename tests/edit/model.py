"""A store in memory, as plain dictionaries, and what a store on disk must equal to be the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import zarr_vectors as zv

__all__ = ["KINDS", "World", "snapshot", "value_of"]

KINDS = ("cloud", "points", "polyline", "graph", "skeleton", "mesh")
LINKED = ("graph", "skeleton", "mesh")


@dataclass
class World:
    """What a store holds.

    Args:
        kind: One of ``KINDS``.
        place: Position of each vertex, by its tag.
        label: Its label, None for none.
        extra: Values of the attribute ``extra_name``, where there is one.
        owner: Id of its object.
        order: Tags of each object's vertices; for lines in their order.
        size: Attribute of each object.
        groups: Members of each group.
        links: Weight of each link, by the tags of its ends.
    """

    kind: str
    place: dict[int, tuple[float, ...]] = field(default_factory=dict)
    label: dict[int, str | None] = field(default_factory=dict)
    extra: dict[int, int] = field(default_factory=dict)
    extra_name: str | None = None
    owner: dict[int, int] = field(default_factory=dict)
    order: dict[int, list[int]] = field(default_factory=dict)
    size: dict[int, float] = field(default_factory=dict)
    groups: dict[int, set[int]] = field(default_factory=dict)
    links: dict[tuple[int, ...], float] = field(default_factory=dict)

    def remove(self, tags: set[int]) -> None:
        """Take vertices away, and the links that lead to them."""
        for tag in tags:
            for known in (self.place, self.label, self.extra, self.owner):
                known.pop(tag, None)
        for members in self.order.values():
            members[:] = [tag for tag in members if tag not in tags]
        self.links = {ends: weight for ends, weight in self.links.items() if not tags & set(ends)}

    def remove_objects(self, ids: set[int]) -> None:
        """Take objects away, with their vertices."""
        self.remove({tag for tag, owner in self.owner.items() if owner in ids})
        for one in ids:
            del self.order[one]
            del self.size[one]
        for members in self.groups.values():
            members.difference_update(ids)

    def snapshot(self) -> dict[str, Any]:
        """All of it, in a form that a store has too."""
        tags = sorted(self.place)
        lines = {one: list(members) for one, members in self.order.items()} if self.kind == "polyline" else {}
        return {
            "vertices": {t: (self.place[t], self.label[t], self.owner.get(t), self.extra.get(t)) for t in tags},
            "objects": dict(sorted(self.size.items())),
            "groups": {group: sorted(members) for group, members in sorted(self.groups.items())},
            "lines": dict(sorted(lines.items())),
            "links": dict(sorted((self.key(ends), weight) for ends, weight in self.links.items())),
        }

    def key(self, ends: tuple[int, ...]) -> tuple[int, ...]:
        """A link by its ends; a tree's know which is the child, a face's where it begins."""
        return link_key(self.kind, ends)


def link_key(kind: str, ends: tuple[int, ...]) -> tuple[int, ...]:
    """A link by its ends: those of a face in their cyclic order, those of an edge sorted."""
    if kind == "skeleton":
        return ends
    if kind == "graph":
        return tuple(sorted(ends))
    first = ends.index(min(ends))
    return ends[first:] + ends[:first]


def snapshot(level: zv.ZVLevel, world: World) -> dict[str, Any]:
    """What a store holds, as the model would have it."""
    value = level.read()
    tags = np.asarray(value.attributes["tag"]).tolist()
    extra = [None] * len(tags) if world.extra_name is None else value.attributes[world.extra_name].tolist()
    owners = [None] * len(tags) if value.vertex_objects is None else value.vertex_objects.tolist()
    labels = np.asarray(value.attributes["label"]).tolist()
    rows = zip(value.positions.tolist(), labels, owners, extra, strict=True)
    found = {tag: (tuple(p), label, owner, more) for tag, (p, label, owner, more) in zip(tags, rows, strict=True)}
    assert len(found) == len(tags)
    expected = {"tag", "label", *([] if world.extra_name is None else [world.extra_name])}
    assert set(value.attributes) == expected
    objects = {} if value.objects is None else dict(zip(value.objects.tolist(), _sizes(value), strict=True))
    lines = {}
    if world.kind == "polyline":
        ends = zip(value.offsets[:-1].tolist(), value.offsets[1:].tolist(), strict=True)
        lines = {one: tags[a:b] for one, (a, b) in zip(value.ids.tolist(), ends, strict=True)}
    links = {}
    if world.kind in LINKED:
        weights = value.link_attributes["weight"].tolist()
        keys = [link_key(world.kind, tuple(tags[row] for row in ends)) for ends in value.links.tolist()]
        links = dict(sorted(zip(keys, weights, strict=True)))
        assert len(links) == len(weights)
    assert level.vertex_count == len(tags)
    return {
        "vertices": dict(sorted(found.items())),
        "objects": dict(sorted(objects.items())),
        "groups": {group: sorted(members.tolist()) for group, members in sorted(value.groups.items())},
        "lines": dict(sorted(lines.items())),
        "links": links,
    }


def _sizes(value: Any) -> list[float]:
    sizes: list[float] = value.object_attributes["size"].tolist()
    return sizes


def value_of(world: World, tags: list[int] | None = None) -> Any:
    """The world, or the vertices of whole objects in it, as a geometry value."""
    tags = [t for one in world.order for t in world.order[one]] if tags is None and world.order else tags
    tags = sorted(world.place) if tags is None else tags
    attributes: dict[str, Any] = {
        "tag": np.array(tags, dtype=np.int64),
        "label": np.array([world.label[tag] for tag in tags], dtype=object),
    }
    if world.extra_name is not None:
        attributes[world.extra_name] = np.array([world.extra[tag] for tag in tags], dtype=np.int64)
    positions = np.array([world.place[tag] for tag in tags], dtype="f4").reshape(-1, 2)
    if world.kind == "cloud":
        return zv.Points(positions, attributes)
    owners = np.array([world.owner[tag] for tag in tags], dtype=np.int64)
    ids = np.array(list(dict.fromkeys(owners.tolist())), dtype=np.int64)
    known = set(ids.tolist())
    common: dict[str, Any] = {
        "attributes": attributes,
        "objects": ids,
        "object_attributes": {"size": np.array([world.size[one] for one in ids.tolist()])},
        "groups": {group: sorted(members & known) for group, members in world.groups.items()},
    }
    if world.kind == "points":
        return zv.Points(positions, object_ids=owners, **common)
    if world.kind == "polyline":
        counts = [sum(owners == one) for one in ids.tolist()]
        return zv.Polylines(positions, np.concatenate([[0], np.cumsum(counts)]).astype(int), ids=ids, **common)
    row = {tag: number for number, tag in enumerate(tags)}
    links = {ends: weight for ends, weight in world.links.items() if set(ends) <= set(row)}
    ends = np.array([[row[tag] for tag in one] for one in links], dtype=np.int64)
    weights = np.array(list(links.values()), dtype=float)
    common["object_ids"] = owners
    if world.kind == "graph":
        return zv.Graph(positions, ends.reshape(-1, 2), edge_attributes={"weight": weights}, **common)
    if world.kind == "mesh":
        return zv.Mesh(positions, ends.reshape(-1, 3), face_attributes={"weight": weights}, **common)
    parents = np.full(len(tags), -1, dtype=np.int64)
    parents[ends.reshape(-1, 2)[:, 0]] = ends.reshape(-1, 2)[:, 1]
    order = np.argsort(ends.reshape(-1, 2)[:, 0])
    return zv.Skeleton(positions, parents, edge_attributes={"weight": weights[order]}, **common)
