"""A rechunking is there as a whole or not at all, whatever fails below, in place and beside."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.storage import jobs
from tests.storage.faults import Bomb, DiskError, Place
from tests.storage.test_kill import run_killed
from zarr_vectors.exceptions import StoreNotFoundError, UnfinishedCommitError
from zarr_vectors.storage.storage import Storage

MOST = 500
STEP = 9
SPEC = zv.RechunkSpec("object_id", spatial_chunk_shape=(15,))


def told(target: Any) -> Any:
    """Everything that a store tells, and how it is chunked."""
    try:
        level = zv.open(target)[0]
        points = level.read()
    except StoreNotFoundError:
        return None
    columns = [points.positions.tolist(), np.asarray(points.attributes["weight"]).tolist(), points.object_ids.tolist()]
    sizes = np.asarray(level.objects.attributes["size"]).tolist()
    return sorted(zip(*columns, strict=True)), level.objects.ids.tolist(), sizes, level.chunk_keys, level.chunk_shape


@pytest.mark.parametrize(("where", "base"), [("local", "create store"), ("memory", "create sharded store")])
def test_a_failure_at_any_change_leaves_the_old_or_the_new(tmp_path: Path, where: str, base: str) -> None:
    numbers = itertools.count()

    def place(content: dict[str, bytes]) -> Place:
        made = Place(tmp_path / str(next(numbers)) / "store" if where == "local" else None)
        made.fill(content)
        return made

    old = place({})
    jobs.JOBS[base](old.sound())
    new = place(old.content())
    jobs.rechunk(new.sound())
    before, after = told(old.sound(read_only=True)), told(new.sound(read_only=True))
    assert before[:3] == after[:3]
    assert before[3:] != after[3:]
    assert new.leftovers() == []
    for at in range(0, MOST, STEP):
        kind, late = ((DiskError, False), (KeyboardInterrupt, True))[at // STEP % 2]
        target = place(old.content())
        bomb = Bomb(at, kind, late)
        try:
            jobs.rechunk(target.failing(bomb))
        except (DiskError, KeyboardInterrupt, UnfinishedCommitError):
            seen = told(target.sound(read_only=True))
            assert seen in (before, after)
            if seen == before:
                assert target.content() == old.content(), f"change {at}"
            with Storage(target.sound()).lock():
                pass
            assert told(target.sound(read_only=True)) == seen
            assert target.leftovers() == []
        else:
            assert told(target.sound(read_only=True)) == after
            assert target.leftovers() == []
            if not bomb.went_off:
                break
    assert 5 < at < MOST - STEP


@pytest.mark.parametrize("late", [False, True])
def test_a_failure_beside_leaves_the_source_and_nothing_else(tmp_path: Path, late: bool) -> None:
    jobs.create(tmp_path / "source")
    before, content = told(tmp_path / "source"), Place(tmp_path / "source").content()
    for at in range(0, MOST, 3):
        target = Place(tmp_path / "out" / str(at))
        try:
            zv.rechunk(tmp_path / "source", SPEC, target.failing(Bomb(at, late=late)))
        except UnfinishedCommitError:
            assert told(target.sound(read_only=True))[:3] == before[:3]
        except DiskError:
            assert told(target.sound(read_only=True)) is None or late
        else:
            break
        assert Place(tmp_path / "source").content() == content
    assert told(target.sound(read_only=True))[:3] == before[:3]
    assert 3 < at < MOST - 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_change_of_the_disk_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    template = tmp_path / "template"
    jobs.create(template)
    before = told(template)
    stores = run_killed("rechunk store", template, tmp_path / "out", step=25)
    after = told(stores[-1])
    assert after[:3] == before[:3]
    assert after != before
    for folder in stores:
        seen = told(folder)
        assert seen in (before, after), folder
        if seen == before:
            jobs.rechunk(folder)
        else:
            with Storage(Place(folder).sound()).lock():
                pass
        assert told(folder) == after
        assert Place(folder).leftovers() == [], folder
