"""The low-level group: cells, batches, tables and attributes, on a local folder and in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from zarr_vectors.core.store import list_resolution_levels, read_level_metadata, read_root_metadata
from zarr_vectors.exceptions import (
    CorruptionError,
    InputError,
    MetadataError,
    MissingCellError,
    OptionError,
    ReadOnlyError,
    StoreError,
    StoreExistsError,
)


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}"


@pytest.fixture
def level(place: str) -> zv.Group:
    return zv.create_store(place, bounds=([-20, 0], [19, 39]), chunk_shape=(10, 10))["0"]


def test_a_cell_comes_back(level: zv.Group) -> None:
    level.write_bytes("vertices", "-2.3", b"some bytes")
    assert level.read_bytes("vertices", "-2.3") == level.read_bytes("vertices", (-2, 3)) == b"some bytes"
    assert level.list_chunks("vertices") == ["-2.3"]
    assert level.chunk_exists("vertices", (-2, 3))
    assert not level.chunk_exists("vertices", "0.0")


def test_an_empty_cell_is_not_a_missing_one(level: zv.Group) -> None:
    level.write_bytes("vertices", "0.0", b"")
    assert level.read_bytes("vertices", "0.0") == b""
    with pytest.raises(MissingCellError) as caught:
        level.read_bytes("vertices", "0.1")
    assert isinstance(caught.value, KeyError)
    assert caught.value.cell == "0.1"


def test_sharded_cells_keep_their_neighbours(level: zv.Group) -> None:
    level.create_sharded_chunk_array("vertex_attributes/a", (4, 4), shard_shape=(2, 2), origin=(-2, 0))
    for key, cell in [("-2.0", b"before"), ("-1.1", b"-1.1"), ("1.3", b"1.3"), ("-2.0", b"-2.0")]:
        level.write_bytes("vertex_attributes/a", key, cell)
    assert level.list_chunks("vertex_attributes/a") == ["-1.1", "-2.0", "1.3"]
    assert [level.read_bytes("vertex_attributes/a", key) for key in ("-2.0", "-1.1", "1.3")] == [
        b"-2.0",
        b"-1.1",
        b"1.3",
    ]
    assert "vertex_attributes" in level


def test_zarr_python_reads_the_cells(level: zv.Group) -> None:
    level.write_bytes("vertices", "1.2", b"xyz")
    array = level.zarr_group["vertices"]
    assert isinstance(array, zarr.Array)
    value: Any = array[3, 2]
    assert bytes(value.item() if hasattr(value, "item") else value) == b"xyz"


@pytest.mark.parametrize("key", ["1", "1.2.3", "a.b", "", (1,), (1, 2, 3), "1.5.2"])
def test_keys_of_another_rank_are_refused(level: zv.Group, key: Any) -> None:
    with pytest.raises(InputError, match="chunk key"):
        level.write_bytes("vertices", key, b"x")


def test_cells_outside_the_grid_are_refused(level: zv.Group) -> None:
    with pytest.raises(StoreError, match="outside the array's grid"):
        level.write_bytes("vertices", "2.0", b"x")
    with pytest.raises(StoreError, match="no such array"):
        level.write_bytes("nothing", "0.0", b"x")


def test_a_batch_is_one_commit(level: zv.Group) -> None:
    with level.batched_writes():
        level.create_sharded_chunk_array("fragment_attributes/b", (4, 4), origin=(-2, 0))
        level.write_bytes("fragment_attributes/b", "0.0", b"1")
        level.write_bytes("vertices", "0.0", b"2")
        assert not level.chunk_exists("vertices", "0.0")
    assert level.read_bytes("vertices", "0.0") == b"2"
    assert level.read_bytes("fragment_attributes/b", "0.0") == b"1"


def test_a_failed_batch_writes_nothing(level: zv.Group) -> None:
    def fail() -> None:
        with level.batched_writes():
            level.write_bytes("vertices", "0.0", b"2")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert level.list_chunks("vertices") == []
    level.write_bytes("vertices", "0.0", b"3")
    assert level.read_bytes("vertices", "0.0") == b"3"


def test_batches_do_not_nest(level: zv.Group) -> None:
    with level.batched_writes(), pytest.raises(StoreError, match="nested"), level.batched_writes():
        pass
    with level.batched_reads([]), pytest.raises(StoreError, match="nested"), level.batched_reads([]):
        pass


def test_batched_reads_bring_what_is_there(level: zv.Group) -> None:
    level.write_bytes("vertices", "0.0", b"2")
    with level.batched_reads([("vertices", ["0.0", "0.1"]), ("nothing", ["0.0"])]):
        assert level.read_bytes("vertices", "0.0") == b"2"
        with pytest.raises(MissingCellError):
            level.read_bytes("vertices", "0.1")


def test_a_lost_cell_is_corruption(tmp_path: Path) -> None:
    level = zv.create_store(tmp_path / "s", bounds=([0], [9]), chunk_shape=(5,))["0"]
    level.write_bytes("vertices", "1", b"abc")
    (tmp_path / "s/0/vertices/c/1").unlink()
    with pytest.raises(CorruptionError) as caught:
        level.read_bytes("vertices", "1")
    assert (caught.value.array, caught.value.cell) == ("0/vertices", "1")


def test_attributes_are_a_mapping(level: zv.Group) -> None:
    level.attrs["user_metadata"] = {"a": 1}
    level.attrs.update(b=2, c=[3])
    assert level.attrs["user_metadata"] == {"a": 1}
    assert {"b", "c", "zarr_vectors_level"} <= set(level.attrs)
    del level.attrs["b"]
    assert "b" not in level.attrs
    with pytest.raises(KeyError):
        level.attrs["b"]
    assert "zarr_vectors" in zv.open_store(str(level.url).rsplit("/", 1)[0]).attrs


@pytest.mark.parametrize("dtype", ["f4", ">i2", "?", "c8", "U3", "M8[ns]"])
def test_typed_arrays_come_back(level: zv.Group, dtype: str) -> None:
    values = np.array([0, 1, 0, 3]).astype(dtype)
    level.write_array("object_attributes/a", values, chunks=(3,), attributes={"unit": "m"})
    back = level.read_array("object_attributes/a")
    np.testing.assert_array_equal(back, values)
    assert level.read_array_attrs("object_attributes/a")["unit"] == "m"
    assert level.standalone_array_exists("object_attributes/a")
    level.write_array("object_attributes/a", values[:2])
    assert len(level.read_array("object_attributes/a")) == 2


def test_byte_strings_come_back(level: zv.Group) -> None:
    blobs = [b"", b"abc", b"", b"\x00" * 9]
    level.write_vlen_array("groups", blobs, chunks=3)
    assert level.read_vlen_array("groups") == blobs
    assert level.read_array_fill_value("groups") == b""


def test_subtrees_go_and_groups_come(level: zv.Group) -> None:
    level.require_group("a/b")
    assert list(level["a"]) == ["b"]
    level.delete_subtree("a")
    level.delete_subtree("a")
    assert "a" not in level
    with pytest.raises(StoreError, match="no group 'a'"):
        level["a"]


def test_a_read_only_group_refuses_to_write(place: str) -> None:
    zv.create_store(place)
    root = zv.open_store(place)
    with pytest.raises(ReadOnlyError) as caught:
        root["0"].write_bytes("vertices", "0.0.0", b"x")
    assert isinstance(caught.value, PermissionError)
    with pytest.raises(ReadOnlyError), root.batched_writes():
        pass


def test_a_group_of_a_zarr_group(tmp_path: Path) -> None:
    zv.create_store(tmp_path / "s")
    group = zv.Group(zarr.open_group(tmp_path / "s", path="0", mode="r+"))
    group.write_bytes("vertices", "0.0.0", b"x")
    assert zv.open_store(tmp_path / "s")["0"].read_bytes("vertices", "0.0.0") == b"x"
    assert group.path == tmp_path / "s" / "0"


def test_a_group_is_made_of_nothing_else(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "plain", mode="w")
    root.create_array("array", shape=(3,), dtype="f4")
    older = zarr.open_group(tmp_path / "older", mode="w", zarr_format=2)
    for bad in (root["array"], str(tmp_path / "plain"), None):
        with pytest.raises(InputError, match=r"made of a zarr\.Group"):
            zv.Group(bad)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="Zarr format 3"):
        zv.Group(older)
    for create in (False, True):
        with pytest.raises(StoreError, match="an array, not a group"):
            zv.FsGroup(tmp_path / "plain" / "array", create=create)


def test_a_folder_as_a_group(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="create=True"):
        zv.FsGroup(tmp_path / "plain")
    group = zv.FsGroup(tmp_path / "plain", create=True)
    group.attrs["a"] = 1
    assert zarr.open_group(tmp_path / "plain", mode="r").attrs["a"] == 1


def test_the_default_shell(tmp_path: Path) -> None:
    root = zv.create_store(tmp_path / "shell.zarrvectors")
    files = sorted(str(path.relative_to(root.path)) for path in root.path.rglob("*") if path.is_file())
    assert files == ["0/vertex_fragments/zarr.json", "0/vertices/zarr.json", "0/zarr.json", "zarr.json"]
    metadata = read_root_metadata(root)
    assert metadata.bounds == ((0.0, 0.0, 0.0), (128.0, 128.0, 128.0))
    assert metadata.chunk_shape == (128.0, 128.0, 128.0)
    assert list_resolution_levels(root) == [0]
    assert read_level_metadata(root, 0).bin_shape == [128.0, 128.0, 128.0]
    assert zv.open(tmp_path / "shell.zarrvectors")[0].vertex_count == 0


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"links_convention": "sometimes"}, "links_convention"),
        ({"vertex_dtype": "float33"}, "vertex_dtype"),
        ({"vertex_dtype": "complex64"}, "vertex_dtype"),
        ({"vertex_encoding": "zip"}, "vertex_encoding"),
        ({"vertex_encoding": None}, "vertex_encoding"),
        ({"geometry_types": ["blob"]}, "blob"),
        ({"cross_level_storage": "maybe"}, "cross_level_storage"),
        ({"bounds": ([0, 0, 0], [1, 1])}, "bounds"),
        ({"bounds": ([0, 0, float("nan")], [1, 1, 1])}, "bounds"),
        ({"bounds": ([2, 0, 0], [1, 1, 1])}, "bounds"),
        ({"bounds": ([0, 0], [1, 1]), "ndim": 3}, "axes"),
        ({"base_bin_shape": (50, 50, 50)}, "base_bin_shape"),
        ({"axes": ["x", "x", "y"]}, "distinct"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_create_store_refuses_what_the_format_does_not_know(bad: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises((MetadataError, InputError), match=what):
        zv.create_store(tmp_path / "s", **bad)
    assert not (tmp_path / "s").exists()


def test_what_is_named_twice_is_stored_once(tmp_path: Path) -> None:
    said: dict[str, Any] = {"geometry_types": ["mesh", "graph", "mesh"], "format_capabilities": ["fragment_index"] * 2}
    metadata = read_root_metadata(zv.create_store(tmp_path / "store", **said))
    assert metadata.geometry_types == ("mesh", "graph")
    assert metadata.format_capabilities == ("fragment_index",)


def test_create_store_refuses_unknown_keywords_and_existing_stores(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="colour"):
        zv.create_store(tmp_path / "s", colour=1)
    zv.create_store(tmp_path / "s")
    with pytest.raises(StoreError, match="already something here"):
        zv.create_store(tmp_path / "s")
    with pytest.raises(InputError, match="mode"):
        zv.open_store(tmp_path / "s", mode="w")
    with pytest.raises(StoreExistsError):
        zv.write(tmp_path / "s", zv.Points(np.zeros((1, 3))))


def test_typed_writers_fill_a_shell(tmp_path: Path) -> None:
    zv.create_store(tmp_path / "s", bounds=([0, 0], [10, 10]), chunk_shape=(5, 5), geometry_types=["point_cloud"])
    report = zv.write(tmp_path / "s", zv.Points(np.array([[1.0, 2.0], [7.0, 8.0]], "f4")), mode="append")
    assert report.total_vertices == 2
    assert zv.open(tmp_path / "s")[0].count(([0, 0], [5, 5])) == 1
