"""Damaged stores: whatever is gone, cut or flipped is an error that says where, or changes nothing that is read."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.stores import as_buffer, memory_of, open_memory
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.sharding import index_size
from zarr_vectors.exceptions import CorruptionError, MetadataError, StoreNotFoundError, ZVError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.storage.cells import CellArray, read_cells

LAYOUTS = {
    "zstd": zv.Layout(chunk_shape=10, shard_shape=None),
    "zstd sharded": zv.Layout(chunk_shape=10, shard_shape=2),
    "crc32c": zv.Layout(chunk_shape=10, shard_shape=None, compressor="none"),
    "crc32c sharded": zv.Layout(chunk_shape=10, shard_shape=2, compressor="none"),
    "blosc crc32c sharded": zv.Layout(chunk_shape=10, shard_shape=2, compressor="blosc"),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS)
fast_layouts = pytest.mark.parametrize("layout", [name for name in LAYOUTS if not name.startswith("blosc")])


@cache
def content(layout: str) -> dict[str, bytes]:
    """A small store, object by object."""
    rng = np.random.default_rng(1)
    rows = 14
    cloud = zv.Points(
        rng.uniform(-10, 20, (rows, 1)).astype(np.float32),
        attributes={"weight": np.arange(rows) / 3, "label": rng.choice(["a", "b"], rows)},
        object_ids=rng.integers(3, 6, rows) ** 2,
        object_attributes={"size": np.arange(3.0)},
        groups={0: [9, 16], 1: [25]},
    )
    store = MemoryStore()
    zv.write(store, cloud, layout=LAYOUTS[layout])
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def store_of(layout: str, **damaged: bytes | None) -> MemoryStore:
    """The store with some objects changed, or gone where None."""
    objects = {**content(layout), **damaged}
    return MemoryStore({key: as_buffer(data) for key, data in objects.items() if data is not None})


def read(store: MemoryStore, **options: Any) -> Any:
    return zv.open(store)[0].read(**options)


def rows_of(points: Any) -> list[Any]:
    columns = [points.positions.tolist(), points.attributes["weight"].tolist(), list(points.attributes["label"])]
    rows = zip(*columns, points.object_ids.tolist(), strict=True)
    tables = [points.object_attributes["size"].tolist()] if len(points.object_attributes) else []
    return [*rows, *tables, [members.tolist() for members in points.groups.values()]]


def chunk_objects(layout: str) -> list[str]:
    return [key for key in content(layout) if "/c/" in key]


def is_cell(key: str) -> bool:
    return key.split("/")[1] in {"vertices", "vertex_fragments", "vertex_attributes", "fragment_attributes"}


def outcome(store: MemoryStore) -> list[Any] | CorruptionError:
    try:
        level = zv.open(store)[0]
        return [*rows_of(level.read()), level.read(object_ids=[25, 9]).positions.tolist()]
    except CorruptionError as error:
        return error


@cache
def undamaged(layout: str) -> tuple[Any, set[tuple[float, ...]]]:
    """What is read of the whole store, and its positions."""
    return outcome(store_of(layout)), set(map(tuple, read(store_of(layout)).positions.tolist()))


def assert_found(layout: str, key: str, data: bytes | None) -> None:
    """Reading fails with the place of the damage; or nothing of it is in what is read."""
    store = store_of(layout, **{key: data})
    found = outcome(store)
    if isinstance(found, CorruptionError):
        assert found.store is not None
        assert found.cell is not None
        assert key.startswith(f"{found.array}/c/")
    else:
        assert data is not None
        assert found == undamaged(layout)[0]
    if is_cell(key):
        partial = read(store, strict=False)
        assert undamaged(layout)[1].issuperset(map(tuple, partial.positions.tolist()))
        assert isinstance(found, list) or any(key.rpartition("/c/")[0] in error for error in partial.errors)


@layouts
def test_an_undamaged_store_is_read(layout: str) -> None:
    assert len(rows_of(read(store_of(layout)))) == 14 + 2


@layouts
def test_every_missing_chunk_is_found(layout: str) -> None:
    for key in chunk_objects(layout):
        assert isinstance(outcome(store_of(layout, **{key: None})), CorruptionError)
        assert_found(layout, key, None)


@fast_layouts
def test_every_truncated_chunk_is_found(layout: str) -> None:
    for key in chunk_objects(layout):
        data = content(layout)[key]
        for length in {0, len(data) // 3, len(data) - 1}:
            assert isinstance(outcome(store_of(layout, **{key: data[:length]})), CorruptionError)
            assert_found(layout, key, data[:length])


@fast_layouts
def test_no_flipped_byte_of_a_chunk_goes_unnoticed(layout: str) -> None:
    for number, key in enumerate(chunk_objects(layout)):
        data = content(layout)[key]
        step = max(1, len(data) // 8)
        for place in range(number % step, len(data), step):
            flipped = bytearray(data)
            flipped[place] ^= 1 << (place + number) % 8
            assert_found(layout, key, bytes(flipped))


@layouts
def test_chunks_that_changed_places_are_not_taken_for_one_another(layout: str) -> None:
    keys = [key for key in chunk_objects(layout) if key.startswith("0/vertex_attributes/weight/")]
    sizes = {key: len(content(layout)[key]) for key in keys}
    one, other = keys[0], next(key for key in keys if sizes[key] != sizes[keys[0]])
    with pytest.raises(CorruptionError) as caught:
        read(store_of(layout, **{one: content(layout)[other], other: content(layout)[one]}))
    assert caught.value.array == "0/vertex_attributes/weight"


def documents(layout: str) -> list[str]:
    return [key for key in content(layout) if key.endswith("zarr.json")]


GROUPS = ("0/vertex_attributes/zarr.json", "0/fragment_attributes/zarr.json", "0/object_attributes/zarr.json")
"""Documents of groups that only hold arrays; nothing is read from them."""


@pytest.mark.parametrize("key", [key for key in documents("zstd sharded") if key not in GROUPS])
def test_every_missing_document_is_found(key: str) -> None:
    with pytest.raises((CorruptionError, StoreNotFoundError)) as caught:
        read(store_of("zstd sharded", **{key: None}))
    assert caught.value.store is not None


@pytest.mark.parametrize("key", [key for key in documents("zstd sharded") if key not in GROUPS])
def test_every_truncated_document_is_found(key: str) -> None:
    data = content("zstd sharded")[key]
    for length in range(0, len(data), max(1, len(data) // 40)):
        with pytest.raises(CorruptionError) as caught:
            read(store_of("zstd sharded", **{key: data[:length]}))
        assert (caught.value.store is not None, caught.value.array) == (True, key)


@pytest.mark.parametrize(
    "key",
    documents("zstd sharded"),
)
def test_no_flipped_byte_of_a_document_raises_an_error_from_inside(key: str) -> None:
    data = content("zstd sharded")[key]
    for place in range(0, len(data), 5):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 7
        store = store_of("zstd sharded", **{key: bytes(flipped)})
        try:
            found = read(store)
        except ZVError:
            continue
        assert len(found.positions) == 14, bytes(flipped[max(0, place - 20) : place + 20])


@pytest.mark.parametrize("crc32c", [True, False], ids=["checked index", "unchecked index"])
def test_cells_whose_place_in_a_shard_is_wild_are_named(crc32c: bool) -> None:
    storage = open_memory()
    index_codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    document = ArrayDocument.build(
        shape=[4],
        data_type="variable_length_bytes",
        chunk_shape=[4],
        cell_shape=[1],
        codecs=[{"name": "vlen-bytes", "configuration": {}}],
        fill_value="",
        attributes={"nonempty_chunks": ["0", "1", "2"]},
    ).to_json()
    document["codecs"][0]["configuration"]["index_codecs"] = index_codecs[: 1 + crc32c]
    array = CellArray("a", ArrayDocument.parse(document, where="a"), "s3://store")
    for key, data in array.encode(array.present, Blobs.from_list([b"zero", b"one", b"two"])):
        storage.backend.put_bytes(key, data)
    good = memory_of(storage.backend)["a/c/0"].to_bytes()
    index = len(good) - index_size(4, crc32c)
    for offset, size in [(2**63, 4), (0, 2**40), (2**64 - 2, 2**63), (len(good), 4), (2**62, 2**62), (2**61, 2**61)]:
        entry = np.array([offset, size], dtype="<u8").tobytes()
        memory_of(storage.backend)["a/c/0"] = as_buffer(good[: index + 16] + entry + good[index + 32 :])
        storage.shard_indexes.clear()
        (found,) = read_cells(storage, [(array, array.present)])
        assert sorted(found.errors) == ([0, 1, 2] if crc32c else [1]), (offset, size)
        with pytest.raises(CorruptionError) as caught:
            found.check()
        assert (caught.value.store, caught.value.array) == ("s3://store", "a")
        assert caught.value.cell == ("0" if crc32c else "1")


def test_every_cell_that_cannot_be_read_is_listed() -> None:
    keys = [key for key in chunk_objects("zstd") if key.startswith("0/vertices/")]
    storage = open_memory(store_of("zstd", **dict.fromkeys(keys)))
    document = storage.read_documents(["0/vertices/zarr.json"])["0/vertices/zarr.json"]
    array = CellArray("0/vertices", ArrayDocument.parse(document, where="0/vertices"), storage.url)
    (found,) = read_cells(storage, [(array, array.present)])
    with pytest.raises(CorruptionError) as caught:
        found.check()
    assert len(caught.value.problems) == len(keys)


def test_a_presence_list_that_is_malformed_is_an_error_of_the_store() -> None:
    key = "0/vertices/zarr.json"
    data = content("zstd")[key].replace(b'"nonempty_chunks":[', b'"nonempty_chunks":[7,')
    with pytest.raises(MetadataError, match="presence list"):
        read(store_of("zstd", **{key: data}))
