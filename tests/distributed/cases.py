"""Stores that are written in parts, and what one writer would have made of the same rows.

Usage as a program, whose children are killed: python -m tests.distributed.cases TEMPLATE OUT JOB; it copies the store,
lets a child write the part or finish, kills it at each step in turn, and prints the steps as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from zarr_vectors.distributed import Job, Receipt, Region
from zarr_vectors.storage import commit
from zarr_vectors.storage.commit import Step

BOUNDS = ([0.0, 0.0], [59.0, 19.0])
LAYOUT = zv.Layout(chunk_shape=5, shard_shape=2, keep_order=True)
XY = np.random.default_rng(0).uniform([0, 0], [59, 19], (300, 2)).astype("f4")
GENES = np.array([f"g{int(x) % 7}" for x in XY[:, 0] * 3])
COLUMNS = {"number": "int64", "gene": "text"}


def declared(target: Any, **options: Any) -> Job:
    """A job on a new store of points."""
    options = {"bounds": BOUNDS, "attributes": COLUMNS, "layout": LAYOUT, **options}
    place = {name: options[name] for name in ("storage_options", "backend") if name in options}
    scratch = {name: options.pop(name) for name in ("scratch",) if name in options}
    zv.create(target, **options)
    return zv.distributed.begin(target, **place, **scratch)


def points_in(region: Region, *, ids: bool = False) -> zv.Points:
    """The rows of a region."""
    rows = np.flatnonzero(region.contains(XY))
    columns = {"number": rows, "gene": GENES[rows]}
    return zv.Points(XY[rows], attributes=columns, object_ids=rows % 10 if ids else None)


def write_region(job: Job, region: Region) -> Receipt:
    """What a worker does."""
    return job.write(region, points_in(region))


def check_points(target: Any, rows: Any = None, **options: Any) -> zv.Points:
    """Every row is there once, with its values, and the store is valid."""
    rows = np.arange(len(XY)) if rows is None else np.asarray(rows)
    got: zv.Points = zv.open(target, **options)[0].read()
    number = np.asarray(got.attributes["number"])
    assert sorted(number.tolist()) == rows.tolist()
    assert (got.positions == XY[number]).all()
    assert (np.asarray(got.attributes["gene"]) == GENES[number]).all()
    assert got.row_ids is None or sorted(got.row_ids.tolist()) == list(range(len(rows)))
    assert zv.validate(target, **options).problems == ()
    return got


def write_one(target: str) -> None:
    (job,) = zv.distributed.jobs(target)
    write_region(job, job.regions(3)[1])


def finish(target: str) -> None:
    (job,) = zv.distributed.jobs(target)
    job.finish(job.receipts())


def main(template: Path, out: Path, name: str) -> None:
    done: list[str] = []
    for number, step in enumerate(Step):
        place = out / str(number)
        shutil.copytree(template, place)
        child = os.fork()
        if not child:

            def at_step(reached: Step, fatal: Step = step) -> None:
                if reached == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)

            commit.on_step = at_step  # type: ignore[assignment]  # a default is not seen by who calls it
            {"write": write_one, "finish": finish}[name](str(place))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL), status
        done.append(step.name if status else "")
    print(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
