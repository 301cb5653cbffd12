"""Boxes of what reaches out of cells: true after every way of writing, used by boxes, harmless when out of date."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import KINDS, LAYOUTS, assert_same, link_values, numbers, object_list, of_objects, values
from tests.query.indexed import index_of, reach_known
from tests.query.test_cell_index import Reads
from tests.query.test_connected_boxes import SIDES, objects_met, told
from tests.query.test_connected_rounds import value_of
from tests.spatial.exact import boxes
from tests.storage.stores import fewer_examples
from zarr_vectors.core.cell_reach import outgoing
from zarr_vectors.core.documents import presence_list, with_presence
from zarr_vectors.core.store import open_store, set_bounds
from zarr_vectors.edit import log
from zarr_vectors.geometry import Mesh, Polylines
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query import prune

kinds = pytest.mark.parametrize("kind", KINDS)
SOME = fewer_examples(6)


@pytest.fixture(autouse=True, scope="module")
def small_reads_use_it() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_WORTH_LOADING", "_WORTH_FOR_BOX", "_WORTH_FOR_REACH"):
            patch.setattr(prune, name, 0)
        yield


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_a_new_store_tells_what_reaches_out_of_every_cell(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind, least=1))
    with TemporaryDirectory() as folder:
        zv.write(Path(folder) / "store", value, layout=layout)
        assert reach_known(Path(folder) / "store") == 1
        zv.open(Path(folder) / "store", "r+").index()
        assert reach_known(Path(folder) / "store") == 1


def same(got: Any, expected: Any) -> None:
    """The same in the same order."""
    assert_same(got, expected, ordered=True)
    assert np.array_equal(got.positions, expected.positions)
    assert numbers(got) == numbers(expected)
    if isinstance(got, Polylines):
        assert got.offsets.tolist() == expected.offsets.tolist()
    else:
        assert link_values(got) == link_values(expected)


def without_index(place: Path) -> Any:
    level = zv.open(place)[0]
    level.state.index.level = None
    return level


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_reads_are_those_of_a_store_without_an_index(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(
        values(kind, least=1, most=14) if kind in ("graph", "skeleton", "mesh") else values(kind, least=1)
    )
    with TemporaryDirectory() as folder:
        place = Path(folder) / "store"
        zv.write(place, value, layout=layout)
        level, bare = zv.open(place)[0], without_index(place)
        box = data.draw(boxes(value.ndim, SIDES))
        assert_same(level.read(told(box), mode="objects"), of_objects(value, objects_met(value, box)))
        where = data.draw(st.sampled_from(["row < 3", "row > 5 and flag = true", "f > 0 or row = 2", "row < 0"]))
        some = object_list(value)[::2]
        for mode in ("vertices", "objects", "clip"):
            for asked in ({}, {"object_ids": some}):
                for way in ({"bbox": told(box)}, {"bbox": told(box), "where": where}, {"where": where}):
                    all_asked: dict[str, Any] = {"mode": mode, **way, **asked}
                    same(level.read(**all_asked), bare.read(**all_asked))
                    assert level.count(**all_asked) == bare.count(**all_asked)


# Ways of writing


FLAT, SHARDED = zv.Layout(chunk_shape=2, shard_shape=None), zv.Layout(chunk_shape=2, shard_shape=2)
LAYOUT_OF = {kind: FLAT if number % 2 else SHARDED for number, kind in enumerate(KINDS)}


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    zv.write(tmp_path / "s", value_of(request.param, 12, spread=3), layout=LAYOUT_OF[request.param])
    return tmp_path / "s"


written = pytest.mark.parametrize("place", KINDS, indirect=True)


def more_of(place: Path, spread: float = 9) -> Any:
    """Other objects of the same kind, around the same places."""
    value: Any = zv.open(place)[0].read()
    kind = getattr(value, "kind", None) or type(value).__name__.lower()
    return value_of(kind, 8, first=100, spread=spread)


@written
def test_append_adds_to_what_is_known(place: Path) -> None:
    zv.write(place, more_of(place), mode="append", out_of_bounds="expand")
    assert reach_known(place) == 1


@written
@pytest.mark.parametrize("gone", [False, True], ids=["out of date", "gone"])
def test_append_without_an_index_to_believe_knows_what_it_has_written_itself(place: Path, gone: bool) -> None:
    before = len(zv.open(place)[0].state.vertices.present)
    if gone:
        shutil.rmtree(place / "0/cell_index")
    touch_all(place / "0/vertices")
    zv.write(place, more_of(place, 3), mode="append", out_of_bounds="expand")
    after = len(zv.open(place)[0].state.vertices.present)
    # What had been in a chunk may lead anywhere, also out of those that are written again.
    assert round(reach_known(place) * after) <= after - before


def touch_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "zarr.json":
            os.utime(path, ns=(1, 1))


def test_lines_that_are_continued_are_known_but_for_where_they_go_on(tmp_path: Path) -> None:
    value = value_of("polyline", spread=3)
    zv.write(tmp_path / "s", value, layout=FLAT)
    more = value_of("polyline", 5, spread=3)
    zv.write(tmp_path / "s", more, mode="append", out_of_bounds="expand", extend=True)
    assert 0.7 < reach_known(tmp_path / "s") < 1


@written
def test_streams_tell_as_values_do(place: Path, tmp_path: Path) -> None:
    value = zv.open(place)[0].read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zarr_vectors.types.spill._IN_MEMORY_ROWS", 20)
        patch.setattr("zarr_vectors.types.spill._GROUP_ROWS", 20)
        zv.write(tmp_path / "stream", iter([value]), layout=FLAT)
    assert reach_known(tmp_path / "stream") == 1


@written
def test_rechunk_here_and_elsewhere(place: Path, tmp_path: Path) -> None:
    spec = zv.RechunkSpec("spatial", spatial_chunk_shape=(5, 5))
    zv.rechunk(place, spec, output=tmp_path / "other")
    assert reach_known(tmp_path / "other") == 1
    zv.rechunk(place, spec)
    assert reach_known(place) == 1


@written
def test_coarser_levels(place: Path) -> None:
    zv.open(place, "r+").build_pyramid([(2, 1)])
    assert reach_known(place) == 1
    assert reach_known(place, 1) == 1


@written
def test_attributes_and_bounds_leave_what_is_known(place: Path) -> None:
    level = zv.open(place, "r+")[0]
    with level.writer() as writer:
        writer.add_attribute_sync("height", np.arange(level.vertex_count))
    assert reach_known(place) == 1
    set_bounds(open_store(place, mode="r+"), ([-50, -50], [150, 150]))
    assert reach_known(place) == 1
    set_bounds(open_store(place, mode="r+"), ([3, 3], [15, 15]), force=True)
    assert reach_known(place) == 1


@pytest.mark.parametrize("place", ["skeleton", "graph", "mesh"], indirect=True)
def test_attributes_of_links_leave_what_is_known(place: Path) -> None:
    level = zv.open(place, "r+")[0]
    value: Any = level.read()
    with level.writer() as writer:
        add = writer.add_face_attribute_sync if isinstance(value, Mesh) else writer.add_edge_attribute_sync
        add("height", np.arange(len(value.links)))
    assert reach_known(place) == 1


@written
def test_edits(place: Path) -> None:
    with zv.open(place, "r+").edit() as edit:
        edit.move(3, by=[2.5, 2.5])
        edit.remove(object_ids=[7, 11])
    assert reach_known(place) == 1


WAYS_TO_EDIT: dict[str, Any] = {
    "in place": lambda edit: edit.move(3, by=[1e-9, -1e-9]),
    "without an object": lambda edit: edit.remove(object_ids=[7]),
    "a moved object": lambda edit: edit.move(3, by=[2.5, 2.5]),
}


@written
@pytest.mark.parametrize("way", WAYS_TO_EDIT)
def test_edits_in_part(place: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes around what changes are not known any more, and those that are believed are true."""
    before = reach_known(place)
    monkeypatch.setattr(log, "rewrite", lambda *_: pytest.fail("the whole level is written anew"))
    with zv.open(place, "r+").edit() as edit:
        WAYS_TO_EDIT[way](edit)
    assert before == 1
    assert reach_known(place) < 1
    assert zv.validate(place).ok
    every = zv.open(place)[0].read()
    low, high = every.positions.min(axis=0), every.positions.max(axis=0)
    for share in (0.2, 0.5, 0.8):
        box = (low + (high - low) * share, low + (high - low) * (share + 0.1))
        for mode in ("objects", "clip"):
            same(zv.open(place)[0].read(box, mode=mode), without_index(place).read(box, mode=mode))
    zv.open(place, "r+").index()
    assert reach_known(place) == 1


@kinds
def test_parts_of_many_writers(kind: str, tmp_path: Path) -> None:
    links = {"graph": {"w": "i8"}, "mesh": {"w": "i8"}}.get(kind, {})
    made: dict[str, Any] = {"attributes": {"row": "i8"}, "link_attributes": links, "layout": LAYOUT_OF[kind]}
    zv.create(tmp_path / "s", kind, bounds=([-20, -20], [120, 40]), dtype="f8", **made)
    job = zv.distributed.begin(tmp_path / "s")
    values = [value_of(kind, 10, first=100 * number, spread=2) for number in range(2)]
    moved = [replace(one, positions=one.positions + np.array([60.0 * number, 0])) for number, one in enumerate(values)]
    job.finish([job.write(str(number), one) for number, one in enumerate(moved)])
    assert reach_known(tmp_path / "s") == 1


# What it depends on


@written
def test_published_stores_need_no_looks_and_index_makes_it_anew(place: Path) -> None:
    touch_all(place)
    assert reach_known(place) == 0
    zv.open(place, "r+").publish()
    assert reach_known(place) == 0
    zv.open(place, "r+").unpublish()
    zv.open(place, "r+").index()
    assert reach_known(place) == 1
    zv.open(place, "r+").publish()
    touch_all(place)
    assert reach_known(place) == 1
    assert index_of(place).is_sealed


@kinds
@SOME
@given(st.data())
def test_what_others_move_is_found_wherever_its_ends_lie(kind: str, data: st.DataObject) -> None:
    """Vertices of some chunks move inside them, and nothing but the objects of these chunks changes."""
    value = data.draw(values(kind, ndim=2, least=2, dtypes=["f4"]))
    moves = np.array(data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=40)))
    moves = np.resize(moves, value.positions.shape).astype("f4")
    moved = replace(value, positions=np.floor(value.positions / 6) * 6 + moves)
    layout = zv.Layout(chunk_shape=6, shard_shape=None, compressor="none")
    with TemporaryDirectory() as folder:
        place, other = Path(folder) / "store", Path(folder) / "other"
        for target, one in ((place, value), (other, moved)):
            zv.write(target, one, layout=layout, bounds=([-12, -12], [12, 12]))
        level = zv.open(place)[0]
        level.read(([0, 0], [1, 1]), mode="clip")
        cells = sorted(path.relative_to(other) for path in (other / "0/vertices/c").rglob("*") if path.is_file())
        for cell in data.draw(st.lists(st.sampled_from(cells), min_size=1, unique=True)):
            (place / cell).write_bytes((other / cell).read_bytes())
            os.utime(place / cell, ns=(1, 1))
        bare = without_index(place)
        for _ in range(4):
            box = told(data.draw(boxes(2, SIDES)))
            for mode in ("vertices", "objects", "clip"):
                same(level.read(box, mode=mode), bare.read(box, mode=mode))
        reach_known(place)


def test_links_that_others_add_are_found(tmp_path: Path) -> None:
    """A record in a segment that there was, and one that needs a segment which there was not."""
    graph = zv.Graph([[0.5, 0.1], [5.5, 0.1], [5.5, 0.9], [0.5, 5.5]], [[0, 1]], attributes={"row": np.arange(4)})
    for name, more in {"s": [], "near": [[0, 2]], "far": [[0, 2], [3, 1]]}.items():
        edges = np.array([[0, 1], *more])
        zv.write(tmp_path / name, replace(graph, edges=edges), layout=zv.Layout(chunk_shape=1, shard_shape=None))
    level, near, far = zv.open(tmp_path / "s")[0], ([4.6, 0.7], [4.8, 0.8]), ([2.4, 3.2], [2.6, 3.6])
    assert level.plan(near, mode="clip").chunks == 1
    for name, box in (("near", near), ("far", far)):
        shutil.copytree(tmp_path / name / "0/links", tmp_path / "s/0/links", dirs_exist_ok=True)
        shutil.copy(tmp_path / name / "0/zarr.json", tmp_path / "s/0/zarr.json")
        assert len(zv.open(tmp_path / "s")[0].read(box, mode="clip").edges) == 1
        if name == "near":
            assert len(level.read(box, mode="clip").edges) == 1
            zv.open(tmp_path / "s", "r+").index()
            assert zv.open(tmp_path / "s")[0].plan(far, mode="clip").chunks == 0


@pytest.mark.parametrize("place", ["polyline", "graph"], indirect=True)
def test_nothing_is_believed_where_links_lie_in_other_chunks_than_they_did(place: Path) -> None:
    assert reach_known(place) == 1
    level = zv.open(place)[0].state
    segment = outgoing(level.links)[0].array
    document = with_presence(segment.document, presence_list(segment.present[:-1]))
    (place / segment.path / "zarr.json").write_bytes(dump_json(document.to_json()))
    assert reach_known(place) == 0


# What it is good for


@written
def test_chunks_around_a_box_are_left_out(place: Path) -> None:
    level, bare = zv.open(place)[0], without_index(place)
    corner = np.stack(np.meshgrid([1.0, 7.0, 13.0], [1.0, 7.0, 13.0]), axis=-1).reshape(-1, 2)
    for mode in ("objects", "clip"):
        read = [(level.plan((at, at + 0.5), mode=mode), bare.plan((at, at + 0.5), mode=mode)) for at in corner]
        assert sum(few.chunks for few, _ in read) < 0.8 * sum(all_.chunks for _, all_ in read)


@written
def test_chunks_whose_values_meet_no_condition_are_left_out(place: Path) -> None:
    level, bare = zv.open(place)[0], without_index(place)
    every = bare.plan().chunks
    assert bare.plan(where="row < 2").chunks == every
    assert 0 < level.plan(where="row < 2").chunks < every / 2
    assert 0 < level.plan(where="row < 1", object_ids=[0, 5]).chunks < level.plan(object_ids=[0, 5]).chunks
    assert level.plan(where="row < 0").chunks == 0


@written
def test_counts_of_whole_chunks_read_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    level = zv.open(place)[0]
    reads = Reads(level, monkeypatch)
    rows = level.vertex_count
    assert level.count() == level.count(where="row >= 0") == rows
    assert level.count(([-90, -90], [90, 90]), mode="vertices") == rows
    assert reads.of_cells == []
    assert level.count(([-90, -90], [90, 90]), where="row < 7", mode="vertices") == 7


@written
def test_plans_say_what_reads_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = ([6.0, 6.0], [7.0, 7.5])
    ways: list[dict[str, Any]] = [{"bbox": box, "mode": mode} for mode in ("vertices", "objects", "clip")]
    for way in [*ways, {"where": "row < 9"}, {"where": "row < 9", "bbox": box}, {"object_ids": [3], "bbox": box}]:
        plan, level = zv.open(place)[0].plan(**way), zv.open(place)[0]
        assert str(plan) == zv.open(place)[0].explain(**way)
        reads = Reads(level, monkeypatch)
        level.read(**way)
        assert (plan.rounds, plan.requests, plan.nbytes) == (reads.rounds, len(reads.paths), reads.nbytes), way
