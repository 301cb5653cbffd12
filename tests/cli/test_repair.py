"""``zarr-vectors repair``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.cli.running import Result, zvrun


@pytest.fixture
def store(tmp_path: Path) -> Path:
    points = zv.Points([[1.0, 2.0], [8.0, 9.0]], attributes={"v": [1, 2]})
    zv.write(tmp_path / "store", points, layout=zv.Layout(chunk_shape=5, shard_shape=None))
    (tmp_path / "store/0/vertex_attributes/v/c/1/1").unlink()
    return tmp_path / "store"


def test_it_only_tells_unless_told_to(store: Path) -> None:
    out = zvrun("repair", store).out.splitlines()
    assert out[0].endswith("1 to be repaired; nothing was changed; 0 errors and 0 warnings are left")
    assert out[1].startswith("given up 0/vertex_attributes/v [1.1]: ")
    assert Result(["validate", store]).code == 1
    told = json.loads(zvrun("repair", store, "--apply", "--json").out)
    assert (told["applied"], told["ok"], told["repairs"][0]["cell"]) == (True, True, "1.1")
    assert zvrun("validate", store).code == 0


def test_what_is_left_ends_with_exit_code_1(store: Path) -> None:
    (store / "0/vertices/c/1/1").unlink()
    done = Result(["repair", store, "--apply"])
    assert (done.code, done.err) == (1, "")
    assert "left     error 0/vertices [1.1]: listed as present, but gone (cell_missing)" in done.out
