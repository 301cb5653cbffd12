"""Batches of the low-level group: rounds that are counted, commits that are whole, and documents that stay true."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.counting import CountingStore
from zarr_vectors.exceptions import CorruptionError, InputError, MissingCellError, StoreError


def shell(place: Any) -> zv.Group:
    return zv.create_store(place, bounds=([-20, 0], [19, 39]), chunk_shape=(10, 10))["0"]


@pytest.mark.parametrize(("shard", "rounds"), [(None, 2), ((2, 2), 3)], ids=["unsharded", "sharded"])
def test_a_plan_is_read_in_a_round(shard: Any, rounds: int) -> None:
    store = MemoryStore()
    level = shell(store)
    names = [f"vertex_attributes/a{number}" for number in range(3)]
    keys = [f"{x}.{y}" for x in range(-2, 2) for y in range(4)]
    with level.batched_writes():
        for name in names:
            level.create_sharded_chunk_array(name, (4, 4), shard_shape=shard, origin=(-2, 0))
            for key in keys:
                level.write_bytes(name, key, f"{name} {key}".encode())
    counting = CountingStore(store)
    level = zv.open_store(counting)["0"]
    counting.reset()
    with level.batched_reads([(name, keys) for name in names]):
        assert counting.rounds == rounds
        asked = len(counting.requests)
        for name in names:
            for key in keys:
                assert level.read_bytes(name, key) == f"{name} {key}".encode()
        assert len(counting.requests) == asked


def test_a_batch_reads_each_document_once() -> None:
    counting = CountingStore()
    level = shell(counting)
    with level.batched_writes():
        for x in range(-2, 2):
            for y in range(4):
                level.write_bytes("vertices", (x, y), b"abc")
        before = [key for key in counting.requests if key == "0/vertices/zarr.json"]
        assert len(before) <= 2
    assert len(level.list_chunks("vertices")) == 16


@pytest.mark.parametrize("plan", ["vertices", [("vertices", "0.0")], [("vertices",)], [5], [(3, ["0.0"])], [("a", 7)]])
def test_a_plan_that_cannot_be_meant_is_refused(plan: Any) -> None:
    level = shell(MemoryStore())
    with pytest.raises(InputError, match="a plan is pairs"), level.batched_reads(plan):
        pass


def test_what_is_not_in_the_plan_is_read_as_outside() -> None:
    level = shell(MemoryStore())
    level.write_cells("vertices", {"0.0": b"a", "0.1": b"b"})
    with level.batched_reads([("vertices", ["0.0", "1.1"])]):
        assert level.read_bytes("vertices", "0.1") == b"b"
        with pytest.raises(MissingCellError):
            level.read_bytes("vertices", "1.1")
        level.write_bytes("vertices", "0.0", b"new")
        assert level.read_bytes("vertices", "0.0") == b"new"


def test_one_lost_cell_does_not_take_the_plan_with_it(tmp_path: Path) -> None:
    level = shell(tmp_path / "s")
    level.write_cells("vertices", {"0.0": b"a", "0.1": b"b"})
    (tmp_path / "s/0/vertices/c/2/1").unlink()
    with level.batched_reads([("vertices", ["0.0", "0.1"])]):
        assert level.read_bytes("vertices", "0.0") == b"a"
        with pytest.raises(CorruptionError) as caught:
            level.read_bytes("vertices", "0.1")
    assert caught.value.cell == "0.1"


def test_a_batch_is_one_commit_of_everything(tmp_path: Path) -> None:
    level = shell(tmp_path / "s")
    level.write_array("object_attributes/old", [1, 2])
    before = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}

    def change() -> None:
        level.attrs["mine"] = 1
        level.create_group("extra", a=1)
        level.write_array("object_attributes/new", np.arange(6).reshape(2, 3), chunks=(1, 2))
        level.delete_subtree("object_attributes/old")
        level.write_bytes("vertices", "0.0", b"abc")
        level.create_sharded_chunk_array("vertex_attributes/w", (4, 4), origin=(-2, 0))
        level.write_bytes("vertex_attributes/w", "-2.0", b"w")

    def fail() -> None:
        with level.batched_writes():
            change()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()} == before
    with level.batched_writes():
        change()
        assert level.attrs["mine"] == 1
        assert level.read_array("object_attributes/old").tolist() == [1, 2]
        assert {path: path.read_bytes() for path in before} == before
    assert level.children() == sorted(
        ["extra", "object_attributes", "vertex_attributes", "vertex_fragments", "vertices"]
    )
    assert level["object_attributes"].children() == ["new"]
    assert level.read_array("object_attributes/new").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert level.read_bytes("vertex_attributes/w", "-2.0") == b"w"
    assert level["extra"].attrs["a"] == 1


def test_what_is_deleted_in_a_batch_can_be_made_anew() -> None:
    level = shell(MemoryStore())
    level.create_sharded_chunk_array("vertex_attributes/w", (4, 4), origin=(-2, 0))
    level.write_cells("vertex_attributes/w", {"0.0": b"old", "1.1": b"old"})
    with level.batched_writes():
        level.write_bytes("vertex_attributes/w", "-1.1", b"dropped")
        level.delete_subtree("vertex_attributes/w")
        assert not level.array_exists("vertex_attributes/w")
        level.create_sharded_chunk_array("vertex_attributes/w", (4, 4), shard_shape=(2, 2), origin=(-2, 0))
        level.write_bytes("vertex_attributes/w", "1.1", b"new")
    assert level.list_chunks("vertex_attributes/w") == ["1.1"]
    assert level.read_bytes("vertex_attributes/w", "1.1") == b"new"


def test_the_compressor_of_a_batch_is_that_of_its_arrays() -> None:
    level = shell(MemoryStore())
    with level.batched_writes(compressor="none"):
        level.create_sharded_chunk_array("vertex_attributes/w", (4, 4))
        level.write_array("object_attributes/a", [1, 2])
        level.write_array("object_attributes/b", [1, 2], compressors="zstd")
    level.write_array("object_attributes/c", [1, 2])
    group: Any = level.zarr_group

    def codecs(name: str) -> list[str]:
        return [codec["name"] for codec in group[name].metadata.to_dict()["codecs"]]

    assert codecs("vertex_attributes/w") == ["vlen-bytes", "crc32c"]
    assert [codecs(f"object_attributes/{name}")[-1] for name in "abc"] == ["crc32c", "zstd", "zstd"]


def test_two_groups_of_one_place_do_not_undo_each_other() -> None:
    store = MemoryStore()
    first = shell(store)
    second = zv.open_store(store, mode="r+")["0"]
    with first.batched_writes():
        first.attrs["a"] = 1
        first.write_bytes("vertices", "0.0", b"1")
        second.attrs["b"] = 2
        second.write_bytes("vertices", "0.1", b"2")
    assert (first.attrs["a"], first.attrs["b"]) == (1, 2)
    assert first.list_chunks("vertices") == ["0.0", "0.1"]


def test_levels_name_what_was_made_through_groups() -> None:
    """A store that cannot list opens only with the arrays that its level names."""
    store = MemoryStore()
    points = zv.Points(
        np.random.default_rng(1).uniform(0, 9, (20, 2)), attributes={"v": np.arange(20), "w": np.arange(20)}
    )
    zv.write(store, points, layout=zv.Layout(chunk_shape=5))
    level = zv.open_store(store, mode="r+")["0"]
    level.delete_subtree("vertex_attributes/v")
    said = level.read_array_attrs("vertex_attributes/w")
    with level.batched_writes():
        level.create_sharded_chunk_array("vertex_attributes/x", (2, 2), attributes={"dtype": "int64", "row_shape": []})
        for key in level.list_chunks("vertices"):
            level.write_bytes("vertex_attributes/x", key, level.read_bytes("vertex_attributes/w", key))
    assert said["dtype"] == "int64"
    back = zv.open(CountingStore(store, listing=False))[0].read()
    assert set(back.attributes) == {"w", "x"}
    np.testing.assert_array_equal(back.attributes["x"], back.attributes["w"])


def test_one_cell_put_by_hand_ends_the_claim_that_fragments_tile() -> None:
    store = MemoryStore()
    zv.write(store, zv.Points(np.ones((3, 2))))
    level = zv.open_store(store, mode="r+")["0"]
    assert level.attrs["zarr_vectors_level"]["fragments_tile"]
    level.write_bytes("vertices", level.list_chunks("vertices")[0], b"")
    assert "fragments_tile" not in level.attrs["zarr_vectors_level"]


@pytest.mark.parametrize("data", [5, "text", None, [1, 2]])
def test_payloads_are_bytes(data: Any) -> None:
    level = shell(MemoryStore())
    with pytest.raises(InputError, match="must be bytes"):
        level.write_bytes("vertices", "0.0", data)
    with pytest.raises(InputError, match="must be bytes"):
        level.write_vlen_array("groups", [b"", data])


@pytest.mark.parametrize("name", ["", "/", "..", "a/../b", "zarr.json", ".zv/x", "a//b"])
def test_names_stay_below_the_group(name: str) -> None:
    level = shell(MemoryStore())
    for change in (level.delete_subtree, level.create_group, lambda n: level.write_array(n, [1])):
        with pytest.raises(InputError, match="not a name"):
            change(name)
    assert "vertices" in level


def test_attributes_are_plain_json() -> None:
    level = shell(MemoryStore())
    for bad in ({"a": object()}, {"a": np.datetime64("2020")}, {"a": float("nan")}, {"a": np.float32("inf")}, {1: 2}):
        with pytest.raises(InputError, match="plain JSON"):
            level.write_array_meta("vertices", bad)  # type: ignore[arg-type]
    level.attrs.update(size=np.int64(3), half={"a": [np.float32(0.5)]}, rows=np.arange(2), yes=np.bool_(True))
    assert [level.attrs[name] for name in ("size", "half", "rows", "yes")] == [3, {"a": [0.5]}, [0, 1], True]
    mine = {"list": [1]}
    level.attrs["mine"] = mine
    mine["list"].append(2)
    assert level.attrs["mine"] == {"list": [1]}
    assert level.attrs.pop("mine") == {"list": [1]}
    assert level.attrs.setdefault("x", 1) == 1
    level.create_group("g", a=1, b=2)
    group = level["g"]
    group.attrs.clear()
    assert dict(group.attrs) == {}


def test_an_array_is_no_group_and_a_group_no_array() -> None:
    level = shell(MemoryStore())
    with pytest.raises(StoreError, match="is an array"):
        level["vertices"]
    with pytest.raises(StoreError, match="an array is there"):
        level.create_group("vertices")
    with pytest.raises(StoreError, match="where a group has to be"):
        level.write_array("vertices/below", [1])
    level.create_group("g")
    with pytest.raises(StoreError, match="a group is there"):
        level.write_array("g", [1])
    level.write_bytes("vertices", "0.0", b"x")
    with pytest.raises(StoreError, match="an array with cells"):
        level.write_array("vertices", [1])
    level.write_array("one", 5.0)
    with pytest.raises(StoreError, match="with axes, or without"):
        level.write_array("one", [1.0])
    with pytest.raises(StoreError, match="with axes, or without"):
        level.write_vlen_array("one", [b"a"])
    assert level.read_array("one") == 5.0
    level.write_array("one", 6.0)
    level.delete_subtree("one")
    level.write_array("one", [1.0, 2.0])
    with pytest.raises(StoreError, match="with axes, or without"):
        level.write_array("one", 5.0)
    assert level.read_array("one").tolist() == [1.0, 2.0]
    assert level.require_group("g").prefix == "0/g"
    assert (level.array_exists("g"), level.standalone_array_exists("g")) == (True, False)


def test_groups_are_pickled(tmp_path: Path) -> None:
    level = shell(tmp_path / "s")
    level.write_bytes("vertices", "0.0", b"x")
    again = pickle.loads(pickle.dumps(level))
    assert again.read_bytes("vertices", "0.0") == b"x"
    assert pickle.loads(pickle.dumps(zv.FsGroup(tmp_path / "s"))).children() == ["0"]


def test_a_group_is_not_a_folder_elsewhere() -> None:
    with pytest.raises(StoreError, match="local"):
        zv.FsGroup("memory://fs-group")


shapes = st.lists(st.integers(0, 5), min_size=0, max_size=3).map(tuple)


@settings(max_examples=40, deadline=None)
@given(
    shape=shapes,
    cut=st.lists(st.integers(1, 4), min_size=3, max_size=3),
    dtype=st.sampled_from(["f4", ">i2", "?", "U2"]),
)
def test_arrays_of_any_shape_come_back(shape: tuple[int, ...], cut: list[int], dtype: str) -> None:
    store = MemoryStore()
    level = shell(store)
    values = (np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(dtype)
    level.write_array("extra/a", values, chunks=cut[: len(shape)] if shape else None)
    np.testing.assert_array_equal(level.read_array("extra/a"), values)
    assert level.read_array("extra/a").shape == values.shape
    np.testing.assert_array_equal(np.asarray(zarr.open_array(store, path="0/extra/a", mode="r")[...]), values)


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"data": [[1], [1, 2]]}, "data must be"),
        ({"data": [1, 2], "chunks": (0,)}, "chunks"),
        ({"data": [1, 2], "chunks": (1, 1)}, "one number per axis"),
        ({"data": np.array([1, 2], "u1"), "fill_value": 300}, "fill_value"),
        ({"data": [1, 2], "fill_value": 1.5}, "fill_value"),
        ({"data": [1, 2], "compressors": "zip"}, "compressor"),
        ({"data": [1, object()]}, "dtype"),
        ({"data": [1], "attributes": {"a": {1, 2}}}, "plain JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_arrays_that_cannot_be_meant_are_refused(bad: dict[str, Any], what: str) -> None:
    level = shell(MemoryStore())
    with pytest.raises(InputError, match=what):
        level.write_array("extra/a", **bad)
    assert "extra" not in level


def test_fill_values_come_back() -> None:
    level = shell(MemoryStore())
    for dtype, fill in (
        ("f4", float("nan")),
        ("f4", 0.1),
        ("i8", -1),
        ("U3", "no"),
        ("f8", "-Infinity"),
        ("M8[s]", "NaT"),
        ("?", True),
    ):
        level.write_array("extra/a", np.zeros(2, dtype), fill_value=fill)
        back = level.read_array_fill_value("extra/a")
        want = np.array(fill).astype(dtype)[()]
        assert back == want or (back != back and want != want)
    with pytest.raises(StoreError, match="no such array"):
        level.read_array_fill_value("extra")
    assert level.read_array_attrs("extra") == level.read_array_attrs("nothing") == {}


def test_no_byte_strings_are_no_array() -> None:
    level = shell(MemoryStore())
    level.write_vlen_array("extra/a", [b"x"])
    level.write_vlen_array("extra/a", [])
    assert not level.array_exists("extra/a")
    with pytest.raises(StoreError, match="no such array"):
        level.read_vlen_array("extra/a")


def test_a_lost_chunk_of_an_array_is_corruption(tmp_path: Path) -> None:
    level = shell(tmp_path / "s")
    level.write_array("extra/a", np.zeros((4, 4)), chunks=(2, 2))
    (tmp_path / "s/0/extra/a/c/1/1").unlink()
    with pytest.raises(CorruptionError, match="gone"):
        level.read_array("extra/a")
