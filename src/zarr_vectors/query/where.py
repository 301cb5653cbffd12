"""Conditions on attributes of a level: which objects, chunks, rows and links must meet them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from zarr_vectors.core.chunk_axis import chunk_values
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.query.attribute import Attribute
from zarr_vectors.query.expressions import And, Expression, all_of
from zarr_vectors.query.grammar import expression_of
from zarr_vectors.query.row_filter import RowFilter
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.query.values import Rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["conditions_of", "met_by", "narrow_cells", "only_chunks_of", "resolve"]


def conditions_of(where: Any) -> Expression | None:
    """Check what a user gave: a condition, text that tells one, or ``{attribute: value or list of values}``.

    Returns:
        The condition; None where there is none.

    Raises:
        InputError: Something else, or text that cannot be understood.

    Example:
        >>> print(conditions_of({"label": ["a", None], "flag": True}))
        (label in ('a') or label is null) and flag in (true)
        >>> print(conditions_of("label = 'a'"))
        label == 'a'
    """
    if where is None or isinstance(where, Expression):
        return where
    if isinstance(where, str):
        return expression_of(where)
    if not isinstance(where, Mapping):
        raise InputError(
            "where must be text, a condition made by zv.col, or {attribute: value}",
            got=repr(where),
            hint=f"compare {where!r} with a value" if isinstance(where, Attribute) else None,
        )
    parts = [_as_name(name).isin(_values(name, value)) for name, value in where.items()]
    return all_of(parts) if parts else None


def _as_name(name: Any) -> Attribute:
    if not isinstance(name, str):
        raise InputError("where must name attributes by text", got=repr(name))
    return Attribute(name)


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
    """Turn conditions into ids where they ask of objects alone, and into chunks where of what a level is chunked by.

    Of conditions that must all be met each is taken by itself. What is left is kept for rows, with the attributes of
    objects that it asks for, and for links. Where objects and vertices have an attribute of one name, that of objects
    is meant; where vertices and links have, that of vertices.

    Raises:
        AttributeNotFoundError: An attribute does not exist.
        InputError: An attribute cannot be compared with a value, or one condition asks of links and of others.
    """
    if selection.where is None:
        return selection
    parts = selection.where.parts if isinstance(selection.where, And) else (selection.where,)
    _check_names(level, selection.where.names)
    links = [part for part in parts if _asks_of_links(level, part)]
    others = [part for part in parts if part not in links]
    objects = [part for part in others if all(name in level.object_columns for name in part.names)]
    rows = [part for part in others if part not in objects]
    named = [name for part in others for name in part.names if name in level.object_columns]
    selection = replace(selection, link_condition=all_of(links) if links else None)
    found: dict[str, Column] = {}
    ids = np.zeros(0, dtype=np.int64)
    if named:
        tables = read_level_tables(storage, level, only=named)
        found, ids = tables.attributes, tables.ids
    _check_rows(level, rows, found)
    if objects:
        wanted = ids[all_of(objects).mask(found)]
        selection = replace(selection, among=wanted) if selection.by_object else replace(selection, object_ids=wanted)
    for part in rows:
        if all(name in level.chunk_columns for name in part.names):
            selection = replace(selection, leads=_leads(level, part, selection.leads))
    if not rows:
        return selection
    asked = {name for part in rows for name in part.names}
    of_objects = {name: column for name, column in found.items() if name in asked}
    return replace(selection, rows_meet=RowFilter(condition=all_of(rows), ids=ids, of_objects=of_objects))


def _check_names(level: LevelState, names: Iterable[str]) -> None:
    """Raise where an attribute does not exist."""
    links = {} if level.links is None else level.links.columns
    known = {*level.row_columns, *level.chunk_columns, *level.object_columns, *links}
    for name in names:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1)
            raise AttributeNotFoundError(
                f"the level has no attribute {name!r}",
                store=level.store,
                expected=f"one of {sorted(known)}",
                hint=f"did you mean {near[0]!r}?" if near else None,
            )


def _asks_of_links(level: LevelState, part: Expression) -> bool:
    """Whether a condition asks for attributes of links, which it must do alone."""
    of_others = {*level.row_columns, *level.chunk_columns, *level.object_columns}
    of_links = [name for name in part.names if name not in of_others]
    if not of_links:
        return False
    mixed = [name for name in part.names if name not in of_links]
    if mixed:
        raise InputError(
            "where asks of edges or faces and of something else in one condition",
            got=f"{of_links[0]!r} and {mixed[0]!r} in {part}",
            hint="they can only be combined by and",
        )
    assert level.links is not None
    part.mask({name: _none_of(level.links.columns[name]) for name in part.names})
    return True


def _check_rows(level: LevelState, parts: Sequence[Expression], of_objects: Mapping[str, Column]) -> None:
    """Raise where attributes cannot be compared with values, before any row is read."""
    specs = {**level.row_columns, **level.chunk_columns}
    for part in parts:
        part.mask({name: of_objects[name][:0] if name in of_objects else _none_of(specs[name]) for name in part.names})


def _none_of(spec: ColumnSpec) -> Column:
    """No rows of an attribute."""
    if spec.categories is not None:
        return Categorical(np.zeros(0, dtype=np.int64), spec.categories, spec.ordered)
    return np.zeros((0, *spec.row_shape), dtype=spec.dtype)


def only_chunks_of(level: LevelState, selection: Selection, wanted: Mapping[str, Any]) -> Selection:
    """Leave out the chunks whose rows cannot have these values; whoever asks compares the rows."""
    condition = conditions_of({name: value for name, value in wanted.items() if name in level.chunk_columns})
    if condition is None:
        return selection
    return replace(selection, where=condition, leads=_leads(level, condition, selection.leads))


def _leads(level: LevelState, condition: Expression, known: IntArray | None) -> IntArray:
    """Leading coordinates whose chunks meet a condition."""
    every = np.arange(len(level.metadata.chunk_attribute_values or ()))
    columns = {
        name: chunk_values(level.metadata, spec, every, store=level.store, array=level.vertices.path)
        for name, spec in level.chunk_columns.items()
    }
    found = np.flatnonzero(condition.mask(columns))
    return found if known is None else np.intersect1d(found, known)


def narrow_cells(coords: IntArray, selection: Selection) -> IntArray:
    """Those cells that may meet the conditions."""
    return coords if selection.leads is None else coords[np.isin(coords[:, 0], selection.leads)]


def met_by(rows: Rows, owners: IntArray | None, selection: Selection) -> BoolArray | None:
    """Which rows meet the conditions on rows; None for all."""
    wanted = selection.rows_meet
    return None if wanted is None else wanted.mask(rows.columns, owners, len(rows.positions))
