"""``zarr-vectors repair``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import zarr_vectors as zv
from zarr_vectors.cli.options import StoreArgument

__all__ = ["repair"]


def repair(
    store: StoreArgument,
    apply: Annotated[
        bool, typer.Option("--apply", help="Change the store; by default it is only told what would be.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Put right what is wrong with a store, as far as the store tells what is right. Ends with 1 if errors are left."""
    result = zv.repair(store, dry_run=not apply)
    typer.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=False) if as_json else result.summary())
    if not result.ok:
        raise typer.Exit(1)
