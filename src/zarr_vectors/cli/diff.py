"""``zarr-vectors diff``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import zarr_vectors as zv

__all__ = ["diff"]


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="Path or URL of a store.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help="The store to compare it with.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="All ids, as JSON.")] = False,
) -> None:
    """Tell what two stores hold differently: objects or points, and attributes. Ends with 1 if they differ."""
    found = zv.diff(first, second)
    typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if as_json else found.summary())
    if not found.is_empty:
        raise typer.Exit(1)
