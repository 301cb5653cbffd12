"""Building pyramids by path: facades of ``ZVStore.build_pyramid``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zarr_vectors import constants, pyramid
from zarr_vectors.exceptions import InputError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.typing import JsonObject

__all__ = ["build_pyramid", "coarsen_level"]


def build_pyramid(  # noqa: PLR0913 (its signature is given)
    store_path: StoreLike,
    *,
    factors: Sequence[tuple[float, float]] | None = None,
    chunk_scale_factors: Sequence[int | tuple[int, ...]] | None = None,
    sparsity_strategy: str = "random",
    sparsity_seed: int | None = None,
    cross_level_depth: int = 1,
    cross_level_storage: str = constants.XLEVEL_NONE,
    method: str = constants.COARSEN_PER_OBJECT,
    options: Mapping[str, Any] | None = None,
) -> JsonObject:
    """Make all coarser levels of a store.

    Args:
        store_path: A path, a URL, or an open store.
        factors, chunk_scale_factors, sparsity_strategy, cross_level_depth, cross_level_storage: As of
            ``ZVStore.build_pyramid``; links between levels are not stored unless asked for.
        sparsity_seed: Of what is random; None for 0, so that the same call brings the same levels.
        method: ``"per_object"`` for what suits the kind, or a way that it has.
        options: More arguments of ``ZVStore.build_pyramid``: ``aggregations``, ``sparsity_attribute``,
            ``replace``, ``executor``.

    Returns:
        ``url`` and ``levels``, for each of which ``level``, ``vertex_count``, ``bin_shape`` and more.

    Raises:
        InputError, StoreExistsError, ReadOnlyError: As of ``ZVStore.build_pyramid``.

    Example:
        >>> import numpy as np, zarr_vectors as zv
        >>> points = zv.Points(np.random.default_rng(0).uniform(0, 100, (1000, 2)))
        >>> _ = zv.write("memory://build-doc", points)
        >>> report = build_pyramid("memory://build-doc", factors=[(2, 1), (2, 1)])
        >>> [level["level"] for level in report["levels"]]
        [1, 2]
    """
    chosen = pyramid.PyramidOptions(
        factors=factors,
        chunk_scale_factors=chunk_scale_factors,
        method=method,
        sparsity_strategy=sparsity_strategy,
        seed=0 if sparsity_seed is None else sparsity_seed,
        cross_level_storage=cross_level_storage,
        cross_level_depth=cross_level_depth,
        **_more(options),
    )
    return pyramid.build_levels(Storage(open_backend(store_path)), chosen).to_json()


def coarsen_level(  # noqa: PLR0913 (its signature is given)
    store_path: StoreLike,
    source_level: int,
    target_level: int,
    *,
    coarsen_factor: float = 1.0,
    sparsity_factor: float = 1.0,
    chunk_scale_factor: int | tuple[int, ...] = 1,
    sparsity_strategy: str = "random",
    sparsity_seed: int | None = None,
    cross_level_storage: str = constants.XLEVEL_NONE,
    method: str = constants.COARSEN_PER_OBJECT,
    options: Mapping[str, Any] | None = None,
) -> JsonObject:
    """Make one level from another.

    Args:
        store_path: A path, a URL, or an open store.
        source_level: The level that it is made from.
        target_level: Its number, which no level has.
        coarsen_factor: How many times the bins of the source its bins are.
        sparsity_factor: One object of so many is kept.
        chunk_scale_factor: How many times the chunks of the source its chunks are, one number or one per axis.
        sparsity_strategy, sparsity_seed, cross_level_storage, method, options: As of ``build_pyramid``.

    Returns:
        What the level is: ``level``, ``parent_level``, ``vertex_count``, ``bin_shape``, ``max_error`` and more.

    Raises:
        InputError, StoreExistsError, StoreNotFoundError, ReadOnlyError: Nothing was written.

    Example:
        >>> import numpy as np, zarr_vectors as zv
        >>> points = zv.Points(np.random.default_rng(0).uniform(0, 100, (1000, 2)))
        >>> _ = zv.write("memory://coarsen-doc", points)
        >>> coarsen_level("memory://coarsen-doc", 0, 1, coarsen_factor=2)["parent_vertices"]
        1000
    """
    chosen = pyramid.PyramidOptions(
        factors=[(coarsen_factor, sparsity_factor)],
        chunk_scale_factors=[chunk_scale_factor],
        method=method,
        sparsity_strategy=sparsity_strategy,
        seed=0 if sparsity_seed is None else sparsity_seed,
        cross_level_storage=cross_level_storage,
        **_more(options),
    )
    storage = Storage(open_backend(store_path))
    report = pyramid.coarsen_one(storage, source_level, target_level, chosen)
    found: JsonObject = report.to_json()["levels"][0]
    return found


def _more(options: Mapping[str, Any] | None) -> dict[str, Any]:
    more = dict(options or {})
    unknown = sorted(more.keys() - {"aggregations", "sparsity_attribute", "replace", "executor"})
    if unknown:
        raise InputError(
            "options has an item that is not known",
            got=repr(unknown[0]),
            expected="aggregations, executor, replace, sparsity_attribute",
        )
    return more
