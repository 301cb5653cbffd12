"""Every read beside a writer is one committed state; ``make faults`` reads for long, on an S3 server."""

from __future__ import annotations

from pathlib import Path

from tests.faults.harness import Where
from tests.faults.readers import run


def test_readers_beside_a_writer_on_a_disk(tmp_path: Path) -> None:
    reads = run(Where(str(tmp_path / "store"), {}), 9)
    assert min(reads[what] for what in ("whole", "box", "object")) > 0
