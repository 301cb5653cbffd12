"""Conditions on attributes: which objects, chunks and rows meet them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from zarr_vectors.core.chunk_axis import chunk_values
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.query.selection import Condition, Selection
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.query.values import Rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["conditions_of", "met_by", "narrow_cells", "only_chunks_of", "resolve"]


def conditions_of(where: Any) -> tuple[Condition, ...]:
    """Check what a user gave: ``{attribute: value}``, or a list of values of which any will do.

    Raises:
        InputError: Something else.

    Example:
        >>> conditions_of({"label": ["a", "b"], "flag": True})
        (Condition(name='label', values=('a', 'b')), Condition(name='flag', values=(True,)))
    """
    if where is None:
        return ()
    if not isinstance(where, Mapping):
        raise InputError("where must be {attribute: value}", got=repr(where))
    return tuple(Condition(_name(name), _values(name, value)) for name, value in where.items())


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise InputError("where must name attributes by text", got=repr(name))
    return name


def _values(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    values = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    plain = tuple(one.item() if isinstance(one, np.generic) else one for one in values)
    for one in plain:
        if one is not None and not isinstance(one, (bool, int, float, str)):
            raise InputError(
                f"where[{name!r}] must be a number, boolean or text, None for missing, or a list of these",
                got=repr(one),
            )
    return plain


def resolve(storage: Storage, level: LevelState, selection: Selection) -> Selection:
    """Turn conditions on objects into ids and those on what a level is chunked by into chunks; others stay for rows.

    Where objects and vertices have an attribute of one name, that of objects is meant.

    Raises:
        AttributeNotFoundError: An attribute does not exist.
        InputError: An attribute cannot be compared with a value.
    """
    of_objects = [one for one in selection.where if one.name in level.object_columns]
    of_rows = [one for one in selection.where if one not in of_objects]
    known = [*level.row_columns, *level.chunk_columns]
    for condition in of_rows:
        if condition.name not in known:
            raise _unknown(level, condition.name, known)
    if of_objects:
        tables = read_level_tables(storage, level, only=[one.name for one in of_objects])
        met = np.ones(len(tables.ids), dtype=bool)
        for condition in of_objects:
            met &= condition_mask(condition, tables.attributes[condition.name])
        ids = tables.ids[met]
        selection = replace(selection, among=ids) if selection.by_object else replace(selection, object_ids=ids)
    for condition in of_rows:
        if condition.name in level.chunk_columns:
            selection = replace(selection, leads=_leads(level, condition, selection.leads))
    return replace(selection, row_conditions=tuple(of_rows))


def only_chunks_of(level: LevelState, selection: Selection, wanted: Mapping[str, Any]) -> Selection:
    """Leave out the chunks whose rows cannot have these values; whoever asks compares the rows."""
    conditions = conditions_of({name: value for name, value in wanted.items() if name in level.chunk_columns})
    for condition in conditions:
        selection = replace(selection, where=conditions, leads=_leads(level, condition, selection.leads))
    return selection


def _unknown(level: LevelState, name: str, known: Sequence[str]) -> AttributeNotFoundError:
    every = sorted({*known, *level.object_columns})
    near = get_close_matches(name, every, n=1)
    return AttributeNotFoundError(
        f"the level has no attribute {name!r}",
        store=level.store,
        expected=f"one of {every}",
        hint=f"did you mean {near[0]!r}?" if near else None,
    )


def _leads(level: LevelState, condition: Condition, known: IntArray | None) -> IntArray:
    """Leading coordinates whose chunks meet a condition."""
    spec = level.chunk_columns[condition.name]
    every = np.arange(len(level.metadata.chunk_attribute_values or ()))
    column = chunk_values(level.metadata, spec, every, store=level.store, array=level.vertices.path)
    found = np.flatnonzero(condition_mask(condition, column))
    return found if known is None else np.intersect1d(found, known)


def narrow_cells(coords: IntArray, selection: Selection) -> IntArray:
    """Those cells that may meet the conditions."""
    return coords if selection.leads is None else coords[np.isin(coords[:, 0], selection.leads)]


def condition_mask(condition: Condition, column: Column) -> BoolArray:
    """``(n,)`` which values meet a condition.

    Raises:
        InputError: The attribute has several channels, or is text where the value is none, or the other way round.
    """
    if len(column.shape) > 1:
        raise InputError(f"where cannot compare attribute {condition.name!r}, which has several channels")
    met = np.zeros(len(column), dtype=bool)
    for value in condition.values:
        met |= _equal(condition.name, column, value)
    return met


def _equal(name: str, column: Column, value: Any) -> BoolArray:
    if isinstance(column, Categorical):
        return np.asarray(column == value, dtype=bool)
    missing = np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    if value is None or value != value:
        return np.asarray(missing | (np.isnan(values) if values.dtype.kind in "fc" else False), dtype=bool)
    if values.dtype.kind not in "biufc" or isinstance(value, str):
        raise InputError(f"where cannot compare attribute {name!r} of {values.dtype} with this value", got=repr(value))
    return np.asarray((values == value) & ~missing, dtype=bool)


def met_by(rows: Rows, selection: Selection) -> BoolArray | None:
    """Which rows meet the conditions on rows; None for all."""
    if not selection.row_conditions:
        return None
    met = np.ones(len(rows.positions), dtype=bool)
    for condition in selection.row_conditions:
        met &= condition_mask(condition, rows.columns[condition.name])
    return met
