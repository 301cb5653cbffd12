"""Kill and fail writers at every step, at random moments and at every change of the disk, and look at what they leave.

Each trial makes a store, harms one job on it, and holds what is left against the store before and after.
"""

from __future__ import annotations

import argparse
import sys

from tests.faults.harness import Harness, local, on_s3
from tests.faults.jobs import JOBS
from tests.faults.verdict import Run
from tests.storage import s3

LAST = ("append", "edit", "edit a part", "vacuum linked levels")
"""Jobs of one commit which puts cell indexes last."""


def long_run(run: Run, harness: Harness, count: int, jobs: list[str], *, disk: bool, steps: bool) -> None:
    for number, name in enumerate(jobs, 1):
        before, kept = harness.trials, harness.kept
        if steps:
            with run.part(f"{name}, at every step"):
                harness.at_every_step(
                    name, ("kill", "ENOSPC", "EACCES", "interrupt", "any") if disk else ("kill", "any")
                )
        if steps and name in LAST:
            with run.part(f"{name}, at what it puts last"):
                harness.at_last_puts(name, ("kill", "any"))
        with run.part(f"{name}, at random moments"):
            harness.at_random_moments(name, -(-count // len(jobs)))
        for error, step in (("ENOSPC", 5), ("EACCES", 7)) if disk and steps else ():
            with run.part(f"{name}, {error} at changes of the disk"):
                harness.at_changes_of_the_disk(name, error, step=step)
        trials, kept = harness.trials - before, harness.kept - kept
        run.tell(f"{number}/{len(jobs)} {name}: {trials} trials, {kept} left the store as it was before")


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    add = parser.add_argument
    add("--on", choices=["disk", "s3"], help="only there; without it on both")
    add("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS), metavar="JOB", help="only these")
    add("--list", action="store_true", help="name all jobs, and end")
    add("--moments", type=int, default=200, metavar="N", help="kills at random moments, of all jobs together")
    add("--only-moments", action="store_true", help="leave out steps and changes of the disk")
    add("--server", choices=list(s3.SERVERS), default="light", help="for S3; moto takes a second for a commit")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    given = parsed(arguments)
    if given.list:
        print(*JOBS, sep="\n")
        return 0
    run = Run("Writers that are killed and that fail", "20 minutes for all of it")
    trials = 0
    if given.on != "s3":
        print("on a disk", flush=True)
        with run.folder() as folder, local(folder, ready=True) as harness:
            long_run(run, harness, given.moments, given.jobs, disk=True, steps=not given.only_moments)
            trials += harness.trials
    if given.on != "disk":
        print(f"on an S3 server ({given.server})", flush=True)
        with on_s3(given.server, ready=True) as harness:
            long_run(run, harness, given.moments, given.jobs, disk=False, steps=not given.only_moments)
            trials += harness.trials
    return run.end(f"{trials} trials, and each left the store as it was before or as it is after")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
