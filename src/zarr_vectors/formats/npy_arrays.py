"""Arrays in ``.npy`` files and inside zip files, read from front to back and written without knowing their end."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from zarr_vectors.exceptions import IngestError
from zarr_vectors.typing import AnyArray

__all__ = ["ArrayFile", "Member", "MemberReader", "map_array", "read_members", "reading"]

_LARGEST_HEADER = 2**20
_COMPLAINTS = (
    ArithmeticError,
    EOFError,
    OSError,
    RuntimeError,  # an encrypted member, or compression that is not known
    SyntaxError,
    TokenError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
_MOST_ROWS = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Member:
    """An array with a row per point.

    Args:
        dtype: As stored.
        shape: Of the whole array.
        fortran: Columns follow each other, instead of rows.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool = False

    @property
    def row_bytes(self) -> int:
        """What a row takes in memory."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn what NumPy and zip files complain about into ``IngestError``."""
    try:
        yield
    except IngestError:
        raise
    except _COMPLAINTS as error:
        # A damaged directory of a zip file points before its start, which is an invalid argument to the system.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise IngestError(f"{path} is not {what}, is truncated or is damaged", got=str(error)) from error


def map_array(path: Path) -> AnyArray:
    """The array of an ``.npy`` file, mapped to be read.

    Raises:
        IngestError: It is not such a file.
    """
    # A shape whose product overflows must not wrap around to one that fits.
    with reading(path, "a .npy file"), np.errstate(over="raise"):
        array: AnyArray = npy_format.open_memmap(path, mode="r", max_header_size=_LARGEST_HEADER)
    return array


def read_members(path: Path) -> dict[str, Member]:
    """What the arrays of an ``.npz`` file are, by their names.

    Raises:
        IngestError: It is not such a file.
    """
    with reading(path, "a .npz file"), zipfile.ZipFile(path) as archive:
        members = {}
        for entry in archive.namelist():
            if entry.endswith(".npy"):
                with archive.open(entry) as file:
                    members[entry.removesuffix(".npy")] = _read_header(path, entry, file)
    return members


def _read_header(path: Path, entry: str, file: IO[bytes]) -> Member:
    version = npy_format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = npy_format.read_array_header_1_0(file, max_header_size=_LARGEST_HEADER)
    elif version == (2, 0):
        shape, fortran, dtype = npy_format.read_array_header_2_0(file, max_header_size=_LARGEST_HEADER)
    else:
        raise IngestError(f"{path}: array {entry!r} has an unknown version of its header", got=version)
    return Member(dtype=dtype, shape=shape, fortran=fortran)


class MemberReader:
    """Reads an array inside a zip file from front to back.

    Where columns follow each other each has a stream of its own, because a compressed member cannot be read elsewhere
    without reading all that comes before.
    """

    def __init__(self, path: Path, name: str, member: Member, archive: zipfile.ZipFile, stack: ExitStack) -> None:
        self._path = path
        self._name = name
        self._member = member
        self._left = member.shape[0]
        self._channels = member.shape[1] if len(member.shape) == 2 and member.fortran else 1
        self._streams = [stack.enter_context(archive.open(f"{name}.npy")) for _ in range(self._channels)]
        for channel, stream in enumerate(self._streams):
            _read_header(path, name, stream)
            stream.seek(channel * member.shape[0] * member.dtype.itemsize, 1)

    def read(self, rows: int) -> AnyArray:
        """The next rows.

        Raises:
            IngestError: The array ends before.
        """
        size = rows * self._member.row_bytes // self._channels
        parts = [stream.read(size) for stream in self._streams]
        self._left -= rows
        if not self._left:
            # The end of a member is where its checksum is compared.
            self._streams[-1].read(1)
        if any(len(part) != size for part in parts):
            raise IngestError(f"{self._path}: array {self._name!r} is truncated")
        shape = (rows, *self._member.shape[1:])
        if len(parts) == 1:
            return np.frombuffer(parts[0], dtype=self._member.dtype).reshape(shape)
        return np.stack([np.frombuffer(part, dtype=self._member.dtype) for part in parts], axis=1)


class ArrayFile:
    """An ``.npy`` file whose number of rows is known, and written, at the end.

    Args:
        path: Of the file.
        dtype: Of the rows.
        shape: Of one row.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> None:
        self.dtype = dtype.newbyteorder("=")
        self.shape = shape
        self.rows = 0
        self._room = len(self._header(_MOST_ROWS))
        self._file = path.open("wb")
        self._file.write(bytes(self._room))

    def write(self, values: AnyArray) -> None:
        """Append rows."""
        self._file.write(np.ascontiguousarray(values, dtype=self.dtype).reshape(-1).view(np.uint8).data)
        self.rows += len(values)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header(self.rows))

    def _header(self, rows: int) -> bytes:
        """Magic, version, length and the description, as long for few rows as it is for many."""
        description = {
            "descr": npy_format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (rows, *self.shape),
        }
        text = repr(description)
        text += " " * (len(str(_MOST_ROWS)) - len(str(rows)))
        is_plain = text.isascii() and len(text) < 2**16 - 128
        encoded = text.encode()
        magic = b"\x93NUMPY" + (b"\x01\x00" if is_plain else b"\x03\x00")
        before = len(magic) + (2 if is_plain else 4)
        encoded += b" " * (-(before + len(encoded) + 1) % npy_format.ARRAY_ALIGN) + b"\n"
        return magic + struct.pack("<H" if is_plain else "<I", len(encoded)) + encoded
