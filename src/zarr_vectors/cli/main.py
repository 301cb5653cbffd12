"""The program: its commands and global options."""

from __future__ import annotations

from typing import Annotated

import typer

from zarr_vectors import __version__
from zarr_vectors.cli.console import Group
from zarr_vectors.cli.convert import convert
from zarr_vectors.cli.diff import diff
from zarr_vectors.cli.index import index
from zarr_vectors.cli.info import info
from zarr_vectors.cli.plot import plot
from zarr_vectors.cli.publish import publish
from zarr_vectors.cli.pyramid import pyramid
from zarr_vectors.cli.query import query
from zarr_vectors.cli.rechunk import rechunk
from zarr_vectors.cli.repair import repair
from zarr_vectors.cli.vacuum import vacuum
from zarr_vectors.cli.validate import validate

__all__ = ["app", "main"]

app = typer.Typer(
    name="zarr-vectors",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for command in (convert, info, query, plot, pyramid, rechunk, validate, repair, index, vacuum, diff, publish):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zarr-vectors {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="ZV_DEBUG", help="Show the traceback of an error, wherever this stands.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Store points, lines, graphs, skeletons and meshes in chunks on Zarr, ask for parts, and get them out again."""


def main() -> None:
    """Run the program; it ends the process with exit code 0, 1 or 2."""
    app()
