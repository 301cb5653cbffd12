"""Several processes that write through groups of one store."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import zarr_vectors as zv
from tests.core.group_jobs import write_cells_and_attributes

WRITERS, TIMES = 2, 15


def test_nothing_is_lost_between_processes(tmp_path: Path) -> None:
    root = zv.create_store(tmp_path / "s", bounds=([0, 0], [9, 99]), chunk_shape=(1, 1))
    place = str(tmp_path / "s")
    with ProcessPoolExecutor(WRITERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(write_cells_and_attributes, place, number, TIMES) for number in range(WRITERS)]
        for job in jobs:
            job.result()
    level = root["0"]
    expected = [(number, step) for number in range(WRITERS) for step in range(TIMES)]
    assert level.list_chunk_coords("vertices") == expected
    for number, step in expected:
        assert level.read_bytes("vertices", (number, step)) == f"{number} {step}".encode()
        assert level.attrs[f"{number}.{step}"] == step
