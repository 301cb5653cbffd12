"""Streamlines, skeletons and meshes side by side with 0.9.2 and with memory-mapped arrays; part of ``make bench``.

Usage: python benchmarks/shape_contest.py [--quick] [--unsharded] [--repeat N] [--limit SECONDS]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from benchmarks.contest import PEERS, Outcome, Times
from benchmarks.processes import WorkerError, answer_of
from benchmarks.report import Report, Target, judge
from scripts.peer_env import peer_python

OUT = Path(__file__).with_name("out") / "shapes"
WORKER = Path(__file__).with_name("shape_worker.py")
EVERYONE = ("ours", "peer", "peer_sharded", "memmap")


@dataclass(frozen=True)
class Shapes:
    """What is asked of a kind, and how many times faster than 0.9.2 the answers are to be."""

    kind: str
    size: int
    wanted: dict[str, float | None]


FULL = (
    Shapes("streamlines", 100_000, {"write": 10, "read": 15, "box": 30, "objects": 5}),
    Shapes("skeletons", 1000, {"write": 8, "read": 10, "box": None, "objects": None}),
    Shapes("mesh", 1_000_000, {"write": 8, "read": 15, "box": 20}),
)
QUICK = (
    Shapes("streamlines", 10_000, FULL[0].wanted),
    Shapes("skeletons", 100, FULL[1].wanted),
    Shapes("mesh", 100_000, FULL[2].wanted),
)


class ShapeContest:
    """The workers, and what they have found."""

    def __init__(
        self, scratch: Path, limit: float, repeat: int, console: Console, contestants: tuple[str, ...] = EVERYONE
    ) -> None:
        self.scratch = scratch
        self.limit = limit
        self.repeat = repeat
        self.console = console
        self.contestants = contestants
        self.outcomes: list[Outcome] = []
        self.peer_python = peer_python()

    def run(self, shapes: Shapes) -> list[Target]:
        """Every operation of a kind, the contestants taking turns; the targets that it sets."""
        name = f"{shapes.size:,} {shapes.kind}"
        data = self.scratch / f"{shapes.kind}.npz"
        facts = self._work("ours", do="make", kind=shapes.kind, size=shapes.size, data=data)
        targets = [Target(name, "write", "memory", at_most=3 * facts["nbytes"] + 150e6)]
        for operation, factor in shapes.wanted.items():
            outcomes = {who: Outcome(name, operation, who) for who in self.contestants}
            for turn in range(self.repeat):
                for who, outcome in outcomes.items():
                    if who not in PEERS or turn == 0:
                        self._measure(outcome, shapes.kind, data)
            self.outcomes += outcomes.values()
            said = ", ".join(f"{who} {outcome.times.wall:.3g} s" for who, outcome in outcomes.items() if outcome.times)
            self.console.print(f"{name}, {operation}: {said}", soft_wrap=True)
            if factor is not None:
                targets.append(Target(name, operation, "peer", at_least=factor))
        if shapes.kind == "streamlines":
            targets.append(Target(name, "box", "memmap", at_most=1))
        for who in self.contestants:
            shutil.rmtree(self.scratch / f"{shapes.kind}-{who}", ignore_errors=True)
        return targets

    def _measure(self, outcome: Outcome, kind: str, data: Path) -> None:
        if outcome.failure is not None or outcome.over is not None:
            return
        path = self.scratch / f"{kind}-{outcome.contestant}"
        if outcome.operation == "write":
            shutil.rmtree(path, ignore_errors=True)
        elif not path.exists():
            outcome.failure = "nothing was written"
            return
        task = {"contestant": outcome.contestant, "operation": outcome.operation, "kind": kind}
        try:
            found = self._work(outcome.contestant, do="measure", data=data, path=path, **task)
        except subprocess.TimeoutExpired:
            outcome.over = self.limit
            return
        except WorkerError as error:
            outcome.failure = str(error)
            return
        outcome.samples.append(Times(found["wall"], found["cpu"], found["peak"]))
        if outcome.operation == "write":
            outcome.nbytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

    def _work(self, who: str, **task: Any) -> dict[str, Any]:
        if who in PEERS:
            return answer_of(WORKER, task, peer=self.peer_python, limit=self.limit)
        return answer_of(WORKER, task)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of all but 0.9.2, which takes part once")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which 0.9.2 is stopped")
    parser.add_argument("--unsharded", action="store_true", help="leave out 0.9.2's sharded stores, its slowest")
    parser.add_argument("--scratch", type=Path, help="folder on a local disk with 5 GB to spare")
    options = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="zv-bench-", dir=options.scratch) as scratch:
        contestants = tuple(who for who in EVERYONE if not (options.unsharded and who == "peer_sharded"))
        contest = ShapeContest(Path(scratch), options.limit, options.repeat, console, contestants)
        targets = [target for shapes in (QUICK if options.quick else FULL) for target in contest.run(shapes)]
        verdicts = [judge(target, contest.outcomes) for target in targets]
    report = Report([f"{os.cpu_count()} cores"], [], contest.outcomes, verdicts)
    report.show(console)
    report.save(OUT)
    failed = [o for o in contest.outcomes if o.failure is not None and not _cannot(o)]
    for outcome in failed:
        console.print(f"FAILED {outcome.workload}, {outcome.operation}, {outcome.contestant}: {outcome.failure}")
    return 1 if failed else 0


def _cannot(outcome: Outcome) -> bool:
    """Whether 0.9.2 does not offer what was asked."""
    return outcome.contestant in PEERS and "NotImplementedError" in (outcome.failure or "")


if __name__ == "__main__":
    sys.exit(main())
