"""Queries and edits: beside DuckDB on the same rows in Parquet, and against the clock; part of ``make bench``.

Usage: python benchmarks/query_contest.py [--quick] [--repeat N]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.processes import answer_of

OUT = Path(__file__).with_name("out") / "queries"
WORKER = Path(__file__).with_name("query_worker.py")


@dataclass(frozen=True)
class Question:
    """What is asked, as the worker calls it.

    Args:
        name: Shown in the table.
        do: Of the worker.
        rows: Of the cloud.
        wanted: Seconds that it may take; or the name of a question that is to take longer.
        part: What may be touched of all there is.
    """

    name: str
    do: str
    rows: int
    wanted: float | str | None = None
    part: float | None = None


def questions(scale: int) -> list[Question]:
    """All of them, so many times smaller."""
    many = 10**7 // scale
    return [
        Question("a thousandth by value", "ours_where", many, "duckdb_where", 0.05),
        Question("the same, DuckDB on Parquet", "duckdb_where", many),
        Question("the same, DuckDB on Parquet sorted by chunk", "duckdb_sorted_where", many),
        Question("count of a box of 1 %", "ours_count", many, 0.010),
        Question("count of a box of an eighth", "ours_count_large", many),
        Question("the first ten", "ours_limit", many, 0.020),
        Question("1000 points moved", "ours_move", 10**6 // scale),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, in which all take turns")
    options = parser.parse_args()
    console = Console(highlight=False)
    asked = questions(10 if options.quick else 1)
    answers: dict[str, list[dict[str, Any]]] = {one.do: [] for one in asked}
    with tempfile.TemporaryDirectory(prefix="zv-bench-") as scratch:
        _ask("make", Path(scratch), asked[0].rows)
        for _ in range(options.repeat):
            for one in asked:
                answers[one.do].append(_ask(one.do, Path(scratch), one.rows))
                console.print(f"{one.name}: {answers[one.do][-1]}", soft_wrap=True)
    rows = [_judged(one, answers) for one in asked]
    table = Table(*rows[0], title="queries and edits")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "report.json").write_text(json.dumps(rows, indent=2))
    return 0


def _judged(one: Question, answers: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    wall, cpu = (median(answer[name] for answer in answers[one.do]) for name in ("wall", "cpu"))
    last = answers[one.do][-1]
    wanted = ""
    if isinstance(one.wanted, str):
        wanted = f"less than {1000 * median(answer['wall'] for answer in answers[one.wanted]):.3g} ms"
    elif one.wanted is not None:
        wanted = f"{1000 * one.wanted:.3g} ms"
    touched = last.get("chunks", last["found"] if isinstance(last["found"], float) else None)
    return {
        "question": one.name,
        "ms": f"{1000 * wall:.3g}",
        "CPU ms": f"{1000 * cpu:.3g}",
        "wanted": wanted,
        "touched": "" if touched is None else f"{touched:.2%}",
        "wanted of it": "" if one.part is None else f"{one.part:.0%}",
    }


def _ask(what: str, folder: Path, rows: int) -> dict[str, Any]:
    return answer_of(WORKER, {"do": what, "folder": folder, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
