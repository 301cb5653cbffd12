"""What the documents of a level say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.core.documents import (
    ColumnSpec,
    absent_value,
    cell_array_document,
    dtype_name,
    manifests_document,
    typed_table_document,
    vlen_table_document,
    with_presence,
)
from zarr_vectors.encoding.compression import cell_codecs, typed_codecs
from zarr_vectors.exceptions import InputError, MetadataError
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.storage.tables import STORED_WHOLE

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def golden(store: str, array: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((GOLDEN / store / array / "zarr.json").read_text())
    return document


@pytest.mark.parametrize(
    ("store", "shard_shape"), [("plain", None), ("negative", None), ("sharded_uneven", (2, 2)), ("four_d", None)]
)
def test_arrays_of_cells_are_declared_as_0_9_2_declares_them(store: str, shard_shape: tuple[int, ...] | None) -> None:
    expected = golden(store, "0/vertices")
    attributes = dict(expected["attributes"])
    present = attributes.pop("nonempty_chunks")
    grid = Grid(tuple(attributes.pop("chunk_grid_origin", [0] * len(expected["shape"]))), tuple(expected["shape"]))
    chain = expected["codecs"] if shard_shape is None else expected["codecs"][0]["configuration"]["codecs"]
    built = cell_array_document(grid, shard_shape, chain, attributes)
    assert built.attributes["nonempty_chunks"] == []
    assert with_presence(built, present).to_json() == expected


def test_only_an_origin_that_is_not_zero_is_written() -> None:
    plain, shifted = (cell_array_document(Grid(o, (2, 2)), None, cell_codecs(), {}) for o in ((0, 0), (0, -3)))
    assert "chunk_grid_origin" not in plain.attributes
    assert shifted.attributes["chunk_grid_origin"] == [0, -3]


@pytest.mark.parametrize("shards", [(0, 1), (2,), (2, 2, 2)])
def test_shards_that_do_not_fit_the_grid_are_refused(shards: tuple[int, ...]) -> None:
    with pytest.raises(MetadataError):
        cell_array_document(Grid((0, 0), (2, 2)), shards, cell_codecs(), {})


SPECS = {
    "scalar": ColumnSpec(dtype=np.dtype("f4")),
    "channels": ColumnSpec(dtype=np.dtype("u1"), row_shape=(3,), unit="nm"),
    "matrix": ColumnSpec(dtype=np.dtype("f8"), row_shape=(2, 2)),
    "big-endian": ColumnSpec(dtype=np.dtype(">f4")),
    "time": ColumnSpec(dtype=np.dtype("M8[ns]")),
    "categories": ColumnSpec(dtype=np.dtype("u1"), categories=("a", "b")),
    "categories with gaps": ColumnSpec(dtype=np.dtype("i2"), categories=("a", 7), ordered=True),
}


@pytest.mark.parametrize("name", SPECS)
def test_columns_survive_their_attributes(name: str) -> None:
    said = json.loads(json.dumps(SPECS[name].attributes()))
    assert ColumnSpec.from_attributes(said) == SPECS[name]
    assert SPECS[name].row_bytes == SPECS[name].dtype.itemsize * SPECS[name].channels


@pytest.mark.parametrize(
    ("store", "array"),
    [("channel_attributes", "rgb"), ("text_attributes", "label"), ("numeric_attributes", "big_endian")],
)
def test_columns_of_0_9_2_are_declared_alike(store: str, array: str) -> None:
    folder = GOLDEN / store / "0" / "vertex_attributes"
    for path in sorted(folder.glob("*/zarr.json")):
        expected = json.loads(path.read_text())["attributes"]
        said = ColumnSpec.from_attributes(expected).attributes()
        assert {key: expected[key] for key in said if key in expected} == said, f"{array}, {path}"


def test_the_width_of_a_column_may_be_told_by_its_channels() -> None:
    assert ColumnSpec.from_attributes({"dtype": "u1", "channel_names": ["r", "g"]}).row_shape == (2,)
    assert ColumnSpec.from_attributes({"dtype": "u1"}).row_shape == ()


@pytest.mark.parametrize(("name", "said"), [("<f4", "float32"), (">f4", ">f4"), ("<i8", "int64"), ("?", "bool")])
def test_byte_order_is_stated_only_where_it_is_not_little(name: str, said: str) -> None:
    assert dtype_name(np.dtype(name)) == said
    assert np.dtype(said) == np.dtype(name)


def test_tables_store_every_chunk_and_say_so() -> None:
    table = typed_table_document(np.zeros((5, 2), dtype="f4"), 2, typed_codecs(), {"name": "x"}, np.nan)
    assert (table.shape, table.chunk_shape, table.fill_value) == ((5, 2), (2, 2), "NaN")
    assert table.attributes == {"name": "x", STORED_WHOLE: True}
    assert vlen_table_document(0, 0, cell_codecs(), {}).chunk_shape == (1,)
    assert manifests_document(5, cell_codecs()).chunk_shape == (5,)
    assert manifests_document(20_000, cell_codecs()).chunk_shape == (16384,)
    with pytest.raises(InputError, match="cannot be stored"):
        typed_table_document(np.zeros(3, dtype="S3"), 2, typed_codecs(), {}, b"")


@pytest.mark.parametrize("dtype", ["f4", "c8", "i1", "i8", "u1", "u8", "U3", "M8[ns]", "m8[s]"])
def test_the_value_of_an_absent_row_is_one_of_its_dtype(dtype: str) -> None:
    value = np.array([absent_value(np.dtype(dtype))], dtype=dtype)
    kind = np.dtype(dtype).kind
    if kind in "fc":
        assert np.isnan(value).all()
    elif kind in "mM":
        assert np.isnat(value).all()
    elif kind in "iu":
        assert value[0] == (np.iinfo(dtype).min if kind == "i" else np.iinfo(dtype).max)
    else:
        assert value[0] == ""
