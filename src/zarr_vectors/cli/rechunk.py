"""``zarr-vectors rechunk``."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated, Any

import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import checked, count_text, say, time_text
from zarr_vectors.cli.options import QuietOption
from zarr_vectors.cli.parse import parse_numbers, parse_shape
from zarr_vectors.exceptions import InputError
from zarr_vectors.rechunk.spec import COARSER

__all__ = ["rechunk"]


def rechunk(
    source: Annotated[str, typer.Argument(metavar="IN", help="Path or URL of a store.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="OUT", help="Where to write the new store; by default IN is changed.", show_default=False
        ),
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="group, object_id, attribute:NAME, or spatial for space alone.")
    ] = "spatial",
    bins: Annotated[
        str | None,
        typer.Option("--bins", metavar="NUMBERS", help="Lower ends of bins of object ids or values: 0,10,100."),
    ] = None,
    categorical: Annotated[
        bool, typer.Option("--categorical", help="A bin for each value of the attribute, however many there are.")
    ] = False,
    chunk_shape: Annotated[
        str | None,
        typer.Option("--chunk-shape", metavar="LENGTHS", help="Chunk edges: 10,10,10, or one number for all."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What the axis of the bins is called.")
    ] = None,
    coarser: Annotated[
        str,
        typer.Option(
            "--coarser", metavar="WHAT", help="Coarser levels: keep (in the same bins), spatial (by space), or drop."
        ),
    ] = "keep",
    quiet: QuietOption = False,
) -> None:
    """Cut a store into other chunks: by group, object, attribute or space. Everything in it stays."""
    if by == "spatial" and chunk_shape is None:
        with zv.open(source) as store:
            if len(store[0].chunk_keys[:1]) and len(store[0].chunk_keys[0]) == store.ndim:
                raise typer.BadParameter("nothing would change; give --by or --chunk-shape", param_hint="--by")
    spec = zv.RechunkSpec(
        by,
        bins=checked("--bins", parse_numbers, bins),
        spatial_chunk_shape=checked("--chunk-shape", parse_shape, chunk_shape),
        prefix_dim_name=name,
        categorical=categorical,
    )
    try:
        spec.check()
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    if coarser not in COARSER:
        raise typer.BadParameter(f"{coarser!r} is none of {', '.join(COARSER)}", param_hint="--coarser")
    started = perf_counter()
    done = zv.rechunk(source, spec, target, coarser=coarser)
    if quiet:
        return
    rows = done["total_vertices"]
    say(f"{source} -> {source if target is None else target}", quiet=False)
    bins_text = "" if by == "spatial" else f" in {count_text(done['bins_created'], 'bin')} along {spec.dimension_name}"
    say(f"{count_text(rows, 'vertex')}{bins_text}, {time_text(rows, perf_counter() - started)}", quiet=False)
    for line in _surprises(done):
        say(line, quiet=False)


def _surprises(done: dict[str, Any]) -> list[str]:
    """What the user might not expect."""
    several, none = done["objects_in_several_bins"], done["objects_in_no_bin"]
    lines = []
    if several:
        lines.append(f"{count_text(several, 'object')} of several groups stored with the first")
    if none:
        lines.append(f"{count_text(none, 'object')} without group or value stored in a bin at the end")
    if done["links_left_out"]:
        lines.append(f"links that lead to no level of such chunks left out: {', '.join(done['links_left_out'])}")
    if done["levels_dropped"]:
        lines.append(f"coarser levels left out: {', '.join(map(str, done['levels_dropped']))}")
    return lines
