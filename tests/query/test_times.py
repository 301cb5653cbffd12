"""Conditions on times: compared exactly in every unit, against Python's own arithmetic."""

from __future__ import annotations

import operator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.conditions import OPERATORS
from tests.types.clouds import memory
from zarr_vectors.exceptions import InputError
from zarr_vectors.query.compare import ValueRanges

SECONDS: dict[str, Any] = {
    "W": 604800,
    "D": 86400,
    "h": 3600,
    "m": 60,
    "s": 1,
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
}
SECONDS |= {"ns": Fraction(1, 10**9)}
EPOCH = datetime.fromisoformat("1970-01-01")
TIMES = st.datetimes(EPOCH.replace(1900), EPOCH.replace(2200))


def seconds_of(value: datetime) -> Fraction:
    return Fraction((value - EPOCH) // timedelta(microseconds=1), 10**6)


@given(
    unit=st.sampled_from([*SECONDS, "25s", "Y", "M"]),
    order=st.sampled_from("<>"),
    op=st.sampled_from([*OPERATORS, "in"]),
    value=TIMES,
    data=st.data(),
)
def test_times_are_compared_exactly(unit: str, order: str, op: str, value: datetime, data: st.DataObject) -> None:
    stored = np.array(data.draw(st.lists(TIMES, min_size=1, max_size=9)), dtype="M8[us]").astype(f"{order}M8[{unit}]")
    stored[0] = np.datetime64(value).astype(f"M8[{unit}]")
    whole: list[datetime] = stored.astype("M8[us]").tolist()
    if data.draw(st.booleans()):
        value = whole[0]
    column, text = zv.col("when"), data.draw(st.sampled_from([value.isoformat(), value.isoformat(" ")]))
    if op == "in":
        condition, expected = column.isin([value, text]), [one == value for one in whole]
    else:
        condition = getattr(operator, OPERATORS[op].__name__)(column, data.draw(st.sampled_from([value, text])))
        expected = [OPERATORS[op](seconds_of(one), seconds_of(value)) for one in whole]
    assert condition.mask({"when": stored}).tolist() == expected
    stored[0] = "NaT"
    assert (condition | ~condition).mask({"when": stored}).tolist() == [False, *[True] * (len(whole) - 1)]


@given(
    unit=st.sampled_from([*SECONDS, "25s"]),
    other=st.sampled_from(list(SECONDS)),
    op=st.sampled_from(list(OPERATORS)),
    count=st.integers(-5000, 5000),
    numbers=st.lists(st.integers(-300, 300), min_size=1, max_size=9),
)
def test_spans_are_compared_exactly(unit: str, other: str, op: str, count: int, numbers: list[int]) -> None:
    stored = np.array(numbers).astype(f"m8[{unit}]")
    length = 25 if unit == "25s" else SECONDS[unit]
    expected = [OPERATORS[op](number * length, count * SECONDS[other]) for number in numbers]
    for value in (np.array(count).astype(f"m8[{other}]")[()], f"{count} {other}"):
        assert OPERATORS[op](zv.col("age"), value).mask({"age": stored}).tolist() == expected


def test_reads_by_time() -> None:
    when = np.array(["2024-05-01", "2024-05-31T12", "NaT", "2025-01-01"], dtype="M8[s]")
    place = memory()
    cloud = zv.Points(np.arange(8.0).reshape(4, 2), attributes={"when": when, "age": np.arange(4).astype("m8[h]")})
    zv.write(place, cloud, layout=zv.Layout(chunk_shape=2))
    level = zv.open(place)[0]
    asked: list[tuple[Any, list[int]]] = [
        ("when > '2024-05-01'", [2, 6]),
        ("when >= '2024' and when < '2025-01'", [0, 2]),
        ("when between '2024-05-31' and '2024-05-31T23:59:59.999'", [2]),
        ("when = '2024-05-31 12:00'", [2]),
        ("when is null", [4]),
        (zv.col("when") < date(2024, 5, 31), [0]),
        (zv.col("when") == datetime.fromisoformat("2024-05-31T12:00"), [2]),
        (zv.col("when").isin([np.datetime64("2025-01-01", "ns"), None]), [4, 6]),
        ({"when": [date(2024, 5, 1), None]}, [0, 4]),
        ({"when": when[:2]}, [0, 2]),
        ("age > '90 m'", [4, 6]),
        (zv.col("age") <= timedelta(hours=1), [0, 2]),
    ]
    for where, expected in asked:
        assert level.read(where=where).positions[:, 0].tolist() == expected, where
        assert where is dict or level.count(where=where) == len(expected)
    for condition in (zv.col("when") > date(2024, 5, 1), zv.col("age").isin([timedelta(hours=1)])):
        assert level.count(where=str(condition)) == level.count(where=condition) > 0
    for wrong, told in (
        ("when > 3", "2024-05-31"),
        ("when > 'yesterday'", "2024-05-31"),
        ("when > 'now'", "2024-05-31"),
        ("when > '2024-13-01'", "2024-05-31"),
        ("age > 90", "90 s"),
        ("age > '90 parsecs'", "90 s"),
        ("age > '1 M'", "always as long"),
    ):
        with pytest.raises(InputError, match=told):
            level.read(where=wrong)
    with pytest.raises(InputError, match="zone"):
        zv.col("when") > datetime(2024, 5, 1, tzinfo=UTC)  # noqa: B015
    with pytest.raises(InputError, match="missing value"):
        zv.col("when") > np.datetime64("NaT")  # noqa: B015


def test_times_beyond_a_unit_are_compared_all_the_same() -> None:
    stored = np.array([0, 2**62], dtype=np.int64).view("M8[ns]")
    assert (zv.col("t") < "123456-01-01").mask({"t": stored}).tolist() == [True, True]
    assert (zv.col("t") > "0001-01-01").mask({"t": stored}).tolist() == [True, True]
    assert (zv.col("t") == "123456-01-01").mask({"t": stored}).tolist() == [False, False]


def test_nothing_is_known_of_the_times_of_cells() -> None:
    one = np.ones(1)
    known = ValueRanges(
        rows=one.astype(int), nulls=0 * one.astype(int), low=one, high=one, known=one > 0, dtype=np.dtype("M8[s]")
    )
    for condition in (zv.col("t") > "2024", zv.col("t").isin(["2024"])):
        may, must = condition.prune({"t": known})
        assert (may.tolist(), must.tolist()) == ([True], [False])
