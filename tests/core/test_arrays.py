"""Levels written chunk by chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.counting import CountingStore
from zarr_vectors.core.arrays import (
    create_attribute_array,
    create_vertices_array,
    list_chunk_keys,
    read_chunk_vertices,
    write_chunk_attributes,
    write_chunk_vertices,
)
from zarr_vectors.exceptions import ArrayError, CorruptionError, InputError, MissingCellError, StoreError
from zarr_vectors.typing import AnyArray

CHUNKS = [(x, y) for x in range(-2, 2) for y in range(4)]


def shell(store: Any = None) -> zv.Group:
    place = MemoryStore() if store is None else store
    return zv.create_store(place, bounds=([-20, 0], [19, 39]), chunk_shape=(10, 10))["0"]


def fragments_of(chunk: tuple[int, int]) -> list[AnyArray]:
    """Three fragments, one of them empty."""
    corner = np.array(chunk) * 10.0
    return [corner + np.array([[1, 1], [2, 5]]), np.zeros((0, 2)), corner + np.array([[9.5, 9.5]])]


def fill(level: zv.Group) -> None:
    """As the documentation of ``batched_writes`` has it."""
    with level.batched_writes():
        create_vertices_array(level, dtype="float64")
        create_attribute_array(level, "n", "int64")
        create_attribute_array(level, "rgb", "uint8", channels=3)
        for number, chunk in enumerate(CHUNKS):
            write_chunk_vertices(level, chunk, fragments_of(chunk))
            write_chunk_attributes(level, "n", chunk, [[number, number], [], [number]])
            write_chunk_attributes(level, "rgb", chunk, [np.full((3, 3), number)])


@pytest.mark.parametrize("shards", [None, (2, 3)])
def test_a_level_is_written_chunk_by_chunk(shards: Any) -> None:
    store = MemoryStore()
    level = shell(store)
    if shards is None:
        fill(level)
    else:
        with level.native_sharded_arrays(shards, (4, 4)):
            fill(level)
        with pytest.raises(StoreError, match="nested"), level.native_sharded_arrays(shards, (4, 4)):
            fill_nothing(level, shards)
    assert list_chunk_keys(level) == list_chunk_keys(level, "vertex_attributes/n") == sorted(CHUNKS)
    got = zv.open(store)[0].read()
    want = np.concatenate([part for chunk in sorted(CHUNKS) for part in fragments_of(chunk)])
    np.testing.assert_array_equal(got.positions, want)
    assert got.attributes["n"].tolist() == [n for n in range(16) for _ in range(3)]
    assert got.attributes["rgb"].shape == (48, 3)
    assert zv.open(store)[0].shard_shape == shards
    for part, given in zip(read_chunk_vertices(level, (1, 2)), fragments_of((1, 2)), strict=True):
        np.testing.assert_array_equal(part, given)


def fill_nothing(level: zv.Group, shards: Any) -> None:
    with level.native_sharded_arrays(shards, (4, 4)):
        pass


def test_reads_in_a_batch_cost_nothing() -> None:
    store = MemoryStore()
    fill(shell(store))
    counting = CountingStore(store)
    level = zv.open_store(counting)["0"]
    keys = list_chunk_keys(level)
    with level.batched_reads([("vertices", keys), ("vertex_fragments", keys)]):
        read_chunk_vertices(level, keys[0])
        counting.reset()
        for key in keys:
            read_chunk_vertices(level, key, "float64")
        assert counting.requests == []


def test_bytes_at_which_fragments_begin() -> None:
    level = shell()
    assert write_chunk_vertices(level, (0, 0), fragments_of((0, 0))).tolist() == [0, 16, 16]
    assert write_chunk_vertices(level, (0, 0), []).tolist() == []
    assert read_chunk_vertices(level, (0, 0)) == []


@pytest.mark.parametrize(
    ("chunk", "fragments", "what"),
    [
        ((0, 0), [[[10.0, 1]]], "outside the chunk"),
        ((0, 0), [[[1.0, float("nan")]]], "finite"),
        ((0, 0), [[[1.0, 1, 1]]], "positions"),
        ((0, 0), [[1.0, 1]], "positions"),
        ((0, 0, 0), [[[1.0, 1]]], "one number per axis"),
        ((0, 0.5), [[[1.0, 1]]], "whole numbers"),
        ((0, 0), [[["a", "b"]]], "float32"),
        ((0, 0), [[[1e300, 1]]], "cannot be stored"),
    ],
)
def test_positions_that_are_refused(chunk: Any, fragments: Any, what: str) -> None:
    level = shell()
    with pytest.raises(InputError, match=what):
        write_chunk_vertices(level, chunk, fragments)
    assert list_chunk_keys(level) == []


def test_what_does_not_fit_the_arrays_is_refused() -> None:
    level = shell()
    create_attribute_array(level, "n", "int16")
    with pytest.raises(MissingCellError):
        write_chunk_attributes(level, "n", (0, 0), [[1]])
    write_chunk_vertices(level, (0, 0), [[[1.0, 1]]])
    for values, what in (([[1, 2]], "one value per vertex"), ([[1.5]], "cannot be stored"), ([[70000]], "int16")):
        with pytest.raises(InputError, match=what):
            write_chunk_attributes(level, "n", (0, 0), values)
    with pytest.raises(InputError, match="rows of shape"):
        write_chunk_attributes(level, "n", (0, 0), [[[1, 2]]])
    with pytest.raises(ArrayError, match="another dtype"):
        write_chunk_attributes(level, "n", (0, 0), [[1]], dtype="int32")
    with pytest.raises(StoreError, match="outside the array's grid"):
        write_chunk_vertices(level, (7, 7), [[[71.0, 71]]])
    with pytest.raises(StoreError, match="with cells"):
        create_vertices_array(level)
    with pytest.raises(StoreError, match="not a level"):
        create_attribute_array(level.create_group("g"), "a")
    with pytest.raises(ArrayError, match="numbers, booleans or dates"):
        create_attribute_array(level, "a", "U3")
    with pytest.raises(ArrayError, match="real numbers"):
        create_vertices_array(level, "c8")
    with pytest.raises(ArrayError, match="encoding"):
        create_vertices_array(level, encoding="draco")


def test_cells_that_contradict_each_other_are_found() -> None:
    level = shell()
    write_chunk_vertices(level, (0, 0), [[[1.0, 1], [2, 2]]])
    level.write_bytes("vertices", "0.0", bytes(8))
    with pytest.raises(CorruptionError, match="a row that there is not"):
        read_chunk_vertices(level, (0, 0))
    level.write_bytes("vertices", "0.0", bytes(7))
    with pytest.raises(CorruptionError, match="7 bytes"):
        read_chunk_vertices(level, (0, 0))
    with pytest.raises(MissingCellError):
        read_chunk_vertices(level, (0, 1))
