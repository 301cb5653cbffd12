"""The long run of the fault harness.

Usage: python -m tests.faults [local] [s3] [moments] [COUNT] [JOB ...] [--server light|moto], by default both, and 200
kills at random moments in each, spread over all jobs; with ``moments`` these only, and not every step.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.faults.harness import Harness, local, on_s3
from tests.faults.jobs import JOBS
from tests.storage import s3

LAST = ("append", "edit", "edit a part", "vacuum linked levels")
"""Jobs of one commit which puts cell indexes last."""


def long_run(harness: Harness, count: int, jobs: list[str], *, disk: bool, steps: bool) -> None:
    began = time.monotonic()
    for name in jobs:
        if steps:
            harness.at_every_step(name, ("kill", "ENOSPC", "EACCES", "interrupt", "any") if disk else ("kill", "any"))
        if steps and name in LAST:
            harness.at_last_puts(name, ("kill", "any"))
        harness.at_random_moments(name, -(-count // len(jobs)))
        if disk and steps:
            harness.at_changes_of_the_disk(name, "ENOSPC", step=5)
            harness.at_changes_of_the_disk(name, "EACCES", step=7)
        print(f"  {name}: {harness.trials} trials, {harness.kept} left the store as it was,", end=" ")
        print(f"{time.monotonic() - began:.0f} s", flush=True)


def main(arguments: list[str]) -> None:
    server, arguments = s3.chosen(arguments)
    count = next((int(text) for text in arguments if text.isdecimal()), 200)
    places = [text for text in arguments if text in ("local", "s3")] or ["local", "s3"]
    steps = "moments" not in arguments
    jobs = [text for text in arguments if text in JOBS] or list(JOBS)
    if "local" in places:
        print("on a disk")
        with tempfile.TemporaryDirectory() as folder, local(Path(folder)) as harness:
            long_run(harness, count, jobs, disk=True, steps=steps)
    if "s3" in places:
        print(f"on an S3 server ({server})")
        with on_s3(server) as harness:
            long_run(harness, count, jobs, disk=False, steps=steps)


if __name__ == "__main__":
    main(sys.argv[1:])
