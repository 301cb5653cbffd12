"""Many values into one: how attributes come to a coarser level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, take_column
from zarr_vectors.pyramid.coarse import Clusters
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["AGGREGATIONS", "aggregate", "aggregate_all", "check_aggregation", "check_complete", "default_aggregation"]

AGGREGATIONS = ("mean", "min", "max", "sum", "first", "mode")
_OF_CATEGORIES = ("first", "mode")


def default_aggregation(column: Column) -> str:
    """The mean of floats, and what is most frequent of anything else.

    Example:
        >>> default_aggregation(np.zeros(1, np.float32)), default_aggregation(np.zeros(1, np.uint8))
        ('mean', 'mode')
    """
    return "mean" if not isinstance(column, Categorical) and column.dtype.kind in "fc" else "mode"


def check_aggregation(name: str, how: str, column: Column | None = None) -> None:
    """Refuse a way that is not known, or that means nothing for a column.

    Raises:
        InputError: As said.
    """
    if how not in AGGREGATIONS:
        raise InputError(
            f"the aggregation of {name!r} is not known", got=repr(how), expected=f"one of {', '.join(AGGREGATIONS)}"
        )
    if isinstance(column, Categorical) and how not in _OF_CATEGORIES:
        raise InputError(
            f"{name!r} holds categories, of which there is no {how}", expected=f"one of {', '.join(_OF_CATEGORIES)}"
        )
    if column is not None and how in ("min", "max") and column.dtype.kind == "c":
        raise InputError(f"{name!r} holds complex numbers, of which there is no {how}")
    if column is not None and how in ("mean", "sum") and column.dtype.kind in "mM":
        raise InputError(f"{name!r} holds times, of which there is no {how}", hint="use min, max, first or mode")
    if column is not None:
        check_complete(name, column)


def check_complete(name: str, column: Column) -> None:
    """Refuse numbers of which some are missing: what comes of them could not say so.

    Raises:
        InputError: As said.
    """
    if np.ma.is_masked(column):
        raise InputError(
            f"{name!r} lacks values that its type, {column.dtype}, cannot mark as missing",
            hint="remove the attribute, give the values, or store it as floats",
        )


def aggregate_all(
    columns: Mapping[str, Column],
    clusters: Clusters,
    how: Mapping[str, str],
    weights: IntArray | None,
    places: AnyArray,
) -> dict[str, Column]:
    """All attributes of clusters; the arguments are those of ``aggregate``."""
    for name, column in columns.items():
        check_aggregation(name, how.get(name) or default_aggregation(column), column)
    return {
        name: aggregate(column, clusters, how.get(name) or default_aggregation(column), weights, places)
        for name, column in columns.items()
    }


def aggregate(
    column: Column, clusters: Clusters, how: str, weights: IntArray | None = None, places: AnyArray | None = None
) -> Column:
    """One value for each cluster.

    NaN and missing categories count only where a cluster has nothing else.

    Args:
        column: A value for each row, or several in channels, which are aggregated each for itself.
        clusters: Which rows become one.
        how: One of ``AGGREGATIONS``. The mean of integers is float64, their sum int64 or uint64. Of values that are
            as frequent as each other ``"mode"`` takes the least.
        weights: ``(N,)`` what each row counts in ``"mean"`` and ``"mode"``; 1 where None.
        places: ``(N, K)`` numbers that tell which row is ``"first"``: the one with the least, column by column. By
            default the first in the order of rows.

    Example:
        >>> from zarr_vectors.pyramid.coarse import clusters_of
        >>> two = clusters_of(np.array([0, 0, 0, 1]))
        >>> aggregate(np.array([1.0, 2.0, 6.0, 5.0]), two, "mean").tolist()
        [3.0, 5.0]
        >>> aggregate(np.array([4, 2, 4, 9]), two, "mode").tolist()
        [4, 9]
    """
    check_aggregation("column", how, column)
    if how == "first":
        return take_column(column, _first_rows(clusters, places))
    if isinstance(column, Categorical):
        codes = column.codes
        seen = _mode(codes, clusters, weights, codes >= 0)
        return Categorical(seen, column.categories, column.ordered)
    flat = np.asarray(column)
    if flat.ndim == 1:
        return _plain(flat, clusters, how, weights)
    channels = flat.reshape(len(flat), math.prod(flat.shape[1:]))
    done = [_plain(channels[:, at], clusters, how, weights) for at in range(channels.shape[1])]
    return np.stack(done, axis=1).reshape(len(clusters), *flat.shape[1:])


def _first_rows(clusters: Clusters, places: AnyArray | None) -> IntArray:
    if places is None or not len(clusters):
        return clusters.order[clusters.starts]
    keys = [places[:, at] for at in range(places.shape[1])][::-1]
    order = np.lexsort([*keys, clusters.labels])
    return order[clusters.starts]


def _plain(values: AnyArray, clusters: Clusters, how: str, weights: IntArray | None) -> AnyArray:
    known = _known(values)
    if how == "mode":
        return _mode(values, clusters, weights, known)
    return _REDUCERS[how](values, clusters, weights, known)


def _known(values: AnyArray) -> AnyArray | None:
    """Which values are there; None where all are."""
    if values.dtype.kind not in "fcmM":
        return None
    known = ~(np.isnat(values) if values.dtype.kind in "mM" else np.isnan(values))
    return None if known.all() else known


def _mean(values: AnyArray, clusters: Clusters, weights: IntArray | None, known: AnyArray | None) -> AnyArray:
    wide = np.result_type(values.dtype, np.float64)
    kept = values.dtype if values.dtype.kind in "fc" else wide
    if not len(clusters):
        return np.zeros(0, dtype=kept)
    amount = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    if known is not None:
        amount = np.where(known, amount, 0.0)
        values = np.where(known, values, values.dtype.type(0))
    # Summed as differences from the first member, so that large values lose nothing next to small differences.
    base = values[clusters.order[clusters.starts]].astype(wide)
    differences = (values.astype(wide) - base[clusters.labels]) * amount
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        total = np.add.reduceat(differences[clusters.order], clusters.starts)
        whole = np.add.reduceat(amount[clusters.order], clusters.starts)
        mean: AnyArray = (base + total / whole).astype(kept)
    return mean


def _sum(values: AnyArray, clusters: Clusters, weights: IntArray | None, known: AnyArray | None) -> AnyArray:  # noqa: ARG001 (as all reducers)
    kind = values.dtype.kind
    wide = np.result_type(values.dtype, np.float64) if kind in "fc" else np.dtype("u8" if kind == "u" else "i8")
    kept = values.dtype if kind in "fc" else wide
    if not len(clusters):
        return np.zeros(0, dtype=kept)
    whole = values.astype(wide)
    if known is not None:
        whole = np.where(known, whole, 0)
    with np.errstate(over="ignore"):
        total: AnyArray = np.add.reduceat(whole[clusters.order], clusters.starts).astype(kept)
    if known is not None:
        total[~np.logical_or.reduceat(known[clusters.order], clusters.starts)] = np.nan
    return total


def _extreme(pick: np.ufunc) -> Callable[[AnyArray, Clusters, IntArray | None, AnyArray | None], AnyArray]:
    def reduce(values: AnyArray, clusters: Clusters, weights: IntArray | None, known: AnyArray | None) -> AnyArray:  # noqa: ARG001 (as all reducers)
        if not len(clusters):
            return values[:0]
        found: AnyArray = pick.reduceat(values[clusters.order], clusters.starts)
        return found

    return reduce


_REDUCERS = {"mean": _mean, "sum": _sum, "min": _extreme(np.fmin), "max": _extreme(np.fmax)}


def _mode(values: AnyArray, clusters: Clusters, weights: IntArray | None, known: AnyArray | None) -> AnyArray:
    """The most frequent value; a value that is not known counts nothing."""
    if not len(clusters):
        return values[:0]
    order = _by_cluster_and_value(values, clusters)
    ordered, labels = values[order], clusters.labels[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (labels[1:] != labels[:-1]) | (ordered[1:] != ordered[:-1])
    runs = np.flatnonzero(first)
    amount = np.ones(len(order), dtype=np.int64) if weights is None else weights[order]
    if known is not None:
        amount = np.where(known[order], amount, 0)
    totals = np.add.reduceat(amount, runs)
    # Of each cluster the last run in this order: the largest amount, and among equal ones the least value.
    best = np.lexsort([-np.arange(len(runs)), totals, labels[runs]])
    last = np.flatnonzero(np.diff(labels[runs[best]], append=-1))
    chosen: AnyArray = ordered[runs[best[last]]]
    return chosen


def _by_cluster_and_value(values: AnyArray, clusters: Clusters) -> IntArray:
    """Rows cluster by cluster, ascending by value in each."""
    if values.dtype.kind in "biu" and values.dtype.itemsize <= 4:
        plain = values.astype(np.int64)
        least = int(plain.min())
        span = int(plain.max()) - least + 1
        if span * len(clusters) < 2**63:
            # One key sorts faster than two.
            return np.argsort(clusters.labels * span + (plain - least), kind="stable")
    return np.lexsort([values, clusters.labels])
