"""Stores of 0.9.2 in other chunks: the same content, in place and beside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_compare import links_of, vertices_of
from tests.rechunk.shapes import tables_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STORES = sorted(path.parent for pattern in ("*", "kinds/*", "draco/*") for path in GOLDEN.glob(f"{pattern}/zarr.json"))
COARSER = {"pyramid"}
"""Level 1 has one vertex, which all objects share."""
UNREADABLE = {"composite", "attributes", "crossing", "lost_vertex", "objects_in_chunk"}
"""Composite stores, and Draco cells without the order of their rows."""


def specs(level: zv.ZVLevel) -> list[zv.RechunkSpec]:
    """Ways to cut a store that it has what it takes for."""
    bins = level.bin_shape
    found = [zv.RechunkSpec("spatial"), zv.RechunkSpec("spatial", spatial_chunk_shape=tuple(3 * edge for edge in bins))]
    if level.object_count:
        found.append(zv.RechunkSpec("object_id"))
        found.append(zv.RechunkSpec("object_id", bins=[0, 3], spatial_chunk_shape=tuple(7 * edge for edge in bins)))
        names = [name for name, column in level.objects.attributes.items() if len(column.shape) == 1]
        found += [zv.RechunkSpec(f"attribute:{name}") for name in names]
    if any(len(members) for members in level.objects.groups.values()):
        found.append(zv.RechunkSpec("group"))
    plain = [name for name, info in level.attributes.items() if info.channels == 1 and info.dtype.kind in "Oiub"]
    found += [zv.RechunkSpec(f"attribute:{name}", categorical=True) for name in plain[:1]]
    return found


def content(level: zv.ZVLevel, names: list[str]) -> Any:
    value = level.read(attributes=names)
    # As text: NaN equals no NaN.
    told = sorted(map(repr, vertices_of(value).elements())), tables_of(level)
    if isinstance(value, zv.Points):
        return told
    links = links_of(value)
    return *told, links if isinstance(value, zv.Polylines) else sorted(map(repr, links.elements()))


def name_of(golden: Path) -> str:
    return golden.relative_to(GOLDEN).as_posix()


@pytest.mark.parametrize(
    ("golden", "turn"),
    [
        pytest.param(golden, turn, id=f"{name_of(golden)}-{turn}", marks=[] if at % 2 == turn else pytest.mark.long)
        for at, golden in enumerate(STORES)
        for turn in (0, 1)
    ],
)
def test_stores_of_0_9_2_keep_their_content(golden: Path, turn: int, tmp_path: Path) -> None:
    before = zv.open(golden)
    if golden.name in UNREADABLE:
        with pytest.raises(zv.ZVError, match=r"composite|Draco|cannot"):
            zv.rechunk(golden, zv.RechunkSpec("spatial"), tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    names = list(before[0].attributes)
    whole = content(before[0], names)
    for number, spec in [*enumerate(specs(before[0]))][turn::2]:
        target = tmp_path / str(number)
        in_place = number // 2 % 2
        if in_place:
            shutil.copytree(golden, target)
        coarser = "spatial" if golden.name in COARSER else "keep"
        source, output = (target, None) if in_place else (golden, target)
        report = zv.rechunk(source, spec, output, coarser=coarser)
        assert Path(report["output_path"].removeprefix("file://")) == target
        check(zv.open(target), before, spec, names, whole)


def check(after: zv.ZVStore, before: zv.ZVStore, spec: zv.RechunkSpec, names: list[str], whole: Any) -> None:
    assert content(after[0], names) == whole
    assert len(after) == len(before)
    for level in range(1, len(before)):
        assert content(after[level], []) == content(before[level], [])
    assert after.bounds == before.bounds
    assert after.axes == before.axes
    assert after.crs == before.crs
    assert after.headers == before.headers
    assert after[0].group_count == before[0].group_count
    lead = 0 if spec.by == "spatial" else 1
    assert {len(key) for key in after[0].chunk_keys} <= {len(after.chunk_shape) + lead}
    if spec.spatial_chunk_shape is not None:
        assert np.array_equal(after.chunk_shape, spec.spatial_chunk_shape)
    for one in before[0].objects.ids[:3].tolist():
        there, here = before[0].read(object_ids=[one]), after[0].read(object_ids=[one], attributes=names)
        assert sorted(map(repr, vertices_of(there).elements())) == sorted(map(repr, vertices_of(here).elements()))


def test_what_other_writers_say_beside_stays(tmp_path: Path) -> None:
    place = tmp_path / "store"
    shutil.copytree(GOLDEN / "kinds" / "graph", place)
    level = zv.open(place)[0]
    attribute = next(iter(level.attributes))
    edge_attribute = next(iter(level.link_attributes), None)
    nodes = ["", "0", "0/vertices", "0/vertex_fragments", f"0/vertex_attributes/{attribute}", "0/vertex_attributes"]
    nodes += ["0/links", "0/links/0", "0/object_index", "0/object_index/manifests", "0/groups"]
    nodes += [f"0/link_attributes/{edge_attribute}/0"] if edge_attribute else []
    nodes = [node for node in nodes if (place / node / "zarr.json").exists()]
    for node in nodes:
        path = place / node / "zarr.json"
        document = json.loads(path.read_text())
        document["attributes"]["user_metadata"] = {"lab": {"node": node}}
        path.write_text(json.dumps(document))
    (place / "notes.txt").write_text("beside")
    zv.rechunk(place, zv.RechunkSpec("object_id", spatial_chunk_shape=(4, 4, 4)))
    zv.rechunk(place, zv.RechunkSpec("object_id", bins=[1]), tmp_path / "copy")
    for store in (place, tmp_path / "copy"):
        for node in nodes:
            document = json.loads((store / node / "zarr.json").read_text())
            assert document["attributes"].get("user_metadata") == {"lab": {"node": node}}, node
        assert (store / "notes.txt").read_text() == "beside"
    assert json.loads((tmp_path / "copy" / "zarr.json").read_text())["attributes"]["ome"]["name"] == "graph"


def test_nothing_of_the_old_chunks_is_left(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    value = zv.Points(rng.uniform(0, 50, (300, 3)), object_ids=np.arange(300) % 7, attributes={"n": np.arange(300)})
    zv.write(tmp_path / "store", value, layout=zv.Layout(chunk_shape=10, shard_shape=None))
    zv.rechunk(tmp_path / "store", zv.RechunkSpec("object_id", spatial_chunk_shape=(25, 25, 25)))
    level = zv.open(tmp_path / "store")[0]
    files = {
        file.relative_to(tmp_path / "store").as_posix()
        for file in (tmp_path / "store").rglob("c/**/*")
        if file.is_file()
    }
    cells = {file for file in files if file.startswith("0/vertices/")}
    assert len(cells) == level.chunk_count
    assert all(len(file.split("/c/")[1].split("/")) == 4 for file in cells)
    assert not list((tmp_path / "store").rglob(".zv"))
