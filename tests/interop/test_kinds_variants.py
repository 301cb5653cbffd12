"""What a reader must tolerate in connected stores of 0.9.2: keys that are not there, kinds together, other owners.

Also the order of rows, the tables, the attributes of links, and the stores of the reference where they are at hand.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.compare import assert_same_tables, tables_of
from tests.interop.kind_cases import KIND_CASES
from tests.interop.kind_compare import keys_of, links_of, same, told_links, value_of, vertices_of
from tests.interop.peer_server import unpack
from zarr_vectors.exceptions import ConventionError, StoreError
from zarr_vectors.geometry import Linked, Polylines, Skeleton

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kinds"
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden"
NAMES = [name for name, case in KIND_CASES.items() if not case.steps]
LINKED = [name for name in NAMES if KIND_CASES[name].kind not in {"lines", "polylines"}]


def told(name: str) -> dict[str, Any]:
    """What 0.9.2 said of a golden store when it was made."""
    text = (GOLDEN / f"{name}.expected.json").read_text(encoding="utf-8")
    found: dict[str, Any] = unpack(json.loads(text), {})
    return found


def without(store: Path, pattern: str, *keys: str) -> int:
    """Remove attributes from documents; how many there were."""
    gone = 0
    for path in store.glob(pattern):
        document = json.loads(path.read_text(encoding="utf-8"))
        gone += sum(document["attributes"].pop(key, None) is not None for key in keys)
        path.write_text(json.dumps(document), encoding="utf-8")
    return gone


@pytest.mark.parametrize("name", NAMES)
def test_rows_come_in_the_order_of_0_9_2(name: str) -> None:
    read, value = told(name)["levels"][0]["read"], zv.open(GOLDEN / name)[0].read()
    offset = np.asarray(told(name)["input"].get("init", {}).get("coordinate_offset", 0.0))
    if "polylines" in read:
        theirs = np.concatenate([np.concatenate(pieces) for pieces in read["polylines"]])
        assert value.line_ids.tolist() == list(read["object_ids"])
    elif "endpoints" in read:
        theirs = read["endpoints"].reshape(value.positions.shape)
    else:
        theirs = read["vertices"] if "vertices" in read else read["positions"]
    np.testing.assert_array_equal(value.positions, theirs + offset if offset.any() else theirs)
    assert value.positions.dtype == theirs.dtype or offset.any()


@pytest.mark.parametrize("name", NAMES)
def test_tables_and_facts(name: str) -> None:
    described = told(name)["levels"][0]["describe"]
    with zv.open(GOLDEN / name) as store:
        value = store[0].read()
        tables = tables_of(value)
        assert_same_tables(described, {**tables, "groups": [list(members) for members in tables["groups"]]})
        assert list(store.geometry_types) == described["geometry_types"]
        by_chunk = {store[0].state.metadata.chunk_attribute_name}
        per_vertex = {name for name, info in store[0].attributes.items() if not info.per_fragment}
        # 0.9.2 lists arrays only.
        assert per_vertex == {*described["attributes"]} | (by_chunk - {None})
        assert store[0].chunk_keys == sorted(described["chunks"])


@pytest.mark.parametrize("name", [name for name in LINKED if KIND_CASES[name].writer != "chunked"])
def test_stored_links_and_their_attributes(name: str) -> None:
    """As the low-level functions of 0.9.2 find them, once for each copy; edges that are implied have no values."""
    content, value = told(name)["levels"][0]["content"], zv.open(GOLDEN / name)[0].read()
    names = sorted(content["link_attributes"])
    assert sorted(value.link_attributes) == names
    columns = [content["link_attributes"][each] for each in names]
    theirs = set(told_links(content["positions"], content["links"], columns))
    ours = links_of(value)
    if isinstance(value, Skeleton):
        implied = [link for link in ours if np.isnan(link[1]).all()]
        assert len(implied) == value.edge_count - len(content["links"])
        assert set(ours) - set(implied) == theirs
    else:
        assert max(ours.values()) == 1
        assert set(ours) == theirs


ABSENT = {
    "has_perm": ("0/links/0/*/zarr.json", "has_perm"),
    "offsets": ("0/link*/**/zarr.json", "offsets"),
    "sid_ndim": ("0/links/0/zarr.json", "sid_ndim"),
    "counts": ("0/link*/**/zarr.json", "num_links", "num_physical_records"),
    "width": ("0/links/0/*/zarr.json", "link_width", "level_delta"),
    "num_present": ("0/object_index/zarr.json", "num_present", "object_ids_sorted"),
    "dtype": ("0/links/0/*/zarr.json", "dtype"),
    "row_shape": ("0/*_attributes/**/zarr.json", "row_shape"),
    "tiling": ("0/zarr.json", "fragments_tile"),
}


POORER = ["graph_flat", "graph_directed_duplicate", "faces_duplicate", "skeleton_flat", "mesh_flat"]


@pytest.mark.parametrize("key", ABSENT)
@pytest.mark.parametrize("name", POORER)
def test_absent_keys_follow_from_others(name: str, key: str, tmp_path: Path) -> None:
    pattern, *keys = ABSENT[key]
    shutil.copytree(GOLDEN / name, tmp_path / "store")
    without(tmp_path / "store", pattern, *keys)
    same(zv.open(tmp_path / "store")[0].read(), zv.open(GOLDEN / name)[0].read(), attributes=False)
    if name != "skeleton_flat":
        same(zv.open(tmp_path / "store")[0].read(), zv.open(GOLDEN / name)[0].read())


@pytest.mark.parametrize("name", ["polylines", "graph", "mesh"])
def test_stored_owners_change_nothing(name: str, tmp_path: Path) -> None:
    """With and without what we add, a store reads the same."""
    case = KIND_CASES[name]
    value = value_of(case.kind, case.writer, case.golden())
    zv.write(tmp_path / "store", value, layout=zv.Layout(chunk_shape=10, shard_shape=None))
    shutil.rmtree(tmp_path / "store" / "0" / "fragment_attributes")
    level = json.loads((tmp_path / "store" / "0" / "zarr.json").read_text(encoding="utf-8"))
    level["attributes"] = {"zarr_vectors_level": level["attributes"]["zarr_vectors_level"]}
    (tmp_path / "store" / "0" / "zarr.json").write_text(json.dumps(level), encoding="utf-8")
    same(zv.open(tmp_path / "store")[0].read(), value)


def retyped(store: Path, types: list[str]) -> zv.ZVStore:
    root = json.loads((store / "zarr.json").read_text(encoding="utf-8"))
    root["attributes"]["zarr_vectors"]["geometry_types"] = types
    (store / "zarr.json").write_text(json.dumps(root), encoding="utf-8")
    return zv.open(store)


@pytest.mark.parametrize(
    ("types", "kind"), [(["polyline", "streamline"], "streamline"), (["line", "polyline"], "polyline")]
)
def test_kinds_of_one_family_share_a_level(types: list[str], kind: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "polylines", tmp_path / "store")
    value = retyped(tmp_path / "store", types)[0].read()
    assert value.kind == kind
    assert links_of(value) == links_of(zv.open(GOLDEN / "polylines")[0].read())


@pytest.mark.parametrize("types", [["graph", "mesh"], ["point_cloud", "skeleton"], ["graph", "skeleton"], ["voxels"]])
def test_kinds_that_nothing_tells_apart_are_refused(types: list[str], tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "graph", tmp_path / "store")
    store = retyped(tmp_path / "store", types)
    with pytest.raises(ConventionError, match=r"mixes kinds|not known"):
        store[0].read()


def test_a_composite_store_says_what_it_is(tmp_path: Path) -> None:
    """Whether its kinds could share a level or not."""
    with pytest.raises(StoreError, match="composite"):
        zv.open(GOLDEN / "composite")[0].read()
    shutil.copytree(GOLDEN / "composite", tmp_path / "store")
    with pytest.raises(StoreError, match="composite"):
        retyped(tmp_path / "store", ["streamline"])[0].read()
    before = {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()}
    with pytest.raises(StoreError, match="composite"):
        zv.write(tmp_path / "store", Polylines([np.array([[1.0, 2, 4], [2, 3, 5]])], kind="streamline"), mode="append")
    assert {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["graph", "mesh", "polylines", "pyramid_sharded", "skeleton"])
def test_reference(name: str) -> None:
    if not (REFERENCE / name).is_dir():
        pytest.skip("the reference stores are not beside this repository; tests/golden/kinds has their like")
    said = json.loads((REFERENCE / f"{name}.expected.json").read_text(encoding="utf-8"))
    with zv.open(REFERENCE / name) as store:
        value = store[0].read()
        if name in {"polylines", "pyramid_sharded"}:
            by_level = said.get("read_segments_by_level", {"0": said.get("read_segments")})
            assert store.levels == [int(level) for level in by_level]
            for level, lines in by_level.items():
                assert drawn(store[int(level)].read().lines()) == drawn(map(np.concatenate, filter(None, lines)))
            return
        prefix = "vertices" if name == "mesh" else "positions"
        np.testing.assert_array_equal(value.positions, np.asarray(said[f"read_{prefix}"], dtype="f4"))
        assert isinstance(value, Linked)
        given = said["faces"] if name == "mesh" else said["edges" if name == "graph" else "edges_child_parent"]
        assert links_of(value, attributes=False) == told_links(np.asarray(said[prefix]), np.asarray(given))
        if name == "graph":
            weights = np.asarray(said["edge_weight"])
            assert links_of(value) == told_links(np.asarray(said[prefix]), np.asarray(given), [weights])


def drawn(lines: Any) -> list[list[tuple[float, ...]]]:
    """Lines that have vertices."""
    return [keys_of(line) for line in lines if len(line)]


@pytest.mark.parametrize("offset", [[100.0, -200.0, 300.5], [0.1, 1e9 + 0.3, -7e6 - 1 / 3]])
def test_an_offset_moves_everything(offset: list[float], tmp_path: Path) -> None:
    """Positions, bounds and boxes are those of the world; the faces of a box may go exactly through vertices."""
    shutil.copytree(GOLDEN / "chunked", tmp_path / "store")
    root = json.loads((tmp_path / "store" / "zarr.json").read_text(encoding="utf-8"))
    root["attributes"]["zarr_vectors"]["coordinate_offset"] = offset
    (tmp_path / "store" / "zarr.json").write_text(json.dumps(root), encoding="utf-8")
    still, moved = zv.open(GOLDEN / "chunked"), zv.open(tmp_path / "store")
    whole = moved[0].read()
    np.testing.assert_array_equal(whole.positions, still[0].read().positions + np.asarray(offset))
    np.testing.assert_array_equal(moved.bounds, np.asarray(still.bounds) + offset)
    assert moved.bounds == moved[0].bounds
    for first, last in zip(whole.positions[::3], whole.positions[::-3], strict=True):
        box = (np.minimum(first, last).tolist(), np.maximum(first, last).tolist())
        inside = ((whole.positions >= box[0]) & (whole.positions <= box[1])).all(axis=1)
        assert vertices_of(moved[0].read(box, mode="vertices")) == vertices_of(whole.within(inside))
        assert moved[0].count(box, mode="vertices") == int(inside.sum())
        hit = moved[0].read(box)
        assert set(whole.object_ids[inside]) <= set(hit.object_ids)
        assert sum(batch.vertex_count for batch in moved[0].iter(box, batch_rows=5)) == hit.vertex_count
        clipped = moved[0].read(box, mode="clip").positions
        assert ((clipped >= box[0]) & (clipped <= box[1])).all()
        assert len(clipped) >= int(inside.sum())


def test_the_golden_stores_are_complete() -> None:
    """Each has its expectations, and each case has its store; ``make golden`` makes what is missing."""
    folders = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
    told_of = sorted(path.name.removesuffix(".expected.json") for path in GOLDEN.glob("*.expected.json"))
    assert folders == told_of == sorted(KIND_CASES)
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 1_000_000
