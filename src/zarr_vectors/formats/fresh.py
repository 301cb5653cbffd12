"""A place to write to that becomes the wanted file or folder when it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from zarr_vectors.exceptions import ExportError, ZVError
from zarr_vectors.formats.base import Format

__all__ = ["check_folder", "fresh", "told_as"]


@contextmanager
def fresh(path: Path, fmt: Format, *, overwrite: bool) -> Iterator[Path]:
    """Give a path beside the wanted one to write to; move what is there to its place if nothing was raised.

    Errors tell the wanted names.

    Raises:
        ExportError: There is something already, and it may not be replaced; or no folder to put it in.
    """
    finals = fmt.parts(path)
    for final in finals:
        _check_free(final, fmt, overwrite=overwrite)
    check_folder(path)
    mark = f".{uuid4().hex[:8]}-"
    temporary = path.with_name(mark + path.name)
    parts = fmt.parts(temporary)
    try:
        with told_as(mark, ""):
            yield temporary
            for part, final in zip(parts, finals, strict=True):
                _put(part, final, final.with_name(f"{mark}old-{final.name}"))
    finally:
        for part in parts:
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Refuse a path in a folder that is not there; raises ``ExportError``."""
    if not path.parent.is_dir():
        raise ExportError("the folder to write to does not exist", got=str(path.parent), hint="make it first")


@contextmanager
def told_as(written: str, wanted: str) -> Iterator[None]:
    """Replace a part of the names that errors tell: what is to be written is known, what is written to is not."""
    try:
        yield
    except (ZVError, OSError) as error:
        names = ("message", "expected", "got", "hint") if isinstance(error, ZVError) else ("filename", "filename2")
        for name in names:
            text = getattr(error, name)
            if isinstance(text, (str, Path)):
                setattr(error, name, str(text).replace(written, wanted))
        raise


def _put(part: Path, final: Path, old: Path) -> None:
    """Move a file or folder to its place; a folder that is there steps aside first."""
    if not part.is_dir():
        part.replace(final)
        return
    if final.exists():
        final.rename(old)
    try:
        part.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise
    if old.exists():
        shutil.rmtree(old)


def _check_free(path: Path, fmt: Format, *, overwrite: bool) -> None:
    if not path.exists():
        return
    what = "folder" if path.is_dir() else "file"
    if not overwrite:
        raise ExportError(f"the {what} exists", got=str(path), hint="use overwrite=True to replace it")
    if path.is_dir() != (fmt.recognises is not None):
        raise ExportError(f"a {what} is where the other would be written", got=str(path))
    if fmt.recognises is not None and not fmt.recognises(path) and any(path.iterdir()):
        raise ExportError(
            "the folder holds other things, which would be lost",
            got=str(path),
            expected=f"nothing but {fmt.name}",
            hint="choose another folder",
        )
