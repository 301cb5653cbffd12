"""The cells of a level that rows are appended to: its arrays, on a grid that these rows fit in too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ChunkingError
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import MAX_GRID_CELLS
from zarr_vectors.storage.cell_array import CellArray, grown
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.conventions import keeps_every_link
from zarr_vectors.types.intake import Intake
from zarr_vectors.types.kinds import Kind

__all__ = ["plan_append"]


def plan_append(
    root: RootState, level: LevelState, intake: Intake, recoded: Mapping[str, ColumnSpec], kind: Kind
) -> CellPlan:
    """How rows become cells of a level that exists.

    Args:
        recoded: Arrays of attributes whose stored type widens, with their new type.
        kind: Of the rows.

    Raises:
        ChunkingError: The rows lie too far from the level's.
    """
    grid = _grid_with(level, intake)
    arrays = {name: grown(array, grid) for name, array in level.cells.items()}
    for path, spec in recoded.items():
        old = arrays[path]
        said = {"_FillValue": None, **spec.attributes()}
        arrays[path] = CellArray(old.path, old.document.with_attributes(**said), old.store)
    blocks = {(array.block, tuple(np.asarray(array.grid.origin) % array.block)) for array in arrays.values()}
    return CellPlan(
        arrays=arrays,
        chunk_shape=level.chunk_shape,
        bin_shape=tuple(root.metadata.bin_shape),
        bins=root.metadata.bins_per_chunk,
        dtype=level.position_dtype,
        columns={name: spec for name, spec in intake.columns.items() if name in level.vertex_columns},
        per_fragment={name: spec for name, spec in intake.columns.items() if name in level.fragment_columns},
        has_objects=level.has_objects,
        connects=kind.connects,
        whole=len(blocks) > 1,
        explicit=keeps_every_link(root.metadata),
    )


def _grid_with(level: LevelState, intake: Intake) -> Grid:
    """The level's grid, or the smallest one around it that the rows fit in too.

    Raises:
        ChunkingError: That has too many chunks.
    """
    grid = level.vertices.grid
    if intake.extent.low is None or intake.extent.high is None:
        return grid
    needed = grid.union(Grid.of_bounds(intake.extent.low.tolist(), intake.extent.high.tolist(), level.chunk_shape))
    if needed.cells > MAX_GRID_CELLS and needed != grid:
        raise ChunkingError(
            "the appended rows lie so far off that the store's grid would have too many chunks",
            got=f"{needed.cells:.3g} chunks",
            expected=f"at most {MAX_GRID_CELLS}",
            hint="write them to a store of their own, or this one anew with larger chunks",
        )
    return needed
