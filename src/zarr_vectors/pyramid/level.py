"""One coarser level: read the finer one in pieces, coarsen each, and write what they give as one commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nextafter
from pathlib import Path

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.group import Group
from zarr_vectors.core.level_changes import remove_resolution_level
from zarr_vectors.core.levels import list_resolution_levels
from zarr_vectors.core.session import Session
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, Geometry, Linked
from zarr_vectors.metadata.root import PyramidFacts
from zarr_vectors.pyramid.across import LevelLinks, Standing, said_of_links
from zarr_vectors.pyramid.aggregate import check_aggregation
from zarr_vectors.pyramid.coarse import Coarse, Policy
from zarr_vectors.pyramid.keep import kept_objects
from zarr_vectors.pyramid.large_kinds import large_of
from zarr_vectors.pyramid.methods import inside
from zarr_vectors.pyramid.options import PyramidOptions, Step
from zarr_vectors.pyramid.plan import block_multiples, chunk_multiples, grown_chunk_shape, rows_beside
from zarr_vectors.pyramid.source import Finer, free_name, object_tables, with_link_attributes
from zarr_vectors.pyramid.tasks import Crew, coarse_pieces
from zarr_vectors.spatial.layout import check_edges
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.create import write_new
from zarr_vectors.types.intake import First, Intake
from zarr_vectors.types.new_level import NewLevel
from zarr_vectors.types.options import WriteOptions, as_bounds
from zarr_vectors.types.report import WriteReport
from zarr_vectors.types.spill import stream_apart, stream_intake
from zarr_vectors.types.temporary import scratch_folder
from zarr_vectors.typing import IntArray, JsonObject

__all__ = ["LevelJob", "check_filled", "remove_coarser"]

_COUNT = "count"


@dataclass(frozen=True)
class _Work:
    """What it takes to coarsen a level.

    Args:
        policy: How.
        multiples: ``(D,)`` chunks along each axis that are whole bins.
        standing: Is told what stands for what; None where nobody asks.
        options: How what comes out is taken in.
        folder: For temporary files.
        least_reduction: How many times fewer vertices the level must have; nothing need be done to the end else.
    """

    policy: Policy
    multiples: IntArray
    standing: Standing | None
    options: WriteOptions
    folder: Path
    least_reduction: float


@dataclass(kw_only=True)
class LevelJob:
    """A coarser level on its way.

    Args:
        storage: The store, locked.
        finer: The level that it is made from.
        number: Its own number.
        step: How much coarser it is.
        options: Of the pyramid.
        base_bins: Bins of level 0.
        links: Its links to finer levels; None for none.
        replaced: Whether the level exists, and is written anew.
        also: Objects outside the level that are written in the same commit.
        clears: Whether all coarser levels are removed before it is written.
        crew: Who reads and coarsens.
    """

    storage: Storage
    finer: Finer
    number: int
    step: Step
    options: PyramidOptions
    base_bins: tuple[float, ...]
    links: LevelLinks | None = None
    replaced: bool = False
    also: tuple[Put, ...] = ()
    clears: bool = False
    crew: Crew = field(default_factory=Crew)
    error: float = 0.0
    counts: str | None = None
    link_counts: str | None = None
    kept: IntArray | None = None
    report: WriteReport | None = None
    read: int = 0
    facts: JsonObject = field(default_factory=dict)

    @property
    def factor(self) -> tuple[float, ...]:
        """How many times the finer bins the bins are, along each axis."""
        given = self.step.factor
        ndim = self.finer.root.metadata.ndim
        return tuple(float(one) for one in given) if isinstance(given, tuple) else (float(given),) * ndim

    @property
    def bins(self) -> tuple[float, ...]:
        """Edge lengths of the bins."""
        level = self.finer.level.number
        bins = self.finer.root.level_bin_shape(level) if level else self.base_bins
        return tuple(float(a * b) for a, b in zip(bins, self.factor, strict=True))

    @property
    def sparsity(self) -> float:
        """One object of so many is kept; 1 where there are no objects, whatever was asked for."""
        return self.step.sparsity if self.finer.level.has_objects else 1.0

    def write(self, least_reduction: float = 0.0) -> bool:
        """Make the level; whether it was written, as it is not where it has not so many times fewer vertices."""
        finer, root = self.finer, self.finer.root
        policy = self._policy()
        multiples = block_multiples(root.metadata.chunk_shape, finer.level.chunk_shape, self.bins)
        self.read, self.error = 0, 0.0
        finer.samples.clear()
        self.kept = kept_objects(finer, self.sparsity, self.options, policy.bins)
        options = WriteOptions(mode="replace", dtype=finer.level.position_dtype, axes=root.axes)
        with scratch_folder() as folder:
            standing = None if self.links is None else self.links.begun(Path(folder) / "across")
            work = _Work(policy, multiples, standing, options, Path(folder), least_reduction)
            intake = self._blocks(work) if finer.is_cut else self._pieces(work)
            if finer.lead is not None:
                intake.lead_by(finer.lead)
            if intake.extent.rows * least_reduction > self.read:
                return False
            if intake.has_objects:
                intake.tables = object_tables(finer.tables)
            if self.clears and remove_coarser(self.storage):
                finer.reopen()
            into = self._level(intake, standing)
            self.report = write_new(self.storage, finer.kind, intake, into.options(options), into)
        return True

    def check(self) -> None:
        """Refuse what is asked for and cannot be had, before anything is read."""
        self._policy()

    def _policy(self) -> Policy:
        finer, options = self.finer, self.options
        known = {**self._link_columns(), **finer.level.row_columns, **finer.level.chunk_columns}
        for name, how in options.aggregations.items():
            if name not in known or name in finer.left_out:
                raise InputError(
                    "aggregations name an attribute that the store does not have",
                    got=repr(name),
                    expected=f"some of {sorted(known.keys() - set(finer.left_out))}",
                )
            if finer.lead is not None and name == finer.level.metadata.chunk_attribute_name:
                raise InputError(
                    "aggregations name the attribute that the store is chunked by, which stays as it is",
                    got=repr(name),
                    hint="leave it out",
                )
            check_aggregation(name, how, _empty_column(known[name]))
        return Policy(
            bins=np.asarray(self.bins),
            # All that become one have the same.
            aggregations={**({} if finer.lead is None else {finer.lead: "min"}), **options.aggregations},
            seed=options.seed,
            method=options.method_of(finer.kind.connects),
            lead=finer.lead,
        )

    def _link_columns(self) -> Mapping[str, ColumnSpec]:
        family = self.finer.level.links
        return {} if family is None or self.finer.kind.connects != "links" else family.columns

    # Values

    def _pieces(self, work: _Work) -> Intake:
        """The level, of pieces that are read and coarsened one by one."""
        finer, standing = self.finer, work.standing
        pieces = coarse_pieces(self.crew, finer, work.multiples, self.kept, work.policy, places=standing is not None)

        def values() -> Iterator[Geometry]:
            for done in pieces:
                assert done.coarse is not None
                assert done.sample is not None
                finer.samples.append(done.sample)
                self.error = max(self.error, done.coarse.error)
                if standing is not None and done.places is not None:
                    standing.add(done.places, done.coarse.parents, done.coarse.value.vertex_count)
                self._tell(done.read)
                yield self._counted(done.coarse)

        # Vertices that links of their own level name are counted anyway.
        named = standing is not None and finer.kind.connects in ("nothing", "sequence")
        first = First(names_rows=named, takes_row_id=finer.level.takes_row_id)
        return stream_intake(values(), finer.kind, work.options, _anywhere, first, work.folder)

    def _blocks(self, work: _Work) -> Intake:
        """The level, of a graph or mesh that is too large to be coarsened at once."""
        finer = self.finer
        made = large_of(finer, work.policy, self.kept, work.multiples, work.folder / "large", self.crew)
        moved, rows = 0.0, 0

        def values() -> Iterator[Geometry]:
            nonlocal moved, rows
            before = 0
            for coarse in made.vertices():
                placed = inside(coarse, finer.root.metadata.bounds)
                moved, rows = max(moved, placed.error), rows + placed.value.vertex_count
                self._tell(made.read - before)
                before = made.read
                yield self._counted(placed)

        def links() -> Iterator[tuple[IntArray, Mapping[str, Column]]]:
            if rows * work.least_reduction > made.read:
                return
            for some in made.links():
                yield some.ends, {**some.columns, **({self.link_counts: some.counts} if self.link_counts else {})}
            self.error = made.error() + moved
            if work.standing is not None:
                for places, numbers in made.stored():
                    work.standing.put(places, numbers)

        return stream_apart(
            values(), links(), finer.kind, work.options, First(takes_row_id=finer.level.takes_row_id), work.folder
        )

    def _tell(self, read: int) -> None:
        self.read += read
        if self.options.progress is not None and read:
            self.options.progress(self.number, self.read, self.finer.level.metadata.vertex_count or None)

    def _counted(self, coarse: Coarse) -> Geometry:
        """The value with what each vertex and link stands for."""
        value = coarse.value
        if coarse.counts is not None:
            self.counts = self.finer.counts or free_name(_COUNT, value.attributes)
            value = replace(value, attributes={**value.attributes, self.counts: coarse.counts})
        if coarse.link_counts is not None and isinstance(value, Linked):
            self.link_counts = self.finer.link_counts or free_name(_COUNT, value.link_attributes)
            links = {**value.link_attributes, self.link_counts: coarse.link_counts}
            value = with_link_attributes(value, links)
        return value

    # The level

    def _level(self, intake: Intake, standing: Standing | None) -> NewLevel:
        finer = self.finer
        root = finer.root
        self.facts = self._made(intake)
        changed = {} if tuple(root.metadata.bin_shape) == self.base_bins else {"base_bin_shape": list(self.base_bins)}
        tokens = list(root.metadata.format_capabilities)
        if intake.has_objects and constants.CAP_PRESERVED_OBJECT_IDS not in tokens:
            tokens.append(constants.CAP_PRESERVED_OBJECT_IDS)
        if standing is not None and constants.CAP_MULTISCALE_LINKS not in tokens:
            tokens.append(constants.CAP_MULTISCALE_LINKS)
        return NewLevel(
            root=root,
            model=finer.level,
            number=self.number,
            replaced=self.replaced,
            bins=self.bins,
            chunk_shape=self._chunk_shape(intake),
            facts=self.facts,
            root_facts={**changed, **said_of_links(root, self.options)[0], "format_capabilities": tokens},
            across=standing,
            also=self.also,
        )

    def _made(self, intake: Intake) -> JsonObject:
        """What the level says of how it was made."""
        finer, options = self.finer, self.options
        before = finer.level.metadata.pyramid
        error = None if finer.level.number and (before is None or before.max_error is None) else self.error
        if error is not None and before is not None and before.max_error is not None:
            error += before.max_error
        pyramid = PyramidFacts(
            method=options.method_of(finer.kind.connects),
            factor=self.factor,
            # Rounded up, as it is a bound.
            max_error=None if error is None else nextafter(error * (1 + 1e-9), np.inf) if error else 0.0,
            aggregations=dict(options.aggregations),
            sparsity=self.sparsity,
            sparsity_strategy=options.sparsity_strategy if self.sparsity > 1 else None,
            sparsity_attribute=options.sparsity_attribute,
            seed=options.seed,
            counts=self.counts,
            link_counts=self.link_counts,
            left_out=self._left_out(),
            stale=before is not None and before.stale,
            **said_of_links(finer.root, options)[1],
        )
        facts: JsonObject = {
            "object_sparsity": 1 / self.sparsity,
            "coarsening_method": constants.COARSEN_PER_OBJECT,
            "parent_level": finer.level.number,
            "inherited_num_objects": len(intake.tables.ids) if intake.has_objects else 0,
            "pyramid": pyramid.to_json(),
        }
        return facts | ({"preserves_object_ids": True} if intake.has_objects else {})

    def _left_out(self) -> tuple[str, ...]:
        """What the finer level has and this one has not."""
        finer = self.finer
        return finer.left_out + (("vertices of no object",) if finer.leaves_vertices else ())

    def _chunk_shape(self, intake: Intake) -> tuple[float, ...]:
        root, level, given = self.finer.root, self.finer.level, self.step.chunk_factor
        if given is not None:
            times = given if isinstance(given, tuple) else (given,) * root.metadata.ndim
            shape = tuple(edge * one for edge, one in zip(level.chunk_shape, times, strict=True))
            check_filled(shape, self.bins)
            return check_edges("chunk_scale_factors", shape, root.metadata.ndim)
        bounds = as_bounds(root.metadata.bounds, root.metadata.ndim)
        wanted = rows_beside(self.finer.sample, level.chunk_shape, bounds, self.read)
        return grown_chunk_shape(
            root.metadata.chunk_shape,
            self.bins,
            intake.extent.sample,
            intake.extent.rows,
            (bounds[0].tolist(), bounds[1].tolist()),
            wanted,
        )


def check_filled(chunk_shape: Sequence[float], bins: Sequence[float]) -> None:
    """Refuse chunks that are no whole numbers of bins, nor bins whole numbers of chunks, along an axis.

    Raises:
        InputError: As said.
    """
    smaller, larger = np.minimum(chunk_shape, bins), np.maximum(chunk_shape, bins)
    if (chunk_multiples(larger.tolist(), smaller.tolist()) != 1).any():
        raise InputError(
            "bins of these factors do not fill chunks of these chunk_scale_factors",
            got=f"bins of {tuple(bins)} in chunks of {tuple(chunk_shape)}",
            hint="use other chunk_scale_factors, or leave them out",
        )


def remove_coarser(storage: Storage) -> list[int]:
    """Remove all levels but the finest; which there were."""
    root = Group.of(Session(storage), "")
    numbers = [number for number in list_resolution_levels(root) if number]
    for number in reversed(numbers):
        remove_resolution_level(root, number)
    return numbers


def _empty_column(spec: ColumnSpec) -> Column:
    """A column of a type, without rows."""
    rows = np.zeros((0, *spec.row_shape), dtype=spec.dtype)
    return rows if spec.categories is None else Categorical(rows, spec.categories, spec.ordered)


def _anywhere(ndim: int) -> None:
    """Coarser vertices are brought into the bounds when they are made."""
