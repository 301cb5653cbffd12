"""Opening: from documents to arrays by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.storage.counting import CountingStore
from tests.storage.stores import as_buffer, golden_stores, name_of, open_local
from zarr_vectors.core.headers import read_headers
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.exceptions import CorruptionError, FormatError, MetadataError, StoreNotFoundError
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.storage import Storage

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    cloud = zv.Points(np.arange(12.0).reshape(4, 3), attributes={"w": np.arange(4)}, object_ids=np.arange(4) // 2)
    zv.write(tmp_path / "store", cloud, headers={"las": {"version": 1.4}})
    return tmp_path / "store"


def change(store: Path, document: str, **changes: Any) -> None:
    path = store / document / "zarr.json"
    node = json.loads(path.read_text())
    for key, value in changes.items():
        block, _, name = key.rpartition("__")
        target = node["attributes"][block] if block else node["attributes"]
        target[name] = value
    path.write_text(json.dumps(node))


@pytest.mark.parametrize("golden", golden_stores(), ids=name_of)
def test_every_level_of_0_9_2_is_opened_with_all_its_arrays(golden: Path) -> None:
    storage = open_local(golden)
    root, _ = open_root(storage)
    levels = level_numbers(storage, root.attributes)
    assert levels == sorted(int(path.name) for path in golden.iterdir() if path.name.isdecimal())
    for number in levels:
        level = open_level(storage, root, number)
        folder = golden / str(number)
        known = {"vertices", "vertex_fragments", "vertex_attributes", "fragment_attributes", "object_index",
                 "object_attributes", "groups", "group_attributes"}  # fmt: skip
        arrays = {
            path.parent.relative_to(folder).as_posix()
            for path in folder.rglob("zarr.json")
            if json.loads(path.read_text())["node_type"] == "array"
        }
        assert {name for name in arrays if name.partition("/")[0] in known} == {*level.cells, *level.tables}
        assert level.has_objects == (folder / "object_index").exists()


def test_a_level_that_names_its_arrays_is_opened_alike_from_any_place(store: Path) -> None:
    content: Any = {p.relative_to(store).as_posix(): as_buffer(p.read_bytes()) for p in store.rglob("*") if p.is_file()}
    counting = CountingStore(listing=False)
    counting._store._store_dict.update(content)
    found = []
    for storage in (open_local(store), Storage(ZarrBackend(counting))):
        root, _ = open_root(storage)
        level = open_level(storage, root, 0)
        headers = read_headers(storage, root.attributes)
        found.append((sorted(level.cells), sorted(level.tables), level.object_index, level.chunk_shape, headers))
        assert level_numbers(storage, root.attributes) == [0]
    assert found[0] == found[1]
    assert found[0][-1] == {"las": {"version": 1.4}}


def test_what_is_no_store_is_not_found(tmp_path: Path) -> None:
    for document in (None, "{}", '{"attributes": null}', '{"attributes": {"zarr_vectors": 5}}'):
        if document is not None:
            (tmp_path / "zarr.json").write_text(document)
        with pytest.raises(StoreNotFoundError) as caught:
            open_root(open_local(tmp_path))
        assert caught.value.store == tmp_path.as_uri()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"zarr_vectors__zv_version": "0.8.0"}, FormatError, "0.8.0"),
        ({"zarr_vectors__zv_version": None}, FormatError, "None"),
        ({"zarr_vectors__required_capabilities": ["time_travel"]}, FormatError, "time_travel"),
        ({"zarr_vectors__chunk_shape": [1, 2]}, MetadataError, "bounds"),
        ({"zarr_vectors__chunk_shape": "big"}, MetadataError, "chunk_shape"),
        ({"multiscales": None}, MetadataError, "multiscales"),
        ({"multiscales": [{"axes": [{"name": "x"}]}]}, MetadataError, "rank"),
    ],
)
def test_a_root_that_cannot_be_used_is_an_error(
    store: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    change(store, "", **changes)
    with pytest.raises(error, match=message):
        open_root(open_local(store))


@pytest.mark.parametrize("array", ["vertices", "vertex_fragments", "vertex_attributes/w", "object_index/manifests"])
def test_an_array_that_the_level_names_and_that_is_gone_is_corruption(store: Path, array: str) -> None:
    shutil.rmtree(store / "0" / array)
    storage = open_local(store)
    root, _ = open_root(storage)
    with pytest.raises(CorruptionError, match="gone") as caught:
        open_level(storage, root, 0)
    assert (caught.value.store, caught.value.array) == (store.as_uri(), f"0/{array}")


def test_a_level_that_is_not_there_is_not_found(store: Path) -> None:
    storage = open_local(store)
    root, _ = open_root(storage)
    with pytest.raises(StoreNotFoundError, match="no level 3"):
        open_level(storage, root, 3)


def test_unknown_keys_and_capabilities_do_not_forbid_reading(store: Path) -> None:
    change(store, "", zarr_vectors__format_capabilities=["later"], zarr_vectors__later=1, later={"a": 1})
    change(store, "0", zarr_vectors_level__later=1, later=2)
    change(store, "0/vertices", later=3)
    assert zv.open(store)[0].read().vertex_count == 4
    assert zv.open(store)._root.metadata.to_json()["later"] == 1


def test_the_bin_of_a_coarse_level_is_twice_its_translation() -> None:
    storage = open_local(GOLDEN / "pyramid")
    root, _ = open_root(storage)
    base = root.level_bin_shape(0)
    assert base == tuple(root.metadata.bin_shape)
    assert all(b >= a for a, b in zip(base, root.level_bin_shape(1), strict=True))
    assert root.level_bin_shape(77) == base
