"""Points as annotated matrices of anndata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry.columns import Column
from zarr_vectors.geometry.interchange.fields import noted_axes
from zarr_vectors.geometry.interchange.frames import series_of, table_from_frame
from zarr_vectors.geometry.interchange.plain import plain_column
from zarr_vectors.geometry.interchange.tables import NOTE, OBJECT_ID, ROW_ID, Table, has_row_ids
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray

__all__ = ["annotated", "annotated_fields"]

SPATIAL = "spatial"


def annotated(table: Table, positions: AnyArray, var: Sequence[str]) -> Any:
    """An ``anndata.AnnData`` of the columns of a table, with positions as ``obsm["spatial"]``.

    Args:
        var: Columns that are the variables of ``X`` rather than observations; one of several channels is several.

    Raises:
        AttributeNotFoundError: There is no such attribute.
        InputError: Values are missing where a dtype has no room for that.
        MissingDependencyError: anndata is not installed.
    """
    anndata, pd = require("anndata"), require("pandas")
    lost = [name for name in var if name not in table.columns]
    if lost:
        raise AttributeNotFoundError(f"points have no attribute {lost[0]!r}", expected=f"one of {list(table.columns)}")
    plain: dict[str, AnyArray] = {name: plain_column(name, table.columns[name]) for name in var}  # type: ignore[arg-type]
    names = [
        label
        for name, values in plain.items()
        for label in ([name] if values.ndim == 1 else [f"{name}_{n}" for n in range(values.shape[1])])
    ]
    rest = {name: column for name, column in table.columns.items() if name not in plain}
    wide = {name: column for name, column in rest.items() if isinstance(column, np.ndarray) and column.ndim > 1}
    labels = [str(number) for number in range(len(positions))]
    columns = {name: series_of(column) for name, column in rest.items() if name not in wide}
    matrix = np.column_stack(list(plain.values())) if plain else None
    return anndata.AnnData(
        X=matrix,
        obs=pd.DataFrame(columns, index=labels),
        var=pd.DataFrame(index=names) if plain else None,
        obsm={
            SPATIAL: plain_column(SPATIAL, positions),
            **{name: plain_column(name, column) for name, column in wide.items()},
        },
        uns={NOTE: {key: table.note[key] for key in ("axes", ROW_ID) if key in table.note}},
    )


def annotated_fields(data: Any, positions: str, var: Sequence[str] | None) -> dict[str, Any]:
    """Fields of points from an ``anndata.AnnData``.

    Args:
        positions: Key of ``obsm``.
        var: Variables of ``X`` that become attributes; None for all.

    Raises:
        InputError: It is none, has no such positions, or variables have the names of observations.
    """
    if not all(hasattr(data, name) for name in ("obs", "obsm", "var_names", "X")):
        raise InputError("this is no AnnData of anndata", got=type(data).__name__)
    if positions not in data.obsm:
        raise InputError(f"obsm has no {positions!r}", got=f"{list(data.obsm)}", hint="name it with positions=")
    table = table_from_frame(data.obs)
    columns: dict[str, Any] = {name: table.columns[name] for name in table.columns}
    note = data.uns.get(NOTE)
    note = note if isinstance(note, Mapping) else {}
    row_ids = columns.pop(ROW_ID) if has_row_ids(columns, note) else None
    ids = {"object_ids": columns.pop(OBJECT_ID, None), "row_ids": row_ids}
    columns |= {name: np.asarray(data.obsm[name]) for name in data.obsm if name != positions}
    wanted = (list(data.var_names) if var is None else list(var)) if data.X is not None else []
    both = next((name for name in wanted if name in columns), None)
    if both is not None:
        raise InputError(f"there are an observation and a variable {both!r}", hint="choose variables with var=")
    columns |= {name: _dense(data[:, name].X) for name in wanted}
    axes = noted_axes({"axes": [dict(axis) for axis in note.get("axes", ())]})
    place = np.asarray(data.obsm[positions])
    fitting = axes if axes is not None and len(axes) == place.shape[1] else None
    return {"positions": place, "axes": fitting, "attributes": columns, **ids}


def _dense(values: Any) -> Column:
    whole: AnyArray = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    return whole.reshape(-1)
