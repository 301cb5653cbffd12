"""What becomes of any cloud in PLY, and refusals that leave no file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import cloud, coded
from tests.formats.ply_tools import DTYPES, mesh, read_bytes, read_ply, write_ply
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.ply import PLY
from zarr_vectors.geometry import Points


def test_channels_colours_and_dtypes(tmp_path: Path) -> None:
    attributes = {
        "rgb": np.array([[1, 2, 3], [4, 5, 6]], np.uint8),
        "normal": np.array([[0.5, 1, 2], [3, 4, 5]], np.float16),
        "flag": np.array([True, False]),
        "wide": np.array([[2**32 - 1], [0]], np.uint32),
        "time": np.array([0.1, np.nan], ">f8"),
    }
    points = cloud(np.array([[1, 2, 3], [4, 5, 6]], np.int16), attributes, np.array([-(2**31), 2**31 - 1]))
    text, table = write_ply(tmp_path / "out.ply", points)
    assert [line for line in text.splitlines() if line.startswith("property")] == [
        *(f"property short {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        *(f"property float normal_{channel}" for channel in range(3)),
        "property uchar flag",
        "property uint wide_0",
        "property double time",
        "property int object_id",
    ]
    np.testing.assert_array_equal(table["normal_2"], [2, 5])
    _, again = read_ply(tmp_path / "out.ply", object_ids="object_id")
    assert again.positions.dtype == np.int16
    np.testing.assert_array_equal(again.positions, points.positions)
    np.testing.assert_array_equal(again.object_ids, points.object_ids)
    np.testing.assert_array_equal(again.attributes["blue"], [3, 6])
    np.testing.assert_array_equal(again.attributes["wide_0"], [2**32 - 1, 0])
    np.testing.assert_array_equal(again.attributes["time"], [0.1, np.nan])


def test_colours_that_are_not_bytes_keep_their_name(tmp_path: Path) -> None:
    attributes = {
        "rgb": np.ones((1, 3), np.uint16),
        "color": np.ones((1, 2), np.uint8),
        "rgba": np.ones((1, 4), np.uint8),
    }
    _, table = write_ply(tmp_path / "out.ply", cloud(np.zeros((1, 3)), attributes), parts=1)
    names = ["rgb_0", "rgb_1", "rgb_2", "color_0", "color_1", "red", "green", "blue", "alpha"]
    assert list(table.dtype.names or ())[3:] == names


REFUSED: list[tuple[Any, Any, Any, str]] = [
    (np.zeros((2, 3), np.int64), {}, None, "positions.*int64.*cast them"),
    (np.zeros((2, 3)), {"a": np.zeros(2, np.int64)}, None, "'a'.*int64.*pass attributes without it"),
    (np.zeros((2, 3)), {"a": np.zeros(2, np.uint64)}, None, "'a'.*uint64"),
    (np.zeros((2, 3)), {"a": np.zeros(2, complex)}, None, "'a'.*complex"),
    (np.zeros((2, 3)), {"a": np.array(["2020", "2021"], "M8[D]")}, None, "'a'.*datetime64"),
    (np.zeros((2, 3)), {"a": coded([0, -1], "soma")}, None, "'a'.*text.*codes"),
    (np.zeros((2, 3)), {"a": np.zeros((2, 2, 2))}, None, "'a'.*shape"),
    (np.zeros((2, 3)), {"a b": np.zeros(2)}, None, "'a b'.*distinct words|distinct words.*'a b'"),
    (np.zeros((2, 3)), {"": np.zeros(2)}, None, "distinct words"),
    (np.zeros((2, 3)), {"x": np.zeros(2)}, None, "distinct words.*'x'"),
    (np.zeros((2, 3)), {"a": np.zeros((2, 2)), "a_1": np.zeros(2)}, None, "distinct words.*'a_1'"),
    (np.zeros((2, 3)), {"red": np.zeros(2), "rgb": np.zeros((2, 3), np.uint8)}, None, "distinct words.*'red'"),
    (np.zeros((2, 3)), {"object_id": np.zeros(2)}, np.array([1, 2]), "distinct words.*'object_id'"),
    (np.zeros((2, 3)), {}, np.array([1, 2**31]), "object ids.*got 2147483648 in row 1.*Parquet"),
]


@pytest.mark.parametrize(
    ("positions", "attributes", "ids", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))]
)
def test_what_ply_cannot_hold_is_refused_and_no_file_left(
    tmp_path: Path, positions: Any, attributes: Any, ids: Any, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        write_ply(tmp_path / "out.ply", cloud(positions, attributes, ids))
    assert not list(tmp_path.iterdir())


def test_batches_that_differ_or_fail_leave_no_file(tmp_path: Path) -> None:
    def batches() -> Iterator[Points]:
        yield cloud(np.zeros((1, 3)))
        raise OSError("gone")

    context = ExportContext(axes=as_axes(None, 3))
    with pytest.raises(OSError, match="gone"):
        PLY.export(tmp_path / "out.ply", batches(), context)
    for other in (cloud(np.zeros((1, 3), np.float32)), cloud(np.zeros((1, 3)), {"a": np.zeros(1)})):
        with pytest.raises(ExportError, match="same columns"):
            PLY.export(tmp_path / "out.ply", iter([cloud(np.zeros((1, 3))), other]), context)
    assert not list(tmp_path.iterdir())
    (tmp_path / "out.ply").write_text("mine")
    with pytest.raises(FileExistsError):
        write_ply(tmp_path / "out.ply", cloud(np.zeros((1, 3))))
    assert (tmp_path / "out.ply").read_text() == "mine"


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        (None, "x y z"),
        ("zyx", "x y z"),
        ("xz", "x z"),
        ("X", "x"),
        (["row", "column"], "x y"),
        ("tzyx", "x y z t"),
        ("abcd", "x y z d"),
        ("wzyx", "x y z w"),
    ],
)
def test_axes_find_their_place(tmp_path: Path, axes: Any, names: str) -> None:
    ndim = 3 if axes is None else len(axes)
    _, table = write_ply(tmp_path / "out.ply", cloud(np.arange(float(ndim))[np.newaxis], axes=axes), parts=1)
    assert list(table.dtype.names or ()) == names.split()
    by_name = "".join(sorted(axes or "")).lower() in {"xyz", "txyz", "wxyz", "xz"}
    expected = [axes.index(name) for name in names.split()] if by_name else range(ndim)
    assert list(table[0]) == list(expected)


def test_comments_come_back_and_padding_does_not_pile_up(tmp_path: Path) -> None:
    notes = "comment made by hand\nobj_info some info\n"
    source, points = read_bytes(tmp_path, mesh("ascii", notes=notes))
    for name in ("one.ply", "two.ply"):
        text, _ = write_ply(tmp_path / name, points, headers=dict(source.headers))
        source, points = read_ply(tmp_path / name)
        assert source.headers["ply"]["comments"] == ["made by hand"]
        assert source.headers["ply"]["obj_info"] == ["some info"]
        assert text.count("comment") == 2
    assert (tmp_path / "one.ply").read_bytes() == (tmp_path / "two.ply").read_bytes()
    text, _ = write_ply(tmp_path / "lines.ply", points, headers={"ply": {"comments": ["two\nlines", 3]}})
    assert "comment two\ncomment lines\ncomment 3\n" in text
    with pytest.raises(ExportError, match="headers/ply"):
        write_ply(tmp_path / "bad.ply", points, headers={"ply": {"comments": "text"}})


@given(
    rows=st.integers(0, 1200),
    parts=st.integers(1, 4),
    ndim=st.integers(1, 4),
    dtype=st.sampled_from(list(DTYPES.values())),
    batch_rows=st.sampled_from([1, 100, 10_000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_written_is_read(rows: int, parts: int, ndim: int, dtype: str, batch_rows: int, seed: int) -> None:
    raw = np.random.default_rng(seed).bytes(rows * (ndim + 3) * np.dtype(dtype).itemsize)
    values = np.frombuffer(raw, dtype).reshape(rows, ndim + 3)
    points = cloud(values[:, :ndim], {"a": values[:, ndim], "b": values[:, ndim + 1 :]})
    names = ("x", "y", "z", "w")[:ndim]
    with TemporaryDirectory() as folder:
        write_ply(Path(folder) / "out.ply", points, parts=parts)
        _, again = read_ply(Path(folder) / "out.ply", positions=names, batch_rows=min(batch_rows, max(rows // 20, 1)))
    assert again.positions.dtype == np.dtype(dtype)
    assert again.positions.tobytes() == np.ascontiguousarray(values[:, :ndim]).tobytes()
    for name, column in (("a", ndim), ("b_0", ndim + 1), ("b_1", ndim + 2)):
        assert np.asarray(again.attributes[name]).tobytes() == np.ascontiguousarray(values[:, column]).tobytes()
