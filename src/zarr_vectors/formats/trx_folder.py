"""A TRX file that has been unpacked: a folder of arrays, read as the archive that it came from."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import IO, Protocol

__all__ = ["Packed", "Unpacked", "is_unpacked_trx"]

_COUNTS = {"NB_VERTICES", "NB_STREAMLINES"}


class Packed(Protocol):
    """What is read of an archive."""

    def infolist(self) -> list[zipfile.ZipInfo]:
        """Its members."""
        ...

    def namelist(self) -> list[str]:
        """Their paths."""
        ...

    def open(self, name: zipfile.ZipInfo, /) -> IO[bytes]:
        """A member, to be read."""
        ...

    def read(self, name: zipfile.ZipInfo, /) -> bytes:
        """All of a member."""
        ...


class Unpacked:
    """A folder as an archive of its files, which are stored as they are.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "dpv").mkdir()
        >>> _ = (folder / "dpv" / "fa.uint8").write_bytes(b"abc")
        >>> archive = Unpacked(folder)
        >>> archive.namelist(), archive.read(archive.infolist()[0])
        (['dpv/fa.uint8'], b'abc')
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def infolist(self) -> list[zipfile.ZipInfo]:
        """Its files, by path."""
        return [_info(self._folder, path) for path in sorted(self._folder.rglob("*")) if path.is_file()]

    def namelist(self) -> list[str]:
        """Their paths below the folder."""
        return [info.filename for info in self.infolist()]

    def open(self, name: zipfile.ZipInfo, /) -> IO[bytes]:
        """A file, to be read."""
        return (self._folder / name.filename).open("rb")

    def read(self, name: zipfile.ZipInfo, /) -> bytes:
        """All of a file."""
        return (self._folder / name.filename).read_bytes()


def _info(folder: Path, path: Path) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path.relative_to(folder).as_posix().replace(os.sep, "/"))
    info.file_size = info.compress_size = path.stat().st_size
    info.header_offset = 0
    return info


def is_unpacked_trx(folder: Path) -> bool:
    """Whether a folder is an unpacked TRX file, told by its header.

    Example:
        >>> is_unpacked_trx(Path(__file__).parent)
        False
    """
    try:
        header = json.loads((folder / "header.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and header.keys() >= _COUNTS
