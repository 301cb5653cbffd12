"""Points as lines of text on a stream: CSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.typing import AnyArray

__all__ = ["limited", "write_csv", "write_jsonl"]


def limited(batches: Iterable[Points], limit: int | None) -> Iterator[Points]:
    """The first ``limit`` rows; all of them for None. The first batch always comes, if only for its columns."""
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch if batch.vertex_count <= left else batch.take(slice(0, left))
        left -= min(left, batch.vertex_count)
        if not left:
            return


def write_csv(batches: Iterable[Points], axes: tuple[Axis, ...], stream: TextIO) -> int:
    """Write a header and a line per point, as the export to CSV does; a channel is a column.

    Returns:
        The number of points.
    """
    writer = csv.writer(stream, lineterminator="\n")
    rows = 0
    for number, batch in enumerate(batches):
        columns = list(_flat_columns(batch, axes))
        if number == 0:
            writer.writerow([name for name, _ in columns])
        writer.writerows(zip(*(_csv_fields(column) for _, column in columns), strict=True))
        rows += batch.vertex_count
    return rows


def write_jsonl(batches: Iterable[Points], axes: tuple[Axis, ...], stream: TextIO) -> int:
    """Write a JSON object per point; a missing value is null, channels are a list.

    Returns:
        The number of points.
    """
    rows = 0
    for batch in batches:
        columns = list(_columns(batch, axes))
        names = [name for name, _ in columns]
        lines = zip(*(_json_values(column) for _, column in columns), strict=True)
        stream.writelines(json.dumps(dict(zip(names, line, strict=True)), ensure_ascii=False) + "\n" for line in lines)
        rows += batch.vertex_count
    return rows


def _columns(batch: Points, axes: tuple[Axis, ...]) -> Iterator[tuple[str, Column]]:
    for index, axis in enumerate(axes):
        yield axis.name, batch.positions[:, index]
    if batch.object_ids is not None:
        yield "object_id", batch.object_ids
    yield from batch.attributes.items()


def _flat_columns(batch: Points, axes: tuple[Axis, ...]) -> Iterator[tuple[str, Column]]:
    for name, column in _columns(batch, axes):
        if isinstance(column, Categorical) or column.ndim == 1:
            yield name, column
        else:
            flat = column.reshape(len(column), -1)
            for channel in range(flat.shape[1]):
                yield f"{name}_{channel}", flat[:, channel]


def _csv_fields(column: Column) -> Any:
    """A list of values as the ``csv`` module writes them; the shortest digits that give the same number back."""
    if isinstance(column, Categorical):
        return np.asarray(column).tolist()
    if column.dtype.kind == "b":
        return np.where(column, "true", "false").tolist()
    if column.dtype.kind in "mM":
        return _times(column)
    # Python writes a float64 with the fewest digits by itself; of other floats it would show the noise.
    short = column.dtype.kind != "f" or column.dtype == np.float64
    return column.tolist() if short else column.astype(str).tolist()


def _json_values(column: Column) -> Any:
    """A list of values that ``json`` writes; it knows no NaN and no infinity, so both become null."""
    if isinstance(column, Categorical):
        return np.asarray(column).tolist()
    if column.dtype.kind == "f":
        # Through text, since the digits of a float32 written as a float64 are mostly noise.
        numbers = column if column.dtype == np.float64 else column.astype(str).astype(np.float64)
        values = numbers.astype(object)
        values[~np.isfinite(numbers)] = None
        return values.tolist()
    if column.dtype.kind in "mM":
        return _times(column)
    if column.dtype.kind == "c":
        return np.stack([column.real, column.imag], axis=-1).tolist()
    return column.tolist()


def _times(column: AnyArray) -> Any:
    texts = column.astype(str).astype(object)
    texts[np.isnat(column)] = None
    return texts.tolist()
