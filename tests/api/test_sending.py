"""Open stores, their parts and what reads them later, sent to another process; and passed where a path can stand."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.api.sending_jobs import use
from zarr_vectors.core.store import commit
from zarr_vectors.exceptions import InputError, ReadOnlyError, StoreError, StoreExistsError
from zarr_vectors.formats.registry import export
from zarr_vectors.types.points import read_points, write_points

XY = np.array([[0.0, 1.0], [5.0, 2.0], [6.0, 2.5], [9.0, 9.0]])
BOX: dict[str, Any] = {"bounds": ([0, 0], [10, 10]), "chunk_shape": (4, 4), "vertex_dtype": "float64"}


def cloud() -> zv.Points:
    return zv.Points(XY, {"w": np.arange(4), "name": ["a", None, "b", "c"]}, object_ids=[0, 0, 1, 2])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    zv.write(tmp_path / "store", cloud(), layout=zv.Layout(chunk_shape=4))
    return tmp_path / "store"


def there_and_back(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def test_another_process_uses_what_it_is_sent(path: Path) -> None:
    store, group = zv.open(path), zv.open_store(path, "r+")
    level = store[0]
    rows: list[Any] = [level.vertices, level.attributes["name"], level.vertices[level.chunk_keys[0]]]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(use, group, store, rows, level.object_index).result()
    assert found["chunks"] == group["0"].list_chunks("vertices")
    np.testing.assert_array_equal(found["positions"], level.read().positions)
    for part, sent in zip(found["rows"], rows, strict=True):
        assert part.tolist() == np.asarray(sent.compute()).tolist()
    assert found["index"] == level.object_index.compute()
    assert group.attrs["written elsewhere"] is True


def test_lines_and_blocks_of_dask_are_sent(tmp_path: Path) -> None:
    array = pytest.importorskip("dask.array")
    lines = zv.Polylines([XY[:2], XY[2:]], attributes={"w": np.arange(4)}, ids=[4, 7])
    zv.write(tmp_path / "lines", lines, layout=zv.Layout(chunk_shape=4))
    level = zv.open(tmp_path / "lines")[0]
    sent = there_and_back(level.polylines)
    assert [line.tolist() for line in sent.compute()] == [XY[:2].tolist(), XY[2:].tolist()]
    assert there_and_back(level.polylines[7]).compute().tolist() == XY[2:].tolist()
    blocks = [level.vertices.to_dask(1), level.attributes["w"].to_dask(1), level.polylines.to_dask(1)[4]]
    for block in blocks:
        again = there_and_back(block)
        assert isinstance(again, array.Array)
        assert again.compute(scheduler="sync").tolist() == block.compute(scheduler="sync").tolist()


def test_groups_that_are_sent_together_share_a_store(path: Path) -> None:
    root = zv.open_store(path, "r+")
    sent, level = there_and_back((root, root["0"]))
    with sent.batched_writes(), pytest.raises(StoreError, match="nested"), level.batched_writes():
        pass
    assert sent.storage is not root.storage
    assert there_and_back(zv.open_store(path)).storage.read_only
    assert type(there_and_back(zv.FsGroup(path))) is zv.FsGroup


def test_what_waits_is_not_sent(path: Path) -> None:
    root = zv.open_store(path, "r+")
    with root.batched_writes(), pytest.raises(StoreError, match="batched_writes cannot be sent"):
        pickle.dumps(root["0"])
    with root.batched_reads([]):
        assert there_and_back(root).session.prefetched is None


def _in_memory() -> dict[str, Callable[[], Any]]:
    url = f"memory://{uuid4().hex}"
    zv.write(url, cloud())
    level = zv.open(url)[0]
    held = MemoryStore()
    return {
        "group": lambda: zv.open_store(url),
        "attributes": lambda: zv.open_store(url).attrs,
        "store": lambda: zv.open(url),
        "level": lambda: level,
        "rows": lambda: level.vertices,
        "values of an attribute": lambda: level.attributes["w"],
        "chunk": lambda: level.vertices[level.chunk_keys[0]],
        "index": lambda: level.object_index,
        "store that the caller holds": lambda: zv.create_store(held) if not held._store_dict else zv.open(held),
    }


@pytest.mark.parametrize("name", _in_memory())
def test_what_is_in_memory_is_not_sent(name: str) -> None:
    value = _in_memory()[name]()
    with pytest.raises(StoreError, match="in memory cannot be sent"):
        pickle.dumps(value)


def test_icechunk_stores_are_sent_for_reading(tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    place = tmp_path / "repository"
    zv.write(place, cloud(), backend="icechunk")
    level = there_and_back(zv.open(place)[0])
    np.testing.assert_array_equal(level.read().positions, zv.open(place)[0].read().positions)
    assert there_and_back(zv.open_store(place))["0"].children() == zv.open_store(place)["0"].children()
    with pytest.raises(StoreError, match="send forks"):
        pickle.dumps(zv.open_store(place, "r+"))
    url = f"memory://{uuid4().hex}"
    zv.write(url, cloud(), backend="icechunk")
    with pytest.raises(StoreError, match="in memory cannot be sent"):
        pickle.dumps(zv.open(url))


def test_a_copy_of_a_group_is_a_group_of_the_same_store(path: Path) -> None:
    root = zv.open_store(path, "r+")
    copy.copy(root).attrs["copied"] = 1
    assert root.attrs["copied"] == 1


# A group where a path can stand


def test_a_group_stands_for_its_store(tmp_path: Path) -> None:
    root = zv.create_store(tmp_path / "made", **BOX)
    zv.write(root, cloud(), mode="append")
    store = zv.open(root)
    assert store[0].vertex_count == 4
    with store[0].writer() as writer:
        writer.add_attribute_sync("more", np.arange(4))
    assert sorted(zv.open(tmp_path / "made")[0].attributes) == ["more", "name", "w"]
    assert len(read_points(root)["positions"]) == 4
    write_points(root, XY, mode="replace")
    export(zv.open(root), tmp_path / "points.csv")
    assert (tmp_path / "points.csv").stat().st_size > 0
    with pytest.raises(StoreExistsError):
        zv.write(root, cloud())
    with pytest.raises(StoreExistsError):
        zv.create(root, kind="point_cloud", bounds=([0, 0], [1, 1]))
    with pytest.raises(StoreError, match="already something here"):
        zv.create_store(root)


def test_a_group_in_memory_stands_for_its_store() -> None:
    root = zv.create_store(MemoryStore(), **BOX)
    zv.write(root, cloud(), mode="append")
    done = zv.rechunk(root, zv.RechunkSpec("object_id"))
    assert done["objects_rechunked"] == 3
    assert len(zv.open(root)[0].read(object_ids=[1]).positions) == 1


def test_only_the_root_group_stands_for_a_store(path: Path) -> None:
    level = zv.open_store(path, "r+")["0"]
    for use_it in (lambda: zv.open(level), lambda: zv.write(level, cloud(), mode="append")):
        with pytest.raises(InputError, match="named by its root group"):
            use_it()


def test_what_is_open_for_reading_is_not_opened_for_writing(path: Path) -> None:
    root = zv.open_store(path)
    assert zv.open(root)[0].vertex_count == 4
    for open_it in (zv.open, zv.open_store):
        for mode in ("r+", "a"):
            with pytest.raises(ReadOnlyError, match="open for reading"):
                open_it(root, mode)
    with pytest.raises(InputError, match="mode is not known"):
        zv.open_store(root, "w")
    with pytest.raises(ReadOnlyError):
        zv.write(root, cloud(), mode="append")
    assert zv.open_store(root) is root


def test_a_group_of_icechunk_brings_its_session(tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    root = zv.create_store(tmp_path / "repository", backend="icechunk", **BOX)
    zv.write(root, cloud(), mode="append")
    assert zv.open(root)[0].vertex_count == 4
    with pytest.raises(StoreError):
        zv.open(tmp_path / "repository")
    commit(root)
    assert asyncio.run(zv.aopen(tmp_path / "repository", backend="icechunk"))[0].vertex_count == 4
