"""``zarr-vectors info``."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

import zarr_vectors as zv
from zarr_vectors.cli.describe import Section, Table, describe
from zarr_vectors.cli.options import StoreArgument

__all__ = ["info"]


def info(
    store: StoreArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Describe a store: axes, bounds, counts of vertices, lines, edges and faces, chunks, attributes."""
    with zv.open(store) as opened:
        facts = opened.info()
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    console = Console()
    for section in describe(facts):
        if console.is_terminal:
            _print_rich(console, section)
        else:
            typer.echo(_plain(section))


def _plain(section: Section) -> str:
    """Aligned text without any decoration."""
    lines = [section.title]
    width = max((len(name) for name, _ in section.facts), default=0)
    lines += [f"  {name:<{width}}  {value}" for name, value in section.facts]
    for table in section.tables:
        rows = [table.columns, *table.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
        lines.append("")
        lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, ""])


def _print_rich(console: Console, section: Section) -> None:
    console.print(Text(section.title, style="bold"))
    facts = RichTable.grid(padding=(0, 2))
    for name, value in section.facts:
        facts.add_row(Text(f"  {name}", style="dim"), Text(value))
    console.print(facts)
    for table in section.tables:
        console.print()
        console.print(_rich_table(table))
    console.print()


def _rich_table(table: Table) -> RichTable:
    rich = RichTable(box=None, padding=(0, 1), header_style="dim", pad_edge=True)
    for column in table.columns:
        rich.add_column(column, justify="right" if column in ("from", "to", "channels", "categories") else "left")
    for first, *others in table.rows:
        rich.add_row(Text(first, style="cyan"), *map(Text, others))
    return rich
