"""Objects and groups, and what is known of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import (
    assert_same_column,
    cloud,
    column_values,
    masked,
    memory,
    read,
    rows_of,
    same_rows,
    uniform,
)

IDS = np.array([7, -1, -2, 2**40, -(2**63), 2**63 - 1, 0])
OWNERS = np.tile(IDS, 9)
LAYOUT = zv.Layout(chunk_shape=4)


def written(**options: Any) -> zv.ZVLevel:
    place = memory()
    zv.write(place, uniform(len(OWNERS), object_ids=OWNERS, **options), layout=LAYOUT)
    return zv.open(place)[0]


def test_object_ids_may_be_any_int64() -> None:
    level = written()
    points = level.read()
    assert points.object_ids is not None
    assert points.object_ids.dtype == np.int64
    assert level.objects.ids.tolist() == sorted(IDS.tolist())
    assert level.object_count == len(IDS)
    for one in IDS:
        mine = level.read(object_ids=[one])
        assert rows_of(mine) == rows_of(points.take(points.object_ids == one))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u8", ">i8", ">u2"])
def test_object_ids_may_have_any_integer_dtype(dtype: str) -> None:
    ids = np.array([3, 0, 100, 3], dtype=dtype)
    place = memory()
    zv.write(place, cloud(np.arange(8.0).reshape(4, 2), object_ids=ids))
    assert read(place, object_ids=[3]).positions.tolist() == [[0.0, 1.0], [6.0, 7.0]]


def test_ids_of_one_run_need_no_table() -> None:
    place = memory()
    zv.write(place, cloud(np.ones((6, 2)), object_ids=np.arange(6) + 2**62))
    assert zv.open(place)[0].objects.ids.tolist() == (np.arange(6) + 2**62).tolist()


COUNT = len(IDS)
COLUMNS: dict[str, Any] = {
    **{
        dtype: np.arange(COUNT).astype(dtype)
        for dtype in ("i1", "u1", "i8", "u8", "f2", "f4", "f8", "c16", ">i4", ">f8")
    },
    "extremes": np.array([-(2**63), 2**63 - 1, 0, -1, 1, 2, 3]),
    "greatest": np.array([2**64 - 1, 0, 1, 2, 3, 4, 5], dtype="u8"),
    "bool": np.array([True, False, True, True, False, False, True]),
    "nan": np.array([np.nan, 1, np.inf, -np.inf, 0, -0.0, 2]),
    "when": np.array(["2020-01-01", "NaT", *["2021-05-05"] * 5], dtype="M8[s]"),
    "lag": np.array([1, 2, 3, 4, 5, 6, 7], dtype="m8[ns]"),
    "channels": np.arange(COUNT * 3.0).reshape(COUNT, 3),
    "square": np.arange(COUNT * 4).reshape(COUNT, 2, 2),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_object_attributes_come_back_exactly(name: str) -> None:
    got = written(object_attributes={name: COLUMNS[name]}).objects.attributes[name]
    expected = np.asarray(COLUMNS[name])
    assert got.dtype == expected.dtype.newbyteorder("=")
    assert_same_column(got, expected.astype(got.dtype))


@pytest.mark.parametrize("name", COLUMNS)
def test_group_attributes_come_back_exactly(name: str) -> None:
    groups = {number: [one] for number, one in enumerate(IDS)}
    got = written(groups=groups, group_attributes={name: COLUMNS[name]}).objects.group_attributes[name]
    assert_same_column(got, np.asarray(COLUMNS[name]).astype(got.dtype))


TEXTS = {
    "plain": ["b", "a", "ü", "a", "", "x" * 70, " "],
    "with missing": ["b", None, "ü", None, "z", "x" * 70, " "],
    "all missing": [None] * COUNT,
}


@pytest.mark.parametrize("of", ["object", "group"])
@pytest.mark.parametrize("kind", TEXTS)
def test_text_of_objects_and_groups_comes_back_with_missing_values(kind: str, of: str) -> None:
    groups = {number: [one] for number, one in enumerate(IDS)}
    column = {"t": np.array(TEXTS[kind], dtype=object)}
    table = written(groups=groups, **{f"{of}_attributes": column}).objects
    got = table.attributes["t"] if of == "object" else table.group_attributes["t"]
    assert np.asarray(got).tolist() == TEXTS[kind]


@pytest.mark.parametrize("of", ["object", "group"])
@pytest.mark.parametrize("dtype", ["i4", "u8"])
def test_integers_may_be_missing_where_a_masked_array_says_so(dtype: str, of: str) -> None:
    groups = {number: [one] for number, one in enumerate(IDS)}
    given = masked(np.arange(COUNT, dtype=dtype), 1, 4)
    table = written(groups=groups, **{f"{of}_attributes": {"n": given}}).objects
    got = (table.attributes if of == "object" else table.group_attributes)["n"]
    assert isinstance(got, np.ma.MaskedArray)
    assert np.ma.getmaskarray(got).tolist() == np.ma.getmaskarray(given).tolist()
    assert got.compressed().tolist() == given.compressed().tolist()


def test_a_column_by_id_is_the_same_as_one_in_ascending_order() -> None:
    by_id = {int(one): f"object {one}" for one in IDS}
    level = written(object_attributes={"t": by_id}, groups={0: [0], 2: [7]}, group_attributes={"n": {0: 5, 1: 6, 2: 7}})
    table = level.objects
    assert np.asarray(table.attributes["t"]).tolist() == [f"object {one}" for one in sorted(IDS.tolist())]
    assert column_values(table.group_attributes["n"]) == column_values(np.array([5, 6, 7]))


def test_objects_name_the_rows_of_their_attributes_in_any_order() -> None:
    points = cloud(np.ones((2, 2)), object_ids=[9, 4], objects=[9, 4, 6], object_attributes={"v": [90, 40, 60]})
    place = memory()
    report = zv.write(place, points)
    table = zv.open(place)[0].objects
    assert report.object_count == 3
    assert table.ids.tolist() == [4, 6, 9]
    assert np.asarray(table.attributes["v"]).tolist() == [40, 60, 90]
    assert read(place, object_ids=[6]).vertex_count == 0


def test_groups_may_have_holes_and_be_empty() -> None:
    level = written(groups={0: [7, -1], 3: [], 5: {0, 2**40}})
    groups = level.objects.groups
    assert {group: sorted(members.tolist()) for group, members in groups.items()} == {
        0: [-1, 7], 1: [], 2: [], 3: [], 4: [], 5: [0, 2**40],
    }  # fmt: skip
    assert level.group_count == 6
    assert level.read(group_ids=[3]).vertex_count == 0
    assert set(np.asarray(level.read(group_ids=[5]).object_ids).tolist()) == {0, 2**40}


def test_a_read_of_everything_can_be_written_again() -> None:
    level = written(
        attributes={"v": np.arange(len(OWNERS)), "t": ["a", "b", None] * 21},
        object_attributes={"n": masked(np.arange(COUNT), 0), "t": TEXTS["with missing"]},
        groups={1: [7, 0]},
        group_attributes={"w": [0.5, 1.5]},
    )
    place = memory()
    everything = level.read()
    zv.write(place, everything, layout=LAYOUT)
    again = read(place)
    assert same_rows(again, everything)
    assert again == everything


def test_a_read_of_a_part_leaves_the_tables_out() -> None:
    points = written(groups={1: [7, 0]}).read(object_ids=[7])
    assert points.objects is None
    assert not points.groups
