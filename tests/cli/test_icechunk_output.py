"""What the program prints of a store in an Icechunk repository is what it was asked for, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import RUN

pytest.importorskip("icechunk")


def printed(place: Path, **variables: str) -> str:
    """What a new process prints; the library is the first there to import Icechunk."""
    kept = {name: value for name, value in os.environ.items() if name != "ICECHUNK_LOG"}
    done = subprocess.run(
        [*RUN, "info", str(place), "--json"], env={**kept, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_json_is_json(tmp_path: Path) -> None:
    place = tmp_path / "repository"
    zv.write(place, zv.Points(np.zeros((3, 2))), backend="icechunk")
    assert json.loads(printed(place))["levels"][0]["vertex_count"] == 3
    assert "WARN" in printed(place, ICECHUNK_LOG="warn")
