"""Let many processes append to one store at once, and hold that every row is there once.

``stopped`` stops them for longer than others wait. With ``together URL OPTIONS PROCESSES TURNS HOW`` this program is so
many writers, children of a process that has touched nothing yet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.faults.deadline import run_program
from tests.faults.harness import Where
from tests.faults.verdict import Run
from tests.storage import s3
from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.exceptions import ConcurrentEditError, UnfinishedCommitError
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage import lease
from zarr_vectors.storage.backend import Backend
from zarr_vectors.storage.storage import Storage

WHERES = ("same", "disjoint", "outside", "stopped")
SIDE = 100.0
ROWS = 3
PROCESSES = 8
STOPPED_LEASE_SECONDS = 2.0
APPEND_SECONDS = 5
"""Within which each append is done, with all others at once."""


def points(number: int, turn: int, where: str) -> zv.Points:
    """What a writer appends: objects of its own, in cells that all write to, or in a column of its own."""
    rng = np.random.default_rng([number, turn])
    low, high = {
        "same": (0.0, 20.0),
        "stopped": (0.0, 20.0),
        "disjoint": (10.0 * number, 10.0 * number + 9),
        "outside": (-60.0, 0.0),
    }[where]
    xy = np.stack([rng.uniform(low, high, ROWS), rng.uniform(0, 20, ROWS)], axis=1)
    mark = 10_000 * number + turn
    return zv.Points(xy, attributes={"mark": np.full(ROWS, mark)}, object_ids=np.full(ROWS, mark))


def begin(where: Where) -> None:
    start = zv.Points(np.zeros((1, 2)), attributes={"mark": [-1]}, object_ids=[999_999_999])
    layout = zv.Layout(chunk_shape=10, shard_shape=2, keep_order=True)
    zv.write(where.backend(), start, layout=layout, bounds=([0, 0], [SIDE, 20]))


def run(where: Where, processes: int, turns: int, how: str) -> Counter[str]:
    """Let all write, and wait for them; what they have told."""
    begin(where)
    told = ["together", where.url, json.dumps(where.options), str(processes), str(turns), how]
    said = run_program("tests.faults.writers", told, seconds=120 + APPEND_SECONDS * processes * turns)
    return Counter(said.splitlines())


def check(where: Where, processes: int, turns: int, how: str) -> None:
    """Every row is there once, ids are unique, and counts, bounds and presence lists are right."""
    storage = Storage(where.backend(read_only=True))
    root, documents = open_root(storage, ["0/zarr.json"])
    level = open_level(storage, root, 0, documents["0/zarr.json"])
    store = zv.open(where.backend(read_only=True))
    got = store[0].read()
    wanted = [points(number, turn, how) for number in range(processes) for turn in range(turns)]
    count = ROWS * len(wanted) + 1
    marks, ids = np.asarray(got.attributes["mark"]), np.asarray(got.object_ids)
    assert len(got.positions) == store[0].vertex_count == count
    assert sorted(got.row_ids.tolist()) == list(range(count))
    assert (marks[marks >= 0] == ids[marks >= 0]).all()
    rows = sorted(zip(marks[marks >= 0].tolist(), got.positions[marks >= 0].tolist(), strict=True))
    expected = [(int(value.object_ids[0]), row) for value in wanted for row in value.positions.tolist()]  # type: ignore[index]
    assert rows == sorted(expected)
    assert sorted(store[0].objects.ids.tolist()) == [*sorted(int(v.object_ids[0]) for v in wanted), 999_999_999]  # type: ignore[index]
    low, high = (np.asarray(corner) for corner in store.bounds)
    assert ((got.positions >= low) & (got.positions <= high)).all()
    cells = np.unique(np.floor(got.positions / 10).astype(np.int64), axis=0)
    keys = set(storage.list_keys("", recursive=True))
    for array in level.cells.values():
        assert set(array.keys or ()) == set(format_keys(cells)), array.path
        stored = {array.object_path(row) for row in array.locate(cells)[0].tolist()}
        assert {key for key in keys if key.startswith(f"{array.path}/c/")} == stored
    left = [key for key in where.backend().list_prefix("", recursive=True) if key.startswith(".zv")]
    assert left == []


def write(where: Where, number: int, turns: int, how: str) -> None:
    """All turns; those that the library says have not happened once more."""
    backend = where.backend()
    for turn in range(turns):
        while not _appended(backend, points(number, turn, how), how == "stopped"):
            pass


def _appended(backend: Backend, value: zv.Points, may_lose: bool) -> bool:
    try:
        zv.write(backend, value, mode="append", out_of_bounds="expand")
    except UnfinishedCommitError:
        print("happened all the same", flush=True)
    except ConcurrentEditError as error:
        if not may_lose:
            raise
        print(f"lost: {error}".partition("\n")[0], flush=True)
        return False
    return True


def try_all(report: Run, base: str, options: dict[str, Any], hows: Sequence[str], turns: int) -> None:
    for how in hows:
        where = Where(f"{base}/{how}", options)
        told = f"{PROCESSES * turns} appends of {PROCESSES} processes, {how}"
        with report.part(f"{told}, {where.url}"):
            said = run(where, PROCESSES, turns, how)
            check(where, PROCESSES, turns, how)
            for line, count in said.most_common():
                print(f"    {count} x {line}")
            report.tell(f"{told}: nothing lost")


def write_together(where: Where, processes: int, turns: int, how: str) -> int:
    """Whether any of so many children has failed."""
    if how == "stopped":
        lease.LEASE_SECONDS = lease.DEAD_SECONDS = STOPPED_LEASE_SECONDS
    children = []
    for number in range(processes):
        child = os.fork()
        if not child:
            try:
                write(where, number, turns, how)
            except BaseException:  # noqa: BLE001 - a child of a fork must not go on with its parent's work
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    if how == "stopped":
        return _end_of_stopped(children)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _end_of_stopped(children: list[int]) -> int:
    """Stop half of the children again and again, at times for so long that the others take them for dead."""
    moments, left, worst = random.Random(0), list(children), 0
    while left:
        stopped = moments.sample(left, (len(left) + 1) // 2)
        for child in stopped:
            os.kill(child, signal.SIGSTOP)
        time.sleep(moments.uniform(0.1, 2.5) * STOPPED_LEASE_SECONDS)
        for child in stopped:
            os.kill(child, signal.SIGCONT)
        time.sleep(moments.uniform(0, 0.5))
        for other in list(left):
            ended, status = os.waitpid(other, os.WNOHANG)
            if ended:
                left.remove(other)
                worst = max(worst, abs(os.waitstatus_to_exitcode(status)))
    return worst


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.writers", description=__doc__)
    add = parser.add_argument
    add("--on", choices=["disk", "s3"], help="only there; without it on both")
    add("--how", nargs="+", choices=WHERES, default=WHERES, help="only so; stopped is tried on S3 alone")
    add("--appends", type=int, default=1000, metavar="N", help="of all processes together, for each way and place")
    add("--server", choices=list(s3.SERVERS), default="light", help="for S3; moto takes a second for a commit")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    if len(arguments) == 6 and arguments[0] == "together":
        _, url, options, processes, turns, how = arguments
        return write_together(Where(url, json.loads(options)), int(processes), int(turns), how)
    given = parsed(arguments)
    turns = -(-given.appends // PROCESSES)
    told = Run("Many writers at once", "10 minutes for all of it")
    if given.on != "s3":
        print("on a disk", flush=True)
        with told.folder() as folder:
            try_all(told, str(folder), {}, [how for how in given.how if how != "stopped"], turns)
    if given.on != "disk":
        print(f"on an S3 server ({given.server})", flush=True)
        with s3.serving(server=given.server) as endpoint:
            try_all(told, f"s3://{s3.BUCKET}", s3.for_obstore(endpoint), given.how, turns)
    return told.end("every row that was appended is there once")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
