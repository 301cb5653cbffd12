"""Many values into one, against a plain loop over clusters."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical
from zarr_vectors.pyramid.aggregate import aggregate, aggregate_all
from zarr_vectors.pyramid.coarse import bin_numbers, clusters_of, hashes


def by_hand(values: list[float], weights: list[int], how: str) -> float:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value == value]
    if not known:
        return float("nan")
    if how == "mean":
        return sum(value * weight for value, weight in known) / sum(weight for _, weight in known)
    if how == "mode":
        count: Counter[float] = Counter()
        for value, weight in known:
            count[value] += weight
        return min(count, key=lambda value: (-count[value], value))
    plain = [value for value, _ in known]
    return float(min(plain) if how == "min" else max(plain) if how == "max" else sum(plain))


@given(st.data())
def test_against_a_loop(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 20))
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.int16, np.uint8]))
    value = st.integers(0, 4) | st.just(float("nan")) if np.dtype(dtype).kind == "f" else st.integers(0, 4)
    values = np.array(data.draw(st.lists(value, min_size=rows, max_size=rows)), dtype=dtype)
    keys = np.array(data.draw(st.lists(st.integers(-2, 2), min_size=rows, max_size=rows)), dtype=np.int64)
    weights = np.array(data.draw(st.lists(st.integers(1, 5), min_size=rows, max_size=rows)), dtype=np.int64)
    clusters = clusters_of(keys)
    for how in ("mean", "min", "max", "sum", "mode"):
        got = aggregate(values, clusters, how, weights)
        wanted = [by_hand(values[keys == key].tolist(), weights[keys == key].tolist(), how) for key in np.unique(keys)]
        np.testing.assert_allclose(np.asarray(got, dtype=np.float64), wanted, rtol=1e-6)
        two = aggregate(np.stack([values, values], axis=1), clusters, how, weights)
        assert np.array_equal(np.asarray(two)[:, 1], got, equal_nan=np.asarray(got).dtype.kind == "f")


def test_types_are_kept() -> None:
    clusters = clusters_of(np.array([0, 0, 1]))
    columns: dict[str, Any] = {
        "f": np.zeros(3, np.float32),
        "i": np.zeros(3, np.int8),
        "b": np.array([True, True, False]),
        "t": np.array([5, 7, "NaT"], "M8[s]"),
        "c": Categorical(np.array([0, -1, -1], np.int8), ("axon",)),
        "rgb": np.zeros((3, 3), np.uint8),
    }
    done = aggregate_all(columns, clusters, {"t": "max"}, None, np.zeros((3, 1)))
    assert {name: done[name].dtype for name in "fibt"} == {name: columns[name].dtype for name in "fibt"}
    assert np.asarray(done["t"])[0] == columns["t"][1]
    assert np.asarray(done["c"]).tolist() == ["axon", None]
    assert done["rgb"].shape == (2, 3)


def test_the_first_is_told_by_place_not_by_row() -> None:
    clusters = clusters_of(np.array([0, 0, 1]))
    places = np.array([[3.0, 1.0], [3.0, 0.0], [0.0, 0.0]])
    assert np.asarray(aggregate(np.array([10, 11, 12]), clusters, "first", None, places)).tolist() == [11, 12]


@pytest.mark.parametrize(
    ("column", "how"),
    [
        (np.zeros(1), "median"),
        (Categorical(np.array([0]), ("a",)), "mean"),
        (np.zeros(1, np.complex64), "max"),
        (np.zeros(1, "M8[s]"), "mean"),
    ],
)
def test_what_means_nothing_is_refused(column: Any, how: str) -> None:
    with pytest.raises(InputError):
        aggregate(column, clusters_of(np.zeros(1, np.int64)), how)


def test_keys_whose_ranges_do_not_fit_into_one() -> None:
    far = np.array([[2**62, -(2**62)], [-(2**62), 2**62], [2**62, -(2**62)]])
    assert clusters_of(far).labels.tolist() == [1, 0, 1]


def test_hashes_do_not_depend_on_the_row() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3))
    order = np.random.default_rng(1).permutation(100)
    assert (hashes(3, rows)[order] == hashes(3, rows[order])).all()
    assert len(np.unique(hashes(3, rows))) == 100
    assert (hashes(3, rows) != hashes(4, rows)).any()
    assert hashes(1, np.array([0.0])) == hashes(1, np.array([-0.0]))


def test_bins_begin_at_multiples() -> None:
    assert bin_numbers(np.array([[-1, 0, 9]], np.int8), np.array([2.0, 2.0, 2.0])).tolist() == [[-1, 0, 4]]
