"""A cell index is put last, from the stamps of all else: whatever becomes of its commit, it says what is true."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.faults.harness import Victims, Where
from tests.faults.jobs import JOBS
from tests.query.indexed import facts_known
from zarr_vectors.storage.commit import Step
from zarr_vectors.storage.storage import Storage

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FAULTS: list[dict[str, Any]] = [
    {"last": 0},
    {"last": 1},
    {"step": Step.STAGED},
    {"step": Step.PREPARED},
    {"step": Step.RECORDED},
    {"step": Step.MOVED},
]
BOXES = [([-20.0, -20.0], [5.0, 9.0]), ([8.0, 0.0], [12.0, 30.0]), ([-14.0, 8.0], [-14.0, 8.0])]


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    running = Victims()
    yield running
    running.end()


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("append", "edit")]


@pytest.mark.parametrize("name", ["edit a part", *LONG])
def test_what_the_index_says_is_true_after_a_kill(name: str, victims: Victims, tmp_path: Path) -> None:
    """The store is made where it stays, so that its stamps hold, and another process ends the commit."""
    job, share = JOBS[name], {}
    assert job.before is not None
    for number, fault in enumerate(FAULTS):
        where = Where(str(tmp_path / str(number)), {})
        job.before(where.backend())
        assert victims.run(name, where, {**fault, "error": "kill"})["status"] == -9
        seen = where.visible()
        check_boxes(where)
        with Storage(where.backend()).lock():
            pass
        assert where.visible() == seen
        check_boxes(where)
        share[number] = facts_known(Path(where.url))
    # What is moved keeps the stamps by which the index knows it.
    assert set(share.values()) == {1.0}, share


def check_boxes(where: Where) -> None:
    level = zv.open(where.url)[0]
    every = level.read()
    for low, high in BOXES:
        inside = ((every.positions >= low) & (every.positions <= high)).all(axis=1)
        found = level.read(bbox=(low, high))
        assert sorted(map(tuple, found.positions.tolist())) == sorted(map(tuple, every.positions[inside].tolist()))
        assert level.count(bbox=(low, high)) == np.count_nonzero(inside)
