"""TCK, the track files of MRtrix: a text header, then points, with NaN after each streamline and Inf at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import (
    WITHOUT_GROUPS,
    WITHOUT_OBJECT_ATTRIBUTES,
    ExportContext,
    Format,
    ReadOptions,
    Source,
)
from zarr_vectors.formats.streamlines import (
    AXES,
    KINDS,
    check_alike,
    check_options,
    first_of,
    header_of,
    new_file,
    wanted_of,
    world_positions,
)
from zarr_vectors.formats.tck_header import Header, header_from, new_header, read_header
from zarr_vectors.geometry import Polylines
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["TCK"]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """The streamlines of a file, batch by batch."""

    path: Path
    header: Header
    batch_rows: int

    def batches(self) -> Iterator[Polylines]:
        """All streamlines; one batch without any where there are none."""
        with self.path.open("rb") as file:
            file.seek(self.header.offset)
            first = 0
            parts: list[AnyArray] = []
            for rows in self._blocks(file):
                ends = np.flatnonzero(np.isnan(rows[:, 0]))
                if not len(ends):
                    parts.append(rows)
                    continue
                whole = np.concatenate([*parts, rows[: ends[-1] + 1]])
                yield self._batch(whole, ends + sum(map(len, parts)), first)
                first += len(ends)
                parts = [rows[ends[-1] + 1 :]]
        if left := sum(map(len, parts)):
            got = f"{left} points without one after streamline {first - 1}"
            raise IngestError(f"{self.path} is truncated", expected="three NaN after every streamline", got=got)
        if not first:
            yield self._batch(np.empty((0, 3), self.header.dtype), np.empty(0, np.int64), 0)

    def _blocks(self, file: BinaryIO) -> Iterator[AnyArray]:
        """``(n, 3)`` points and separators up to the end mark; raises ``IngestError`` for what is neither."""
        dtype = self.header.dtype
        triple = 3 * dtype.itemsize
        left = (self.path.stat().st_size - self.header.offset) // triple - 1
        while left > 0:
            start = file.tell()
            raw = file.read(min(left, self.batch_rows) * triple)
            rows = np.frombuffer(raw[: len(raw) // triple * triple], dtype).reshape(-1, 3)
            if not len(rows):
                raise IngestError(f"{self.path} is truncated", expected=f"{left} more points", got=f"byte {start}")
            odd = ~np.isfinite(rows).all(axis=1)
            odd[odd] = ~np.isnan(rows[odd]).all(axis=1)
            if odd.any():
                row = int(np.argmax(odd))
                expected, got = "three numbers, or three NaN", f"{rows[row].tolist()} at byte {start + row * triple}"
                raise IngestError(f"{self.path} has a point that cannot be used", expected=expected, got=got)
            left -= len(rows)
            yield rows

    def _batch(self, rows: AnyArray, ends: IntArray, first: int) -> Polylines:
        """Streamlines from points and separators; the latter stand in the rows ``ends``."""
        inside = np.ones(len(rows), np.bool_)
        inside[ends] = False
        return Polylines(
            rows[inside].astype(rows.dtype.newbyteorder("=")),
            np.concatenate([[0], ends - np.arange(len(ends))]),
            ids=np.arange(first, first + len(ends)),
            kind="streamline",
            axes=AXES,
        )


def _open(path: Path, options: ReadOptions) -> Source:
    """Check a TCK file and describe its streamlines.

    Positions are those of the file, in RAS+ millimetres, float32 or float64. Ids count from 0; streamlines without
    points are kept. The count in the header is not looked at, as programs that change files leave it as it was.

    Raises:
        IngestError: Not TCK, truncated, with data elsewhere, or a point that is not finite.
    """
    check_options(path, options)
    wanted_of(path, options, [])
    header = read_header(path)
    reader = _Reader(path=path, header=header, batch_rows=options.batch_rows)
    return Source(batches=reader.batches(), axes=AXES, headers={"tck": header.to_json()})


def _export(path: Path, batches: Iterator[Polylines], context: ExportContext) -> int:
    """Write a TCK file; returns the number of points.

    Header, datatype and byte order come from ``headers["tck"]`` where it is there, so that what was read is written
    again byte by byte, apart from a count that was wrong, and separators of several kinds of NaN, which all become
    like the last one. Otherwise numbers are float32 in little endian, which
    positions of more digits are rounded to. Streamlines come in the order of the batches and are numbered by it when
    they are read again.

    Raises:
        ExportError: Attributes of any kind, groups, or positions that are not finite; no file is left.
    """
    first = first_of(batches)
    kept = header_of(context, "tck")
    header = new_header(0) if kept is None else header_from(kept)
    separator = _mark(header.separator, header.dtype, np.nan)
    end = _mark(header.end, header.dtype, np.inf)
    rows = lines = 0
    with new_file(path) as file:
        file.write(header.to_bytes())
        for batch in chain([first], batches):
            check_alike(batch, first)
            file.write(_encoded(batch, header.dtype, separator, context).tobytes())
            rows += batch.vertex_count
            lines += batch.line_count
        file.write(end.tobytes())
        final = header.with_count(lines)
        if final.offset != header.offset:
            _shift(file, header.offset, final.offset)
        file.seek(0)
        file.write(final.to_bytes())
    return rows


def _mark(raw: bytes, dtype: np.dtype[Any], value: float) -> AnyArray:
    """Three times NaN or Inf, with the bits that an ingest kept."""
    test = np.isnan if value != value else np.isinf
    kept = np.frombuffer(raw, dtype) if len(raw) == 3 * dtype.itemsize else np.empty(0, dtype)
    return kept if len(kept) and test(kept).all() else np.full(3, value, dtype)


def _encoded(batch: Polylines, dtype: np.dtype[Any], separator: AnyArray, context: ExportContext) -> AnyArray:
    """The points of a batch with a separator after each streamline."""
    found: dict[str, Mapping[Any, Any]] = {
        "attributes": batch.attributes,
        "object attributes": batch.object_attributes,
        "groups": batch.groups,
    }
    for what, entries in found.items():
        if entries:
            out = WITHOUT_GROUPS if what == "groups" else WITHOUT_OBJECT_ATTRIBUTES
            hint = "pass attributes=[]" if what == "attributes" else f"export to .trx, which has them, or {out}"
            raise ExportError(f"TCK cannot hold {what}", expected="positions only", got=list(entries), hint=hint)
    with np.errstate(over="ignore"):
        points = world_positions(batch, context.axes).astype(dtype)
    good = np.isfinite(points).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        got = f"{batch.positions[row].tolist()} in row {row} of a batch"
        raise ExportError("TCK cannot hold the positions", expected=f"finite {dtype.name} numbers", got=got)
    ends = batch.offsets[1:] + np.arange(batch.line_count)
    table = np.empty((len(points) + len(ends), 3), dtype)
    inside = np.ones(len(table), np.bool_)
    inside[ends] = False
    table[inside] = points
    table[ends] = separator
    return table


def _shift(file: BinaryIO, old: int, new: int) -> None:
    """Move what stands after byte ``old`` to byte ``new``, the last first where it moves back."""
    size, step = file.seek(0, 2), 1 << 20
    starts = range(old, size, step)
    for start in reversed(starts) if new > old else starts:
        file.seek(start)
        block = file.read(min(step, size - start))
        file.seek(start + new - old)
        file.write(block)
    file.truncate(size + new - old)


TCK = Format(
    name="tck",
    suffixes=(".tck",),
    description="TCK streamlines (MRtrix)",
    open=_open,
    export=_export,
    kinds=KINDS,
)
