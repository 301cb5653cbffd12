"""From a LiDAR file to answers and a picture, in five steps; copy from it what you need.

The scan shows a river bank near Autzen Stadium in Oregon, with trees, paths and one end of a footbridge: 110,000
points in feet, with all that the scanner recorded of each. ``make demo`` runs this from the root of the repository.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from rich.console import Console

import zarr_vectors as zv
from zarr_vectors.formats.registry import export, ingest
from zarr_vectors.view.plot import plot

SCAN = Path("demo/autzen_trim.laz")
OUT = Path("demo/out")
BRIDGE = {"x": (636_430, 636_540), "y": (849_245, 849_450), "z": (435, 445)}

say = Console(highlight=False, soft_wrap=True).print


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print what is done, and at the end how long it took."""
    say(f"[bold]{title}[/bold]")
    begin = perf_counter()
    yield
    say(f"  [green]{1000 * (perf_counter() - begin):,.0f} ms[/green]\n")


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    target = OUT / "autzen.zarrvectors"

    with step(f"Convert {SCAN} to a store"):
        report = ingest(SCAN, target)
        say(f"  {report.vertex_count:,} points, {report.chunk_count} chunks of {report.chunk_shape}")

    with step("Open the store"):
        store = zv.open(target)
        level = store[0]
        for axis, low, high in zip(store.axes, *store.bounds, strict=True):
            say(f"  {axis.name} from {low:,.2f} to {high:,.2f} {axis.unit or ''}".rstrip())
        say(f"  attributes: {', '.join(level.attributes)}")

    with step("Ask for the footbridge: a box, and one attribute of the points in it"):
        bridge = level.read(bbox=BRIDGE, attributes=["intensity"])
        intensity = bridge["intensity"]
        say(f"  {bridge.vertex_count:,} of {level.vertex_count:,} points, {bridge.positions[:, 2].mean():.2f} high")
        say(f"  intensity from {intensity.min()} to {intensity.max()}, on average {intensity.mean():.1f}")

    with step("Save the footbridge, with all attributes, as Parquet"):
        rows = export(store, OUT / "footbridge.parquet", bbox=BRIDGE)
        say(f"  {rows:,} rows in {OUT / 'footbridge.parquet'}")

    with step("Draw the scan in its own colours"):
        points = level.read(attributes=["red", "green", "blue"])
        plot(points, OUT / "autzen.png", color="rgb", title="A river bank at Autzen")
        say(f"  {OUT / 'autzen.png'}")

    say(f"The store is {target}. Ask it more:\n  .venv/bin/zv info {target}")


if __name__ == "__main__":
    main()
