"""Building a pyramid: one level after another, each a commit of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.exceptions import ConventionError, InputError, StoreExistsError, StoreNotFoundError
from zarr_vectors.geometry import Geometry, Graph, Linked, Polylines, Skeleton
from zarr_vectors.metadata.root import PyramidFacts
from zarr_vectors.pyramid.across import plan_links
from zarr_vectors.pyramid.level import LevelJob, check_filled, remove_coarser
from zarr_vectors.pyramid.options import TOP_VERTICES, PyramidOptions, Step
from zarr_vectors.pyramid.plan import base_bins, chunk_multiples, point_spacing
from zarr_vectors.pyramid.report import LevelReport, PyramidReport
from zarr_vectors.pyramid.source import Finer
from zarr_vectors.pyramid.tasks import Crew
from zarr_vectors.query.draco import check_unordered
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.types.stale import descendants_stale
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["build_levels", "coarsen_one", "refresh_levels"]

_LEAST_REDUCTION = 2.0
"""A level that is chosen by itself has so many times fewer vertices than the one before."""
_MOST_LEVELS = 24
_SPARSE = 4.0
_FEW_VERTICES = 16
"""Objects with so few vertices in the mean cannot become much coarser: fewer of them are kept, one of so many."""
_SPACING_ROWS = 200_000


def build_levels(storage: Storage, options: PyramidOptions) -> PyramidReport:
    """Make all coarser levels of a store that has none, or that are to be replaced.

    Raises:
        InputError: The store has no vertices, or something is asked for that its kind does not have.
        StoreExistsError: There are coarser levels, and they are not to be replaced.
        ReadOnlyError: The store is open for reading.
    """
    Crew(options.executor).check(storage)
    with storage.lock():
        root, _ = open_root(storage, [])
        numbers = level_numbers(storage, root.attributes)
        if numbers != [0] and not options.replace:
            raise StoreExistsError(
                "the store has coarser levels already",
                store=storage.url,
                got=f"levels {numbers}",
                hint="pass replace=True (--replace) to build all of them anew, or refresh those that are stale",
            )
        steps = options.steps(root.metadata.ndim)
        _check_steps(_job(storage, 0, 1, Step(), options), steps or [])
        reports = []
        for number, step in enumerate([Step()] * _MOST_LEVELS if steps is None else steps, 1):
            report = _next_level(storage, number, step, options, forced=steps is not None)
            if report is None:
                break
            reports.append(report)
        if not reports:
            remove_coarser(storage)
        return PyramidReport(url=storage.url, levels=tuple(reports))


def coarsen_one(storage: Storage, source: int, target: int, options: PyramidOptions) -> PyramidReport:
    """Make one level from another, by the first of the options' factors.

    Raises:
        StoreNotFoundError: There is no level ``source``.
        StoreExistsError: There is a level ``target``.
        InputError: It is not coarser than ``source``, or the store has no vertices.
    """
    Crew(options.executor).check(storage)
    with storage.lock():
        root, _ = open_root(storage, [])
        numbers = level_numbers(storage, root.attributes)
        if source not in numbers:
            raise StoreNotFoundError(
                f"the store has no level {source}", store=storage.url, expected=f"one of {numbers}"
            )
        if target in numbers:
            raise StoreExistsError(f"the store has a level {target} already", store=storage.url)
        if target <= source:
            raise InputError("target_level must be above source_level", got=f"{target} from {source}")
        steps = options.steps(root.metadata.ndim) or [Step()]
        job = _job(storage, source, target, steps[0], options)
        job.write()
        return PyramidReport(url=storage.url, levels=(LevelReport.of(job),))


def refresh_levels(storage: Storage, options: PyramidOptions, *, force: bool) -> PyramidReport:
    """Make levels anew that a change has made stale, as they were made before, and those that were made from them.

    Raises:
        ConventionError: A level does not say how it was made.
    """
    Crew(options.executor).check(storage)
    with storage.lock():
        root, _ = open_root(storage, [])
        rebuilt: list[LevelReport] = []
        done: set[int] = set()
        for number in [number for number in level_numbers(storage, root.attributes) if number]:
            level = open_level(storage, open_root(storage, [])[0], number)
            facts, parent = level.metadata.pyramid, level.metadata.parent_level
            if facts is None or parent is None:
                if force or parent in done:
                    raise ConventionError(
                        f"level {number} does not say how it was made",
                        store=storage.url,
                        hint="remove it, and build the pyramid anew",
                    )
                continue
            if not (force or facts.stale or parent in done):
                continue
            job = _job(storage, parent, number, Step(facts.factor, facts.sparsity), _as_before(options, root, facts))
            job.step = replace(job.step, chunk_factor=_chunk_factor(level, job.finer.level))
            job.replaced, job.also = True, tuple(descendants_stale(storage, root, number))
            job.write()
            rebuilt.append(LevelReport.of(job))
            done.add(number)
        return PyramidReport(url=storage.url, levels=tuple(rebuilt))


def _next_level(
    storage: Storage, number: int, step: Step, options: PyramidOptions, *, forced: bool
) -> LevelReport | None:
    """The next level; None where the last one is as small as the top should be, or nothing makes it smaller."""
    job = _job(storage, number - 1, number, step, options)
    job.clears = number == 1
    if forced:
        job.write()
        return LevelReport.of(job)
    metadata, finer = job.finer.level.metadata, job.finer
    if metadata.vertex_count <= TOP_VERTICES:
        return None
    objects = len(finer.present) if finer.kind.is_linked else 0
    if objects > 1 and metadata.vertex_count / objects <= _FEW_VERTICES:
        job.step = replace(step, sparsity=_SPARSE)
    bounds = np.asarray(finer.root.metadata.bounds, dtype=np.float64)
    while not job.write(_LEAST_REDUCTION):
        if (np.asarray(job.bins) > bounds[1] - bounds[0]).all():
            if objects <= 1 or job.step.sparsity > 1:
                return None
            # Larger bins change nothing any more, fewer objects do.
            job = replace(job, step=Step(sparsity=_SPARSE))
            continue
        job = replace(job, step=replace(job.step, factor=2 * max(job.factor)))
    return LevelReport.of(job)


def _job(storage: Storage, source: int, target: int, step: Step, options: PyramidOptions) -> LevelJob:
    """A level to be made, after a look at all that can be refused before anything is read."""
    root, documents = open_root(storage, [f"{source}/{ROOT}"])
    level = open_level(storage, root, source, documents[f"{source}/{ROOT}"])
    level.refuse_composite()
    kind = kind_of_types(root.metadata.geometry_types, storage.url)
    finer = Finer(storage, root, level, kind)
    check_unordered(storage, level, list(finer.names), level.links)
    if not len(level.vertices.present):
        raise InputError("the store has no vertices, of which no coarser level can be made", store=storage.url)
    links = plan_links(storage, root, level, target, options)
    bins = tuple(root.metadata.bin_shape) if source else _base_bins(finer)
    return LevelJob(
        storage=storage,
        finer=finer,
        number=target,
        step=step,
        options=options,
        base_bins=tuple(map(float, bins)),
        links=links,
        crew=Crew(options.executor),
    )


def _check_steps(job: LevelJob, steps: list[Step]) -> None:
    """Refuse what no level could be made with, before the first is made."""
    job.check()
    bins = np.asarray(job.base_bins, dtype=np.float64)
    chunk: AnyArray | None = np.asarray(job.finer.level.chunk_shape, dtype=np.float64)
    for step in steps:
        bins = bins * step.factor
        chunk = None if chunk is None or step.chunk_factor is None else chunk * step.chunk_factor
        if chunk is None:
            # Chunks that are chosen later are filled by the bins, if any are.
            chunk_multiples(job.finer.root.metadata.chunk_shape, bins.tolist())
        else:
            check_filled(chunk.tolist(), bins.tolist())


def _base_bins(finer: Finer) -> tuple[float, ...]:
    """Bins of level 0: those that the store has, or new ones near the spacing of its vertices."""
    metadata = finer.root.metadata
    if metadata.base_bin_shape is not None and tuple(metadata.bin_shape) != tuple(metadata.chunk_shape):
        return tuple(map(float, metadata.bin_shape))
    value = finer.some(_SPACING_ROWS)
    return base_bins(metadata.chunk_shape, _spacing(value, metadata.chunk_shape))


def _spacing(value: Geometry, chunk_shape: tuple[float, ...]) -> float:
    """About how far neighbours are from each other: connected ones, where vertices are connected."""
    ends = _neighbours(value)
    if ends is None or not len(ends):
        return point_spacing(value.positions, chunk_shape)
    places = value.positions.astype(np.float64)
    apart = places[ends[:, 0]] - places[ends[:, 1]]
    lengths = np.sqrt((apart * apart).sum(axis=1))
    lengths = lengths[lengths > 0]
    spacing = float(np.median(lengths)) if len(lengths) else float(max(chunk_shape))
    # Edges of graphs may lead anywhere.
    return min(spacing, point_spacing(value.positions, chunk_shape)) if isinstance(value, Graph) else spacing


def _neighbours(value: Geometry) -> IntArray | None:
    """``(n, 2)`` rows of vertices that are connected; None where none are."""
    if isinstance(value, Polylines):
        rows = np.arange(1, value.vertex_count)
        rows = rows[~np.isin(rows, value.offsets)]
        return np.stack([rows - 1, rows], axis=1)
    if isinstance(value, Skeleton):
        return value.edges
    return value.links[:, :2] if isinstance(value, Linked) else None


def _chunk_factor(level: LevelState, finer: LevelState) -> tuple[int, ...] | None:
    """How many times the finer chunks a level's chunks are; None where that is no whole number, as after rechunking."""
    ratio = np.asarray(level.chunk_shape, dtype=np.float64) / np.asarray(finer.chunk_shape, dtype=np.float64)
    whole = np.round(ratio)
    return tuple(whole.astype(int).tolist()) if (np.abs(ratio - whole) < 1e-9).all() and whole.min() >= 1 else None


def _as_before(options: PyramidOptions, root: RootState, facts: PyramidFacts) -> PyramidOptions:
    metadata = root.metadata
    depth = metadata.cross_level_depth if facts.cross_level_depth is None else facts.cross_level_depth
    storage = facts.cross_level_storage or metadata.cross_level_storage
    return replace(
        options,
        method=facts.method,
        aggregations=facts.aggregations,
        seed=facts.seed,
        sparsity_strategy=facts.sparsity_strategy or options.sparsity_strategy,
        sparsity_attribute=facts.sparsity_attribute,
        cross_level_storage=storage or options.cross_level_storage,
        cross_level_depth=options.cross_level_depth if depth is None else depth,
    )
