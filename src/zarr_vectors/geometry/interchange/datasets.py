"""Values as datasets of xarray, by the conventions of CF and UGRID."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical, Column, as_column
from zarr_vectors.geometry.interchange.plain import plain_column
from zarr_vectors.geometry.interchange.tables import OBJECT_ID, ROW_ID, has_row_ids
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["COUNT", "LINE", "VERTEX", "Variables", "columns_along", "dataset_fields"]

VERTEX, LINE, COUNT = "vertex", "line", "rowsize"
_DTYPE, _CATEGORIES, _ORDERED = "original_dtype", "categories", "ordered"


class Variables:
    """The variables of a dataset that is made."""

    def __init__(self, axes: tuple[Axis, ...], positions: AnyArray) -> None:
        self.variables: dict[str, Any] = {}
        positions = plain_column("positions", positions)
        self.coordinates = {
            axis.name: (VERTEX, positions[:, number], _about_axis(axis)) for number, axis in enumerate(axes)
        }

    def add(self, name: str, dimension: str, column: Column, **attributes: Any) -> None:
        """A variable along a dimension; channels have one of their own.

        Raises:
            InputError: There is one of this name, or a column has missing values that its dtype leaves no room for.
        """
        if name in self.variables or name in self.coordinates:
            raise InputError(f"two variables would be called {name!r}", hint="leave one of the attributes out")
        values = plain_column(name, column)
        more = [f"{name}_channel{number or ''}" for number in range(values.ndim - 1)]
        if isinstance(column, Categorical):
            attributes |= {_CATEGORIES: list(column.categories), _ORDERED: int(column.ordered)}
        elif np.ma.is_masked(column):
            attributes |= {_DTYPE: column.dtype.newbyteorder("=").str}
        self.variables[name] = ([dimension, *more], values, attributes)

    def add_all(self, dimension: str, columns: Mapping[str, Column | None]) -> None:
        """Variables for all of these columns but those that are None."""
        for name, column in columns.items():
            if column is not None:
                self.add(name, dimension, column)

    def dataset(self, **attributes: Any) -> Any:
        """The dataset.

        Raises:
            MissingDependencyError: xarray is not installed.
        """
        about = {"Conventions": "CF-1.11", "axes": list(self.coordinates), **attributes}
        return require("xarray").Dataset(self.variables, coords=self.coordinates, attrs=about)


def _about_axis(axis: Axis) -> dict[str, str]:
    unit = {} if axis.unit is None else {"units": axis.unit}
    named = {"axis": axis.name.upper()} if axis.name in {"x", "y", "z", "t"} else {}
    return {"axis_type": axis.type, **unit, **named}


def dataset_fields(dataset: Any, axes: Any) -> dict[str, Any]:
    """Fields of a value from the variables along ``vertex`` of a dataset.

    Args:
        axes: Names of the coordinates in axis order; None for those that the dataset says.

    Raises:
        InputError: It is no dataset, or has no such coordinates.
    """
    if not hasattr(dataset, "variables") or not hasattr(dataset, "attrs"):
        raise InputError("this is no dataset of xarray", got=type(dataset).__name__)
    names = list(dataset.attrs.get("axes", ())) if axes is None else list(axes)
    names = names or [name for name in ("x", "y", "z", "t") if name in dataset.variables]
    lost = [name for name in names if name not in dataset.variables]
    if lost or not names:
        raise InputError(
            "the dataset has no coordinates of these names" if names else "the dataset has no coordinates x, y and z",
            got=f"variables {list(dataset.variables)}",
            hint="name them with axes=",
        )
    parts = [np.asarray(dataset[name].values) for name in names]
    (dimension,) = {dataset[name].dims for name in names}.pop() or (VERTEX,)
    columns = columns_along(dataset, str(dimension), leave=names)
    row_ids = columns.pop(ROW_ID) if has_row_ids(columns, dataset.attrs) else None
    ids = {"object_ids": columns.pop(OBJECT_ID, None), "row_ids": row_ids}
    return {
        "positions": np.stack(parts, axis=1),
        "axes": [_axis(name, dataset[name].attrs) for name in names],
        "attributes": columns,
        **ids,
    }


def _axis(name: str, about: Mapping[str, Any]) -> Axis:
    return Axis(name, about.get("units"), about.get("axis_type", "time" if name == "t" else "space"))


def columns_along(dataset: Any, dimension: str, leave: Any = ()) -> dict[str, Column]:
    """The variables whose first dimension this is."""
    return {
        str(name): _column(str(name), variable)
        for name, variable in dataset.variables.items()
        if name not in leave and variable.dims[:1] == (dimension,) and name != dimension
    }


def _column(name: str, variable: Any) -> Column:
    values = np.asarray(variable.values)
    if values.dtype.kind in "OUT" and _CATEGORIES in variable.attrs:
        categories = list(np.atleast_1d(variable.attrs[_CATEGORIES]).tolist())
        codes = {word: code for code, word in enumerate(categories)}
        found: IntArray = np.array([codes.get(word, -1) for word in values.tolist()], dtype=np.int32)
        return Categorical(found, tuple(categories), bool(variable.attrs.get(_ORDERED, 0)))
    if _DTYPE not in variable.attrs:
        return as_column(name, values)
    mask = np.isnan(values)
    masked: AnyArray = np.ma.MaskedArray(np.where(mask, 0, values).astype(variable.attrs[_DTYPE]), mask=mask)
    return masked
