"""What ``zarr-vectors convert`` is asked to turn into what."""

from __future__ import annotations

import errno
import json
import os
from difflib import get_close_matches
from enum import Enum
from pathlib import Path

import typer

from zarr_vectors.constants import ROOT_KEY
from zarr_vectors.exceptions import IngestError, InputError
from zarr_vectors.formats.registry import FORMATS, format_at, format_named, format_of, has_format

__all__ = ["Way", "find_way"]

_SLIP = 0.75
"""How similar a suffix must be to that of a format to be taken for a slip: two letters of three that are swapped."""


class Way(Enum):
    """What becomes what."""

    FILE_TO_STORE = "a file to a store"
    STORE_TO_FILE = "a store to a file"
    STORE_TO_STORE = "a store to a store"


def find_way(source: str, target: str, file_format: str | None) -> Way:
    """Find out what is a file, or a folder of files, and what a store.

    Raises:
        FileNotFoundError: There is nothing at ``source``, which by its suffix would be a file.
        typer.BadParameter: Both are files, ``source`` is a file of no known format, or ``file_format`` is not known;
            or a name is empty, or that of a file but for a slip.
    """
    for name, hint in ((source, "IN"), (target, "OUT")):
        if not name:
            raise typer.BadParameter("must be a path or URL", param_hint=hint)
        _refuse_slip(name, hint)
    path = Path(source)
    is_one = path.is_file() and path.suffix.lower() != ".zip"  # which holds a store
    from_file = "://" not in source and (is_one or (_has_suffix(source) and not path.exists()) or _holds_files(path))
    to_file = _is_file_to_be(target, file_format)
    if not from_file:
        return Way.STORE_TO_FILE if to_file else Way.STORE_TO_STORE
    if not Path(source).exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
    if Path(source).is_file() and not _has_suffix(source):
        known = ", ".join(suffix for known in FORMATS for suffix in known.suffixes)
        raise typer.BadParameter(f"{source} has none of the suffixes {known}", param_hint="IN")
    if to_file:
        raise typer.BadParameter("one of IN and OUT must be a store; convert to a store first", param_hint="OUT")
    return Way.FILE_TO_STORE


def _refuse_slip(name: str, hint: str) -> None:
    """A slip in a suffix would make a store of what was meant to be a file."""
    path = Path(name)
    if "://" in name or has_format(path) or path.exists():
        return
    suffixes = [suffix for known in FORMATS for suffix in known.suffixes]
    near = get_close_matches(path.suffix.lower(), suffixes, n=1, cutoff=_SLIP)
    if near:
        raise typer.BadParameter(
            f"{name} is not there, and would be a store by its suffix; did you mean {path.stem}{near[0]}? "
            f"A store could be called {path.stem}.zarrvectors",
            param_hint=hint,
        )


def _is_file_to_be(target: str, file_format: str | None) -> bool:
    """Whether a file, or a folder of files, is to be written."""
    if file_format is not None:
        if "://" in target:
            raise typer.BadParameter("files are written to local folders only", param_hint="OUT")
        try:
            format_named(file_format, target)
        except InputError as error:
            raise typer.BadParameter(str(error), param_hint="--format") from error
        return True
    return _has_suffix(target) and (not Path(target).is_dir() or format_of(target).recognises is not None)


def _holds_files(folder: Path) -> bool:
    """Whether a folder is no store and something else that can be read."""
    if not folder.is_dir() or _is_store(folder):
        return False
    if _has_suffix(str(folder)) and format_of(folder).recognises is not None:
        return True
    try:
        format_at(folder)
    except IngestError:
        # What lies in it tells whether a store or a folder of files was meant.
        return any(_has_suffix(entry.name) for entry in folder.iterdir() if entry.is_file())
    return True


def _is_store(folder: Path) -> bool:
    try:
        document = json.loads((folder / "zarr.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return isinstance(attributes, dict) and ROOT_KEY in attributes


def _has_suffix(path: str) -> bool:
    return "://" not in path and has_format(path)
