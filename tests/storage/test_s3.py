"""Plain stores on S3 through obstore, where a server that plays it is installed (``pip install 'moto[server]'``)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

import zarr_vectors as zv
from tests.api.sending_jobs import use
from tests.storage.s3 import for_obstore, serving
from zarr_vectors.core.store import add_resolution_level, list_resolution_levels, remove_resolution_level, set_bounds
from zarr_vectors.exceptions import ReadOnlyError, StoreError, StoreExistsError, StoreNotFoundError
from zarr_vectors.types.points import read_points, write_points

pytest.importorskip("obstore")
XYZ = np.random.default_rng(0).uniform(0, 100, (300, 3)).round(3)
LAYOUT = zv.Layout(chunk_shape=25, shard_shape=4)


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, Any]]:
    with serving() as endpoint:
        yield for_obstore(endpoint)


@pytest.fixture
def url() -> str:
    return f"s3://bucket/a folder/{uuid4().hex}.zarrvectors"


def cloud(rows: slice = slice(None)) -> zv.Points:
    ids = np.arange(len(XYZ))[rows] // 30
    return zv.Points(XYZ[rows], {"number": np.arange(len(XYZ))[rows]}, object_ids=ids)


def numbers(level: zv.ZVLevel, **selection: Any) -> list[int]:
    return sorted(np.asarray(level.read(**selection).attributes["number"]).tolist())


def test_a_store_is_written_read_and_appended_to(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(StoreNotFoundError):
        zv.open(url, storage_options=options)
    zv.write(url, cloud(slice(0, 150)), layout=LAYOUT, storage_options=options, bounds=([0] * 3, [100] * 3))
    with pytest.raises(StoreExistsError):
        zv.write(url, cloud(), storage_options=options)
    zv.write(url, cloud(slice(150, 300)), mode="append", storage_options=options)
    level = zv.open(url, storage_options=options)[0]
    assert numbers(level) == list(range(300))
    low, high = [10.0, 10.0, 0.0], [60.0, 50.0, 100.0]
    inside = ((low <= XYZ) & (high >= XYZ)).all(axis=1)
    assert numbers(level, bbox=(low, high)) == np.flatnonzero(inside).tolist()
    assert numbers(level, object_ids=[7]) == list(range(210, 240))
    with zv.open(url, "r+", storage_options=options)[0].writer() as writer:
        writer.add_object_attribute_sync("size", np.arange(10))
    sizes = zv.open(url, storage_options=options)[0].objects.attributes["size"]
    assert np.asarray(sizes).tolist() == list(range(10))
    zv.write(url, cloud(slice(0, 30)), mode="replace", storage_options=options)
    assert numbers(zv.open(url, storage_options=options)[0]) == list(range(30))


def test_groups_work_as_on_a_disk(url: str, options: dict[str, Any]) -> None:
    made = zv.create_store(url, bounds=([0] * 3, [100] * 3), chunk_shape=(50,) * 3, storage_options=options)
    with pytest.raises(StoreError, match="already something here"):
        zv.create_store(url, storage_options=options)
    assert isinstance(made.backend, zv.StorageBackend)
    write_points(made, XYZ.astype("f4"), vertex_attributes={"number": np.arange(300)})
    root = zv.open_store(url, "r+", storage_options=options)
    level = root["0"]
    assert root.children() == ["0"]
    assert level.children() == ["cell_index", "vertex_attributes", "vertex_fragments", "vertices"]
    with level.batched_writes():
        level.write_array("extra/table", np.arange(6).reshape(2, 3))
        level.attrs["note"] = "mine"
    assert level.read_array("extra/table").tolist() == [[0, 1, 2], [3, 4, 5]]
    keys = level.list_chunks("vertices")
    with level.batched_reads([("vertices", keys)]):
        assert all(len(level.read_bytes("vertices", key)) for key in keys)
    seen: Any = level.zarr_group["extra/table"]
    assert seen.shape == (2, 3)
    level.delete_subtree("extra")
    add_resolution_level(root, 1, 2)
    assert list_resolution_levels(root) == [0, 1]
    remove_resolution_level(root, 1)
    set_bounds(root, ([-50] * 3, [100] * 3))
    assert len(read_points(root)["positions"]) == 300
    with pytest.raises(ReadOnlyError):
        zv.open_store(url, storage_options=options).attrs["note"] = "yours"


def test_a_store_is_rechunked_in_its_place(url: str, options: dict[str, Any]) -> None:
    zv.write(url, cloud(), layout=LAYOUT, storage_options=options)
    zv.rechunk(zv.open_store(url, "r+", storage_options=options), zv.RechunkSpec("object_id", bins=[0, 5, 10]))
    level = zv.open(url, storage_options=options)[0]
    assert numbers(level) == list(range(300))
    assert numbers(level, object_ids=[3]) == list(range(90, 120))


def test_what_is_open_is_sent_with_what_is_needed_to_reach_it(url: str, options: dict[str, Any]) -> None:
    zv.write(url, cloud(), layout=LAYOUT, storage_options=options)
    level = zv.open(url, storage_options=options)[0]
    group = zv.open_store(url, "r+", storage_options=options)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(
            use, group, zv.open(url, storage_options=options), [level.attributes["number"]], level.object_index
        ).result()
    np.testing.assert_array_equal(found["positions"], level.read().positions)
    assert sorted(found["rows"][0].tolist()) == list(range(300))
    assert found["index"] == level.object_index.compute()
    assert zv.open_store(url, storage_options=options).attrs["written elsewhere"] is True


def test_another_driver_reaches_the_same_place(url: str, options: dict[str, Any]) -> None:
    root = zv.create_store(url, storage_options=options)
    assert zv.rebind(root, "obstore", **options) is root
    assert root["0"].children() == ["vertex_fragments", "vertices"]
    with pytest.raises(StoreError, match="the same store is not found"):
        zv.rebind(root, zv.create_store(f"{url}.other", storage_options=options).backend)
