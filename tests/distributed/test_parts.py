"""A store that is written in parts is the store that one writer would have written."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.distributed.cases import BOUNDS, LAYOUT, XY, check_points, declared, points_in, write_region
from tests.interop.kind_compare import same
from tests.types.clouds import memory, rows_of
from tests.types.test_connected_append import read, value_of
from zarr_vectors.exceptions import (
    ConcurrentEditError,
    ConventionError,
    EditError,
    InputError,
    OptionError,
    ReadOnlyError,
    StoreError,
)
from zarr_vectors.geometry import Geometry
from zarr_vectors.types.join import concatenate


@pytest.mark.parametrize("shard", [2, None])
@pytest.mark.parametrize("ids", [False, True])
def test_parts_make_the_store_that_one_writer_makes(tmp_path: Path, shard: int | None, ids: bool) -> None:
    target = tmp_path / "store"
    job = declared(target, objects=ids, layout=zv.Layout(chunk_shape=5, shard_shape=shard, keep_order=True))
    job = pickle.loads(pickle.dumps(job))
    values = [points_in(region, ids=ids) for region in job.regions(4)]
    report = job.finish([job.write(region, value) for region, value in zip(job.regions(4), values, strict=True)])
    assert report.vertex_count == report.total_vertices == len(XY)
    got = check_points(target)
    zv.create(tmp_path / "one", bounds=BOUNDS, attributes={"number": "int64", "gene": "text"}, objects=ids)
    zv.write(tmp_path / "one", values, mode="append")
    assert rows_of(got) == rows_of(zv.open(tmp_path / "one")[0].read())
    if ids:
        level = zv.open(target)[0]
        assert level.objects.ids.tolist() == list(range(10))
        assert sorted(np.asarray(level.read(object_ids=[3]).attributes["number"]).tolist()) == list(range(3, 300, 10))
    assert sorted(path.name for path in target.iterdir()) == ["0", "zarr.json"]


def owners_of(value: Geometry) -> Any:
    assert value.vertex_objects is not None
    return value.vertex_objects


@pytest.mark.parametrize("kind", ["line", "polyline", "graph", "skeleton", "mesh"])
@pytest.mark.parametrize("shard", [2, None])
def test_connected_kinds_are_written_in_parts(tmp_path: Path, kind: str, shard: int | None) -> None:
    """Objects that lie in one part as a whole, though they cross the chunks of it."""
    target = tmp_path / "store"
    values = [value_of(kind, 40, first, low=low, high=low + 19) for first, low in ((1, 0), (5, 20), (9, 40))]
    links = {} if kind in ("line", "polyline", "skeleton") else {"weight": "f8"}
    made = zv.Layout(chunk_shape=10, shard_shape=shard)
    zv.create(target, kind, bounds=([0] * 3, [59] * 3), attributes={"row": "i8"}, link_attributes=links, layout=made)
    job = zv.distributed.begin(target)
    receipts = [job.write(str(number), value) for number, value in enumerate(values)]
    assert job.finish(receipts).object_count == len(np.unique(np.concatenate([owners_of(value) for value in values])))
    same(read(target), concatenate(values))
    # The random links of these values may lead back to where they begin.
    assert {problem.kind for problem in zv.validate(target).problems} <= {"link_degenerate", "face_degenerate"}


def test_a_store_that_holds_rows_takes_more_of_them_in_parts(tmp_path: Path) -> None:
    job = declared(tmp_path, objects=True)
    first, *rest = job.regions(4)
    job.finish([job.write(first, points_in(first))])
    zv.write(tmp_path, zv.Points([[0.5, 0.5]], {"number": [1000], "gene": ["new"]}, object_ids=[77]), mode="append")
    again = zv.distributed.begin(tmp_path)
    report = again.finish([again.write(region, points_in(region)) for region in rest])
    level = zv.open(tmp_path)[0]
    got = level.read()
    assert report.total_vertices == len(got.positions) == 301
    assert sorted(got.row_ids.tolist()) == list(range(301))
    # One object for each part without ids, above all that there are.
    assert level.objects.ids.tolist() == [0, 77, 78, 79, 80]
    assert len(level.read(object_ids=[80]).positions) == len(points_in(rest[2]).positions)
    assert zv.validate(tmp_path).problems == ()


def test_text_of_all_parts_is_united_also_beyond_the_type_of_its_codes(tmp_path: Path) -> None:
    zv.create(
        tmp_path, bounds=([0.0], [39.0]), attributes={"name": "text"}, layout=zv.Layout(chunk_shape=10, shard_shape=1)
    )
    texts = [[f"{part} {row}" for row in range(100)] for part in range(4)]
    job = zv.distributed.begin(tmp_path)
    wrote = {"name": ["first", None]}
    zv.write(tmp_path, zv.Points([[1.0], [2.0]], wrote), mode="append")
    receipts = [
        job.write(f"part{part}", zv.Points(np.full((100, 1), 10.0 * part + 1, "f4"), {"name": texts[part]}))
        for part in range(1, 4)
    ]
    job.finish(receipts)
    got = zv.open(tmp_path)[0].read()
    names = np.asarray(got.attributes["name"])
    assert [sorted(names[got.positions[:, 0] // 10 == part].tolist(), key=str) for part in range(1, 4)] == [
        sorted(found) for found in texts[1:]
    ]
    assert sorted(names[got.positions[:, 0] < 10].tolist(), key=str) == [None, "first"]
    assert zv.validate(tmp_path).problems == ()


def test_ids_that_the_library_gives_out_are_those_above_all_others(tmp_path: Path) -> None:
    zv.create(tmp_path, "streamline", bounds=([0.0] * 3, [39.0] * 3), layout=zv.Layout(chunk_shape=10, shard_shape=1))
    lines = [np.random.default_rng(at).uniform(10 * at, 10 * at + 9, (6, 3)).astype("f4") for at in range(4)]
    job = zv.distributed.begin(tmp_path)
    values = [zv.Polylines(line, np.array([0, 3, 6]), kind="streamline") for line in lines]
    receipts = [job.write(f"p{number}", iter([value])) for number, value in enumerate(values[:3])]
    own = zv.Polylines(lines[3], np.array([0, 3, 6]), kind="streamline", ids=[4, 100])
    job.finish([*receipts, job.write("own", own)])
    level = zv.open(tmp_path)[0]
    assert sorted(level.objects.ids.tolist()) == [4, 100, 101, 102, 103, 104, 105, 106]
    for number in range(3):
        for half in range(2):
            found = level.read(object_ids=[101 + 2 * number + half]).positions
            np.testing.assert_array_equal(found, lines[number][3 * half : 3 * half + 3])
    assert zv.validate(tmp_path).problems == ()


def overlapping(tmp_path: Path) -> tuple[Any, list[Any]]:
    job = declared(tmp_path)
    at = zv.Points([[1.0, 1.0], [31.0, 1.0]], {"number": [0, 1], "gene": ["a", "b"]})
    return job, [job.write("left", at), job.write("right", at.within(np.array([False, True])))]


def test_parts_that_share_a_shard_are_named_and_nothing_is_published(tmp_path: Path) -> None:
    job, receipts = overlapping(tmp_path)
    with pytest.raises(ConcurrentEditError, match=r"shard that begins with 6\.0: part 'left', part 'right'"):
        job.finish(receipts)
    assert zv.open(tmp_path)[0].vertex_count == 0
    assert job.finish(receipts[:1]).vertex_count == 2, "the job is still open"


def test_a_part_in_a_shard_that_holds_rows_is_refused(tmp_path: Path) -> None:
    job, receipts = overlapping(tmp_path)
    # Another chunk, but the same shard.
    zv.write(tmp_path, zv.Points([[36.0, 6.0]], {"number": [2], "gene": ["c"]}), mode="append")
    with pytest.raises(ConcurrentEditError, match=r"begins with 6\.0: the store itself, part 'right'"):
        job.finish(receipts[1:])
    assert zv.open(tmp_path)[0].vertex_count == 1


def test_objects_that_several_parts_may_not_share_are_refused(tmp_path: Path) -> None:
    zv.create(tmp_path, "graph", bounds=([0] * 3, [59] * 3), layout=zv.Layout(chunk_shape=10, shard_shape=2))
    job = zv.distributed.begin(tmp_path)
    low, high = (zv.Graph(np.full((2, 3), at, "f4"), [[0, 1]], object_ids=[7, 7]) for at in (1.0, 30.0))
    with pytest.raises(InputError, match="object 7 in parts 'a' and 'b'"):
        job.finish([job.write("a", low), job.write("b", high)])
    job.finish([job.write("a", low)])
    other = zv.distributed.begin(tmp_path)
    with pytest.raises(InputError, match="exist in the store already"):
        other.finish([other.write("b", high)])


def test_rows_outside_the_region_are_refused_and_the_part_is_not_there(tmp_path: Path) -> None:
    job = declared(tmp_path)
    first, second = job.regions(2)
    for value in (points_in(second), iter([points_in(first), points_in(second)])):
        with pytest.raises(InputError, match="outside the region"):
            job.write(first, value)
    assert job.receipts() == []
    with pytest.raises(InputError, match="bounds"):
        job.write("far", zv.Points([[99.0, 0.0]], {"number": [0], "gene": ["a"]}))
    with pytest.raises(InputError, match="no attribute"):
        job.write(first, zv.Points([[0.0, 0.0]], {"number": [0], "other": [1]}))
    assert job.receipts() == []


def test_regions_are_whole_shards_and_cover_the_store(tmp_path: Path) -> None:
    job = declared(tmp_path)
    for count in (1, 2, 3, 5, 12, 1000):
        regions = job.regions(count)
        assert len(regions) == min(count, 12)
        inside = np.stack([region.contains(XY) for region in regions])
        assert (inside.sum(axis=0) == 1).all()
        assert len({region.name for region in regions}) == len(regions)
        assert all(start % 2 == 0 for region in regions for start in region.chunks.origin)
    for bad in (0, True, 1.5):
        with pytest.raises(InputError, match="whole number"):
            job.regions(bad)  # type: ignore[arg-type]


def test_a_part_that_is_written_again_replaces_the_first(tmp_path: Path) -> None:
    job = declared(tmp_path)
    region = job.regions(1)[0]
    old = job.write(region, points_in(region).within(np.arange(300) < 3))
    new = write_region(job, region)
    with pytest.raises(ConcurrentEditError, match="written again since its receipt"):
        job.finish([old])
    with pytest.raises(InputError, match="several receipts"):
        job.finish([new, new])
    assert job.receipts() == [new]
    job.finish([new])
    check_points(tmp_path)


def test_a_job_ends_once(tmp_path: Path) -> None:
    job = declared(tmp_path)
    receipt = write_region(job, job.regions(1)[0])
    other = zv.distributed.begin(tmp_path)
    with pytest.raises(InputError, match="not of this job"):
        other.finish([receipt])
    assert {found.id for found in zv.distributed.jobs(tmp_path)} == {job.id, other.id}
    other.cancel()
    other.cancel()
    job.finish([receipt])
    for ended in (job, other):
        with pytest.raises(EditError, match="the job has ended"):
            write_region(ended, ended.regions(1)[0])
    with pytest.raises(EditError, match="the job has ended"):
        job.finish([receipt])
    check_points(tmp_path)
    assert zv.distributed.jobs(tmp_path) == []


def test_other_writers_sweep_what_is_left_but_not_what_an_open_job_has_staged(tmp_path: Path) -> None:
    target = tmp_path / "store"
    job = declared(target)
    receipts = [write_region(job, region) for region in job.regions(2)[:1]]
    for left in (".zv/dead/0/zarr.json", ".zv/jobs/ended/part/zarr.json", ".zv/creating"):
        (target / left).parent.mkdir(parents=True, exist_ok=True)
        (target / left).write_text("{}")
    assert [problem.kind for problem in zv.validate(target).problems if problem.severity != "warning"] == []
    assert "leftovers" in {problem.kind for problem in zv.validate(target).problems}
    zv.write(target, zv.Points([[55.0, 15.0]], {"number": [-1], "gene": ["a"]}), mode="append")
    assert [path.name for path in (target / ".zv").iterdir()] == ["jobs"]
    assert [path.name for path in (target / ".zv" / "jobs").iterdir()] == [job.id]
    assert zv.validate(target).problems == ()
    zv.repair(target, dry_run=False)
    job.finish(receipts)
    assert not (target / ".zv").exists()
    assert zv.open(target)[0].vertex_count == receipts[0].rows + 1


def test_a_store_that_was_replaced_has_no_job(tmp_path: Path) -> None:
    job = declared(tmp_path)
    receipt = write_region(job, job.regions(1)[0])
    zv.write(tmp_path, zv.Points([[1.0, 1.0]]), mode="replace")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "zarr.json"]
    with pytest.raises((EditError, StoreError)):
        job.finish([receipt])
    assert zv.open(tmp_path)[0].vertex_count == 1


def test_stores_that_cannot_be_written_in_parts_say_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="path or a URL"):
        zv.distributed.begin(zv.create_store(memory()))  # type: ignore[arg-type]
    zv.create_store(tmp_path / "bare")
    with pytest.raises(ConventionError, match=r"zv\.create"):
        zv.distributed.begin(tmp_path / "bare")
    pytest.importorskip("DracoPy")
    draco = zv.Layout(vertex_encoding="draco")
    zv.write(tmp_path / "draco", zv.Points(np.random.default_rng(0).random((9, 3)).astype("f4")), layout=draco)
    with pytest.raises(ConventionError, match="Draco"):
        zv.distributed.begin(tmp_path / "draco")
    declared(tmp_path / "published")
    with zv.open(tmp_path / "published", "r+") as store:
        store.publish()
    with pytest.raises(ReadOnlyError, match="published"):
        zv.distributed.begin(tmp_path / "published")


def test_parts_wait_in_another_place(tmp_path: Path) -> None:
    job = declared(tmp_path / "store", scratch=tmp_path / "scratch")
    receipts = [write_region(job, region) for region in job.regions(3)]
    assert not (tmp_path / "store" / ".zv").exists()
    (again,) = zv.distributed.jobs(tmp_path / "store")
    assert sorted(again.receipts(), key=str) == sorted(receipts, key=str)
    again.finish(again.receipts())
    check_points(tmp_path / "store")
    assert not any((tmp_path / "scratch").rglob("*.json"))


def test_parts_of_a_store_in_memory() -> None:
    target = memory()
    job = declared(target)
    job.finish([write_region(job, region) for region in job.regions(3)])
    check_points(target)


def test_an_icechunk_repository_takes_parts_from_elsewhere_as_one_commit(tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    place = str(tmp_path / "repository")
    with pytest.raises(OptionError, match="pass scratch"):
        declared(place, backend="icechunk")
    job = zv.distributed.begin(place, scratch=tmp_path / "scratch")
    before = zv.open(place)
    job.finish([write_region(job, region) for region in job.regions(3)])
    assert before[0].vertex_count == 0
    check_points(place)


def streams(region: Any) -> Iterator[Geometry]:
    value = points_in(region)
    for start in range(0, value.vertex_count, 17):
        rows = np.arange(value.vertex_count)
        yield value.within((rows >= start) & (rows < start + 17))


def test_a_part_may_be_a_stream(tmp_path: Path) -> None:
    job = declared(tmp_path, layout=LAYOUT)
    job.finish([job.write(region, streams(region)) for region in job.regions(2)])
    check_points(tmp_path)
