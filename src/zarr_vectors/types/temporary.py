"""Folders for temporary files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["scratch_folder"]


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder that is removed at the end; one that cannot be removed does not make a failure of what was done.

    Example:
        >>> import os
        >>> with scratch_folder() as folder:
        ...     made = os.path.isdir(folder)
        >>> made, os.path.isdir(folder)
        (True, False)
    """
    folder = tempfile.mkdtemp(prefix="zarr-vectors-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
