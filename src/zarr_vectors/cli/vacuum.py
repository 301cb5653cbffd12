"""``zarr-vectors vacuum``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import count_text
from zarr_vectors.cli.options import StoreArgument

__all__ = ["vacuum"]


def vacuum(
    store: StoreArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Free the bytes of vertices and files that nothing names any more; what a store holds stays as it is."""
    with zv.open(store, "r+") as opened:
        done = opened.vacuum()
    if as_json:
        typer.echo(json.dumps(done.to_json(), indent=2))
        return
    freed = "" if done.bytes_freed is None else f", {done.bytes_freed:,} of {done.bytes_before:,} bytes freed"
    typer.echo(f"{count_text(done.rows_dropped, 'row')} and {count_text(done.objects_dropped, 'file')} dropped{freed}")
