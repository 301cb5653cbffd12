"""A short run of the fuzz targets; ``make fuzz`` runs them for long, and names what to repeat."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from random import Random

import pytest

from tests.fuzz.mutate import spoiled, spoiled_json, spoiled_text
from tests.storage.stores import REPOSITORY


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: its memory is limited, and a crash must not take other tests with it."""
    command = [sys.executable, "-m", "tests.fuzz.run", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(("suite", "executions"), [("decoders", 1500), ("stores", 40), ("files", 150)])
def test_nothing_but_errors_of_ours(suite: str, executions: int) -> None:
    run = _run("--suite", suite, "--executions", str(executions))
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 failures" in run.stdout


def test_a_failure_is_told_and_can_be_repeated() -> None:
    run = _run("--suite", "broken", "--seed", "7")
    assert run.returncode == 1
    assert "--only 'broken' --seed 7: RuntimeError: a fault" in run.stdout


def test_a_crash_is_told_and_can_be_repeated() -> None:
    run = _run("--suite", "crashing", "--first", "7")
    assert run.returncode == 1
    last = "FAILED --suite crashing --only 'crashing' --seed 7: the process has ended with SIGSEGV"
    assert run.stdout.splitlines()[-1] == last


def test_a_run_tells_how_it_ends() -> None:
    run = _run("--suite", "broken", "--executions", "5")
    assert run.returncode == 1
    assert re.fullmatch(r"FAILED: broken, 5 executions in \d+ s, 5 failures", run.stdout.splitlines()[-1])
    assert _run("--only", "nothing that is there").returncode == 2


def test_damage_is_the_same_for_the_same_number() -> None:
    for number in range(200):
        assert spoiled(b"abc" * 30, Random(number)) == spoiled(b"abc" * 30, Random(number))
        assert spoiled_text(b"a 1\nb 2", Random(number)) == spoiled_text(b"a 1\nb 2", Random(number))
        value = {"a": [1, 2.5, "x"], "b": {"c": None}}
        assert repr(spoiled_json(value, Random(number))) == repr(spoiled_json(value, Random(number)))
        assert value == {"a": [1, 2.5, "x"], "b": {"c": None}}
