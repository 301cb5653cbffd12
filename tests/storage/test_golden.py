"""Stores of 0.9.2, cell by cell: what is decoded and encoded again has the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.storage.stores import cell_arrays, golden_stores, name_of, open_local, stored_objects, tables
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.codecs import unframe, vlen_frame
from zarr_vectors.encoding.fragments import Fragment, FragmentTable, decode_fragments, encode_fragments, encode_ranges
from zarr_vectors.encoding.manifests import decode_manifests, encode_manifests
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, encode_shard, index_size
from zarr_vectors.spatial.grid import Grid, bin_numbers, chunk_coords, format_keys
from zarr_vectors.storage.cells import CellArray, read_cells
from zarr_vectors.storage.tables import read_tables

STORES = pytest.mark.parametrize("store", golden_stores(), ids=name_of)


def is_binned(store: Path) -> bool:
    facts = json.loads((store / "zarr.json").read_text())["attributes"]["zarr_vectors"]
    plain = facts["geometry_types"] == ["point_cloud"] and not (store / "0" / "object_index").exists()
    return plain and "base_bin_shape" in facts


def read_all(store: Path, array: CellArray) -> Blobs:
    return read_cells(open_local(store), [(array, array.present)])[0].check().cells


def fragments_of(table: FragmentTable, cell: int) -> list[Fragment]:
    """The fragments of one chunk, as ``encode_fragments`` takes them."""
    first = offsets_of(table.per_cell)
    numbers = np.arange(first[cell], first[cell + 1])
    pairs = zip(table.starts[numbers].tolist(), table.counts[numbers].tolist(), numbers, strict=True)
    return [(start, count) if start >= 0 else table.rows(np.array([number])) for start, count, number in pairs]


@STORES
def test_every_fragment_index_is_encoded_to_the_same_bytes(store: Path) -> None:
    arrays = [a for a in cell_arrays(store) if a.document.attributes.get("encoding") == "fragment_index_v1"]
    assert arrays
    for array in arrays:
        cells = read_all(store, array)
        table, errors = decode_fragments(cells)
        assert errors == {}
        encoded = [encode_fragments(fragments_of(table, cell)) for cell in range(len(cells))]
        assert encoded == cells.to_list()
        if (table.starts >= 0).all():
            assert encode_ranges(table.per_cell, table.starts, table.counts).to_list() == encoded


@STORES
def test_every_manifest_is_encoded_to_the_same_bytes(store: Path) -> None:
    for array in tables(store):
        if array.path.endswith("object_index/manifests"):
            header = json.loads((store / array.path).parent.joinpath("zarr.json").read_text())["attributes"]
            (blobs,) = read_tables(open_local(store), [(array, None)])
            table, errors = decode_manifests(blobs, header["sid_ndim"])
            assert errors == {}
            encoded = encode_manifests(table, len(blobs)).to_list()
            # A row that was never written is empty; a known one without fragments has a count of 0.
            assert [blob or bytes(4) for blob in blobs.to_list()] == encoded


@STORES
def test_every_unsharded_cell_is_framed_to_the_same_bytes(store: Path) -> None:
    for array in cell_arrays(store):
        if array.document.is_sharded or array.codec is None:
            continue
        (read,) = read_cells(open_local(store), [(array, array.present)], decode=False)
        framed, errors = array.codec.decode(read.check().cells)
        cells = unframe(framed, errors)
        assert errors == {}
        assert vlen_frame(cells).to_list() == framed.to_list()
        if array.codec.zstd is None:
            stored = {path: bytes(data) for path, data in array.encode(array.present, cells)}
            assert stored == {path: (store / path).read_bytes() for path in stored_objects(store, array.path)}


@STORES
def test_every_shard_is_laid_out_to_the_same_bytes(store: Path) -> None:
    for array in cell_arrays(store):
        if not array.document.is_sharded:
            continue
        assert array.codec is not None
        (read,) = read_cells(open_local(store), [(array, array.present)], decode=False)
        index, number = array.locate(array.present)
        paths = [array.object_path(row) for row in index.tolist()]
        assert set(paths) == stored_objects(store, array.path)
        for path in set(paths):
            shard = (store / path).read_bytes()
            members = np.array([row for row, other in enumerate(paths) if other == path])
            cells = int(np.prod(array.block))
            stated = decode_shard_index(shard[-index_size(cells, True) :], cells)
            assert np.flatnonzero(stated[:, 1] != MISSING).tolist() == sorted(number[members].tolist())
            assert encode_shard(read.check().cells.take(members), number[members], array.block) == shard
        if array.codec.zstd is None:
            encoded = {path: bytes(data) for path, data in array.encode(array.present, read_all(store, array))}
            assert encoded == {path: (store / path).read_bytes() for path in paths}


@STORES
def test_presence_lists_and_stored_objects_agree(store: Path) -> None:
    for array in cell_arrays(store):
        listed = array.document.attributes["nonempty_chunks"]
        assert sorted(format_keys(array.present)) == listed
        index, _ = array.locate(array.present)
        assert {array.object_path(row) for row in index.tolist()} == stored_objects(store, array.path)
        assert array.has(array.grid.all_coords()).sum() == len(listed)


@STORES
def test_every_cell_and_table_is_what_zarr_python_reads(store: Path) -> None:
    root = zarr.open_group(store, mode="r")
    for array in cell_arrays(store):
        values: Any = np.asarray(root[array.path][...])  # type: ignore[index]
        local = array.present - np.asarray(array.grid.origin)
        assert [bytes(values[tuple(cell)]) for cell in local.tolist()] == read_all(store, array).to_list()
        assert sum(bool(value) for value in values.ravel()) == len(array.present)
    for table in tables(store):
        (found,) = read_tables(open_local(store), [(table, None)])
        expected: Any = np.asarray(root[table.path][...])  # type: ignore[index]
        if table.is_vlen:
            assert found.to_list() == [bytes(item) for item in expected]
        else:
            assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


def level_facts(store: Path, array: CellArray) -> tuple[dict[str, Any], list[float]]:
    root = json.loads((store / "zarr.json").read_text())["attributes"]["zarr_vectors"]
    level = json.loads((store / array.path).parent.joinpath("zarr.json").read_text())["attributes"]
    return root, level["zarr_vectors_level"].get("chunk_shape") or root["chunk_shape"]


@STORES
def test_grid_and_chunks_are_computed_alike(store: Path) -> None:
    for array in cell_arrays(store):
        if array.path.endswith("/vertices") and array.document.attributes["encoding"] == "raw":
            root, chunk_shape = level_facts(store, array)
            assert Grid.of_bounds(root["bounds"][0], root["bounds"][1], chunk_shape) == array.grid
            cells = read_all(store, array)
            dtype = np.dtype(array.document.attributes["dtype"])
            rows = np.frombuffer(cells.joined(), dtype).reshape(-1, len(chunk_shape))
            per_cell = cells.sizes // (dtype.itemsize * len(chunk_shape))
            coords = np.stack(chunk_coords(rows, chunk_shape), axis=1)
            assert np.array_equal(coords, np.repeat(array.present, per_cell, axis=0))


@pytest.mark.parametrize("store", [s for s in golden_stores() if is_binned(s)], ids=name_of)
def test_fragments_of_binned_clouds_are_the_bins(store: Path) -> None:
    arrays = {array.path: array for array in cell_arrays(store)}
    vertices = arrays["0/vertices"]
    root, chunk_shape = level_facts(store, vertices)
    bins = tuple(round(c / b) for c, b in zip(chunk_shape, root["base_bin_shape"], strict=True))
    cells = read_all(store, vertices)
    table, _ = decode_fragments(read_all(store, arrays["0/vertex_fragments"]))
    assert table.per_cell.tolist() == [np.prod(bins)] * len(cells)
    rows = np.frombuffer(cells.joined(), vertices.document.attributes["dtype"]).reshape(-1, len(chunk_shape))
    numbers = np.arange(len(table.counts)) % np.prod(bins)
    assert np.array_equal(
        bin_numbers(rows, chunk_shape, root["base_bin_shape"], bins), np.repeat(numbers, table.counts)
    )
