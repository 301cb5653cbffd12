"""Typed and one-dimensional vlen-bytes arrays: our path and zarr-python's give the same, in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.core.dtype import VariableLengthBytes
from zarr.storage import MemoryStore

from tests.storage.stores import as_buffer, fewer_examples, memory_of, open_memory, put_document, zarr_store
from zarr_vectors.core.documents import typed_table_document, vlen_table_document
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.compression import cell_codecs, typed_codecs
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import STORED_WHOLE, TableArray, read_tables

CODECS: dict[str, Any] = {
    "plain": [],
    "zstd": [{"name": "zstd", "configuration": {"level": 0, "checksum": False}}],
    "zstd checked": None,
    "crc32c": "none",
    "gzip": [{"name": "gzip", "configuration": {"level": 1}}],
    "blosc": "blosc",
}
chains = pytest.mark.parametrize("chain", CODECS)
few = fewer_examples(3)

VALUES: dict[str, Any] = {
    **{name: [0, 1, 5, 100, 7] for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")},
    "i8 extremes": np.array([-(2**63), 2**63 - 1, 0, -1, 1]),
    "u8 extremes": np.array([2**64 - 1, 2**63, 0, 1, 2], dtype="u8"),
    **{name: [0.0, -0.0, np.inf, np.nan, 1.5] for name in ("f2", "f4", "f8")},
    **{name: [0j, 1 - 2j, complex(np.nan, np.inf), 3, -0j] for name in ("c8", "c16")},
    "?": [True, False, False, True, True],
    "U4": ["", "a", "four", "é", "𝄞"],
    "M8[ns]": ["2020-01-01", "NaT", "1969-12-31T23:59:59.999999999", "2262-01-01", "1970-01-01"],
    "M8[D]": ["2020-01-01", "NaT", "0001-01-01", "9999-12-31", "1970-01-01"],
    "M8[10us]": np.array([0, 1, -1, 5, 7]).astype("M8[10us]"),
    "m8[s]": np.array([0, 1, -1, 5, 7]).astype("m8[s]"),
    ">f4": [1.5, 2, 3, 4, 5],
    ">i8": [1, 2, 3, 4, 5],
}


def values_of(name: str) -> Any:
    given_values = VALUES[name]
    return given_values if isinstance(given_values, np.ndarray) else np.array(given_values, dtype=name)


def same(one: Any, other: Any) -> bool:
    """Bit by bit, byte order apart."""
    native = [np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<")) for part in (one, other)]
    return native[0].shape == native[1].shape and native[0].tobytes() == native[1].tobytes()


def write_ours(storage: Storage, rows: Any, document: ArrayDocument) -> TableArray:
    table = TableArray("t", document, storage.url)
    put_document(storage, "t", document)
    for key, data in table.encode(rows):
        storage.backend.put_bytes(key, data)
    return table


def table_in(storage: Storage) -> TableArray:
    document = storage.read_documents(["t/zarr.json"])["t/zarr.json"]
    return TableArray("t", ArrayDocument.parse(document, where="t"), storage.url)


def read_with_zarr(storage: Storage) -> Any:
    return np.asarray(zarr.open_array(zarr_store(storage), path="t", mode="r")[...])


@chains
@pytest.mark.parametrize("chunk_rows", [2, 9])
@pytest.mark.parametrize("name", VALUES)
def test_typed_tables_that_we_write_zarr_python_reads(name: str, chunk_rows: int, chain: str) -> None:
    rows = values_of(name)
    for shaped in (rows, np.stack([rows, rows[::-1]], axis=1)):
        storage = open_memory()
        fill = np.zeros(1, dtype=rows.dtype)[0]
        write_ours(storage, shaped, typed_table_document(shaped, chunk_rows, typed_codecs(CODECS[chain]), {}, fill))
        assert same(read_with_zarr(storage), shaped)
        table = table_in(storage)
        assert same(read_tables(storage, [(table, None)])[0], shaped)
        picked = np.array([4, 0, 4, 2])
        assert same(read_tables(storage, [(table, picked)])[0], shaped[picked])


@chains
@pytest.mark.parametrize("name", [name for name in VALUES if not name.startswith(">")])
def test_typed_tables_that_zarr_python_writes_we_read(name: str, chain: str) -> None:
    rows = values_of(name)
    storage = open_memory()
    filters = {"compressors": typed_codecs(CODECS[chain])[1:] or None}
    foreign = zarr.create_array(
        zarr_store(storage),
        name="t",
        shape=(7, 2),
        chunks=(3, 2),
        dtype=rows.dtype,
        fill_value=rows[1],
        **filters,  # type: ignore[arg-type]
    )
    whole = np.full((7, 2), rows[1])
    whole[:2], whole[6, 0] = rows[[3, 4]], rows[2]
    foreign[...] = whole
    stored = {key for key in memory_of(storage.backend) if key.startswith("t/c/")}
    assert "t/c/1/0" not in stored, "zarr-python stores no chunk of fill values"
    assert same(read_tables(storage, [(table_in(storage), None)])[0], np.asarray(foreign[...]))


def test_big_endian_tables_of_others_are_read() -> None:
    storage = open_memory()
    document = typed_table_document(np.arange(5.0), 2, typed_codecs(), {}, 0.0)
    codecs = [{"name": "bytes", "configuration": {"endian": "big"}}, *document.codecs[1:]]
    put_document(storage, "t", document.replace(codecs=codecs))
    foreign = zarr.open_array(zarr_store(storage), path="t", mode="r+")
    foreign[...] = np.arange(5.0) / 3
    assert read_tables(storage, [(table_in(storage), None)])[0].tolist() == (np.arange(5.0) / 3).tolist()


BLOBS = st.lists(st.binary(max_size=12), max_size=9)


@chains
@few
@given(BLOBS, st.integers(1, 12), st.data())
def test_vlen_tables_survive_both_ways(chain: str, blobs: list[bytes], chunk_rows: int, data: st.DataObject) -> None:
    storage = open_memory()
    document = vlen_table_document(len(blobs), chunk_rows, cell_codecs(CODECS[chain]), {})
    table = write_ours(storage, Blobs.from_list(blobs), document)
    assert [bytes(item) for item in read_with_zarr(storage)] == blobs
    assert read_tables(storage, [(table, None)])[0].to_list() == blobs
    picked = data.draw(st.lists(st.integers(0, len(blobs) - 1), max_size=5)) if blobs else []
    (found,) = read_tables(storage, [(table, np.array(picked, dtype=np.int64))])
    assert found.to_list() == [blobs[row] for row in picked]

    foreign = zarr.open_array(zarr_store(storage), path="t", mode="r+")
    again = [blob + b"!" for blob in blobs]
    if again:
        foreign[...] = np.array([*again, None], dtype=object)[:-1]
    assert read_tables(storage, [(table, None)])[0].to_list() == again


def test_absent_chunks_are_fill_values_unless_all_were_stored() -> None:
    storage = open_memory()
    zarr.create_array(zarr_store(storage), name="t", shape=(5,), chunks=(2,), dtype="f4", fill_value=7.5)
    assert read_tables(storage, [(table_in(storage), None)])[0].tolist() == [7.5] * 5
    zarr.create_array(
        zarr_store(storage),
        name="v",
        shape=(5,),
        chunks=(2,),
        dtype=VariableLengthBytes(),
        fill_value=b"",
    )
    document = storage.read_documents(["v/zarr.json"])["v/zarr.json"]
    vlen = TableArray("v", ArrayDocument.parse(document, where="v"))
    assert read_tables(storage, [(vlen, None)])[0].to_list() == [b""] * 5


@pytest.mark.parametrize(
    "rows", [np.zeros(5), np.zeros((5, 2)), Blobs.from_list([b""] * 5)], ids=["1-D", "2-D", "vlen"]
)
def test_our_tables_store_every_chunk_and_miss_one_that_is_gone(rows: Any) -> None:
    storage = open_memory()
    if isinstance(rows, Blobs):
        document = vlen_table_document(5, 2, cell_codecs(), {})
    else:
        document = typed_table_document(rows, 2, typed_codecs(), {}, 0.0)
    table = write_ours(storage, rows, document)
    assert document.attributes[STORED_WHOLE] is True
    stored = sorted(key for key in memory_of(storage.backend) if key.startswith("t/c/"))
    assert len(stored) == 3
    del memory_of(storage.backend)[stored[1]]
    with pytest.raises(CorruptionError, match="gone") as caught:
        read_tables(storage, [(table, None)])
    assert (caught.value.store, caught.value.array, caught.value.cell) == ("memory://test", "t", 1)
    assert len(read_tables(storage, [(table, np.array([0, 4]))])[0]) == 2


def test_empty_tables_are_read() -> None:
    for rows, document in [
        (np.zeros((0, 3), dtype="f4"), typed_table_document(np.zeros((0, 3), dtype="f4"), 0, typed_codecs(), {}, 0.0)),
        (Blobs.from_list([]), vlen_table_document(0, 0, cell_codecs(), {})),
    ]:
        storage = open_memory()
        table = write_ours(storage, rows, document)
        assert len(read_tables(storage, [(table, None)])[0]) == len(read_with_zarr(storage)) == 0


def test_several_tables_are_read_in_one_round() -> None:
    storage = open_memory(MemoryStore())
    table = write_ours(storage, np.arange(5.0), typed_table_document(np.arange(5.0), 2, typed_codecs(), {}, 0.0))
    one, two = read_tables(storage, [(table, None), (table, np.array([3]))])
    assert (one.tolist(), two.tolist()) == ([0.0, 1.0, 2.0, 3.0, 4.0], [3.0])


GOOD = typed_table_document(np.arange(4.0), 2, typed_codecs("none"), {}, 0.0).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_type": "int128", "attributes": {}}, "data type"),
        ({"data_type": "string", "attributes": {}}, "data type"),
        ({"data_type": {"name": "fixed_length_utf32"}, "attributes": {}}, "data type"),
        ({"fill_value": "abc", "attributes": {}}, "fill value"),
        ({"data_type": "int8", "fill_value": 1000, "attributes": {}}, "fill value"),
        ({"shape": [4, 3], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}}}, "shape"),
        ({"shape": [], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": []}}}, "shape"),
    ],
)
def test_tables_of_another_make_are_an_error_with_their_place(change: dict[str, Any], message: str) -> None:
    storage = open_memory()
    table = TableArray("0/t", ArrayDocument.parse({**GOOD, **change}, where="0/t"), "s3://store")
    with pytest.raises(MetadataError, match=message) as caught:
        read_tables(storage, [(table, None)])
    assert (caught.value.store, caught.value.array) == ("s3://store", "0/t")


VLEN_CHUNKS = {
    "nothing": b"",
    "half a count": b"\2\0",
    "more items than bytes": (2**31).to_bytes(4, "little") + bytes(8),
    "fewer items than rows": (1).to_bytes(4, "little") + bytes(4),
    "an item beyond the end": (2).to_bytes(4, "little") + (9).to_bytes(4, "little") + b"abc" + bytes(4),
    "an item of all memory": (2).to_bytes(4, "little") + b"\xff" * 4 + bytes(4),
    "bytes after the last item": (2).to_bytes(4, "little") + bytes(8) + b"x",
}


@pytest.mark.parametrize("chunk", VLEN_CHUNKS.values(), ids=VLEN_CHUNKS)
def test_a_vlen_chunk_that_contradicts_itself_is_corruption(chunk: bytes) -> None:
    storage = open_memory()
    table = write_ours(storage, Blobs.from_list([b"a", b"b"]), vlen_table_document(2, 2, cell_codecs([]), {}))
    memory_of(storage.backend)["t/c/0"] = as_buffer(chunk)
    with pytest.raises(CorruptionError) as caught:
        read_tables(storage, [(table, None)])
    assert (caught.value.store, caught.value.array, caught.value.cell) == ("memory://test", "t", 0)


@pytest.mark.parametrize("chain", ["zstd checked", "crc32c", "blosc"])
@pytest.mark.parametrize("kind", ["typed", "vlen"])
def test_no_flipped_bit_of_a_checked_table_goes_unnoticed(kind: str, chain: str) -> None:
    storage = open_memory()
    compressor = CODECS[chain]
    if kind == "typed":
        rows: Any = np.arange(6.0)
        table = write_ours(storage, rows, typed_table_document(rows, 6, typed_codecs(compressor), {}, 0.0))
    else:
        rows = Blobs.from_list([b"abc", b"", b"de"])
        table = write_ours(storage, rows, vlen_table_document(3, 3, cell_codecs(compressor), {}))
    good = memory_of(storage.backend)["t/c/0"].to_bytes()
    expected = rows.tolist() if kind == "typed" else rows.to_list()
    for place in range(8 * len(good) if chain != "blosc" else len(good)):
        flipped = bytearray(good)
        flipped[place // 8 if chain != "blosc" else place] ^= 1 << place % 8
        memory_of(storage.backend)["t/c/0"] = as_buffer(bytes(flipped))
        try:
            (found,) = read_tables(storage, [(table, None)])
        except CorruptionError:
            continue
        assert (found.tolist() if kind == "typed" else found.to_list()) == expected
