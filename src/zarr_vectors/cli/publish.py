"""``zarr-vectors publish``."""

from __future__ import annotations

from typing import Annotated

import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import count_text, say
from zarr_vectors.cli.options import QuietOption, StoreArgument

__all__ = ["publish"]


def publish(
    store: StoreArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back, so that the store may be changed.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Make a store fit for static hosting: one request opens it. It then cannot be changed until that is undone."""
    with zv.open(store, "r+") as opened:
        if undo:
            opened.unpublish()
            say(f"{store} may be changed", quiet=quiet)
        else:
            documents = opened.publish()
            say(f"{store}: {count_text(documents, 'document')} in one; it cannot be changed any more", quiet=quiet)
