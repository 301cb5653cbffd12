"""Reading the tables of objects and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import EVERY_ROW_PRESENT
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.metadata.array import fill_value_of
from zarr_vectors.query.groups import GroupTable, decode_groups
from zarr_vectors.query.objects import check_ids, id_run
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray, read_tables
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["LevelTables", "read_level_tables"]


@dataclass(frozen=True)
class LevelTables:
    """The object and group tables of a level.

    Args:
        ids: ``(O,)`` object id of each row of the index.
        attributes: Object attributes, ``O`` rows each; missing values are NaN, NaT, None or masked.
        groups: Members of each group.
        group_attributes: Group attributes, a row for each group id from 0.
    """

    ids: IntArray
    attributes: dict[str, Column] = field(default_factory=dict)
    groups: GroupTable = field(default_factory=lambda: GroupTable(()))
    group_attributes: dict[str, Column] = field(default_factory=dict)


def read_level_tables(storage: Storage, level: LevelState, *, only: Sequence[str] | None = None) -> LevelTables:
    """Read all tables but the manifests in one round.

    Args:
        only: Object attributes to read, and nothing else but ids; None for everything.

    Raises:
        CorruptionError: A table cannot be read, or is longer than the index.
    """
    wanted: dict[str, TableArray] = {}
    run = id_run(level) if level.has_objects else np.zeros(0, dtype=np.int64)
    if run is None:
        wanted[constants.OBJECT_IDS] = level.tables[constants.OBJECT_IDS]
    families = (constants.OBJECT_ATTRIBUTES, constants.GROUP_ATTRIBUTES)
    named = None if only is None else {f"{constants.OBJECT_ATTRIBUTES}/{name}" for name in only}
    wanted |= {
        name: table
        for name, table in level.tables.items()
        if (name.partition("/")[0] in families if named is None else name in named)
    }
    if constants.GROUPS in level.tables and named is None:
        wanted[constants.GROUPS] = level.tables[constants.GROUPS]
    values = dict(zip(wanted, read_tables(storage, [(table, None) for table in wanted.values()]), strict=True))
    ids = check_ids(level, values[constants.OBJECT_IDS]) if run is None else run
    columns = {name: _column(wanted[name], values[name]) for name in wanted if name.partition("/")[0] in families}
    groups = decode_groups(level, values[constants.GROUPS]) if constants.GROUPS in values else GroupTable(())
    prefix = constants.OBJECT_ATTRIBUTES + "/"
    attributes = {
        name.removeprefix(prefix): _padded(level, name, column, len(ids))
        for name, column in columns.items()
        if name.startswith(prefix)
    }
    prefix = constants.GROUP_ATTRIBUTES + "/"
    of_groups = {name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)}
    return LevelTables(ids, attributes, groups, of_groups)


def _column(table: TableArray, values: AnyArray) -> Column:
    """Fill values that mean absence become missing values."""
    attributes = table.document.attributes
    complete = attributes.get(EVERY_ROW_PRESENT) or attributes.get("fill_sentinel_meaning") != "absent"
    if values.dtype.kind == "U":
        texts = [None if text == "" and not complete else text for text in values.tolist()]
        return Categorical.from_values(np.array(texts, dtype=object))
    if complete or values.dtype.kind in "fcmMb":
        return values
    absent = values == fill_value_of(table.document)
    if values.ndim > 1:
        absent = np.broadcast_to(absent.all(axis=tuple(range(1, values.ndim)), keepdims=True), values.shape)
    if not absent.any():
        return values
    return masked(values, absent)


def _padded(level: LevelState, name: str, column: Column, rows: int) -> Column:
    """Edits of other writers may leave an attribute shorter than the index: the rest has no value."""
    if len(column) > rows:
        raise CorruptionError(
            "an object attribute has more rows than the object index",
            store=level.store,
            array=f"{level.number}/{name}",
            expected=rows,
            got=len(column),
        )
    short = rows - len(column)
    if not short:
        return column
    if isinstance(column, Categorical):
        return Categorical(np.concatenate([column.codes, np.full(short, -1)]), column.categories, column.ordered)
    shape = (rows, *column.shape[1:])
    if column.dtype.kind in "fc":
        longer = np.full(shape, np.nan, dtype=column.dtype)
        longer[: len(column)] = column
        return longer
    values = np.zeros(shape, dtype=column.dtype)
    mask = np.ones(shape, dtype=bool)
    values[: len(column)] = column
    mask[: len(column)] = np.ma.getmaskarray(column)
    return masked(values, mask)


def masked(values: AnyArray, mask: AnyArray) -> AnyArray:
    """A masked array, typed as the array that it is."""
    array: AnyArray = np.ma.MaskedArray(values, mask=mask)
    return array
