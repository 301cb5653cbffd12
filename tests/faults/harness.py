"""Harms writers and looks at what they leave: the store before or after, for readers and for the next writer."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr_vectors as zv
from tests.faults.deadline import start, stop, within
from tests.faults.jobs import JOBS, Job
from tests.faults.victim import FAILED, UNFINISHED
from tests.storage import s3
from tests.storage.faults import Place
from zarr_vectors.constants import GENERATION_KEY
from zarr_vectors.storage import commit, lease
from zarr_vectors.storage.backend import Backend, Get
from zarr_vectors.storage.commit import Step
from zarr_vectors.storage.record import ROOT
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend

Content = dict[str, bytes]
DEAD_SECONDS = 0.2
"""The harness knows that a victim is dead, and need not wait to be sure."""
TRIAL_SECONDS = 600
"""In which each trial comes to its end; most take one or two."""
NEW_STEPS = (Step.LOCKED, Step.ANNOUNCED, Step.FILLED, Step.CREATED, Step.SWEPT)
OLD_STEPS = (
    Step.LOCKED,
    Step.STAGED,
    Step.PREPARED,
    Step.RECORDED,
    Step.REMOVED,
    Step.MOVED,
    Step.PUBLISHED,
    Step.SWEPT,
)
"""Those of a store that exists."""


class Victims:
    """A process that runs jobs in children of its own.

    Args:
        ready: Whether it first imports what jobs would import as they go, which takes a while.
    """

    def __init__(self, *, ready: bool = False) -> None:
        self._process = start("tests.faults.victim", *["ready"] * ready, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, job: str, where: Where, fault: dict[str, Any]) -> dict[str, Any]:
        order = {"job": job, "url": where.url, "options": where.options, "fault": fault}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        stop(self._process)


def _plain(content: Content) -> Content:
    """Without what differs from run to run: blank lines of the root document, and what the cell index tells.

    Of a store that has been copied to where a trial is made it believes nothing, as all objects are new there.
    """
    told = {key: data for key, data in content.items() if key.startswith(".zv") or "/cell_index/" not in key}
    return {key: data.rstrip(b"\n") if key == ROOT else data for key, data in told.items()}


class Where:
    """A place for one store."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = url
        self.options = options

    def backend(self, *, read_only: bool = False) -> Backend:
        return open_backend(self.url, storage_options=self.options, read_only=read_only)

    def fill(self, content: Content) -> None:
        self.backend().put_all(content.items())

    def content(self) -> Content:
        """Everything that is there, empty folders and what is not part of the store included."""
        if self.options:
            backend = self.backend()
            keys = list(backend.list_prefix("", recursive=True))
            found = backend.fetch([Get(key) for key in keys])
            return _plain({key: bytes(data) for key, data in zip(keys, found, strict=True) if data is not None})
        return _plain(Place(Path(self.url)).content())

    def visible(self) -> Content:
        """What a reader sees."""
        storage = Storage(self.backend(read_only=True))
        root, _ = storage.read_root()
        if root is None:
            return {}
        keys = storage.list_keys("", recursive=True)
        found = storage.fetch(Get(key) for key in keys)
        assert None not in found.values()
        return _plain({get.path: bytes(data) for get, data in found.items() if data is not None})

    def remove(self) -> None:
        if not self.options:
            shutil.rmtree(self.url, ignore_errors=True)


class Harness:
    """Trials in one kind of place.

    Args:
        base: A folder, or the URL of a bucket.
        options: ``storage_options`` of the bucket.
        ready: Whether jobs find all modules, so that random moments meet them and not their imports.
    """

    def __init__(self, base: str, options: dict[str, Any] | None = None, *, ready: bool = False) -> None:
        self._base = base
        self._options = options or {}
        self._numbers = itertools.count()
        self._victims = Victims(ready=ready)
        self._known: dict[str, tuple[list[Content], float]] = {}
        self.trials = self.kept = 0
        """How many, and how many of them ended with the store as it was before."""
        self.met = False
        """Whether the disk refused anything in the last trial; a job may live with that."""

    def end(self) -> None:
        self._victims.end()

    def fresh(self, content: Content) -> Where:
        where = Where(f"{self._base}/{next(self._numbers)}/store", self._options)
        where.fill(content)
        return where

    def known(self, name: str) -> tuple[list[Content], float]:
        """What a store has before a job and after each commit of it, and how long the job takes."""
        if name not in self._known:
            job: Job = JOBS[name]
            where = self.fresh({})
            if job.before is not None:
                job.before(where.backend())
            before = where.content()
            # Twice, as whoever shares the machine may have stopped one of the runs for minutes.
            seconds = min(self._unharmed(name, where), self._unharmed(name, self.fresh(before)))
            after = where.content()
            assert after != before
            assert where.visible() == after
            between = self._between(job, before) if job.several else []
            self._known[name] = [before, *between, after], seconds
        return self._known[name]

    def _unharmed(self, name: str, where: Where) -> float:
        """How long a job takes that nothing happens to."""
        with within(TRIAL_SECONDS, name):
            done = self._victims.run(name, where, {})
        assert done["status"] == 0, f"{name} fails by itself"
        return float(done["seconds"])

    def _between(self, job: Job, before: Content) -> list[Content]:
        """What a store has after each commit of a job but the last; all of it is sound."""
        where = self.fresh(before)
        seen: list[Content] = []
        with watched_commits(lambda: seen.append(where.visible())):
            job.run(where.backend())
        for content in seen:
            result = zv.validate(self.fresh(content).backend())
            assert {problem.kind for problem in result.problems} <= {"level_stale", "index_missing"}, result.summary()
        return seen[:-1]

    def trial(self, name: str, fault: dict[str, Any]) -> int:
        """Harm a job, and check what it leaves; how it ended."""
        where = self.fresh(self.known(name)[0][0])
        with within(TRIAL_SECONDS, f"{name}, {fault}, {where.url}"):
            return self._checked(name, fault, where)

    def _checked(self, name: str, fault: dict[str, Any], where: Where) -> int:
        states, _ = self.known(name)
        done = self._victims.run(name, where, fault)
        status, self.met = int(done["status"]), bool(done["met"])
        told = f"{name}, {fault}, status {status}, {where.url}"
        seen = where.visible()
        assert seen in states, f"neither before nor after: {told}"
        made = states.index(seen)
        if status == 0:
            assert seen == states[-1], told
        elif status == UNFINISHED:
            assert made > fault.get("commits", 0), told
        elif status == FAILED:
            assert made < len(states) - 1, told
        if "commits" in fault and status:
            assert 0 <= made - fault["commits"] <= (status != FAILED), told
        with Storage(where.backend()).lock():
            pass
        assert where.visible() == seen, f"the next writer changed the store: {told}"
        assert where.content() == seen, f"something is left: {told}"
        if seen != states[-1] and self.trials % 3 == 0:
            self._run_again(JOBS[name], where, states[-1], told)
        where.remove()
        self.trials += 1
        self.kept += not made
        return status

    def _run_again(self, job: Job, where: Where, after: Content, told: str) -> None:
        """Do what a user does after a job was cut short, which makes of the store what the job would have made."""
        (job.again or job.run)(where.backend())
        wanted, got = without_generation(after), without_generation(where.visible())
        assert got == wanted, f"it cannot be done again: {told}"

    def at_every_step(self, name: str, errors: tuple[str, ...], commits: Iterable[int] | None = None) -> None:
        """Kill and fail a job at each step of its commits, or of some of them."""
        steps = NEW_STEPS if JOBS[name].before is None else OLD_STEPS
        commits = range(len(self.known(name)[0]) - 1) if commits is None else commits
        for number, step, error in itertools.product(commits, steps, errors):
            if number and step == Step.LOCKED:
                # The lock is held from the first commit to the last.
                continue
            status = self.trial(name, {"step": step, "error": error, "commits": number})
            # What fails when all is in its place costs a look at the store, and the commit is a success.
            failed = (FAILED, UNFINISHED, 0) if step == Step.PUBLISHED else (FAILED, UNFINISHED)
            expected = (-9,) if error == "kill" else failed
            assert status in expected, f"{name} was not met at {step!r}: {status}"

    def at_random_moments(self, name: str, count: int, seed: int = 0) -> None:
        """Kill a job at moments spread over the time that it takes."""
        moments = random.Random(f"{name} {seed}")
        seconds = self.known(name)[1]
        for _ in range(count):
            self.trial(name, {"after": moments.uniform(0, 1.1 * seconds)})

    def at_last_puts(self, name: str, errors: tuple[str, ...]) -> None:
        """Meet a job of one commit among the objects that it puts last, and before it records that all are there."""
        for error in errors:
            for number in range(10_000):
                if self.trial(name, {"last": number, "error": error}) == 0:
                    break
            assert number, f"{name} puts nothing last"

    def at_changes_of_the_disk(self, name: str, error: str, step: int = 1, first: int = 0) -> None:
        """From a change on, the disk refuses all others."""
        for change in range(first, 10_000, step):
            self.trial(name, {"change": change, "error": error})
            if not self.met:
                return


def without_generation(content: Content) -> Content:
    """A store but for the number of changes that it has seen, which hangs on how often a job was begun."""
    root = json.loads(content["zarr.json"])
    root["attributes"].pop(GENERATION_KEY, None)
    return {**content, "zarr.json": json.dumps(root).encode()}


@contextmanager
def watched_commits(ended: Callable[[], None]) -> Iterator[None]:
    """Call a function after each commit of this process."""
    before = commit.on_step
    commit.on_step = lambda step: ended() if step == Step.SWEPT else None
    try:
        yield
    finally:
        commit.on_step = before


@contextmanager
def local(folder: Path, *, ready: bool = False) -> Iterator[Harness]:
    harness = Harness(str(folder), ready=ready)
    try:
        yield harness
    finally:
        harness.end()


@contextmanager
def on_s3(server: str = "moto", *, ready: bool = False) -> Iterator[Harness]:
    before = lease.DEAD_SECONDS
    lease.DEAD_SECONDS = DEAD_SECONDS
    try:
        with s3.serving(server=server) as endpoint:
            harness = Harness(f"s3://{s3.BUCKET}", s3.for_obstore(endpoint), ready=ready)
            try:
                yield harness
            finally:
                harness.end()
    finally:
        lease.DEAD_SECONDS = before
