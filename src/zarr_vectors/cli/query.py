"""``zarr-vectors query``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import replaced
from zarr_vectors.cli.options import (
    AttributesOption,
    BoxOption,
    GroupIdsOption,
    LevelOption,
    ObjectIdsOption,
    Picked,
    StoreArgument,
)
from zarr_vectors.cli.rows import limited, write_csv, write_jsonl
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.registry import format_of
from zarr_vectors.geometry import Points

__all__ = ["query"]

BATCH_ROWS = 200_000


class RowFormat(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def query(
    store: StoreArgument,
    bbox: BoxOption = None,
    object_ids: ObjectIdsOption = None,
    group_ids: GroupIdsOption = None,
    attributes: AttributesOption = None,
    level: LevelOption = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="At most so many rows.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Print how many points there are; the default.")] = False,
    row_format: Annotated[
        RowFormat | None, typer.Option("--format", help="Write the rows themselves.", case_sensitive=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where rows go; by default to standard output.", dir_okay=False
        ),
    ] = None,
) -> None:
    """Count the points of a selection, or write them out as rows."""
    picked = Picked.parse(bbox, object_ids, group_ids, attributes)
    wanted = _row_format(row_format, output, count=count)
    if wanted is None:
        if limit is not None:
            raise typer.BadParameter("limits rows; name their --format too", param_hint="--limit")
        with zv.open(store) as opened:
            typer.echo(opened[level].count(**picked.rows))
        return
    with zv.open(store) as opened:
        axes = opened.axes
        batch_rows = BATCH_ROWS if limit is None else max(1, min(limit, BATCH_ROWS))
        found = opened[level].iter(**picked.all, batch_rows=batch_rows)
        batches = limited(_never_empty(found, opened[level], picked), limit)
        if output is None:
            write = write_csv if wanted is RowFormat.CSV else write_jsonl
            write(batches, axes, sys.stdout)
            return
        with replaced(output) as path:
            if wanted is RowFormat.PARQUET:
                context = ExportContext(axes=axes, crs=opened.crs, bounds=opened.bounds)
                format_of(path).export(path, batches, context)
            else:
                write = write_csv if wanted is RowFormat.CSV else write_jsonl
                with path.open("w", encoding="utf-8", newline="") as stream:
                    write(batches, axes, stream)


def _row_format(chosen: RowFormat | None, output: Path | None, *, count: bool) -> RowFormat | None:
    """The format of the rows, by option or by the suffix of the output; None to count."""
    if count:
        if chosen is not None or output is not None:
            raise typer.BadParameter("counts points; leave out --format and --output", param_hint="--count")
        return None
    if output is None:
        if chosen is RowFormat.PARQUET:
            raise typer.BadParameter("parquet goes to a file; name it with --output", param_hint="--format")
        return chosen
    if chosen is not None:
        return chosen
    suffix = output.suffix.lower().removeprefix(".")
    suffix = {"ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
    if suffix not in [known.value for known in RowFormat]:
        raise typer.BadParameter(
            f"{output.name} has none of the suffixes .csv, .jsonl, .parquet; give --format", param_hint="--output"
        )
    return RowFormat(suffix)


def _never_empty(batches: Iterable[Points], level: zv.ZVLevel, picked: Picked) -> Iterator[Points]:
    """The batches, or one without rows where there are none, so that columns are known."""
    nothing = True
    for batch in batches:
        nothing = False
        yield batch
    if nothing:
        yield level.read(**picked.all)
