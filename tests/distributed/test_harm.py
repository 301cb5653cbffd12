"""Workers and coordinators that are killed: the store is as before or as after, and the job can be gone on with."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.distributed.cases import check_points, declared, write_region
from tests.storage.running import environment
from zarr_vectors.exceptions import EditError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def killed(template: Path, out: Path, what: str) -> list[tuple[Path, str]]:
    """Stores whose writer was killed, each with the step at which; empty where it was not."""
    command = [sys.executable, "-m", "tests.distributed.cases", str(template), str(out), what]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [(out / str(number), step) for number, step in enumerate(json.loads(done.stdout))]


@forks
def test_a_worker_that_is_killed_leaves_nothing_in_the_store_and_its_part_is_written_again(tmp_path: Path) -> None:
    job = declared(tmp_path / "template")
    first, second, third = job.regions(3)
    write_region(job, first)
    write_region(job, third)
    ended = killed(tmp_path / "template", tmp_path / "out", "write")
    steps = {step for _, step in ended}
    assert {"LOCKED", "ANNOUNCED", "FILLED", "CREATED", "STAGED", "RECORDED", "MOVED", "PUBLISHED"} <= steps
    for place, _ in ended:
        (mine,) = zv.distributed.jobs(place)
        assert zv.open(place)[0].vertex_count == 0
        found = {receipt.part for receipt in mine.receipts()}
        assert found in ({first.name, third.name}, {region.name for region in (first, second, third)})
        with Storage(open_backend(str(place))).lock():
            pass
        write_region(mine, second)
        mine.finish(mine.receipts())
        check_points(place)
        assert sorted(path.name for path in place.iterdir()) == ["0", "zarr.json"]


@forks
def test_a_coordinator_that_is_killed_leaves_the_store_before_or_after(tmp_path: Path) -> None:
    job = declared(tmp_path / "template", objects=True)
    for region in job.regions(3):
        write_region(job, region)
    ended = killed(tmp_path / "template", tmp_path / "out", "finish")
    rows = []
    for place, step in ended:
        rows.append(zv.open(place)[0].vertex_count)
        assert rows[-1] == (0 if step in ("LOCKED", "STAGED", "PREPARED") else 300), step
        with Storage(open_backend(str(place))).lock():
            pass
        assert zv.open(place)[0].vertex_count == rows[-1]
        if rows[-1]:
            with pytest.raises(EditError, match="has ended"):
                job_at(place, job.id).finish([])
        else:
            job_at(place, job.id).finish(job_at(place, job.id).receipts())
        check_points(place)
        assert sorted(path.name for path in place.iterdir()) == ["0", "zarr.json"]
    assert {0, 300} == {*rows}
    assert {"STAGED", "PREPARED", "RECORDED", "MOVED", "PUBLISHED", "SWEPT"} <= {step for _, step in ended}


def job_at(place: Path, name: str) -> zv.distributed.Job:
    """The job of a copy of the store; one that has ended is made up."""
    found = {job.id: job for job in zv.distributed.jobs(place)}
    return found.get(name) or zv.distributed.Job(**{**vars(zv.distributed.begin(place)), "id": name})


def test_processes_write_parts_at_once(tmp_path: Path) -> None:
    job = declared(tmp_path, objects=True)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        receipts = list(pool.map(partial(write_region, job), job.regions(4)))
    job.finish(receipts)
    assert len(check_points(tmp_path).positions) == 300
    assert zv.open(tmp_path)[0].objects.ids.tolist() == [0, 1, 2, 3]
