"""Pieces of a level as tasks for any executor: what is made is the same, byte for byte."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.cli.running import invoke
from tests.pyramid.samples import sample
from tests.pyramid.surfaces import sheet, torus
from tests.types.clouds import files_of, memory
from zarr_vectors.pyramid import run
from zarr_vectors.pyramid.source import Finer
from zarr_vectors.pyramid.tasks import Crew


class Inline(Executor):
    """Everything at once, in this thread; tasks are pickled as for another process."""

    def __init__(self) -> None:
        self.done = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.done += 1
        future: Future[Any] = Future()
        future.set_result(pickle.loads(pickle.dumps(fn))(*args, **kwargs))
        return future


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


VALUES: dict[str, Callable[[], Any]] = {
    "points": lambda: sample("points"),
    "skeleton": lambda: sample("skeleton"),
    "digraph": lambda: sample("digraph"),
    "mesh": lambda: _with_columns(torus(20, 10)),
}


def _with_columns(mesh: Any) -> Any:
    rng = np.random.default_rng(0)
    return zv.Mesh(
        mesh.positions,
        mesh.faces,
        attributes={"heat": rng.normal(size=mesh.vertex_count), "name": rng.choice(["a", "b"], mesh.vertex_count)},
        face_attributes={"sort": rng.integers(0, 5, mesh.face_count)},
    )


def made(place: Path, executor: Executor | None) -> dict[str, bytes]:
    with zv.open(place, "r+") as store:
        report = store.build_pyramid(
            [(2, 1), (2, 2)], cross_level_storage="implicit", cross_level_depth=-1, executor=executor
        )
        assert len(report.levels) == 2
    return files_of(place)


@pytest.mark.parametrize("kind", VALUES)
def test_any_executor_makes_the_same_bytes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: ProcessPoolExecutor
) -> None:
    monkeypatch.setattr(run, "Finer", partial(Finer, batch_rows=70))
    zv.write(tmp_path / "given", VALUES[kind](), layout=zv.Layout(chunk_shape=50 if kind != "mesh" else 16))
    inline = Inline()
    found = []
    with ThreadPoolExecutor(3) as threads:
        for name, executor in (("default", None), ("threads", threads), ("inline", inline), ("processes", processes)):
            shutil.copytree(tmp_path / "given", tmp_path / name)
            found.append(made(tmp_path / name, executor))
        assert inline.done >= 4
        assert found[1:] == found[:1] * 3
        assert zv.validate(tmp_path / "processes", level=5).ok
        with zv.open(tmp_path / "threads", "r+") as store:
            assert len(store.refresh_pyramid(force=True, executor=processes).levels) == 2
    again = files_of(tmp_path / "threads")
    assert {path: data for path, data in again.items() if path != "zarr.json"} == {
        path: data for path, data in found[0].items() if path != "zarr.json"
    }


def test_one_thread_does_the_same_as_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Finer", partial(Finer, batch_rows=40))
    zv.write(tmp_path / "one", _with_columns(sheet(20, 20, bump=2.0)), layout=zv.Layout(chunk_shape=10))
    shutil.copytree(tmp_path / "one", tmp_path / "many")
    with monkeypatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)
        one = made(tmp_path / "one", None)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert made(tmp_path / "many", None) == one


def test_stores_that_processes_cannot_open_are_refused(tmp_path: Path, processes: ProcessPoolExecutor) -> None:
    value = sample("cloud", plain=True)
    target = memory()
    zv.write(target, value)
    held = MemoryStore()
    zv.write(held, value)
    for place in (target, held):
        with zv.open(place, "r+") as store:
            for build in (partial(store.build_pyramid, [(2, 1)]), partial(store.refresh_pyramid, force=True)):
                with pytest.raises(zv.exceptions.InputError, match="processes") as told:
                    build(executor=processes)
                assert "ThreadPoolExecutor" in (told.value.hint or "")
            assert store.levels == [0]
            with ThreadPoolExecutor(2) as threads:
                assert store.build_pyramid([(2, 1)], executor=threads).levels
    zv.write(tmp_path / "s", value)
    wrong: Any = 4
    with pytest.raises(zv.exceptions.InputError, match="executor"):
        zv.open(tmp_path / "s", "r+").build_pyramid([(2, 1)], executor=wrong)


def test_workers_on_the_command_line(tmp_path: Path) -> None:
    zv.write(tmp_path / "one", sample("cloud"), layout=zv.Layout(chunk_shape=25, bin_shape=5))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for name, workers in (("one", 1), ("two", 2)):
        told = invoke("pyramid", tmp_path / name, "--factors", "2", "--workers", workers, "--json")
        assert told.exit_code == 0, told.output
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert invoke("pyramid", tmp_path / "one", "--refresh", "--workers", 2).exit_code == 0
    assert invoke("pyramid", tmp_path / "one", "--workers", 0).exit_code == 2


def test_few_tasks_are_done_ahead_and_errors_come_through() -> None:
    begun: list[int] = []

    def task(number: int) -> int:
        begun.append(number)
        if number == 7:
            raise ValueError("seven")
        return number

    with ThreadPoolExecutor(2) as pool:
        results = Crew(pool).in_order(partial(task, number) for number in range(1000))
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        assert len(begun) < 60
        with pytest.raises(ValueError, match="seven"):
            list(results)
    assert len(begun) < 70
    assert list(Crew().in_order(partial(task, number) for number in range(7))) == list(range(7))
