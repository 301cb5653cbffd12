"""``zarr-vectors convert``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import byte_text, checked, count_text, progress_bar, say, time_text
from zarr_vectors.cli.options import (
    AttributesOption,
    BoxOption,
    GroupIdsOption,
    LevelOption,
    ModeOption,
    NearOption,
    ObjectIdsOption,
    PerFragmentOption,
    Picked,
    QuietOption,
    WhereOption,
)
from zarr_vectors.cli.parse import parse_compressor, parse_fill, parse_names, parse_shape, parse_shard_shape
from zarr_vectors.cli.pyramid import build_told
from zarr_vectors.cli.tally import Tally, level_text
from zarr_vectors.cli.ways import Way, find_way
from zarr_vectors.exceptions import ExportError, StoreExistsError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.outgoing import in_batches
from zarr_vectors.formats.registry import export, format_of, ingest
from zarr_vectors.spatial.lattice import DEFAULT_BITS
from zarr_vectors.types.options import POLICIES, position_dtype
from zarr_vectors.types.report import WriteReport

__all__ = ["convert"]


_ONLY_FOR_STORES = (
    "--append",
    "--extend",
    "--fill",
    "--out-of-bounds",
    "--chunk-shape",
    "--bin-shape",
    "--shard-shape",
    "--compressor",
    "--dtype",
    "--keep-order",
    "--per-fragment",
    "--draco-bits",
    "--pyramid",
)
_ONLY_FOR_NEW = (
    "--chunk-shape",
    "--bin-shape",
    "--shard-shape",
    "--compressor",
    "--keep-order",
    "--per-fragment",
    "--draco-bits",
)
_ONLY_FOR_APPENDS = ("--extend", "--fill")
_ONLY_FOR_FILES = ("--object-attributes", "--no-groups")
_NOT_FOR = {
    Way.FILE_TO_STORE: ("--group-ids", "--where", "--near", "--level", "--format", "--mode", *_ONLY_FOR_FILES),
    Way.STORE_TO_FILE: (*_ONLY_FOR_STORES, "--positions", "--object-id-column", "--triangulate"),
    Way.STORE_TO_STORE: ("--positions", "--object-id-column", "--triangulate", "--format", *_ONLY_FOR_FILES),
}


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One conversion, with all options understood.

    Args:
        source: Path or URL.
        target: Path or URL.
        picked: What of the source goes over.
        level: Of a store that is the source.
        format: Of a file or folder that is the target; None where its suffix tells.
        options: How to read a file that is the source.
        write: Keywords of ``zv.write``.
        tables: Keywords of ``export`` that choose what of objects goes to a file.
        pyramid: Whether a store gets coarser levels.
        quiet: Whether to show nothing but errors.
    """

    source: str
    target: str
    picked: Picked
    level: int
    format: str | None
    options: ReadOptions
    write: dict[str, Any]
    tables: dict[str, Any]
    pyramid: bool
    quiet: bool


def convert(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="A file, a folder of files, or the path or URL of a store.", show_default=False
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="OUT", help="A store, or a file or folder to export to.", show_default=False)
    ],
    bbox: BoxOption = None,
    attributes: AttributesOption = None,
    object_ids: ObjectIdsOption = None,
    group_ids: GroupIdsOption = None,
    mode: ModeOption = None,
    where: WhereOption = None,
    near: NearOption = None,
    level: LevelOption = 0,
    append: Annotated[bool, typer.Option("--append", help="Add to a store that exists.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is at OUT.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Let appended rows join objects that exist.")] = False,
    fill: Annotated[
        list[str] | None,
        typer.Option("--fill", metavar="NAME=VALUE", help="Value of an attribute that appended rows lack; repeatable."),
    ] = None,
    out_of_bounds: Annotated[
        str,
        typer.Option(
            "--out-of-bounds", metavar="|".join(POLICIES), help="What to do with rows outside the store's bounds."
        ),
    ] = "raise",
    chunk_shape: Annotated[
        str | None,
        typer.Option("--chunk-shape", metavar="LENGTHS", help="Chunk edges: 10,10,10, or one number for all."),
    ] = None,
    bin_shape: Annotated[
        str | None, typer.Option("--bin-shape", metavar="LENGTHS", help="Bin edges; they must divide the chunk.")
    ] = None,
    shard_shape: Annotated[
        str, typer.Option("--shard-shape", metavar="COUNTS", help="Chunks per shard: 8,8,8, a number, auto or none.")
    ] = "auto",
    compressor: Annotated[
        str, typer.Option("--compressor", metavar="NAME", help="zstd, zstd:LEVEL, gzip, gzip:LEVEL, blosc or none.")
    ] = "zstd",
    dtype: Annotated[
        str | None, typer.Option("--dtype", metavar="TYPE", help="Of the stored coordinates, such as float32.")
    ] = None,
    keep_order: Annotated[bool, typer.Option("--keep-order", help="Store the input row of every point.")] = False,
    per_fragment: PerFragmentOption = None,
    draco_bits: Annotated[
        int | None,
        typer.Option("--draco-bits", metavar="N", min=1, max=30, help="Round coordinates to N bits and pack them."),
    ] = None,
    pyramid: Annotated[bool, typer.Option("--pyramid", help="Make coarser levels too, for views from afar.")] = False,
    positions: Annotated[
        str | None, typer.Option("--positions", metavar="X,Y,Z", help="Columns of the coordinates in a table.")
    ] = None,
    object_id_column: Annotated[
        str | None, typer.Option("--object-id-column", metavar="NAME", help="Column of the object ids in a table.")
    ] = None,
    triangulate: Annotated[bool, typer.Option("--triangulate", help="Cut the faces of a mesh into triangles.")] = False,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="Write a folder with a file of this format for each object, such as swc."
        ),
    ] = None,
    object_attributes: Annotated[
        str | None,
        typer.Option(
            "--object-attributes", metavar="NAMES", help="Only these object attributes go to a file. Empty for none."
        ),
    ] = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Leave groups of objects out of a file.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a file or folder to a store, a store to a file or folder, or a store to a store of another layout."""
    if append and replace:
        raise typer.BadParameter("cannot go together with --replace", param_hint="--append")
    if out_of_bounds not in POLICIES:
        raise typer.BadParameter(f"{out_of_bounds!r} is none of {', '.join(POLICIES)}", param_hint="--out-of-bounds")
    way = find_way(source, target, file_format)
    _refuse_idle_options(ctx, _NOT_FOR[way], f"on converting {way.value}")
    if append:
        _refuse_idle_options(ctx, _ONLY_FOR_NEW, "on a store that exists")
    else:
        _refuse_idle_options(ctx, _ONLY_FOR_APPENDS, "without --append")
    picked = Picked.parse(bbox, object_ids, group_ids, attributes, mode, where, near)
    shards = checked("--shard-shape", parse_shard_shape, shard_shape)
    columns = checked("--positions", parse_names, positions)
    job = _Job(
        source=source,
        target=target,
        picked=picked,
        level=level,
        format=file_format,
        options=ReadOptions(
            positions=tuple(columns) if columns is not None else None,
            object_ids=object_id_column,
            attributes=tuple(picked.attributes) if picked.attributes is not None else None,
            triangulate=triangulate,
        ),
        write={
            "mode": "append" if append else "replace" if replace else "create",
            "layout": zv.Layout(
                chunk_shape=checked("--chunk-shape", parse_shape, chunk_shape),
                bin_shape=checked("--bin-shape", parse_shape, bin_shape),
                shard_shape=shards,
                compressor=checked("--compressor", parse_compressor, compressor),
                keep_order=keep_order,
                vertex_encoding="raw" if draco_bits is None else "draco",
                draco_quantization_bits=DEFAULT_BITS if draco_bits is None else draco_bits,
            ),
            "out_of_bounds": out_of_bounds,
            "extend": extend,
            "dtype": checked("--dtype", position_dtype, dtype),
            "per_fragment": checked("--per-fragment", parse_names, per_fragment) or (),
            "fill": checked("--fill", lambda _: parse_fill(fill or ()), "") or None,
        },
        tables={
            "object_attributes": checked("--object-attributes", parse_names, object_attributes),
            "groups": not no_groups,
        },
        pyramid=pyramid,
        quiet=quiet,
    )
    steps = {Way.FILE_TO_STORE: _ingest, Way.STORE_TO_FILE: _export, Way.STORE_TO_STORE: _relayout}
    if append and pyramid:
        raise typer.BadParameter(
            "cannot go together with --append; afterwards use zarr-vectors pyramid --refresh", param_hint="--pyramid"
        )
    try:
        steps[way](job)
    except StoreExistsError as error:
        error.hint = "choose --append or --replace"
        raise


def _refuse_idle_options(ctx: typer.Context, options: Iterable[str], why: str) -> None:
    """An option that could not change anything is a mistake that would go unseen."""
    for option in options:
        name = option.removeprefix("--").replace("-", "_")
        origin = ctx.get_parameter_source(name)
        if origin is not None and origin.name not in ("DEFAULT", "DEFAULT_MAP"):
            raise typer.BadParameter(f"has no effect {why}", param_hint=option)


def _ingest(job: _Job) -> None:
    started = perf_counter()
    path = Path(job.source)
    with progress_bar("converting", quiet=job.quiet) as report:
        done = ingest(
            path,
            job.target,
            options=job.options,
            bbox=job.picked.bbox,
            object_ids=job.picked.object_ids,
            progress=report,
            **job.write,
        )
    _tell_store(job, done, perf_counter() - started)


def _export(job: _Job) -> None:
    started = perf_counter()
    target = Path(job.target)
    replacing = job.write["mode"] == "replace"
    if target.exists() and not replacing:
        what = "folder" if target.is_dir() else "file"
        raise ExportError(f"the {what} exists", got=job.target, hint="choose --replace to overwrite it")
    with zv.open(job.source) as store, progress_bar("converting", quiet=job.quiet) as report:
        tally = Tally()
        level = store[job.level]
        total = level.vertex_count if job.picked.takes_all_rows else None
        told = None if report is None else lambda rows, _: report(rows, total)
        written = {"format": job.format, "overwrite": replacing, "progress": told, "seen": tally.add}
        rows = export(level, target, **job.picked.all, mode=job.picked.mode, **job.tables, **written)
    seconds = perf_counter() - started
    say(f"{job.source} -> {job.target}", quiet=job.quiet)
    facts = f"{tally.text or count_text(rows, 'vertex')}, {byte_text(_size_of(target))}"
    say(f"{facts}, {time_text(rows, seconds)}", quiet=job.quiet)


def _size_of(target: Path) -> int:
    """Bytes of a file, of all files that make it up, or of all files in a folder."""
    files = target.rglob("*") if target.is_dir() else format_of(target).parts(target)
    return sum(file.stat().st_size for file in files if file.is_file())


def _relayout(job: _Job) -> None:
    started = perf_counter()
    with zv.open(job.source) as store, progress_bar("converting", quiet=job.quiet) as report:
        level = store[job.level]
        total = level.vertex_count if job.picked.takes_all_rows else None
        done = zv.write(
            job.target,
            in_batches(level, **job.picked.read, attributes=job.picked.attributes),
            axes=None if job.write["mode"] == "append" else store.axes,
            crs=store.crs,
            headers=store.headers,
            progress=None if report is None else lambda rows, _: report(rows, total),
            **job.write,
        )
        left_out = [str(number) for number in store.levels if number != job.level]
    _tell_store(job, done, perf_counter() - started)
    if left_out:
        say(f"only level {job.level} was converted, not {', '.join(left_out)}", quiet=job.quiet)


def _tell_store(job: _Job, done: WriteReport, seconds: float) -> None:
    """What was written, and what the user might not expect; then coarser levels, where they are wanted."""
    if not job.quiet:
        _tell_written(job, done, seconds)
    if job.pyramid:
        build_told(done.url, quiet=job.quiet)


def _tell_written(job: _Job, done: WriteReport, seconds: float) -> None:
    with zv.open(done.url) as store:
        level = store.info()["levels"][0]
    shards = "" if level["shard_shape"] is None else f" in {count_text(level['shard_count'], 'shard')}"
    say(f"{job.source} -> {job.target}", quiet=False)
    appended = done.mode == "append"
    noun = "point" if level["geometry_type"] == zv.Points.geometry_type else "vertex"
    say(
        f"{count_text(done.vertex_count, noun) + ' added' if appended else level_text(level)} in "
        f"{count_text(done.chunk_count, 'chunk')}, {time_text(done.vertex_count, seconds)}",
        quiet=False,
    )
    say(
        f"store: {level_text(level)}, {count_text(level['chunk_count'], 'chunk')}{shards}, {byte_text(level['bytes'])}",
        quiet=False,
    )
    for line in _surprises(done, noun):
        say(line, quiet=False)


def _surprises(done: WriteReport, noun: str) -> list[str]:
    lines = []
    if done.dropped:
        lines.append(f"{count_text(done.dropped, noun)} outside the bounds left out")
    if done.grown_from is not None:
        low, high = done.bounds
        lines.append(f"bounds grown to {', '.join(f'{a:g}..{b:g}' for a, b in zip(low, high, strict=True))}")
    if done.assigned_ids is not None:
        lines.append(f"object ids {done.assigned_ids[0]} to {done.assigned_ids[1]} given to points without one")
    if done.extended_objects:
        lines.append(f"{count_text(done.extended_objects, 'object')} extended")
    return lines
