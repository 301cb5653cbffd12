"""Read beside a writer that appends, replaces and cuts anew: every read is one of the states that were committed.

With ``write URL OPTIONS TURNS`` this program is the writer alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.faults.deadline import run_program, within
from tests.faults.harness import Where
from tests.faults.verdict import Run
from tests.storage import s3
from zarr_vectors.exceptions import ConcurrentEditError, ObjectNotFoundError

LAYOUT = zv.Layout(chunk_shape=10, shard_shape=2)
BOUNDS = ([0, 0], [40, 40])
BOX = ([5.0, 5.0], [25.0, 35.0])
PAUSES = (0.0, 0.05)
"""Of each reader, between two reads."""
ROWS = 60
TURN_SECONDS = 10
"""Within which each commit is done, and each read."""


def version(number: int) -> zv.Points:
    """What a turn writes: rows that say of which turn they are, in objects of three."""
    rng = np.random.default_rng(number)
    ids = np.repeat(ROWS * number + np.arange(ROWS // 3), 3)
    return zv.Points(rng.uniform(0, 40, (ROWS, 2)), attributes={"by": np.full(ROWS, number)}, object_ids=ids)


def states(turns: int) -> list[frozenset[int]]:
    """Whose rows are there after each turn; 0 has made the store."""
    found = [frozenset({0})]
    for turn in range(1, turns + 1):
        replaces, cuts = turn % 5 == 4, turn % 5 == 2
        found.append(frozenset({turn}) if replaces else found[-1] if cuts else found[-1] | {turn})
    return found


def write(where: Where, turns: int) -> None:
    """All turns, one after another."""
    for turn in range(1, turns + 1):
        target: Any = where.backend()
        if turn % 5 == 4:
            zv.write(target, version(turn), mode="replace", layout=LAYOUT, bounds=BOUNDS)
        elif turn % 5 == 2:
            size = (20, 20) if turn % 10 == 2 else (8, 8)
            zv.rechunk(target, zv.RechunkSpec("spatial", spatial_chunk_shape=size))
        else:
            zv.write(target, version(turn), mode="append")


@dataclass
class Reader:
    """Reads again and again, and holds every answer against the states, which must not go back.

    Args:
        where: The store.
        turns: Of the writer.
        done: Whether the writer has come to its end.
        pause: Between two reads, in seconds.
    """

    where: Where
    turns: int
    done: threading.Event
    pause: float
    reads: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._states = states(self.turns)
        self._at = 0

    def run(self) -> None:
        try:
            level = None
            number = 0
            while not self.done.is_set() or number < 6:
                number += 1
                time.sleep(self.pause)
                try:
                    if level is None or number % 7 == 0:
                        level = zv.open(self.where.backend(read_only=True))[0]
                    (self._whole, self._box, self._object)[number % 3](level)
                except ConcurrentEditError:
                    self.reads["changed again"] += 1
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits for the thread
            self.errors.append(error)

    def _whole(self, level: zv.ZVLevel) -> None:
        self._check("whole", level.read(), None)

    def _box(self, level: zv.ZVLevel) -> None:
        self._check("box", level.read(bbox=BOX), BOX)

    def _check(self, what: str, got: Any, box: Any) -> None:
        by = np.asarray(got.attributes["by"])
        seen = frozenset(by.tolist())
        fitting = [at for at in range(self._at, len(self._states)) if self._states[at] == seen]
        assert fitting, f"{what}: rows of {sorted(seen)}, which was no state from {self._at} on"
        self._at = fitting[0]
        for number in seen:
            all_rows = version(number).positions
            inside = np.ones(ROWS, bool) if box is None else ((all_rows >= box[0]) & (all_rows <= box[1])).all(axis=1)
            assert sorted(got.positions[by == number].tolist()) == sorted(all_rows[inside].tolist()), what
        self.reads[what] += 1

    def _object(self, level: zv.ZVLevel) -> None:
        number = max(self._states[self._at])
        try:
            got = level.read(object_ids=[ROWS * number + 7])
        except ObjectNotFoundError:
            assert any(number not in state for state in self._states[self._at :]), "it has been there all the time"
            self.reads["object that is gone"] += 1
            return
        assert sorted(got.positions.tolist()) == sorted(version(number).positions[21:24].tolist())
        self.reads["object"] += 1


def run(where: Where, turns: int) -> Counter[str]:
    """How many reads of which kind there were beside so many turns of a writer."""
    zv.write(where.backend(), version(0), layout=LAYOUT, bounds=BOUNDS)
    done = threading.Event()
    readers = [Reader(where, turns, done, pause) for pause in PAUSES]
    threads = [threading.Thread(target=reader.run, daemon=True) for reader in readers]
    for thread in threads:
        thread.start()
    told = ["write", where.url, json.dumps(where.options), str(turns)]
    try:
        run_program("tests.faults.readers", told, seconds=60 + TURN_SECONDS * turns)
    finally:
        done.set()
        with within(TURN_SECONDS * turns, "the last reads"):
            for thread in threads:
                thread.join()
    for reader in readers:
        for error in reader.errors:
            raise error
    final = zv.open(where.backend(read_only=True))[0].read()
    assert {*np.asarray(final.attributes["by"]).tolist()} == states(turns)[-1]
    return sum((reader.reads for reader in readers), Counter())


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.readers", description=__doc__)
    parser.add_argument("--commits", type=int, default=150, metavar="N", help="of the writer")
    parser.add_argument("--server", choices=list(s3.SERVERS), default="light", help="moto takes a second for a commit")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["write"]:
        _, url, options, count = arguments
        write(Where(url, json.loads(options)), int(count))
        return 0
    given = parsed(arguments)
    told = Run(f"Readers beside a writer, on an S3 server ({given.server})", "a minute")
    turns = given.commits
    with told.part(f"readers beside {turns} commits"), s3.serving(server=given.server) as endpoint:
        reads = run(Where(f"s3://{s3.BUCKET}/store", s3.for_obstore(endpoint)), turns)
        told.tell(f"{turns} commits, reads: {dict(reads)}")
        assert min(reads[what] for what in ("whole", "box", "object")) >= turns // 2, f"readers were starved: {reads}"
    return told.end("every read was one of the states that were committed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
