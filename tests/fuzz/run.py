"""Run the fuzz targets: ``python -m tests.fuzz.run --executions 1000000``; ``--only name --seed n`` repeats one."""

from __future__ import annotations

import argparse
import faulthandler
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
_TOLD_EVERY = 100_000
_HANGS = 60
"""Seconds after which an execution is not waited for any longer."""


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 if nothing but success and the allowed errors was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--suite", choices=sorted(_SUITES), default="decoders")
    parser.add_argument("--trace", action="store_true")
    given = parser.parse_args(arguments)
    targets = [t for t in _SUITES[given.suite]() if given.only in t.name]
    if not targets:
        parser.error("there is no such target")
    warnings.simplefilter("ignore")
    _limit_memory()
    faulthandler.enable()
    # By the clock of the processor: whoever shares the machine may stop the run for minutes.
    faulthandler.register(signal.SIGPROF, chain=True)
    failures: Counter[str] = Counter()
    done: Counter[str] = Counter()
    if given.seed is not None:
        for target in targets:
            _once(target, given.seed, failures, trace=True)
        return bool(failures)
    began = time.monotonic()
    number = given.first
    while number - given.first < given.executions and time.monotonic() - began < given.seconds:
        target = _pick(targets, number)
        _once(target, number, failures, trace=given.trace)
        done[target.name] += 1
        number += 1
        if (number - given.first) % _TOLD_EVERY == 0:
            print(f"{number - given.first} executions, {time.monotonic() - began:.0f} s", flush=True)
    seconds = time.monotonic() - began
    for name, count in sorted(done.items()):
        print(f"{count:9} {name}")
    print(f"{number - given.first} executions in {seconds:.0f} s, {sum(failures.values())} failures")
    for what, count in failures.most_common():
        print(f"{count:6} x {what}")
    return bool(failures)


def _broken(seed: random.Random) -> None:
    """What a target with a fault does; held by a test."""
    raise RuntimeError(f"a fault {seed.random()}")


def _broken_target() -> list[Target]:
    return [Target(name="broken", run=_broken)]


_SUITES: dict[str, Callable[[], list[Target]]] = {
    "decoders": decoder_targets,
    "stores": store_targets,
    "files": file_targets,
    "broken": _broken_target,
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
