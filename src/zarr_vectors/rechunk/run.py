"""Rechunking: read a level, decide on bins and grid, and publish all that changes as one commit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState, RootState, level_numbers, open_level, open_root
from zarr_vectors.exceptions import ConventionError, InputError, StoreError, StoreExistsError
from zarr_vectors.query.draco import check_unordered
from zarr_vectors.query.objects import ObjectRefs, all_refs
from zarr_vectors.query.tables import LevelTables, read_level_tables
from zarr_vectors.rechunk.binning import Binning, plan_bins
from zarr_vectors.rechunk.columns import chunk_column_kept, stored_columns
from zarr_vectors.rechunk.intake import LevelIntake, level_intake
from zarr_vectors.rechunk.links import SourceLinks, link_specs
from zarr_vectors.rechunk.source import Scan, ScanPlan, scan
from zarr_vectors.rechunk.spec import RechunkSpec
from zarr_vectors.rechunk.target import Target, array_attributes, new_chunk_shape, plan_target
from zarr_vectors.rechunk.write import Rewrite
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.storage import ROOT, Batch, Put, Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.types.fragment_check import check_fragments
from zarr_vectors.types.kinds import Kind, kind_of_types
from zarr_vectors.types.quantise import Packing
from zarr_vectors.typing import JsonObject

__all__ = ["rechunk_store"]

_COPY_OBJECTS = 32


def rechunk_store(store_path: StoreLike, spec: RechunkSpec, output: StoreLike | None = None) -> dict[str, Any]:
    """Cut a store into other chunks; ``zarr_vectors.rechunk`` says how."""
    if not isinstance(spec, RechunkSpec):
        raise InputError("spec must be a RechunkSpec", got=type(spec).__name__)
    spec.check()
    source = Storage(open_backend(store_path, read_only=output is not None))
    target = source if output is None else Storage(open_backend(output))
    with ExitStack() as stack:
        if output is None:
            stack.enter_context(source.lock())
        elif target.backend.exists(ROOT):
            raise StoreExistsError(
                "there is already something here", store=target.url, hint="choose another output, or remove it"
            )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zarr-vectors-")))
        root, documents = open_root(source, ["0/zarr.json"])
        level = open_level(source, root, 0, documents["0/zarr.json"])
        place = store_path if output is None else output
        job = _Job.of(source, target, root, level, spec, folder)
        job.place = str(place) if isinstance(place, (str, PathLike)) else target.url
        return job.run()


@dataclass
class _Job:
    """One rechunking."""

    source: Storage
    target: Storage
    root: RootState
    level: LevelState
    kind: Kind
    spec: RechunkSpec
    tables: LevelTables
    binning: Binning
    chunk_shape: tuple[float, ...]
    folder: Path
    place: str = ""

    @classmethod
    def of(
        cls, source: Storage, target: Storage, root: RootState, level: LevelState, spec: RechunkSpec, folder: Path
    ) -> _Job:
        """Look at all that can be refused before any vertex is read."""
        kind = _check(source, root, level)
        tables = read_level_tables(source, level)
        chunk_shape = new_chunk_shape(root, level, spec.spatial_chunk_shape)
        binning = plan_bins(source, level, tables, spec)
        return cls(source, target, root, level, kind, spec, tables, binning, chunk_shape, folder)

    def run(self) -> dict[str, Any]:
        """Read everything, then write."""
        made = self._made()
        plan = self._scan_plan(made)
        found = scan(plan)
        links = self._links(plan, found)
        target = plan_target(plan, found, self.root, self.chunk_shape, made)
        intake = level_intake(plan, found, links, self.tables.ids)
        if target.plan.per_fragment and not plan.has_objects:
            _check_bins(target, intake)
        rewrite = Rewrite(
            source=self.source,
            root=self.root,
            kind=self.kind,
            spec=self.spec,
            target=target,
            intake=intake,
            links=links,
            ids=self.tables.ids,
            binning=self.binning,
            extra=bool(found.used[self.binning.count]),
            said=self._said(),
            name=self.target.name,
            packing=self._packing(),
        )
        self._commit(rewrite)
        return self._report(rewrite, found)

    def _made(self) -> dict[str, JsonObject]:
        """Attributes of the array of a vertex attribute that so far only the chunk keys say."""
        name = chunk_column_kept(self.level)
        if name is None:
            return {}
        axis = self.level.metadata.chunk_axis
        said = {} if axis is None or axis.array is None else axis.array
        return {name: {"zv_array": "attribute", "name": name, **said}}

    def _scan_plan(self, made: dict[str, JsonObject]) -> ScanPlan:
        columns: dict[str, ColumnSpec] = stored_columns(self.source, self.level)
        columns |= {name: self.level.chunk_columns[name] for name in made}
        if self._is_said_by_keys():
            del columns[self.binning.attribute or ""]
        family = None if self.kind.connects == "sequence" else self.level.links
        return ScanPlan(
            storage=self.source,
            level=self.level,
            kind=self.kind,
            columns=columns,
            binning=self.binning,
            foreign=self._foreign(),
            implied=self.root.metadata.links_convention != constants.LINKS_EXPLICIT,
            links=family is not None or self.kind.connects in ("tree", "links"),
            ids=self.tables.ids,
            folder=self.folder,
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

    def _said(self) -> JsonObject | None:
        """What the array of the attribute that the new chunk keys say would state."""
        name, level = self.binning.attribute, self.level
        if name is None or self.binning.values is None:
            return None
        if not self.binning.by_vertex:
            spec = level.object_columns[name]
            return spec.attributes() if spec.dtype.kind != "U" else None
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
        needed = [constants.FRAGMENT_OWNER]
        needed += [constants.FRAGMENT_OFFSET] if self.kind.connects == "sequence" else []
        if all(name in level.cells for name in needed) and not level.metadata.shared_fragments:
            return None
        return all_refs(self.source, level)[1]

    def _links(self, plan: ScanPlan, found: Scan) -> SourceLinks | None:
        if not plan.links:
            return None
        family, tree = self.level.links, self.kind.connects == "tree"
        columns = {}
        if family is not None:
            columns = link_specs(self.source, self.level, family, implied=tree and plan.implied)
        links = SourceLinks(self.source, self.level, found, columns, tree, plan.keeps_parts)
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

    def _commit(self, rewrite: Rewrite) -> None:
        if self.target is self.source:
            self.source.commit(Batch(puts=rewrite.puts(), root=rewrite.root_document, deletes=rewrite.deletes()))
            return
        self.target.commit(Batch(puts=self._whole(rewrite), root=rewrite.root_document, must_be_new=True))

    def _whole(self, rewrite: Rewrite) -> Iterator[Put]:
        """What is written anew, then everything else of the source as it is."""
        written = {ROOT, *rewrite.deletes()}
        for put in rewrite.puts():
            written.add(put[0])
            yield put
        rest = [key for key in self.source.list_keys("", recursive=True) if key not in written]
        for start in range(0, len(rest), _COPY_OBJECTS):
            found = self.source.fetch(Get(key) for key in rest[start : start + _COPY_OBJECTS])
            for get, data in found.items():
                if data is not None:
                    yield get.path, data

    def _report(self, rewrite: Rewrite, found: Scan) -> dict[str, Any]:
        names = [axis.name for axis in self.root.axes]
        return {
            "objects_rechunked": len(self.tables.ids),
            "bins_created": int(found.used.sum()) if self.binning.has_axis else 1,
            "output_path": self.place,
            "total_vertices": found.count,
            "rechunk_dims": [self.spec.dimension_name, *names] if self.binning.has_axis else names,
            "objects_in_several_bins": self.binning.in_several,
            "objects_in_no_bin": self.binning.in_none,
            "links_left_out": rewrite.dangling,
        }


def _check(source: Storage, root: RootState, level: LevelState) -> Kind:
    """Refuse a store that cannot be told in other chunks.

    Raises:
        StoreError, ConventionError, FormatError: Saying why.
    """
    level.refuse_composite()
    kind = kind_of_types(root.metadata.geometry_types, source.url)
    coarser = [number for number in level_numbers(source, root) if number > level.number]
    if coarser:
        raise ConventionError(
            "the store has coarser levels, which would not fit the new chunks",
            store=source.url,
            got=f"levels {coarser}",
            hint="remove them, rechunk, and build them again",
        )
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
    return kind


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
