"""What a colour means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import Points
from zarr_vectors.view.colour import (
    MAX_CLASSES,
    PALETTE,
    Classes,
    Colour,
    Numbers,
    TrueColour,
    attributes_for,
    colour_of,
    robust_limits,
)

XY = (Axis("x", "meter"), Axis("y", "meter"))


def colour(values: Any, name: str = "a") -> Colour:
    return colour_of(Points(np.zeros((len(values), 2)), attributes={"a": values}), name, XY)


def test_text_is_classes() -> None:
    found = colour(["soma", "axon", None, "axon"])
    assert isinstance(found, Classes)
    assert (found.names, found.counts, found.other) == (("axon", "soma"), (2, 1), 0)
    assert found.codes.tolist() == [1, 0, -1, 0]


def test_booleans_are_classes() -> None:
    found = colour(np.array([True, False, True]))
    assert isinstance(found, Classes)
    assert found.names == ("false", "true")
    assert found.codes.tolist() == [1, 0, 1]


def test_integers_with_few_values_are_classes() -> None:
    found = colour(np.array([40000, 2, 2, 7], dtype=np.uint16))
    assert isinstance(found, Classes)
    assert found.names == ("2", "7", "40,000")
    assert found.codes.tolist() == [2, 0, 0, 1]


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "f8"])
def test_many_values_are_numbers(dtype: str) -> None:
    values = np.arange(100).astype(dtype)
    found = colour(values)
    assert isinstance(found, Numbers)
    assert found.values.dtype.kind == "f"
    assert found.values.tolist() == values.tolist()


def test_a_rare_value_after_the_sample_makes_numbers() -> None:
    values = np.zeros(300_000, dtype=np.int32)
    values[1:200:2] = np.arange(100)
    assert isinstance(colour(values), Numbers)


def test_the_rarest_of_many_classes_become_other() -> None:
    names = [f"class {number:02}" for number in range(20) for _ in range(number + 1)]
    found = colour(names)
    assert isinstance(found, Classes)
    assert len(found.names) == MAX_CLASSES <= len(PALETTE)
    assert found.names[:-1] == tuple(f"class {number:02}" for number in range(9, 20))
    assert found.names[-1] == "other (9 classes)"
    assert sum(found.counts) == len(names)
    assert np.bincount(found.codes).tolist() == list(found.counts)


def test_channels() -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = colour(values, "a[2]")
    assert isinstance(found, Numbers)
    assert found.values.tolist() == [2, 5, 8, 11]
    with pytest.raises(InputError, match=r"choose one of them, for example a\[0\]"):
        colour(values)
    with pytest.raises(InputError, match="channels 0 to 2"):
        colour(values, "a[3]")


@pytest.mark.parametrize(
    ("values", "rgb"),
    [
        (np.array([[255, 0, 10]], np.uint8), [255, 0, 10]),
        (np.array([[255, 0, 10, 99]], np.uint8), [255, 0, 10]),
        (np.array([[255, 0, 10]], np.uint16), [255, 0, 10]),
        (np.array([[65535, 0, 257]], np.uint16), [255, 0, 1]),
    ],
)
def test_true_colour_of_channels(values: Any, rgb: list[int]) -> None:
    found = colour(values)
    assert isinstance(found, TrueColour)
    assert found.rgb.tolist() == [rgb]


def test_true_colour_of_three_attributes() -> None:
    parts = {
        "red": np.array([65535], np.uint16),
        "green": np.array([0], np.uint16),
        "blue": np.array([32896], np.uint16),
    }
    found = colour_of(Points(np.zeros((1, 2)), attributes=parts), "rgb", XY)
    assert isinstance(found, TrueColour)
    assert found.rgb.tolist() == [[255, 0, 128]]


def test_axis() -> None:
    found = colour_of(Points(np.array([[1.0, 2.0]])), "y", XY)
    assert isinstance(found, Numbers)
    assert (found.values.tolist(), found.unit) == ([2.0], "meter")


def test_objects() -> None:
    few = colour_of(Points(np.zeros((3, 2)), object_ids=np.array([5, -1, 5])), "object_id", XY)
    assert isinstance(few, Classes)
    assert few.names == ("-1", "5")
    many = colour_of(Points(np.zeros((40, 2)), object_ids=np.arange(40)), "object_id", XY)
    assert isinstance(many, TrueColour)
    assert len(np.unique(many.rgb, axis=0)) == len(PALETTE)


def test_times_are_numbers() -> None:
    found = colour(np.array(["2024-01-01", "NaT", "2024-01-03"], dtype="M8[D]"))
    assert isinstance(found, Numbers)
    assert found.time == "M8[D]"
    assert np.diff(found.values[::2]).tolist() == [2]
    assert np.isnan(found.values[1])


def test_what_there_is_not() -> None:
    with pytest.raises(AttributeNotFoundError, match=r"nothing named 'b'.*choose one of a, x, y"):
        colour([1.5], "b")
    with pytest.raises(AttributeNotFoundError):
        colour([1.5], "rgb")
    with pytest.raises(InputError, match="complex"):
        colour(np.array([1j]))


def test_attributes_that_have_to_be_read() -> None:
    known = ["a", "normal", "red", "green", "blue"]
    wanted = {"a": ["a"], "normal[1]": ["normal"], "rgb": ["red", "green", "blue"], "x": [], "object_id": []}
    for name, needed in wanted.items():
        assert attributes_for(name, known, ["x"], has_objects=True) == needed
    with pytest.raises(AttributeNotFoundError):
        attributes_for("object_id", known, ["x"], has_objects=False)


def test_robust_limits() -> None:
    assert robust_limits(np.arange(101.0)) == (2.0, 98.0)
    assert robust_limits(np.array([np.nan, np.inf])) == (0.0, 1.0)
    assert robust_limits(np.array([])) == (0.0, 1.0)
    mostly = np.zeros(1000)
    mostly[0] = 5
    assert robust_limits(mostly) == (0.0, 5.0)
    low, high = robust_limits(np.array([1e12, 1e12]))
    assert low < 1e12 < high
