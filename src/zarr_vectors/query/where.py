"""Conditions on attributes of a level: which objects, chunks, rows and links must meet them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.core.chunk_axis import chunk_values
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.query.attribute import Attribute
from zarr_vectors.query.expressions import And, Expression, all_of
from zarr_vectors.query.grammar import expression_of
from zarr_vectors.query.named import LINKS, OBJECTS, Meant, meanings
from zarr_vectors.query.row_filter import RowFilter
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.query.values import Rows
from zarr_vectors.query.wording import plain_value
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
        value = list(value) if value.dtype.kind in "mM" else value.tolist()
    values = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    plain = tuple(plain_value(one) for one in values)
    for one in plain:
        if one is not None and not isinstance(one, (bool, int, float, str)):
            raise InputError(
                f"where[{name!r}] must be a number, boolean, text or time, None for missing, or a list of these",
                got=repr(one),
            )
    return plain


def resolve(storage: Storage, level: LevelState, selection: Selection) -> Selection:
    """Turn conditions into ids where they ask of objects alone, and into chunks where of what a level is chunked by.

    Of conditions that must all be met each is taken by itself. What is left is kept for rows, with the attributes of
    objects that it asks for, and for links. Where objects and vertices have an attribute of one name, that of objects
    is meant; where vertices and links have, that of vertices; ``vertex.x`` and the like say which.

    Raises:
        AttributeNotFoundError: An attribute does not exist.
        InputError: An attribute cannot be compared with a value, or one condition asks of links and of others.
    """
    if selection.where is None:
        return selection
    meant, where = _as_meant(level, selection.where)
    parts = where.parts if isinstance(where, And) else (where,)
    links = [part for part in parts if _asks_of_links(level, part, meant)]
    others = [part for part in parts if part not in links]
    objects = [part for part in others if all(meant[name].of == OBJECTS for name in part.names)]
    rows = [part for part in others if part not in objects]
    named = {name: meant[name].name for part in others for name in part.names if meant[name].of == OBJECTS}
    selection = replace(selection, link_condition=_of_links(links, meant))
    found: dict[str, Column] = {}
    ids = np.zeros(0, dtype=np.int64)
    if named:
        tables = read_level_tables(storage, level, only=list(named.values()))
        found, ids = {name: tables.attributes[stored] for name, stored in named.items()}, tables.ids
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


def _of_links(parts: Sequence[Expression], meant: Mapping[str, Meant]) -> Expression | None:
    """A condition on links under the names by which their attributes are read."""
    if not parts:
        return None
    condition = all_of(parts)
    return condition.renamed({name: meant[name].name for name in condition.names})


def _as_meant(level: LevelState, where: Expression) -> tuple[dict[str, Meant], Expression]:
    """A condition in which each name means one attribute, and which that is.

    Rows and links are called as they are read. An attribute of objects whose name rows or links have too is called by a
    name that nothing else has.
    """
    meant = meanings(level, where.names)
    links = {} if level.links is None else level.links.columns
    taken = {*level.row_columns, *level.chunk_columns}
    names = {}
    for name, one in meant.items():
        called = one.name
        while one.of == OBJECTS and (called in {*taken, *links} or called in level.object_columns.keys() - {one.name}):
            called = f"object.{called}"
        while one.of == LINKS and (called in {*taken, *level.object_columns} or called in links.keys() - {one.name}):
            called = f"{'edge' if level.links is not None and level.links.width == 2 else 'face'}.{called}"
        names[name] = called
    return {names[name]: one for name, one in meant.items()}, where.renamed(names)


def _asks_of_links(level: LevelState, part: Expression, meant: Mapping[str, Meant]) -> bool:
    """Whether a condition asks for attributes of links, which it must do alone."""
    of_links = [name for name in part.names if meant[name].of == LINKS]
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
    part.mask({name: _none_of(level.links.columns[meant[name].name]) for name in part.names})
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
