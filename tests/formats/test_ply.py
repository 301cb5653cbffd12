"""PLY files written by hand are read as they were meant, and bad ones refused by place."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.formats.ply_tools import CODES, DTYPES, ORDERS, TYPES, VERTICES, header, mesh, read_bytes
from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.ply import PLY


@pytest.mark.parametrize("batch_rows", [1, 2, 1000])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
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
            "face": {"count": 2, "properties": ["quality", "corners", "uv"]},
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
    assert points.positions.shape == (0, 2)
    assert points.positions.dtype == np.float32
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
    (b"ply", "not a PLY file"),
    (b"ply\r", "truncated"),
    (b"ply \t\r\n", "truncated"),
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
    with pytest.raises(IngestError, match=rf"in\.ply.*{message}"):
        read_bytes(tmp_path, content)


@pytest.mark.parametrize("encoding", ["ascii", *ORDERS])
def test_truncation_is_found_wherever_it_is(tmp_path: Path, encoding: str) -> None:
    content = mesh(encoding)
    # The end of the last line of ascii may be missing.
    for size in range(len(content) - (encoding == "ascii")):
        with pytest.raises(IngestError, match=r"in\.ply"):
            read_bytes(tmp_path, content[:size], batch_rows=2)


@pytest.mark.parametrize("encoding", ["ascii", "binary_big_endian"])
def test_reading_is_bounded_by_the_batch(tmp_path: Path, encoding: str) -> None:
    rows = 50_000
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


@pytest.mark.parametrize("order", list(ORDERS))
def test_faces_of_many_sizes_before_the_vertices(tmp_path: Path, order: str) -> None:
    rng = np.random.default_rng(5)
    # Long runs of triangles, then a mix, then empty faces.
    counts = [3] * 3000 + rng.integers(0, 6, 300).tolist() + [0] * 50 + [4] * 1000
    elements = f"element face {len(counts)}\nproperty list uchar int v\nproperty list short double w\nproperty char q\n"
    body = b"".join(
        struct.pack(f"{ORDERS[order]}B{n}ih{n % 2}db", n, *range(n), n % 2, *[0.5] * (n % 2), n) for n in counts
    )
    content = header(order, elements + XY) + body + struct.pack(f"{ORDERS[order]}2f", 1.5, 2.5)
    assert read_bytes(tmp_path, content)[1].positions.tolist() == [[1.5, 2.5]]
