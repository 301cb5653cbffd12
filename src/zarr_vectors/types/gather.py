"""The end of a job of partitioned writers: levels that share a grid and no shard become one, as one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import Linking
from zarr_vectors.core.cell_reach import outgoing
from zarr_vectors.core.documents import group_document
from zarr_vectors.core.headers import level_document
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests
from zarr_vectors.exceptions import ConcurrentEditError, CorruptionError, InputError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.storage.tables import read_tables
from zarr_vectors.types.append_tables import with_more_objects
from zarr_vectors.types.bare import is_bare, takes_any_columns
from zarr_vectors.types.cell_facts import CellFacts, can_index, facts_of_level, still_true
from zarr_vectors.types.conventions import check_ids, stamped_conventions
from zarr_vectors.types.gather_cells import ArrayMerge, Part, arrays_of, check_apart, union_of
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.objects import ObjectTables, check_tables, table_codecs, table_names, table_puts, worth_refs
from zarr_vectors.types.report import WriteReport
from zarr_vectors.types.unite import merge_tables
from zarr_vectors.typing import IntArray, JsonObject

__all__ = ["Part", "gather", "without_job"]

_OWN_FACTS = frozenset({constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET})


def gather(
    storage: Storage, root: RootState, level: LevelState, parts: Sequence[Part], kind: Kind, job: str
) -> WriteReport:
    """Make the rows of all parts rows of a level, and end the job, as one commit.

    Args:
        parts: Each the level 0 of a store of its own, on the same grid, in the order in which ids are given out.
        kind: Of the level.
        job: Its id, which the root document names.

    Raises:
        ConcurrentEditError: Parts share shards with each other or with the level, or the level is not as it was.
        InputError: Object ids that exist, or that several parts have and may not; tables that contradict each other.
    """
    filled = [part for part in parts if len(part.level.vertices.present)]
    check_apart(filled, level, storage.url)
    work = _Gather(storage, root, level, _shifted(storage, level, filled), kind, job)
    work.check()
    last = work.learn() if can_index(storage) else None
    storage.commit(Batch(puts=work.puts(), root=work.root, copies=work.copies(), last=last))
    return work.report()


def _shifted(storage: Storage, level: LevelState, parts: Sequence[Part]) -> list[Part]:
    """The parts with what their row ids, and object ids that the library gave out, grow by."""
    row = level.metadata.next_row_id
    ids = [read_level_tables(part.storage, part.level, only=()).ids for part in parts]
    known = [read_level_tables(storage, level, only=()).ids] if level.has_objects else []
    given = [found for part, found in zip(parts, ids, strict=True) if not part.assigned]
    free = max((int(found.max(initial=-1)) for found in [*known, *given]), default=-1) + 1
    shifted: list[Part] = []
    for part, found in zip(parts, ids, strict=True):
        shifted.append(replace(part, row_shift=row, id_shift=free if part.assigned else 0))
        row += part.level.metadata.next_row_id
        free += int(found.max(initial=-1)) + 1 if part.assigned else 0
    return shifted


@dataclass
class _Gather:
    """One job's end."""

    storage: Storage
    old_root: RootState
    level: LevelState
    parts: list[Part]
    kind: Kind
    job: str
    arrays: list[ArrayMerge] = field(default_factory=list)
    _facts: CellFacts | None = None

    def check(self) -> None:
        """Refuse what does not fit, before anything is written."""
        self._check_columns()
        mine, others = arrays_of(self.level), [arrays_of(part.level) for part in self.parts]
        for name in union_of(mine, others):
            held = [(part, other[name]) for part, other in zip(self.parts, others, strict=True) if name in other]
            if held:
                self.arrays.append(ArrayMerge(name, self.level, self.storage, mine.get(name), held))
        if self._tables is not None:
            check_ids(self.old_root.metadata, self._tables[0].ids, self.storage.url)

    def _check_columns(self) -> None:
        """Rows of all parts need values in every array of rows, those of the level included."""
        expected = {*self.level.cells}
        if self.parts and takes_any_columns(self.level):
            expected |= {*self.parts[0].level.cells}
        if is_bare(self.level) and any(part.level.has_objects for part in self.parts):
            expected |= _OWN_FACTS & {name for part in self.parts for name in part.level.cells}
        for part in self.parts:
            odd = expected ^ {*part.level.cells}
            if odd or part.root.metadata.base_bin_shape != self.old_root.metadata.base_bin_shape:
                raise ConcurrentEditError(
                    "a part has not the attributes, objects or bins that the store and the other parts have",
                    store=self.storage.url,
                    got=f"part {part.name!r}" + (f", array {min(odd)}" if odd else ""),
                    hint="declare attributes and objects with zv.create, and write all parts alike",
                )

    # Tables

    @cached_property
    def _tables(self) -> tuple[ObjectTables, Blobs, int] | None:
        """The tables of objects, a manifest for each, and how many are new; None where no part has objects."""
        parts = [part for part in self.parts if part.level.has_objects]
        if not parts:
            return None
        read = [_tables_of(part) for part in parts]
        self._check_ids([part.name for part in parts], [tables.ids for tables, _ in read])
        fresh = merge_tables([tables for tables, _ in read])
        references = [
            ManifestTable(np.searchsorted(fresh.ids, tables.ids[found.objects]), found.chunks, found.fragments)
            for tables, found in read
        ]
        added = encode_manifests(ManifestTable.joined(references), len(fresh.ids))
        if not self.level.has_objects:
            check_tables(fresh)
            return fresh, added, len(fresh.ids)
        old = read_level_tables(self.storage, self.level)
        self._check_new(old.ids, fresh.ids)
        (manifests,) = read_tables(self.storage, [(self.level.tables[constants.OBJECT_MANIFESTS], None)])
        united = with_more_objects(old, fresh, np.zeros(len(fresh.ids), dtype=bool), {})
        return united, Blobs.concatenate([manifests, added]), len(fresh.ids)

    def _check_ids(self, names: list[str], ids: list[IntArray]) -> None:
        """Points may share an object; what is connected must be whole in one part."""
        if self.kind.connects == "nothing":
            return
        owner = np.repeat(np.arange(len(ids)), [len(found) for found in ids])
        joined = np.concatenate(ids)
        order = np.argsort(joined, kind="stable")
        twice = np.flatnonzero(joined[order][1:] == joined[order][:-1])
        if len(twice):
            first, other = owner[order[twice[0]]], owner[order[twice[0] + 1]]
            raise InputError(
                f"an object of kind {self.kind.geometry_type} must be whole in one part",
                store=self.storage.url,
                got=f"object {joined[order[twice[0]]]} in parts {names[first]!r} and {names[other]!r}",
                hint="give its pieces ids of their own, or let one process append what crosses regions after finish",
            )

    def _check_new(self, old: IntArray, fresh: IntArray) -> None:
        known = fresh[np.isin(fresh, old)]
        if len(known):
            raise InputError(
                "object_ids exist in the store already",
                store=self.storage.url,
                got=f"{len(known)} of {len(fresh)}, the first is {int(known[0])}",
                hint="nothing was published; cancel the job and write the parts again with other ids",
            )

    # What is written

    def puts(self) -> Iterator[Put]:
        """Everything but what only gets another name."""
        for array in self.arrays:
            yield from array.puts()
        number = self.level.number
        for name, document in self._groups():
            yield f"{number}/{name}/zarr.json", dump_json(document)
        if self._tables is not None:
            tables, manifests, _ = self._tables
            ndim, codecs = self.level.vertices.ndim, table_codecs(self.level)
            agree = self.level.owners_agree and all(part.level.owners_agree for part in self.parts)
            puts = table_puts(number, tables, manifests, ndim, codecs, with_refs=self._with_refs, owners_agree=agree)
            yield from puts
        yield f"{number}/zarr.json", dump_json(self._level_document())

    def learn(self) -> Callable[[Stamps], Iterator[Put]]:
        """Take the facts of all cells from the indexes of the level and of the parts."""
        columns = dict(self.level.vertex_columns)
        for part in self.parts:
            columns = {**part.level.vertex_columns, **columns}
        self._facts = facts_of_level(self.storage, self.level, columns)
        for part in self.parts:
            known = still_true(part.storage, part.level)
            if known is not None:
                self._facts.adopt(known, [array.name for array in self.arrays if array.changes(part)])
        return self._index_puts

    def _index_puts(self, stamps: Stamps) -> Iterator[Put]:
        arrays = {**self.level.cells, **{merge.name: merge.array for merge in self.arrays}}
        held = [self.level.vertices.present, *(part.level.vertices.present for part in self.parts)]
        if self._facts is not None:
            if self._facts.reach is not None:
                self._facts.reach.linking = self._linking(by_record=self._facts.reach.by == "records")
            yield from self._facts.puts(arrays, np.unique(np.concatenate(held), axis=0), stamps)

    def _linking(self, *, by_record: bool) -> Linking:
        """Links between cells: those of the level and of all parts; none leads from one of these to another."""
        held = {one.array.path: (one.array, one.array.present) for one in outgoing(self.level.links)}
        for merge in self.arrays:
            offsets = merge.array.document.attributes.get("offsets")
            if merge.name.startswith(f"{constants.LINKS}/0/") and np.any(offsets):
                held[merge.array.path] = merge.array, merge.present()
        return Linking([*held.values()], by_record)

    def _groups(self) -> Iterator[tuple[str, JsonObject]]:
        """Documents of groups above arrays: families of links with more links, and those that are new."""
        told: dict[str, JsonObject] = {}
        for level in (self.level, *(part.level for part in self.parts)):
            for name, document in level.link_documents.items():
                if document.get("node_type") == "group":
                    told[name] = document if name not in told else _counted(told[name], document)
        above = {name.rsplit("/", depth)[0] for name in self._names() for depth in range(1, name.count("/") + 1)}
        known = {*self.level.cells, *self.level.link_documents}
        old = {name.rsplit("/", depth)[0] for name in known for depth in range(1, name.count("/") + 1)}
        yield from told.items()
        yield from ((name, group_document()) for name in sorted(above - old - {*told}))

    def _names(self) -> list[str]:
        """Every array and family of links below the level."""
        return [*(array.name for array in self.arrays), *(n for part in self.parts for n in part.level.link_documents)]

    def copies(self) -> Iterator[tuple[str, str]]:
        """Objects that only get another name."""
        for array in self.arrays:
            yield from array.copies()

    @cached_property
    def _with_refs(self) -> bool:
        assert self._tables is not None
        return constants.FRAGMENT_REFS in self.level.tables or worth_refs(self._tables[1].total)

    def _level_document(self) -> JsonObject:
        levels = [self.level, *(part.level for part in self.parts)]
        facts = self.level.metadata.to_json()
        facts["vertex_count"] = sum(level.metadata.vertex_count for level in levels)
        facts["fragments_tile"] = all(level.metadata.fragments_tile for level in levels)
        facts["arrays_present"] = list(dict.fromkeys(n for level in levels for n in level.metadata.arrays_present))
        if self.level.keeps_row_ids:
            facts[constants.NEXT_ROW_ID] = sum(level.metadata.next_row_id for level in levels)
        names = {*self.level.tables, *(name for level in levels for name in (*level.cells, *level.link_documents))}
        if self._tables is not None:
            names |= {*table_names(self._tables[0], with_refs=self._with_refs)}
        metadata = LevelMetadata.parse(facts, where=f"{self.level.number}/zarr.json")
        return level_document(metadata, sorted(names), self.level.document, indexed=self._facts is not None)

    def root(self) -> JsonObject:
        """The root document, without the job."""
        attributes = dict(self.old_root.attributes)
        old = self.old_root.metadata
        if self.parts:
            types = tuple(dict.fromkeys((*old.geometry_types, self.kind.geometry_type)))
            facts = old.replace(geometry_types=types, **stamped_conventions(old, self.kind))
            attributes[constants.ROOT_KEY] = facts.to_json()
        return {**self.old_root.document, "attributes": without_job(attributes, self.job)}

    def report(self) -> WriteReport:
        """What has been added."""
        level, tables = self.level, self._tables
        lo, hi = (tuple(float(v) for v in corner) for corner in self.old_root.metadata.bounds)
        rows = sum(part.level.metadata.vertex_count for part in self.parts)
        return WriteReport(
            url=self.storage.url,
            mode="append",
            vertex_count=rows,
            total_vertices=level.metadata.vertex_count + rows,
            chunk_count=sum(len(part.level.vertices.present) for part in self.parts),
            object_count=0 if tables is None else tables[2],
            group_count=0 if tables is None else sum(len(members) > 0 for members in tables[0].groups.values()),
            bounds=(lo, hi),
            chunk_shape=level.chunk_shape,
            shard_shape=level.vertices.block if level.vertices.document.is_sharded else None,
            bins_per_chunk=self.old_root.metadata.bins_per_chunk,
        )


def _counted(document: JsonObject, more: JsonObject) -> JsonObject:
    """The document of a family with the links of another one; counts that it does not have stay out."""
    attributes, other = dict(document.get("attributes") or {}), more.get("attributes") or {}
    for key in ("num_links", "num_physical_records"):
        if attributes.get(key) is not None:
            attributes[key] = int(attributes[key]) + int(other.get(key) or 0)
    return {**document, "attributes": attributes}


def _tables_of(part: Part) -> tuple[ObjectTables, ManifestTable]:
    """The tables of a part's objects, and the references of its manifests by row."""
    read = read_level_tables(part.storage, part.level)
    (blobs,) = read_tables(part.storage, [(part.level.tables[constants.OBJECT_MANIFESTS], None)])
    found, errors = decode_manifests(blobs, part.level.vertices.ndim)
    if errors:
        raise CorruptionError("an object manifest of a part is corrupt", store=part.storage.url, got=str(errors))
    groups = {group: members + part.id_shift for group, members in enumerate(read.groups.members) if len(members)}
    tables = ObjectTables(
        ids=read.ids + part.id_shift,
        attributes=read.attributes,
        groups=groups,
        group_attributes=read.group_attributes if groups else {},
    )
    return tables, found


def without_job(attributes: JsonObject, job: str) -> JsonObject:
    """Root attributes that do not name a job."""
    left = {key: value for key, value in (attributes.get(constants.JOBS_KEY) or {}).items() if key != job}
    rest = {key: value for key, value in attributes.items() if key != constants.JOBS_KEY}
    return rest | ({constants.JOBS_KEY: left} if left else {})
