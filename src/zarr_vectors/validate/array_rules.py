"""Level 2: the documents of a level's arrays; those that can be used make up the level that is then read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.columns import check_row_ids
from zarr_vectors.core.documents import ID_RUN, ColumnSpec, own_header
from zarr_vectors.core.listing import COMPOSITE
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.array import ArrayDocument, fill_value_of, numpy_dtype
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.spatial.grid import Grid, parse_keys
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.typing import JsonObject
from zarr_vectors.validate.nodes import Nodes, attributes_of, is_group
from zarr_vectors.validate.problems import Findings

__all__ = ["open_level"]

_ZV_ARRAY = {
    constants.VERTICES: ("vertices",),
    constants.VERTEX_FRAGMENTS: ("vertex_fragments",),
    constants.LINK_FRAGMENTS: ("link_fragments",),
    constants.VERTEX_ATTRIBUTES: ("attribute",),
    constants.FRAGMENT_ATTRIBUTES: ("fragment_attribute",),
    constants.LINKS: ("links",),
    constants.LINK_ATTRIBUTES: ("link_attribute",),
    constants.OBJECT_ATTRIBUTES: ("object_attribute",),
    constants.GROUPS: ("groups",),
    constants.GROUP_ATTRIBUTES: ("groupings_attribute",),
}
"""What arrays of a family call themselves."""
_COLUMNS = frozenset({constants.VERTEX_ATTRIBUTES, constants.FRAGMENT_ATTRIBUTES, constants.LINK_ATTRIBUTES})
_CELLS = frozenset(
    {*_COLUMNS, constants.VERTICES, constants.VERTEX_FRAGMENTS, constants.LINKS, constants.LINK_FRAGMENTS}
)
_TABLES = frozenset({constants.OBJECT_INDEX, constants.OBJECT_ATTRIBUTES, constants.GROUPS, constants.GROUP_ATTRIBUTES})
_VLEN = frozenset({constants.OBJECT_MANIFESTS, constants.FRAGMENT_REFS, constants.GROUPS})
_ENCODINGS: dict[str, set[str | None]] = {
    constants.VERTICES: {None, *constants.VALID_ENCODINGS},
    constants.VERTEX_FRAGMENTS: {None, constants.FRAGMENT_INDEX_ENCODING},
    constants.LINK_FRAGMENTS: {None, constants.FRAGMENT_INDEX_ENCODING},
}
_DTYPE_KINDS = {constants.VERTICES: "iuf", constants.LINKS: "iu"}
_KEY = re.compile(r"-?[0-9]{1,18}(?:\.-?[0-9]{1,18})*")


@dataclass
class _Builder:
    """Takes the arrays of a level one after another."""

    nodes: Nodes
    number: int
    metadata: LevelMetadata
    ndim: int
    store: str
    findings: Findings
    cells: dict[str, CellArray] = field(default_factory=dict)
    tables: dict[str, TableArray] = field(default_factory=dict)
    links: dict[str, JsonObject] = field(default_factory=dict)
    checked: list[tuple[Any, Grid]] = field(default_factory=list)
    """Presence lists that are in order, and the grids that they are of; most arrays of a level share one."""

    def wrong(self, kind: str, name: str, message: str, cell: str | None = None) -> None:
        self.findings.add(kind, f"{self.number}/{name}", message, cell=cell)

    def take(self, name: str, document: JsonObject) -> None:
        family = name.partition("/")[0]
        if family not in _CELLS | _TABLES:
            return
        if is_group(document):
            if family in (constants.LINKS, constants.LINK_ATTRIBUTES):
                self.links[name] = document
            return
        try:
            array = ArrayDocument.parse(document, where=f"{self.number}/{name}")
        except MetadataError as error:
            kind = "array_metadata" if family in _CELLS else "table_metadata"
            self.findings.add_error(kind, f"{self.number}/{name}", error)
            return
        said = attributes_of(document).get("zv_array", attributes_of(document).get("zvf_array"))
        if said is not None and said not in _ZV_ARRAY.get(family, (said,)):
            self.wrong("array_metadata" if family in _CELLS else "table_metadata", name, f"zv_array is {said!r}")
        if family in _TABLES:
            self._take_table(name, array)
        else:
            self._take_cells(name, family, array, document)

    def _take_cells(self, name: str, family: str, array: ArrayDocument, document: JsonObject) -> None:
        cells = CellArray(f"{self.number}/{name}", array, self.store)
        problems = self._cell_problems(family, array)
        for problem in problems:
            self.wrong("array_metadata", name, problem)
        if problems or not self._has_keys(name, cells):
            return
        if family in (constants.LINKS, constants.LINK_ATTRIBUTES, constants.LINK_FRAGMENTS):
            self.links[name] = document
        else:
            self.cells[name] = cells

    def _cell_problems(self, family: str, array: ArrayDocument) -> list[str]:
        problems = []
        if array.data_type != "variable_length_bytes":
            problems.append(f"data_type is {array.data_type!r}, not variable_length_bytes")
        if len(array.shape) != self.ndim:
            problems.append(f"shape has {len(array.shape)} numbers, chunk keys have {self.ndim}")
        if not array.is_sharded and any(length != 1 for length in array.chunk_shape):
            problems.append(f"a stored chunk holds {array.chunk_shape} cells, not one")
        encoding = array.attributes.get("encoding")
        if encoding not in _ENCODINGS.get(family, {encoding}):
            problems.append(f"encoding is {encoding!r}")
        problem = _dtype_problem(family, array.attributes)
        return problems if problem is None else [*problems, problem]

    def _has_keys(self, name: str, cells: CellArray) -> bool:
        """Whether the presence list can be used; what is wrong with it is told key by key."""
        listed: Any = cells.document.attributes.get("nonempty_chunks")
        try:
            if any(listed == known and cells.grid == grid for known, grid in self.checked):
                return True
            _ = cells.present
        except MetadataError as error:
            bad = self._bad_keys(name, cells, listed) if isinstance(listed, (list, tuple)) else 0
            if not bad:
                self.findings.add_error("presence_list", cells.path, error)
            return False
        if list(listed) == sorted(listed):
            self.checked.append((listed, cells.grid))
        else:
            self.wrong("presence_order", name, "nonempty_chunks is not sorted as text")
        return True

    def _bad_keys(self, name: str, cells: CellArray, listed: Any) -> int:
        try:
            grid = cells.grid
        except MetadataError:
            return 0
        seen: set[str] = set()
        bad = 0
        for key in listed:
            problem = None
            if not isinstance(key, str) or not _KEY.fullmatch(key) or key.count(".") != self.ndim - 1:
                problem = f"{key!r} is no key of {self.ndim} whole numbers"
            elif key in seen:
                problem = "it is named twice"
            elif not grid.contains(parse_keys([key], self.ndim)).all():
                problem = f"it lies outside the grid from {grid.origin} of {grid.shape} cells"
            if problem is not None:
                self.wrong("presence_list", name, problem, cell=str(key))
                bad += 1
            elif isinstance(key, str):
                seen.add(key)
        return bad

    def _take_table(self, name: str, array: ArrayDocument) -> None:
        problems = []
        if (array.data_type == "variable_length_bytes") != (name in _VLEN):
            problems.append(f"data_type is {array.data_type!r}")
        elif name not in _VLEN:
            try:
                numpy_dtype(array.data_type)
                fill_value_of(array)
            except ValueError as error:
                problems.append(str(error))
        if not array.shape or array.shape[1:] != array.chunk_shape[1:] or (name in _VLEN and len(array.shape) != 1):
            problems.append(f"shape {array.shape} in chunks of {array.chunk_shape} is not cut along the first axis")
        elif max(array.shape[0], array.chunk_shape[0]) > constants.MAX_OBJECTS:
            problems.append(
                f"{array.shape[0]} rows in chunks of {array.chunk_shape[0]}: at most {constants.MAX_OBJECTS}"
            )
        if array.is_sharded:
            problems.append("it is sharded")
        for problem in problems:
            self.wrong("table_metadata", name, problem)
        if not problems:
            self.tables[name] = TableArray(f"{self.number}/{name}", array, self.store)


def _dtype_problem(family: str, said: Mapping[str, Any]) -> str | None:
    """What is wrong with the types that an array of a family states."""
    if family not in _COLUMNS and (family not in _DTYPE_KINDS or "dtype" not in said):
        return None
    try:
        dtype = np.dtype(said["dtype"])
        if family in _COLUMNS:
            ColumnSpec.from_attributes(said)
    except (KeyError, TypeError, ValueError) as error:
        return f"dtype, row_shape or categories are malformed: {error}"
    usable = not dtype.hasobject and dtype.itemsize and dtype.kind in _DTYPE_KINDS.get(family, dtype.kind)
    return None if usable else f"dtype is {said['dtype']!r}"


def open_level(
    root: RootState, nodes: Nodes, number: int, metadata: LevelMetadata, findings: Findings
) -> LevelState | None:
    """A level of the arrays whose documents can be used; None where it has no usable positions."""
    ndim = root.metadata.ndim + metadata.leading_axes
    builder = _Builder(nodes, number, metadata, ndim, findings.store, findings)
    below = nodes.below(str(number))
    # The cells of vertices are asked for most: whoever shares their presence list need not parse it again.
    for name in sorted(below, key=lambda name: name != constants.VERTICES):
        findings.attempt(f"{number}/{name}", partial(builder.take, name, below[name]), "array_metadata")
    index = below.get(constants.OBJECT_INDEX)
    header = own_header(index) if index is not None and is_group(index) else None
    if header is not None:
        for problem in _header_problems(header, ndim, constants.OBJECT_MANIFESTS in below):
            findings.add("index_header", f"{number}/{constants.OBJECT_INDEX}", problem)
    if constants.VERTICES not in builder.cells:
        return None
    level = LevelState(
        number,
        nodes.documents[str(number)],
        metadata,
        tuple(metadata.chunk_shape or root.metadata.chunk_shape),
        builder.cells,
        builder.tables,
        header,
        builder.links,
        COMPOSITE in below,
        findings.store,
    )
    if metadata.numbers_rows:
        spec = level.vertex_columns.get(constants.ROW_ID)
        findings.attempt(str(number), partial(check_row_ids, number, spec, findings.store), "row_ids")
    return level if len(level.chunk_shape) == root.metadata.ndim else None


def _header_problems(header: Mapping[str, Any], ndim: int, has_manifests: bool) -> list[str]:
    """What is wrong with the header of the object index."""
    problems = []
    layouts = (constants.MANIFEST_LAYOUT_V1, constants.MANIFEST_LAYOUT_V2)
    if has_manifests and header.get("layout") not in layouts:
        problems.append(f"layout is {header.get('layout')!r}, not one of {layouts}")
    if header.get("sid_ndim", ndim) != ndim:
        problems.append(f"sid_ndim is {header.get('sid_ndim')!r}, chunk keys have {ndim} components")
    for name in ("num_objects", "num_present"):
        value = header.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            problems.append(f"{name} is {value!r}")
    run = header.get(ID_RUN)
    if run is not None and not (isinstance(run, list) and len(run) == 2 and all(type(part) is int for part in run)):
        problems.append(f"{ID_RUN} is {run!r}")
    return problems
