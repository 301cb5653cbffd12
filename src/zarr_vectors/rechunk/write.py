"""What a rechunking writes: cells, links, manifests and documents; all else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import group_document
from zarr_vectors.core.headers import level_document
from zarr_vectors.core.object_index import manifest_puts
from zarr_vectors.core.state import RootState
from zarr_vectors.encoding.manifests import ManifestTable, encode_manifests
from zarr_vectors.metadata.base import dump_json, parse_json
from zarr_vectors.metadata.ngff import dataset_entry, level_transform, upsert_dataset
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.rechunk.binning import Binning
from zarr_vectors.rechunk.intake import LevelIntake
from zarr_vectors.rechunk.links import SourceLinks
from zarr_vectors.rechunk.spec import RechunkSpec
from zarr_vectors.rechunk.target import Target
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.create import family_groups, presence_puts
from zarr_vectors.types.encode import Fragments, Tally, encode_table
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.links import LinkPlan, LinkSink, fill_sink
from zarr_vectors.types.objects import manifests_of
from zarr_vectors.types.places import Places
from zarr_vectors.types.quantise import Packing
from zarr_vectors.typing import IntArray, JsonObject

__all__ = ["Rewrite"]

_AXIS_KEYS = ("chunk_dims", "chunk_attribute_name", "chunk_attribute_values", "chunk_axis", "shared_fragments")


@dataclass
class Rewrite:
    """A level in other chunks.

    Args:
        source: The store as it is.
        root: Its root.
        kind: What the level holds.
        spec: By what it is chunked.
        target: Where everything goes.
        intake: The rows.
        links: The links; None for kinds whose links follow from order, or that have none.
        ids: ``(O,)`` object id of each row of the index.
        binning: Bins of the new axis.
        extra: Whether the bin behind the last has rows.
        said: What the array of the attribute that the chunk keys say would state.
        name: Of the store that is written.
        packing: How positions are rounded.
    """

    source: Storage
    root: RootState
    kind: Kind
    spec: RechunkSpec
    target: Target
    intake: LevelIntake
    links: SourceLinks | None
    ids: IntArray
    binning: Binning
    extra: bool
    said: JsonObject | None
    name: str
    packing: Packing | None
    tally: Tally = field(default_factory=Tally)
    sink: LinkSink | None = None

    @cached_property
    def _old_keys(self) -> list[str]:
        """Stored objects of arrays that are written anew, and of links to levels that do not exist."""
        level = self.target.level
        names = [*level.cells, *level.link_documents]
        names += [name for name in (constants.OBJECT_MANIFESTS, constants.FRAGMENT_REFS) if name in level.tables]
        families = (f"{constants.LINKS}/0", constants.LINK_FRAGMENTS)
        prefixes = [f"{level.number}/{name}" for name in dict.fromkeys([*names, *families, *self.dangling])]
        keys = [key for prefix in prefixes for key in self.source.list_keys(prefix, recursive=True)]
        return list(dict.fromkeys(keys))

    @cached_property
    def dangling(self) -> list[str]:
        """Links to levels that do not exist: they name rows that move, and lead nowhere."""
        number = self.target.level.number
        folders = [f"{number}/{constants.LINKS}"]
        attributes = self.source.list_children([f"{number}/{constants.LINK_ATTRIBUTES}"])
        folders += [key.rstrip("/") for keys in attributes.values() for key in keys if key.endswith("/")]
        found = [key.rstrip("/") for keys in self.source.list_children(folders).values() for key in keys]
        return sorted(key.split("/", 1)[1] for key in found if key.rpartition("/")[2].startswith(("+", "-")))

    def deletes(self) -> Iterator[str]:
        """Paths that are gone afterwards, unless they are written again."""
        yield from self._old_keys

    def puts(self) -> Iterator[Put]:
        """Everything but the root document."""
        level, plan = self.target.level, self.target.plan
        self.tally.packing = self.packing
        if self.links is not None:
            self.tally.places = Places.of(self.links.scan.numbers, plan.vertices.grid.cells, self.intake.folder)
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

    def _has_group(self, path: str) -> bool:
        """Whether the store has a group, which is kept with all that it says."""
        return self.source.read_documents([path])[path] is not None

    def _link_puts(self) -> Iterator[Put]:
        level, plan, family = self.target.level, self.target.plan, self.target.level.links
        if self.links is None and self.kind.connects != "sequence":
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
                always=self.links is not None,
                leaves_implied=self.links is None or not self.links.parts,
            ),
            self.intake.folder,
        )
        if self.links is None:
            fill_sink(self.sink, self.intake, self.tally)
        else:
            assert self.tally.places is not None
            self.links.fill(self.sink, self.tally.places)
        yield from self.sink.puts(lambda array, coords, cells: array.encode(coords, cells))
        for path, data in self.sink.documents():
            kept = self._merged_group(path, bytes(data))
            if kept is not None:
                yield kept

    def _width(self) -> int:
        family = self.target.level.links
        if family is not None:
            return family.width
        return 3 if self.links is not None and self.links.scan.faces.exists() else 2

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
        header = {**(level.object_index or {}), "sid_ndim": plan.vertices.ndim}
        yield f"{level.number}/{constants.OBJECT_INDEX}/zarr.json", dump_json(group_document(header))
        if constants.OBJECT_MANIFESTS not in level.tables:
            return
        order = np.argsort(self.ids, kind="stable")
        fragments = _known(self.tally.fragments(), self.ids[order])
        table = manifests_of(self.ids[order], fragments, plan)
        rows = order[table.objects]
        by_row = np.argsort(rows, kind="stable")
        manifests = ManifestTable(rows[by_row], table.chunks[by_row], table.fragments[by_row])
        array = level.tables[constants.OBJECT_MANIFESTS]
        blobs = encode_manifests(manifests, len(self.ids))
        with_refs = constants.FRAGMENT_REFS in level.tables
        yield from manifest_puts(array, blobs, plan.vertices.ndim, with_refs=with_refs)

    def _level_document(self) -> JsonObject:
        level, plan = self.target.level, self.target.plan
        facts = {key: value for key, value in level.metadata.to_json().items() if key not in _AXIS_KEYS}
        facts |= {"vertex_count": self.tally.rows, "fragments_tile": True}
        if "chunk_shape" in facts:
            facts["chunk_shape"] = list(plan.chunk_shape)
        present = {name.partition("/")[0] for name in plan.arrays} - {constants.VERTEX_FRAGMENTS}
        # Fragment attributes that the library keeps for itself do not count.
        present -= set() if plan.per_fragment else {constants.FRAGMENT_ATTRIBUTES}
        links = [] if self.sink is None else self.sink.names()
        present |= {constants.LINKS} if links else set()
        gone = {constants.VERTEX_ATTRIBUTES, constants.LINKS} - present
        facts["arrays_present"] = [name for name in facts.get("arrays_present", []) if name not in gone]
        facts["arrays_present"] += sorted(present - set(facts["arrays_present"]))
        if self.binning.has_axis:
            facts |= self._axis()
        if self.packing is not None:
            facts["draco"] = self._draco_facts(self.packing)
        names = [*plan.arrays, *links, *level.tables]
        names += [constants.OBJECT_INDEX] if level.object_index is not None else []
        metadata = LevelMetadata.parse(facts, where=f"{level.number}/zarr.json")
        return level_document(metadata, names, level.document)

    def _axis(self) -> JsonObject:
        """What the level says of the axis before the spatial ones."""
        binning = self.binning
        said: JsonObject = {"chunk_dims": [self.spec.dimension_name, *(axis.name for axis in self.root.axes)]}
        if binning.values is not None:
            said["chunk_attribute_name"] = binning.attribute
            said["chunk_attribute_values"] = [*binning.values, *([None] if self.extra else [])]
        said["chunk_axis"] = binning.axis(self.spec.by, extra=self.extra, array=self.said).to_json()
        return said

    def _draco_facts(self, packing: Packing) -> JsonObject:
        """How positions are rounded now, and what rounding has moved in all."""
        facts, old = packing.facts(), self.target.level.metadata.draco
        kept = {} if old is None else old.to_json()
        return {**kept, **facts, "max_error": facts["max_error"] + (0.0 if old is None else old.max_error)}

    def root_document(self) -> JsonObject:
        """The root: chunk and bin shape, and the name of another store; the rest as it was."""
        document = {**self.root.document, "attributes": dict(self.root.attributes)}
        attributes = document["attributes"]
        attributes.pop(constants.COMMIT_KEY, None)
        shape = self.target.plan.chunk_shape
        facts = self.root.metadata
        changes: JsonObject = {}
        if tuple(shape) != tuple(facts.chunk_shape):
            changes["chunk_shape"] = shape
        if self.packing is not None:
            low, high = (np.asarray(corner, dtype=np.float64) for corner in facts.bounds)
            low, high = self.packing.widened((low, high))
            changes["bounds"] = (tuple(low.tolist()), tuple(high.tolist()))
        if changes:
            facts = facts.replace(**changes)
        attributes[constants.ROOT_KEY] = facts.to_json()
        if "chunk_shape" in changes and facts.base_bin_shape is None and self.root.offset is None:
            block = attributes["multiscales"]
            scale, _ = level_transform(block, 0)
            half = [float(edge) / 2 for edge in shape]
            attributes["multiscales"] = upsert_dataset(block, dataset_entry(0, scale or [1.0] * len(shape), half))
        node = attributes.get("ome")
        if isinstance(node, dict) and node.get("name") == self.source.name:
            attributes["ome"] = {**node, "name": self.name}
        return document


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
