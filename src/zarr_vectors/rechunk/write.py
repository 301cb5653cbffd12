"""What a rechunking writes: cells, links, manifests and documents; all else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import OWNERS_OF, group_document
from zarr_vectors.core.headers import level_document
from zarr_vectors.core.object_index import manifest_puts
from zarr_vectors.core.state import RootState
from zarr_vectors.encoding.manifests import ManifestTable, encode_manifests
from zarr_vectors.metadata.base import dump_json, parse_json
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.rechunk.intake import LevelIntake
from zarr_vectors.rechunk.links import SourceLinks
from zarr_vectors.rechunk.parts import LineParts
from zarr_vectors.rechunk.scan_plan import ScanPlan
from zarr_vectors.rechunk.target import Target
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.cell_facts import facts_of
from zarr_vectors.types.cell_reach import new_reach
from zarr_vectors.types.create import family_groups, presence_puts
from zarr_vectors.types.encode import Fragments, Tally, encode_table
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.links import LinkPlan, LinkSink, fill_sink
from zarr_vectors.types.objects import (
    ObjectTables,
    manifests_of,
    table_codecs,
    table_names,
    table_puts,
    worth_refs,
)
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.refill import Refill
from zarr_vectors.typing import IntArray, JsonObject

__all__ = ["Rewrite"]

_EMPTY_MANIFEST = 4
"""Bytes of the manifest of an object without fragments."""
_AXIS_KEYS = ("chunk_dims", "chunk_attribute_name", "chunk_attribute_values", "chunk_axis")
_TABLES = (constants.OBJECT_INDEX, constants.OBJECT_ATTRIBUTES, constants.GROUPS, constants.GROUP_ATTRIBUTES)


@dataclass(kw_only=True)
class Rewrite:
    """A level in other chunks, or with fewer rows.

    Args:
        source: The store as it is.
        root: Its root, with the bounds and the chunk shape that it is to have.
        kind: What the level holds.
        plan: How the level was read.
        target: Where everything goes.
        intake: The rows.
        numbers: Numbers that rows may have.
        links: The links; None for kinds whose links follow from order, or that have none.
        parts: What is left of lines; None where they are whole.
        tables: Objects and groups, where there are more than before.
        axis: What the level says of the axis before the spatial ones.
        facts: What else of its metadata changes.
        packing: How positions are rounded.
        across: Names below the level of families of links to other levels: they are written anew, or lead nowhere.
    """

    source: Storage
    root: RootState
    kind: Kind
    plan: ScanPlan
    target: Target
    intake: LevelIntake
    numbers: int
    links: SourceLinks | None
    parts: LineParts | None = None
    tables: ObjectTables | None = None
    axis: JsonObject = field(default_factory=dict)
    facts: JsonObject = field(default_factory=dict)
    packing: Packing | None = None
    across: Sequence[str] = ()
    tally: Tally = field(default_factory=Tally)
    sink: LinkSink | None = None
    _table_names: list[str] = field(default_factory=list)

    @property
    def ids(self) -> IntArray:
        """``(O,)`` object id of each row of the index."""
        return self.plan.ids if self.tables is None else self.tables.ids

    @cached_property
    def _old_keys(self) -> list[str]:
        """Stored objects of arrays that are written anew, and of links to other levels."""
        level = self.target.level
        names = [*level.cells, *level.link_documents]
        names += [name for name in (constants.OBJECT_MANIFESTS, constants.FRAGMENT_REFS) if name in level.tables]
        names += [] if self.tables is None else _TABLES
        families = (f"{constants.LINKS}/0", constants.LINK_FRAGMENTS)
        names += [*families, *self.across, constants.CELL_INDEX]
        prefixes = [f"{level.number}/{name}" for name in dict.fromkeys(names)]
        keys = [key for prefix in prefixes for key in self.source.list_keys(prefix, recursive=True)]
        return list(dict.fromkeys(keys))

    def deletes(self) -> Iterator[str]:
        """Paths that are gone afterwards, unless they are written again."""
        yield from self._old_keys

    def puts(self) -> Iterator[Put]:
        """Everything but the root document."""
        level, plan = self.target.level, self.target.plan
        self.tally.packing = self.packing
        if self.links is not None or self.plan.numbered:
            self.tally.make_places(plan, self.numbers, self.intake.folder)
        for table in self.intake.blocks(plan):
            yield from encode_table(plan, table, self.tally)
        yield from self._link_puts()
        present = self.tally.present(plan.vertices.ndim)
        yield from presence_puts(plan.arrays, present)
        for path, data in family_groups(level.number, list(plan.arrays)):
            if not self._has_group(path):
                yield path, data
        if level.object_index is not None:
            yield from self._object_puts()
        yield f"{level.number}/zarr.json", dump_json(self._level_document())

    def begin_facts(self) -> None:
        """Learn what the level's cell index is to say; before anything is written."""
        plan = self.target.plan
        dtype = plan.dtype if self.packing is None else None
        ndim = len(plan.chunk_shape)
        reach = None if self.plan.shared is not None else new_reach(self.kind.connects, ndim)
        self.tally.facts = facts_of(self.target.level.number, ndim, dtype, plan.columns, reach=reach)

    def index_puts(self, stamps: Stamps) -> Iterator[Put]:
        """The level's cell index."""
        arrays = self.target.plan.arrays
        if self.tally.facts is not None:
            yield from self.tally.facts.puts(arrays, self.tally.present(self.target.plan.vertices.ndim), stamps)

    def _has_group(self, path: str) -> bool:
        """Whether the store has a group, which is kept with all that it says."""
        return self.source.read_documents([path])[path] is not None

    def _link_puts(self) -> Iterator[Put]:
        level, plan, family = self.target.level, self.target.plan, self.target.level.links
        if self.links is None and self.kind.connects != "sequence":
            return
        coarse = bool(level.number) and family is None
        if coarse and self.links is None:
            # Coarser levels of other writers leave it to manifests alone to say what is connected.
            return
        self.sink = LinkSink(
            LinkPlan(
                level=level.number,
                cells=plan,
                width=self._width(),
                # Of trees every link leads from child to parent, whose order a permutation keeps.
                directed=family is not None and family.directed and self.kind.connects not in ("sequence", "tree"),
                columns={} if self.links is None else self.links.columns,
                array=self.target.array,
                always=self.links is not None and not coarse,
                leaves_implied=self.links is None or not self.links.parts,
            ),
            self.intake.folder,
            self.tally.reach,
        )
        if self.links is None:
            self._fill_from_order(self.sink)
        else:
            assert self.tally.places is not None
            self.links.fill(self.sink, self.tally.places)
        yield from self.sink.puts(lambda array, coords, cells: array.encode(coords, cells))
        for path, data in self.sink.documents():
            kept = self._merged_group(path, bytes(data))
            if kept is not None:
                yield kept
        if self.tally.reach is not None:
            self.tally.reach.linking = self.sink.linking()

    def _fill_from_order(self, sink: LinkSink) -> None:
        """Links that follow from the order of fragments along lines."""
        shared = self.plan.shared
        if shared is None:
            fill_sink(sink, self.intake, self.tally)
            return
        cells, rows = shared.crossings(self.tally.fragments(), self.target.plan, self.ids, self.parts)
        sink.add(cells, rows, {})

    def _has_faces(self) -> bool:
        return self.links is not None and self.links.scan.faces.exists()

    def _width(self) -> int:
        family = self.target.level.links
        if family is not None:
            return family.width
        return 3 if self._has_faces() else 2

    def _merged_group(self, path: str, data: bytes) -> Put | None:
        """A document of links with what its old one said beside; None for a bare group that is there already."""
        name = path.partition("/")[2].removesuffix("/zarr.json")
        document = parse_json(data, store=self.source.url, path=path)
        if document["node_type"] != "group":
            return path, data
        old = self.target.level.link_documents.get(name) or self.source.read_documents([path])[path]
        if old is not None and document["attributes"]:
            merged = {**(old.get("attributes") or {}), **document["attributes"]}
            return path, dump_json({**old, **group_document(merged)})
        return None if old is not None else (path, data)

    def _object_puts(self) -> Iterator[Put]:
        """The index: the same objects in the same rows, with their new fragments."""
        level, plan = self.target.level, self.target.plan
        ndim = plan.vertices.ndim
        if self.tables is not None:
            blobs = encode_manifests(self._manifests(), len(self.ids))
            with_refs = constants.FRAGMENT_REFS in level.tables or worth_refs(blobs.total)
            codecs = table_codecs(level)
            puts = table_puts(level.number, self.tables, blobs, ndim, codecs, with_refs=with_refs, owners_agree=True)
            self._table_names = table_names(self.tables, with_refs=with_refs)
            for path, data in Refill(root=self.root, level=level).described(puts):
                yield path, self._with_group(path, data)
            return
        header = {**(level.object_index or {}), "sid_ndim": ndim}
        if constants.OBJECT_MANIFESTS in level.tables:
            blobs = encode_manifests(self._manifests(), len(self.ids))
            if "num_present" in header:
                header["num_present"] = int(np.count_nonzero(blobs.sizes > _EMPTY_MANIFEST))
            array, with_refs = level.tables[constants.OBJECT_MANIFESTS], constants.FRAGMENT_REFS in level.tables
            yield from manifest_puts(array, blobs, ndim, with_refs=with_refs)
            header[OWNERS_OF] = [header.get("num_objects"), header.get("num_present")]
        yield f"{level.number}/{constants.OBJECT_INDEX}/zarr.json", dump_json(group_document(header))

    def _with_group(self, path: str, data: Any) -> Any:
        """The document of a bare group as it is, with all that it says; anything else as given."""
        if not path.endswith("/zarr.json") or bytes(data) != dump_json(group_document()):
            return data
        old = self.source.read_documents([path])[path]
        return data if old is None else dump_json(old)

    def _manifests(self) -> ManifestTable:
        """Fragments of the objects by row of the index."""
        plan, ids = self.target.plan, self.ids
        if self.plan.shared is not None:
            return self.plan.shared.manifests(self.tally.fragments(), plan, ids, self.parts)[0]
        order = np.argsort(ids, kind="stable")
        table = manifests_of(ids[order], _known(self.tally.fragments(), ids[order]), plan)
        rows = order[table.objects]
        by_row = np.argsort(rows, kind="stable")
        return ManifestTable(rows[by_row], table.chunks[by_row], table.fragments[by_row])

    def _level_document(self) -> JsonObject:
        level, plan = self.target.level, self.target.plan
        facts = {key: value for key, value in level.metadata.to_json().items() if key not in _AXIS_KEYS}
        facts |= {"vertex_count": self.tally.rows, "fragments_tile": True, **self.axis, **self.facts}
        facts.pop("shared_fragments", None)
        facts |= {"shared_fragments": True} if self.plan.shared is not None else {}
        differs = bool(level.number) and tuple(plan.chunk_shape) != tuple(self.root.metadata.chunk_shape)
        if differs or "chunk_shape" in facts:
            facts["chunk_shape"] = list(plan.chunk_shape)
        present = {name.partition("/")[0] for name in plan.arrays} - {constants.VERTEX_FRAGMENTS}
        # Fragment attributes that the library keeps for itself do not count.
        present -= set() if plan.per_fragment else {constants.FRAGMENT_ATTRIBUTES}
        links = [] if self.sink is None else self.sink.names()
        present |= {constants.LINKS} if links else set()
        gone = {constants.VERTEX_ATTRIBUTES, constants.LINKS} - present
        facts["arrays_present"] = [name for name in facts.get("arrays_present", []) if name not in gone]
        facts["arrays_present"] += sorted(present - set(facts["arrays_present"]))
        if self.packing is not None:
            facts["draco"] = self._draco_facts(self.packing)
        names = [*plan.arrays, *links, *level.tables, *self._table_names]
        names += [constants.OBJECT_INDEX] if level.object_index is not None else []
        metadata = self._with_factor(LevelMetadata.parse(facts, where=f"{level.number}/zarr.json"))
        # A level without cells has no index.
        indexed = self.tally.facts is not None and self.tally.rows > 0
        return level_document(metadata, names, level.document, indexed=indexed)

    def _with_factor(self, metadata: LevelMetadata) -> LevelMetadata:
        """How many times larger its bins are than those of the level it was made from, where these have changed."""
        facts, bins = metadata.pyramid, self.root.level_bin_shape(self.target.level.number)
        if facts is None or metadata.parent_level != 0 or len(facts.factor) != len(bins):
            return metadata
        base = self.root.level_bin_shape(0)
        factor = tuple(coarse / fine for coarse, fine in zip(bins, base, strict=True))
        return metadata.replace(pyramid=facts.replace(factor=factor)) if factor != tuple(facts.factor) else metadata

    def _draco_facts(self, packing: Packing) -> JsonObject:
        """How positions are rounded now, and what rounding has moved in all."""
        facts, old = packing.facts(), self.target.level.metadata.draco
        kept = {} if old is None else old.to_json()
        return {**kept, **facts, "max_error": facts["max_error"] + (0.0 if old is None else old.max_error)}


def _known(fragments: Fragments, ids: IntArray) -> Fragments:
    """Fragments of objects that the index has."""
    if not len(ids) or not len(fragments.owners):
        return Fragments.joined([])
    place = np.minimum(np.searchsorted(ids, fragments.owners), len(ids) - 1)
    keep = ids[place] == fragments.owners
    if keep.all():
        return fragments
    parts = {name: getattr(fragments, name) for name in ("owners", "cells", "numbers", "first_rows", "counts")}
    taken = {name: column[keep] for name, column in parts.items()}
    offsets = fragments.offsets[keep] if len(fragments.offsets) else fragments.offsets
    return Fragments(**taken, offsets=offsets)
