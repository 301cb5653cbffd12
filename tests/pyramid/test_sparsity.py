"""Which objects are kept: how many, that they nest, and that only ids and measures decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical
from zarr_vectors.pyramid.sparsity import STRATEGIES, Visits, choose_objects
from zarr_vectors.typing import BoolArray, IntArray


def csr(lists: list[list[int]]) -> Visits:
    flat = np.array([cell for one in lists for cell in one], dtype=np.int64)
    return Visits(np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64), flat)


def covered(lists: list[list[int]], kept: BoolArray) -> set[int]:
    return {cell for one, is_kept in zip(lists, kept, strict=True) if is_kept for cell in one}


@given(st.data(), st.sampled_from(STRATEGIES), st.booleans())
def test_how_many_nested_and_in_any_order(data: st.DataObject, strategy: str, smallest: bool) -> None:
    ids = np.array(data.draw(st.lists(st.integers(0, 2**62), unique=True, max_size=20)), dtype=np.int64)
    count, seed = len(ids), data.draw(st.integers(-5, 2**40))
    order = np.array(data.draw(st.permutations(range(count))), dtype=np.int64)
    lists = data.draw(st.lists(st.lists(st.integers(0, 6), unique=True), min_size=count, max_size=count))
    number = st.integers(0, 3).map(float) | st.just(float("nan"))
    values = np.array(data.draw(st.lists(number, min_size=count, max_size=count)), dtype=np.float64)
    measures: Any = csr(lists) if strategy == "spatial_coverage" else values
    moved: Any = csr([lists[at] for at in order]) if strategy == "spatial_coverage" else values[order]
    last = np.ones(count, dtype=np.bool_)
    for factor in (1, 1.5, 2, 4, 1e9):
        kept = choose_objects(ids, factor, strategy, seed, measures, smallest=smallest)
        assert kept.sum() == (max(1, round(count / factor)) if count else 0)
        assert not (kept & ~last).any()
        again = choose_objects(ids[order], factor, strategy, seed, moved, smallest=smallest)
        assert again.tolist() == kept[order].tolist()
        last = kept


@given(st.lists(st.lists(st.integers(0, 8), unique=True), min_size=1, max_size=15))
def test_those_that_are_first_somewhere_cover_all(lists: list[list[int]]) -> None:
    ids = np.arange(len(lists))
    whole = {cell for one in lists for cell in one}
    # No more objects are the first of some cell than there are cells.
    enough = max(1, len(whole))
    if enough < len(lists):
        kept = choose_objects(ids, len(lists) / enough, "spatial_coverage", measures=csr(lists))
        assert covered(lists, kept) == whole


def test_coverage_is_more_than_by_chance() -> None:
    rng = np.random.default_rng(0)
    # Most objects are in one bundle of cells, few are anywhere else.
    dense = [np.unique(rng.integers(0, 20, 10)).tolist() for _ in range(300)]
    apart = [[20 + at, 60 + at] for at in range(30)]
    lists = [*dense, *apart]
    ids = np.arange(len(lists))
    by_space = choose_objects(ids, 8, "spatial_coverage", measures=csr(lists))
    by_chance = choose_objects(ids, 8, "random")
    assert covered(lists, by_space) == {cell for one in lists for cell in one}
    assert len(covered(lists, by_chance)) < 40


def test_the_best_rank_of_an_object_counts() -> None:
    # The second object is the first in cell 9, which comes before cells in which it is not.
    lists = [[0, 1, 10], [9, 10], [0, 1], [1]]
    kept = choose_objects(np.arange(4), 2, "spatial_coverage", measures=csr(lists))
    assert kept.tolist() == [True, True, False, False]


def test_cells_may_have_several_axes() -> None:
    flat = csr([[0, 1], [1], [2], [0]])
    grid = Visits(flat.offsets, np.stack([flat.cells, -flat.cells], axis=1))
    one, two = (choose_objects(np.arange(4), 2, "spatial_coverage", measures=visits) for visits in (flat, grid))
    assert one.tolist() == two.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("values", "largest", "smallest"),
    [
        (np.array([3.0, np.nan, 5, 4, np.inf, -np.inf]), [2, 4, 3], [5, 0, 3]),
        (np.array([2**63 + 1, 2**63, 2**63 + 3, 2**63 + 2, 5, 0], np.uint64), [2, 3, 0], [5, 4, 1]),
        (np.array([-(2**63), 2**63 - 1, 0, 1, 2, 3], np.int64), [1, 4, 5], [0, 2, 3]),
        (np.array(["NaT", "2001", "2002", "2003", "NaT", "NaT"], "M8[Y]"), [1, 2, 3], [1, 2, 3]),
        (np.array([True, False, True, False, True, False]), [0, 2, 4], [1, 3, 5]),
    ],
)
def test_by_measure(values: Any, largest: list[int], smallest: list[int]) -> None:
    ids = np.arange(6) * 10
    assert np.flatnonzero(choose_objects(ids, 2, "attribute", measures=values)).tolist() == sorted(largest)
    kept = choose_objects(ids, 2, "length", measures=values, smallest=True)
    assert np.flatnonzero(kept).tolist() == sorted(smallest)


def ids_of(count: int) -> IntArray:
    return np.arange(count, dtype=np.int64) * 3


def test_random_depends_on_the_seed_and_the_id_alone() -> None:
    ids = ids_of(1000)
    one, two = (choose_objects(ids, 4, "random", seed) for seed in (1, 2))
    assert one.sum() == two.sum() == 250
    assert 20 < (one & two).sum() < 110
    # Equal measures are told apart in the same way.
    assert (choose_objects(ids, 4, "length", 1, np.zeros(1000)) == one).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_objects(strategy: str) -> None:
    measures: Any = csr([]) if strategy == "spatial_coverage" else np.zeros(0)
    assert choose_objects(ids_of(0), 2, strategy, 0, measures).tolist() == []


@pytest.mark.parametrize("factor", [0, 0.5, -1, float("nan"), float("inf")])
def test_a_bad_factor_is_refused(factor: float) -> None:
    with pytest.raises(InputError, match="factor"):
        choose_objects(ids_of(2), factor, "random")


def test_an_unknown_strategy_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(InputError, match="random, length, spatial_coverage, attribute"):
        choose_objects(ids_of(0), 1, "longest")


@pytest.mark.parametrize(
    ("strategy", "measures"),
    [
        ("length", None),
        ("length", csr([[1], [2]])),
        ("length", np.zeros(3)),
        ("attribute", np.zeros((2, 2))),
        ("attribute", Categorical.from_values(["a", "b"])),
        ("attribute", np.zeros(2, np.complex64)),
        ("spatial_coverage", None),
        ("spatial_coverage", np.zeros(2)),
        ("spatial_coverage", csr([[1]])),
        ("spatial_coverage", Visits(np.array([0, 1, 3]), np.array([1, 2]))),
    ],
)
def test_measures_that_do_not_fit_are_refused(strategy: str, measures: Any) -> None:
    with pytest.raises(InputError):
        choose_objects(ids_of(2), 2, strategy, 0, measures)
