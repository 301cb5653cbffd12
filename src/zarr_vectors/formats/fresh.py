"""A place to write to that becomes the wanted file or folder when it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import Format

__all__ = ["fresh"]


@contextmanager
def fresh(path: Path, fmt: Format, *, overwrite: bool) -> Iterator[Path]:
    """Give a path beside the wanted one to write to; move what is there to its place if nothing was raised.

    Raises:
        ExportError: There is something already, and it may not be replaced.
    """
    finals = fmt.parts(path)
    for final in finals:
        _check_free(final, fmt, overwrite=overwrite)
    mark = uuid4().hex[:8]
    temporary = path.with_name(f".{mark}-{path.name}")
    parts = fmt.parts(temporary)
    try:
        yield temporary
        for part, final in zip(parts, finals, strict=True):
            if not part.is_dir():
                part.replace(final)
                continue
            # A folder cannot take the place of another one at once: the old one steps aside first.
            old = final.with_name(f".{mark}-old-{final.name}")
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
    finally:
        for part in parts:
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)


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
