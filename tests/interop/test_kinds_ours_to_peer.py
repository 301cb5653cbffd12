"""Lines, graphs, skeletons and meshes that we write: 0.9.2 validates them and returns the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_cases import KIND_CASES
from tests.interop.kind_compare import keys_of, links_of, told_links, value_of
from tests.interop.peer import Peer
from zarr_vectors.geometry import Geometry, Polylines
from zarr_vectors.types import objects

CASES = [name for name, case in KIND_CASES.items() if case.large and case.writer != "chunked"]
READERS = {"line": "lines", "polyline": "polylines", "streamline": "polylines", "mesh": "mesh"}
LAYOUTS: dict[str, dict[str, Any]] = {
    "shards": {},
    "no shards": {"shard_shape": None},
    "uncompressed": {"compressor": "none", "shard_shape": 3},
}


def told(peer: Peer, path: Path, value: Geometry, **question: Any) -> Any:
    """What 0.9.2 reads, as links by positions or lines by id."""
    kind = value.kind if isinstance(value, Polylines) else value.geometry_type
    found = peer.call("read", path=str(path), reader=READERS.get(kind, "graph"), kwargs=question)
    if kind == "line":
        return {tuple(map(tuple, ends.tolist())) for ends in found["endpoints"]}
    if isinstance(value, Polylines):
        return {i: keys_of(np.concatenate(p)) for i, p in zip(found["object_ids"], found["polylines"], strict=True)}
    return told_links(
        found["vertices" if kind == "mesh" else "positions"], found["faces" if kind == "mesh" else "edges"]
    )


def ours(value: Geometry) -> Any:
    """The same of a value."""
    if isinstance(value, zv.Lines):
        return {tuple(keys_of(line)) for line in value.lines()}
    return links_of(value, attributes=False)


def check(peer: Peer, path: Path, value: Geometry) -> None:
    verdict = peer.validate(path)
    assert verdict["errors"] == []
    assert verdict["warnings"] == []
    assert told(peer, path, value) == ours(value)


ONE_OF_EACH = {KIND_CASES[name].kind: name for name in reversed(CASES)}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        pytest.param(name, layout, marks=[] if layout == "shards" or name in ONE_OF_EACH.values() else pytest.mark.long)
        for name in CASES
        for layout in LAYOUTS
    ],
)
def test_0_9_2_reads_what_we_write(name: str, layout: str, peer: Peer, tmp_path: Path) -> None:
    case = KIND_CASES[name]
    value = value_of(case.kind, case.writer, case.live())
    zv.write(tmp_path / "store", value, layout=zv.Layout(chunk_shape=10, **LAYOUTS[layout]))
    check(peer, tmp_path / "store", value)


@pytest.mark.parametrize("name", ["polylines", "graph", "skeleton", "mesh"])
@pytest.mark.parametrize("by_column", [False, True])
def test_0_9_2_reads_what_we_append(
    name: str, by_column: bool, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without references by column, which 0.9.2 does not know."""
    monkeypatch.setattr(objects, "_WORTH_REFS", 0 if by_column else 2**40)
    case = KIND_CASES[name]
    value = value_of(case.kind, case.writer, case.live())
    owners = value.vertex_objects
    assert owners is not None
    half = owners < int(np.median(owners))
    layout = zv.Layout(chunk_shape=10)
    zv.write(tmp_path / "store", value.within(half), layout=layout)
    zv.write(tmp_path / "store", value.within(~half), mode="append", out_of_bounds="expand")
    check(peer, tmp_path / "store", value)


def test_0_9_2_reads_a_forest_in_one_object_and_its_lines_by_id(peer: Peer, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    parents = np.arange(60) - 1
    parents[[0, 17, 40]] = -1
    parents[[20, 50]] = [3, 41]
    forest = zv.Skeleton(rng.uniform(-20, 20, (60, 3)).astype("f4"), parents)
    zv.write(tmp_path / "forest", forest, layout=zv.Layout(chunk_shape=10))
    check(peer, tmp_path / "forest", forest)
    lines = zv.Polylines([rng.uniform(0, 40, (n, 3)).astype("f4") for n in (5, 1, 9)], ids=[7, 3, 12])
    zv.write(tmp_path / "lines", lines, layout=zv.Layout(chunk_shape=10))
    assert told(peer, tmp_path / "lines", lines, object_ids=[12]) == {12: keys_of(lines.line(2))}
