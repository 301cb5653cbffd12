"""``zarr-vectors index``."""

from __future__ import annotations

from typing import Annotated

import typer

import zarr_vectors as zv
from zarr_vectors.cli.options import StoreArgument

__all__ = ["index"]


def index(
    store: StoreArgument,
    level: Annotated[list[int] | None, typer.Option("--level", help="Of this level only; may be given again.")] = None,
) -> None:
    """Make the cell index anew, which tells queries what to leave out; after other software has changed the store."""
    with zv.open(store, mode="r+") as opened:
        for number, cells in opened.index(level or None).items():
            typer.echo(f"level {number}: {cells:,} chunks")
