"""What every backend does, and what only a folder or only a zarr store does."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from zarr.storage import LocalStore, MemoryStore, WrapperStore

from zarr_vectors.exceptions import InputError, MissingDependencyError, OptionError, ReadOnlyError, StoreError
from zarr_vectors.storage.backend import Backend, Get, StorageBackend
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.loop import run
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.urls import detect_scheme, open_backend, store_name, zarr_store_of

CONTENT = {"zarr.json": b"{}", "a/c/0/1": b"0123456789", "a/c/0/10": b"", "a/zarr.json": b"a", "ab/x": b"xx"}


def filled(kind: str, tmp_path: Path) -> Backend:
    backend: Backend = LocalBackend(tmp_path / "store") if kind == "local" else ZarrBackend(MemoryStore())
    for key, data in CONTENT.items():
        backend.put_bytes(key, data)
    return backend


backends = pytest.mark.parametrize("kind", ["local", "memory"])


@backends
def test_objects_are_put_and_got(kind: str, tmp_path: Path) -> None:
    backend = filled(kind, tmp_path)
    assert isinstance(backend, StorageBackend)
    assert {key: backend.get_bytes(key) for key in CONTENT} == CONTENT
    backend.put_bytes("zarr.json", memoryview(b"changed"))
    backend.replace("a/zarr.json", bytearray(b"replaced"))
    assert (backend.get_bytes("zarr.json"), backend.get_bytes("a/zarr.json")) == (b"changed", b"replaced")
    assert [backend.exists(key) for key in ("zarr.json", "a", "a/c/0/1", "nothing")] == [True, False, True, False]
    with pytest.raises(KeyError):
        backend.get_bytes("nothing")
    assert backend.size("a") == len(b"0123456789" + b"replaced")


@backends
def test_ranges_are_those_asked_for_and_end_where_the_object_ends(kind: str, tmp_path: Path) -> None:
    backend = filled(kind, tmp_path)
    key = "a/c/0/1"
    asked = [
        Get(key),
        Get(key, 2),
        Get(key, 2, 3),
        Get(key, -4),
        Get(key, 8, 5),
        Get("no", 1, 2),
        Get("a/c/0/10"),
        Get("a"),
    ]
    expected = [b"0123456789", b"23456789", b"234", b"6789", b"89", None, b"", None]
    assert backend.fetch(asked) == expected
    assert backend.fetch([]) == []
    assert backend.fetch([Get(key, -40)]) == [b"0123456789"]


@backends
def test_objects_are_listed_in_order(kind: str, tmp_path: Path) -> None:
    backend = filled(kind, tmp_path)
    assert list(backend.list_prefix("", recursive=True)) == sorted(CONTENT)
    assert sorted(backend.list_prefix("")) == ["a/", "ab/", "zarr.json"]
    assert list(backend.list_prefix("a")) == ["a/c/", "a/zarr.json"] == list(backend.list_prefix("a/"))
    assert list(backend.list_prefix("a/c", recursive=True)) == ["a/c/0/1", "a/c/0/10"]
    assert list(backend.list_prefix("nothing")) == list(backend.list_prefix("zarr.json")) == []


@backends
def test_objects_are_moved_copied_and_removed(kind: str, tmp_path: Path) -> None:
    backend = filled(kind, tmp_path)
    backend.copy_all([("a/c/0/1", "b/copy")])
    backend.put_bytes("b/copy", b"other") if kind == "memory" else backend.replace("b/copy", b"other")
    assert backend.get_bytes("a/c/0/1") == b"0123456789", "a copy is apart from what it is a copy of"
    backend.move_all([("a/c/0/1", "zarr.json"), ("gone", "nowhere")])
    assert backend.get_bytes("zarr.json") == b"0123456789"
    assert not backend.exists("a/c/0/1")
    backend.delete("a/c/0/10")
    backend.delete("a/c/0/10")
    backend.delete("a/zarr.json/below")
    backend.delete("ab")
    assert list(backend.list_prefix("", recursive=True)) == ["a/zarr.json", "ab/x", "b/copy", "zarr.json"]
    backend.delete_prefix("a")
    backend.delete_prefix("nothing")
    assert list(backend.list_prefix("", recursive=True)) == ["ab/x", "b/copy", "zarr.json"]
    backend.delete_prefix("")
    assert list(backend.list_prefix("", recursive=True)) == []


@backends
def test_a_read_only_backend_refuses_every_change(kind: str, tmp_path: Path) -> None:
    backend = filled(kind, tmp_path)
    frozen: Backend = (
        LocalBackend(tmp_path / "store", read_only=True)
        if kind == "local"
        else ZarrBackend(backend.store, read_only=True)  # type: ignore[attr-defined]
    )
    changes: list[Any] = [
        lambda: frozen.put_bytes("x", b""),
        lambda: frozen.replace("zarr.json", b""),
        lambda: frozen.move_all([("zarr.json", "x")]),
        lambda: frozen.copy_all([("zarr.json", "x")]),
        lambda: frozen.delete("zarr.json"),
        lambda: frozen.delete_prefix("a"),
        lambda: frozen.lock().__enter__(),
    ]
    for change in changes:
        with pytest.raises(ReadOnlyError):
            change()
    assert {key: frozen.get_bytes(key) for key in frozen.list_prefix("", recursive=True)} == CONTENT


@pytest.mark.parametrize("key", ["../out", "/etc/passwd", "a/../../out", "..", "a\0b"])
def test_no_path_leads_out_of_a_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "out").write_text("precious")
    backend = LocalBackend(tmp_path / "store")
    attempts: list[Any] = [
        lambda: backend.fetch([Get(key)]),
        lambda: backend.put_bytes(key, b"x"),
        lambda: backend.delete(key),
        lambda: backend.delete_prefix(key),
        lambda: list(backend.list_prefix(key)),
        lambda: backend.exists(key),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError, match="not a path inside"):
            attempt()
    assert (tmp_path / "out").read_text() == "precious"
    backend.put_bytes("a..b/c...d", b"fine")
    assert backend.get_bytes("a..b/c...d") == b"fine"


def test_what_the_disk_refuses_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="a file stands"):
        LocalBackend(tmp_path / "file").put_bytes("zarr.json", b"")
    with pytest.raises(StoreError, match="a file stands"), LocalBackend(tmp_path / "file").lock():
        pass
    for backend in (LocalBackend(tmp_path / "file"), LocalBackend(tmp_path / "file" / "below")):
        assert backend.fetch([Get("zarr.json")]) == [None]
    long = LocalBackend(tmp_path / ("n" * 300))
    with pytest.raises(StoreError, match="cannot read"):
        long.fetch([Get("zarr.json")])
    with pytest.raises(StoreError):
        long.put_bytes("zarr.json", b"")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may do anything")
def test_a_folder_that_may_not_be_written_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReadOnlyError):
        LocalBackend(tmp_path).put_bytes("x", b"")


def test_a_replaced_file_is_never_seen_in_part(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    values = {bytes([letter]) * 200_000 for letter in b"ab"}
    backend.put_bytes("x", next(iter(values)))
    done = threading.Event()

    def change() -> None:
        for _ in range(50):
            for value in values:
                backend.replace("x", value)
        done.set()

    writer = threading.Thread(target=change)
    writer.start()
    while not done.is_set():
        assert backend.get_bytes("x") in values
    writer.join()
    assert {path.name for path in tmp_path.iterdir()} <= {"x", ".zv"}


class Failing(WrapperStore[MemoryStore]):
    """A store whose every answer is an error that nobody has heard of."""

    class StrangeError(Exception):
        """Not one of Python's own."""

    async def get(self, key: str, *_: Any, **__: Any) -> Any:
        raise self.StrangeError(key)

    async def set(self, key: str, *_: Any, **__: Any) -> None:
        raise self.StrangeError(key)

    async def delete(self, key: str) -> None:
        raise self.StrangeError(key)

    async def exists(self, key: str) -> bool:
        raise self.StrangeError(key)

    async def list_prefix(self, prefix: str) -> Any:
        if not prefix.startswith("/"):
            raise self.StrangeError(prefix)
        yield prefix


def test_errors_of_foreign_stores_are_errors_of_the_store() -> None:
    backend = ZarrBackend(Failing(MemoryStore()), url="s3://bucket")
    attempts: list[Any] = [
        lambda: backend.fetch([Get("x")]),
        lambda: backend.put_bytes("x", b""),
        lambda: backend.exists("x"),
        lambda: backend.delete("x"),
        lambda: list(backend.list_prefix("")),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError) as caught:
            attempt()
        assert caught.value.store == "s3://bucket"
        assert "StrangeError" in str(caught.value)


def test_requests_run_from_inside_another_loop_and_from_many_threads() -> None:
    backend = ZarrBackend(MemoryStore())
    backend.put_bytes("x", b"1")

    async def inside() -> bytes:
        return backend.get_bytes("x")

    assert asyncio.run(inside()) == b"1"
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(backend.get_bytes("x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"1"] * 8
    with pytest.raises(ZeroDivisionError):
        run(_divide())


async def _divide() -> float:
    return 1 / (len(asyncio.all_tasks()) * 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_requests_run_in_a_forked_child() -> None:
    backend = ZarrBackend(MemoryStore())
    backend.put_bytes("x", b"1")
    child = os.fork()
    if not child:
        os._exit(0 if backend.get_bytes("x") == b"1" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("url", "scheme", "name"),
    [
        ("/tmp/scan.zarrvectors", "", "scan"),
        ("scan.zv/", "", "scan"),
        ("file:///tmp/a%20b.zarr", "file", "a b"),
        ("S3://bucket/dir/scan", "s3", "scan"),
        ("s3://bucket", "s3", "bucket"),
        ("memory://", "memory", "zarr_vectors"),
        ("https://x.org/a/b.zarrvectors?x=1", "https", "b"),
    ],
)
def test_urls_tell_their_scheme_and_name(url: str, scheme: str, name: str) -> None:
    assert (detect_scheme(url), store_name(url)) == (scheme, name)


def test_paths_urls_and_stores_name_the_same_place(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    targets: list[Any] = [folder, str(folder), folder.as_uri(), LocalStore(folder), os.fspath(folder) + "/"]
    for target in targets:
        backend = open_backend(target)
        assert isinstance(backend, LocalBackend)
        assert backend.url.rstrip("/") == folder.as_uri()
        store = zarr_store_of(backend)
        assert isinstance(store, LocalStore)
        assert store.root == backend.root
    assert open_backend(LocalStore(folder, read_only=True)).read_only
    backend = LocalBackend(folder)
    assert open_backend(backend) is backend


def test_memory_urls_are_one_place_each() -> None:
    open_backend("memory://test-backends-one").put_bytes("x", b"1")
    assert open_backend("memory://test-backends-one").get_bytes("x") == b"1"
    assert not open_backend("memory://test-backends-two").exists("x")
    store = MemoryStore()
    assert zarr_store_of(open_backend(store)) is store


@pytest.mark.parametrize("target", ["", "a\0b", 5, None, "foo://x", ["a"]], ids=repr)
def test_what_names_no_place_is_refused(target: Any) -> None:
    with pytest.raises(InputError):
        open_backend(target)


@pytest.mark.parametrize("kind", ["path", "memory URL", "store", "local store", "backend"])
def test_options_for_a_place_that_takes_none_are_refused(tmp_path: Path, kind: str) -> None:
    targets: dict[str, Any] = {
        "path": tmp_path,
        "memory URL": "memory://x",
        "store": MemoryStore(),
        "local store": LocalStore(tmp_path),
        "backend": LocalBackend(tmp_path),
    }
    with pytest.raises(OptionError, match="region"):
        open_backend(targets[kind], storage_options={"region": "x"})


def test_a_missing_package_for_object_stores_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingDependencyError, match="cloud"):
        open_backend("s3://bucket/x")
