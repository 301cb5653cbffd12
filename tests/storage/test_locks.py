"""One writer at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.faults import root_of
from tests.storage.stores import REPOSITORY
from zarr_vectors.exceptions import ConcurrentEditError
from zarr_vectors.storage import folder_lock
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.storage import Batch, Storage

HOLD = """
import sys, time
from zarr_vectors.storage.local import LocalBackend
with LocalBackend(sys.argv[1]).lock():
    print("locked", flush=True)
    time.sleep(60)
"""
APPEND = """
import sys
import numpy as np
import zarr_vectors as zv
for number in range(5):
    zv.write(sys.argv[1], zv.Points(np.full((2, 2), float(sys.argv[2]) + number)), mode="append")
"""


def program(text: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    child = program(HOLD, str(folder))
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    zv.write(path, zv.Points(np.zeros((1, 2))), bounds=([0, 0], [99, 99]))
    return path


def test_a_second_process_waits_and_then_gives_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "_LOCK_SECONDS", 0.2)
    with holding(folder):
        start = time.monotonic()
        with pytest.raises(ConcurrentEditError, match="another process") as caught:
            zv.write(folder, zv.Points(np.ones((1, 2))), mode="append")
        assert time.monotonic() - start >= 0.2
        assert caught.value.store == folder.as_uri()
        assert zv.open(folder)[0].vertex_count == 1, "readers do not wait"


def test_who_waits_while_others_take_turns_does_not_give_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns are so much shorter than the wait that a machine which is busy does not matter."""
    monkeypatch.setattr(folder_lock, "_LOCK_SECONDS", 2.0)
    handle = os.open(folder, os.O_RDONLY)
    folder_lock._try_lock(handle)

    def commit_and_let_go() -> None:
        for number in range(9):
            time.sleep(0.3)
            LocalBackend(folder).replace("zarr.json", (folder / "zarr.json").read_bytes() + b" " * number)
        os.close(handle)

    thread = threading.Thread(target=commit_and_let_go)
    began = time.monotonic()
    thread.start()
    with LocalBackend(folder).lock():
        waited = time.monotonic() - began
    thread.join()
    assert waited > 2.0


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_the_lock_of_a_process_that_dies_is_free(folder: Path) -> None:
    with holding(folder) as child:
        killer = threading.Timer(0.2, lambda: os.kill(child.pid, signal.SIGKILL))
        killer.start()
        zv.write(folder, zv.Points(np.ones((1, 2))), mode="append")
    assert zv.open(folder)[0].vertex_count == 2


def test_processes_that_append_at_once_lose_nothing(folder: Path) -> None:
    children = [program(APPEND, str(folder), str(number * 10)) for number in range(3)]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
    points = zv.open(folder)[0].read()
    assert sorted(points.positions[:, 0].tolist()) == sorted(
        [0.0, *(float(number * 10 + i) for number in range(3) for i in range(5) for _ in range(2))]
    )
    assert zv.open(folder)[0].vertex_count == 31


def test_a_lock_that_a_failed_creation_removed_is_not_taken_for_the_one_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deep" / "store"
    waiting, go = threading.Event(), threading.Event()
    held: list[bool] = []

    def second() -> None:
        waiting.set()
        with LocalBackend(folder).lock():
            held.append(folder.is_dir())
            go.wait(10)

    with LocalBackend(folder).lock():
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait(10)
        time.sleep(0.05)
    # The first writer put nothing there: the folder went with it, and the second made it anew.
    while not held:
        time.sleep(0.005)
    assert held == [True]
    monkeypatch.setattr(folder_lock, "_LOCK_SECONDS", 0.05)
    with pytest.raises(ConcurrentEditError), LocalBackend(folder).lock():
        pass
    go.set()
    thread.join()
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_made_for_a_lock_go_with_it_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with LocalBackend(tmp_path / "kept").lock(), LocalBackend(tmp_path / "made" / "deep").lock():
        assert (tmp_path / "made" / "deep").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    backend = LocalBackend(tmp_path / "made" / "deep")
    with backend.lock():
        backend.put_bytes("x", b"")
    assert backend.exists("x")


def test_a_backend_finds_out_that_its_folders_were_removed(tmp_path: Path) -> None:
    storage = Storage(LocalBackend(tmp_path / "store"))
    for number in range(2):
        storage.commit(Batch(puts=[("a/b/c", b"1")], root=partial(root_of, number)))
        other = LocalBackend(tmp_path / "store")
        other.delete("a/b/c")
    storage.commit(Batch(puts=[("a/b/c", b"2")], root=lambda: root_of(7)))
    assert (tmp_path / "store" / "a" / "b" / "c").read_bytes() == b"2"


def test_locks_are_nested_in_one_storage() -> None:
    storage = Storage(ZarrBackend(MemoryStore()))
    with storage.lock(), storage.lock():
        storage.commit(Batch(puts=[], root=lambda: root_of(1)))
    assert storage._depth == 0


def test_threads_that_append_in_memory_lose_nothing() -> None:
    store = MemoryStore()
    zv.write(store, zv.Points(np.zeros((1, 2))), bounds=([0, 0], [99, 99]))
    errors: list[BaseException] = []

    def append(number: int) -> None:
        try:
            for _ in range(3):
                zv.write(store, zv.Points(np.full((2, 2), float(number))), mode="append")
        except zv.ZVError as error:
            errors.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(zv.open(store)[0].read().positions) == 25
