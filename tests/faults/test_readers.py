"""Every read beside a writer on an S3 server is one committed state; ``make faults`` reads for long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness import Where
from tests.faults.readers import run
from tests.storage import s3


def test_readers_beside_a_writer_on_a_disk(tmp_path: Path) -> None:
    reads = run(Where(str(tmp_path / "store"), {}), 9)
    assert min(reads[what] for what in ("whole", "box", "object")) > 0


def test_readers_beside_a_writer_on_an_object_store() -> None:
    pytest.importorskip("obstore")
    with s3.serving() as endpoint:
        reads = run(Where(f"s3://{s3.BUCKET}/store", s3.for_obstore(endpoint)), 4)
    assert min(reads[what] for what in ("whole", "box", "object")) > 0
