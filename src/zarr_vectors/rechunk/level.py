"""One level on its way into other chunks: what can be refused, what is read, and what is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError, StoreError
from zarr_vectors.query.draco import check_unordered
from zarr_vectors.query.objects import ObjectRefs, all_refs
from zarr_vectors.query.rows import cells_of
from zarr_vectors.query.tables import LevelTables
from zarr_vectors.rechunk.binning import Binning
from zarr_vectors.rechunk.columns import chunk_column_kept, stored_columns
from zarr_vectors.rechunk.intake import LevelIntake, level_intake
from zarr_vectors.rechunk.links import SourceLinks, link_specs
from zarr_vectors.rechunk.parts import LineParts
from zarr_vectors.rechunk.scan_plan import Cut, Scan, ScanPlan, SeveralOwnersError
from zarr_vectors.rechunk.shared import SharedFragments, names_twice
from zarr_vectors.rechunk.source import scan, without_lines
from zarr_vectors.rechunk.target import Target, array_attributes, plan_target
from zarr_vectors.rechunk.write import Rewrite
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.fragment_check import check_fragments
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.quantise import Packing
from zarr_vectors.typing import JsonObject

__all__ = ["LevelJob", "check_level"]


@dataclass(kw_only=True)
class LevelJob:
    """A level that is read, and written in other chunks or with fewer rows.

    Args:
        source: The store as it is.
        root: Its root, with the bounds and the chunk shape that it is to have.
        level: The level as it is.
        kind: What it holds.
        tables: Its objects and groups.
        binning: Bins on the axis before the spatial ones.
        chunk_shape: Edge lengths of the new chunks.
        folder: For temporary files of this level alone.
        numbered: Whether links of other levels, or to them, name its rows.
        cut: What is taken away; None for nothing.
        axis: What the level is to say of the axis before the spatial ones, ``by`` and name.
        by_manifests: Whether manifests alone tell whose fragments are: other writers may have changed them, and not
            what is stored beside fragments.
    """

    source: Storage
    root: RootState
    level: LevelState
    kind: Kind
    tables: LevelTables
    binning: Binning
    chunk_shape: tuple[float, ...]
    folder: Path
    numbered: bool = False
    cut: Cut | None = None
    axis: tuple[str, str] = ("", "")
    by_manifests: bool = False
    plan: ScanPlan = field(init=False)
    found: Scan = field(init=False)
    parts: LineParts | None = None
    more: ObjectTables | None = None
    facts: JsonObject = field(default_factory=dict)

    def read(self) -> None:
        """Read the level from one end to the other.

        Raises:
            CorruptionError: A cell is gone or corrupt.
            ConventionError: Objects of different bins share vertices.
            StoreError: What the level holds cannot be told in other chunks.
        """
        foreign = self._foreign()
        try:
            self._read(foreign)
        except SeveralOwnersError:
            # What is stored beside fragments names one owner at most; manifests name all, if there are any.
            if foreign is not None or not self.level.has_objects:
                raise
            for file in self.folder.iterdir():
                file.unlink()
            self._read(all_refs(self.source, self.level)[1])

    def _read(self, foreign: ObjectRefs | None) -> None:
        if foreign is not None:
            # A chunk that is gone from the presence lists must not be left out in silence.
            cells_of(self.level, foreign, None)
        self.plan = self._scan_plan(foreign)
        self.found = scan(self.plan)
        if self.cut is None or self.found.runs is None or not len(self.found.lost):
            return
        runs, shared = self.found.runs, self.plan.shared
        if self.cut.whole:
            lines = self.found.lost if shared is None else shared.objects_of(self.found.lost)
            self.found = without_lines(self.plan, self.found, lines if shared is None else shared.drop(lines))
            return
        self.parts = (runs if shared is None else shared.runs(runs)).parts()

    def rewrite(self, across: list[str]) -> Rewrite:
        """What is to be written.

        Args:
            across: Names below the level of the families of links to other levels.

        Raises:
            ChunkingError: There would be too many chunks.
            InputError: An attribute that is stored per bin differs within a new one.
        """
        made = self._made()
        links = self._links()
        target = plan_target(self.plan, self.found, self.root, self.chunk_shape, made)
        # Parts of lines that share fragments are told apart by their manifests alone.
        parts = self.parts if self.plan.shared is None else None
        intake = level_intake(self.plan, self.found, links, self.tables.ids, parts)
        if target.plan.per_fragment and not self.plan.has_objects:
            _check_bins(target, intake)
        return Rewrite(
            source=self.source,
            root=self.root,
            kind=self.kind,
            plan=self.plan,
            target=target,
            intake=intake,
            numbers=self.found.numbers,
            links=links,
            parts=self.parts,
            tables=self.more,
            axis=self._axis_facts(),
            facts=self.facts,
            packing=self._packing(),
            across=across,
        )

    def _made(self) -> dict[str, JsonObject]:
        """Attributes of the array of a vertex attribute that so far only the chunk keys say."""
        name = None if self.binning.stays else chunk_column_kept(self.level)
        if name is None:
            return {}
        axis = self.level.metadata.chunk_axis
        said = {} if axis is None or axis.array is None else axis.array
        return {name: {"zv_array": "attribute", "name": name, **said}}

    def _scan_plan(self, foreign: ObjectRefs | None) -> ScanPlan:
        columns: dict[str, ColumnSpec] = stored_columns(self.source, self.level)
        columns |= {name: self.level.chunk_columns[name] for name in self._made()}
        if self._is_said_by_keys():
            del columns[self.binning.attribute or ""]
        family = None if self.kind.connects == "sequence" else self.level.links
        is_shared = foreign is not None and names_twice(foreign)
        return ScanPlan(
            storage=self.source,
            level=self.level,
            kind=self.kind,
            columns=columns,
            binning=self.binning,
            foreign=foreign,
            shared=SharedFragments.of(foreign) if foreign is not None and is_shared else None,
            implied=self.root.metadata.links_convention != constants.LINKS_EXPLICIT,
            links=family is not None or self.kind.connects in ("tree", "links"),
            numbered=self.numbered,
            ids=self.tables.ids,
            folder=self.folder,
            cut=self.cut,
        )

    def _is_said_by_keys(self) -> bool:
        """Whether the new chunk keys say a vertex attribute, which need not be stored then.

        Not so for floats, of which two that are equal may differ in the sign of zero.
        """
        name, level = self.binning.attribute, self.level
        if not self.binning.by_vertex or self.binning.values is None or name in level.fragment_columns:
            return False
        spec = {**level.vertex_columns, **level.chunk_columns}[name or ""]
        return spec.categories is not None or spec.dtype.kind != "f"

    def _axis_facts(self) -> JsonObject:
        """What the level says of the axis before the spatial ones."""
        binning, metadata = self.binning, self.level.metadata
        if binning.stays:
            told = metadata.to_json()
            names = ("chunk_dims", "chunk_attribute_name", "chunk_attribute_values", "chunk_axis")
            return {name: told[name] for name in names if name in told}
        if not binning.has_axis:
            return {}
        by, dimension = self.axis
        extra = bool(self.found.used[binning.count])
        said: JsonObject = {"chunk_dims": [dimension, *(axis.name for axis in self.root.axes)]}
        if binning.values is not None:
            said["chunk_attribute_name"] = binning.attribute
            said["chunk_attribute_values"] = [*binning.values, *([None] if extra else [])]
        said["chunk_axis"] = binning.axis(by, extra=extra, array=self._said()).to_json()
        return said

    def _said(self) -> JsonObject | None:
        """What the array of the attribute that the new chunk keys say would state."""
        name, level = self.binning.attribute, self.level
        if name is None or self.binning.values is None:
            return None
        if not self.binning.by_vertex:
            spec = level.object_columns.get(name)
            return spec.attributes() if spec is not None and spec.dtype.kind != "U" else None
        if name in level.vertex_columns:
            path = level.column_path(name)
            return {**array_attributes(level.cells[path].document), **level.vertex_columns[name].attributes()}
        axis = level.metadata.chunk_axis
        return axis.array if axis is not None and name in level.chunk_columns else None

    def _foreign(self) -> ObjectRefs | None:
        """Manifests, where fragments themselves do not tell all that is needed of them."""
        level = self.level
        if not level.has_objects:
            return None
        told = level.owner_array is not None and not level.metadata.shared_fragments
        told = told and (self.kind.connects != "sequence" or level.tells_order)
        if told and not self.by_manifests:
            return None
        return all_refs(self.source, level)[1]

    def _links(self) -> SourceLinks | None:
        plan = self.plan
        if not plan.links:
            return None
        family, tree = self.level.links, self.kind.connects == "tree"
        columns = {}
        if family is not None:
            columns = link_specs(self.source, self.level, family, implied=tree and plan.implied)
        links = SourceLinks(self.source, self.level, self.found, columns, tree, plan.keeps_parts)
        links.prepare()
        return links

    def _packing(self) -> Packing | None:
        """How positions are rounded; None where they are stored as they are."""
        if self.level.is_unordered:
            return None
        old = Packing.of_level(self.root, self.level)
        if old is None:
            return None
        return Packing(replace(old.lattice, chunk_shape=tuple(float(edge) for edge in self.chunk_shape)))


def check_level(source: Storage, level: LevelState, kind: Kind) -> None:
    """Refuse a level that cannot be told in other chunks.

    Raises:
        StoreError, FormatError: Saying why.
    """
    level.refuse_composite()
    owned = level.has_objects or constants.FRAGMENT_OWNER in level.cells
    if kind.connects in ("sequence", "tree") and not owned and len(level.vertices.present):
        raise StoreError(f"a {kind.geometry_type} store without objects cannot be rechunked", store=source.url)
    family = level.links
    if kind.connects == "sequence":
        if family is not None and family.columns:
            raise StoreError(
                "links of lines follow from their order, and their attributes cannot be kept in other chunks",
                store=source.url,
                got=sorted(family.columns),
                hint="remove these attributes of links, or store them per vertex",
            )
        family = None
    names = [] if family is None else list(family.columns)
    check_unordered(source, level, list(level.vertex_columns), family, names)


def _check_bins(target: Target, intake: LevelIntake) -> None:
    """Refuse attributes that are stored per bin and differ within a new one.

    Raises:
        InputError: With the attribute and the chunk.
    """
    try:
        check_fragments(target.plan, intake)
    except InputError as error:
        error.hint = "keep the chunks, or store the attribute per vertex before rechunking"
        raise
