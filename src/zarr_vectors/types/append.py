"""Appending rows to a level that exists: cells, links, tables and documents, as one commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_reach import outgoing
from zarr_vectors.core.documents import presence_list, with_presence
from zarr_vectors.core.headers import HEADER_NAMES, header_puts, level_document
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.cell_array import grown, renamed
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.types.append_beside import Displaced
from zarr_vectors.types.append_cells import OldCells
from zarr_vectors.types.append_links import LinkMerge, link_arrays
from zarr_vectors.types.append_plan import plan_append
from zarr_vectors.types.append_tables import TableMerge
from zarr_vectors.types.cell_facts import can_index, facts_of_level
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.conventions import check_ids, stamped_conventions
from zarr_vectors.types.encode import Tally, note
from zarr_vectors.types.extend import LineTails, line_tails
from zarr_vectors.types.intake import Intake
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.links import fill_sink
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.report import WriteReport
from zarr_vectors.types.sort import SortedRows, sort_table
from zarr_vectors.types.stale import stale_puts
from zarr_vectors.typing import FloatArray, IntArray, JsonObject

__all__ = ["append_rows"]


def append_rows(
    storage: Storage,
    root: RootState,
    level: LevelState,
    intake: Intake,
    options: WriteOptions,
    merge: TableMerge,
    displaced: Displaced,
    kind: Kind,
) -> WriteReport:
    """Merge rows into a level, as one commit.

    Args:
        merge: Object and group tables, old and new, already merged.
        displaced: What else of the level changes.
    """
    if level.has_objects:
        check_ids(root.metadata, merge.tables.ids, storage.url)
    bounds = _new_bounds(root, intake)
    packing = Packing.of_level(root, level)
    plan = plan_append(root, level, intake, displaced.recoded, kind)
    old_links = link_arrays(level)
    new_links = {name: grown(array, plan.vertices.grid) for name, array in old_links.items()}
    tails = line_tails(storage, level, merge.extended_ids) if plan.connects == "sequence" else None
    work = _Append(
        storage=storage,
        old_root=root,
        level=level,
        intake=intake,
        options=options,
        merge=merge,
        bounds=bounds,
        plan=plan,
        cells=OldCells(storage, level, plan, displaced.recoded),
        old_links=old_links,
        new_links=new_links,
        tails=tails,
        kind=kind,
        displaced=displaced,
        tally=Tally(packing=packing),
    )
    work.cells.check_fragments(intake)
    batch = Batch(puts=work.puts(), root=work.root, copies=work.copies(), deletes=work.deletes())
    if can_index(storage):
        work.tally.facts = facts_of_level(storage, level, {**level.vertex_columns, **plan.columns}, displaced.known)
        batch = replace(batch, last=work.index_puts)
    storage.commit(batch)
    return work.report()


def _new_bounds(root: RootState, intake: Intake) -> tuple[FloatArray, FloatArray]:
    lo, hi = (np.asarray(corner, dtype=np.float64) for corner in root.metadata.bounds)
    if intake.extent.low is None or intake.extent.high is None:
        return lo, hi
    return np.minimum(lo, intake.extent.low), np.maximum(hi, intake.extent.high)


@dataclass
class _Append:
    """One append."""

    storage: Storage
    old_root: RootState
    level: LevelState
    intake: Intake
    options: WriteOptions
    merge: TableMerge
    bounds: tuple[FloatArray, FloatArray]
    plan: CellPlan
    cells: OldCells
    old_links: dict[str, CellArray]
    new_links: dict[str, CellArray]
    tails: LineTails | None
    kind: Kind
    displaced: Displaced
    links: LinkMerge | None = None
    tally: Tally = field(default_factory=Tally)
    written: set[str] = field(default_factory=set)

    def puts(self) -> Iterator[Put]:
        for path, data in self._all_puts():
            self.written.add(path)
            yield path, data

    def _all_puts(self) -> Iterator[Put]:
        if self.plan.connects in ("tree", "links"):
            self.tally.make_places(self.plan, self.intake.extent.rows, self.intake.folder)
        for table in self.intake.blocks(self.plan):
            if self.tails is not None:
                self.tails.continue_lines(table)
            for part in sort_table(self.plan, table):
                yield from self._merge_part(part)
                self.options.notify(self.tally.rows, self.intake.extent.rows)
        if self.plan.connects != "nothing":
            yield from self._link_puts()
        yield from self._displaced_puts()
        for name, array in self.plan.arrays.items():
            document = with_presence(array.document, presence_list(self._present(name)))
            yield f"{array.path}/zarr.json", dump_json(document.to_json())
        if self.level.has_objects:
            yield from self.merge.puts(self.tally, self.plan)
        yield from header_puts(self.options.headers)
        yield from stale_puts(self.storage, self.old_root, self.level)
        yield f"{self.level.number}/zarr.json", dump_json(self._level_document())

    def index_puts(self, stamps: Stamps) -> Iterator[Put]:
        """The level's cell index."""
        if self.tally.facts is not None:
            yield from self.tally.facts.puts(self.plan.arrays, self._present(constants.VERTICES), stamps)

    def _present(self, name: str) -> IntArray:
        """Cells that an array has from now on."""
        touched = self.tally.present(self.plan.vertices.ndim)
        return np.unique(np.concatenate([self.level.cells[name].present, touched]), axis=0)

    def _link_puts(self) -> Iterator[Put]:
        self.links = LinkMerge(
            self.storage, self.level, self.plan, self.intake, self.old_links, self.new_links, self.cells.kept_beside
        )
        self.links.sink.reach = reach = self.tally.reach
        fill_sink(self.links.sink, self.intake, self.tally)
        if self.tails is not None:
            self.links.sink.add(*self.tails.joints(self.plan, self.tally.fragments()), {})
        yield from self.links.puts()
        if reach is not None:
            paths = [segment.array.path.partition("/")[2] for segment in outgoing(self.level.links)]
            reach.linking = self.links.sink.linking({name: self.new_links[name] for name in paths})

    def _merge_part(self, part: SortedRows) -> Iterator[Put]:
        """New rows of some cells, together with what those cells and their shards hold already."""
        fresh, first, old_rows = self.cells.merged(part, self.tally.packing)
        self.tally.note_facts(part.coords, fresh)
        fresh = self.tally.packed(part.coords, fresh)
        note(self.plan, self.tally, part, first_number=first, first_row=old_rows)
        kept = self.cells.kept(part.coords)
        for name, array in self.plan.arrays.items():
            yield from array.encode(part.coords, fresh[name], kept.pop(name))

    def _displaced_puts(self) -> Iterator[Put]:
        """Stored objects that no row comes to, but that lose cells or change their type."""
        touched = self.tally.present(self.plan.vertices.ndim)
        vacated = self.displaced.vacated(self.plan.vertices, touched)
        for name, kept in self.cells.kept(vacated).items():
            if kept is not None:
                yield from self.plan.arrays[name].encode(vacated[:0], Blobs.from_list([]), kept)
        for name, spec in self.displaced.recoded.items():
            if spec.dtype != self.level.array_columns[name].dtype:
                yield from self.cells.widened(name, np.concatenate([touched, vacated]))

    def copies(self) -> Iterator[tuple[str, str]]:
        """Stored objects that keep their bytes under another name, because their grid's origin moved."""
        for old, array in self._arrays():
            if old.grid.origin != array.grid.origin:
                for source, target in renamed(old, array):
                    if target not in self.written:
                        yield source, target

    def _arrays(self) -> Iterator[tuple[CellArray, CellArray]]:
        """Every array on the level's grid, as it was and as it will be."""
        for name, array in self.plan.arrays.items():
            yield self.level.cells[name], array
        for name, array in self.new_links.items():
            yield self.old_links[name], array

    def deletes(self) -> Iterator[str]:
        """Old names of moved objects; those that are written again stay."""
        for old, array in self._arrays():
            if old.grid.origin != array.grid.origin:
                yield from (source for source, _ in renamed(old, array))
        yield from self.displaced.paths

    def _level_document(self) -> JsonObject:
        facts = self.level.metadata.to_json()
        facts["vertex_count"] = self.level.metadata.vertex_count + self.tally.rows
        if self.intake.next_row_id is not None:
            facts[constants.NEXT_ROW_ID] = self.intake.next_row_id
        if self.tally.packing is not None:
            facts["draco"] = self.tally.packing.facts()
        names = {*self.level.cells, *self.merge.names(self.level)}
        if self.links is not None:
            names |= self.links.names()
        metadata = type(self.level.metadata).parse(facts, where=f"{self.level.number}/zarr.json")
        indexed = self.tally.facts is not None
        return level_document(metadata, sorted(names), self.level.document, indexed=indexed)

    def final_bounds(self) -> tuple[FloatArray, FloatArray]:
        """The store's bounds once all rows are encoded."""
        return self.bounds if self.tally.packing is None else self.tally.packing.widened(self.bounds)

    def root(self) -> JsonObject:
        lo, hi = self.final_bounds()
        document = {**self.old_root.document, "attributes": dict(self.old_root.attributes)}
        types = self.old_root.metadata.geometry_types
        facts = self.old_root.metadata.replace(
            bounds=(tuple(lo.tolist()), tuple(hi.tolist())),
            geometry_types=tuple(dict.fromkeys((*types, self.kind.geometry_type))),
            **stamped_conventions(self.old_root.metadata, self.kind),
        )
        if facts.crs is None and self.options.crs is not None:
            facts = facts.replace(crs=self.options.crs)
        document["attributes"][constants.ROOT_KEY] = facts.to_json()
        if self.options.headers:
            known = document["attributes"].get(HEADER_NAMES) or []
            document["attributes"][HEADER_NAMES] = sorted({*known, *self.options.headers})
        return document

    def report(self) -> WriteReport:
        lo, hi = (tuple(corner.tolist()) for corner in self.final_bounds())
        packing = self.tally.packing
        before = tuple(tuple(float(v) for v in corner) for corner in self.old_root.metadata.bounds)
        touched = self.tally.present(self.plan.vertices.ndim)
        return WriteReport(
            url=self.storage.url,
            mode="append",
            vertex_count=self.tally.rows,
            total_vertices=self.level.metadata.vertex_count + self.tally.rows,
            chunk_count=len(touched),
            object_count=self.merge.new_objects,
            extended_objects=self.merge.extended,
            assigned_ids=self.merge.assigned,
            link_count=0 if self.links is None else self.links.sink.written,
            crossing_links=0 if self.links is None else self.links.sink.crossing,
            group_count=self.merge.group_count,
            dropped=self.intake.dropped,
            bounds=(lo, hi),
            grown_from=(before[0], before[1]) if before != (lo, hi) else None,
            chunk_shape=self.level.chunk_shape,
            shard_shape=self.plan.vertices.block if self.plan.vertices.document.is_sharded else None,
            bins_per_chunk=self.plan.bins,
            vertex_encoding=constants.ENCODING_RAW if packing is None else constants.ENCODING_DRACO,
            max_error=None if packing is None else packing.max_error,
        )
