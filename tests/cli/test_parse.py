"""The text of options becomes values, or a ``ValueError`` that says how to write it."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.cli.parse import (
    parse_box,
    parse_compressor,
    parse_fill,
    parse_ids,
    parse_names,
    parse_shape,
    parse_shard_shape,
    parse_size,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("0,0,10,10", ([0.0, 0.0], [10.0, 10.0])),
        ("-1.5,2e3,-1,2e4", ([-1.5, 2000.0], [-1.0, 20000.0])),
        (" 0 , 1 ", ([0.0], [1.0])),
        ("0,,10,", ([0.0, None], [10.0, None])),
        ("-inf,0,inf,1", ([None, 0.0], [None, 1.0])),
        ("x=0:10", {"x": (0.0, 10.0)}),
        ("x=0:10,y=:5,t=3:", {"x": (0.0, 10.0), "y": (None, 5.0), "t": (3.0, None)}),
        ("z=7", {"z": (7.0, 7.0)}),
        ("x = -5 : -1", {"x": (-5.0, -1.0)}),
        ("x=:", {"x": (None, None)}),
    ],
)
def test_box(text: str, box: Any) -> None:
    assert parse_box(text) == box


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "two corners"),
        ("1,2,3", "3 numbers"),
        ("0,0,0,0,0,1,1,1,1,1", "10 numbers"),
        ("a,b", "'a' is no number"),
        ("0,nan", "nan"),
        ("5,0,1,1", "axis 0 runs from 5 down to 1"),
        ("inf,5", "nothing inside"),
        ("x=5:1", "axis x runs from 5 down to 1"),
        ("x=1:2,x=3:4", "more than once"),
        ("x:1,2", "axis=from:to"),
        ("x=1:2:3", "axis=from:to"),
        ("=1:2", "axis=from:to"),
        ("x=", "axis=from:to"),
        ("x=1:2,", "empty entry"),
        ("x=one:2", "'one' is no number"),
    ],
)
def test_box_that_is_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_box(text)


@given(st.lists(st.tuples(FINITE, FINITE).map(sorted), min_size=1, max_size=4))
def test_box_gives_back_every_number(sides: list[list[float]]) -> None:
    lows, highs = (list(side) for side in zip(*sides, strict=True))
    assert parse_box(",".join(map(repr, lows + highs))) == (lows, highs)
    named = ",".join(f"a{axis}={low!r}:{high!r}" for axis, (low, high) in enumerate(sides))
    assert parse_box(named) == {f"a{axis}": (low, high) for axis, (low, high) in enumerate(sides)}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("7", [7]),
        ("1,2,5-9", [1, 2, 5, 6, 7, 8, 9]),
        ("5..7", [5, 6, 7]),
        ("-3--1", [-3, -2, -1]),
        ("-2-1", [-2, -1, 0, 1]),
        ("3,1,3,0-1", [3, 1, 0]),
        (f"{2**63 - 1}", [2**63 - 1]),
        (f"{2**63 - 2}-{2**63 - 1}", [2**63 - 2, 2**63 - 1]),
        (f"{-(2**63)}", [-(2**63)]),
    ],
)
def test_ids(text: str, ids: list[int]) -> None:
    parsed = parse_ids(text)
    assert parsed.dtype == "int64"
    assert parsed.tolist() == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty entry"),
        ("1,,2", "empty entry"),
        ("one", "'one' is no id"),
        ("1.5", "is no id"),
        ("9-5", "runs backwards"),
        (f"{2**63}", "64 bits"),
        (f"{-(2**63) - 1}", "64 bits"),
        ("0-99999999999", "more than 67,108,864 ids"),
        ("0-67108863,5", "more than"),
    ],
)
def test_ids_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_ids(text)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True))
def test_ids_come_back_in_their_order(ids: list[int]) -> None:
    assert parse_ids(",".join(map(str, ids))).tolist() == ids


@pytest.mark.parametrize(
    ("text", "names"), [("a", ["a"]), ("a, b c ,d", ["a", "b c", "d"]), ("", []), ("  ", []), ("x/y", ["x/y"])]
)
def test_names(text: str, names: list[str]) -> None:
    assert parse_names(text) == names


@pytest.mark.parametrize(("text", "message"), [("a,,b", "empty entry"), ("a,b,a", "a is named more than once")])
def test_names_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_names(text)


@pytest.mark.parametrize(("text", "shape"), [("10", 10.0), ("1,2.5,3e2", (1.0, 2.5, 300.0))])
def test_shape(text: str, shape: Any) -> None:
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "0", "-1", "inf", "nan", "1,,2", "1,2,3,4,5", "ten"])
def test_shape_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_shape(text)


@pytest.mark.parametrize(
    ("text", "shape"), [("auto", "auto"), ("AUTO", "auto"), ("none", None), ("4", 4), ("4, 4,2", (4, 4, 2))]
)
def test_shard_shape(text: str, shape: Any) -> None:
    assert parse_shard_shape(text) == shape


@pytest.mark.parametrize("text", ["", "0", "-4", "1.5", "4,", "some", "1,1,1,1,1", "²"])
def test_shard_shape_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_shard_shape(text)


@pytest.mark.parametrize("text", ["zstd", "blosc", "none", "NONE"])
def test_compressor_by_name(text: str) -> None:
    assert parse_compressor(text) == text.lower()


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("zstd:9", {"name": "zstd", "configuration": {"level": 9, "checksum": True}}),
        ("gzip", {"name": "gzip", "configuration": {"level": 6}}),
        ("gzip:1", {"name": "gzip", "configuration": {"level": 1}}),
    ],
)
def test_compressor_with_a_level(text: str, codec: Any) -> None:
    assert parse_compressor(text) == [codec]


@pytest.mark.parametrize("text", ["", "lz4", "zstd:", "zstd:0", "zstd:23", "gzip:-1", "blosc:5", "none:1", "zstd:x"])
def test_compressor_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is none of zstd"):
        parse_compressor(text)


def test_fill() -> None:
    values = parse_fill(["a=1", "b=2.5", "c=TRUE", "d=text", "e=", "f=k=v", " g =-3", "h=nan"])
    assert math.isnan(float(values.pop("h")))
    assert values == {"a": 1, "b": 2.5, "c": True, "d": "text", "e": "", "f": "k=v", "g": -3}
    assert [type(value) for value in values.values()] == [int, float, bool, str, str, str, int]
    assert parse_fill([]) == {}


@pytest.mark.parametrize(
    ("entries", "message"),
    [(["a"], "name=value"), (["=1"], "name=value"), (["a=1", "a=2"], "a is given more than once")],
)
def test_fill_that_is_none(entries: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_fill(entries)


@pytest.mark.parametrize(("text", "size"), [("8x6", (8.0, 6.0)), ("10.5 X 4", (10.5, 4.0)), ("3,4", (3.0, 4.0))])
def test_size(text: str, size: tuple[float, float]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "8", "8x", "8x6x4", "0x6", "8x1000", "axb", "nanx1"])
def test_size_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_size(text)


@given(st.text(max_size=20))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (parse_box, parse_ids, parse_names, parse_shape, parse_shard_shape, parse_size):
        with suppress(ValueError):
            parse(text)
