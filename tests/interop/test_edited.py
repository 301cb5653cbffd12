"""Stores that have been edited: 0.9.2 validates and reads what we make of ours and of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.edit.stores import value_of as plane_value
from tests.interop.kind_cases import KIND_CASES
from tests.interop.kind_compare import value_of
from tests.interop.peer import Peer
from tests.interop.test_cropped import GOLDEN, REFUSED, STORES
from tests.interop.test_cropped import told as content
from tests.interop.test_kinds_ours_to_peer import check
from tests.rechunk.shapes import tables_of
from zarr_vectors.edit import log
from zarr_vectors.geometry import Lines, Polylines

CASES = ["lines", "polylines", "streamlines", "graph", "graph_directed", "skeleton", "mesh", "quads"]


def without(value: Any, ids: list[int]) -> Any:
    """A value without some of its objects."""
    if isinstance(value, Polylines):
        return value.take(~np.isin(value.line_ids, ids))
    return value.within(~np.isin(value.vertex_objects, ids))


@pytest.mark.parametrize("golden", STORES, ids=lambda golden: golden.relative_to(GOLDEN).as_posix())
def test_what_is_left_of_a_store_of_0_9_2(golden: Path, peer: Peer, tmp_path: Path) -> None:
    """What is not touched stays as it is; a removed object is gone, and nothing else."""
    place = tmp_path / "store"
    shutil.copytree(golden, place)
    store = zv.open(place, "r+")
    level = store[0]
    refused = golden.name in REFUSED or len(store) > 1 or level.root.offset or level.state.metadata.leading_axes
    refused = refused or level.state.is_unordered
    if refused:
        with (
            pytest.raises(zv.ZVError, match=r"composite|Draco|cannot be edited|mixes kinds|coarser|levels"),
            store.edit(),
        ):
            pytest.fail("the store should not be edited")
        assert all(
            path.read_bytes() == (golden / path.relative_to(place)).read_bytes() for path in place.rglob("*.json")
        )
        return
    before = store[0].read()
    tables = repr(tables_of(store[0]))
    with store.edit() as e:
        e.add_attribute("passing", 1)
        e.drop_attribute("passing")
    assert content(store[0].read()) == content(before)
    assert repr(tables_of(store[0])) == tables
    assert list(store[0].attributes) == list(zv.open(golden)[0].attributes)
    if (
        store[0].has_objects
        and store[0].object_count > 1
        and store[0].root.metadata.object_index_convention != "identity"
    ):
        gone = [int(store[0].objects.ids[0])]
        with store.edit() as e:
            e.remove(object_ids=gone)
        assert content(store[0].read()) == content(without(before, gone))
        assert gone[0] not in store[0].objects.ids
    assert store.ndim == 1 or peer.validate(place)["errors"] == []
    faults = {problem.kind for problem in zv.validate(golden).problems}
    assert [str(one) for one in zv.validate(place).problems if one.severity == "error" and one.kind not in faults] == []


@pytest.mark.parametrize("name", [name for name in CASES if name in KIND_CASES])
def test_0_9_2_reads_what_has_been_edited(name: str, peer: Peer, tmp_path: Path) -> None:
    case, place = KIND_CASES[name], tmp_path / "store"
    value = value_of(case.kind, case.writer, case.golden())
    low, high = value.bounds or ([], [])
    zv.write(place, value, layout=zv.Layout(chunk_shape=10), bounds=([a - 20 for a in low], [b + 20 for b in high]))
    store = zv.open(place, "r+")
    ids = store[0].objects.ids.tolist()
    shift = [7.0] + [0.0] * (value.ndim - 1)
    with store.edit() as e:
        e.move(ids[0], by=shift)
        if len(ids) > 2:
            # 0.9.2 takes as many ids from 0 on where it reads all lines.
            e.remove(object_ids=[ids[-1]])
        e.add_attribute("height", 1.5)
        if store[0].link_attributes:
            e.rename(next(iter(store[0].link_attributes)), "other", of="links")
    if not isinstance(value, Lines) and len(ids) > 2:
        with store.edit() as e:
            e.split(ids[1], at=store[0].read(object_ids=[ids[1]]).vertex_count // 2 or 1)
    got = store[0].read()
    moved = got.vertex_objects == ids[0]
    old = value.vertex_objects == ids[0]
    np.testing.assert_allclose(
        np.sort(got.positions[moved], axis=0), np.sort(value.positions[old] + np.array(shift), axis=0), rtol=1e-6
    )
    check(
        peer, place, got if isinstance(got, Polylines) else replace(got, objects=None, object_attributes={}, groups={})
    )
    assert zv.validate(place).ok


@pytest.mark.parametrize("owned", [True, False])
def test_0_9_2_reads_points_that_have_been_edited(owned: bool, peer: Peer, tmp_path: Path) -> None:
    rng, place = np.random.default_rng(2), tmp_path / "store"
    positions = rng.uniform(0, 50, (300, 3)).astype("f4")
    owners = np.arange(300) % 6 if owned else None
    value = zv.Points(
        positions, {"n": np.arange(300, dtype="f4"), "gene": [["a", "b"][n % 2] for n in range(300)]}, owners
    )
    zv.write(place, value, layout=zv.Layout(chunk_shape=25), bounds=([0] * 3, [50] * 3))
    store = zv.open(place, "r+")
    with store.edit() as e:
        e.remove(bbox=([0, 0, 0], [20, 50, 50]))
        e.set_attribute("gene", "new", where={"gene": "a"})
        if owned:
            e.move(3, by=[0.0, 0.0, 0.0])
            e.remove(object_ids=[5])
    got = store[0].read()
    left = (positions[:, 0] > 20) & (np.arange(300) % 6 != 5 if owned else True)
    assert sorted(map(tuple, got.positions.tolist())) == sorted(map(tuple, positions[left].tolist()))
    assert set(np.asarray(got.attributes["gene"])) == {"new", "b"}
    assert peer.validate(place)["errors"] == []
    theirs = peer.read_points(place, attribute_names=["n"])
    assert sorted(map(tuple, theirs["positions"].tolist())) == sorted(map(tuple, got.positions.tolist()))
    if owned:
        theirs = peer.read_points(place, object_ids=[3])
        mine = store[0].read(object_ids=[3])
        assert sorted(map(tuple, theirs["positions"].tolist())) == sorted(map(tuple, mine.positions.tolist()))


@pytest.fixture
def in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits that write a whole level fail."""
    monkeypatch.setattr(log, "rewrite", lambda *_: pytest.fail("the whole level is written anew"))


@pytest.mark.usefixtures("in_part")
@pytest.mark.parametrize("name", [name for name in CASES if name in KIND_CASES])
def test_0_9_2_reads_what_has_been_edited_in_part(name: str, peer: Peer, tmp_path: Path) -> None:
    case, place = KIND_CASES[name], tmp_path / "store"
    value = value_of(case.kind, case.writer, case.golden())
    value = replace(value, attributes={**value.attributes, "height": np.arange(float(value.vertex_count))})
    low, high = value.bounds or ([], [])
    zv.write(place, value, layout=zv.Layout(chunk_shape=10), bounds=([a - 20 for a in low], [b + 20 for b in high]))
    store = zv.open(place, "r+")
    ids = store[0].objects.ids.tolist()
    with store.edit() as e:
        e.move(ids[0], by=[1e-4] + [0.0] * (value.ndim - 1))
        e.set_attribute("height", -5.0, object_ids=ids[:1])
        e.add_attribute("rank", {ids[0]: 3.0}, fill=1.0, of="objects")
    with store.edit() as e:
        e.rename("height", "above")
        e.add_attribute("depth", np.arange(float(value.vertex_count)))
        e.add_attribute("height", 2.5)
        e.drop_attribute("depth")
    if len(ids) > 2:
        # 0.9.2 takes as many ids from 0 on where it reads all lines.
        with store.edit() as e:
            e.remove(object_ids=[ids[-1]])
    if len(ids) > 2:
        with store.edit() as e:
            e.move(ids[1], by=[7.0] + [0.0] * (value.ndim - 1))
    got = store[0].read()
    assert (got.attributes["above"] == -5.0).sum() == store[0].read(object_ids=ids[:1]).vertex_count
    check(
        peer, place, got if isinstance(got, Polylines) else replace(got, objects=None, object_attributes={}, groups={})
    )
    assert zv.validate(place).ok


@pytest.mark.usefixtures("in_part")
@pytest.mark.parametrize("owned", [True, False])
def test_0_9_2_reads_points_of_which_some_chunks_were_written(owned: bool, peer: Peer, tmp_path: Path) -> None:
    value, place = edited_points("points" if owned else "cloud"), tmp_path / "store"
    zv.write(place, value, layout=zv.Layout(chunk_shape=10, shard_shape=2), bounds=([0, 0, 0], [100, 100, 10]))
    store = zv.open(place, "r+")
    spots = np.array([[1.0, 1.0, 1.0], [95.0, 5.0, 1.0]])
    given: dict[str, Any] = {"object_ids": [1000, 1000], "object_attributes": {"size": [1.0], "name": ["new"]}}
    more = zv.Points(spots, {"n": [-1, -2], "label": ["a", "more"]}, **(given if owned else {}))
    with store.edit() as e:
        e.remove(bbox=([0, 0, 0], [30, 20, 10]))
        e.add(more)
        if owned:
            e.remove(object_ids=[6])
            e.merge([9, 12])
            e.split(3, at=2)
    got = store[0].read()
    assert peer.validate(place)["errors"] == []
    theirs = peer.read_points(place, attribute_names=["n"])
    assert sorted(map(tuple, theirs["positions"].tolist())) == sorted(map(tuple, got.positions.tolist()))
    for one in [9, 1000] if owned else []:
        theirs, mine = peer.read_points(place, object_ids=[one]), store[0].read(object_ids=[one])
        assert sorted(map(tuple, theirs["positions"].tolist())) == sorted(map(tuple, mine.positions.tolist()))
        assert mine.vertex_count


def edited_points(kind: str) -> Any:
    """Points of a plane, in space."""
    value = plane_value(kind)
    return replace(value, positions=np.concatenate([value.positions, value.positions[:, :1] / 10], axis=1))


@pytest.mark.parametrize("kind", ["points", "mesh"])
def test_values_are_put_in_place_after_0_9_2_has_edited(kind: str, peer: Peer, tmp_path: Path) -> None:
    """0.9.2 leaves rows where they are, and the index of the level as it was."""
    value, place = edited_points(kind), tmp_path / "store"
    zv.write(place, value, layout=zv.Layout(chunk_shape=10, keep_order=True), bounds=([0, 0, 0], [100, 100, 10]))
    chunk = zv.open(place)[0].state.vertices.present[0]
    inside = [float(edge) * 10 + 5 for edge in chunk]
    peer.call("edit_vertices", path=str(place), edits=[[chunk.tolist(), 0, 0, "position", inside]])
    before = zv.open(place)[0].read()
    assert (before.positions == inside).all(axis=1).sum() == 1
    with zv.open(place, "r+").edit() as e:
        e.set_attribute("n", 5000, row_ids=[20, 21])
        e.set_attribute("n", 6000, bbox=(inside, inside), mode="vertices")
    with zv.open(place, "r+").edit() as e:
        e.add_attribute("more", 1)
    after = zv.open(place)[0]
    got = after.read()
    assert sorted(map(tuple, got.positions.tolist())) == sorted(map(tuple, before.positions.tolist()))
    assert set(got.row_ids[got.attributes["n"] == 5000].tolist()) == {20, 21}
    (moved,) = got.row_ids[(got.positions == inside).all(axis=1)]
    assert got.row_ids[got.attributes["n"] == 6000].tolist() == [moved]
    assert after.count(where="n >= 5000") == 3
    assert peer.validate(place)["errors"] == []
