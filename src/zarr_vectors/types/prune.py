"""Taking away the vertices outside a box, with all that hangs on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.geometry import Geometry, Lines, take_column
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.rows import iter_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.tables import LevelTables, read_level_tables
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.create import write_new
from zarr_vectors.types.intake import First, MemoryIntake, memory_intake
from zarr_vectors.types.kinds import Kind, kind_of_types
from zarr_vectors.types.options import WriteOptions, as_bounds
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.refill import Refill
from zarr_vectors.types.table import column_spec
from zarr_vectors.types.value import Tables, plan_for, value_of
from zarr_vectors.typing import Bounds, FloatArray, IntArray

__all__ = ["has_rows_outside", "prune_rows"]

_BATCH_ROWS = 1_000_000


def has_rows_outside(storage: Storage, root: RootState, level: LevelState, bounds: Bounds) -> bool:
    """Whether a level has vertices outside a closed box; only chunks that reach out of it are read.

    Args:
        bounds: ``(lo, hi)`` in stored coordinates.

    Raises:
        CorruptionError: A cell that has to be read is gone or corrupt.
    """
    lo, hi = as_bounds(bounds, root.metadata.ndim)
    present = level.vertices.present
    low = present[:, level.metadata.leading_axes :] * np.asarray(level.chunk_shape, dtype=np.float64) - level.rounding
    high = low + np.asarray(level.chunk_shape, dtype=np.float64) + 2 * level.rounding
    crossing = present[~((low >= lo) & (high <= hi)).all(axis=1)]
    if not len(crossing):
        return False
    box = ClosedBox.from_user((lo, hi), [axis.name for axis in root.axes])
    selection = Selection(chunks=crossing, attributes=(), owners=False)
    batches = iter_rows(storage, level, selection, batch_rows=_BATCH_ROWS)
    return any(not box.mask(rows.positions).all() for rows in batches)


def prune_rows(
    storage: Storage, root: RootState, level: LevelState, bounds: Bounds, also: tuple[Put, ...] = ()
) -> None:
    """Write level 0 anew with the vertices in a closed box, and the box as the store's bounds, as one commit.

    Links that lose an end go; objects keep their ids, attributes and groups, also without vertices. A polyline that
    falls into parts keeps its id for the first, and the others become objects of their own in the same groups with the
    same attributes; a straight line that loses an end goes.

    Args:
        bounds: ``(lo, hi)``.
        also: Objects to write in the same commit.

    Raises:
        ConventionError: The rows of the store cannot be written anew.
        CorruptionError: A cell is gone or corrupt.
    """
    kind = kind_of_types(root.metadata.geometry_types, storage.url)
    _check_prunable(storage, root, level)
    selection = Selection.of([axis.name for axis in root.axes], bbox=bounds)
    shape = read_shape(storage, level, selection, plan_for(root, kind, "vertices", None))
    tables = read_level_tables(storage, level) if level.has_objects else None
    if kind.value is Lines:
        shape = _whole_lines(shape)
    value = _as_value(root, level, kind, shape, tables)
    extra = level.metadata.model_extra or {}
    refill = Refill(
        root=root,
        level=level,
        packing=Packing.of_level(root, level),
        next_row_id=extra.get("next_row_id"),
        also=also,
        keeps_groups=True,
    )
    options = refill.options(WriteOptions(axes=root.axes), bounds)
    intake = memory_intake(value, kind, options, lambda ndim: as_bounds(bounds, ndim), First())
    if value.row_ids is not None:
        _keep_row_ids(intake, value.row_ids)
    write_new(storage, kind, intake, options, refill)


def _check_prunable(storage: Storage, root: RootState, level: LevelState) -> None:
    level.refuse_composite()
    reason = None
    if root.offset is not None:
        reason = "keeps coordinates with an offset"
    elif level.metadata.leading_axes:
        reason = "is chunked by an attribute"
    elif any("/" in name for name in level.fragment_columns):
        reason = "has a fragment attribute with the name of a vertex attribute"
    if reason is not None:
        raise ConventionError(
            f"the store {reason}, and vertices cannot be taken out of it",
            store=storage.url,
            hint="read what lies in the box and write it to a store of its own",
        )


def _whole_lines(shape: Shape) -> Shape:
    """Straight lines of which both ends are left."""
    assert shape.offsets is not None
    assert shape.ids is not None
    sizes = np.diff(shape.offsets)
    whole = sizes == 2
    return Shape(
        rows=shape.rows.take(np.repeat(whole, sizes)),
        offsets=np.arange(0, 2 * int(whole.sum()) + 1, 2, dtype=np.int64),
        ids=shape.ids[whole],
    )


@dataclass(frozen=True)
class _Parts:
    """Parts of lines, each with an id of its own.

    Args:
        ids: ``(P,)`` id of each part.
        origins: Ids of the lines that the new ids stem from.
        new: The new ids.
    """

    ids: IntArray
    origins: IntArray
    new: IntArray


def _parts(ids: IntArray, known: IntArray) -> _Parts:
    """Ids of parts: the first of a line keeps the line's, the others get those above all that are known."""
    order = np.argsort(ids, kind="stable")
    again = np.zeros(len(ids), dtype=bool)
    again[order[1:]] = ids[order[1:]] == ids[order[:-1]]
    first = int(known.max(initial=-1)) + 1
    new = np.arange(first, first + int(again.sum()), dtype=np.int64)
    numbered = ids.copy()
    numbered[again] = new
    return _Parts(numbered, ids[again], new)


def _as_value(root: RootState, level: LevelState, kind: Kind, shape: Shape, tables: LevelTables | None) -> Geometry:
    known = Tables()
    if tables is not None:
        known = _tables(tables)
        if shape.ids is not None:
            parts = _parts(shape.ids, tables.ids)
            shape = replace(shape, ids=parts.ids)
            known = _with_parts(known, parts)
        elif shape.rows.object_ids is None:
            shape.rows.object_ids = np.zeros(0, dtype=np.int64)
    elif constants.FRAGMENT_OWNER in level.cells and not len(shape.rows.positions):
        shape.rows.object_ids = np.zeros(0, dtype=np.int64)
    family = level.links if kind.connects == "links" else None
    return value_of(shape, kind, root.axes, family, known)


def _tables(tables: LevelTables) -> Tables:
    return Tables(
        objects=tables.ids,
        object_attributes=tables.attributes,
        groups=dict(enumerate(tables.groups.members)),
        group_attributes=tables.group_attributes,
    )


def _with_parts(tables: Tables, parts: _Parts) -> Tables:
    """The tables with the new ids of parts, which have the attributes and groups of the lines they stem from."""
    assert tables.objects is not None
    if not len(parts.new):
        return tables
    order = np.argsort(tables.objects, kind="stable")
    rows = order[np.searchsorted(tables.objects[order], parts.origins)]
    every = np.concatenate([np.arange(len(tables.objects)), rows])
    return replace(
        tables,
        objects=np.concatenate([tables.objects, parts.new]),
        object_attributes={name: take_column(column, every) for name, column in tables.object_attributes.items()},
        groups={
            group: np.concatenate([members, parts.new[np.isin(parts.origins, members)]])
            for group, members in tables.groups.items()
        },
    )


def _keep_row_ids(intake: MemoryIntake, row_ids: FloatArray | IntArray) -> None:
    """Rows go on being called what they are."""
    numbers = np.asarray(row_ids, dtype=np.int64)
    intake.table.columns[constants.ROW_ID] = numbers
    intake.columns[constants.ROW_ID] = column_spec(numbers)
