"""The arrays of a level in other chunks: their documents keep all that is not about chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec, cell_array_document, dtype_name
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ChunkingError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.root import divides
from zarr_vectors.rechunk.scan_plan import Scan, ScanPlan
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import MAX_GRID_CELLS, check_edges
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.typing import JsonObject

__all__ = ["Target", "array_attributes", "array_like", "coarse_chunk_shape", "new_chunk_shape", "plan_target"]

_PLACE = (constants.NONEMPTY_CHUNKS, constants.CHUNK_GRID_ORIGIN)
_MOST_CHUNKS = 4096
"""Chunks of level 0 along an axis that a chunk of a coarser level may span."""
_MOST_SHARD_CELLS = 2**15
_SHARD_CELLS = 4096
"""Cells of a shard up to which it takes several bins: each has 16 bytes in the index that comes before reading any."""


def new_chunk_shape(root: RootState, level: LevelState, given: Any) -> tuple[float, ...]:
    """Edge lengths of the new chunks.

    Raises:
        ChunkingError: They cannot be used, or the bins of the store do not divide them.
    """
    if given is None:
        return level.chunk_shape
    shape = check_edges("spatial_chunk_shape", given, root.metadata.ndim)
    bins = root.metadata.base_bin_shape
    if bins is not None and not divides(shape, bins):
        raise ChunkingError(
            "spatial_chunk_shape must be a multiple of the store's bins on every axis", expected=list(bins), got=shape
        )
    return shape


def coarse_chunk_shape(root: RootState, level: LevelState, shape: tuple[float, ...]) -> tuple[float, ...]:
    """Edge lengths of the new chunks of a coarser level: as many times those of level 0 as before.

    Where the level's bins are no larger than that and do not fill it, the chunks are enlarged until they do.

    Args:
        root: The root as it is.
        level: The level as it is.
        shape: The new chunks of level 0.

    Raises:
        ChunkingError: There is no such multiple of those of level 0.
    """
    found = []
    for axis, (edge, old) in enumerate(zip(level.chunk_shape, root.metadata.chunk_shape, strict=True)):
        times, inner = max(1, round(edge / old)), root.level_bin_shape(level.number)[axis]
        tried = range(times, times + _MOST_CHUNKS)
        fitting = next((n for n in tried if shape[axis] * n < inner or divides([shape[axis] * n], [inner])), None)
        if fitting is None:
            raise ChunkingError(
                f"the bins of level {level.number} fill no number of such chunks",
                store=level.store,
                got=f"bins of {inner:g} in chunks of {shape[axis]:g} along axis {axis}",
                hint="choose chunks that bins of coarser levels are multiples or parts of, or pass coarser='drop'",
            )
        found.append(shape[axis] * fitting)
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A level to be written.

    Args:
        level: The level as it is.
        grid: Cells of all arrays.
        shard_shape: Cells of a stored object along each axis; None for one.
        plan: How rows become cells.
    """

    level: LevelState
    grid: Grid
    shard_shape: tuple[int, ...] | None
    plan: CellPlan

    def array(self, name: str, attributes: JsonObject) -> CellArray:
        """An array of links on the grid, for a ``LinkPlan``: what its old one said beside is kept."""
        return array_like(self, name, self.level.link_documents.get(name), attributes)


def array_like(target: Target, name: str, old: JsonObject | None, attributes: JsonObject) -> CellArray:
    """An array on a level's grid that keeps what an old one said beside.

    Args:
        old: ``zarr.json`` of the old one, if there was one.
    """
    level = target.level
    document = None if old is None else ArrayDocument.parse(old, where=f"{level.number}/{name}")
    return _array(level, name, document, attributes, target.grid, target.shard_shape)


def array_attributes(document: ArrayDocument) -> JsonObject:
    """What an array says that is not about its chunks."""
    return {key: value for key, value in document.attributes.items() if key not in _PLACE}


def plan_target(
    source: ScanPlan, scan: Scan, root: RootState, chunk_shape: tuple[float, ...], made: Mapping[str, JsonObject]
) -> Target:
    """Decide where everything goes.

    Args:
        root: The root, with the bounds that the store is to have.
        made: Attributes of arrays to make for vertex attributes that only chunk keys have said.

    Raises:
        ChunkingError: There would be too many chunks.
    """
    level = source.level
    grid = _grid(source, scan, root, chunk_shape)
    shards = _old_shards(level) if _keeps_chunks(source, chunk_shape) else _shard_shape(level, grid, chunk_shape)
    fragments = {name: spec for name, spec in source.columns.items() if name in level.fragment_columns}
    rows = {name: spec for name, spec in source.columns.items() if name not in fragments}
    said: dict[str, tuple[ArrayDocument | None, JsonObject]] = {
        name: (level.cell_array(name).document, {}) for name in (constants.VERTICES, constants.VERTEX_FRAGMENTS)
    }
    for name, spec in source.columns.items():
        path = level.column_path(name) if name in level.row_columns else f"{constants.VERTEX_ATTRIBUTES}/{name}"
        old = level.cells[path].document if path in level.cells else None
        said[path] = (old, {**made.get(name, {}), **_column_attributes(spec)})
    for path in _own_facts(source):
        name = path.partition("/")[2]
        facts = {"zv_array": "fragment_attribute", "name": name, "dtype": "int64", "row_shape": []}
        said[path] = (level.cells[path].document if path in level.cells else None, facts)
    if level.is_unordered:
        said[constants.VERTICES] = (level.vertices.document, {"encoding": constants.ENCODING_RAW})
    bin_shape = _bin_shape(root, level, chunk_shape)
    plan = CellPlan(
        arrays={name: _array(level, name, *facts, grid, shards) for name, facts in said.items()},
        chunk_shape=chunk_shape,
        bin_shape=bin_shape,
        bins=tuple(max(1, round(c / b)) for c, b in zip(chunk_shape, bin_shape, strict=True)),
        dtype=level.position_dtype,
        columns=rows,
        has_objects=source.has_objects,
        connects=source.kind.connects,
        per_fragment=fragments,
        explicit=not source.implied,
    )
    return Target(level=level, grid=grid, shard_shape=shards, plan=plan)


def _bin_shape(root: RootState, level: LevelState, chunk_shape: tuple[float, ...]) -> tuple[float, ...]:
    """Bins of the chunks; a whole chunk where they do not fill it, as those of coarser levels may not."""
    if not level.number:
        return tuple(root.metadata.base_bin_shape or chunk_shape)
    bins = root.level_bin_shape(level.number)
    return bins if divides(chunk_shape, bins) else chunk_shape


def _own_facts(source: ScanPlan) -> list[str]:
    """What this library keeps for itself of each fragment."""
    if source.shared is not None:
        # Several objects may own a fragment, or one be several times in a line: only manifests tell.
        return []
    facts = [constants.FRAGMENT_OWNER] if source.has_objects else []
    return [*facts, constants.FRAGMENT_OFFSET] if facts and source.kind.connects == "sequence" else facts


def _column_attributes(spec: ColumnSpec) -> JsonObject:
    """What must be said of a column's type now; names of channels stay those that it had."""
    said: JsonObject = {"dtype": dtype_name(spec.dtype), "row_shape": list(spec.row_shape)}
    if spec.categories is not None:
        said |= spec.attributes()
        said["_FillValue"] = -1 if spec.dtype.kind == "i" else None
    return said


def _array(
    level: LevelState,
    name: str,
    old: ArrayDocument | None,
    said: JsonObject,
    grid: Grid,
    shards: tuple[int, ...] | None,
) -> CellArray:
    model = level.vertices.document if old is None else old
    kept = {} if old is None else array_attributes(old)
    default = {"zv_array": "attribute", "name": name.partition("/")[2]} if old is None else {}
    merged = {key: value for key, value in {**default, **kept, **said}.items() if value is not None}
    fresh = cell_array_document(grid, shards, _codecs(model), merged)
    if old is not None:
        # What other writers say beside the attributes is kept, but for names of dimensions that there are no longer.
        parts = {key: getattr(fresh, key) for key in ("shape", "chunk_grid", "codecs", "attributes")}
        gone = "dimension_names" if len(grid.shape) != len(old.shape) else None
        facts = {key: value for key, value in old.to_json().items() if key != gone}
        fresh = ArrayDocument.parse({**facts, **parts}, where=f"{level.number}/{name}")
    return CellArray(f"{level.number}/{name}", fresh, level.store)


def _codecs(document: ArrayDocument) -> list[JsonObject]:
    """The codecs of a cell."""
    for codec in document.codecs:
        if codec.get("name") == "sharding_indexed":
            return [dict(inner) for inner in codec["configuration"]["codecs"]]
    return [dict(codec) for codec in document.codecs]


def _grid(source: ScanPlan, scan: Scan, root: RootState, chunk_shape: tuple[float, ...]) -> Grid:
    grid = Grid.of_bounds(*root.metadata.bounds, chunk_shape)
    if scan.low is not None and scan.high is not None:
        grid = grid.union(Grid.of_bounds(scan.low.tolist(), scan.high.tolist(), chunk_shape))
    if source.cut is None and tuple(chunk_shape) == tuple(source.level.chunk_shape):
        lead = source.level.vertices.ndim - len(chunk_shape)
        old = source.level.vertices.grid
        grid = grid.union(Grid(old.origin[lead:], old.shape[lead:]))
    if source.binning.has_axis:
        bins = max(1, source.binning.count + int(scan.used[source.binning.count]))
        first = source.level.vertices.grid.origin[0] if source.binning.stays else 0
        grid = Grid((first, *grid.origin), (bins, *grid.shape))
    if grid.cells > MAX_GRID_CELLS:
        hint = "use fewer bins, or larger chunks" if source.binning.has_axis else "use larger chunks"
        raise ChunkingError(
            "there would be too many chunks",
            got=f"{grid.cells:.3g} chunks ({' x '.join(map(str, grid.shape))})",
            expected=f"at most {MAX_GRID_CELLS}",
            hint=hint,
        )
    return grid


def _keeps_chunks(source: ScanPlan, chunk_shape: tuple[float, ...]) -> bool:
    """Whether rows stay in the chunks that they are in."""
    leads = bool(source.level.metadata.leading_axes)
    same_axes = source.binning.stays if leads else not source.binning.has_axis
    return same_axes and tuple(chunk_shape) == tuple(source.level.chunk_shape)


def _old_shards(level: LevelState) -> tuple[int, ...] | None:
    return level.vertices.block if level.vertices.document.is_sharded else None


def _shard_shape(level: LevelState, grid: Grid, chunk_shape: tuple[float, ...]) -> tuple[int, ...] | None:
    """Shards of about the same box of space as before, and of as many bins as their index leaves room for."""
    if not level.vertices.document.is_sharded:
        return None
    ndim = len(chunk_shape)
    block = level.vertices.block[-ndim:]
    edges = np.asarray(block) * np.asarray(level.chunk_shape) / np.asarray(chunk_shape)
    spatial = [
        int(min(max(1, round(edge)), length)) for edge, length in zip(edges.tolist(), grid.shape[-ndim:], strict=True)
    ]
    while prod(spatial) > max(_MOST_SHARD_CELLS, prod(block)):
        longest = spatial.index(max(spatial))
        spatial[longest] = -(-spatial[longest] // 2)
    if len(grid.shape) == ndim:
        return tuple(spatial)
    return (min(grid.shape[0], max(1, _SHARD_CELLS // prod(spatial))), *spatial)
