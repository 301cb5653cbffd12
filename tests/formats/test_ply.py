"""PLY against files written by hand, and round trips."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import cloud, coded, joined
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, ReadOptions, Source
from zarr_vectors.formats.ply import PLY
from zarr_vectors.geometry import Points

ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = ["char", "uchar", "short", "ushort", "int", "uint", "float", "double"]
CODES = dict(zip(TYPES, "bBhHiIfd", strict=True))
DTYPES = dict(zip(TYPES, ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"], strict=True))

MESH = """\
element face 2
property uchar quality
property list uchar int vertex_indices
property list int float uv
element vertex 3
property double x
property float y
property int z
property uchar red
property short level
element edge 1
property int a
"""
FACES = [(1, [0, 1, 2], [0.5]), (2, [0, 1, 2, 1], [])]
VERTICES = [(0.1, 1.5, -7, 255, -300), (1e300, -2.25, 2**31 - 1, 0, 300), (-0.0, 3.0, 0, 7, 0)]


def header(encoding: str, body: str, *, ends: str = "\n") -> bytes:
    return f"ply\nformat {encoding} 1.0\n{body}end_header\n".replace("\n", ends).encode()


def mesh(encoding: str, *, ends: str = "\n", notes: str = "") -> bytes:
    """A file whose faces, with lists, come before the vertices and whose edges come after them."""
    start = header(encoding, notes + MESH, ends=ends)
    if encoding == "ascii":
        rows = [f"{q} {len(v)} {' '.join(map(str, v))} {len(u)} {' '.join(map(str, u))}" for q, v, u in FACES]
        rows += [" ".join(map(repr, vertex)) for vertex in VERTICES]
        return start + "".join(row + ends for row in [*rows, "5"]).encode()
    order = ORDERS[encoding]
    for quality, indices, uv in FACES:
        start += struct.pack(f"{order}BB{len(indices)}ii{len(uv)}f", quality, len(indices), *indices, len(uv), *uv)
    return start + b"".join(struct.pack(f"{order}dfiBh", *vertex) for vertex in VERTICES) + struct.pack(f"{order}i", 5)


def read(path: Path, **options: Any) -> tuple[Source, Points]:
    source = PLY.open(path, ReadOptions(**options))
    batches = list(source.batches)
    assert all(batch.vertex_count <= options.get("batch_rows", 1_000_000) for batch in batches)
    whole = joined(batches)
    assert (source.rows, source.axes) == (whole.vertex_count, whole.axes)
    json.dumps(source.headers, allow_nan=False)
    return source, whole


def read_bytes(folder: Path, content: bytes, **options: Any) -> tuple[Source, Points]:
    (folder / "in.ply").write_bytes(content)
    return read(folder / "in.ply", **options)


def write(path: Path, points: Points, *, parts: int = 2, headers: Any = None) -> tuple[str, np.ndarray[Any, Any]]:
    """Export in parts; returns the lines of the header and the table of vertices, decoded by other means."""
    cuts = np.linspace(0, points.vertex_count, parts + 1).astype(int)
    batches = (points.take(slice(cuts[part], cuts[part + 1])) for part in range(parts))
    context = ExportContext(axes=as_axes(points.axes, points.ndim), headers=headers or {}, bounds=points.bounds)
    assert PLY.export(path, batches, context) == points.vertex_count
    text, _, body = path.read_bytes().partition(b"end_header\n")
    lines = [line.split() for line in text.decode().splitlines()]
    table = np.frombuffer(body, [(line[2], "<" + CODES[line[1]]) for line in lines if line[0] == "property"])
    (count,) = (int(line[2]) for line in lines if line[:2] == ["element", "vertex"])
    assert count == len(table) == points.vertex_count
    return text.decode(), table


# --- in


@pytest.mark.parametrize("batch_rows", [1, 2, 1000])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["ascii", *ORDERS])
def test_vertices_between_other_elements(tmp_path: Path, encoding: str, ends: str, batch_rows: int) -> None:
    notes = "comment made by hand\ncomment\nobj_info  some info\ncomment   \ncomment caf\xe9\n"
    source, points = read_bytes(tmp_path, mesh(encoding, ends=ends, notes=notes), batch_rows=batch_rows)
    np.testing.assert_array_equal(points.positions, [vertex[:3] for vertex in VERTICES])
    assert points.positions.dtype == np.float64
    np.testing.assert_array_equal(points.attributes["red"], np.array([255, 0, 7], np.uint8))
    assert {name: column.dtype for name, column in points.attributes.items()} == {"red": np.uint8, "level": np.int16}
    np.testing.assert_array_equal(points.attributes["level"], [-300, 300, 0])
    assert source.headers["ply"] == {
        "format": encoding,
        "comments": ["made by hand", "caf\xe9"],
        "obj_info": ["some info"],
        "ignored_elements": {
            "face": {"count": 2, "properties": ["quality", "vertex_indices", "uv"]},
            "edge": {"count": 1, "properties": ["a"]},
        },
    }


@pytest.mark.parametrize("encoding", ["ascii", *ORDERS])
@pytest.mark.parametrize("names", [TYPES, list(DTYPES.values())], ids=["old names", "new names"])
def test_every_type_is_kept(tmp_path: Path, encoding: str, names: list[str]) -> None:
    properties = "".join(f"property {name} p{index}\n" for index, name in enumerate(names))
    start = header(encoding, "element vertex 2\nproperty float x\nproperty float y\n" + properties)
    limits: list[list[Any]] = [[0.5, -0.5], [0.25, -0.25]]
    for code in DTYPES.values():
        info: Any = np.iinfo(code) if "int" in code else np.finfo(code)
        limits.append([info.min, info.max])
    rows = list(zip(*limits, strict=True))
    if encoding == "ascii":
        body = "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()
    else:
        codes = "ff" + "".join(CODES.values())
        body = b"".join(struct.pack(ORDERS[encoding] + codes, *row) for row in rows)
    _, points = read_bytes(tmp_path, start + body)
    assert points.positions.tolist() == [[0.5, 0.25], [-0.5, -0.25]]
    for index, code in enumerate(DTYPES.values()):
        column = np.asarray(points.attributes[f"p{index}"])
        assert column.dtype == np.dtype(code)
        assert column.dtype.isnative
        np.testing.assert_array_equal(column, np.array(limits[index + 2], code))


@pytest.mark.parametrize(
    ("kinds", "dtype"),
    [
        ("float float float", "f4"),
        ("int int int", "i4"),
        ("uchar short char", "i2"),
        ("int uint int", "i8"),
        ("int float int", "f8"),
    ],
)
def test_positions_have_the_common_dtype(tmp_path: Path, kinds: str, dtype: str) -> None:
    properties = "".join(f"property {kind} {name}\n" for kind, name in zip(kinds.split(), "xyz", strict=True))
    _, points = read_bytes(tmp_path, header("ascii", "element vertex 1\n" + properties) + b"1 2 3")
    assert points.positions.dtype == np.dtype(dtype)
    assert points.positions.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("encoding", ["ascii", *ORDERS])
def test_no_vertices(tmp_path: Path, encoding: str) -> None:
    source, points = read_bytes(
        tmp_path, header(encoding, "element vertex 0\nproperty float x\nproperty float y\nproperty uint a\n")
    )
    assert source.rows == 0
    assert (points.positions.shape, points.positions.dtype) == ((0, 2), np.float32)
    assert np.asarray(points.attributes["a"]).dtype == np.uint32


def test_blank_lines_and_odd_numbers_in_ascii(tmp_path: Path) -> None:
    start = header("ascii", "element vertex 3\nproperty float x\nproperty float y\nproperty uchar a\n")
    _, points = read_bytes(tmp_path, start + b"\n 1e3\t-inf 1.0\n\n\nnan +2 255  \r\n.5 -0 0", batch_rows=2)
    np.testing.assert_array_equal(points.positions, [[1000, -np.inf], [np.nan, 2], [0.5, 0]])
    np.testing.assert_array_equal(points.attributes["a"], [1, 255, 0])


def test_options(tmp_path: Path) -> None:
    content = mesh("binary_big_endian")
    _, points = read_bytes(tmp_path, content, object_ids="level", attributes=())
    assert not points.attributes
    np.testing.assert_array_equal(points.object_ids, [-300, 300, 0])
    source, points = read_bytes(tmp_path, content, positions=("z", "x"), attributes=("y", "red"))
    np.testing.assert_array_equal(points.positions[:, 0], [-7, 2**31 - 1, 0])
    assert list(points.attributes) == ["y", "red"]
    assert source.axes is not None
    assert [axis.name for axis in source.axes] == ["z", "x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attributes": ("red", "green")}, "green"),
        ({"attributes": ("x",)}, "'x'"),
        ({"object_ids": "owner"}, "'owner'.*red"),
        ({"object_ids": "y"}, "integer property 'y'"),
        ({"positions": ("x", "w")}, "positions.*'w'.*name the properties"),
        ({"positions": ("x", "x")}, "positions"),
        ({"positions": ("x", "y", "z", "red", "level")}, "positions"),
    ],
)
def test_what_the_file_does_not_have_is_refused(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(IngestError, match=message):
        read_bytes(tmp_path, mesh("ascii"), **options)


XY = "element vertex 1\nproperty float x\nproperty float y\n"
BAD = [
    (b"", "is empty"),
    (b"\x93NUMPY", "not a PLY file"),
    (b"plywood\n", "not a PLY file"),
    (b"ply", "truncated"),
    (b"ply\n" + b"\x00" * 100_000, "truncated.*line 2"),
    (header("ascii", XY)[:40], "truncated"),
    (b"ply\n" + XY.encode() + b"end_header\n1 2\n", "format"),
    (header("ascii_big_endian", XY), "'format ascii_big_endian 1.0.*line 2"),
    (b"ply\nformat ascii 2.0\nend_header\n", "line 2"),
    (header("ascii", "format ascii 1.0\n" + XY), "line 3"),
    (header("ascii", "element vertex -1\n"), "line 3"),
    (header("ascii", "element vertex many\n"), "line 3"),
    (header("ascii", "element vertex\n"), "line 3"),
    (header("ascii", "element vertex 99999999999999999999\n"), "line 3"),
    (header("ascii", "property float x\n"), "line 3"),
    (header("ascii", XY + "property float x\n"), "line 6"),
    (header("ascii", XY + "property long a\n"), "line 6"),
    (header("ascii", XY + "property float\n"), "line 6"),
    (header("ascii", XY + "property list float int a\n"), "line 6"),
    (header("ascii", XY + XY), "line 6"),
    (header("ascii", XY + "vertex_count 1\n"), "line 6"),
    (header("ascii", XY + "property list uchar int around\n") + b"1 2 0\n", "list property.*around"),
    (header("ascii", "element face 0\n"), "no vertices.*'face'"),
    (header("ascii", "element vertex 1\nproperty float x\n") + b"1\n", "positions"),
    (header("ascii", "element vertex 1\n") + b"1\n", "positions"),
    (header("ascii", XY) + b"1 x\n", "'1 x' in line 7"),
    (header("ascii", XY) + b"\n\n1 0x2\n", "'1 0x2' in line 9"),
    (header("ascii", XY) + b"1 1_0\n", "'1 1_0' in line 7"),
    (header("ascii", XY) + b"1 2 3\n", "2 numbers.*'1 2 3' in line 7"),
    (header("ascii", XY) + b"1\n2\n", "'1' in line 7"),
    (header("ascii", XY) + b"1 \xff\n", "line 7"),
    (header("ascii", XY) + b"1 1e39\n", "float32 for 'y'.*line 7"),
    (header("ascii", XY + "property uchar a\n") + b"1 2 256\n", "uint8 for 'a'.*'1 2 256' in line 8"),
    (header("ascii", XY + "property uchar a\n") + b"1 2 0.5\n", "uint8 for 'a'"),
    (header("ascii", XY + "property uchar a\n") + b"1 2 nan\n", "uint8 for 'a'"),
    (header("ascii", "element vertex 3\nproperty float x\nproperty float y\n") + b"1 2\n" * 2, "truncated"),
    (
        header("ascii", "element vertex 3\nproperty float x\nproperty float y\n") + b"1.125 2.125\n" * 2,
        "truncated.*line 8",
    ),
    (
        header("ascii", "element face 1\nproperty list uchar int v\n" + XY) + b"3 1 2\n1 2\n",
        "row of face.*'3 1 2' in line 9",
    ),
    (header("ascii", "element face 1\nproperty list uchar int v\n" + XY) + b"-1 1 2\n1 2\n", "row of face"),
    (header("ascii", "element face 9\nproperty uchar v\n" + XY) + b"1111111111\n" * 3, "truncated.*face"),
    (header("binary_little_endian", "element face 1\nproperty list char int v\n" + XY) + b"\xff" * 9, "row 0 of face"),
    (
        header("binary_little_endian", "element face 1\nproperty list int int v\n" + XY) + b"\xff\xff\xff\x7f" * 9,
        "truncated",
    ),
    (
        header("binary_little_endian", "element vertex 99999999999\nproperty float x\nproperty float y\n") + b"1",
        "truncated",
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_files_are_refused_by_name_and_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(IngestError, match=f"in.ply.*{message}"):
        read_bytes(tmp_path, content)


@pytest.mark.parametrize("encoding", ["ascii", *ORDERS])
def test_truncation_is_found_wherever_it_is(tmp_path: Path, encoding: str) -> None:
    content = mesh(encoding)
    # The last byte of ascii may be missing, and of the last number any part but the first digit.
    for size in range(len(content) - (2 if encoding == "ascii" else 0)):
        with pytest.raises(IngestError, match="in.ply"):
            read_bytes(tmp_path, content[:size], batch_rows=2)


@pytest.mark.parametrize("encoding", ["ascii", "binary_big_endian"])
def test_reading_is_bounded_by_the_batch(tmp_path: Path, encoding: str) -> None:
    rows = 200_000
    start = header(encoding, f"element vertex {rows}\nproperty double x\nproperty double y\nproperty double z\n")
    body = b"1.5 2.5 3.5\n" * rows if encoding == "ascii" else bytes(24 * rows)
    (tmp_path / "in.ply").write_bytes(start + body)
    del body
    tracemalloc.start()
    done = sum(batch.vertex_count for batch in PLY.open(tmp_path / "in.ply", ReadOptions(batch_rows=2000)).batches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done == rows
    assert peak < 2e6


# --- out


def test_channels_colours_and_dtypes(tmp_path: Path) -> None:
    attributes = {
        "rgb": np.array([[1, 2, 3], [4, 5, 6]], np.uint8),
        "normal": np.array([[0.5, 1, 2], [3, 4, 5]], np.float16),
        "flag": np.array([True, False]),
        "wide": np.array([[2**32 - 1], [0]], np.uint32),
        "time": np.array([0.1, np.nan], ">f8"),
    }
    points = cloud(np.array([[1, 2, 3], [4, 5, 6]], np.int16), attributes, np.array([-(2**31), 2**31 - 1]))
    text, table = write(tmp_path / "out.ply", points)
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
    _, again = read(tmp_path / "out.ply", object_ids="object_id")
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
    _, table = write(tmp_path / "out.ply", cloud(np.zeros((1, 3)), attributes), parts=1)
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
        write(tmp_path / "out.ply", cloud(positions, attributes, ids))
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
        write(tmp_path / "out.ply", cloud(np.zeros((1, 3))))
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
    _, table = write(tmp_path / "out.ply", cloud(np.arange(float(ndim))[np.newaxis], axes=axes), parts=1)
    assert list(table.dtype.names or ()) == names.split()
    by_name = "".join(sorted(axes or "")).lower() in {"xyz", "txyz", "wxyz", "xz"}
    expected = [axes.index(name) for name in names.split()] if by_name else range(ndim)
    assert list(table[0]) == list(expected)


def test_comments_come_back_and_padding_does_not_pile_up(tmp_path: Path) -> None:
    notes = "comment made by hand\nobj_info some info\n"
    source, points = read_bytes(tmp_path, mesh("ascii", notes=notes))
    for name in ("one.ply", "two.ply"):
        text, _ = write(tmp_path / name, points, headers=dict(source.headers))
        source, points = read(tmp_path / name)
        assert source.headers["ply"]["comments"] == ["made by hand"]
        assert source.headers["ply"]["obj_info"] == ["some info"]
        assert text.count("comment") == 2
    assert (tmp_path / "one.ply").read_bytes() == (tmp_path / "two.ply").read_bytes()
    text, _ = write(tmp_path / "lines.ply", points, headers={"ply": {"comments": ["two\nlines", 3]}})
    assert "comment two\ncomment lines\ncomment 3\n" in text
    with pytest.raises(ExportError, match="headers/ply"):
        write(tmp_path / "bad.ply", points, headers={"ply": {"comments": "text"}})


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
        write(Path(folder) / "out.ply", points, parts=parts)
        _, again = read(Path(folder) / "out.ply", positions=names, batch_rows=min(batch_rows, max(rows // 20, 1)))
    assert again.positions.dtype == np.dtype(dtype)
    assert again.positions.tobytes() == np.ascontiguousarray(values[:, :ndim]).tobytes()
    for name, column in (("a", ndim), ("b_0", ndim + 1), ("b_1", ndim + 2)):
        assert np.asarray(again.attributes[name]).tobytes() == np.ascontiguousarray(values[:, column]).tobytes()
