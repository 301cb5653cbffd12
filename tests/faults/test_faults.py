"""A short run of the fault harness; ``make faults`` makes the long one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import local, on_s3
from tests.faults.jobs import JOBS
from tests.faults.victim import FAILED
from zarr_vectors.edit import log
from zarr_vectors.edit.partial import edit_in_part
from zarr_vectors.storage.commit import Step
from zarr_vectors.storage.urls import open_backend

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

WRITES_A_PART = {
    "edit": False,
    "edit a part": True,
    "edit and refresh": False,
    "edit a part and refresh": True,
    "edit a network": False,
    "edit in place": True,
    "edit columns": True,
    "edit without an object": True,
    "edit a moved object": True,
}


@pytest.mark.parametrize("name", WRITES_A_PART)
def test_edits_are_written_in_the_way_that_is_to_come_to_harm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way of writing an edit is among the jobs, by the names of these."""
    seen: list[bool] = []
    in_part = edit_in_part

    def watched(*args: Any, **options: Any) -> bool:
        seen.append(in_part(*args, **options))
        return seen[-1]

    monkeypatch.setattr(log, "edit_in_part", watched)
    backend = open_backend(f"memory://edits-{name.replace(' ', '-')}")
    before = JOBS[name].before
    assert before is not None
    before(backend)
    JOBS[name].run(backend)
    assert seen == [WRITES_A_PART[name]]


def test_writers_that_come_to_harm_on_a_disk(tmp_path: Path) -> None:
    with local(tmp_path) as harness:
        harness.at_every_step("append", ("kill",))
        harness.at_every_step("create", ("interrupt",))
        harness.at_every_step("build levels", ("kill",), commits=[1])
        harness.at_every_step("refresh levels", ("kill",), commits=[1])
        assert harness.trial("coarsen a level", {"step": Step.MOVED, "error": "kill"}) == -9
        for name, step in (("edit a part", Step.PREPARED), ("vacuum linked levels", Step.RECORDED)):
            assert harness.trial(name, {"step": step, "error": "kill"}) == -9
            assert harness.trial(name, {"last": 1, "error": "ENOSPC"}) == FAILED
        assert harness.trial("edit and refresh", {"step": Step.RECORDED, "error": "kill", "commits": 1}) == -9
        harness.at_changes_of_the_disk("replace", "ENOSPC", step=40, first=9)
        assert 2 < harness.kept < harness.trials - 5


def test_writers_that_come_to_harm_on_an_object_store() -> None:
    pytest.importorskip("obstore")
    with on_s3() as harness:
        for step in (Step.PREPARED, Step.RECORDED, Step.MOVED):
            assert harness.trial("append a row", {"step": step, "error": "kill"}) == -9
        assert harness.kept == 1
