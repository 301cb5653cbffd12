"""How to build a pyramid, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.exceptions import InputError
from zarr_vectors.pyramid.aggregate import check_aggregation
from zarr_vectors.pyramid.points import MEAN, SUBSAMPLE
from zarr_vectors.pyramid.sparsity import STRATEGIES
from zarr_vectors.types.kinds import Connects

__all__ = ["METHODS", "PyramidOptions", "PyramidProgress", "Step"]

METHODS: dict[Connects, tuple[str, ...]] = {
    "nothing": (MEAN, SUBSAMPLE),
    "sequence": ("simplify",),
    "tree": ("simplify",),
    "links": ("cluster",),
}
"""Ways of coarsening by how vertices are connected, the one that is taken by default first."""
TOP_VERTICES = 100_000
PyramidProgress = Callable[[int, int, "int | None"], None]
"""Called with the number of a level, and vertices of the finer one that are done and that there are."""


@dataclass(frozen=True)
class Step:
    """What is done for one level.

    Args:
        factor: How many times the bins of the finer level its bins are, along each axis; one number for all.
        sparsity: One object of so many is kept.
        chunk_factor: How many times the chunks of the finer level its chunks are; None for as large as suits.
    """

    factor: float | tuple[float, ...] = 2.0
    sparsity: float = 1.0
    chunk_factor: int | tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class PyramidOptions:
    """How to build a pyramid.

    Args:
        factors: For each level from 1 on ``(factor, sparsity)``: how many times larger its bins are than those of the
            level before, and of how many objects it keeps one. None for as many levels as it takes until the last
            has at most 100,000 vertices.
        chunk_scale_factors: For each level, how many times larger its chunks are, one number or one per axis. None for
            chunks that hold about as many vertices as those of the level before.
        method: The way of coarsening, of those that the kind has: points ``"mean"`` or ``"subsample"``. None for the
            first one.
        aggregations: ``{attribute: "mean" | "min" | "max" | "sum" | "first" | "mode"}``; by default the mean of floats
            and the mode of everything else.
        sparsity_strategy: Which objects are kept: ``"random"``, ``"length"``, ``"spatial_coverage"`` or
            ``"attribute"``.
        sparsity_attribute: With ``"attribute"``, the object attribute of which the largest values stay.
        seed: Of everything that is random; the same seed brings the same levels.
        cross_level_storage: Links between levels: ``"none"``, ``"implicit"`` (from finer vertices to coarser ones) or
            ``"explicit"`` (both ways).
        cross_level_depth: Over how many levels links lead; -1 for all.
        progress: Called as vertices are done.
        replace: Whether coarser levels that there are give way.
        executor: Who reads and coarsens, as in ``ZVStore.build_pyramid``.

    Raises:
        InputError: Something that cannot be meant.
    """

    factors: Any = None
    chunk_scale_factors: Any = None
    method: str | None = None
    aggregations: Mapping[str, str] = field(default_factory=dict)
    sparsity_strategy: str = STRATEGIES[0]
    sparsity_attribute: str | None = None
    seed: int = 0
    cross_level_storage: str = constants.XLEVEL_NONE
    cross_level_depth: int = 1
    progress: PyramidProgress | None = None
    replace: bool = False
    executor: Executor | None = None

    def __post_init__(self) -> None:
        for name in ("factors", "chunk_scale_factors"):
            object.__setattr__(self, name, _listed(name, getattr(self, name)))
        if not isinstance(self.aggregations, Mapping):
            raise InputError("aggregations must be a mapping from attributes to ways", got=repr(self.aggregations))
        for name, how in self.aggregations.items():
            check_aggregation(name, how)
        _one_of("sparsity_strategy", self.sparsity_strategy, STRATEGIES)
        _one_of("cross_level_storage", self.cross_level_storage, sorted(constants.VALID_XLEVEL_STORAGE))
        if (self.sparsity_attribute is None) == (self.sparsity_strategy == "attribute"):
            raise InputError(
                "sparsity_attribute goes with sparsity_strategy='attribute'",
                got=f"{self.sparsity_attribute!r} with {self.sparsity_strategy!r}",
            )
        if self.executor is not None and not isinstance(self.executor, Executor):
            raise InputError(
                "executor must be a concurrent.futures.Executor",
                got=type(self.executor).__name__,
                hint="such as ThreadPoolExecutor(4) or ProcessPoolExecutor(4)",
            )
        object.__setattr__(self, "seed", _whole("seed", self.seed, None))
        object.__setattr__(self, "cross_level_depth", _whole("cross_level_depth", self.cross_level_depth, -1))
        if self.factors is None and self.chunk_scale_factors is not None:
            raise InputError("chunk_scale_factors go with factors", hint="give factors, one pair per level")
        self.steps(None)

    def steps(self, ndim: int | None) -> list[Step] | None:
        """What is done for each level, as far as it was told.

        Args:
            ndim: Axes of the store; None where it is not known yet.
        """
        if self.factors is None:
            return None
        pairs: list[Any] = self.factors
        if not pairs:
            raise InputError("factors must name a level at least", hint="or leave them out")
        chunks: list[Any] = [None] * len(pairs)
        if self.chunk_scale_factors is not None:
            chunks = self.chunk_scale_factors
            if len(chunks) != len(pairs):
                raise InputError(
                    "chunk_scale_factors must have one item for each of factors", expected=len(pairs), got=len(chunks)
                )
        steps = []
        for number, (pair, chunk) in enumerate(zip(pairs, chunks, strict=True)):
            values: list[Any] = list(pair) if np.iterable(pair) and not isinstance(pair, (str, bytes)) else []
            if len(values) != 2:
                raise InputError(
                    f"factors[{number}] must be a pair (factor of bins, sparsity of objects)",
                    got=repr(pair),
                    hint="(2, 1) for bins of twice the edges and all objects",
                )
            steps.append(
                Step(
                    _factor(f"the first of factors[{number}]", values[0], ndim),
                    _sparsity(f"the second of factors[{number}]", values[1]),
                    None if chunk is None else _times(f"chunk_scale_factors[{number}]", chunk, ndim),
                )
            )
        return steps

    def method_of(self, connects: Connects) -> str:
        """The way of coarsening.

        Raises:
            InputError: The kind has no such way.
        """
        known = METHODS[connects]
        if self.method is None or self.method == constants.COARSEN_PER_OBJECT:
            return known[0]
        _one_of("method", self.method, known)
        return self.method


def _listed(name: str, value: Any) -> list[Any] | None:
    """An argument with an item per level; anything that can be gone through, once for all."""
    if value is None:
        return None
    if isinstance(value, (str, bytes, Mapping)) or not np.iterable(value):
        example = "[(2, 1), (2, 1)]" if name == "factors" else "[2, 1]"
        raise InputError(
            f"{name} must be a list with an item for each level", got=repr(value), hint=f"such as {example}"
        )
    return list(value)


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"{name} is not known", got=repr(value), expected=f"one of {', '.join(known)}")


def _whole(name: str, value: Any, least: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or (least is not None and value < least):
        from_where = "" if least is None else f" from {least}"
        raise InputError(f"{name} must be a whole number{from_where}", got=repr(value))
    return int(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not isfinite(value) or value < 1:
        raise InputError(f"{name} must be a number from 1", got=repr(value))
    return float(value)


def _sparsity(name: str, value: Any) -> float:
    return _number(name, value)


def _factor(name: str, value: Any, ndim: int | None) -> float | tuple[float, ...]:
    if isinstance(value, (str, bytes)) or not np.iterable(value):
        return _number(name, value)
    factors = tuple(_number(name, one) for one in value)
    _check_rank(name, factors, ndim)
    return factors


def _times(name: str, value: Any, ndim: int | None) -> int | tuple[int, ...]:
    if isinstance(value, (str, bytes)) or not np.iterable(value):
        return _whole(name, value, 1)
    times = tuple(_whole(name, one, 1) for one in value)
    _check_rank(name, times, ndim)
    return times


def _check_rank(name: str, values: Sequence[float], ndim: int | None) -> None:
    if ndim is not None and len(values) != ndim:
        raise InputError(f"{name} must have one number per axis, or be one for all", expected=ndim, got=len(values))
