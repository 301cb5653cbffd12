"""Attributes of vertices that are appended, beside those of the store: what is missing, and what fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import InputError
from zarr_vectors.types.bare import takes_any_columns
from zarr_vectors.types.intake import Intake, casts_exactly
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.table import code_dtype
from zarr_vectors.typing import AnyArray

__all__ = ["fillable_names", "filler", "fitting_value", "match_columns", "merge_categories"]


def match_columns(level: LevelState, intake: Intake, options: WriteOptions) -> dict[str, ColumnSpec]:
    """Bring the new rows' attributes, those stored per fragment included, to the types of a level that declares any.

    Returns:
        Arrays whose stored type must widen, by name below the level, with their new type.

    Raises:
        InputError: An attribute is missing and has no fill, is unknown to the level, or does not fit its type.
    """
    stored, bare = level.row_columns, takes_any_columns(level)
    if not bare:
        _check_per_fragment(level, options)
    unknown = [name for name in intake.columns if name not in stored]
    if unknown and not bare:
        raise InputError(
            f"the level has no attribute {unknown[0]!r}, and its rows would have no value for it",
            expected=f"only {sorted(stored)}",
            hint="leave the attribute out of the append",
        )
    fillable = fillable_names(level)
    useless = [name for name in options.fill if name not in fillable]
    if useless:
        raise InputError(
            f"fill names an attribute that the level does not have: {useless[0]!r}", expected=sorted(fillable)
        )
    if bare:
        return {}
    columns: dict[str, ColumnSpec] = {}
    lookups: dict[str, AnyArray] = {}
    recoded: dict[str, ColumnSpec] = {}
    for name, old in stored.items():
        if name not in intake.columns:
            intake.add_constant(name, *filler(name, old, options.fill))
        new = intake.columns[name]
        if old.categories is None:
            _check_fits(name, old, new, intake)
            columns[name] = old
        else:
            columns[name], lookups[name] = merge_categories(name, old, new)
            if columns[name].dtype != old.dtype or columns[name].categories != old.categories:
                recoded[level.column_path(name)] = columns[name]
    intake.recode(columns, lookups)
    return recoded


def fillable_names(level: LevelState) -> set[str]:
    """Attributes of a level that appended rows, links and objects may lack."""
    links = {} if level.links is None else level.links.columns
    return {*level.row_columns, *links, *level.object_columns} - level.own_columns


def _check_per_fragment(level: LevelState, options: WriteOptions) -> None:
    other = [name for name in options.per_fragment if name not in level.fragment_columns]
    if other:
        raise InputError(
            f"per_fragment names {other[0]!r}, which the store does not keep per fragment",
            expected=f"some of {sorted(level.fragment_columns)}",
            hint="leave per_fragment out when appending: the store decides",
        )


def filler(name: str, old: ColumnSpec, fill: Mapping[str, Any]) -> tuple[AnyArray, ColumnSpec]:
    """The value that rows without the attribute get."""
    if old.categories is not None:
        value = fill.get(name)
        missing = value is None
        if not missing and not isinstance(value, str) and value not in (old.categories or ()):
            raise InputError(f"fill for {name!r} does not fit", expected="text, or None for missing", got=repr(value))
        categories = () if missing else (value,)
        return np.array(-1 if missing else 0), replace(
            old, dtype=code_dtype(1, missing), categories=categories, row_shape=()
        )
    if name in fill:
        value = fitting_value(name, fill[name], old.dtype, old.row_shape)
        return value, old
    if old.dtype.kind in "fc":
        return np.full(old.row_shape, np.nan, dtype=old.dtype), old
    if old.dtype.kind in "mM":
        return np.full(old.row_shape, "NaT", dtype=old.dtype), old
    raise InputError(
        f"the appended rows have no attribute {name!r}",
        expected=f"{old.dtype} values, or a fill",
        hint=f"give it, or pass fill={{{name!r}: value}}",
    )


def fitting_value(name: str, value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> AnyArray:
    """A fill value in the stored type; floats are rounded to it, nothing else is.

    Raises:
        InputError: It has another shape, or is a value that the type cannot hold.
    """
    given = np.asarray(value)
    with np.errstate(all="ignore"):
        try:
            cast = np.broadcast_to(given.astype(dtype), shape)
            fits = casts_exactly(given, dtype) or (
                given.dtype.kind + dtype.kind == "ff" and bool(np.isfinite(cast).all())
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"fill for {name!r} does not fit", expected=f"{dtype} {shape}", got=repr(value)) from error
    if not fits or given.dtype.kind in "OUST":
        raise InputError(f"fill for {name!r} does not fit", expected=str(dtype), got=repr(value))
    return cast


def _check_fits(name: str, old: ColumnSpec, new: ColumnSpec, intake: Intake) -> None:
    if new.categories is not None:
        raise InputError(f"attribute {name!r} must be {old.dtype}, as in the store", got="text")
    if _plain_shape(new.row_shape) != _plain_shape(old.row_shape):
        raise InputError(
            f"attribute {name!r} must have rows of shape {old.row_shape}, as in the store", got=new.row_shape
        )
    if new.dtype != old.dtype and not intake.casts_exactly(name, old.dtype):
        raise InputError(
            f"attribute {name!r} must be {old.dtype}, as in the store",
            got=f"{new.dtype} with values that {old.dtype} cannot hold",
            hint="cast it first, if the rounding is meant",
        )


def _plain_shape(row_shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in row_shape if n != 1)


def merge_categories(name: str, old: ColumnSpec, new: ColumnSpec) -> tuple[ColumnSpec, AnyArray]:
    """New categories go to the end, so that stored codes stay valid; the lookup's last entry is for missing."""
    if new.categories is None:
        raise InputError(f"attribute {name!r} must be text or categories, as in the store", got=str(new.dtype))
    known = {category: code for code, category in enumerate(old.categories or ())}
    for category in new.categories:
        known.setdefault(category, len(known))
    lookup = np.array([*(known[category] for category in new.categories), -1], dtype=np.int64)
    missing = old.dtype.kind == "i" or new.dtype.kind == "i"
    dtype = code_dtype(len(known), missing)
    if old.dtype.kind == dtype.kind and old.dtype.itemsize >= dtype.itemsize:
        dtype = old.dtype
    return replace(old, dtype=dtype, categories=tuple(known)), lookup
