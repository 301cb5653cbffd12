"""A harness that hangs fails, and tells where it was."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.faults.deadline import run_program, start, stop, within

SLEEPER = "tests.faults.test_deadline"


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(AssertionError, match=r"not done after 2 s\nFatal Python error: Aborted"):
        run_program(SLEEPER, ["program"], seconds=2)


def test_a_process_that_hangs_ends_with_all_that_it_has_started() -> None:
    began = time.monotonic()
    program = start(SLEEPER, "block", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, told = program.communicate(timeout=60)
    finally:
        stop(program)
    assert program.returncode == 1
    assert "asleep: not done after 1 s" in told
    assert "in sleep_for_long" in told
    # The pipes are closed: what it has started has ended too.
    assert out == ""
    assert time.monotonic() - began < 60


def sleep_for_long() -> None:
    time.sleep(100)


def main(arguments: list[str]) -> None:
    if arguments == ["block"]:
        start(SLEEPER, "program")
        with within(1, "asleep"):
            sleep_for_long()
    sleep_for_long()


if __name__ == "__main__":
    main(sys.argv[1:])
