"""One measurement, or one preparation, in a process of its own.

Started as ``python worker.py JSON``; answers with one line of JSON. It runs in the environment of the contestant, so
that nothing but numpy and the contestant's own library may be imported here.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.cloud import CSV_COLUMNS, Answers, Cloud, digest, make

REHEARSAL_ROWS = 4000
SHORT_SECONDS = 0.5
SHORT_TIMES = 7


def main() -> None:
    task = json.loads(sys.argv[1])
    print(json.dumps(TASKS[task.pop("do")](**task)))


def make_cloud(folder: str, rows: int, ids: str) -> dict[str, Any]:
    """The input of a workload, as .npy files, and the answers."""
    cloud, answers = make(rows, ids)
    cloud.save(Path(folder))
    answers.save(Path(folder))
    return vars(answers)


def make_csv(folder: str, path: str) -> dict[str, Any]:
    """The cloud as a CSV file."""
    csv: Any = importlib.import_module("pyarrow.csv")
    parquet = importlib.import_module("benchmarks.contestants.parquet")
    csv.write_csv(parquet.as_table(Cloud.load(Path(folder))).select(list(CSV_COLUMNS)), path)
    return {}


def make_laz(folder: str, path: str) -> dict[str, Any]:
    """The cloud as a LAZ file."""
    importlib.import_module("benchmarks.contestants.laz").write(Cloud.load(Path(folder)), Path(path))
    return {}


def measure(contestant: str, operation: str, folder: str, path: str) -> dict[str, Any]:
    """Time one operation, after a rehearsal on a small cloud.

    The rehearsal pays what a process pays once: imports on first use, thread pools, compiled patterns. A short
    question is asked several times, and the median counts.

    Args:
        contestant: A module of ``benchmarks.contestants``.
        operation: ``write``, ``read``, ``box``, ``box_again`` (on a store that is open and has answered the same
            question before), ``objects`` or ``validate`` (at level 3).
        folder: The cloud.
        path: What the operation writes or reads.
    """
    module = importlib.import_module(f"benchmarks.contestants.{contestant}")
    answers = Answers.load(Path(folder))
    small, small_answers = make(REHEARSAL_ROWS, "compact")
    rehearsal = Path(f"{path}.rehearsal")
    module.write(small, rehearsal)
    if operation == "validate":
        module.validate(rehearsal)
    elif operation != "write":
        _question(module, operation, rehearsal, small_answers)()
    _remove(rehearsal)
    # What others have written must not be flushed while the clock runs.
    os.sync()
    if operation == "write":
        cloud = Cloud.load(Path(folder))
        return _timed(lambda: module.write(cloud, Path(path)))
    if operation == "validate":
        # What finds everything in order has nothing to show.
        question: Callable[[], Cloud | None] = lambda: module.validate(Path(path))  # noqa: E731
    else:
        question = _question(module, operation, Path(path), answers)
    samples = [_timed(question)]
    while len(samples) < SHORT_TIMES and sum(sample["wall"] for sample in samples) < SHORT_SECONDS:
        samples.append(_timed(question))
    middle = {name: statistics.median(sample[name] for sample in samples) for name in ("wall", "cpu")}
    return {**samples[0], **middle}


def ingest(source: str, path: str) -> dict[str, Any]:
    """Stream a file into a store of ours; the rows are counted and summed by reading it back."""
    ours = importlib.import_module("benchmarks.contestants.ours")
    sample = _timed(lambda: ours.ingest(Path(source), Path(path)))
    return {**sample, "digest": digest(ours.read(ours.opened(Path(path))))}


def _question(module: Any, operation: str, path: Path, answers: Answers) -> Callable[[], Cloud]:
    if operation == "read":
        return lambda: module.read(module.opened(path))
    if operation == "box":
        return lambda: module.box(module.opened(path), answers.lo, answers.hi)
    if operation == "objects":
        return lambda: module.objects(module.opened(path), answers.ids)
    assert operation == "box_again"
    handle = module.opened(path)
    module.box(handle, answers.lo, answers.hi)
    return lambda: module.box(handle, answers.lo, answers.hi)


def _timed(operation: Callable[[], Cloud | None]) -> dict[str, Any]:
    gc.collect()
    cpu, wall = process_time(), perf_counter()
    result = operation()
    wall, cpu = perf_counter() - wall, process_time() - cpu
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"wall": wall, "cpu": cpu, "peak": peak, "digest": None if result is None else digest(result)}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "cloud": make_cloud,
    "csv": make_csv,
    "laz": make_laz,
    "measure": measure,
    "ingest": ingest,
}

if __name__ == "__main__":
    main()
