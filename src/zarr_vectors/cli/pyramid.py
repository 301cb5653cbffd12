"""``zarr-vectors pyramid``."""

from __future__ import annotations

import json
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from multiprocessing import get_context
from time import perf_counter
from typing import Annotated

import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import checked, count_text, progress_bar, say, time_text
from zarr_vectors.cli.options import QuietOption, StoreArgument
from zarr_vectors.cli.parse import parse_aggregations, parse_factors, parse_kept
from zarr_vectors.pyramid import PyramidReport

__all__ = ["build_told", "pyramid"]

_NONE = "no level was made: the finest has few enough vertices, or cannot become coarser; --factors makes levels anyway"


class CrossLevel(StrEnum):
    """Links between levels."""

    NONE = "none"
    IMPLICIT = "implicit"
    EXPLICIT = "explicit"


def pyramid(
    store: StoreArgument,
    factors: Annotated[
        str | None,
        typer.Option(
            "--factors",
            metavar="LIST",
            help="For each level how many times larger its bins are, and after a colon of how many objects it keeps "
            "one: 2,2,4:2. By default levels follow until one has at most 100,000 vertices.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", metavar="NAME", help="Of points: mean (the default) or subsample.", show_default=False
        ),
    ] = None,
    aggregate: Annotated[
        list[str] | None,
        typer.Option(
            "--aggregate",
            metavar="NAME=HOW",
            help="How values of an attribute are merged: mean, min, max, sum, first or mode; repeatable.",
        ),
    ] = None,
    sparsity: Annotated[
        str,
        typer.Option(
            "--keep", metavar="WHICH", help="Which objects stay: random, length, spatial_coverage or attribute:NAME."
        ),
    ] = "random",
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is random.")] = 0,
    cross_level: Annotated[
        CrossLevel, typer.Option("--cross-level", help="Links between levels: up, or both ways.")
    ] = CrossLevel.NONE,
    depth: Annotated[int, typer.Option("--depth", help="Over how many levels links lead; -1 for all.")] = 1,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Build stale levels anew, as they were built before.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let coarser levels that there are give way to those that are made.")
    ] = False,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that read and coarsen; by default some threads do.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Make coarser levels of a store, for views from afar; each is a whole data set of its own."""
    started = perf_counter()
    if refresh and (factors or method or aggregate or replace):
        raise typer.BadParameter(
            "levels are built as they were before; leave out --factors, --method, --aggregate and --replace",
            param_hint="--refresh",
        )
    pairs: list[tuple[float, float]] | None = None
    strategy, attribute = checked("--keep", parse_kept, sparsity)
    with (
        zv.open(store, "r+") as opened,
        processes(workers) as executor,
        progress_bar("pyramid", quiet=quiet or as_json) as bar,
    ):
        told = None if bar is None else lambda _, done, total: bar(done, total)
        if refresh:
            report = opened.refresh_pyramid(progress=told, executor=executor)
        else:
            pairs = checked("--factors", parse_factors, factors)
            report = opened.build_pyramid(
                pairs,
                method=method,
                aggregations=checked("--aggregate", lambda _: parse_aggregations(aggregate or ()), ""),
                sparsity_strategy=strategy,
                sparsity_attribute=attribute,
                sparsity_seed=seed,
                cross_level_storage=cross_level.value,
                cross_level_depth=depth,
                replace=replace,
                progress=told,
                executor=executor,
            )
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
        return
    if not report.levels:
        say("no level is stale" if refresh else _NONE, quiet=quiet)
        return
    for line in pyramid_lines(report, perf_counter() - started):
        say(line, quiet=quiet)
    if max((sparsity for _, sparsity in pairs or ()), default=1) > max(level.sparsity for level in report.levels):
        say("the store has no objects, of which some could be left out", quiet=quiet)


def processes(count: int) -> AbstractContextManager[Executor | None]:
    """So many processes; none for one, since threads need not be told of the store."""
    # Started afresh: a copy of a process with threads may wait for what no thread of its own lets go of.
    return nullcontext() if count == 1 else ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def build_told(store: str, *, quiet: bool) -> None:
    """Make coarser levels of a store, and tell what they are."""
    started = perf_counter()
    with zv.open(store, "r+") as opened, progress_bar("pyramid", quiet=quiet) as bar:
        report = opened.build_pyramid(progress=None if bar is None else lambda _, done, total: bar(done, total))
    for line in pyramid_lines(report, perf_counter() - started):
        say(line, quiet=quiet)


def pyramid_lines(report: PyramidReport, seconds: float) -> list[str]:
    """What was made, a line for each level."""
    if not report.levels:
        return [_NONE]
    lines = []
    for level in report.levels:
        error = "" if level.max_error is None else f", at most {level.max_error:.4g} from level 0"
        objects = f", {count_text(level.object_count, 'object')}" if level.object_count else ""
        lines.append(f"level {level.level}: {count_text(level.vertex_count, 'vertex')}{objects}{error}")
        if level.left_out:
            lines.append(f"  without {', '.join(level.left_out)}")
    lines.append(time_text(sum(level.parent_vertices for level in report.levels), seconds))
    return lines
