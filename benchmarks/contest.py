"""Running the contest: which questions, in which order, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import WorkerError, answer_of

__all__ = ["CONTESTANTS", "Contest", "Outcome", "Times", "Workload"]

WORKER = Path(__file__).with_name("worker.py")
PEERS = ("peer", "peer_sharded")
CONTESTANTS = {
    "ours": "ours",
    "peer": "0.9.2 unsharded",
    "peer_sharded": "0.9.2 sharded",
    "parquet": "Parquet",
    "parquet_sorted": "Parquet sorted",
    "laz": "LAZ",
    "memmap": "memory-mapped arrays",
}
"""Module below ``contestants`` to the name in the table."""


@dataclass(frozen=True)
class Workload:
    """A cloud, what is asked of it and of whom.

    Args:
        name: Shown in the table.
        rows: Points.
        ids: As in ``cloud.make``.
        operations: In this order; those after ``write`` use what it wrote.
        contestants: Who takes part; LAZ only in writing and reading.
        repeat: Rounds.
        peer_repeat: Rounds in which 0.9.2 takes part.
    """

    name: str
    rows: int
    ids: str
    operations: tuple[str, ...]
    contestants: tuple[str, ...]
    repeat: int
    peer_repeat: int


@dataclass(frozen=True)
class Times:
    """One measurement: seconds by the clock, seconds of all cores, and the peak of resident bytes."""

    wall: float
    cpu: float
    peak: int


@dataclass
class Outcome:
    """All measurements of one operation of one contestant.

    Args:
        nbytes: What the contestant stored, after a write.
        over: The time limit in seconds that it did not keep.
        failure: What went wrong.
    """

    workload: str
    operation: str
    contestant: str
    samples: list[Times] = field(default_factory=list)
    nbytes: int | None = None
    over: float | None = None
    failure: str | None = None

    @property
    def times(self) -> Times | None:
        """Medians; the peak is the highest."""
        if not self.samples or self.failure is not None:
            return None
        return Times(
            median(sample.wall for sample in self.samples),
            median(sample.cpu for sample in self.samples),
            max(sample.peak for sample in self.samples),
        )


class Contest:
    """The workers, and what they have found.

    Args:
        scratch: Folder for everything that is written.
        peer_python: Interpreter that has 0.9.2.
        limit: Seconds after which an operation of 0.9.2 is stopped.
        say: Takes a line about what has been done.
    """

    def __init__(self, scratch: Path, peer_python: Path, limit: float, say: Callable[[str], None]) -> None:
        self.scratch = scratch
        self.outcomes: list[Outcome] = []
        self.facts: dict[str, dict[str, Any]] = {}
        self._peer_python = peer_python
        self._limit = limit
        self._say = say

    def make_cloud(self, workload: Workload) -> Path:
        """The input of a workload; its folder."""
        folder = self.scratch / workload.name.replace(" ", "-")
        self.facts[workload.name] = self._work("ours", do="cloud", folder=folder, rows=workload.rows, ids=workload.ids)
        return folder

    def run(self, workload: Workload, folder: Path) -> None:
        """Every operation, round by round, the contestants taking turns."""
        for operation in workload.operations:
            able = [name for name in workload.contestants if _can(name, operation)]
            outcomes = {name: Outcome(workload.name, operation, name) for name in able}
            for turn in range(workload.repeat):
                for name, outcome in outcomes.items():
                    if name not in PEERS or turn < workload.peer_repeat:
                        self._measure(outcome, folder, turn)
            self.outcomes += outcomes.values()
            self._say(f"{workload.name}, {operation}: " + ", ".join(map(_in_short, outcomes.values())))
        for name in workload.contestants:
            _remove(self._path(folder, name))

    def ingest(self, name: str, kind: str, folder: Path, workload: Workload) -> None:
        """Stream a file with the points of a workload into a store of ours."""
        source, target = self.scratch / f"rows.{kind}", self.scratch / f"from-{kind}.zarrvectors"
        outcome = Outcome(name, "write", "ours")
        try:
            self._work("ours", do=kind, folder=folder, path=source)
            found = self._work("ours", do="ingest", source=source, path=target)
            self._take(outcome, found, self.facts[workload.name]["digests"]["read"])
        except WorkerError as error:
            outcome.failure = str(error)
        _remove(source)
        _remove(target)
        self.outcomes.append(outcome)
        self._say(f"{name}: {_in_short(outcome)}")

    def import_seconds(self, statements: Sequence[str], repeat: int) -> dict[str, float]:
        """Median seconds that each statement takes in a fresh interpreter, the statements taking turns."""
        seconds: dict[str, list[float]] = {statement: [] for statement in statements}
        # The first turn fills the caches of the disk and of byte code, and does not count. Byte code goes to a folder
        # of its own: where sources cannot or shall not have it beside them, compiling would be measured.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(self.scratch / "bytecode")
        for turn in range(repeat + 1):
            for statement, found in seconds.items():
                code = f"from time import perf_counter as t; a = t(); {statement}; print(t() - a)"
                command = [sys.executable, "-c", code]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                if turn:
                    found.append(float(done.stdout))
        return {statement: median(found) for statement, found in seconds.items()}

    def _measure(self, outcome: Outcome, folder: Path, turn: int) -> None:
        """One turn of one contestant. Whoever has failed or was too slow is out."""
        if outcome.failure is not None or outcome.over is not None:
            return
        path = self._path(folder, outcome.contestant)
        if outcome.operation == "write" and turn:
            _remove(path)
        elif outcome.operation != "write" and not path.exists():
            outcome.failure = "nothing was written"
            return
        task = {"contestant": outcome.contestant, "operation": outcome.operation, "folder": folder, "path": path}
        try:
            found = self._work(outcome.contestant, do="measure", **task)
        except subprocess.TimeoutExpired:
            outcome.over = self._limit
            if outcome.operation == "write":
                _remove(path)
            return
        except WorkerError as error:
            outcome.failure = str(error)
            return
        self._take(outcome, found, self.facts[outcome.workload]["digests"].get(outcome.operation))
        if outcome.operation == "write":
            outcome.nbytes = _size(path)

    def _take(self, outcome: Outcome, found: dict[str, Any], expected: list[int] | None) -> None:
        """A time counts only for a right answer."""
        if found["digest"] != expected:
            outcome.failure = f"wrong answer: {found['digest']}, expected {expected}"
            return
        outcome.samples.append(Times(found["wall"], found["cpu"], found["peak"]))

    def _path(self, folder: Path, contestant: str) -> Path:
        suffix = {"laz": ".laz", "parquet": ".parquet", "parquet_sorted": ".parquet"}.get(contestant, "")
        return folder / f"{contestant}{suffix}"

    def _work(self, who: str, **task: Any) -> dict[str, Any]:
        if who in PEERS:
            return answer_of(WORKER, task, peer=self._peer_python, limit=self._limit)
        return answer_of(WORKER, task)


def _can(contestant: str, operation: str) -> bool:
    if operation == "validate":
        return contestant == "ours" or contestant in PEERS
    return contestant != "laz" or operation in {"write", "read"}


def _in_short(outcome: Outcome) -> str:
    if outcome.failure is not None:
        said = f"failed ({outcome.failure})"
    elif outcome.over is not None:
        said = f"> {outcome.over:g} s"
    else:
        said = "-" if outcome.times is None else f"{outcome.times.wall:.3g} s"
    return f"{CONTESTANTS[outcome.contestant]} {said}"


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
