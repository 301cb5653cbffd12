"""``zarr-vectors validate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.cli.running import Result, misused, zvrun


@pytest.fixture
def store(tmp_path: Path) -> Path:
    zv.write(tmp_path / "store", zv.Points([[1.0, 2.0], [8.0, 9.0]]), layout=zv.Layout(chunk_shape=5, shard_shape=None))
    return tmp_path / "store"


def test_a_sound_store_ends_well(store: Path) -> None:
    assert zvrun("validate", store).out == f"file://{store}: 0 errors, 0 warnings at level 5\n"
    assert json.loads(zvrun("validate", store, "--json", "--level", "2").out) == {
        "store": f"file://{store}",
        "level": 2,
        "ok": True,
        "problems": [],
        "unchecked": [],
    }


def test_errors_end_with_exit_code_1(store: Path) -> None:
    (store / "0/vertices/c/1/1").unlink()
    done = Result(["validate", store])
    assert (done.code, done.err) == (1, "")
    assert "error   0/vertices [1.1]: listed as present, but gone (cell_missing)" in done.out.splitlines()
    told = json.loads(Result(["validate", store, "--json"]).out)
    assert told["problems"][0] == {
        "kind": "cell_missing",
        "severity": "error",
        "path": "0/vertices",
        "cell": "1.1",
        "message": "listed as present, but gone",
    }
    assert zvrun("validate", store, "--level", "2").out.startswith(f"file://{store}: 0 errors")


def test_what_is_no_store_is_an_error(tmp_path: Path) -> None:
    done = Result(["validate", tmp_path / "none"])
    assert (done.code, done.err) == (1, "")
    assert "store_missing" in done.out


def test_warnings_alone_end_well(store: Path) -> None:
    (store / ".zv").mkdir()
    (store / ".zv" / "left").write_text("")
    assert "warning .zv: 1 entries" in zvrun("validate", store).out


def test_wrong_usage_ends_with_exit_code_2(store: Path) -> None:
    assert "--level" in misused("validate", store, "--level", "6")
