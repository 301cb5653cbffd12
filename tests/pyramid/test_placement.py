"""Places of merged vertices, against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.pyramid.coarse import Clusters, bin_numbers, clusters_of
from zarr_vectors.pyramid.placement import cluster_means, place
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

DTYPES = ["f2", "f4", "f8", "i1", "u1", "i4", "u8", "i8"]


def binned(positions: AnyArray, bins: FloatArray) -> tuple[Clusters, IntArray]:
    numbers = bin_numbers(positions, bins)
    clusters = clusters_of(numbers)
    return clusters, numbers[clusters.order[clusters.starts]]


@given(st.data())
def test_means_against_fractions(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    rows = data.draw(st.integers(0, 12))
    far = data.draw(st.sampled_from([0, 40, 10**6 if dtype.itemsize >= 4 else 60]))
    sign = 1 if dtype.kind == "u" else data.draw(st.sampled_from([1, -1]))
    least = far if sign > 0 else -far - 20
    values = st.integers(0, 20) if dtype.kind in "iu" else st.floats(0, 20, width=16)
    values = values.map(lambda value: value + least)
    drawn = data.draw(st.lists(st.tuples(values, values), min_size=rows, max_size=rows))
    positions = np.array(drawn, dtype=dtype).reshape(rows, 2)
    bins = np.array(data.draw(st.sampled_from([[0.1, 3.0], [2.5, 7.0], [1 / 3, 64.0], [5.0, 0.7]])))
    weights = np.array(data.draw(st.lists(st.integers(1, 5), min_size=rows, max_size=rows)), dtype=np.int64)
    clusters, numbers = binned(positions, bins)
    means = cluster_means(positions, clusters, weights, bins, numbers)
    assert means.dtype == dtype
    assert np.array_equal(bin_numbers(means, bins), numbers)
    for cluster, mean in enumerate(means):
        members = clusters.labels == cluster
        total = sum(int(weight) for weight in weights[members])
        for axis in range(2):
            rowed = zip(positions[members, axis].tolist(), weights[members].tolist(), strict=True)
            exact = sum(Fraction(value) * weight for value, weight in rowed) / total
            step = Fraction(1, 2) if dtype.kind in "iu" else Fraction(float(np.spacing(np.abs(mean[axis]))))
            assert abs(Fraction(mean[axis].item()) - exact) <= step


def test_large_coordinates_lose_nothing() -> None:
    far = 2**62
    whole = np.array([[far + 1], [far + 5], [far + 6]], dtype=np.uint64)
    bins = np.array([2.0**20])
    clusters, numbers = binned(whole, bins)
    assert cluster_means(whole, clusters, None, bins, numbers).tolist() == [[far + 4]]
    floats = np.array([[1e9 + 0.25], [1e9 + 0.75]])
    clusters, numbers = binned(floats, bins)
    assert cluster_means(floats, clusters, None, bins, numbers).tolist() == [[1e9 + 0.5]]


def test_halves_do_not_depend_on_the_order_of_rows() -> None:
    for rows in ([[0], [1]], [[1], [0]], [[2], [1]], [[1], [2]]):
        positions = np.array(rows, dtype=np.int16)
        clusters, numbers = binned(positions, np.array([8.0]))
        assert cluster_means(positions, clusters, None, np.array([8.0]), numbers).tolist() == [[max(rows)[0]]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0.1, 0.7, 3.0, 2.5, 100.0])
def test_what_is_shifted_out_of_a_bin_stays_inside_its_open_face(dtype: str, size: float) -> None:
    whole = np.dtype(dtype).kind in "iu"
    positions = np.arange(0, 100, 7, dtype=dtype)[:, None] if whole else (np.arange(40) * 0.37).astype(dtype)[:, None]
    bins = np.array([size])
    clusters, numbers = binned(positions, bins)
    for shift in (-1e3, -size, size, 1e3, 1e30 if not whole else 1e6):
        places = place(positions, clusters, np.full((len(clusters), 1), shift), bins, numbers)
        assert np.array_equal(bin_numbers(places, bins), numbers)
        # As far as the bin goes: the next value of the dtype lies outside, or there is none.
        info = np.iinfo(dtype) if whole else np.finfo(dtype)
        step = np.sign(shift) * (1 if whole else np.maximum(1e-9, 4 * np.spacing(places).astype(np.float64)))
        beyond = places.astype(np.float64) + step
        ends = (beyond > float(info.max)) | (beyond < float(info.min))
        assert (ends | (bin_numbers(beyond, bins) != numbers)).all()


def test_nothing() -> None:
    none = np.zeros((0, 3), np.float32)
    clusters, numbers = binned(none, np.ones(3))
    assert cluster_means(none, clusters, np.zeros(0, np.int64), np.ones(3), numbers).shape == (0, 3)
