"""Processes that append to one store at once lose nothing; ``make faults`` lets them append a thousand times."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.harness import Where
from tests.faults.writers import check, run
from tests.storage import s3

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("how", ["same", "disjoint", "outside"])
def test_processes_that_append_to_a_store_on_a_disk(tmp_path: Path, how: str) -> None:
    where = Where(str(tmp_path / "store"), {})
    run(where, 3, 3, how)
    check(where, 3, 3, how)


def test_processes_that_append_to_a_store_on_an_object_store() -> None:
    pytest.importorskip("obstore")
    with s3.serving() as endpoint:
        where = Where(f"s3://{s3.BUCKET}/store", s3.for_obstore(endpoint))
        run(where, 2, 3, "same")
        check(where, 2, 3, "same")
