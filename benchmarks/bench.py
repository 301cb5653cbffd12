"""Measure this library side by side with zarr-vectors 0.9.2, Parquet and LAZ, and print ratios and targets.

Usage: python benchmarks/bench.py [--quick] [--repeat N] [--peer-repeat N] [--limit SECONDS] [--scratch FOLDER]

What is measured and how is told in benchmarks/README.md. Times never make it fail, wrong answers do.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from benchmarks.contest import Contest, Outcome, Workload
from benchmarks.report import Report, Target, Verdict, judge
from scripts.peer_env import peer_python

OUT = Path(__file__).with_name("out")
EVERYONE = ("ours", "peer", "peer_sharded", "parquet", "parquet_sorted", "laz")
IMPORT_SECONDS = 0.25
IMPORT_REPEAT = 9
STREAM_BYTES = 600e6
PACKAGES = ("numpy", "zarr", "zstandard", "pyarrow", "laspy", "lazrs")


def main() -> int:
    options = parse()
    console = Console(highlight=False)
    begun = loads()
    with tempfile.TemporaryDirectory(prefix="zv-bench-", dir=options.scratch) as scratch:
        contest = Contest(Path(scratch), peer_python(), options.limit, lambda line: console.print(line, soft_wrap=True))
        targets = []
        for workload in workloads(options):
            folder = contest.make_cloud(workload)
            contest.run(workload, folder)
            if workload.name == "10M compact":
                contest.ingest("10M from CSV", "csv", folder, workload)
                contest.ingest("10M from LAZ", "laz", folder, workload)
            targets += targets_of(workload, contest)
        verdicts = [judge(target, contest.outcomes) for target in targets]
        verdicts.append(import_verdict(contest))
        title = [machine(), f"Load averages before: {begun}; after: {loads()}. Scratch: {scratch}"]
        report = Report(title, [note(w, contest) for w in workloads(options)], contest.outcomes, verdicts)
    report.show(console)
    report.save(OUT)
    console.print(f"Saved as {OUT / 'latest.md'} and {OUT / 'latest.json'}", soft_wrap=True)
    return complain(contest.outcomes, console)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="only 1M points, 0.9.2 once, the others 3 times")
    parser.add_argument("--repeat", type=int, help="rounds (default 5)")
    parser.add_argument("--peer-repeat", type=int, help="rounds of 0.9.2 (default 3 at 1M points, 1 at 10M)")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which 0.9.2 is stopped (default 300)")
    parser.add_argument(
        "--scratch", type=Path, help="folder on a local disk with 5 GB to spare (default: the system's)"
    )
    return parser.parse_args()


def workloads(options: argparse.Namespace) -> list[Workload]:
    repeat = options.repeat or (3 if options.quick else 5)
    few = options.peer_repeat or (1 if options.quick else 3)
    once = options.peer_repeat or 1
    every = ("write", "read", "box", "box_again", "objects", "validate")
    small = Workload("1M compact", 1_000_000, "compact", every, EVERYONE, repeat, few)
    owners = ("ours", "peer", "peer_sharded")
    random = Workload("1M random ids", 1_000_000, "random", ("write", "read"), owners, repeat, once)
    large = Workload("10M compact", 10_000_000, "compact", ("write", "read", "box"), EVERYONE, repeat, once)
    return [small] if options.quick else [small, random, large]


def targets_of(workload: Workload, contest: Contest) -> list[Target]:
    """What is wanted of a workload; the one with random ids only states the cost."""
    name = workload.name
    against_parquet = [
        Target(name, "read", "parquet", at_most=1.2),
        Target(name, "box", "parquet", at_least=5),
    ]
    if name == "1M compact":
        return [
            Target(name, "write", "peer", at_least=15),
            Target(name, "read", "peer", at_least=8),
            Target(name, "box", "peer", at_least=4),
            Target(name, "validate", "peer", at_least=30),
            Target(name, "validate", "own read", at_most=3),
            *against_parquet,
        ]
    if name != "10M compact":
        return []
    return [
        Target(name, "write", "peer", at_least=5),
        Target(name, "read", "peer", at_least=2),
        *against_parquet,
        Target(name, "write", "memory", at_most=2.5 * contest.facts[name]["nbytes"] + 150e6),
        Target("10M from CSV", "write", "memory", at_most=STREAM_BYTES),
        Target("10M from LAZ", "write", "memory", at_most=STREAM_BYTES),
    ]


def import_verdict(contest: Contest) -> Verdict:
    zarr, ours, used = contest.import_seconds(
        ("import zarr", "import zarr_vectors", "from zarr_vectors import open"), IMPORT_REPEAT
    ).values()
    more = max(0.0, ours - zarr)
    return Verdict(
        "import zarr_vectors, beyond import zarr",
        f"at most {1000 * IMPORT_SECONDS:.0f} ms",
        f"{1000 * more:.0f} ms; {1000 * (used - zarr):.0f} ms with zv.open ({1000 * used:.0f} - {1000 * zarr:.0f})",
        "",
        more <= IMPORT_SECONDS,
    )


def note(workload: Workload, contest: Contest) -> str:
    facts = contest.facts[workload.name]
    return (
        f"{workload.name}: {workload.rows:,} points, {facts['nbytes'] / 1e6:.0f} MB of input, in {facts['chunks']:,} "
        f"chunks with {facts['fragments']:,} fragments; the box holds {facts['digests']['box'][0]:,} points"
    )


def machine() -> str:
    """What ran this, in one line."""
    installed = []
    for package in PACKAGES:
        try:
            installed.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            installed.append(f"no {package}")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=OUT.parent
    ).stdout.strip()
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{', '.join(installed)}; commit {commit or 'unknown'}"
    )


def loads() -> str:
    return "/".join(f"{load:.1f}" for load in os.getloadavg())


def complain(outcomes: list[Outcome], console: Console) -> int:
    """Name what failed; 1 if anything did."""
    failed = [outcome for outcome in outcomes if outcome.failure not in {None, "nothing was written"}]
    for outcome in failed:
        what = f"{outcome.workload}, {outcome.operation}, {outcome.contestant}"
        console.print(f"FAILED {what}: {outcome.failure}", style="red", soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as problem:  # the environment of 0.9.2 cannot be built
        sys.exit(str(problem))
