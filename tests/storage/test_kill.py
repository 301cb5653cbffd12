"""A writer that is killed at any change of the disk leaves the old or the new store, for readers and for the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.storage.faults import SCENARIOS, Place
from tests.storage.jobs import amend, append, create
from tests.storage.stores import REPOSITORY
from zarr_vectors.exceptions import StoreNotFoundError
from zarr_vectors.storage.storage import Storage

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


AGAIN = {"append to store": append, "amend store": amend}


def run_killed(job: str, template: Path, out: Path, step: int = 1) -> list[Path]:
    """The folders that killed children left, and that of the one which was not killed."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.killed", job, str(template), str(out), str(step)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    last = int(done.stdout)
    assert last > 0, done.stderr
    return [out / str(at) / "store" for at in range(0, last + 1, step)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_commit_killed_at_any_change_of_the_disk_is_whole(tmp_path: Path, name: str) -> None:
    scenario = SCENARIOS[name]
    template = tmp_path / "template"
    Place(template).fill(scenario.before)
    stores = run_killed(f"commit {name}", template, tmp_path / "out")
    seen = []
    for folder in stores:
        place = Place(folder)
        seen.append(place.visible())
        assert seen[-1] in ((scenario.before or None), scenario.after), folder
        with Storage(place.sound()).lock():
            pass
        assert place.visible() == seen[-1]
        assert place.content() == (seen[-1] or {}), folder
        if seen[-1] != scenario.after:
            Storage(place.sound()).commit(scenario.batch())
        assert place.content() == scenario.after
    assert seen[-1] == scenario.after
    assert seen[0] == (scenario.before or None)
    turn = seen.index(scenario.after)
    assert seen[turn:] == [scenario.after] * (len(seen) - turn), "there is one moment at which the commit happens"


def rows_in(target: Any) -> list[Any] | None:
    try:
        with zv.open(target) as store:
            points = store[0].read()
    except StoreNotFoundError:
        return None
    columns = [
        points.positions.tolist(),
        *(np.asarray(points.attributes[n]).tolist() for n in sorted(points.attributes)),
    ]
    tables = {name: np.asarray(column).tolist() for name, column in points.object_attributes.items()}
    return [*sorted(zip(*columns, strict=True)), tables]


@pytest.mark.parametrize("job", ["create store", "append to store", "amend store", "replace store"])
@pytest.mark.parametrize("step", [pytest.param(5, marks=pytest.mark.long), 37])
def test_a_write_killed_at_any_change_of_the_disk_is_whole(tmp_path: Path, job: str, step: int) -> None:
    """At few of them by default; a commit is killed at each above."""
    template = tmp_path / "template"
    if job != "create store":
        create(template)
    before = rows_in(template)
    stores = run_killed(job, template, tmp_path / "out", step)
    assert len(stores) > 3
    after = rows_in(stores[-1])
    assert after not in (before, None)
    for folder in stores:
        seen = rows_in(folder)
        assert str(seen) in (str(before), str(after)), folder
        if seen is None:
            create(folder)
            assert str(rows_in(folder)) == str(after)
        elif job in AGAIN and str(seen) == str(before):
            AGAIN[job](folder)
            assert str(rows_in(folder)) == str(after)
        else:
            with Storage(Place(folder).sound()).lock():
                pass
            assert str(rows_in(folder)) == str(seen)
        assert Place(folder).leftovers() == [], folder
