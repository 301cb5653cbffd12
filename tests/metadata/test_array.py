"""The document of an array, its data types and its fill values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.exceptions import InputError, MetadataError
from zarr_vectors.metadata.array import (
    ArrayDocument,
    ShardingChain,
    fill_value_json,
    fill_value_of,
    numpy_dtype,
    zarr_data_type,
)
from zarr_vectors.metadata.base import dump_json

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
DOCUMENTS = sorted(GOLDEN.glob("*/**/zarr.json"))
VLEN = [{"name": "vlen-bytes", "configuration": {}}]
BYTES = [{"name": "bytes", "configuration": {"endian": "little"}}]
INDEX = [*BYTES, {"name": "crc32c"}]


def built(**changes: Any) -> ArrayDocument:
    facts: dict[str, Any] = {
        "shape": (4, 6),
        "data_type": "variable_length_bytes",
        "chunk_shape": (1, 1),
        "codecs": VLEN,
        "fill_value": "",
        "attributes": {"nonempty_chunks": []},
    }
    return ArrayDocument.build(**{**facts, **changes})


def typed(data_type: Any, fill_value: Any) -> ArrayDocument:
    return built(shape=(3,), chunk_shape=(3,), data_type=data_type, fill_value=fill_value, codecs=BYTES)


def test_documents_of_0_9_2_survive_with_every_key() -> None:
    documents = [json.loads(path.read_text()) for path in DOCUMENTS]
    arrays = [document for document in documents if document["node_type"] == "array"]
    assert len(arrays) > 100
    for document in arrays:
        assert ArrayDocument.parse(document, where="x").to_json() == document


def test_unknown_keys_survive_a_change() -> None:
    document = {**built().to_json(), "dimension_names": ["y", "x"], "later": {"a": [1]}}
    changed = ArrayDocument.parse(document, where="x").with_attributes(zv_array="vertices", nonempty_chunks=None)
    assert changed.to_json() == {**document, "attributes": {"zv_array": "vertices"}}


@pytest.mark.parametrize("cell_shape", [None, (1, 1)])
def test_a_built_document_is_one_that_is_parsed(cell_shape: tuple[int, ...] | None) -> None:
    document = built(chunk_shape=(2, 3), cell_shape=cell_shape)
    parsed = ArrayDocument.parse(json.loads(dump_json(document.to_json())), where="x")
    assert parsed == document
    assert (parsed.chunk_shape, parsed.is_sharded) == ((2, 3), cell_shape is not None)
    assert parsed.sharding == (None if cell_shape is None else ShardingChain((VLEN[0],), True, True))


def sharded(**changes: Any) -> ArrayDocument:
    options = {"chunk_shape": [1, 1], "codecs": VLEN, "index_codecs": INDEX, "index_location": "end", **changes}
    return built(chunk_shape=(2, 3), codecs=[{"name": "sharding_indexed", "configuration": options}])


@pytest.mark.parametrize(
    ("changes", "index_crc32c", "index_at_end"),
    [({}, True, True), ({"index_location": "start"}, True, False), ({"index_codecs": BYTES}, False, True)],
)
def test_plain_shards_are_known(changes: dict[str, Any], index_crc32c: bool, index_at_end: bool) -> None:
    assert sharded(**changes).sharding == ShardingChain((VLEN[0],), index_crc32c, index_at_end)


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk_shape": [2, 1]},
        {"index_codecs": [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "crc32c"}]},
        {"index_codecs": [*INDEX, {"name": "zstd", "configuration": {}}]},
    ],
    ids=["cells of two", "big-endian index", "compressed index"],
)
def test_other_shards_are_left_to_zarr_python(changes: dict[str, Any]) -> None:
    document = sharded(**changes)
    assert document.is_sharded
    assert document.sharding is None


@pytest.mark.parametrize(
    ("encoding", "path"),
    [
        ({"name": "default", "configuration": {"separator": "/"}}, "c/1/12"),
        ({"name": "default", "configuration": {"separator": "."}}, "c.1.12"),
        ({"name": "default"}, "c/1/12"),
        ({"name": "v2", "configuration": {"separator": "/"}}, "1/12"),
        ({"name": "v2"}, "1.12"),
    ],
)
def test_stored_chunks_have_the_path_that_the_document_says(encoding: dict[str, Any], path: str) -> None:
    assert built().replace(chunk_key_encoding=encoding).chunk_path((1, 12)) == path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", None),
        ("shape", [-1, 2]),
        ("shape", "ab"),
        ("chunk_grid", {}),
        ("chunk_grid", {"name": "rectangular", "configuration": {"chunk_shape": [1, 1]}}),
        ("chunk_grid", {"name": "regular"}),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [0, 1]}}),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [1]}}),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": ["1", "1"]}}),
        ("chunk_key_encoding", {"name": "other"}),
        ("codecs", []),
        ("codecs", ["zstd"]),
        ("codecs", [{"configuration": {}}]),
        ("codecs", [{"name": "zstd", "configuration": 5}]),
        ("codecs", [{"name": "sharding_indexed"}]),
        ("codecs", [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1], "codecs": None}}]),
        ("codecs", [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1], "codecs": VLEN}}]),
        ("attributes", [1]),
        ("zarr_format", 2),
        ("node_type", "group"),
    ],
)
def test_a_malformed_document_is_an_error_that_names_it(key: str, value: Any) -> None:
    with pytest.raises(MetadataError, match="0/vertices"):
        ArrayDocument.parse({**built().to_json(), key: value}, where="0/vertices")


NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "?"]


@pytest.mark.parametrize("name", [*NUMBERS, "U7", "M8[ns]", "M8[10us]", "m8[D]", "m8[generic]", ">f4", ">i8", ">U2"])
def test_data_types_survive(name: str) -> None:
    dtype: np.dtype[Any] = np.dtype(name)
    assert numpy_dtype(json.loads(json.dumps(zarr_data_type(dtype)))) == dtype.newbyteorder("<")


@pytest.mark.parametrize(
    "data_type",
    [
        "int128",
        "string",
        "float",
        5,
        None,
        {},
        {"name": "other"},
        {"name": "fixed_length_utf32"},
        {"name": "numpy.datetime64", "configuration": {}},
        {"name": "numpy.datetime64", "configuration": {"unit": "fortnight"}},
    ],
    ids=str,
)
def test_data_types_that_are_not_known_are_a_value_error(data_type: Any) -> None:
    with pytest.raises(ValueError, match="unknown data type"):
        numpy_dtype(data_type)


@pytest.mark.parametrize("name", ["S3", "V4", "O", "f16", "c32"])
def test_arrays_that_have_no_data_type_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        zarr_data_type(np.dtype(name))


FILLS = [
    ("f4", 1.5), ("f4", np.nan), ("f8", np.inf), ("f8", -np.inf), ("f2", 0), ("f8", 5e-324), ("i8", -(2**63)),
    ("u8", 2**64 - 1), ("?", True), ("U3", "abc"), ("U3", ""), ("M8[s]", 7), ("M8[ns]", "NaT"), ("m8[D]", -1),
    ("c8", 1 - 2j), ("c16", complex(np.nan, -np.inf)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), FILLS)
def test_fill_values_survive_json(name: str, value: Any) -> None:
    fill = np.array([value], dtype=name)[0]
    document = typed(zarr_data_type(fill.dtype), json.loads(dump_json(fill_value_json(fill, fill.dtype))))
    found = fill_value_of(document)
    assert (found.dtype, np.array(found).tobytes()) == (fill.dtype, np.array(fill).tobytes())


@pytest.mark.parametrize(
    ("data_type", "value", "bits"),
    [("float32", "0x7fc00001", 0x7FC00001), ("float64", "0xfff0000000000000", 0xFFF0000000000000)],
)
def test_floats_may_be_given_by_their_bits(data_type: str, value: str, bits: int) -> None:
    assert int(np.array(fill_value_of(typed(data_type, value))).view(f"u{numpy_dtype(data_type).itemsize}")) == bits


@pytest.mark.parametrize(
    ("data_type", "value"),
    [("float32", "abc"), ("float32", None), ("float64", [1]), ("int8", 1000), ("int8", "x"), ("uint8", -1),
     ("complex64", 5), ("complex64", ["a", 1]), ("float32", "0xzz"), ("float16", "0x1ffff")],
)  # fmt: skip
def test_fill_values_of_another_type_are_a_value_error(data_type: str, value: Any) -> None:
    with pytest.raises(ValueError, match="fill value"):
        fill_value_of(typed(data_type, value))
