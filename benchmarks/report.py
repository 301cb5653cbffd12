"""What the contest has found: ratios, targets, a table for the terminal and one for a document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contest import CONTESTANTS, PEERS, Outcome

__all__ = ["Report", "Target", "Verdict"]

MB = 1e6
OPERATIONS = {
    "write": "write",
    "read": "whole read",
    "box": "1 % box",
    "box_again": "1 % box, store open",
    "objects": "100 of 1000 objects",
    "validate": "validate, level 3",
}
RESULTS = [
    "Workload",
    "Operation",
    "Contestant",
    "Wall s",
    "CPU s",
    "Peak MB",
    "Stored MB",
    "Wall / ours",
    "CPU / ours",
]
VERDICTS = ["Target", "Wanted", "Measured", "By CPU", "Verdict"]


@dataclass(frozen=True)
class Target:
    """What an outcome of ours is to reach.

    Args:
        workload, operation: Which outcome.
        against: ``peer`` for the faster of the two kinds of 0.9.2, another contestant, ``memory`` for the peak, or
            ``own read`` for our whole read.
        at_least: How many times faster ours is to be.
        at_most: How many times the other's time ours may take; or how many bytes.
    """

    workload: str
    operation: str
    against: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A target and how near we are.

    Args:
        by_cpu: The same ratio by CPU time, which a busy machine disturbs less; it does not decide.
        reached: None where nothing was measured.
    """

    name: str
    wanted: str
    measured: str
    by_cpu: str
    reached: bool | None

    @property
    def word(self) -> str:
        return {True: "reached", False: "missed", None: "not measured"}[self.reached]


@dataclass(frozen=True)
class Report:
    """Everything that a run has found.

    Args:
        title: Lines on the machine and the versions.
        notes: Lines on the workloads.
        outcomes: All measurements.
        verdicts: On the targets that this run could measure.
    """

    title: list[str]
    notes: list[str]
    outcomes: list[Outcome]
    verdicts: list[Verdict]

    def show(self, console: Console) -> None:
        """Print both tables."""
        for heading, columns, rows in self._tables():
            table = Table(*columns, title=heading, title_justify="left")
            for column in table.columns[2 if columns is RESULTS else 1 :]:
                column.justify = "right" if column.header != "Contestant" else "left"
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for line in [*self.title, *self.notes]:
            console.print(line, soft_wrap=True)

    def save(self, folder: Path) -> None:
        """Write ``latest.md`` and ``latest.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["# Benchmark", "", *(f"* {line}" for line in [*self.title, *self.notes])]
        for heading, columns, rows in self._tables():
            lines += ["", f"## {heading}", "", _row(columns), _row(["---"] * len(columns)), *map(_row, rows)]
        (folder / "latest.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        document = {
            "title": self.title,
            "notes": self.notes,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
        }
        (folder / "latest.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    def _tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        verdicts = [[v.name, v.wanted, v.measured, v.by_cpu, v.word] for v in self.verdicts]
        return [("Medians", RESULTS, self._result_rows()), ("Targets", VERDICTS, verdicts)]

    def _result_rows(self) -> list[list[str]]:
        rows = []
        last = ("", "")
        for outcome in self.outcomes:
            what = (outcome.workload, OPERATIONS[outcome.operation])
            shown = ["" if what == last else what[0], "" if what == last else what[1], CONTESTANTS[outcome.contestant]]
            rows.append([*shown, *self._numbers(outcome)])
            last = what
        return rows

    def _numbers(self, outcome: Outcome) -> list[str]:
        stored = "" if outcome.nbytes is None else f"{outcome.nbytes / MB:.1f}"
        times = outcome.times
        if outcome.over is not None:
            return [f"> {outcome.over:g}", "", "", "", "", ""]
        if times is None:
            return ["failed" if outcome.failure != "nothing was written" else "-", "", "", stored, "", ""]
        numbers = [_seconds(times.wall), _seconds(times.cpu), f"{times.peak / MB:.0f}", stored]
        ours = find(self.outcomes, outcome.workload, outcome.operation, "ours")
        if outcome.contestant == "ours" or ours is None or ours.times is None:
            return [*numbers, "", ""]
        return [*numbers, f"{times.wall / ours.times.wall:.2f}", f"{times.cpu / max(ours.times.cpu, 1e-9):.2f}"]


def find(outcomes: Sequence[Outcome], workload: str, operation: str, contestant: str) -> Outcome | None:
    """An outcome; of the two kinds of 0.9.2 the faster for ``peer``."""
    names = PEERS if contestant == "peer" else (contestant,)
    found = [o for o in outcomes if (o.workload, o.operation) == (workload, operation) and o.contestant in names]
    return min(found, key=lambda o: o.times.wall if o.times else float("inf"), default=None)


def judge(target: Target, outcomes: Sequence[Outcome]) -> Verdict:
    """Compare what was measured with what is wanted."""
    ours = find(outcomes, target.workload, target.operation, "ours")
    name = f"{target.workload}, {OPERATIONS[target.operation]}"
    times = None if ours is None else ours.times
    if target.against == "memory":
        assert target.at_most is not None
        wanted = f"at most {target.at_most / MB:.0f} MB"
        if times is None:
            return Verdict(f"{name}: peak memory", wanted, "-", "", None)
        return Verdict(f"{name}: peak memory", wanted, f"{times.peak / MB:.0f} MB", "", times.peak <= target.at_most)
    if target.against == "own read":
        other, label = find(outcomes, target.workload, "read", "ours"), "our whole read"
    else:
        other = find(outcomes, target.workload, target.operation, target.against)
        label = "0.9.2" if target.against == "peer" else CONTESTANTS[target.against]
    name = f"{name}, against {label}"
    wanted = f"{target.at_least:g} x faster" if target.at_least else f"at most {target.at_most:g} x its time"
    if times is None or other is None or (other.times is None and other.over is None):
        return Verdict(name, wanted, "-", "", None)
    if other.times is None:
        assert other.over is not None
        ratio = other.over / times.wall
        return Verdict(name, wanted, f"> {ratio:.1f} x", "", bool(target.at_least and ratio >= target.at_least) or None)
    wall, cpu = other.times.wall / times.wall, other.times.cpu / max(times.cpu, 1e-9)
    if target.at_least is not None:
        return Verdict(name, wanted, f"{wall:.1f} x", f"{cpu:.1f} x", wall >= target.at_least)
    assert target.at_most is not None
    return Verdict(name, wanted, f"{1 / wall:.2f} x", f"{1 / cpu:.2f} x", 1 / wall <= target.at_most)


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
