"""A long run goes on after what fails, and its last line and exit code say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import __main__ as faults
from tests.faults.verdict import Run


def test_a_run_in_which_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run("Nothing", "a moment")
    with run.folder() as folder, run.part("all"):
        (folder / "file").write_bytes(b"1")
    assert run.end("all is well") == 0
    assert not folder.exists()
    assert capsys.readouterr().out.splitlines()[-1] == f"PASSED in {run.seconds()}: all is well"


def test_a_run_in_which_something_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = Run("Nothing", "a moment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        with run.folder() as folder:
            for number in range(3):
                with run.part(f"part {number}"):
                    (folder / "file").write_text(str(number))
                    assert number != 1, "neither before nor after"
    assert run.end("all is well") == 1
    assert (folder / "file").read_text() == "2", "the parts after it were done, and what is there is kept"
    said = capsys.readouterr().out
    assert "AssertionError: neither before nor after" in said
    assert f"is kept in {folder}" in said
    assert said.splitlines()[-1] == f"FAILED in {run.seconds()}: part 1"


def test_a_word_that_is_not_known_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        faults.main(["--jobs", "apend"])
    assert "apend" in capsys.readouterr().err
    assert faults.main(["--list"]) == 0
    assert "edit a part" in capsys.readouterr().out.splitlines()
