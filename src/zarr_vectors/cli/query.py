"""``zarr-vectors query``."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
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
    ModeOption,
    NearOption,
    ObjectIdsOption,
    Picked,
    StoreArgument,
    WhereOption,
)
from zarr_vectors.cli.rows import limited, write_csv, write_jsonl
from zarr_vectors.cli.selected import count_of, link_rows, vertex_rows
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.registry import format_of
from zarr_vectors.geometry import Points

__all__ = ["query"]


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
    mode: ModeOption = None,
    where: WhereOption = None,
    near: NearOption = None,
    level: LevelOption = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="At most so many rows.")] = None,
    count: Annotated[
        bool, typer.Option("--count", help="Print how many points, or lines, edges, faces there are; the default.")
    ] = False,
    links: Annotated[
        bool,
        typer.Option(
            "--links",
            help="Rows are edges or faces with their attributes instead of vertices. vertex_0 and so on are rows, "
            "from 0, of the same query without this option.",
        ),
    ] = False,
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
    """Count what a selection holds, or write it out with a row for each point, vertex, edge or face."""
    picked = Picked.parse(bbox, object_ids, group_ids, attributes, mode, where, near)
    wanted = _row_format(row_format, output, count=count)
    if wanted is None:
        for option, given in (("--limit", limit is not None), ("--links", links)):
            if given:
                raise typer.BadParameter("is about rows; name their --format too", param_hint=option)
    with zv.open(store) as opened:
        if wanted is None:
            typer.echo(count_of(opened[level], picked))
            return
        if links:
            axes, batches = link_rows(opened[level], picked)
        else:
            axes, batches = opened.axes, vertex_rows(opened[level], picked, limit)
        _write(limited(batches, limit), wanted, output, ExportContext(axes=axes, crs=opened.crs))


def _write(batches: Iterator[Points], wanted: RowFormat, output: Path | None, context: ExportContext) -> None:
    write = write_csv if wanted is RowFormat.CSV else write_jsonl
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # of whatever encoding; rows are the same there as in a file
            sys.stdout.reconfigure(encoding="utf-8")
        write(batches, context.axes, sys.stdout)
        return
    with replaced(output) as path:
        if wanted is RowFormat.PARQUET:
            format_of(path).export(path, batches, context)
            return
        with path.open("w", encoding="utf-8", newline="") as stream:
            write(batches, context.axes, stream)


def _row_format(chosen: RowFormat | None, output: Path | None, *, count: bool) -> RowFormat | None:
    """The format of the rows, by option or by the suffix of the output; None to count."""
    if count:
        if chosen is not None or output is not None:
            raise typer.BadParameter("counts; leave out --format and --output", param_hint="--count")
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
