"""Processes and threads that append to one store at once lose nothing."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import cloud, memory, read

TIMES = 10


def append(place: str, writer: int, owned: bool) -> None:
    """Small appends over the same chunks."""
    for number in range(TIMES):
        rng = np.random.default_rng(1000 * writer + number)
        words = np.array([f"writer {writer}, append {number}"] * 5, dtype=object)
        value = 100 * writer + number
        ids = np.full(5, value) if owned else None
        points = cloud(rng.uniform(-5 - number, 5 + number, (5, 2)), {"v": np.full(5, value), "t": words}, ids)
        zv.write(place, points, mode="append", out_of_bounds="expand")


def check(place: str, owned: bool) -> None:
    level = zv.open(place)[0]
    points = level.read()
    values, counts = np.unique(np.asarray(points.attributes["v"]), return_counts=True)
    assert values.tolist() == [100 * writer + number for writer in (0, 1) for number in range(TIMES)]
    assert (counts == 5).all()
    assert level.vertex_count == points.vertex_count == 2 * TIMES * 5
    words = np.asarray(points.attributes["t"]).tolist()
    numbers = np.asarray(points.attributes["v"]).tolist()
    assert words == [f"writer {value // 100}, append {value % 100}" for value in numbers]
    assert sorted(np.asarray(points.row_ids).tolist()) == list(range(2 * TIMES * 5))
    if owned:
        assert np.asarray(points.object_ids).tolist() == numbers
        assert read(place, object_ids=[105]).vertex_count == 5


@pytest.mark.parametrize(("owned", "shard"), [(False, 4), (True, None)], ids=["plain", "objects"])
def test_two_processes_append_at_once(tmp_path: Path, owned: bool, shard: int | None) -> None:
    place = str(tmp_path / "s")
    kinds = {"v": "i8", "t": "text"}
    layout = zv.Layout(chunk_shape=5, shard_shape=shard, keep_order=True)
    zv.create(place, bounds=([0, 0], [1, 1]), dtype="f8", attributes=kinds, objects=owned, layout=layout)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in [pool.submit(append, place, writer, owned) for writer in (0, 1)]:
            future.result(timeout=100)
    check(place, owned)


def test_two_threads_append_at_once_to_memory() -> None:
    place = memory()
    layout = zv.Layout(chunk_shape=5, keep_order=True)
    zv.create(place, bounds=([0, 0], [1, 1]), dtype="f8", attributes={"v": "i8", "t": "text"}, layout=layout)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(append, place, writer, False) for writer in (0, 1)]:
            future.result(timeout=100)
    check(place, owned=False)


def test_two_processes_create_at_once_and_one_wins(tmp_path: Path) -> None:
    place = str(tmp_path / "s")
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(zv.write, place, cloud(np.full((50, 2), float(n)))) for n in range(2)]
    errors = [future.exception() for future in futures]
    assert sorted(type(error).__name__ for error in errors) == ["NoneType", "StoreExistsError"]
    winner = errors.index(None)
    assert (read(place).positions == winner).all()
