"""Which objects a coarser level keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical
from zarr_vectors.pyramid.coarse import clusters_of, hashes
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["STRATEGIES", "Visits", "check_sparsity", "choose_objects"]

STRATEGIES = ("random", "length", "spatial_coverage", "attribute")


@dataclass(frozen=True)
class Visits:
    """Which cells of a coarse grid each object is in.

    Args:
        offsets: ``(n + 1,)`` int64: object ``i`` is in ``cells[offsets[i]:offsets[i + 1]]``.
        cells: ``(K,)`` or ``(K, D)`` integers, distinct within an object.
    """

    offsets: IntArray
    cells: IntArray


def check_sparsity(factor: float, strategy: str) -> None:
    """Refuse a strategy that is not known, and a factor that is not a number from 1.

    Raises:
        InputError: As said.
    """
    if strategy not in STRATEGIES:
        raise InputError(
            "the sparsity strategy is not known", got=repr(strategy), expected=f"one of {', '.join(STRATEGIES)}"
        )
    if not (math.isfinite(factor) and factor >= 1):
        raise InputError(
            "the sparsity factor must be a number from 1",
            got=repr(factor),
            hint="1 keeps all objects, 2 every second one",
        )


def choose_objects(
    ids: IntArray,
    factor: float,
    strategy: str = "random",
    seed: int = 0,
    measures: AnyArray | Visits | None = None,
    *,
    smallest: bool = False,
) -> BoolArray:
    """Which of some objects to keep: ``max(1, round(n / factor))`` of them, always the same, in any order of ``ids``.

    Each strategy puts the objects in an order of which the first are kept. So with the same seed and measures those
    that a large factor keeps are among those that a small one keeps. Where a strategy leaves objects equal, a hash of
    id and seed decides.

    * ``"random"``: by that hash.
    * ``"length"`` and ``"attribute"``: by the measure, from the largest down; NaN and NaT come last.
    * ``"spatial_coverage"``: objects are ranked in each cell that they visit, those in more cells first. The first of
      some cell come before the second of some cell, and so on; as each cell has a first one, they cover together
      every cell. Among those of one rank, who has it in more cells comes first, so that few objects cover much; where
      objects are dense, most are far down and go.

    Args:
        ids: ``(n,)`` int64 distinct ids.
        factor: From 1; how many objects there are for each that is kept.
        strategy: One of ``STRATEGIES``.
        seed: Of the hash.
        measures: ``(n,)`` values that have an order, for ``"length"`` and ``"attribute"``; ``Visits`` for
            ``"spatial_coverage"``.
        smallest: Keep the smallest measures in place of the largest.

    Returns:
        ``(n,)`` bool.

    Raises:
        InputError: The strategy or factor is not known, or the measures are not those that it needs.

    Example:
        >>> choose_objects(np.array([7, 3, 5, 4]), 2, "length", measures=np.array([1.0, 9.0, np.nan, 2.0])).tolist()
        [False, True, False, True]
    """
    check_sparsity(factor, strategy)
    keep = np.zeros(len(ids), dtype=np.bool_)
    if not len(ids):
        return keep
    chance = hashes(seed, ids)
    if strategy == "random":
        keys: list[AnyArray] = []
    elif strategy == "spatial_coverage":
        keys = _coverage(len(ids), measures, chance)
    else:
        keys = _by_measure(len(ids), measures, strategy, smallest=smallest)
    # The ids come last, for hashes that are the same.
    order = np.lexsort([ids, chance, *keys])
    keep[order[: max(1, round(len(ids) / factor))]] = True
    return keep


def _by_measure(count: int, measures: AnyArray | Visits | None, strategy: str, *, smallest: bool) -> list[AnyArray]:
    if isinstance(measures, Categorical):
        raise InputError(f"sparsity by {strategy} needs values that have an order", got="categories")
    if measures is None or isinstance(measures, Visits):
        raise InputError(f"sparsity by {strategy} needs a value for each object", got=type(measures).__name__)
    values = np.asarray(measures)
    if values.shape != (count,) or values.dtype.kind not in "biufmM":
        raise InputError(
            f"sparsity by {strategy} needs one number or time for each object",
            expected=f"shape ({count},)",
            got=f"{values.dtype} of shape {values.shape}",
        )
    # Ranks have the other order without a loss where the values themselves cannot be negated.
    rank = np.unique(values, return_inverse=True)[1].reshape(-1)
    unknown = np.isnat(values) if values.dtype.kind in "mM" else np.isnan(values) if values.dtype.kind == "f" else None
    rank = rank if smallest else -rank
    return [rank] if unknown is None else [np.where(unknown, 0, rank), unknown]


def _coverage(count: int, visits: AnyArray | Visits | None, chance: AnyArray) -> list[AnyArray]:
    if not isinstance(visits, Visits):
        raise InputError("sparsity by spatial_coverage needs Visits", got=type(visits).__name__)
    sizes = np.diff(visits.offsets)
    if len(sizes) != count or int(visits.offsets[-1]) != len(visits.cells):
        raise InputError(
            "visits must tell the cells of each object",
            expected=f"{count} objects and {len(visits.cells)} cells",
            got=f"{len(sizes)} objects and {int(visits.offsets[-1])} cells",
        )
    owner = np.repeat(np.arange(count), sizes)
    first = np.empty(count, dtype=np.int64)
    first[np.lexsort([chance, -sizes])] = np.arange(count)
    cells = clusters_of(visits.cells)
    order = np.lexsort([first[owner], cells.labels])
    rank = np.empty(len(owner), dtype=np.int64)
    rank[order] = np.arange(len(owner)) - np.repeat(cells.starts, cells.sizes)
    # An object that is in no cell comes last.
    best = np.full(count, len(owner), dtype=np.int64)
    np.minimum.at(best, owner, rank)
    times = np.bincount(owner[rank == best[owner]], minlength=count)
    return [-times, best]
