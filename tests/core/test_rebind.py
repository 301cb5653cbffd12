"""Stores that are reached by another driver, and backends as plain keys and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zarr.storage import LocalStore, MemoryStore

import zarr_vectors as zv
from zarr_vectors.exceptions import ReadOnlyError, StoreError
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.remote import ZarrBackend


@pytest.mark.parametrize("driver", ["local", "obstore", "fsspec", None, "store"])
def test_every_group_goes_through_the_new_driver(tmp_path: Path, driver: Any) -> None:
    if driver in ("obstore", "fsspec"):
        pytest.importorskip(driver)
    root = zv.create_store(tmp_path / "s", bounds=([0], [9]), chunk_shape=(5,))
    level = root["0"]
    level.write_bytes("vertices", "0", b"before")
    assert zv.rebind(level, LocalStore(tmp_path / "s") if driver == "store" else driver) is level
    assert isinstance(root.backend, LocalBackend if driver in ("local", None, "store") else ZarrBackend)
    assert root["0"].read_bytes("vertices", "0") == b"before"
    level.write_bytes("vertices", "1", b"after")
    assert zv.open_store(tmp_path / "s")["0"].read_bytes("vertices", "1") == b"after"


def test_a_store_in_memory_stays_where_it_is() -> None:
    store = MemoryStore()
    root = zv.create_store(store)
    zv.rebind(root, "memory")
    assert isinstance(root.backend, ZarrBackend)
    assert root.backend.store is store
    for driver in ("local", "obstore"):
        with pytest.raises(StoreError, match="cannot reach"):
            zv.rebind(root, driver)


def test_what_cannot_be_bound_stays_as_it_was(tmp_path: Path) -> None:
    root = zv.create_store(tmp_path / "s")
    zv.create_store(tmp_path / "other")
    backend = root.backend
    bad: list[tuple[Any, str]] = [
        ("zip", "not offered"),
        ("memory", "cannot reach"),
        (MemoryStore(), "same store"),
        (LocalStore(tmp_path / "other"), "same store"),
        (5, "a name"),
    ]
    for driver, what in bad:
        with pytest.raises(StoreError, match=what):
            zv.rebind(root, driver)
        assert root.backend is backend
    with root.batched_writes(), pytest.raises(StoreError, match="batch"):
        zv.rebind(root, "local")


def test_read_only_stays_read_only(tmp_path: Path) -> None:
    zv.create_store(tmp_path / "s")
    root = zv.open_store(tmp_path / "s")
    zv.rebind(root, "local")
    with pytest.raises(ReadOnlyError):
        root.attrs["a"] = 1


@pytest.mark.parametrize("kind", ["local", "memory", "obstore"])
def test_backends_are_plain_keys_and_values(tmp_path: Path, kind: str) -> None:
    """The protocol, member by member, as a caller sees it."""
    target: Any = tmp_path / "s"
    if kind == "memory":
        target = MemoryStore()
    if kind == "obstore":
        pytest.importorskip("obstore")
        import obstore.store as stores
        from zarr.storage import ObjectStore

        target = ObjectStore(stores.MemoryStore())
    backend = zv.create_store(target, bounds=([0], [9])).backend
    assert isinstance(backend, zv.StorageBackend)
    assert not isinstance(object(), zv.StorageBackend)
    backend.ensure_prefix("a/b")
    backend.put_bytes("a/b/one", b"1")
    backend.put_bytes("a/two", b"22")
    assert (backend.get_bytes("a/two"), backend.exists("a/two"), backend.exists("a/three")) == (b"22", True, False)
    assert list(backend.list_prefix("a")) == ["a/b/", "a/two"]
    assert list(backend.list_prefix("a", recursive=True)) == ["a/b/one", "a/two"]
    assert list(backend.list_prefix("nowhere")) == list(backend.list_prefix("nowhere", recursive=True)) == []
    assert "0/" in list(backend.list_prefix(""))
    with pytest.raises(KeyError):
        backend.get_bytes("a/three")
    backend.delete("a/two")
    backend.delete("a/two")
    backend.delete_prefix("a")
    assert list(backend.list_prefix("a", recursive=True)) == []
    assert isinstance(backend.url, str)
    backend.close()
