"""Fewer points, against brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors import Points
from zarr_vectors.pyramid.coarse import Policy, bin_numbers
from zarr_vectors.pyramid.farthest import TIGHT, farthest
from zarr_vectors.pyramid.points import MEAN, SUBSAMPLE, coarsen_points
from zarr_vectors.typing import AnyArray, FloatArray


def policy(*bins: float, method: str = MEAN, **options: Any) -> Policy:
    return Policy(bins=np.array(bins), method=method, **options)


def clouds(draw: Any, most: int = 40) -> Points:
    rows = draw(st.integers(1, most))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int32]))
    numbers = draw(st.lists(st.integers(-40, 40), min_size=2 * rows, max_size=2 * rows))
    positions = (np.array(numbers).reshape(rows, 2) / (4 if np.dtype(dtype).kind == "f" else 1)).astype(dtype)
    ids = draw(st.none() | st.lists(st.integers(-1, 2), min_size=rows, max_size=rows).map(np.array))
    return Points(positions, {"value": np.arange(rows, dtype=np.float64)}, ids)


def distances(value: Points, coarse: Points) -> FloatArray:
    """How far each point is from the nearest coarse one of its object."""
    apart = value.positions[:, None].astype(np.float64) - coarse.positions[None].astype(np.float64)
    lengths = np.sqrt((apart**2).sum(axis=2))
    if value.object_ids is not None and coarse.object_ids is not None:
        lengths[value.object_ids[:, None] != coarse.object_ids[None]] = np.inf
    least: FloatArray = lengths.min(axis=1)
    return least


@given(st.data())
def test_means_of_bins(data: st.DataObject) -> None:
    value = clouds(data.draw)
    bins = np.array([data.draw(st.sampled_from([1.0, 3.0, 7.5])), 4.0])
    weights = data.draw(
        st.none()
        | st.lists(st.integers(1, 9), min_size=len(value.positions), max_size=len(value.positions)).map(np.array)
    )
    coarse = coarsen_points(value, policy(*bins), weights)
    assert isinstance(coarse.value, Points)
    numbers = bin_numbers(value.positions, bins)
    ids = np.zeros(len(numbers), np.int64) if value.object_ids is None else value.object_ids
    keys = [(int(owner), *row) for owner, row in zip(ids, numbers.tolist(), strict=True)]
    amounts = np.ones(len(keys), np.int64) if weights is None else weights
    assert coarse.counts is not None
    for number, key in enumerate(sorted(set(keys))):
        rows = [row for row, other in enumerate(keys) if other == key]
        assert (coarse.parents[rows] == number).all()
        assert coarse.counts[number] == amounts[rows].sum()
        mean = np.average(value.positions[rows].astype(np.float64), axis=0, weights=amounts[rows])
        slack = 0.51 if value.positions.dtype.kind == "i" else 1e-5
        np.testing.assert_allclose(coarse.value.positions[number], mean, atol=slack)
        height = np.average(np.arange(len(keys))[rows], weights=amounts[rows])
        np.testing.assert_allclose(coarse.value.attributes["value"][number], height)
        assert bin_numbers(coarse.value.positions[[number]], bins).tolist() == [list(key[1:])]
    assert coarse.value.positions.dtype == value.positions.dtype


@given(st.data())
def test_the_error_is_a_bound_and_a_tight_one(data: st.DataObject) -> None:
    value = clouds(data.draw)
    coarse = coarsen_points(value, policy(3.0, 4.0, method=data.draw(st.sampled_from([MEAN, SUBSAMPLE]))))
    assert isinstance(coarse.value, Points)
    true = float(distances(value, coarse.value).max())
    assert true <= coarse.error + 1e-12
    assert coarse.error <= 3 * true + 1e-12


@given(st.data())
def test_a_subsample_nests_and_does_not_depend_on_the_order(data: st.DataObject) -> None:
    value = clouds(data.draw)
    order = np.array(data.draw(st.permutations(range(value.vertex_count))))
    once = coarsen_points(value, policy(2.0, 2.0, method=SUBSAMPLE, seed=3)).value
    again = coarsen_points(value.take(order), policy(2.0, 2.0, method=SUBSAMPLE, seed=3)).value
    assert _rows(once) == _rows(again)
    assert _rows(once) <= _rows(value)
    assert isinstance(once, Points)
    twice = coarsen_points(once, policy(4.0, 4.0, method=SUBSAMPLE, seed=3)).value
    # What one large step keeps is what two small ones keep, as bins of the one are whole bins of the other.
    assert _rows(twice) == _rows(coarsen_points(value, policy(4.0, 4.0, method=SUBSAMPLE, seed=3)).value)


def _rows(value: Any) -> set[tuple[Any, ...]]:
    ids = np.zeros(value.vertex_count) if value.object_ids is None else value.object_ids
    return {(owner, *row) for owner, row in zip(ids.tolist(), value.positions.tolist(), strict=True)}


def test_other_seeds_draw_other_points() -> None:
    value = Points(np.random.default_rng(0).uniform(0, 10, (500, 3)))
    one, two = (coarsen_points(value, policy(2, 2, 2, method=SUBSAMPLE, seed=seed)).value for seed in (1, 2))
    assert _rows(one) != _rows(two)


@pytest.mark.parametrize("far", [0.0, 1e6, -1e6])
def test_far_from_the_origin(far: float) -> None:
    positions = np.array([[far, 0], [far + 1, 0], [far + 1, 1]], np.float64)
    coarse = coarsen_points(Points(positions), policy(4.0, 4.0))
    np.testing.assert_allclose(coarse.value.positions, [[far + 2 / 3, 1 / 3]], rtol=0, atol=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 9)), min_size=1, max_size=300))
def test_the_farthest_of_many(pairs: list[tuple[float, float]]) -> None:
    bounds = np.array([one + two for one, two in pairs])
    exact = np.array([one for one, _ in pairs])
    asked: list[AnyArray] = []

    def distances(rows: AnyArray) -> FloatArray:
        asked.append(rows)
        return exact[rows]

    found = farthest(bounds, distances)
    assert exact.max() <= found <= max(TIGHT * exact.max(), 0.0)
    looked = [row for rows in asked for row in rows.tolist()]
    assert len(set(looked)) == len(looked)
