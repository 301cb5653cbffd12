"""One question, in a process of its own; started as ``python query_worker.py JSON``, answers with one line of JSON.

Points lie evenly in a cube of 4096 chunks. The attribute ``value`` is a hill in one corner with some noise on it, so
that its highest values lie close together, as those of labels, tissues or returns from one roof do.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np

EDGE = 10.0
SIDE = 160.0
"""Of the cube; 16 chunks along each axis."""
GROUP_ROWS = 32_768
"""Of a row group where rows are sorted by chunk."""
REPEATS = 7
MOVED = 1000


def main() -> None:
    task = json.loads(sys.argv[1])
    print(json.dumps(globals()[task["do"]](Path(task["folder"]), task["rows"])))


def timed(ask: Callable[[], Any]) -> dict[str, Any]:
    """Medians of several answers; the first does not count."""
    found = ask()
    walls, cpus = [], []
    for _ in range(REPEATS):
        cpu, wall = process_time(), perf_counter()
        found = ask()
        walls.append(perf_counter() - wall)
        cpus.append(process_time() - cpu)
    return {"wall": median(walls), "cpu": median(cpus), "found": found}


def cloud(rows: int) -> tuple[Any, Any]:
    """``(rows, 3)`` float32 positions, and the attribute."""
    chance = np.random.default_rng(0)
    # Rounded, a coordinate may come to lie on the far side, in a chunk of its own.
    positions = np.minimum(
        chance.uniform(0, SIDE, (rows, 3)).astype("f4"), np.nextafter(np.float32(SIDE), np.float32(0))
    )
    away = np.sqrt(((positions - np.float32(30)) ** 2).sum(axis=1))
    return positions, (1000 - away + chance.normal(0, 0.3, rows)).astype("f4")


def limit_of(rows: int) -> float:
    """Above which there is a thousandth of the values."""
    return float(np.partition(cloud(rows)[1], -max(1, rows // 1000))[-max(1, rows // 1000)])


def make(folder: Path, rows: int) -> dict[str, Any]:
    """The same rows in a store and in Parquet files, in the order given and sorted by chunk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    zv = importlib.import_module("zarr_vectors")
    positions, value = cloud(rows)
    zv.write(folder / "store", zv.Points(positions, {"value": value}), layout=zv.Layout(chunk_shape=EDGE))
    table = pa.table({**dict(zip("xyz", positions.T, strict=True)), "value": value})
    pq.write_table(table, folder / "plain.parquet", compression="zstd")
    chunk = np.ravel_multi_index(tuple((positions // EDGE).astype(int).T), (16, 16, 16))
    ordered = table.take(np.argsort(chunk, kind="stable"))
    pq.write_table(ordered, folder / "sorted.parquet", compression="zstd", row_group_size=GROUP_ROWS)
    return {"limit": limit_of(rows)}


def ours_where(folder: Path, rows: int) -> dict[str, Any]:
    """From the path to arrays, and the part of the chunks that is read."""
    zv = importlib.import_module("zarr_vectors")
    where = zv.col("value") >= limit_of(rows)
    done = timed(lambda: len(zv.open(folder / "store")[0].read(where=where).positions))
    plan = zv.open(folder / "store")[0].plan(where=where)
    return {**done, "chunks": plan.chunks / plan.present}


def duckdb_where(folder: Path, rows: int) -> dict[str, Any]:
    """The same of Parquet."""
    return _duckdb(folder / "plain.parquet", rows)


def duckdb_sorted_where(folder: Path, rows: int) -> dict[str, Any]:
    """The same of Parquet whose rows are sorted by chunk."""
    return _duckdb(folder / "sorted.parquet", rows)


def _duckdb(file: Path, rows: int) -> dict[str, Any]:
    duckdb = importlib.import_module("duckdb")
    query = f"SELECT x, y, z, value FROM '{file}' WHERE value >= {limit_of(rows)!r}::FLOAT"
    return timed(lambda: len(duckdb.sql(query).fetchnumpy()["x"]))


def ours_count(folder: Path, rows: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    """A box of 1 %, which cuts chunks on all sides, on an open level."""
    level = importlib.import_module("zarr_vectors").open(folder / "store")[0]
    return timed(lambda: level.count(bbox=([63.3] * 3, [97.8] * 3)))


def ours_count_large(folder: Path, rows: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    """The same of an eighth."""
    level = importlib.import_module("zarr_vectors").open(folder / "store")[0]
    return timed(lambda: level.count(bbox=([13.0] * 3, [93.0] * 3)))


def ours_limit(folder: Path, rows: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    """Ten points, on an open level."""
    level = importlib.import_module("zarr_vectors").open(folder / "store")[0]
    return timed(lambda: len(level.read(limit=10).positions))


def ours_move(folder: Path, rows: int) -> dict[str, Any]:
    """A thousand points moved, all near one place; which part of the stored objects is written anew."""
    zv = importlib.import_module("zarr_vectors")
    positions, value = cloud(rows)
    layout = zv.Layout(chunk_shape=EDGE, shard_shape=4, keep_order=True)
    zv.write(folder / "moved", zv.Points(positions, {"value": value}), layout=layout, mode="replace")
    store = zv.open(folder / "moved", "r+")
    near = store[0].near([30.0, 30.0, 30.0], MOVED)
    before = _stamps(folder / "moved")
    wall, cpu = perf_counter(), process_time()
    with store.edit() as edit:
        edit.update(row_ids=near.points.row_ids, positions=near.points.positions + np.float32(0.5))
    wall, cpu = perf_counter() - wall, process_time() - cpu
    after = _stamps(folder / "moved")
    cells = [path for path in before if "/c/" in path and "/cell_index/" not in path]
    return {"wall": wall, "cpu": cpu, "found": sum(before[path] != after.get(path) for path in cells) / len(cells)}


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


if __name__ == "__main__":
    main()
