"""What a TRX file is made of: a zip archive of arrays, or a folder, whose names tell their place, columns and dtype.

The layout is that of the TRX specification: little endian arrays in C order, ``positions.3.float32``,
``offsets.uint64``, ``dpv/`` and ``dps/`` for vertices and streamlines, ``groups/`` and ``dpg/<group>/``.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.streamlines import empty_file
from zarr_vectors.formats.trx_folder import Packed, Unpacked
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["DTYPES", "HEADER", "Archive", "Member", "Rows", "dtype_name", "opened", "read_archive", "zip_errors"]

HEADER = "header.json"
FLOATS = ("float16", "float32", "float64")
WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name).newbyteorder("<") for name in FLOATS + WHOLE}
DTYPES |= {"bit": np.dtype(np.uint8), "bool": np.dtype(np.uint8)}
FOLDERS = {"": 1, "dpv": 2, "dps": 2, "groups": 2, "dpg": 3}
"""How many parts the paths have that lead into each folder."""
COMPRESSIONS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
MOST_EXPANSION = 1032
"""Deflate makes no more than this of a byte."""
LARGEST_HEADER = 1 << 26
NAME = re.compile(r"(?P<name>.+?)(?:\.(?P<columns>[1-9][0-9]{0,8}))?\.(?P<dtype>[a-z]+[0-9]*)", re.DOTALL)


def dtype_name(dtype: np.dtype[Any]) -> str | None:
    """The suffix that arrays of a dtype have; None for a dtype that TRX has not.

    Example:
        >>> dtype_name(np.dtype(bool)), dtype_name(np.dtype(">f4")), dtype_name(np.dtype(complex))
        ('bit', 'float32', None)
    """
    if dtype == np.bool_:
        return "bit"
    return dtype.name if dtype.name in DTYPES else None


@dataclass(frozen=True, kw_only=True)
class Member:
    """One array of an archive: ``rows`` times ``columns`` values of a dtype."""

    info: zipfile.ZipInfo
    name: str
    columns: int
    dtype: np.dtype[Any]
    is_bool: bool
    group: str = ""

    @property
    def rows(self) -> int:
        """Rows, from the size of the member."""
        return self.info.file_size // (self.columns * self.dtype.itemsize)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The members of a TRX file by their place.

    Args:
        header: What ``header.json`` says.
        members: ``{folder: members}``; positions and offsets are in the folder ``""``.
        ignored: Members that are none of these.
    """

    path: Path
    header: JsonObject
    members: dict[str, list[Member]]
    ignored: list[str]

    @property
    def vertices(self) -> int:
        """Number of vertices."""
        return int(self.header["NB_VERTICES"])

    @property
    def streamlines(self) -> int:
        """Number of streamlines."""
        return int(self.header["NB_STREAMLINES"])

    def find(self, name: str) -> Member | None:
        """Positions or offsets; None where there are none, as in files without streamlines."""
        return next((member for member in self.members[""] if member.name == name), None)

    def read(self, file: Packed, member: Member) -> AnyArray:
        """All ``(rows, columns)`` of a member."""
        with Rows(self.path, file, member) as rows:
            values = rows.take(member.rows)
            rows.finish()
        return values


class Rows:
    """The rows of a member, one after another; zip's checksum is looked at when all are taken.

    Example:
        >>> import io
        >>> file = zipfile.ZipFile(io.BytesIO(), "w")
        >>> file.writestr("dpv/fa.uint8", bytes([1, 2, 3]))
        >>> info, dtype = file.getinfo("dpv/fa.uint8"), np.dtype("u1")
        >>> member = Member(info=info, name="fa", columns=1, dtype=dtype, is_bool=False)
        >>> Rows(Path("a.trx"), file, member).take(2).tolist()
        [[1], [2]]
    """

    def __init__(self, path: Path, file: Packed, member: Member) -> None:
        self.path = path
        self.member = member
        with zip_errors(path, member.info.filename):
            self._file = file.open(member.info)

    def take(self, rows: int) -> AnyArray:
        """The next ``(rows, columns)`` values, in the byte order of the machine.

        Raises:
            IngestError: Damaged or truncated.
        """
        member = self.member
        size = rows * member.columns * member.dtype.itemsize
        with zip_errors(self.path, member.info.filename):
            raw = self._file.read(size)
        if len(raw) != size:
            got = f"{len(raw)} bytes"
            raise IngestError(f"{self.path} has a truncated {member.info.filename}", expected=f"{size} bytes", got=got)
        values = np.frombuffer(raw, member.dtype).reshape(rows, member.columns)
        return values.astype(np.bool_ if member.is_bool else member.dtype.newbyteorder("="), copy=False)

    def finish(self) -> None:
        """Look that nothing is left; raises ``IngestError`` where something is, or the checksum is wrong."""
        with zip_errors(self.path, self.member.info.filename):
            left = self._file.read(1)
        if left:
            raise IngestError(f"{self.path} has more in {self.member.info.filename} than it tells", expected="its end")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # An open member keeps the file of the archive open.
        self._file.close()


@contextmanager
def zip_errors(path: Path, where: str) -> Iterator[None]:
    """Say which member of which file zipfile could not read.

    Example:
        >>> with zip_errors(Path("a.trx"), "header.json"):
        ...     raise zipfile.BadZipFile("Bad CRC-32")
        Traceback (most recent call last):
        zarr_vectors.exceptions.IngestError: a.trx cannot be unpacked (got header.json: Bad CRC-32)
    """
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise IngestError(f"{path} cannot be unpacked", got=f"{where}: {error}") from error


def read_archive(path: Path, file: Packed) -> Archive:
    """The header and the members, after a check of all sizes; no array is read.

    Raises:
        IngestError: Something is missing, damaged, or of another size than the header says.

    Example:
        >>> import io
        >>> file = zipfile.ZipFile(io.BytesIO(), "w")
        >>> header = {"VOXEL_TO_RASMM": np.eye(4).tolist(), "DIMENSIONS": [1, 1, 1]}
        >>> file.writestr("header.json", json.dumps(header | {"NB_VERTICES": 0, "NB_STREAMLINES": 0}))
        >>> read_archive(Path(__file__), file).vertices
        0
    """
    # Of a folder, every file has the size that it has.
    size = sys.maxsize if path.is_dir() else path.stat().st_size
    members: dict[str, list[Member]] = {folder: [] for folder in FOLDERS}
    ignored = []
    header: JsonObject | None = None
    for info in file.infolist():
        # Unlike `is_dir`, also of a member without a name.
        if info.filename.endswith("/"):
            continue
        _check_size(path, info, size)
        if info.filename == HEADER:
            header = _read_header(path, file, info)
        elif found := _member_of(path, info):
            folder, member = found
            members[folder].append(member)
        else:
            ignored.append(info.filename)
    if header is None:
        got = sorted(file.namelist())[:9]
        raise IngestError(f"{path} is not a TRX file", expected=f"a member {HEADER!r}", got=got)
    archive = Archive(path=path, header=header, members=members, ignored=ignored)
    _check_members(archive)
    return archive


def _check_size(path: Path, info: zipfile.ZipInfo, size: int) -> None:
    """Refuse what cannot be as large as it claims to be."""
    if info.compress_type not in COMPRESSIONS or info.flag_bits & 1:
        got = f"{info.filename} encrypted" if info.flag_bits & 1 else f"{info.filename} with {info.compress_type}"
        raise IngestError(f"{path} is packed in an unknown way", expected="stored or deflated members", got=got)
    most = info.compress_size * (MOST_EXPANSION if info.compress_type == zipfile.ZIP_DEFLATED else 1)
    if info.file_size > most or info.header_offset + info.compress_size > size:
        got = f"{info.file_size} bytes for {info.filename}"
        raise IngestError(f"{path} is truncated or a size is wrong", expected=f"at most {most} bytes", got=got)


def _member_of(path: Path, info: zipfile.ZipInfo) -> tuple[str, Member] | None:
    """The folder and the array that a path names; None where it names none."""
    parts = info.filename.split("/")
    folder = parts[0] if len(parts) > 1 else ""
    match = NAME.fullmatch(parts[-1])
    if FOLDERS.get(folder) != len(parts) or match is None or match["dtype"] not in DTYPES:
        return None
    name, dtype = match["name"], DTYPES[match["dtype"]]
    if not folder and name not in {"positions", "offsets"}:
        return None
    columns = int(match["columns"] or (3 if (folder, name) == ("", "positions") else 1))
    if info.file_size % (columns * dtype.itemsize):
        expected, got = f"a multiple of {columns * dtype.itemsize} bytes", f"{info.file_size} bytes"
        raise IngestError(f"{path} has a wrong size of {info.filename}", expected=expected, got=got)
    group = parts[1] if folder == "dpg" else ""
    is_bool = match["dtype"] in {"bit", "bool"}
    return folder, Member(info=info, name=name, columns=columns, dtype=dtype, is_bool=is_bool, group=group)


def _read_header(path: Path, file: Packed, info: zipfile.ZipInfo) -> JsonObject:
    if info.file_size > LARGEST_HEADER:
        raise IngestError(f"{path} has too large a {HEADER}", expected=f"{LARGEST_HEADER} bytes", got=info.file_size)
    with zip_errors(path, HEADER):
        raw = file.read(info)
    try:
        header = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise IngestError(f"{path} has a {HEADER} that is not JSON", got=str(error)[:80]) from error
    if not isinstance(header, dict):
        raise IngestError(f"{path} has a {HEADER} that cannot be used", expected="an object", got=repr(header)[:80])
    for key in ("NB_VERTICES", "NB_STREAMLINES"):
        if type(header.get(key)) is not int or not 0 <= header[key] < 1 << 62:
            got = f"{key} {header.get(key)!r}"
            raise IngestError(f"{path} has a {HEADER} that cannot be used", expected="a whole number", got=got)
    header["VOXEL_TO_RASMM"] = _numbers(path, header, "VOXEL_TO_RASMM", (4, 4))
    header["DIMENSIONS"] = _numbers(path, header, "DIMENSIONS", (3,))
    return header


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _numbers(path: Path, header: JsonObject, key: str, shape: tuple[int, ...]) -> Any:
    """Numbers as they are, in nested lists of a shape."""
    try:
        items = np.array(header.get(key), dtype=object).reshape(shape)
    except ValueError:
        items = np.empty(0, dtype=object)
    whole = len(shape) == 1
    kinds = int if whole else (int, float)
    good = items.size and all(isinstance(item, kinds) and abs(item) < 1 << 62 for item in items.flat)
    if not good:
        got = f"{key} {header.get(key)!r}"[:120]
        expected = f"{'whole numbers' if whole else 'numbers'} of shape {shape}"
        raise IngestError(f"{path} has a {HEADER} that cannot be used", expected=expected, got=got)
    return items.tolist()


def _check_members(archive: Archive) -> None:
    """Refuse members that contradict the header or one another."""
    path = archive.path
    for name, rows in (("positions", archive.vertices), ("offsets", archive.streamlines)):
        if archive.find(name) is None and rows:
            raise IngestError(f"{path} has no {name}", expected=f"a member such as {name}.{_example(name)}")
    if archive.vertices and not archive.streamlines:
        raise IngestError(f"{path} contradicts itself", expected="vertices of streamlines", got="NB_STREAMLINES 0")
    for member in archive.members[""]:
        _check_essential(archive, member)
    for folder, rows in (("dpv", archive.vertices), ("dps", archive.streamlines)):
        for member in archive.members[folder]:
            _check_rows(archive, member, (rows,))
    _check_groups(archive)
    for folder, found in archive.members.items():
        names = [(member.group, member.name) for member in found]
        if twice := {name for name in names if names.count(name) > 1}:
            raise IngestError(f"{path} has an array twice", got=f"{min(twice)[-1]!r} in {folder or 'the root'!r}")


def _check_groups(archive: Archive) -> None:
    groups = [member.name for member in archive.members["groups"]]
    for member in archive.members["groups"]:
        if member.columns != 1 or member.dtype.kind not in "iu" or member.is_bool:
            raise IngestError(f"{archive.path} has a group without whole numbers", got=member.info.filename)
    for member in archive.members["dpg"]:
        if member.group not in groups:
            got = member.info.filename
            raise IngestError(f"{archive.path} has data of a group that there is not", expected=groups, got=got)
        _check_rows(archive, member, (1,))


def _example(name: str) -> str:
    return "3.float32" if name == "positions" else "uint64"


def _check_essential(archive: Archive, member: Member) -> None:
    name = member.info.filename
    if member.name == "positions":
        if member.columns != 3 or member.dtype.kind != "f":
            raise IngestError(f"{archive.path} has positions that cannot be used", expected="3 floats each", got=name)
        _check_rows(archive, member, (archive.vertices,))
        return
    if member.columns != 1 or member.dtype.kind not in "iu" or member.is_bool:
        raise IngestError(f"{archive.path} has offsets that cannot be used", expected="whole numbers", got=name)
    # Files from before the last offset was written have one less, and those without streamlines may have none.
    _check_rows(archive, member, (archive.streamlines, archive.streamlines + 1))


def _check_rows(archive: Archive, member: Member, allowed: tuple[int, ...]) -> None:
    if member.rows not in allowed:
        raise IngestError(
            f"{archive.path} contradicts itself",
            expected=f"{' or '.join(map(str, allowed))} rows in {member.info.filename}",
            got=member.rows,
        )


@contextmanager
def opened(path: Path) -> Iterator[Packed]:
    """The archive of a file, or a folder as one.

    Raises:
        IngestError: The file is empty or no zip archive.

    Example:
        >>> with opened(Path(__file__)):
        ...     pass
        Traceback (most recent call last):
        zarr_vectors.exceptions.IngestError: ... cannot be unpacked ...
    """
    if path.is_dir():
        yield Unpacked(path)
        return
    if not path.stat().st_size:
        raise empty_file(path, "a zip archive")
    with zip_errors(path, "the directory"):
        file = zipfile.ZipFile(path)
    with file:
        yield file
