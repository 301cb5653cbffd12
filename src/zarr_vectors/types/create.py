"""Writing a new store, or a new content into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import (
    ColumnSpec,
    cell_array_document,
    dtype_name,
    group_document,
    presence_list,
    with_presence,
)
from zarr_vectors.core.headers import HEADER_NAMES, header_puts, level_document, new_root_document
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.encoding.manifests import encode_manifests
from zarr_vectors.exceptions import InputError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.spatial.layout import ResolvedLayout, check_edges
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.types.cell_facts import can_index, facts_of
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.cell_reach import new_reach
from zarr_vectors.types.conventions import check_ids, keeps_every_link, stamped_conventions
from zarr_vectors.types.differing import Differing
from zarr_vectors.types.encode import Tally, encode_table
from zarr_vectors.types.fragment_check import check_fragments
from zarr_vectors.types.intake import Intake
from zarr_vectors.types.kinds import Connects, Kind
from zarr_vectors.types.links import LinkPlan, LinkSink, MakeArray, fill_sink
from zarr_vectors.types.new_level import NewLevel
from zarr_vectors.types.objects import ObjectTables, check_tables, manifests_of, table_names, table_puts, worth_refs
from zarr_vectors.types.options import WriteOptions, as_bounds
from zarr_vectors.types.quantise import DRACO_DTYPE, Packing
from zarr_vectors.types.refill import Refill
from zarr_vectors.types.report import WriteReport
from zarr_vectors.typing import FloatArray, IntArray, JsonObject

__all__ = ["cell_plan", "family_groups", "presence_puts", "write_new"]

_OWNER = constants.FRAGMENT_OWNER.partition("/")[2]


def write_new(
    storage: Storage, kind: Kind, intake: Intake, options: WriteOptions, into: Refill | NewLevel | None = None
) -> WriteReport:
    """Write a store from nothing; with ``mode="replace"`` in place of what is there.

    Args:
        into: The store of which one level alone is written; None for a whole store.
    """
    if kind.is_linked and not intake.has_objects:
        own_one_object(intake, 0)
    check_tables(intake.tables, {} if into is not None and into.keeps_groups else None)
    if into is not None and intake.has_objects:
        check_ids(into.root.metadata, intake.tables.ids, storage.url)
    bounds = resolve_bounds(intake, options)
    layout = options.layout.resolve(intake.extent.sample, intake.extent.rows, (bounds[0].tolist(), bounds[1].tolist()))
    if isinstance(into, NewLevel):
        layout = into.led(layout)
    plan = cell_plan(0 if into is None else into.number, layout, intake, kind.connects, options)
    if into is not None:
        plan = replace(plan, explicit=keeps_every_link(into.root.metadata))
    check_fragments(plan, intake, options.fragment_values.get(_OWNER))
    packing = None if into is None else into.packing
    if packing is None and layout.lattice is not None:
        packing = Packing(layout.lattice)
    work = _NewStore(storage, kind, intake, options, bounds, layout, plan, Tally(packing=packing), into=into)
    last = None
    if can_index(storage):
        ndim, dtype = len(layout.chunk_shape), None if packing else plan.dtype
        reach = new_reach(kind.connects, ndim)
        work.tally.facts = facts_of(work.number, ndim, dtype, plan.columns, reach=reach)
        last = work.index_puts
    if into is not None:
        differing = Differing(storage, frozenset(into.deletes(storage)))
        puts = differing.of(into.described(work.puts()))
        deletes = (path for path in differing.there if path not in differing.same)
        storage.commit(Batch(puts=puts, root=work.root, deletes=deletes, last=last))
        return work.report()
    replacing = options.mode == "replace"
    puts = work.puts()
    storage.commit(Batch(puts=puts, root=work.root, last=last, replace_all=replacing, must_be_new=not replacing))
    return work.report()


def own_one_object(intake: Intake, value: int) -> None:
    """Connected vertices belong to objects: without ids all to one, if there are any."""
    if intake.extent.rows:
        intake.set_object_id(value)
    else:
        intake.has_objects = True


def resolve_bounds(intake: Intake, options: WriteOptions) -> tuple[FloatArray, FloatArray]:
    """The store's bounds: given ones, grown where told, or those of the data."""
    ndim = len(intake.axes)
    extent = intake.extent
    if options.bounds is None:
        if extent.low is None or extent.high is None:
            side = np.full(ndim, constants.DEFAULT_BOUNDS_SIDE)
            if options.layout.chunk_shape is not None:
                side = np.minimum(side, check_edges("chunk_shape", options.layout.chunk_shape, ndim))
            return np.zeros(ndim), side
        return extent.low, extent.high
    lo, hi = as_bounds(options.bounds, ndim)
    if extent.low is not None and extent.high is not None and options.out_of_bounds == "expand":
        return np.minimum(lo, extent.low), np.maximum(hi, extent.high)
    return lo, hi


def array_maker(level: int, layout: ResolvedLayout) -> MakeArray:
    """Makes empty arrays on a level's grid."""
    codecs = cell_codecs(layout.compressor)

    def array(name: str, attributes: JsonObject) -> CellArray:
        return CellArray(f"{level}/{name}", cell_array_document(layout.grid, layout.shard_shape, codecs, attributes))

    return array


def cell_plan(
    level: int, layout: ResolvedLayout, intake: Intake, connects: Connects, options: WriteOptions
) -> CellPlan:
    """The arrays of a level on one grid.

    Raises:
        InputError: An attribute is to be kept per fragment that the rows do not have, or that is given twice.
    """
    array = array_maker(level, layout)
    dtype = (options.dtype or intake.dtype) if layout.lattice is None else DRACO_DTYPE
    encoding = constants.ENCODING_RAW if layout.lattice is None else constants.ENCODING_DRACO
    columns, per_fragment = _split_columns(intake.columns, options)
    given = {name: values for name, values in options.fragment_values.items() if name != _OWNER}
    arrays = {
        constants.VERTICES: array(
            constants.VERTICES,
            {"zv_array": "vertices", "dtype": dtype_name(dtype), "encoding": encoding},
        ),
        constants.VERTEX_FRAGMENTS: array(
            constants.VERTEX_FRAGMENTS,
            {"zv_array": "vertex_fragments", "encoding": constants.FRAGMENT_INDEX_ENCODING},
        ),
    }
    for name, spec in columns.items():
        path = f"{constants.VERTEX_ATTRIBUTES}/{name}"
        arrays[path] = array(path, {"zv_array": "attribute", "name": name, **spec.attributes()})
    for name, spec in {**per_fragment, **{name: values.spec for name, values in given.items()}}.items():
        path = f"{constants.FRAGMENT_ATTRIBUTES}/{name}"
        arrays[path] = array(path, {"zv_array": "fragment_attribute", "name": name, **spec.attributes()})
    facts = [constants.FRAGMENT_OWNER] if intake.has_objects else []
    facts += [constants.FRAGMENT_OFFSET] if connects == "sequence" else []
    for path in facts:
        said = {"zv_array": "fragment_attribute", "name": path.partition("/")[2], "dtype": "int64", "row_shape": []}
        arrays[path] = array(path, said)
    return CellPlan(
        arrays=arrays,
        chunk_shape=layout.chunk_shape,
        bin_shape=layout.bin_shape or layout.chunk_shape,
        bins=layout.bins,
        dtype=dtype,
        columns=columns,
        has_objects=intake.has_objects,
        connects=connects,
        per_fragment=per_fragment,
        given=given,
    )


def _split_columns(
    columns: Mapping[str, ColumnSpec], options: WriteOptions
) -> tuple[dict[str, ColumnSpec], dict[str, ColumnSpec]]:
    """Attributes that are stored per vertex, and those that are stored per fragment."""
    unknown = [name for name in options.per_fragment if name not in columns]
    if unknown:
        raise InputError(
            "per_fragment names an attribute that the value does not have",
            got=repr(unknown[0]),
            expected=f"some of {sorted(columns)}",
        )
    twice = [name for name in options.fragment_values if name in columns]
    if twice:
        raise InputError(f"{twice[0]!r} is both a vertex attribute and a fragment attribute", hint="rename one of them")
    whole = {name: columns[name] for name in options.per_fragment}
    return {name: spec for name, spec in columns.items() if name not in whole}, whole


def family_groups(level: int, names: list[str]) -> Iterator[Put]:
    """The groups that hold attribute arrays."""
    for family in sorted({name.partition("/")[0] for name in names if "/" in name}):
        if family in {constants.VERTEX_ATTRIBUTES, constants.FRAGMENT_ATTRIBUTES}:
            yield f"{level}/{family}/zarr.json", dump_json(group_document())


def presence_puts(arrays: Mapping[str, CellArray], coords: IntArray) -> Iterator[Put]:
    """The documents of chunk-grid arrays that all have these cells."""
    keys = presence_list(coords)
    for array in arrays.values():
        yield f"{array.path}/zarr.json", dump_json(with_presence(array.document, keys).to_json())


@dataclass
class _NewStore:
    """One write of a whole store, or of a whole level."""

    storage: Storage
    kind: Kind
    intake: Intake
    options: WriteOptions
    bounds: tuple[FloatArray, FloatArray]
    layout: ResolvedLayout
    plan: CellPlan
    tally: Tally = field(default_factory=Tally)
    chunks: int = 0
    sink: LinkSink | None = None
    with_refs: bool = False
    into: Refill | NewLevel | None = None

    @property
    def number(self) -> int:
        """Of the level that is written."""
        return 0 if self.into is None else self.into.number

    def puts(self) -> Iterator[Put]:
        yield from self._cells()
        ndim = self.plan.vertices.ndim
        if self.kind.is_linked:
            self.sink = LinkSink(self._link_plan(), self.intake.folder, self.tally.reach)
            fill_sink(self.sink, self.intake, self.tally)
            yield from self.sink.puts(lambda array, coords, cells: array.encode(coords, cells))
            yield from self.sink.documents()
            if self.tally.reach is not None:
                self.tally.reach.linking = self.sink.linking()
        yield from self._links_across()
        present = self.tally.present(ndim)
        self.chunks = len(present)
        yield from self._presence(present)
        yield from family_groups(self.number, list(self.plan.arrays))
        if self.intake.has_objects:
            yield from self._tables(self.intake.tables, ndim)
        yield from header_puts(self.options.headers)
        yield f"{self.number}/zarr.json", dump_json(self.level())

    def index_puts(self, stamps: Stamps) -> Iterator[Put]:
        """The level's cell index."""
        if self.tally.facts is not None:
            yield from self.tally.facts.puts(self.plan.arrays, self.tally.present(self.plan.vertices.ndim), stamps)

    def _links_across(self) -> Iterator[Put]:
        """Links between the level and others, less the group that its own links have made already."""
        if self.into is None or self.into.across is None or self.tally.places is None:
            return
        made = {f"{self.number}/{constants.LINKS}/zarr.json"} if self.sink is not None and self.sink.names() else set()
        maker = array_maker(self.number, self.layout)
        for path, data in self.into.across.puts(self.plan, self.tally.places, maker):
            if path not in made:
                yield path, data

    def _cells(self) -> Iterator[Put]:
        if self.kind.connects in ("tree", "links") or (self.into is not None and self.into.across is not None):
            self.tally.make_places(self.plan, self.intake.extent.rows, self.intake.folder)
        for table in self.intake.blocks(self.plan):
            yield from encode_table(self.plan, table, self.tally)
            self.options.notify(self.tally.rows, self.intake.extent.rows)

    def _presence(self, present: IntArray) -> Iterator[Put]:
        given = {f"{constants.FRAGMENT_ATTRIBUTES}/{name}": values for name, values in self.plan.given.items()}
        arrays = self.plan.arrays
        yield from presence_puts({name: array for name, array in arrays.items() if name not in given}, present)
        for name, values in given.items():
            yield from presence_puts({name: arrays[name]}, values.chunks)

    def _link_plan(self) -> LinkPlan:
        return LinkPlan(
            level=self.number,
            cells=self.plan,
            width=self.intake.link_width,
            directed=self.intake.directed,
            columns=self.intake.link_columns,
            array=array_maker(self.number, self.layout),
            always=self.kind.connects != "sequence",
        )

    def _tables(self, tables: ObjectTables, ndim: int) -> Iterator[Put]:
        manifests = manifests_of(tables.ids, self.tally.fragments(), self.plan)
        blobs = encode_manifests(manifests, len(tables.ids))
        self.with_refs = worth_refs(blobs.total)
        codecs = self.layout.compressor
        yield from table_puts(self.number, tables, blobs, ndim, codecs, with_refs=self.with_refs, owners_agree=True)

    def level(self) -> JsonObject:
        names = list(self.plan.arrays)
        present = [constants.VERTICES]
        if self.plan.columns:
            present.append(constants.VERTEX_ATTRIBUTES)
        if self.plan.per_fragment or self.plan.given:
            present.append(constants.FRAGMENT_ATTRIBUTES)
        if self.sink is not None:
            names += self.sink.names()
            present += [constants.LINKS] if self.sink.names() else []
        if self.intake.has_objects:
            names += table_names(self.intake.tables, with_refs=self.with_refs)
            present.append(constants.OBJECT_INDEX)
        facts: JsonObject = {
            "level": self.number,
            "object_sparsity": 1.0,
            "vertex_count": self.tally.rows,
            "coarsening_method": constants.COARSEN_NONE,
            "parent_level": None,
            "arrays_present": present,
            "fragments_tile": True,
        }
        if self.intake.next_row_id is not None:
            facts[constants.NEXT_ROW_ID] = self.intake.next_row_id
        if self.tally.packing is not None:
            facts["draco"] = self.tally.packing.facts()
        if self.into is not None:
            facts = self.into.level_facts(facts)
        old = None if self.into is None else self.into.document
        indexed = self.tally.facts is not None and self.chunks > 0
        metadata = LevelMetadata.parse(facts, where=f"{self.number}/zarr.json")
        return level_document(metadata, names, old, indexed=indexed)

    def final_bounds(self) -> tuple[FloatArray, FloatArray]:
        """The store's bounds once all rows are encoded."""
        return self.bounds if self.tally.packing is None else self.tally.packing.widened(self.bounds)

    def root(self) -> JsonObject:
        lo, hi = self.final_bounds()
        facts: JsonObject = {"chunk_shape": list(self.layout.chunk_shape), "bounds": [lo.tolist(), hi.tolist()]}
        if self.options.crs is not None:
            facts["crs"] = self.options.crs
        # With objects, fragments follow objects; a stated bin would make other readers take them for bins.
        binned = self.layout.bin_shape is not None and not self.intake.has_objects
        bins = list(self.layout.bin_shape or ()) if binned else None
        if self.into is not None:
            facts |= {"base_bin_shape": bins, **stamped_conventions(self.into.root.metadata, self.kind)}
            return self.into.root_document(facts, self.kind, self.options.headers)
        fresh = {
            "zv_version": constants.FORMAT_VERSION,
            "format_capabilities": [],
            **facts,
            "geometry_types": [self.kind.geometry_type],
            **({"base_bin_shape": bins} if binned else {}),
        }
        metadata = RootMetadata.parse(fresh, where="zarr.json")
        fresh |= stamped_conventions(metadata, self.kind)
        metadata = RootMetadata.parse(fresh, where="zarr.json")
        document = new_root_document(metadata, self.intake.axes, self.storage.name)
        document["attributes"][HEADER_NAMES] = sorted(self.options.headers)
        return document

    def report(self) -> WriteReport:
        lo, hi = self.final_bounds()
        packing = self.tally.packing
        return WriteReport(
            url=self.storage.url,
            mode=self.options.mode,
            vertex_count=self.tally.rows,
            total_vertices=self.tally.rows,
            chunk_count=self.chunks,
            object_count=len(self.intake.tables.ids) if self.intake.has_objects else 0,
            link_count=0 if self.sink is None else self.sink.written,
            crossing_links=0 if self.sink is None else self.sink.crossing,
            group_count=len(self.intake.tables.groups),
            dropped=self.intake.dropped,
            bounds=(tuple(lo.tolist()), tuple(hi.tolist())),
            chunk_shape=self.layout.chunk_shape,
            shard_shape=self.layout.shard_shape,
            bins_per_chunk=(1,) * len(self.layout.bins) if self.intake.has_objects else self.layout.bins,
            vertex_encoding=constants.ENCODING_RAW if packing is None else constants.ENCODING_DRACO,
            max_error=None if packing is None else packing.max_error,
        )
