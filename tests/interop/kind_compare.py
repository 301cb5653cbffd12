"""Connected geometry reduced to what must agree, whatever the order of vertices: everything is told by positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

import zarr_vectors as zv
from zarr_vectors.geometry import Geometry, Linked, Polylines
from zarr_vectors.typing import AnyArray

__all__ = ["links_of", "same", "told_links", "value_of", "vertices_of"]

Keywords = Mapping[str, Any]


def value_of(kind: str, writer: str, keywords: Keywords) -> Geometry:
    """What a case of ``kind_cases`` stores, as one of our values."""
    if writer == "chunked":
        told = keywords["told"]
        offset = np.asarray(keywords["init"].get("coordinate_offset", 0.0))
        rows = np.arange(len(told["parents"]), dtype="f4") / 2
        positions = told["positions"] + offset if offset.any() else told["positions"]
        return zv.Skeleton(positions, told["parents"], object_ids=told["object_ids"], attributes={"radius": rows})
    if writer == "links":
        return _with_family(kind, keywords)
    common: dict[str, Any] = {
        "object_attributes": keywords.get("object_attributes") or {},
        "groups": keywords.get("groups") or {},
        "group_attributes": keywords.get("group_attributes") or {},
        "attributes": keywords.get("vertex_attributes") or {},
    }
    if kind == "lines":
        return zv.Lines(keywords["endpoints"], **common)
    if kind == "polylines":
        return zv.Polylines(keywords["polylines"], kind=keywords.get("geometry_type", "streamline"), **common)
    common["object_ids"] = keywords["object_ids"]
    if kind == "mesh":
        return zv.Mesh(keywords["vertices"], keywords["faces"], **common)
    edges: dict[str, Any] = {"edge_attributes": keywords.get("link_attributes") or {}}
    if kind == "skeleton":
        return zv.Skeleton.from_edges(keywords["positions"], keywords["edges"], **common, **edges)
    return zv.Graph(keywords["positions"], keywords["edges"], **common, **edges)


def _with_family(kind: str, keywords: Keywords) -> Geometry:
    vertices, family = keywords["vertices"], keywords["family"]
    common: dict[str, Any] = {"object_ids": vertices["object_ids"], "attributes": vertices["vertex_attributes"]}
    if kind == "mesh":
        return zv.Mesh(vertices["positions"], family["links"], face_attributes=family["attributes"], **common)
    directed = family.get("directed", False)
    attributes = family["attributes"]
    return zv.Graph(vertices["positions"], family["links"], edge_attributes=attributes, directed=directed, **common)


def keys_of(positions: AnyArray) -> list[tuple[float, ...]]:
    """Each position as something that compares; float32 as both sides store it."""
    return [tuple(row) for row in np.asarray(positions).astype(np.float32).tolist()]


def vertices_of(value: Geometry, *, owned: bool = True) -> Counter[Any]:
    """Every vertex with its attributes and owner."""
    columns = [
        [tuple(np.ravel(row)) for row in np.asarray(value.attributes[name])] for name in sorted(value.attributes)
    ]
    owners = value.vertex_objects if owned else None
    ids = [0] * value.vertex_count if owners is None else owners.tolist()
    rows = zip(*columns, strict=True) if columns else [()] * value.vertex_count
    return Counter(zip(keys_of(value.positions), ids, rows, strict=True))


def links_of(value: Geometry, *, attributes: bool = True) -> Any:
    """Every link by the positions of its ends, in their order, with its attributes; lines whole and in order."""
    if isinstance(value, Polylines):
        return {int(i): keys_of(line) for i, line in zip(value.line_ids, value.lines(), strict=True)}
    assert isinstance(value, Linked)
    names = sorted(value.link_attributes) if attributes else []
    return told_links(value.positions, value.links, [value.link_attributes[name] for name in names])


def told_links(positions: AnyArray, links: AnyArray, columns: Any = ()) -> Counter[Any]:
    """Links by the positions of their ends."""
    keys = keys_of(positions)
    values = [np.asarray(column).tolist() for column in columns]
    rows = zip(*values, strict=True) if values else [()] * len(links)
    return Counter(
        (tuple(keys[row] for row in link), tuple(row)) for link, row in zip(links.tolist(), rows, strict=True)
    )


def same(got: Geometry, expected: Geometry, *, attributes: bool = True) -> None:
    """Equal vertices, owners, attributes and connections."""
    assert vertices_of(got) == vertices_of(expected)
    assert links_of(got, attributes=attributes) == links_of(expected, attributes=attributes)
