"""``zarr-vectors validate``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import zarr_vectors as zv
from zarr_vectors.cli.options import StoreArgument

__all__ = ["validate"]


def validate(
    store: StoreArgument,
    level: Annotated[
        int,
        typer.Option(
            "--level",
            metavar="N",
            min=1,
            max=5,
            help="How far to look: 1 nodes, 2 documents, 3 cells, 4 kinds of geometry, 5 levels of resolution.",
        ),
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Look for everything that is wrong with a store. Ends with exit code 1 if there are errors; changes nothing."""
    result = zv.validate(store, level)
    typer.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=False) if as_json else result.summary())
    if not result.ok:
        raise typer.Exit(1)
