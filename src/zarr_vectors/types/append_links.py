"""Appending links: what the new ones mean for the family, and merging them into its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import decode_fragments, encode_fragments
from zarr_vectors.encoding.links import decode_grouped, encode_grouped
from zarr_vectors.exceptions import ConventionError, CorruptionError, InputError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.cells import CellArray, CellRead, read_cells
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.append_columns import filler, merge_categories
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.intake import Intake, casts_exactly
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.links import LinkPlan, LinkSink
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["LinkMerge", "link_arrays", "match_links"]

Kept = Callable[[CellArray, CellArray, IntArray], CellRead | None]
"""From an old and a new array and the cells written to the other cells of the same stored objects."""


def match_links(level: LevelState, kind: Kind, intake: Intake, options: WriteOptions) -> None:
    """Bring the new links to the policy and the attribute types of the level's.

    Raises:
        ConventionError: The level keeps its links in another way than the new ones would be.
        InputError: Another number of corners, or an attribute that is missing, unknown, or of another type.
    """
    family = level.links
    if not kind.is_linked or family is None:
        return
    if family.duplicate or (kind.connects != "links" and family.directed):
        raise ConventionError(
            "links cannot be added to a level that stores them in this way",
            store=level.store,
            array=f"{level.number}/{constants.LINKS}/0",
            got="a copy for every chunk" if family.duplicate else "directed links",
            hint="write the store anew first",
        )
    odd = [segment.array.path for segment in family.segments.values() if segment.dtype != np.dtype("<i8")]
    if odd:
        raise ConventionError(
            "links can be added to records of 64 bits only",
            store=level.store,
            array=odd[0],
            hint="write the store anew",
        )
    if kind.connects == "sequence":
        return
    if intake.link_width != family.width:
        raise InputError(
            "faces must have as many corners as those of the store", expected=family.width, got=intake.link_width
        )
    if intake.directed != family.directed:
        raise InputError("directed must be that of the store", expected=family.directed, got=intake.directed)
    _match_columns(family, intake, options)


def _match_columns(family: LinkFamily, intake: Intake, options: WriteOptions) -> None:
    unknown = [name for name in intake.link_columns if name not in family.columns]
    if unknown:
        raise InputError(
            f"the level's links have no attribute {unknown[0]!r}", expected=f"only {sorted(family.columns)}"
        )
    columns: dict[str, ColumnSpec] = {}
    lookups: dict[str, AnyArray] = {}
    for name, old in family.columns.items():
        if name not in intake.link_columns:
            intake.add_link_constant(name, *filler(name, old, options.fill))
        new = intake.link_columns[name]
        if old.categories is None:
            _check_fits(name, old, new, intake)
            columns[name] = old
            continue
        columns[name], lookups[name] = merge_categories(name, old, new)
        if columns[name].dtype != old.dtype:
            raise InputError(
                f"the categories of link attribute {name!r} do not fit the type of its codes",
                expected=str(old.dtype),
                got=f"{len(columns[name].categories or ())} categories, or missing values",
                hint="write the store anew with all links",
            )
    intake.recode_links(columns, lookups)


def _check_fits(name: str, old: ColumnSpec, new: ColumnSpec, intake: Intake) -> None:
    fits = new.categories is None and new.channels == old.channels
    if fits and new.dtype != old.dtype:
        fits = all(casts_exactly(table.columns[name], old.dtype) for table in intake.links())
    if not fits:
        raise InputError(
            f"link attribute {name!r} must be {old.dtype} of {old.channels} channels, as in the store",
            got="text" if new.categories is not None else f"{new.dtype} of {new.channels} channels",
        )


def link_arrays(level: LevelState) -> dict[str, CellArray]:
    """Every array of links of a level, by name."""
    return {
        name: CellArray(f"{level.number}/{name}", ArrayDocument.parse(document, where=name), level.store)
        for name, document in level.link_documents.items()
        if document.get("node_type") == "array"
    }


@dataclass
class LinkMerge:
    """Links of a level, old and new.

    Args:
        old: Arrays as they are.
        new: The same on the grid that the level grows to.
        kept: Finds cells that stay in stored objects that are written again.
    """

    storage: Storage
    level: LevelState
    cells: CellPlan
    intake: Intake
    old: Mapping[str, CellArray]
    new: Mapping[str, CellArray]
    kept: Kept
    sink: LinkSink = field(init=False)

    def __post_init__(self) -> None:
        width = self.intake.link_width
        same_shards = all(
            array.block == self.cells.vertices.block and array.grid.origin == self.cells.vertices.grid.origin
            for array in self.new.values()
        )
        plan = LinkPlan(
            level=self.level.number,
            cells=self.cells,
            width=width,
            directed=self.intake.directed,
            columns=self.intake.link_columns,
            array=self._array,
            always=self.cells.connects != "sequence",
        )
        # Where shards differ, all cells of one come together only if all links are in memory.
        self.sink = LinkSink(plan, self.intake.folder if same_shards else None)

    def _array(self, name: str, said: JsonObject) -> CellArray:
        if name in self.new:
            array = self.new[name]
            return replace(array, document=array.document.with_attributes(**said))
        return self.level.array_beside(self.cells.vertices, name, said)

    def puts(self) -> Iterator[Put]:
        """Cells of all segments that get links, and every document that changes."""
        yield from self.sink.puts(self._encode)
        told = dict(self.sink.documents(self._old_links()))
        family = f"{self.level.number}/{constants.LINKS}/0/zarr.json"
        if family in told and self._family_document() is not None:
            told[family] = dump_json(self._counted(self._family_document() or {}))
        for name, array in self.new.items():
            path = f"{array.path}/zarr.json"
            if path not in told and array != self.old[name]:
                told[path] = dump_json(array.document.to_json())
        for name, spec in self.intake.link_columns.items():
            told |= self._with_categories(name, spec, told)
        yield from told.items()

    def _family_document(self) -> JsonObject | None:
        return self.level.link_documents.get(f"{constants.LINKS}/0")

    def _old_links(self) -> int:
        family = self.level.links
        return 0 if family is None else int(family.links or 0)

    def _counted(self, document: JsonObject) -> JsonObject:
        """A family's own document with more links; counts that it does not have stay out."""
        attributes = dict(document.get("attributes") or {})
        for key in ("num_links", "num_physical_records"):
            if attributes.get(key) is not None:
                attributes[key] = int(attributes[key]) + self.sink.written
        return {**document, "attributes": attributes}

    def _with_categories(self, name: str, spec: ColumnSpec, told: Mapping[str, Any]) -> dict[str, bytes]:
        """Documents of segments that got no links, where the list of categories has grown."""
        family = self.level.links
        old = None if family is None else family.columns.get(name)
        if old is None or old.categories == spec.categories:
            return {}
        prefix = f"{constants.LINK_ATTRIBUTES}/{name}/0/"
        return {
            f"{array.path}/zarr.json": dump_json(array.document.with_attributes(**spec.attributes()).to_json())
            for path, array in self.new.items()
            if path.startswith(prefix) and f"{array.path}/zarr.json" not in told
        }

    def names(self) -> set[str]:
        """Names below the level of every array and group of links."""
        return {*self.level.link_documents, *self.sink.names()}

    def _encode(self, array: CellArray, coords: IntArray, cells: Blobs) -> Iterator[Put]:
        name = array.path.partition("/")[2]
        old = self.old.get(name)
        if old is None:
            yield from array.encode(coords, cells)
            return
        there = old.has(coords)
        if there.any():
            (read,) = read_cells(self.storage, [(old, coords[there])])
            cells = self._merged(name, read.check(), there, cells)
        elif name.startswith(constants.LINK_ATTRIBUTES) and self._lacks_values(name, coords):
            raise CorruptionError(
                "a chunk with links lacks values of an attribute, so that links cannot be appended to it",
                store=self.level.store,
                array=array.path,
            )
        yield from array.encode(coords, cells, self.kept(old, array, coords))

    def _lacks_values(self, name: str, coords: IntArray) -> bool:
        """Whether any of these cells has links already, but no values of an attribute."""
        segment = self.old.get(f"{constants.LINKS}/0/{name.rpartition('/')[2]}")
        return segment is not None and bool(segment.has(coords).any())

    def _merged(self, name: str, read: CellRead, there: AnyArray, fresh: Blobs) -> Blobs:
        """Old records and then new ones, cell by cell."""
        items: list[Any] = list(fresh.views())
        rows = np.flatnonzero(there).tolist()
        if name == constants.LINK_FRAGMENTS:
            merged = self._merged_fragments(read, fresh.take(np.flatnonzero(there)))
        elif name.startswith(constants.LINKS) and self._is_grouped(name):
            merged = self._merged_groups(read, fresh.take(np.flatnonzero(there)))
        else:
            merged = [b"".join([old, items[row]]) for row, old in zip(rows, read.cells.views(), strict=True)]
        for row, item in zip(rows, merged, strict=True):
            items[row] = item
        return Blobs.from_list(items)

    def _is_grouped(self, name: str) -> bool:
        family = self.level.links
        return family is not None and not family.segments[name.rpartition("/")[2]].is_plain

    def _merged_groups(self, read: CellRead, fresh: Blobs) -> list[Any]:
        assert self.level.links is not None
        segment = self.level.links.segments[read.array.path.rpartition("/")[2]]
        width = self.level.links.width + segment.has_perm
        old, before, errors = decode_grouped(read.cells, segment.dtype, width)
        if errors:
            raise self._corrupt(read, min(errors), errors[min(errors)])
        new, after, _ = decode_grouped(fresh, np.dtype("<i8"), width)
        cell = np.concatenate([np.repeat(np.arange(len(before)), before), np.repeat(np.arange(len(after)), after)])
        rows = np.concatenate([old, new.astype(segment.dtype)])[np.argsort(cell, kind="stable")]
        return list(encode_grouped(rows, before + after).views())

    def _merged_fragments(self, read: CellRead, fresh: Blobs) -> list[Any]:
        """Old groups of links and then one of the new ones."""
        old, errors = decode_fragments(read.cells)
        if errors:
            raise self._corrupt(read, min(errors), errors[min(errors)])
        new, _ = decode_fragments(fresh)
        ends = offsets_of(old.per_cell)
        listed = iter(np.split(old.explicit, np.cumsum(old.counts[old.starts < 0])[:-1]))
        merged = []
        for cell, added in enumerate(new.counts.tolist()):
            span = range(int(ends[cell]), int(ends[cell + 1]))
            groups: list[Any] = [
                (int(old.starts[i]), int(old.counts[i])) if old.starts[i] >= 0 else next(listed) for i in span
            ]
            rows = sum(int(old.counts[i]) for i in span)
            merged.append(encode_fragments([*groups, (rows, added)]))
        return merged

    def _corrupt(self, read: CellRead, row: int, what: str) -> CorruptionError:
        return CorruptionError(
            "a cell of links is corrupt",
            store=self.level.store,
            array=read.array.path,
            cell=format_keys(read.coords[row : row + 1])[0],
            got=what,
        )
