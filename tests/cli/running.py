"""Running the program inside the tests."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from typer import testing
from typer.main import get_command

from zarr_vectors.cli import main as program

RUN = [sys.executable, "-c", "from zarr_vectors.cli.main import main; main()"]


# The runner makes all commands anew for each run, which takes longer than most runs.
testing._get_command = cache(get_command)  # type: ignore[attr-defined]


def invoke(*args: object) -> Any:
    """Run the program in this process."""
    return testing.CliRunner().invoke(program.app, [str(arg) for arg in args])


class Result:
    """What one run of the program left behind."""

    def __init__(self, args: Sequence[Any]) -> None:
        done = invoke(*args)
        self.code: int = done.exit_code
        self.out: str = done.stdout
        self.err: str = done.stderr

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.out)))


def zvrun(*args: Any) -> Result:
    result = Result(args)
    assert (result.code, result.err) == (0, ""), result.err
    return result


def fails(*args: Any) -> str:
    """Run what must fail with exit code 1; the message without its prefix."""
    result = Result(args)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("zarr-vectors: error: ")
    assert "Traceback" not in result.err
    return result.err.removeprefix("zarr-vectors: error: ").strip()


def misused(*args: Any) -> str:
    """Run what must end with exit code 2; the message."""
    result = Result(args)
    assert (result.code, result.out) == (2, "")
    return " ".join(result.err.split())
