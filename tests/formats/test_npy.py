"""NPY and NPZ: against numpy, round trips, and files that are broken."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import assert_equal, cloud, clouds, coded, joined, text
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.npy import NPY, NPZ
from zarr_vectors.geometry import Points
from zarr_vectors.typing import AnyArray


def read(path: Path, format_: Format | None = None, **options: Any) -> tuple[Source, Points]:
    format_ = format_ or (NPZ if path.suffix == ".npz" else NPY)
    source = format_.open(path, ReadOptions(**options))
    return source, joined(list(source.batches))


def export(path: Path, *batches: Points, axes: Any = None) -> int:
    format_ = NPZ if path.suffix == ".npz" else NPY
    return format_.export(path, iter(batches), ExportContext(axes=as_axes(axes, batches[0].ndim)))


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f8", ">f4", "f2", "i8", ">i2", "u1", "u8"])
@pytest.mark.parametrize("columns", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rows", [0, 1, 10])
def test_a_plain_array_of_up_to_four_columns_is_positions(
    tmp_path: Path, dtype: str, columns: int, order: Any, rows: int
) -> None:
    array = np.asarray(np.arange(rows * columns).reshape(rows, columns), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    source, points = read(tmp_path / "a.npy", batch_rows=3)
    assert source.rows == rows
    assert points.positions.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(points.positions, array)
    assert points.axes == source.axes == as_axes(None, columns)


@pytest.mark.parametrize("order", ["C", "F"])
def test_further_columns_are_attributes(tmp_path: Path, order: Any) -> None:
    array = np.asarray(np.arange(60.0).reshape(10, 6), order=order)
    np.save(tmp_path / "a.npy", array)
    _, points = read(tmp_path / "a.npy", batch_rows=3)
    np.testing.assert_array_equal(points.positions, array[:, :3])
    assert list(points.attributes) == ["column_3", "column_4", "column_5"]
    np.testing.assert_array_equal(np.asarray(points.attributes["column_4"]), array[:, 4])
    _, points = read(tmp_path / "a.npy", positions=("column_4", "x"), attributes=("y",))
    np.testing.assert_array_equal(points.positions, array[:, [4, 0]])
    np.testing.assert_array_equal(np.asarray(points.attributes["y"]), array[:, 1])


def test_fields_of_a_structured_array(tmp_path: Path) -> None:
    dtype = [
        ("Y", ">f4"),
        ("X", "f4"),
        ("object_id", "u2"),
        ("rgb", "u1", (3,)),
        ("n", "U5"),
        ("s", "S3"),
        ("t", "M8[s]"),
    ]
    array = np.zeros(5, dtype=dtype)
    array["X"], array["Y"], array["rgb"] = np.arange(5), np.arange(5, 10), np.arange(15).reshape(5, 3)
    array["n"], array["s"], array["object_id"] = ["c", "a", "", "c", "d"], b"ab", np.arange(5)
    np.save(tmp_path / "a.npy", array)
    source, points = read(tmp_path / "a.npy", batch_rows=2, positions=("X", "Y"))
    assert [axis.name for axis in source.axes or ()] == ["x", "y"]
    assert points.positions.dtype == np.float32
    np.testing.assert_array_equal(points.positions, np.stack([array["X"], array["Y"]], axis=1))
    np.testing.assert_array_equal(np.asarray(points.attributes["rgb"]), array["rgb"])
    assert text(points, "n") == ["c", "a", "", "c", "d"]
    assert text(points, "s") == ["ab"] * 5
    assert points.attributes["t"].dtype == np.dtype("M8[s]")
    assert points.object_ids is not None
    assert points.object_ids.tolist() == [0, 1, 2, 3, 4]


def test_a_field_of_positions(tmp_path: Path) -> None:
    array = np.zeros(4, dtype=[("positions", "f4", (3,)), ("v", "f8")])
    array["positions"] = np.arange(12).reshape(4, 3)
    np.save(tmp_path / "a.npy", array)
    _, points = read(tmp_path / "a.npy")
    np.testing.assert_array_equal(points.positions, array["positions"])
    assert list(points.attributes) == ["v"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npz(tmp_path: Path, save: Any, order: Any) -> None:
    random = np.random.default_rng(0)
    positions = np.asarray(random.random((1000, 3)), order=order)
    rgb = np.asarray(random.integers(0, 255, (1000, 3)), dtype=">u2", order=order)
    names = random.choice(["a", "b"], 1000)
    save(tmp_path / "a.npz", positions=positions, object_ids=np.arange(1000), rgb=rgb, n=names, c=positions[:, 0] * 1j)
    source, points = read(tmp_path / "a.npz", batch_rows=300)
    assert source.rows == 1000
    np.testing.assert_array_equal(points.positions, positions)
    np.testing.assert_array_equal(np.asarray(points.attributes["rgb"]), rgb)
    assert points.attributes["rgb"].dtype == np.uint16
    assert text(points, "n") == names.tolist()
    assert points.object_ids is not None
    assert points.object_ids.tolist() == list(range(1000))


def test_an_npz_of_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(4), y=np.arange(4.0), object_id=np.arange(4), v=np.ones(4))
    _, points = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(points.positions, np.stack([np.arange(4.0)] * 2, axis=1))
    assert points.object_ids is not None
    assert list(points.attributes) == ["v"]
    _, points = read(tmp_path / "a.npz", positions=("v", "y"), object_ids="x", attributes=())
    np.testing.assert_array_equal(points.positions[:, 0], 1)


def test_what_is_not_asked_for_does_not_matter(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", positions=np.ones((4, 2)), voxel_size=0.5, v=np.ones(4))
    with pytest.raises(IngestError, match=r"'voxel_size' must have one row per point.*attributes="):
        read(tmp_path / "a.npz")
    _, points = read(tmp_path / "a.npz", attributes=("v",))
    assert list(points.attributes) == ["v"]


# --- files that are broken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(3.0), r"must hold an \(N, D\) array"),
        (np.zeros((2, 3, 4)), r"must hold an \(N, D\) array"),
        (np.float64(1), r"must hold an \(N, D\) array"),
        (np.zeros((3, 0)), "cannot be coordinates"),
        (np.zeros((3, 2), bool), "cannot be coordinates.*bool.*--positions"),
        (np.zeros((3, 2), complex), "cannot be coordinates.*complex128"),
        (np.zeros((3, 2), "U2"), "cannot be coordinates.*<U2"),
        (np.zeros((3, 2), "M8[s]"), "cannot be coordinates.*datetime64"),
        (np.zeros(3, [("a", "f8"), ("b", "f8")]), "no columns of coordinates.*a, b"),
        (np.zeros(3, [("x", "f8"), ("y", "f8"), ("v", "V4")]), "'v' cannot be attributes"),
        (np.zeros(3, [("x", "f8"), ("y", "f8"), ("v", "f8", (2, 2))]), "'v' cannot be attributes"),
        (np.zeros(3, [("x", "f8"), ("y", "f8"), ("v", "U2", (2,))]), "'v' cannot be attributes"),
        (np.zeros(3, [("x", "f8"), ("y", "f8"), ("v", [("a", "f8")])]), "'v' cannot be attributes"),
        (np.zeros(3, [("x", "f8"), ("y", "f8"), ("object_id", "f8")]), "'object_id' cannot be object ids.*attributes="),
        (np.zeros((2, 2), [("x", "f8"), ("y", "f8")]), "'x' cannot be coordinates"),
        (np.array((1, 2), [("x", "f8"), ("y", "f8")]), "'x' must have one row per point"),
        (np.array([(2**53 + 1, 2)], [("x", "i8"), ("y", "f8")]), "integer coordinates change.*row 0"),
        (np.array([(1, 2, 2**63)], [("x", "i8"), ("y", "f8"), ("object_id", "u8")]), "fit in int64.*row 0"),
        (np.array([(1, 2, b"\xff")], [("x", "i8"), ("y", "f8"), ("n", "S1")]), "not UTF-8"),
    ],
)
def test_arrays_that_are_no_points(tmp_path: Path, array: AnyArray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(IngestError, match=rf"a\.npy.*{message}"):
        read(tmp_path / "a.npy")


def test_pickles_are_never_read(tmp_path: Path) -> None:
    objects = np.array([[1, None]], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    with pytest.raises(IngestError, match=r"a\.npy.*objects"):
        read(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", positions=objects)
    with pytest.raises(IngestError, match=r"'positions' cannot be coordinates.*object"):
        read(tmp_path / "a.npz")


def test_npy_files_that_are_damaged(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((100, 3)))
    whole = (tmp_path / "a.npy").read_bytes()
    huge = whole.replace(b"(100, 3)", b"(9223372036854775807, 3)")
    for damaged in (b"", b"x,y\n1,2\n", whole[:5], whole[:60], whole[:-1], b"PK\x03\x04" + whole, huge):
        (tmp_path / "b.npy").write_bytes(damaged)
        with pytest.raises(IngestError, match=r"b\.npy is not a \.npy file, is truncated or is damaged"):
            read(tmp_path / "b.npy")
    with pytest.raises(FileNotFoundError):
        NPY.open(tmp_path / "none.npy", ReadOptions())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_files_that_are_damaged(tmp_path: Path, save: Any, order: Any) -> None:
    save(tmp_path / "a.npz", positions=np.asarray(np.random.default_rng(0).random((100, 3)), order=order))
    whole = (tmp_path / "a.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[1000] ^= 1
    for damaged in (b"", b"x,y\n1,2\n", whole[:-30], whole[: len(whole) // 2], bytes(flipped)):
        (tmp_path / "b.npz").write_bytes(damaged)
        with pytest.raises(IngestError, match=r"b\.npz is not a \.npz file, is truncated or is damaged"):
            read(tmp_path / "b.npz")


def test_npz_members_that_are_damaged(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((100, 3)))
    whole = (tmp_path / "a.npy").read_bytes()
    for content, message in [
        (whole[:-8], "'positions' is truncated"),
        (whole[:20], "damaged"),
        (b"", "damaged"),
        (whole.replace(b"NUMPY\x01", b"NUMPY\x09"), "unknown version"),
    ]:
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("positions.npy", content)
        with pytest.raises(IngestError, match=message):
            read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones(3)}, "no columns of coordinates.*columns a"),
        ({}, "no columns of coordinates"),
        ({"positions": np.ones((3, 5))}, "'positions' cannot be coordinates"),
        ({"positions": np.ones((3, 2)), "object_ids": np.ones(3)}, "'object_ids' cannot be object ids"),
        ({"positions": np.ones((3, 2)), "v": np.ones(4)}, "'v' must have one row per point"),
        ({"positions": np.ones((3, 2)), "a/b": np.ones(3)}, "'a/b'"),
    ],
)
def test_npz_arrays_that_are_no_points(tmp_path: Path, arrays: dict[str, AnyArray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(IngestError, match=rf"a\.npz.*{message}"):
        read(tmp_path / "a.npz")


# --- writing -------------------------------------------------------------------------------------------------------


def test_what_an_npy_holds(tmp_path: Path) -> None:
    plain = cloud(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert export(tmp_path / "a.npy", plain, plain.take(slice(0)), plain) == 6
    back = np.load(tmp_path / "a.npy")
    assert (back.dtype, back.shape) == (np.float32, (6, 2))
    points = cloud(plain.positions, {"rgb": np.ones((3, 2), np.uint8), "n": ["µ", "", "lang"]}, [4, 5, 6])
    assert export(tmp_path / "b.npy", points, axes="yx") == 3
    back = np.load(tmp_path / "b.npy")
    assert back.dtype == np.dtype([("y", "f4"), ("x", "f4"), ("object_id", "i8"), ("rgb", "u1", (2,)), ("n", "U4")])
    assert back["n"].tolist() == ["µ", "", "lang"]
    assert back["x"].tolist() == [1, 3, 5]


def test_field_names_beyond_latin(tmp_path: Path) -> None:
    export(tmp_path / "a.npy", cloud([[1.0, 2.0]], {"длина": [3.0]}))
    assert np.load(tmp_path / "a.npy")["длина"].tolist() == [3.0]
    _, points = read(tmp_path / "a.npy")
    assert list(points.attributes) == ["длина"]


def test_many_fields(tmp_path: Path) -> None:
    names = [f"a_rather_long_name_of_an_attribute_{index}" for index in range(3000)]
    export(tmp_path / "a.npy", cloud([[1.0, 2.0]], {name: [1.0] for name in names}))
    _, points = read(tmp_path / "a.npy")
    assert list(points.attributes) == names


def test_what_an_npz_holds(tmp_path: Path) -> None:
    points = cloud(np.ones((3, 2), np.int16), {"rgb": np.ones((3, 2), np.uint8), "n": ["a", "", "bc"]}, [4, 5, 6])
    assert export(tmp_path / "a.npz", points, points) == 6
    with np.load(tmp_path / "a.npz") as back:
        assert sorted(back) == ["n", "object_ids", "positions", "rgb"]
        assert back["positions"].dtype == np.int16
        assert back["n"].tolist() == ["a", "", "bc"] * 2
        assert back["rgb"].shape == (6, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"n": ["a", None]}, r"'n' has missing values.*row 1.*\.parquet or \.csv"),
        ({"n": coded([0, 1], "a\0", "b")}, "'n' has categories that this format cannot hold"),
        ({"n": coded([0, 1], "a", 1)}, "'n' has categories that this format cannot hold"),
        ({"d": np.zeros((2, 2, 2))}, "more than one axis of channels"),
        ({"i": np.ma.MaskedArray([1, 2], [False, True])}, "'i' has missing values.*row 1"),
        ({"i": np.ma.MaskedArray([[1, 2], [3, 4]], [[False, False], [False, True]])}, "'i' has missing values.*row 1"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(tmp_path / name, cloud([[1.0, 2.0], [3.0, 4.0]], attributes))


def test_names_that_are_taken(tmp_path: Path) -> None:
    for name, taken in [("a.npy", "x"), ("a.npy", "object_id"), ("a.npz", "positions"), ("a.npz", "object_ids")]:
        with pytest.raises(ExportError, match=f"name {taken}"):
            export(tmp_path / name, cloud([[1.0, 2.0]], {taken: [1]}, [2]))


def test_text_that_grows_after_the_first_batch(tmp_path: Path) -> None:
    short, long = cloud([[1.0, 2.0]], {"n": ["ab"]}), cloud([[1.0, 2.0]], {"n": ["abc"]})
    assert export(tmp_path / "a.npy", long, short) == 2
    for name in ("b.npy", "b.npz"):
        with pytest.raises(ExportError, match=r"longer text in a later batch.*'abc'"):
            export(tmp_path / name, short, long)


def test_numbers_as_categories_are_numbers(tmp_path: Path) -> None:
    export(tmp_path / "a.npy", cloud([[1.0, 2.0]], {"n": coded([1], 5, 7)}))
    _, points = read(tmp_path / "a.npy")
    assert np.asarray(points.attributes["n"]).tolist() == [7]


@given(st.data(), st.sampled_from(["a.npy", "a.npz"]))
def test_round_trip(data: st.DataObject, name: str) -> None:
    points = clouds(data.draw, missing=False, times=True)
    cut = data.draw(st.integers(0, points.vertex_count))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        assert export(path, points.take(slice(cut)), points.take(slice(cut, None))) == points.vertex_count
        source, back = read(path, batch_rows=7)
    assert source.rows == points.vertex_count
    assert_equal(back, points)
