"""A short run of the fault harness; ``make faults`` makes the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.harness import local, on_s3
from tests.faults.victim import FAILED
from zarr_vectors.storage.commit import Step

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

RECORDED = (Step.PREPARED, Step.RECORDED)


def test_writers_that_come_to_harm_on_a_disk(tmp_path: Path) -> None:
    with local(tmp_path) as harness:
        harness.at_every_step("append", ("kill",))
        harness.at_every_step("create", ("interrupt",))
        harness.at_every_step("build levels", ("kill",), commits=[1])
        harness.at_every_step("refresh levels", ("kill",), commits=[1])
        assert harness.trial("coarsen a level", {"step": Step.MOVED, "error": "kill"}) == -9
        for name, step in zip(("edit", "edit a part", "vacuum linked levels"), (*RECORDED, Step.REMOVED), strict=True):
            assert harness.trial(name, {"step": step, "error": "kill"}) == -9
            assert harness.trial(name, {"last": 1, "error": "ENOSPC"}) == FAILED
        assert harness.trial("edit a network", {"step": Step.PREPARED, "error": "interrupt"}) == FAILED
        for step in RECORDED:
            assert harness.trial("edit a part and refresh", {"step": step, "error": "kill", "commits": 1}) == -9
        harness.at_changes_of_the_disk("replace", "ENOSPC", step=40, first=9)
        assert 2 < harness.kept < harness.trials - 5


def test_writers_that_come_to_harm_on_an_object_store() -> None:
    pytest.importorskip("obstore")
    with on_s3() as harness:
        for step in (Step.PREPARED, Step.RECORDED, Step.MOVED):
            assert harness.trial("append a row", {"step": step, "error": "kill"}) == -9
        assert harness.kept == 1
