"""Memory does not grow with the store: measured in processes of their own, for a small store and a large one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv

BATCH, CHANNELS = 100_000, 10
SMALL, LARGE = BATCH, 9 * BATCH
ROW_BYTES = 8 * (3 + 1 + CHANNELS)
JOBS = {
    "rechunk": "zv.rechunk(place, zv.RechunkSpec('spatial', spatial_chunk_shape=(30, 30, 30)))",
    "bounds": "set_bounds(open_store(place, mode='r+'), ([0, 0, 0], [99, 100, 100]), force=True)",
    "vacuum": "zv.open(place, 'r+').vacuum()",
}
# A process that is started knows the peak of the one that starts it for its own: a small one stands between.
LAUNCH = """if True:
    import resource, subprocess, sys
    subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
# Batches are smaller than by default, so that the large store is many of them without being slow to write.
JOB = """if True:
    import sys
    from importlib import import_module
    import zarr_vectors as zv
    from zarr_vectors.core.store import open_store, set_bounds
    for module, name in (("rechunk.source", "_BATCH_ROWS"), ("rechunk.crop", "_BATCH_ROWS"),
                         ("types.spill", "_GROUP_ROWS"), ("types.column_file", "_READ_ROWS")):
        loaded = import_module(f"zarr_vectors.{{module}}")
        assert getattr(loaded, name) > {batch}
        setattr(loaded, name, {batch})
    place = sys.argv[1]
    {job}
"""


def batches(rows: int) -> Iterator[zv.Points]:
    """Points of few objects."""
    rng = np.random.default_rng(1)
    for start in range(0, rows, BATCH):
        numbers = np.arange(start, start + BATCH)
        values = np.repeat(numbers[:, None] * 0.5, CHANNELS, axis=1)
        yield zv.Points(rng.uniform(0, 100, (BATCH, 3)), object_ids=numbers % 3, attributes={"a": values})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A small store and a large one."""
    folder, layout = tmp_path_factory.mktemp("memory"), zv.Layout(chunk_shape=25, shard_shape=1, compressor="none")
    for rows in (SMALL, LARGE):
        zv.write(folder / str(rows), batches(rows), layout=layout)
    return {rows: folder / str(rows) for rows in (SMALL, LARGE)}


def peak_of(job: str, place: Path) -> int:
    """Bytes of memory that a job needs at most."""
    code = JOB.format(batch=BATCH // 2, job=JOBS[job])
    command = [sys.executable, "-c", LAUNCH, code, str(place)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


# What a vacuum does is a rechunking into the chunks that there are.
@pytest.mark.parametrize("job", ["rechunk", "bounds", pytest.param("vacuum", marks=pytest.mark.long)])
def test_memory_is_bounded(job: str, stores: dict[int, Path]) -> None:
    """Jobs change the stores in place, one after another: what they leave is as large as before, but for the edge."""
    peaks = {rows: peak_of(job, place) for rows, place in stores.items()}
    assert peaks[LARGE] - peaks[SMALL] < (LARGE - SMALL) * ROW_BYTES / 2, peaks
