"""The attributes of a level as they are stored, and as they can be stored again in other chunks."""

from __future__ import annotations

from dataclasses import replace

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import StoreError
from zarr_vectors.query.block import Block
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.table import code_dtype

__all__ = ["chunk_column_kept", "stored_columns", "without_gaps"]


def stored_columns(storage: Storage, level: LevelState) -> dict[str, ColumnSpec]:
    """Types of the vertex and fragment attributes that arrays hold, by the names under which they are read.

    Raises:
        StoreError: An attribute lacks values that its type cannot mark as missing.
    """
    found = {}
    for name, spec in level.row_columns.items():
        array = level.cells[level.column_path(name)]
        shape = _row_shape(storage, level, name, array)
        found[name] = spec if shape is None or shape == spec.row_shape else replace(spec, row_shape=shape)
        if not array.has_all_of(level.vertices):
            found[name] = without_gaps(f"attribute {name!r}", found[name], array.path, level.store)
    return found


def _row_shape(storage: Storage, level: LevelState, name: str, array: CellArray) -> tuple[int, ...] | None:
    """What one cell tells of the shape of a row: other writers state one that is not true. None where there is none."""
    cells = array.present[:1]
    if not len(cells):
        return None
    arrays = {
        constants.VERTICES: level.vertices,
        constants.VERTEX_FRAGMENTS: level.cell_array(constants.VERTEX_FRAGMENTS),
        level.column_path(name): array,
    }
    block = Block.read(storage, level, cells, arrays)
    block.prepare([name])
    return block.columns[name].shape[1:] if len(block.coords) else None


def without_gaps(what: str, spec: ColumnSpec, array: str, store: str | None) -> ColumnSpec:
    """The type that also holds missing values: cells that are not there become such values in other chunks.

    Raises:
        StoreError: It has none.
    """
    if spec.categories is not None:
        return replace(spec, dtype=code_dtype(len(spec.categories), missing=True))
    if spec.dtype.kind in "fcmM":
        return spec
    raise StoreError(
        f"{what} has no value in some chunks, which {spec.dtype} cannot say in other chunks",
        store=store,
        array=array,
        hint="write the missing values first",
    )


def chunk_column_kept(level: LevelState) -> str | None:
    """The attribute that only the chunk keys say, and that must be stored as a vertex attribute when they change.

    None where there is none, and where it is an object attribute, whose table stays.

    Raises:
        StoreError: It lacks values that its type cannot mark as missing.
    """
    for name, spec in level.chunk_columns.items():
        axis = level.metadata.chunk_axis
        if axis is not None and axis.of == "object" and name in level.object_columns:
            return None
        if None in (level.metadata.chunk_attribute_values or ()):
            without_gaps(f"attribute {name!r}", spec, level.vertices.path, level.store)
        return name
    return None
