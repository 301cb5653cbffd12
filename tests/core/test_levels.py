"""Levels that come and go, and every place in a store that tells of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.counting import CountingStore
from zarr_vectors.core.multiscale import (
    get_level_scale,
    get_level_translation,
    read_level_transform,
    read_multiscale_metadata,
    upsert_level_transform,
    write_multiscale_metadata,
)
from zarr_vectors.core.store import (
    add_resolution_level,
    create_resolution_level,
    get_resolution_level,
    list_available_ratios,
    list_resolution_levels,
    read_level_metadata,
    remove_resolution_level,
)
from zarr_vectors.exceptions import InputError, MetadataError, ReadOnlyError, StoreError, ZVError
from zarr_vectors.metadata.root import LevelMetadata


def shell(store: Any = None, **options: Any) -> zv.Group:
    given: dict[str, Any] = {"bounds": ([-10, 0], [19, 39]), "chunk_shape": (10, 10), "base_bin_shape": (5, 2.5)}
    return zv.create_store(MemoryStore() if store is None else store, **{**given, **options})


def named_levels(root: zv.Group) -> tuple[list[str], list[str]]:
    """Levels as the NGFF block has them and as the ``ome`` node does."""
    nodes = root.attrs["ome"]["nodes"]
    return [entry["path"] for entry in root.attrs["multiscales"][0]["datasets"]], [node["name"] for node in nodes]


def test_a_level_is_told_of_everywhere() -> None:
    root = shell()
    level = add_resolution_level(root, 1, (2, 4), object_sparsity=0.5)
    assert level.prefix == "1"
    assert list_resolution_levels(root) == [0, 1]
    assert named_levels(root) == (["0", "1"], ["0", "1"])
    metadata = read_level_metadata(root, 1)
    assert (metadata.bin_shape, metadata.bin_ratio, metadata.chunk_shape) == ([10, 10], [2, 4], None)
    assert (metadata.parent_level, metadata.object_sparsity, metadata.coarsening_method) == (0, 0.5, "manual")
    assert {"bin_shape", "bin_ratio"}.isdisjoint(level.attrs["zarr_vectors_level"])
    assert list_available_ratios(root) == [(1.0, 1.0), (2.0, 4.0)]
    assert read_level_transform(root, 1) == ([2, 4], [5, 5])
    assert zv.open(root.backend)[1].vertex_count == 0


@pytest.mark.parametrize(
    ("ratio", "chunk"),
    [(2, (20, 20)), ((1, 3), (10, 30)), (1.5, (30, 30)), ((2.5, 1), (50, 10)), ((1, 1), (10, 10))],
    ids=str,
)
def test_chunks_are_the_least_multiple_that_bins_fill(ratio: Any, chunk: tuple[float, ...]) -> None:
    """A default store has one bin per chunk; chunks of a coarser level grow only as far as they must."""
    root = shell(base_bin_shape=None)
    add_resolution_level(root, 1, ratio)
    metadata = read_level_metadata(root, 1)
    assert tuple(metadata.chunk_shape or (10, 10)) == chunk
    assert (
        root.session.array("1/vertices")
        .grid.contains(np.floor(np.array([[-10, 0], [19, 39]]) / chunk).astype(int))
        .all()
    )


def test_bins_that_fit_keep_the_chunks_of_the_store() -> None:
    root = shell()
    add_resolution_level(root, 1, (2, 2))
    assert read_level_metadata(root, 1).chunk_shape is None


def test_rows_go_into_a_level() -> None:
    root = shell(vertex_dtype="float64")
    level = add_resolution_level(root, 1, 2)
    with level.batched_writes():
        level.write_bytes("vertices", "0.0", np.array([[1.0, 2.0]]).tobytes())
        level.write_bytes("vertex_fragments", "0.0", shell_fragments())
    assert zv.open(root.backend)[1].read().positions.tolist() == [[1.0, 2.0]]


def shell_fragments() -> bytes:
    """The index of one fragment of one vertex."""
    return bytes.fromhex("4746565a0100000001000000010000000100000000000000" + "00" * 8 + "01" + "00" * 7 + "00" * 4)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"level_index": 0}, "already"),
        ({"level_index": -1}, "whole number"),
        ({"level_index": True}, "whole number"),
        ({"bin_ratio": 0}, "bin_ratio"),
        ({"bin_ratio": 0.5}, "bin_ratio"),
        ({"bin_ratio": (2, 2, 2)}, "bin_ratio"),
        ({"bin_ratio": float("nan")}, "bin_ratio"),
        ({"bin_ratio": np.pi}, "do not fill"),
        ({"object_sparsity": 0}, "object_sparsity"),
        ({"object_sparsity": 1.5}, "object_sparsity"),
        ({"parent_level": 1}, "parent_level"),
        ({"parent_level": 7}, "parent_level"),
        ({"coarsening_method": ""}, "coarsening_method"),
    ],
    ids=str,
)
def test_levels_that_cannot_be_meant_are_refused(arguments: dict[str, Any], what: str) -> None:
    root = shell()
    before = dict(root.attrs)
    with pytest.raises(ZVError, match=what):
        add_resolution_level(root, **{"level_index": 1, "bin_ratio": 2, **arguments})
    assert dict(root.attrs) == before
    assert list_resolution_levels(root) == [0]


def test_a_level_of_given_metadata() -> None:
    root = shell()
    level = create_resolution_level(root, 1, LevelMetadata(level=1, parent_level=0, bin_ratio=(2, 4), vertex_count=3))
    assert level.attrs["zarr_vectors_level"]["vertex_count"] == 3
    create_resolution_level(root, 2, {"parent_level": 1, "bin_shape": [20, 20], "chunk_shape": [20, 40], "mine": 1})
    assert read_level_metadata(root, 2).chunk_shape == (20, 40)
    assert get_resolution_level(root, 2).attrs["zarr_vectors_level"]["mine"] == 1
    assert list_available_ratios(root) == [(1.0, 1.0), (2.0, 4.0), (4.0, 8.0)]
    bad: list[tuple[dict[str, Any], str]] = [
        ({"parent_level": 0, "level": 4}, "another level"),
        ({}, "parent_level"),
        ({"parent_level": 0, "bin_shape": [10, 10], "bin_ratio": [2, 2]}, "contradict"),
        ({"parent_level": 0, "bin_shape": [10, 10], "chunk_shape": [15, 10]}, "chunk_shape"),
        ({"parent_level": 0, "vertex_count": "many"}, "vertex_count"),
    ]
    for metadata, what in bad:
        with pytest.raises(MetadataError, match=what):
            create_resolution_level(root, 3, metadata)
    with pytest.raises(StoreError, match="already"):
        create_resolution_level(root, 2, {"parent_level": 0})
    with pytest.raises(InputError, match="level_metadata"):
        create_resolution_level(root, 3, [1])  # type: ignore[arg-type]
    assert list_resolution_levels(root) == [0, 1, 2]


def test_a_removed_level_is_told_of_nowhere() -> None:
    root = shell(format_capabilities=["multiscale_links", "fragment_index"])
    for number, ratio in ((1, 2), (2, 4), (3, 8)):
        add_resolution_level(root, number, ratio, object_sparsity=0.5)
    for place in ("0/links/+1/0.0", "0/links/+2/0.0", "1/links/+1/0.0", "3/links/-1/0.0", "0/links/0/0.0"):
        root.create_sharded_chunk_array(place, (4, 4))
        root.create_sharded_chunk_array(place.replace("links/", "link_attributes/w/"), (4, 4))
    remove_resolution_level(root, 2)
    assert list_resolution_levels(root) == [0, 1, 3]
    assert named_levels(root) == (["0", "1", "3"], ["0", "1", "3"])
    left = [place for place in ("0/links/+1", "0/links/+2", "1/links/+1", "3/links/-1", "0/links/0") if place in root]
    assert left == ["0/links/+1", "0/links/0"]
    assert list(root["0/link_attributes/w"]) == ["+1", "0"]
    child = read_level_metadata(root, 3)
    assert (child.parent_level, child.object_sparsity) == (1, 0.25)
    assert root.attrs["zarr_vectors"]["format_capabilities"] == ["multiscale_links", "fragment_index"]
    remove_resolution_level(root, 1)
    assert root.attrs["zarr_vectors"]["format_capabilities"] == ["fragment_index"]
    assert read_level_metadata(root, 3).parent_level == 0
    for number in (0, 1, 9):
        with pytest.raises(StoreError):
            remove_resolution_level(root, number)
    add_resolution_level(root, 1, 2)
    assert list_resolution_levels(root) == [0, 1, 3]


def test_levels_are_found_where_nothing_can_be_listed() -> None:
    store = MemoryStore()
    add_resolution_level(shell(store), 1, 2)
    root = zv.open_store(CountingStore(store, listing=False))
    assert list_resolution_levels(root) == [0, 1]
    assert zv.open(CountingStore(store, listing=False))[1].vertex_count == 0


def test_a_batch_of_levels_is_one_commit() -> None:
    root = shell()

    def fail() -> None:
        with root.batched_writes():
            add_resolution_level(root, 1, 2)
            assert list_resolution_levels(root) == [0, 1]
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list_resolution_levels(root) == [0]
    with root.batched_writes():
        add_resolution_level(root, 1, 2)
        add_resolution_level(root, 2, 4)
    assert named_levels(root) == (["0", "1", "2"], ["0", "1", "2"])
    assert read_level_metadata(root, 2).parent_level == 1


def test_read_only_stores_keep_their_levels() -> None:
    store = MemoryStore()
    add_resolution_level(shell(store), 1, 2)
    root = zv.open_store(store)
    for change in (
        lambda: add_resolution_level(root, 2, 4),
        lambda: remove_resolution_level(root, 1),
        lambda: upsert_level_transform(root, 1, scale=[1, 1]),
        lambda: write_multiscale_metadata(root),
    ):
        with pytest.raises(ReadOnlyError):
            change()


def test_transforms_are_read_and_put() -> None:
    root = shell()
    root.attrs["multiscales"] = [{**root.attrs["multiscales"][0], "mine": 1}, {"other": 2}]
    upsert_level_transform(root, 2, scale=[4, 4], translation=[0, 0])
    upsert_level_transform(root, 1, scale=(2, 2), translation=np.array([5.0, 2.5]))
    upsert_level_transform(root, 1, scale=(3, 2), translation=(1, 2.5))
    assert [entry["path"] for entry in root.attrs["multiscales"][0]["datasets"]] == ["0", "1", "2"]
    assert (get_level_scale(root, 1), get_level_translation(root, 1)) == ([3, 2], [1, 2.5])
    assert (get_level_scale(root, 2), get_level_translation(root, 2)) == ([4, 4], None)
    assert read_level_transform(root, 5) == (None, None)
    assert (read_multiscale_metadata(root) or [])[1] == {"other": 2}
    write_multiscale_metadata(root)
    block = read_multiscale_metadata(root) or []
    assert [entry["path"] for entry in block[0]["datasets"]] == ["0"]
    assert (block[0]["mine"], block[1]) == (1, {"other": 2})


@pytest.mark.parametrize(
    "bad",
    [
        {"scale": [1]},
        {"scale": [1, 1, 1]},
        {"scale": 2},
        {"scale": [1, float("inf")]},
        {"scale": [0, 1]},
        {"scale": ["a", 1]},
        {"scale": [1, 1], "translation": [1]},
        {"scale": [1, 1], "translation": [1, float("nan")]},
    ],
    ids=str,
)
def test_transforms_of_another_length_are_refused(bad: dict[str, Any]) -> None:
    root = shell()
    before = root.attrs["multiscales"]
    with pytest.raises(InputError, match=r"scale|translation"):
        upsert_level_transform(root, 0, **bad)
    assert root.attrs["multiscales"] == before


def test_bins_of_older_writers_are_found() -> None:
    """They were kept with the level, before the NGFF block had them."""
    root = shell()
    add_resolution_level(root, 1, 2)
    block = root.attrs["multiscales"][0]
    root.attrs["multiscales"] = [{**block, "datasets": block["datasets"][:1]}]
    level = root["1"]
    level.attrs["zarr_vectors_level"] = {**level.attrs["zarr_vectors_level"], "bin_ratio": [2, 4]}
    assert read_level_metadata(root, 1).bin_shape == [10, 10]
    assert list_available_ratios(root)[1] == (2, 4)
    write_multiscale_metadata(root)
    assert read_level_transform(root, 1) == ([2, 4], [5, 5])
