"""The terminal: a progress bar, one-line errors, numbers for people."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar, overload
from uuid import uuid4

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperGroup

from zarr_vectors.exceptions import ZVError
from zarr_vectors.formats.fresh import check_folder, told_as

__all__ = [
    "Group",
    "Report",
    "byte_text",
    "checked",
    "count_text",
    "error_text",
    "in_options",
    "plural",
    "progress_bar",
    "rate_text",
    "replaced",
    "say",
    "time_text",
]

PROGRAM = "zarr-vectors"
INTERRUPTED = 130
BROKEN_PIPE = 141
_PLURALS = {"vertex": "vertices", "mesh": "meshes"}

_OPTIONS = (
    (r"\w+=\S* \((--[^)]*)\)", r"\1"),
    (r"use mode='create'", "leave out --append"),
    (r"mode='(append|replace)'", r"--\1"),
    (r"extend=True", "--extend"),
    (r"overwrite=True", "--replace"),
    (r"out_of_bounds='(\w+)'", r"--out-of-bounds \1"),
    (r"\bdtype='(\w+)'", r"--dtype \1"),
    (r"fill=\{'([^']*)': value\}", r"--fill \1=VALUE"),
    (r"Layout\(keep_order=True\)", "--keep-order"),
)
"""How keywords that hints name are called on the command line."""

Value = TypeVar("Value")
Report: TypeAlias = Callable[[int, int | None], None]
"""Told the rows done and the rows in total, where known."""


class Group(TyperGroup):
    """The commands, with every failure turned into one line and an exit code.

    ``--debug`` counts wherever it stands, since it is mostly added to a command that has just failed.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Move ``--debug`` to the front."""
        options = args[: args.index("--")] if "--" in args else args
        if "--debug" in options:
            args = ["--debug", *(arg for arg in options if arg != "--debug"), *args[len(options) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            _print_lines("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader has gone; Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except Exception as error:  # the one place where any failure becomes a line of text
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise  # typer's own ways to end: usage errors and exits
            if ctx.params.get("debug"):
                traceback.print_exc()
            _print_lines(f"error: {error_text(error)}")
            raise typer.Exit(1) from None
        return result


def error_text(error: Exception) -> str:
    """What an error says, without the name of its class; several problems come as an indented list.

    Example:
        >>> error_text(FileNotFoundError(2, "No such file or directory", "scan.las"))
        'scan.las: no such file or directory'
    """
    if isinstance(error, ZVError):
        if error.hint:
            error.hint = in_options(error.hint)
        return str(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return f"{error.filename}: {reason[:1].lower()}{reason[1:]}" if error.filename else reason
    if isinstance(error, MemoryError):
        return "not enough memory; select less with --bbox or --attributes"
    return f"unexpected {type(error).__name__}: {error}; --debug shows where it comes from"


def in_options(hint: str) -> str:
    """A way out in the words of this program instead of those of Python.

    Example:
        >>> in_options("use mode='append' or mode='replace'")
        'use --append or --replace'
        >>> in_options("name them with positions= (--positions)")
        'name them with --positions'
    """
    for python, option in _OPTIONS:
        hint = re.sub(python, option, hint)
    return hint


@overload
def checked(option: str, parse: Callable[[str], Value], text: str) -> Value: ...
@overload
def checked(option: str, parse: Callable[[str], Value], text: str | None) -> Value | None: ...
def checked(option: str, parse: Callable[[str], Value], text: str | None) -> Value | None:
    """Parse the text of an option that may be left out.

    Raises:
        typer.BadParameter: ``parse`` raised ``ValueError``; the program ends with exit code 2.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def say(text: str, *, quiet: bool) -> None:
    """Tell on standard output what was done."""
    if not quiet:
        typer.echo(text)


def byte_text(count: int) -> str:
    """Bytes for people, in powers of 1000.

    Example:
        >>> byte_text(2_345_678)
        '2.3 MB'
    """
    return decimal(count)


def count_text(count: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> count_text(1, "shard"), count_text(12345, "vertex")
        ('1 shard', '12,345 vertices')
    """
    return f"{count:,} {plural(noun, count)}"


def plural(noun: str, count: int) -> str:
    """The form of a noun that goes with a number.

    Example:
        >>> plural("vertex", 1), plural("vertex", 2), plural("edge", 0)
        ('vertex', 'vertices', 'edges')
    """
    return noun if count == 1 else _PLURALS.get(noun, f"{noun}s")


def rate_text(rows: int, seconds: float) -> str:
    """Vertices per second for people.

    Example:
        >>> rate_text(3_000_000, 2.0)
        '1.5 M vertices/s'
    """
    rate = rows / max(seconds, 1e-9)
    for scale, unit in ((1e6, "M "), (1e3, "k ")):
        if rate >= scale:
            return f"{rate / scale:.1f} {unit}vertices/s"
    return f"{rate:.0f} vertices/s"


def time_text(rows: int, seconds: float) -> str:
    """How long it took, with the rate where there are enough rows for one.

    Example:
        >>> time_text(12, 0.5), time_text(3_000_000, 2.0)
        ('0.50 s', '2.00 s (1.5 M vertices/s)')
    """
    return f"{seconds:.2f} s" + (f" ({rate_text(rows, seconds)})" if rows >= 10_000 else "")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside ``path`` that takes its place when the block ends well, and is gone when it does not."""
    check_folder(path)
    # The suffix stays last: it tells the format.
    beside = path.with_name(f".{path.stem}.{uuid4().hex[:8]}{path.suffix}")
    try:
        with told_as(beside.name, path.name):
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def progress_bar(label: str, *, quiet: bool) -> Iterator[Report | None]:
    """A bar with rate and remaining time on standard error; None where that is no terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        latest = 0

        def report(done: int, total: int | None) -> None:
            nonlocal latest
            if done < latest:  # a second pass over the rows has its own rate
                progress.reset(task)
            latest = done
            progress.update(task, completed=done, total=total)

        yield report


class _Rate(ProgressColumn):
    """Rows so far and per second."""

    def render(self, task: Task) -> Text:
        rate = f", {rate_text(1, 1 / task.speed)}" if task.speed else " vertices"
        return Text(f"{int(task.completed):,}{rate}", style="progress.data.speed")


def _print_lines(text: str) -> None:
    """One line on standard error; what follows the first line of the text is indented below it."""
    first, *rest = text.splitlines()
    typer.echo("\n".join([f"{PROGRAM}: {first}", *(f"  {line.strip()}" for line in rest)]), err=True)
