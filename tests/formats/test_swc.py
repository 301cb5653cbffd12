"""SWC, against a reader that goes line by line, and on files of neurons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.trees import only, read, trees, write
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.swc import SWC
from zarr_vectors.geometry import Skeleton
from zarr_vectors.typing import AnyArray

NEURON = """# a neuron
# of three trees
1 1 0.5 1.25 -2 3 -1
2 3 1234.567 0.1 1e-3 0.25 1
4 2 3 3 3 0.5 -1
3 3 7 8 9 0.125 2
5 3 1 1 1 0.5 -1
"""
REAL = sorted((Path(__file__).parent.parent / "data").glob("**/*.swc"))


def neuron(parents: object = (-1, 0, 1), **fields: object) -> Skeleton:
    return Skeleton(np.arange(9.0).reshape(3, 3), parents, **fields)  # type: ignore[arg-type]


def same_dtypes(back: Skeleton, there: Skeleton) -> bool:
    names = list(there.attributes)
    return back.positions.dtype == there.positions.dtype and all(
        back.attributes[name].dtype == there.attributes[name].dtype for name in names
    )


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.swc"
    path.write_text(NEURON)
    source, (value,) = read(SWC, path)
    assert value.parents.tolist() == [-1, 0, -1, 1, -1]
    assert value.positions.dtype == np.float32
    assert value.positions[1].tolist() == np.array([1234.567, 0.1, 1e-3], np.float32).tolist()
    assert value.attributes["type"].tolist() == [1, 3, 2, 3, 3]
    assert value.attributes["type"].dtype == np.int32
    assert value.attributes["radius"].tolist() == [3, 0.25, 0.5, 0.125, 0.5]
    assert value.attributes["node_id"].tolist() == [1, 2, 4, 3, 5]
    assert value.object_ids is None
    assert source.rows == 5
    assert source.axes == (Axis("x"), Axis("y"), Axis("z"))
    assert source.headers == {"swc": {"comments": [" a neuron", " of three trees"]}}


@pytest.mark.parametrize(
    "text",
    [
        NEURON.replace("\n", "\r\n"),
        NEURON.replace("\n", "\r"),
        NEURON.replace(" ", "\t").replace("#\t", "# ").replace("a\t", "a ").replace("of\tthree\t", "of three "),
        "\ufeff" + NEURON,
        NEURON.rstrip("\n"),
        NEURON.replace("\n", "  \n\n").replace("neuron  ", "neuron").replace("trees  ", "trees"),
    ],
    ids=["crlf", "cr", "tabs", "bom", "no last line end", "blank lines"],
)
def test_ways_of_writing_lines(text: str, tmp_path: Path) -> None:
    plain, other = tmp_path / "a.swc", tmp_path / "b.swc"
    plain.write_bytes(NEURON.encode())
    other.write_bytes(text.encode())
    assert only(SWC, other) == only(SWC, plain)
    assert read(SWC, other)[0].headers == read(SWC, plain)[0].headers


@given(st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    value = trees(data.draw, st.floats(-(2.0**99), 2.0**99, width=32) | st.sampled_from([0.1, 1 / 3, 1e-30]))
    path = tmp_path_factory.mktemp("swc") / "a.swc"
    assert write(SWC, path, value) == value.vertex_count
    back = only(SWC, path)
    order: AnyArray = np.arange(value.vertex_count)
    if (value.parents >= order).any():
        depth = []
        for row in range(value.vertex_count):
            up, steps = row, 0
            while (up := int(value.parents[up])) >= 0:
                steps += 1
            depth.append(steps)
        order = np.argsort(depth, kind="stable")
    rank = np.argsort(order)
    assert same_dtypes(back, value) or not value.vertex_count
    assert back.positions.tolist() == value.positions[order].tolist()
    assert back.parents.tolist() == [rank[p] if p >= 0 else -1 for p in value.parents[order].tolist()]
    for name, column in value.attributes.items():
        assert np.asarray(back.attributes[name]).tolist() == np.asarray(column)[order].tolist()
    assert (back.parents < np.arange(len(order))).all()


@given(st.lists(st.floats(width=64, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_every_float_comes_back(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    path = tmp_path_factory.mktemp("swc") / "a.swc"
    with np.errstate(over="ignore"):
        narrow = np.array([numbers]).astype(np.float32)
    for value in (np.array([numbers]), narrow):
        if not np.isfinite(value).all():
            continue
        path.unlink(missing_ok=True)
        write(SWC, path, Skeleton(value))
        back = only(SWC, path).positions
        assert back.dtype == value.dtype
        assert back.tobytes() == value.tobytes()


def test_a_second_round_trip_changes_no_byte(tmp_path: Path) -> None:
    path, again, third = tmp_path / "a.swc", tmp_path / "b.swc", tmp_path / "c.swc"
    path.write_text(NEURON)
    source, (value,) = read(SWC, path)
    write(SWC, again, value, headers=source.headers)
    source, (value,) = read(SWC, again)
    write(SWC, third, value, headers=source.headers)
    assert again.read_bytes() == third.read_bytes()
    assert again.read_text().startswith("# a neuron\n# of three trees\n1 1 ")


def test_many_digits_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.swc"
    path.write_text("1 0 1.23456789 2 3 0.5 -1\n")
    value = only(SWC, path)
    assert value.positions.tolist() == [[1.23456789, 2, 3]]
    assert value.attributes["radius"].dtype == np.float32
    path.write_text("1 0 0.1 2 3 0.5 -1\n")
    assert only(SWC, path, wide=True).positions.tolist() == [[0.1, 2, 3]]


def test_large_ids_and_parents_later_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.swc"
    big = 2**63 - 1
    path.write_text(f"{big - 1} 0 1 1 1 1 {big}\n{big} 0 0 0 0 1 -1\n-7 0 2 2 2 1 {big - 1}\n")
    value = only(SWC, path)
    assert value.parents.tolist() == [1, -1, 0]
    assert value.attributes["node_id"].tolist() == [big - 1, big, -7]
    back = tmp_path / "b.swc"
    write(SWC, back, value)
    assert back.read_text().splitlines()[1:] == [
        f"{big} 0 0.0 0.0 0.0 1.0 -1",
        f"{big - 1} 0 1.0 1.0 1.0 1.0 {big}",
        f"-7 0 2.0 2.0 2.0 1.0 {big - 1}",
    ]


def test_more_columns_are_attributes(tmp_path: Path) -> None:
    path, back = tmp_path / "a.swc", tmp_path / "b.swc"
    path.write_text("1 0 1 1 1 1 -1 7 0.5 nan\n2 0 1 1 2 1 1 8 1.5 2\n")
    value = only(SWC, path)
    assert value.attributes["column_8"].tolist() == [7, 8]
    assert value.attributes["column_8"].dtype == np.int64
    assert value.attributes["column_9"].tolist() == [0.5, 1.5]
    assert list(only(SWC, path, attributes=("column_9",)).attributes) == ["column_9"]
    value = Skeleton(
        value.positions,
        value.parents,
        attributes={"type": [1, 1], "radius": np.array([1, 2], np.float32), "level": [3, 4]},
    )
    write(SWC, back, value)
    assert only(SWC, back) == value


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("# c\n1 0 1 1 1 1\n", "6 in line 2"),
        ("1 0 1 1 1 1 -1\n\n2 0 1 1 1 1 1 5\n", "8 in line 3"),
        ("1 0 1 1 1 1 -1 5\n2 0 1 1 1 1 1\n", "7 in line 2"),
        ("1 0 1 x 1 1 -1\n", "'x' in line 1"),
        ("# c\n1 0 1 1.2.3 1 1 -1\n", "'1.2.3' in line 2"),
        ("1 0 1 1-2 1 1 -1\n", "'1-2' in line 1"),
        ("1 0 1 1e 1 1 -1\n", "'1e' in line 1"),
        ("1 0 1 1_0 1 1 -1\n", "'1_0' in line 1"),
        ("1 0 1 ü 1 1 -1\n", "'ü' in line 1"),
        ("1 0 1 1,5 1 1 -1\n", "'1,5' in line 1"),
        ("1.5 0 1 1 1 1 -1\n", "'1.5' in line 1"),
        ("99999999999999999999 0 1 1 1 1 -1\n", "in line 1"),
        ("nan 0 1 1 1 1 -1\n", "'nan' in line 1"),
        ("1 0.5 1 1 1 1 -1\n", "'0.5' in line 1"),
        ("1 3000000000 1 1 1 1 -1\n", "3000000000 in line 1"),
        ("1 0 1 1 nan 1 -1\n", "in line 1"),
        ("1 0 1 1 1e999 1 -1\n", "in line 1"),
        ("1 0 1 1 1 1 -1\n2 0 1 1 1 1 1\n\n1 0 1 1 1 1 2\n", "1 in line 4"),
        ("1 0 1 1 1 1 -1\n2 0 1 1 1 1 2\n", "node 2 in line 2"),
        ("1 0 1 1 1 1 -1\n2 0 1 1 1 1 9\n", "parent 9 in line 2"),
        ("1 0 1 1 1 1 -1\n2 0 1 1 1 1 0\n", "parent 0 in line 2"),
        ("1 0 1 1 1 1 -1\n2 0 1 1 1 1 3\n# c\n3 0 1 1 1 1 2\n", "node 2, whose parent is 3 in line 2"),
        ("-1 0 1 1 1 1 -1\n", "in line 1"),
        ("1 0 1 1 1 1 -1\n\0", "a zero byte at 15"),
    ],
)
def test_what_is_wrong_is_named(text: str, fact: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.swc"
    path.write_bytes(text.encode())
    with pytest.raises(IngestError) as caught:
        read(SWC, path)
    assert "bad.swc" in str(caught.value)
    assert fact in str(caught.value)


@given(st.binary(max_size=60), st.integers(0, len(NEURON)))
def test_damage_is_an_ingest_error_or_a_skeleton(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("swc") / "bad.swc"
    for content in (NEURON.encode()[:at], NEURON.encode()[:at] + junk + NEURON.encode()[at:]):
        path.write_bytes(content)
        try:
            value = only(SWC, path)
        except IngestError as error:
            assert "bad.swc" in str(error)  # noqa: PT017
        else:
            assert isinstance(value, Skeleton)


def test_no_nodes(tmp_path: Path) -> None:
    path, back = tmp_path / "a.swc", tmp_path / "b.swc"
    path.write_text("# nothing yet\n")
    source, (value,) = read(SWC, path)
    assert (value.vertex_count, source.rows) == (0, 0)
    assert write(SWC, back, value, headers=source.headers) == 0
    assert back.read_text() == "# nothing yet\n"


def test_comments_of_old_encodings_come_back(tmp_path: Path) -> None:
    path, back = tmp_path / "a.swc", tmp_path / "b.swc"
    path.write_bytes("# Müller, 5 µm\n1 0 1.5 2.5 3.5 1.5 -1\n".encode("latin-1"))
    source, (value,) = read(SWC, path)
    write(SWC, back, value, headers=source.headers)
    assert back.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (neuron(object_ids=[1, 1, 2]), "one object"),
        (neuron(objects=[1, 2], object_ids=[1, 1, 1]), "one object"),
        (neuron(attributes={"label": ["a", "b", "c"]}), "'label'"),
        (neuron(attributes={"normal": np.zeros((3, 2))}), "'normal'"),
        (neuron(attributes={"a b": np.zeros(3)}), "'a b'"),
        (neuron(attributes={"x": np.zeros(3)}), "'x'"),
        (neuron(attributes={"n": np.ma.MaskedArray([1, 2, 3], mask=[False, True, False])}), "missing"),
        (neuron(attributes={"type": [0.5, 1, 2]}), "integers"),
        (neuron(attributes={"type": [2**40, 1, 2]}), "32 bits"),
        (neuron(attributes={"node_id": [1, 1, 2]}), "distinct"),
        (neuron(edge_attributes={"length": [1.0, 2.0]}), "edge attributes"),
        (neuron([1, 0, -1]), "circle"),
        (Skeleton(np.full((1, 3), 2**60)), "positions"),
        (Skeleton(np.zeros((1, 2)), axes="xy"), "three axes"),
        (Skeleton(np.zeros((1, 3)), axes=["x", "y", Axis("t", type="time")]), "three axes"),
    ],
)
def test_what_swc_cannot_hold(value: Skeleton, fact: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=fact):
        write(SWC, tmp_path / "a.swc", value)
    assert not (tmp_path / "a.swc").exists()


def test_several_objects_lead_to_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"folder.*--format swc"):
        write(SWC, tmp_path / "a.swc", neuron(object_ids=[1, 1, 1]), neuron(object_ids=[2, 2, 2]))


def test_other_orders_of_axes_and_what_is_known_of_the_object(tmp_path: Path) -> None:
    path = tmp_path / "a.swc"
    value = neuron(object_ids=[5, 5, 5], object_attributes={"name": ["DA1"]}, groups={2: [5]}, axes="zyx")
    write(SWC, path, value)
    assert path.read_text().splitlines()[:4] == [
        "# id type x y z radius parent",
        "# name: DA1",
        "# groups: 2",
        "# float64: x y z",
    ]
    assert only(SWC, path).positions.tolist() == value.positions[:, ::-1].tolist()


def test_bad_headers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="headers/swc"):
        write(SWC, tmp_path / "a.swc", neuron(), headers={"swc": {"comments": 5}})


@pytest.mark.skipif(not REAL, reason="no SWC files: run scripts/fetch_real_data.py")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_neurons(path: Path, tmp_path: Path) -> None:
    rows = [line.split() for line in path.read_text("latin-1").splitlines() if line.strip() and line.strip()[0] != "#"]
    source, (value,) = read(SWC, path)
    ids = {row[0]: number for number, row in enumerate(rows)}
    assert value.parents.tolist() == [ids.get(row[6], -1) for row in rows]
    np.testing.assert_array_equal(
        value.positions, np.array([row[2:5] for row in rows], dtype=np.float64).astype(value.positions.dtype)
    )
    back = tmp_path / "b.swc"
    write(SWC, back, value, headers=source.headers)
    again_source, (again,) = read(SWC, back)
    assert again.vertex_count == len(rows)
    if (value.parents < np.arange(len(rows))).all():
        assert again == value
        assert same_dtypes(again, value)
    assert again_source.headers == source.headers
