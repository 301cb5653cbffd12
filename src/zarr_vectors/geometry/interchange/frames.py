"""Tables as data frames of pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical, Column, as_column
from zarr_vectors.geometry.interchange.tables import NOTE, Coordinates, Ragged, Table, TableColumn
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray

__all__ = ["data_frame", "empty_frame", "lazy_frame", "parted_frame", "series_of", "table_from_frame"]

_CHANNELS = "channels"


def data_frame(table: Table) -> Any:
    """A table as a data frame.

    An attribute of several channels is a column for each, ``rgb_0``, ``rgb_1`` and so on; integers and booleans of
    which some are missing are of pandas' nullable dtypes.

    Raises:
        InputError: Two columns have one name.
        MissingDependencyError: pandas is not installed.

    Example:
        >>> data_frame(Table({"x": np.array([0.5]), "rgb": np.array([[1, 2, 3]])})).columns.tolist()
        ['x', 'rgb_0', 'rgb_1', 'rgb_2']
    """
    pd = require("pandas")
    columns: dict[str, Any] = {}
    channels: dict[str, list[int]] = {}
    for name, column in table.columns.items():
        if isinstance(column, np.ndarray) and column.ndim > 1:
            channels[name] = list(column.shape[1:])
        for label, values in _parts(name, column):
            if label in columns:
                raise InputError(f"two columns would be called {label!r}", hint="leave one of the attributes out")
            columns[label] = series_of(values)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(table)))
    frame.attrs[NOTE] = table.note | ({_CHANNELS: channels} if channels else {})
    return frame


def empty_frame(table: Table, gaps: Sequence[str]) -> Any:
    """A data frame of the same columns without rows; of columns in which values may be missing, with room for that.

    Example:
        >>> str(empty_frame(Table({"n": np.array([1], dtype="i2")}), ["n"])["n"].dtype)
        'Int16'
    """
    pd = require("pandas")
    frame = data_frame(table).iloc[:0].copy()
    for name in gaps:
        for label, _ in _parts(name, table.columns[name]) if name in table.columns else ():
            if frame[label].dtype.kind in "iub":
                missing: Any = np.ma.MaskedArray(np.zeros(1, dtype=frame[label].dtype.name.lower()), mask=True)
                frame[label] = pd.Series(series_of(missing)).iloc[:0]
    return frame


def parted_frame(frame: Any, rows: int) -> Any:
    """A data frame as one of dask, in partitions of so many rows.

    Raises:
        InputError: The number of rows is none.
        MissingDependencyError: dask, pandas or pyarrow is not installed.
    """
    if rows < 1:
        raise InputError("block_rows must be a whole number from 1", got=repr(rows))
    frames = require("dask.dataframe")
    with _objects_as_they_are():
        return frames.from_pandas(frame, chunksize=rows, sort=False)


def lazy_frame(part: Callable[..., Any], units: Sequence[Any], meta: Any) -> Any:
    """A data frame of dask with a partition for each unit, which ``part`` makes of it when it is computed.

    Raises:
        MissingDependencyError: dask, pandas or pyarrow is not installed.
    """
    frames = require("dask.dataframe")
    with _objects_as_they_are():
        return frames.from_map(part, units, meta=meta)


def _objects_as_they_are() -> Any:
    """Dask takes every object for text, which lists are not; text is categorical here."""
    return require("dask").config.set({"dataframe.convert-string": False})


def _parts(name: str, column: TableColumn) -> Iterator[tuple[str, TableColumn]]:
    """A column, or one for each of its channels."""
    if not isinstance(column, np.ndarray) or column.ndim == 1:
        yield name, column
        return
    count = int(np.prod(column.shape[1:]))
    flat = column.reshape(len(column), count)
    for number in range(count):
        yield f"{name}_{number}", flat[:, number]


def series_of(column: TableColumn) -> Any:
    """What pandas takes for one column."""
    pd = require("pandas")
    if isinstance(column, Categorical):
        return pd.Categorical.from_codes(column.codes, categories=list(column.categories), ordered=column.ordered)
    if isinstance(column, Ragged):
        return _objects(_lists(column))
    if isinstance(column, Coordinates):
        return _objects(list(column.positions))
    plain = np.ma.getdata(column)
    plain = np.ascontiguousarray(plain, dtype=plain.dtype.newbyteorder("="))
    if plain.dtype.kind in "mM" and np.datetime_data(plain.dtype)[0] not in {"s", "ms", "us", "ns"}:
        plain = plain.astype(f"{plain.dtype.kind}8[s]")
    if not np.ma.is_masked(column):
        return plain
    mask = np.ma.getmaskarray(column).copy()
    return pd.arrays.BooleanArray(plain, mask) if plain.dtype.kind == "b" else pd.arrays.IntegerArray(plain, mask)


def _lists(column: Ragged) -> list[Any]:
    values = column.values.positions if isinstance(column.values, Coordinates) else np.asanyarray(column.values)
    return np.split(values, column.offsets[1:-1]) if len(column) else []


def _objects(items: list[Any]) -> AnyArray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def table_from_frame(frame: Any) -> Table:
    """A data frame as columns; one is looked at when it is asked for.

    Columns that were made of the channels of one attribute become that attribute again.

    Raises:
        InputError: It is no data frame.

    Example:
        >>> import pandas as pd
        >>> table_from_frame(pd.DataFrame({"n": pd.array([1, None], dtype="Int8")})).columns["n"].tolist()
        [1, None]
    """
    if not hasattr(frame, "columns") or not hasattr(frame, "attrs"):
        raise InputError("this is no data frame of pandas", got=type(frame).__name__, hint="from_arrow takes others")
    note = frame.attrs.get(NOTE)
    note = dict(note) if isinstance(note, Mapping) else {}
    return Table(_Series(frame, note.get(_CHANNELS)), note)


class _Series(Mapping[str, TableColumn]):
    """The columns of a data frame."""

    def __init__(self, frame: Any, channels: Any) -> None:
        self._frame = frame
        names = [str(name) for name in frame.columns]
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._parts: dict[str, list[str]] = {}
        for name, shape in channels.items() if isinstance(channels, Mapping) else ():
            parts = [f"{name}_{number}" for number in range(int(np.prod(shape)))]
            if all(names.count(part) == 1 for part in parts) and name not in names:
                self._parts[name], self._shapes[name] = parts, tuple(shape)
        firsts = {parts[0]: name for name, parts in self._parts.items()}
        rest = {part for parts in self._parts.values() for part in parts[1:]}
        self._names = list(dict.fromkeys(firsts.get(name, name) for name in names if name not in rest))
        self._places = {name: [place for place, other in enumerate(names) if other == name] for name in set(names)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> TableColumn:
        if name not in self._shapes:
            return self._column(name)
        parts = [self._column(part) for part in self._parts[name]]
        stacked = np.ma.stack(parts, axis=1) if any(map(np.ma.is_masked, parts)) else np.stack(parts, axis=1)
        whole: AnyArray = stacked.reshape(len(self._frame), *self._shapes[name])
        return whole

    def _column(self, name: str) -> Column:
        (place, *more) = self._places[name]
        if more:
            times = f"{len(more) + 1} times {name!r}"
            raise InputError("several columns have one name", got=times, hint="rename them")
        return _column_of(name, self._frame.iloc[:, place])


def _column_of(name: str, series: Any) -> Column:
    if hasattr(series, "cat"):
        return Categorical.from_values(series, name=name)
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    if not isinstance(dtype, np.dtype) or dtype.kind == "O" or dtype is series.dtype:
        return as_column(name, series.to_numpy())
    # A nullable dtype: numpy has no missing integers or booleans.
    absent = series.isna().to_numpy()
    if dtype.kind in "fmM":
        filled: AnyArray = series.to_numpy(
            dtype=dtype, na_value=np.nan if dtype.kind == "f" else np.array("NaT", dtype)
        )
        return filled
    plain: AnyArray = series.to_numpy(dtype=dtype, na_value=0)
    masked: AnyArray = np.ma.MaskedArray(plain, mask=absent)
    return masked if absent.any() else plain
