"""Pyramids side by side with those of 0.9.2, and with fast-simplification; part of ``make bench``.

Usage: python benchmarks/pyramid_contest.py [--quick] [--repeat N] [--limit SECONDS]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.processes import answer_of
from scripts.peer_env import peer_python

OUT = Path(__file__).with_name("out") / "pyramids"
WORKER = Path(__file__).with_name("pyramid_worker.py")


@dataclass(frozen=True)
class Question:
    """What is asked of two.

    Args:
        name: Shown in the table.
        make: What the stores hold, as the worker calls it.
        size: Of that.
        ours, other: Who does what, as the worker calls them; None for nobody.
        argument: Passed along.
        wanted: How many times faster than the other ours is to be.
        most_bytes: What ours may take of memory at most.
    """

    name: str
    make: str
    size: int
    ours: str
    other: tuple[str, str] | None
    argument: int
    wanted: float | None = None
    most_bytes: float | None = None


def questions(scale: int) -> list[Question]:
    """All of them, so many times smaller."""
    return [
        Question("one level of 1M points", "points", 10**6 // scale, "build", ("peer", "build"), 1, 8),
        Question("two levels of 10k streamlines", "streamlines", 10**4 // scale, "build", ("peer", "build"), 2, 5),
        Question(
            "a tenth of a 1M-face mesh",
            "mesh",
            10**6 // scale,
            "tenth",
            ("simplification", "tenth"),
            10**6 // scale,
            1 / 3,
        ),
        Question("all levels of 10M points", "points", 10**7 // scale, "automatic", None, 0, most_bytes=600e6),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of all but 0.9.2, which takes part once")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which the others are stopped")
    options = parser.parse_args()
    console = Console(highlight=False)
    rows = []
    with tempfile.TemporaryDirectory(prefix="zv-bench-") as scratch:
        for question in questions(10 if options.quick else 1):
            rows.append(_answered(question, Path(scratch), options.repeat, options.limit))
            console.print(_line(rows[-1]), soft_wrap=True)
    table = Table("pyramid", "ours s", "CPU s", "peak MB", "other s", "factor", "wanted", title="pyramids")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "report.json").write_text(json.dumps(rows, indent=2))
    return 0


def _line(row: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())


def _answered(question: Question, scratch: Path, repeat: int, limit: float) -> dict[str, str]:
    """Both take turns; each time on a store of its own."""
    ours, others = [], []
    base = scratch / "base-ours"
    _work("ours", f"make_{question.make}", base, question.size)
    for turn in range(repeat):
        path = scratch / "ours"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(base, path)
        ours.append(_work("ours", question.ours, path, question.argument))
        if question.other is not None and _can(question.other[0]) and (turn == 0 or question.other[0] != "peer"):
            others.append(_other(question, scratch, limit))
    shutil.rmtree(base)
    wall, cpu = (median(one[name] for one in ours) for name in ("wall", "cpu"))
    known = [one for one in others if one is not None]
    other = median(one["wall"] for one in known) if known else None
    wanted = f"{question.wanted:.2g}" if question.wanted else f"at most {(question.most_bytes or 0) / 1e6:.0f} MB"
    return {
        "pyramid": question.name,
        "ours": f"{wall:.3g}",
        "cpu": f"{cpu:.3g}",
        "peak": f"{max(one['peak'] for one in ours) / 1e6:.0f}",
        "other": f"{other:.3g}" if other else (f"more than {limit:g}" if others else "-"),
        "factor": f"{other / wall:.3g}" if other else "-",
        "wanted": wanted,
    }


def _other(question: Question, scratch: Path, limit: float) -> dict[str, Any] | None:
    assert question.other is not None
    who, what = question.other
    path = scratch / "other"
    shutil.rmtree(path, ignore_errors=True)
    if who == "peer":
        _work(who, f"make_{question.make}", path, question.size)
    try:
        return _work(who, what, path, question.argument, limit)
    except subprocess.TimeoutExpired:
        return None


def _can(who: str) -> bool:
    return who != "simplification" or find_spec("fast_simplification") is not None


def _work(who: str, what: str, path: Path, size: int, limit: float | None = None) -> dict[str, Any]:
    task = {"who": who, "what": what, "path": path, "size": size}
    return answer_of(WORKER, task, peer=peer_python() if who == "peer" else None, limit=limit)


if __name__ == "__main__":
    sys.exit(main())
