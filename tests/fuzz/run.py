"""Feed damaged bytes: nothing but success and errors of ours may come of it. ``--only name --seed n`` repeats one."""

from __future__ import annotations

import argparse
import faulthandler
import mmap
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.decoders import decoder_targets
from tests.fuzz.files import file_targets
from tests.fuzz.hostile_stores import store_targets
from tests.fuzz.targets import Target

__all__ = ["main"]

_ROOM = 1 << 30
_MOST_SHOWN = 3
_TOLD_EVERY = 60
"""Seconds between two lines that say how far a run is."""
_ROOM_TO_TELL = 4096
"""Bytes for what an execution is repeated with."""
_HANGS = 60
"""Seconds after which an execution is not waited for any longer."""


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 if nothing but success and the allowed errors was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    add = parser.add_argument
    add("--suite", choices=sorted(_SUITES), default="decoders", help="what is fed (default: %(default)s)")
    add("--executions", type=int, default=10**9, metavar="N", help="end after so many")
    add("--seconds", type=float, default=1e9, help="end after so long")
    add("--first", type=int, default=0, metavar="N", help="the number of the first; runs of other numbers differ")
    add("--only", default="", metavar="NAME", help="targets whose names contain this")
    add("--seed", type=int, metavar="N", help="nothing but the execution of this number, with a traceback")
    add("--trace", action="store_true", help="print tracebacks of all failures")
    given = parser.parse_args(arguments)
    return _watched(given) if given.seed is None else _run(given, bytearray(_ROOM_TO_TELL))


def _watched(given: argparse.Namespace) -> int:
    """Run in a child; what kills it, as a hang or a crash of compiled code does, is a failure that can be repeated."""
    at = mmap.mmap(-1, _ROOM_TO_TELL)
    sys.stdout.flush()
    child = os.fork()
    if not child:
        status = 2
        try:
            status = _run(given, at)
        except BaseException:  # noqa: BLE001 - a child of a fork must not go on with its parent's work
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status >= 0:
        return status
    told = bytes(at).partition(b"\0")[0].decode()
    print(f"FAILED {told}: the process has ended with {signal.Signals(-status).name}", flush=True)
    return 1


def _run(given: argparse.Namespace, at: bytearray | mmap.mmap) -> int:
    targets = [t for t in _SUITES[given.suite]() if given.only in t.name]
    if not targets:
        print(f"there is no target {given.only!r} in {given.suite}", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    _limit_memory()
    faulthandler.enable()
    # By the clock of the processor: whoever shares the machine may stop the run for minutes.
    faulthandler.register(signal.SIGPROF, chain=True)
    failures: Counter[str] = Counter()
    if given.seed is not None:
        for target in targets:
            _once(target, given.seed, failures, trace=True)
        return _verdict(given.suite, len(targets), 0, failures)
    limit = f"{given.executions} executions" if given.executions < 10**9 else f"{given.seconds:.0f} s"
    print(f"Damaged {given.suite}: {limit}, {len(targets)} targets, from number {given.first} on", flush=True)
    done: Counter[str] = Counter()
    began = told = time.monotonic()
    number = given.first
    while number - given.first < given.executions and time.monotonic() - began < given.seconds:
        target = _pick(targets, number)
        text = f"--suite {given.suite} --only '{target.name}' --seed {number}".encode()
        at[: len(text) + 1] = text + b"\0"
        _once(target, number, failures, trace=given.trace)
        done[target.name] += 1
        number += 1
        if time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            print(
                f"  {number - given.first} executions, {told - began:.0f} s, {sum(failures.values())} failures",
                flush=True,
            )
    for name, count in sorted(done.items()):
        print(f"{count:9} {name}")
    return _verdict(given.suite, number - given.first, time.monotonic() - began, failures)


def _verdict(suite: str, executions: int, seconds: float, failures: Counter[str]) -> int:
    for what, count in failures.most_common():
        print(f"{count:6} x {what}")
    verdict = "FAILED" if failures else "PASSED"
    print(
        f"{verdict}: {suite}, {executions} executions in {seconds:.0f} s, {sum(failures.values())} failures", flush=True
    )
    return bool(failures)


def _broken(seed: random.Random) -> None:
    """What a target with a fault does; held by a test."""
    raise RuntimeError(f"a fault {seed.random()}")


def _crashed(_: random.Random) -> None:
    """As compiled code does."""
    os.kill(os.getpid(), signal.SIGSEGV)


_SUITES: dict[str, Callable[[], list[Target]]] = {
    "decoders": decoder_targets,
    "stores": store_targets,
    "files": file_targets,
    "broken": lambda: [Target(name="broken", run=_broken)],
    "crashing": lambda: [Target(name="crashing", run=_crashed)],
}


def _pick(targets: list[Target], number: int) -> Target:
    return random.Random(number).choices(targets, [target.weight for target in targets])[0]


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _ROOM, used + _ROOM))


def _once(target: Target, number: int, failures: Counter[str], *, trace: bool) -> None:
    signal.setitimer(signal.ITIMER_PROF, _HANGS)
    began = time.process_time()
    try:
        target.run(random.Random(f"{target.name} {number}"))
    except target.allowed:
        pass
    except Exception as error:  # noqa: BLE001 (what it is about)
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if "/src/zarr_vectors/" in f.filename] or frames
        place = f"{own[-1].filename.rpartition('/')[2]}:{own[-1].lineno}"
        what = f"{type(error).__name__} at {place}"
        if failures[what] < _MOST_SHOWN:
            print(
                f"FAILED --only '{target.name}' --seed {number}: {type(error).__name__}: {str(error)[:200]} at {place}"
            )
            if trace:
                traceback.print_exc(limit=-14)
        failures[what] += 1
    seconds = time.process_time() - began
    if seconds > target.seconds:
        failures[f"{target.name}: slow"] += 1
        print(f"SLOW --only '{target.name}' --seed {number}: {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
