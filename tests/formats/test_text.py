"""CSV, TSV, TXT and XYZ: against pandas and the csv module, round trips, and files that are broken."""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import WORDS, assert_same, cloud, clouds, coded, joined, text
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats import delimited
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.geometry import Categorical, Points

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")

from zarr_vectors.formats.text import CSV, XYZ  # noqa: E402

OPTIONS = ReadOptions()


def read(path: Path, format_: Format = CSV, **options: Any) -> tuple[Source, Points]:
    """The source and everything in it as one value; checks what all batches must have in common."""
    source = format_.open(path, ReadOptions(**options))
    batches = list(source.batches)
    return source, joined(batches)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def export(path: Path, *batches: Points, format_: Format = CSV) -> int:
    axes = batches[0].axes or as_axes(None, batches[0].ndim)
    return format_.export(path, iter(batches), ExportContext(axes=axes))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


# --- reading -----------------------------------------------------------------------------------------------------


def test_kinds_of_columns(folder: Path) -> None:
    source, points = read(
        write(
            folder / "a.csv",
            "x,y,z,object_id,count,weight,good,tissue\n0.5,1,2,7,3,0.25,true,axon\n1.5,-2,3,-1,4,1e3,False,\n",
        )
    )
    assert source.rows == 2
    assert source.bounds == ([0.5, -2, 2], [1.5, 1, 3])
    assert source.axes == as_axes("xyz", 3)
    assert points.positions.dtype == np.float64
    np.testing.assert_array_equal(points.positions, [[0.5, 1, 2], [1.5, -2, 3]])
    assert points.object_ids is not None
    assert points.object_ids.tolist() == [7, -1]
    assert {name: str(column.dtype) for name, column in points.attributes.items()} == {
        "count": "int64",
        "weight": "float64",
        "good": "bool",
        "tissue": "object",
    }
    assert text(points, "tissue") == ["axon", None]


def test_integer_positions_stay_integers(folder: Path) -> None:
    source, points = read(write(folder / "a.csv", f"x,y\n1,{2**60 + 1}\n3,4\n"))
    assert points.positions.dtype == np.int64
    assert points.positions.tolist() == [[1, 2**60 + 1], [3, 4]]
    assert source.bounds == ([1, 4], [3, 2**60 + 1])


@pytest.mark.parametrize(
    ("header", "positions"),
    [
        ("X,Y,Z,a", ["X", "Y", "Z"]),
        ("a,y,x", ["x", "y"]),
        ("t,z,y,x", ["x", "y", "z", "t"]),
        ("x,y,t", ["x", "y", "t"]),
        ("pos_x,pos_y,b", ["pos_x", "pos_y"]),
        ("cell,x_centroid,y_centroid", ["x_centroid", "y_centroid"]),
        ("x_location,y_location,z_location,qv", ["x_location", "y_location", "z_location"]),
        ("x,y,global_x,global_y", ["global_x", "global_y"]),
        ("Position X,Position Y,Position Z", ["Position X", "Position Y", "Position Z"]),
        ("x_um,y_um", ["x_um", "y_um"]),
        ("x (nm),y (nm),z [nm]", ["x (nm)", "y (nm)", "z [nm]"]),
    ],
)
def test_positions_are_found_by_name(folder: Path, header: str, positions: list[str]) -> None:
    names = header.split(",")
    row = [float(index) + 0.5 for index in range(len(names))]
    _, points = read(write(folder / "a.csv", f"{header}\n{','.join(map(str, row))}\n"))
    assert points.positions.tolist() == [[row[names.index(name)] for name in positions]]
    assert list(points.attributes) == [name for name in names if name not in positions]


def test_units_in_names_become_units_of_axes(folder: Path) -> None:
    source, _ = read(write(folder / "a.csv", "x (µm),y_um,z [nm],t (s)\n1,2,3,4\n"))
    assert source.axes is not None
    assert [(axis.name, axis.unit, axis.type) for axis in source.axes] == [
        ("x", "micrometer", "space"),
        ("y", "micrometer", "space"),
        ("z", "nanometer", "space"),
        ("t", "second", "time"),
    ]


def test_options_name_columns(folder: Path) -> None:
    path = write(folder / "a.csv", "lon,lat,cell,a,b,object_id\n1,2,5,6,7,8\n")
    source, points = read(path, positions=("lat", "lon"), object_ids="cell", attributes=("b",))
    assert points.positions.tolist() == [[2, 1]]
    assert points.object_ids is not None
    assert points.object_ids.tolist() == [5]
    assert list(points.attributes) == ["b"]
    assert [axis.name for axis in source.axes or ()] == ["lat", "lon"]
    _, points = read(path, positions=("lat", "lon"), attributes=("object_id",))
    assert points.object_ids is None
    assert list(points.attributes) == ["object_id"]


@pytest.mark.parametrize(
    ("name", "content", "positions", "attributes"),
    [
        ("a.csv", "1,2,3,4.5\n5,6,7,8.5\n", [[1, 2, 3], [5, 6, 7]], {"column_3": [4.5, 8.5]}),
        ("a.csv", "1.5,2\n5,6\n", [[1.5, 2], [5, 6]], {}),
        ("a.csv", "1,2,3,\n5,6,7,\n", [[1, 2, 3], [5, 6, 7]], {}),
        ("a.txt", "1 2 3\n5 6 7", [[1, 2, 3], [5, 6, 7]], {}),
        ("a.txt", "x\ty\tlabel\n1\t2\t\n3\t4\ta b\n", [[1, 2], [3, 4]], {"label": [None, "a b"]}),
        ("a.tsv", "x\ty\n1\t2\n", [[1, 2]], {}),
        ("a.csv", "x;y;n\n1;2;a,b\n", [[1, 2]], {"n": ["a,b"]}),
        ("a.csv", "x|y\n1|2\n", [[1, 2]], {}),
        ("a.csv", "x, y, v\n1, 2, 3\n", [[1, 2]], {"v": [3]}),
        ("a.csv", "# made by hand\n#x,y,v\n1,2,3\n", [[1, 2]], {"v": [3]}),
        ("a.csv", "# made by\n1,2\n", [[1, 2]], {}),
        ("a.csv", "//X,Y,Intensity\n1,2,3\n", [[1, 2]], {"Intensity": [3]}),
        ("a.csv", "\n\nx,y\n\n1,2\n\n3,4\n", [[1, 2], [3, 4]], {}),
        ("a.csv", ",x,y\n0,1,2\n1,3,4\n", [[1, 2], [3, 4]], {"column_0": [0, 1]}),
        ("a.csv", "x,y,\n1,2,\n3,4,\n", [[1, 2], [3, 4]], {}),
        ("a.xyz", "  1   2\t 3\n4 5 6  \n\n", [[1, 2, 3], [4, 5, 6]], {}),
        ("a.xyz", "x y z r\n1 2 3 4\n", [[1, 2, 3]], {"r": [4]}),
        ("a.xyz", "# x y z r\n1 2 3 4\n# the end\n", [[1, 2, 3]], {"r": [4]}),
        ("a.xyz", "//X Y Z R\r\n1 2 3 4\r\n", [[1, 2, 3]], {"R": [4]}),
        ("a.xyz", "# name x y\na 1 2\n", [[1, 2]], {"name": ["a"]}),
        ("a.xyz", "x, y, z\n1, 2, 3\n", [[1, 2, 3]], {}),
        (
            "a.xyz",
            'x y n\n1  2 "a  b"\n1 2 ""\n1 2 "say ""hi"""\n',
            [[1, 2], [1, 2], [1, 2]],
            {"n": ["a  b", None, 'say "hi"']},
        ),
    ],
)
def test_dialects(
    folder: Path, name: str, content: str, positions: list[list[float]], attributes: dict[str, list[Any]]
) -> None:
    for end, start in [("\n", ""), ("\r\n", ""), ("\n", "\ufeff"), ("\r\n", "\ufeff"), ("\r", "")]:
        plain = start + content.replace("\r\n", "\n").replace("\n", end)
        _, points = read(write(folder / name, plain), XYZ if name.endswith(".xyz") else CSV)
        assert points.positions.tolist() == positions
        assert {key: np.asarray(column).tolist() for key, column in points.attributes.items()} == attributes


def test_quotes_hold_separators_quotes_and_line_breaks(folder: Path) -> None:
    rows = [["1", "2", "a,b"], ["3", "4", 'say "hi"'], ["5", "6", "two\nlines"], ["7", "8", "two\r\nlines"]]
    with (folder / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["x", "y", "a\nname"], *rows])
    _, points = read(folder / "a.csv")
    assert text(points, "a\nname") == [row[2] for row in rows]


def test_empty_text_is_not_missing_text(folder: Path) -> None:
    _, points = read(write(folder / "a.csv", 'x,y,n\n1,2,""\n3,4,\n5,6,NA\n'))
    assert text(points, "n") == ["", None, "NA"]


@pytest.mark.parametrize("missing", ["", "NA", "N/A", "null", "None", "<NA>", '""', " "])
def test_missing_numbers_are_nan(folder: Path, missing: str) -> None:
    _, points = read(write(folder / "a.csv", f"x,y,i,f\n1,2,3,0.5\n1,2,{missing},{missing}\n"))
    np.testing.assert_array_equal(points.attributes["i"], [3.0, np.nan])
    np.testing.assert_array_equal(points.attributes["f"], [0.5, np.nan])


def test_columns_without_any_value_are_nan_and_words_alone_are_text(folder: Path) -> None:
    _, points = read(write(folder / "a.csv", "x,y,e,n,w\n1,2,,nan,NA\n1,2,,NaN,NA\n"))
    assert np.isnan(np.asarray(points.attributes["e"])).all()
    assert np.isnan(np.asarray(points.attributes["n"])).all()
    assert text(points, "w") == ["NA", "NA"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2"], "int64"),
        (["+1", " 2"], "int64"),
        (["1", "2.5"], "float64"),
        (["1e3", "2"], "float64"),
        (["+1.5", "-inf"], "float64"),
        (["1", str(2**63)], "uint64"),
        ([str(2**64 - 1), "0"], "uint64"),
        (["-9223372036854775808", "9223372036854775807"], "int64"),
        ([str(2**100), "1"], "float64"),
        (["true", "FALSE"], "bool"),
        (["true", ""], "object"),
        (["true", "1"], "object"),
        (["0x1F", "0x2F"], "object"),
        (["1", "a"], "object"),
        (["1_0", "2"], "object"),
        (["2020-01-01", "2020-01-02"], "object"),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_types_do_not_depend_on_order(folder: Path, values: list[str], expected: str, *, reverse: bool) -> None:
    values = values[::-1] if reverse else values
    _, points = read(write(folder / "a.csv", "x,y,v\n" + "".join(f"1,2,{value}\n" for value in values)))
    column = points.attributes["v"]
    assert str(column.dtype) == expected
    if expected == "object":
        assert text(points, "v") == [value or None for value in values]
    else:
        parse = float if expected == "float64" else json.loads
        numbers = [parse(value.lower().lstrip("+")) for value in values]
        assert np.asarray(column).tolist() == numbers


@pytest.mark.parametrize("late", ["0.5", "", "word", str(2**64 - 1), "NA", "+7", "true"])
def test_a_column_that_changes_its_mind_in_a_late_block(
    folder: Path, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zarr_vectors.formats.text.BLOCK_BYTES", 4096)
    early = ["3"] * 5000
    path = write(folder / "a.csv", "x,y,v\n" + "".join(f"1.5,2,{value}\n" for value in [*early, late]))
    _, points = read(path, batch_rows=700)
    column = np.asarray(points.attributes["v"]).tolist()
    if late in {"word", "true"}:
        assert column == [*early, late]
    elif late in {"", "NA"}:
        assert math.isnan(column.pop())
        assert column == [3.0] * 5000
    else:
        assert column == [3] * 5000 + [float(late) if "." in late else int(late)]


def test_batches_are_full_and_categories_only_grow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zarr_vectors.formats.text.BLOCK_BYTES", 1024)
    names = [f"n{index // 10}" for index in range(1000)]
    path = write(folder / "a.csv", "x,y,n\n" + "".join(f"{i},2.5,{name}\n" for i, name in enumerate(names)))
    batches = list(CSV.open(path, ReadOptions(batch_rows=300)).batches)
    assert [batch.vertex_count for batch in batches] == [300, 300, 300, 100]
    tables = [batch.attributes["n"] for batch in batches]
    categories = [column.categories for column in tables if isinstance(column, Categorical)]
    for earlier, later in pairwise(categories):
        assert later[: len(earlier)] == earlier
    assert text(joined(batches), "n") == names


@pytest.mark.parametrize("content", ["x,y,v,object_id\n", "x,y,v,object_id", "# c\nx,y,v,object_id\n\n# end\n"])
def test_a_header_alone_is_an_empty_cloud(folder: Path, content: str) -> None:
    source, points = read(write(folder / "a.csv", content))
    assert (source.rows, source.bounds) == (0, None)
    assert points.positions.shape == (0, 2)
    assert points.object_ids is not None
    assert list(points.attributes) == ["v"]


def test_not_finite_coordinates_pass_through(folder: Path) -> None:
    source, points = read(write(folder / "a.csv", "x,y\n1,nan\ninf,2\n"))
    assert source.bounds is None
    np.testing.assert_array_equal(points.positions, [[1, np.nan], [np.inf, 2]])


def test_gaps_across_blocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 64)
    rows = np.random.default_rng(0).random((500, 3))
    lines = [f"  {x!r}\t {y!r}   {z!r} " for x, y, z in rows.tolist()]
    for end in ("\n", "\r\n", "\r"):
        _, points = read(write(folder / "a.xyz", end.join(lines)), XYZ)
        np.testing.assert_array_equal(points.positions, rows)


# --- files that are broken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n \n\n", "is empty"),
        ("a.csv", b"\xef\xbb\xbf", "is empty"),
        ("a.csv", b"# nothing\n", "is empty"),
        ("a.csv", b"x,y\n1,2\0\n", "is not text"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not"),
        ("a.csv", "x,y\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a.csv", b"x,y,\xb5m\n1,2,3\n", "UTF-8.*line 1"),
        ("a.csv", b"x,y,n\n1,2,a\n3,4,caf\xe9\n", "UTF-8.*line 3"),
        ("a.csv", b"a,b,c\n1,2,3\n", "columns a, b, c.*--positions"),
        ("a.csv", b"x,X,Y,y\n1,2,3,4\n", None),
        ("a.csv", b"X,x_um,y\n1,2,3\n", "more than one column could hold the coordinate 'x'"),
        ("a.csv", b"x,y,a,a\n1,2,3,4\n", "more than one column has the name a"),
        ("a.csv", b"x,y,x\n1,2,3\n", "more than one column"),
        ("a.csv", b"x,y,a/b\n1,2,3\n", "'a/b'.*attributes="),
        ("a.csv", b"x,y,zarr.json\n1,2,3\n", "zarr.json"),
        ("a.csv", b"x,y\n1,2\n3\n", "expected 2 fields, got 1 in line 3"),
        ("a.csv", b"x,y\n1,2\n\n3,4,\n", "expected 2 fields, got 3 in line 4"),
        ("a.csv", b"x,y\n1,2\n3,abc\n", "'y' must be numbers.*'abc' in line 3"),
        ("a.csv", b"x,y\n1,2\n3,\n", "'y' must be numbers.*no value in line 3"),
        ("a.csv", b"x,y\n1,2\n3,NA\n", "'y' must be numbers.*no value in line 3"),
        ("a.csv", b"x,y\ntrue,2\n", "'x' must be numbers.*'true' in line 2"),
        ("a.csv", b'x;y\n1;2\n"3,5";4\n', "'3,5' in line 3.*decimal points"),
        ("a.csv", b"x,y,object_id\n1,2,3\n1,2,1.5\n", "object ids.*'1.5' in line 3"),
        ("a.csv", b"x,y,object_id\n1,2,3\n1,2,\n", "object ids.*no value in line 3"),
        ("a.csv", b"x,y,object_id\n1,2,9223372036854775808\n", "object ids.*line 2.*correct the line"),
        ("a.csv", b"x,y,object_id\n1,2,axon\n", "'axon' in line 2.*attributes="),
        ("a.csv", b"x,y,v\n1,2,9007199254740993\n1,2,\n", "'v' has an integer that changes.*line 2"),
        ("a.csv", b"x,y,v\n1,2,18446744073709551615\n1,2,-1\n", "'v' has an integer that changes.*line 2"),
        ("a.csv", b"x,y,v\n1,2,100000000000000000000000001\n", "'v' has an integer that changes.*line 2"),
        ("a.csv", b"x,y\n9007199254740993,2\n1,2.5\n", "'x' has an integer that changes.*line 2"),
        ("a.csv", b'x,y,n\n1,2,"open\n3,4,b\n', None),
        ("a.xyz", b"12\nwater\nO 0 0 0\n", "columns x"),
        ("a.xyz", b"C 1 2 3\nO 4 5 6\n", "'C' in line 1.*columns x, y, z, column_3 with positions="),
        ("a.csv", b"lat,lon,2020\n1,2,3\n", "columns lat, lon, '2020'"),
        ("a.xyz", b"1 2 3\n4 5\n", "expected 3 fields, got 2 in line 2"),
        ("a.xyz", b"1 2 3\n# c\n\n4 5 six\n", "'six' in line 4"),
    ],
)
def test_bad_files(folder: Path, name: str, content: bytes, message: str | None) -> None:
    path = write(folder / name, content)
    if message is None:
        read(path)
        return
    with pytest.raises(IngestError, match=f"(?s){name}.*{message}"):
        read(path, XYZ if name == "a.xyz" else CSV)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": ("x", "q")}, "positions names columns that do not exist: q.*columns x, y, v"),
        ({"positions": ("x", "x")}, "1 to 4 different columns"),
        ({"positions": ()}, "1 to 4 different columns"),
        ({"object_ids": "q"}, "object_ids names columns"),
        ({"attributes": ("q",)}, "attributes names columns"),
        ({"attributes": ("vv",)}, "attributes names columns.*did you mean 'v'"),
        ({"attributes": ("x",)}, "second time: x"),
        ({"object_ids": "x"}, "second time: x"),
    ],
)
def test_bad_options(folder: Path, options: dict[str, Any], message: str) -> None:
    path = write(folder / "a.csv", "x,y,v\n1,2,3\n")
    with pytest.raises(IngestError, match=message):
        CSV.open(path, ReadOptions(**options))


def test_columns_without_a_header_can_be_named(folder: Path) -> None:
    path = write(folder / "a.csv", "ACGT-1,1,0,50,2,3.5\nTTTT-1,0,1,51,4,5.5\n")
    source, points = read(path, positions=("column_5", "column_4"), attributes=("x", "y"))
    assert points.positions.tolist() == [[3.5, 2], [5.5, 4]]
    assert text(points, "x") == ["ACGT-1", "TTTT-1"]
    assert [axis.name for axis in source.axes or ()] == ["column_5", "column_4"]


def test_what_is_wrong_may_be_left_out(folder: Path) -> None:
    path = write(folder / "a.csv", "x,y,a/b,v,v,w\n1,2,3,4,5,6\n")
    _, points = read(path, attributes=("w",))
    assert list(points.attributes) == ["w"]


def test_a_line_longer_than_a_block(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zarr_vectors.formats.text.BLOCK_BYTES", 256)
    path = write(folder / "a.csv", "x,y,n\n1,2," + "a" * 2000 + "\n")
    with pytest.raises(IngestError, match="has a line of more than"):
        read(path)


def test_a_file_that_changes_between_the_passes(folder: Path) -> None:
    path = write(folder / "a.csv", "x,y\n1,2\n3,4\n")
    for content in ("x,y\n1,2\n", "x,y\n1,2\n3,4\n5,6\n", "x,y\n1,2\n3,a\n"):
        write(path, "x,y\n1,2\n3,4\n")
        source = CSV.open(path, OPTIONS)
        write(path, content)
        with pytest.raises(IngestError):
            list(source.batches)


def test_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CSV.open(folder / "none.csv", OPTIONS)


# --- writing -------------------------------------------------------------------------------------------------------


def test_what_is_written(folder: Path) -> None:
    points = cloud(
        np.array([[0.1, 1], [-0.0, np.nan]], dtype=np.float32),
        attributes={
            "rgb": np.array([[1, 2], [3, 4]], dtype=np.uint8),
            "good": [True, False],
            "tissue": ['say "hi"', None],
            "when": np.array(["2020-01-01T12:00", "NaT"], dtype="M8[m]"),
        },
        object_ids=[5, -6],
        axes="yx",
    )
    assert export(folder / "a.csv", points) == 2
    assert (folder / "a.csv").read_text() == (
        "y,x,object_id,rgb_0,rgb_1,good,tissue,when\n"
        '0.1,1.0,5,1,2,true,"say ""hi""",2020-01-01T12:00:00\n'
        "-0.0,nan,-6,3,4,false,,\n"
    )
    export(folder / "a.tsv", points)
    assert (folder / "a.tsv").read_text().startswith("y\tx\tobject_id\t")
    export(folder / "a.xyz", points, format_=XYZ)
    assert (folder / "a.xyz").read_text().splitlines()[2] == '-0.0 nan -6 3 4 false "" ""'


def test_no_rows_and_several_batches(folder: Path) -> None:
    empty = cloud(np.empty((0, 3)), {"a": np.empty((0, 2)), "n": coded(np.empty(0, np.int8))})
    assert export(folder / "a.csv", empty) == 0
    assert (folder / "a.csv").read_text() == "x,y,z,a_0,a_1,n\n"
    one = cloud([[1.0, 2.0]], {"n": coded([0], "p", "q")})
    two = cloud([[3.0, 4.0]], {"n": coded([0], "q", "p")})
    assert export(folder / "b.csv", one, one.take(slice(0)), two) == 2
    assert (folder / "b.csv").read_text() == 'x,y,n\n1.0,2.0,"p"\n3.0,4.0,"q"\n'


def test_masked_values_are_missing(folder: Path) -> None:
    masked = {
        "i": np.ma.MaskedArray(np.array([1, 2], np.uint8), [False, True]),
        "b": np.ma.MaskedArray([True, False], [True, False]),
        "c": np.ma.MaskedArray([[1, 2], [3, 4]], [[False, True], [False, False]]),
    }
    export(folder / "a.csv", cloud([[1.0, 2.0], [3.0, 4.0]], masked))
    assert (folder / "a.csv").read_text() == "x,y,i,b,c_0,c_1\n1.0,2.0,1,,1,\n3.0,4.0,,false,3,4\n"
    export(folder / "a.xyz", cloud([[1.0, 2.0], [3.0, 4.0]], masked), format_=XYZ)
    assert (folder / "a.xyz").read_text().splitlines()[1] == '1.0 2.0 1 "" 1 ""'
    _, points = read(folder / "a.xyz", XYZ)
    np.testing.assert_array_equal(np.asarray(points.attributes["i"]), [1, np.nan])
    assert text(points, "b") == [None, "false"]


@pytest.mark.parametrize(
    ("attributes", "format_", "message"),
    [
        ({"x": [1]}, CSV, "more than one column would have the name x"),
        ({"a": [[1, 2]], "a_0": [1]}, CSV, "name a_0"),
        ({"c": np.array([1j])}, CSV, "'c'.*complex128"),
        ({"d": np.array([1], "m8[s]")}, CSV, "'d'.*timedelta64"),
        ({"d": np.array([1], "M8[ps]")}, CSV, "'d'.*unit of time"),
        ({"d": np.zeros((1, 2, 2))}, CSV, "more than one axis of channels"),
        ({"n": ["a\nb"]}, XYZ, "'n' has text"),
        ({"n": [""]}, XYZ, "'n' has text"),
    ],
)
def test_what_cannot_be_written(folder: Path, attributes: dict[str, Any], format_: Format, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(folder / "a.csv", cloud([[1.0, 2.0]], attributes), format_=format_)


@given(st.data(), st.sampled_from(["a.csv", "a.tsv", "a.txt", "a.xyz"]))
def test_round_trip(data: st.DataObject, name: str) -> None:
    format_ = XYZ if name == "a.xyz" else CSV
    words = WORDS.filter(lambda word: not set(word) & {"\n", "\r"}) if format_ is XYZ else WORDS
    points = clouds(data.draw, words=words)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        assert export(path, points, format_=format_) == points.vertex_count
        source, back = read(path, format_, batch_rows=7)
    assert source.rows == points.vertex_count
    assert_same(back.positions, points.positions)
    assert (back.object_ids is None) == (points.object_ids is None)
    if points.object_ids is not None:
        assert_same(np.asarray(back.object_ids), points.object_ids)
    for key, column in points.attributes.items():
        if isinstance(column, Categorical):
            if (column.codes >= 0).any():
                assert text(back, key) == np.asarray(column).tolist()
        elif column.ndim == 2:
            channels = [np.asarray(back.attributes[f"{key}_{channel}"]) for channel in range(column.shape[1])]
            assert_same(np.stack(channels, axis=1), column)
        else:
            assert_same(np.asarray(back.attributes[key]), column)


def test_pandas_reads_what_is_written_and_the_other_way_round(folder: Path) -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "x": random.normal(size=500),
            "y": random.normal(size=500),
            "count": random.integers(-5, 5, 500),
            "share": random.random(500),
            "label": random.choice(["a b", "c,d", 'e"f', "g\nh"], 500),
        }
    )
    frame.loc[::7, "share"] = np.nan
    frame.to_csv(folder / "a.csv", index=False)
    _, points = read(folder / "a.csv", batch_rows=64)
    np.testing.assert_array_equal(points.positions, frame[["x", "y"]].to_numpy())
    for name in ("count", "share"):
        np.testing.assert_array_equal(np.asarray(points.attributes[name]), frame[name].to_numpy())
    assert text(points, "label") == frame["label"].tolist()
    export(folder / "b.csv", points)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "b.csv"), frame)
