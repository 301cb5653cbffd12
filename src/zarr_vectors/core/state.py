"""An opened store: its documents, parsed, and its arrays by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis
from zarr_vectors.core.cell_index import INDEX_VERSION
from zarr_vectors.core.cell_index_reader import LazyIndex
from zarr_vectors.core.chunk_axis import chunk_column
from zarr_vectors.core.columns import check_row_ids, columns_of
from zarr_vectors.core.documents import ColumnSpec, cell_array_document, own_header, owners_agree, stored_dtype
from zarr_vectors.core.level_checks import check_axes, checked_slots, level_attributes, not_found, refuse_old_layout
from zarr_vectors.core.links import LinkFamily, parse_family
from zarr_vectors.core.listing import COMPOSITE, array_names, is_cell_array
from zarr_vectors.exceptions import CorruptionError, FormatError, MetadataError, StoreError, StoreNotFoundError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.ngff import axes_of, level_transform
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata, check_version
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.typing import JsonObject

__all__ = ["LevelState", "RootState", "open_level", "open_root"]

_LINK_FAMILIES = (constants.LINKS, constants.LINK_FRAGMENTS, constants.LINK_ATTRIBUTES)
_OWN_FRAGMENT_ATTRIBUTES = frozenset({constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET})
KNOWN_CAPABILITIES: frozenset[str] = frozenset()
_OLD_VERSION_KEY = "zv_version"
"""Beside the block of the root, where old software put it."""


@dataclass(frozen=True)
class RootState:
    """The root of an opened store.

    Args:
        document: The whole ``zarr.json``.
        metadata: Its ``zarr_vectors`` object.
        axes: Names and units of the positions' columns.
        seen: What tells whether the store has changed since, for ``Storage.is_current``.
    """

    document: JsonObject
    metadata: RootMetadata
    axes: tuple[Axis, ...]
    seen: frozenset[bytes] = field(default=frozenset(), compare=False, repr=False)

    @property
    def attributes(self) -> JsonObject:
        """All attributes of the root group."""
        attributes: JsonObject = self.document["attributes"]
        return attributes

    @property
    def bounds(self) -> tuple[list[float | int], list[float | int]]:
        """Closed box of the store in world coordinates, those in which positions are read."""
        low, high = (list(corner) for corner in self.metadata.bounds)
        offset = self.offset
        if offset is None:
            return low, high
        return [a + b for a, b in zip(low, offset, strict=True)], [a + b for a, b in zip(high, offset, strict=True)]

    @property
    def offset(self) -> tuple[float, ...] | None:
        """What world coordinates have in addition to stored ones; None for nothing."""
        offset = self.metadata.coordinate_offset
        return tuple(offset) if offset is not None and any(offset) else None

    def level_bin_shape(self, level: int) -> tuple[float, ...]:
        """Bin of a level: the root's at level 0, twice the NGFF translation above."""
        _, translation = level_transform(self.attributes.get("multiscales"), level)
        if level == 0 or translation is None:
            return tuple(self.metadata.bin_shape)
        return tuple(2 * v for v in translation)


@dataclass(frozen=True)
class LevelState:
    """One resolution level of an opened store.

    Args:
        number: The level.
        document: Its ``zarr.json``.
        metadata: Its ``zarr_vectors_level`` object.
        chunk_shape: Edge lengths of its chunks.
        cells: Chunk-grid arrays by name below the level.
        tables: One-dimensional and typed arrays by name below the level.
        object_index: Attributes of ``object_index``, as ``own_header`` gives them; None where there are no objects.
        link_documents: ``zarr.json`` of arrays and groups of links, by name below the level.
        is_composite: Whether the level holds several geometries in the way of ``geometry_index``.
        store: Its URL, for messages.
        index: What is known of the level's cells without reading them.
    """

    number: int
    document: JsonObject
    metadata: LevelMetadata
    chunk_shape: tuple[float, ...]
    cells: dict[str, CellArray] = field(default_factory=dict)
    tables: dict[str, TableArray] = field(default_factory=dict)
    object_index: JsonObject | None = None
    link_documents: dict[str, JsonObject] = field(default_factory=dict)
    is_composite: bool = False
    store: str | None = None
    index: LazyIndex = field(default_factory=LazyIndex, compare=False, repr=False)

    @cached_property
    def links(self) -> LinkFamily | None:
        """Links between vertices of this level; None where there are none."""
        return parse_family(self.number, self.link_documents, self.vertices.ndim, self.store)

    def cell_array(self, name: str) -> CellArray:
        """A chunk-grid array that the level must have.

        Raises:
            CorruptionError: It is not there.
        """
        if name not in self.cells:
            raise CorruptionError(
                "the level lacks an array that it must have", store=self.store, array=f"{self.number}/{name}"
            )
        return self.cells[name]

    def refuse_composite(self) -> None:
        """Refuse a level that holds several geometries.

        Raises:
            StoreError: It does.
        """
        if self.is_composite:
            raise StoreError(
                "this is a composite store: several geometries share its level, without the order that links need",
                store=self.store,
                hint="write each geometry to a store of its own with the software that wrote this one",
            )

    @property
    def vertices(self) -> CellArray:
        """The positions."""
        return self.cell_array(constants.VERTICES)

    def array_beside(self, other: CellArray, name: str, said: JsonObject) -> CellArray:
        """A new array below the level, without cells yet, cut and compressed as another one."""
        sharding = other.document.sharding
        codecs = other.document.codecs if sharding is None else sharding.inner
        shards = other.block if other.document.is_sharded else None
        document = cell_array_document(other.grid, shards, codecs, said)
        return CellArray(f"{self.number}/{name}", document, self.store)

    @cached_property
    def position_dtype(self) -> np.dtype[Any]:
        """Of the stored positions."""
        encoding = self.vertices.document.attributes.get("encoding", constants.ENCODING_RAW)
        if encoding not in tuple(constants.VALID_ENCODINGS):
            raise StoreError(
                "positions of this encoding cannot be read", store=self.store, array=self.vertices.path, got=encoding
            )
        if self.is_draco:
            return np.dtype(np.float32)
        dtype = self.dtype_of(self.vertices, "float32")
        if dtype.kind not in "iuf":
            raise MetadataError(
                "positions must be integers or floats", store=self.store, array=self.vertices.path, got=str(dtype)
            )
        return dtype

    @cached_property
    def is_draco(self) -> bool:
        """Whether cells of positions are Draco bitstreams; 0.9.2 says so of 2-D ones too, but stores them raw."""
        encoding = self.vertices.document.attributes.get("encoding")
        return encoding == constants.ENCODING_DRACO and len(self.chunk_shape) == 3

    @property
    def is_unordered(self) -> bool:
        """Whether rows of positions need not be in the order that links and attributes count on."""
        return self.is_draco and self.metadata.draco is None and bool(len(self.vertices.present))

    @property
    def rounding(self) -> float:
        """How far positions may lie outside their chunks."""
        if not self.is_draco:
            return 0.0
        # Rounding to two places per axis, the coarsest there is, moves by half a chunk.
        return max(self.chunk_shape) if self.metadata.draco is None else self.metadata.draco.max_error

    def dtype_of(self, array: CellArray, default: str) -> np.dtype[Any]:
        """The dtype that an array states.

        Raises:
            MetadataError: It is not one of numpy's.
        """
        try:
            return stored_dtype(array.document.attributes.get("dtype", default))
        except TypeError as error:
            raise MetadataError(
                "the array's dtype is not one of numpy's", store=self.store, array=array.path, got=str(error)
            ) from error

    @cached_property
    def vertex_columns(self) -> dict[str, ColumnSpec]:
        """Types of the vertex attributes, by name."""
        return self._columns(constants.VERTEX_ATTRIBUTES, self.cells)

    @cached_property
    def fragment_columns(self) -> dict[str, ColumnSpec]:
        """Types of the fragment attributes, by the names under which they are read.

        One whose name the rows have already is read as ``fragment_attributes/<name>``. What the library keeps for
        itself is left out.
        """
        taken = {*self.vertex_columns, self.metadata.chunk_attribute_name}
        found = self._columns(constants.FRAGMENT_ATTRIBUTES, self.cells, leave=_OWN_FRAGMENT_ATTRIBUTES)
        return {f"{constants.FRAGMENT_ATTRIBUTES}/{name}" if name in taken else name: s for name, s in found.items()}

    @cached_property
    def row_columns(self) -> dict[str, ColumnSpec]:
        """Types of all that a read brings for each row: vertex attributes, then fragment attributes."""
        return {**self.vertex_columns, **self.fragment_columns}

    @cached_property
    def chunk_columns(self) -> dict[str, ColumnSpec]:
        """Type of the attribute that the level is chunked by and that no array of rows holds, by its name."""
        name = self.metadata.chunk_attribute_name
        if name is None or name in self.row_columns:
            return {}
        return {name: chunk_column(self.metadata, self.store)}

    @cached_property
    def array_columns(self) -> dict[str, ColumnSpec]:
        """The same types by the names of the arrays below the level."""
        return {self.column_path(name): spec for name, spec in self.row_columns.items()}

    def column_path(self, name: str) -> str:
        """Where a vertex or fragment attribute lies below the level, by the name under which it is read."""
        if name in self.vertex_columns:
            return f"{constants.VERTEX_ATTRIBUTES}/{name}"
        return f"{constants.FRAGMENT_ATTRIBUTES}/{name.removeprefix(f'{constants.FRAGMENT_ATTRIBUTES}/')}"

    @cached_property
    def object_columns(self) -> dict[str, ColumnSpec]:
        """Types of the object attributes, by name."""
        return self._columns(constants.OBJECT_ATTRIBUTES, self.tables)

    @cached_property
    def group_columns(self) -> dict[str, ColumnSpec]:
        """Types of the group attributes, by name."""
        return self._columns(constants.GROUP_ATTRIBUTES, self.tables)

    @cached_property
    def keeps_row_ids(self) -> bool:
        """Whether ``row_id`` holds row ids of this library; otherwise it is an attribute like all others.

        Raises:
            CorruptionError: The level says where row ids continue, and does not hold any.
        """
        if self.metadata.numbers_rows:
            check_row_ids(self.number, self.vertex_columns.get(constants.ROW_ID), self.store)
        return self.metadata.numbers_rows

    @property
    def own_columns(self) -> frozenset[str]:
        """Names among ``vertex_columns`` of what the library keeps for itself."""
        return frozenset({constants.ROW_ID} if self.keeps_row_ids else ())

    @property
    def takes_row_id(self) -> bool:
        """Whether the level has an attribute ``row_id`` that is one like all others, as another writer made it."""
        return constants.ROW_ID in self.row_columns and not self.keeps_row_ids

    def _columns(self, family: str, arrays: Any, leave: frozenset[str] = frozenset()) -> dict[str, ColumnSpec]:
        return columns_of(family, arrays, leave, self.store)

    @property
    def written_here(self) -> bool:
        """Whether this library wrote the level, and so kept rules that 0.9.2 does not keep."""
        return constants.ARRAYS_KEY in (self.document.get("attributes") or {})

    @property
    def keeps_count(self) -> bool:
        """Whether ``vertex_count`` is exact: this library wrote it, and nobody has written vertices since."""
        return self.written_here and self.metadata.fragments_tile

    @property
    def has_objects(self) -> bool:
        """Whether the level has an object index."""
        return self.object_index is not None and constants.OBJECT_MANIFESTS in self.tables

    @cached_property
    def owners_agree(self) -> bool:
        """Whether fragments that state their object state that of the manifests, which are what the format goes by."""
        return not self.has_objects or owners_agree(self.object_index or {})

    @property
    def owner_array(self) -> CellArray | None:
        """What tells whose each fragment is; None where only manifests do."""
        return self.cells.get(constants.FRAGMENT_OWNER) if self.owners_agree else None

    @property
    def tells_order(self) -> bool:
        """Whether fragments themselves tell their line, and their place along it."""
        told = self.owner_array is not None and constants.FRAGMENT_OFFSET in self.cells
        return told and not self.metadata.shared_fragments

    @property
    def object_slots(self) -> int:
        """Rows of the object index.

        Raises:
            MetadataError: There are more than the format allows.
        """
        return checked_slots(self.tables[constants.OBJECT_MANIFESTS]) if self.has_objects else 0


def open_root(storage: Storage, also: Iterable[str] = ()) -> tuple[RootState, dict[str, JsonObject | None]]:
    """Read and check the root document, and others in the same round.

    Raises:
        StoreNotFoundError: There is nothing, or a zarr group that is not a Zarr Vectors store.
        FormatError: The store's version, or a capability that it requires, is not one that is read here.
        MetadataError: The documents are malformed.
    """
    document, others = storage.read_root(list(also))
    if document is None:
        raise not_found(storage)
    attributes = document.get("attributes") or {}
    block = attributes.get(constants.ROOT_KEY)
    if not isinstance(block, dict) and _OLD_VERSION_KEY in attributes:
        check_version(attributes[_OLD_VERSION_KEY], store=storage.url)
    if not isinstance(block, dict):
        raise StoreNotFoundError(
            "this is a zarr node, but not a Zarr Vectors store",
            store=storage.url,
            hint=f"its attributes have no {constants.ROOT_KEY!r} object",
        )
    check_version(block.get("zv_version"), store=storage.url)
    metadata = RootMetadata.parse(block, where=ROOT)
    unknown = sorted(set(metadata.required_capabilities) - KNOWN_CAPABILITIES)
    if unknown:
        raise FormatError(
            "the store requires capabilities that are not known here",
            store=storage.url,
            got=unknown,
            hint="it was written by newer software: look for a newer release of this library",
        )
    axes = axes_of(attributes.get("multiscales"))
    if len(axes) != metadata.ndim:
        raise MetadataError(
            "axes and chunk_shape differ in rank", store=storage.url, expected=metadata.ndim, got=len(axes)
        )
    return RootState(document, metadata, axes, storage.seen), others


def open_level(storage: Storage, root: RootState, number: int, document: JsonObject | None = None) -> LevelState:
    """Read a level's documents: its own unless given, then all of its arrays' in one round.

    Raises:
        StoreNotFoundError: The level does not exist.
        StoreError: The level does not name its arrays and the store cannot list them.
    """
    path = f"{number}/zarr.json"
    if document is None:
        document = storage.read_documents([path])[path]
    if document is None:
        raise StoreNotFoundError(f"the store has no level {number}", store=storage.url)
    attributes = level_attributes(number, document, storage.url)
    metadata = LevelMetadata.parse(attributes.get(constants.LEVEL_KEY) or {}, where=path)
    names = array_names(storage, number, attributes)
    paths = {name: f"{number}/{name}/zarr.json" for name in names}
    documents = storage.read_documents(list(paths.values()), as_text=True)
    refuse_old_layout(number, {name: documents[place] for name, place in paths.items()}, storage.url)
    cells: dict[str, CellArray] = {}
    tables: dict[str, TableArray] = {}
    object_index: JsonObject | None = None
    declared = attributes.get(constants.ARRAYS_KEY) or ()
    links: dict[str, JsonObject] = {}
    for name, place in paths.items():
        found = documents[place]
        if found is None:
            # References by column say nothing that manifests do not say.
            if name in declared and name != constants.FRAGMENT_REFS:
                raise CorruptionError(
                    "an array that its level names is gone", store=storage.url, array=f"{number}/{name}"
                )
        elif name.partition("/")[0] in _LINK_FAMILIES:
            # Parsed when links are asked for: there may be thousands, and lines are read without them.
            links[name] = found
        elif found.get("node_type") == "group":
            object_index = own_header(found) if name == constants.OBJECT_INDEX else object_index
        else:
            array = ArrayDocument.parse(found, where=place)
            where = f"{number}/{name}"
            if is_cell_array(name):
                cells[name] = CellArray(where, array, storage.url)
            else:
                tables[name] = TableArray(where, array, storage.url)
    if constants.VERTICES not in cells:
        raise CorruptionError("the level has no vertices array", store=storage.url, array=f"{number}/vertices")
    chunk_shape = tuple(metadata.chunk_shape or root.metadata.chunk_shape)
    check_axes(
        number,
        (root.metadata.ndim, metadata.leading_axes),
        (len(chunk_shape), cells[constants.VERTICES].ndim),
        storage.url,
    )
    return LevelState(
        number,
        document,
        metadata,
        chunk_shape,
        cells,
        tables,
        object_index,
        links,
        documents.get(paths.get(COMPOSITE, "")) is not None,
        storage.url,
        LazyIndex(number if attributes.get(constants.CELL_INDEX_KEY) == INDEX_VERSION else None),
    )
