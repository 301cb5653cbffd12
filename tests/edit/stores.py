"""Stores to edit: which of their files an edit writes, and whether two of them hold the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from zarr_vectors.edit import log

__all__ = ["assert_same", "data_files", "edit", "made", "part_only", "seen", "value_of", "whole_only", "written"]

Files = dict[str, tuple[int, int]]


def seen(place: Path) -> Files:
    """Inode and time of change of every file."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def data_files(files: Files, *families: str) -> set[str]:
    """Those that hold cells, of some families of arrays."""
    return {path for path in files if "/c/" in path and path.startswith(tuple(f"0/{name}" for name in families))}


def written(before: Files, after: Files) -> set[str]:
    """What has been written, or is gone, since."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def whole_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let edits write the whole level anew."""
    monkeypatch.setattr(log, "edit_in_part", lambda *_, **__: False)


def part_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let edits fail that write the whole level anew."""
    monkeypatch.setattr(log, "rewrite", lambda *_: pytest.fail("the whole level is written anew"))


def edit(
    place: Path,
    *work: Callable[[zv.Edit], Any],
    how: Callable[[pytest.MonkeyPatch], None] | None = None,
    **options: Any,
) -> None:
    """Do some work as one edit.

    Args:
        how: ``part_only`` or ``whole_only``; None for either.
    """
    with pytest.MonkeyPatch.context() as patch:
        if how is not None:
            how(patch)
        with zv.open(place, "r+").edit(**options) as e:
            for one in work:
                one(e)


def value_of(kind: str, count: int = 60) -> Any:
    """Objects 0, 3, 6... of ten vertices each, in a plane of 100 by 100, each in a part of it."""
    rng = np.random.default_rng(7)
    ids = np.repeat(np.arange(count) * 3, 10)
    near = rng.uniform(0, 92, (count, 2)).repeat(10, axis=0)
    positions = near + rng.uniform(0, 8, (len(ids), 2))
    columns: dict[str, Any] = {"n": np.arange(len(ids)), "label": np.array(["a", "b"] * (len(ids) // 2), dtype=object)}
    tables: dict[str, Any] = {
        "objects": np.arange(count) * 3,
        "object_attributes": {"size": np.arange(float(count)), "name": np.array([f"no {n}" for n in range(count)])},
        "groups": {0: [0, 3, 9], 1: [12]},
    }
    if kind == "cloud":
        return zv.Points(positions, columns)
    if kind == "points":
        return zv.Points(positions, columns, ids, **tables)
    if kind == "polyline":
        return zv.Polylines(
            positions, np.arange(count + 1) * 10, ids=np.arange(count) * 3, attributes=columns, **tables
        )
    along = np.arange(len(ids)).reshape(count, 10)
    tables |= {"attributes": columns, "object_ids": ids}
    if kind == "mesh":
        faces = np.stack([along[:, :-2], along[:, 1:-1], along[:, 2:]], axis=-1).reshape(-1, 3)
        return zv.Mesh(positions, faces, face_attributes={"weight": np.arange(float(len(faces)))}, **tables)
    edges = np.stack([along[:, 1:], along[:, :-1]], axis=-1).reshape(-1, 2)
    if kind == "graph":
        return zv.Graph(positions, edges, edge_attributes={"weight": np.arange(float(len(edges)))}, **tables)
    parents = np.full(len(ids), -1, dtype=np.int64)
    parents[edges[:, 0]] = edges[:, 1]
    return zv.Skeleton(positions, parents, **tables)


def made(kind: str, place: Path, **layout: Any) -> Path:
    """A store of such a value, in chunks and shards of which an edit touches some."""
    how = {"chunk_shape": 10, "shard_shape": 2, "keep_order": True} | layout
    zv.write(place, value_of(kind), layout=zv.Layout(**how), bounds=([0, 0], [100, 100]))
    return place


def assert_same(left: Any, right: Any) -> None:
    """Refuse two stores that do not hold the same, in documents, tables, vertices and links."""
    one, other = (zv.open(place)[0] for place in (left, right))
    for key in ("vertex_count", "next_row_id", "fragments_tile"):
        assert one.state.metadata.to_json().get(key) == other.state.metadata.to_json().get(key), key
    assert zv.open(left).bounds == zv.open(right).bounds
    assert zv.diff(left, right).is_empty
    assert _content(one) == _content(other)


def _content(level: zv.ZVLevel) -> dict[str, Any]:
    value = level.read()
    tags = np.arange(value.vertex_count) if value.row_ids is None else value.row_ids
    owners = [None] * len(tags) if value.vertex_objects is None else value.vertex_objects.tolist()
    columns = [np.asarray(column).tolist() for column in value.attributes.values()]
    rows = sorted(zip(tags.tolist(), value.positions.tolist(), owners, *map(list, columns), strict=True))
    links = getattr(value, "links", None)
    told: dict[str, Any] = {"names": list(value.attributes), "rows": rows}
    if links is not None:
        named = [np.asarray(column).tolist() for column in value.link_attributes.values()]
        told["links"] = sorted(zip(tags[links].tolist(), *named, strict=True))
    if level.has_objects:
        told["ids"] = level.objects.ids.tolist()
        told["of objects"] = {name: np.asarray(c).tolist() for name, c in value.object_attributes.items()}
        told["groups"] = {group: sorted(members.tolist()) for group, members in value.groups.items()}
        told["orders"] = [level.read(object_ids=[one]).vertex_count for one in told["ids"][:4]]
    return told
