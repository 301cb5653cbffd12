"""Stores in one zip file: read in place, written once.

Entries that are not compressed, as this library writes them, are read like files: by byte ranges. Those that another
program has compressed are unpacked as a whole. A folder that was packed with its own name is found below that name.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.encoding.limits import most_content
from zarr_vectors.exceptions import CorruptionError, ReadOnlyError, StoreError, StoreExistsError
from zarr_vectors.storage.backend import Get, Stamp, Transactional

__all__ = ["ZipBackend"]

_ROOT = "zarr.json"
_LOCAL_HEADER = struct.Struct("<26xHH")
"""Lengths of the name and of the extra field, after which the data of an entry begins."""
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The same content makes the same file."""


class ZipBackend(Transactional):
    """A zip file; keys are names of entries.

    Args:
        path: The file; it need not exist yet.
        read_only: Refuse writing.
    """

    is_local = True
    is_static = True
    is_shared = False
    has_stamps = False
    locks_everyone = False

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        self.path = Path(path).expanduser().absolute()
        self.url = "zip://" + self.path.as_uri().removeprefix("file://")
        self.read_only = read_only
        self._archive: _Archive | None = None

    def _open(self) -> _Archive | None:
        """The file as it is; None where there is none yet."""
        if self._archive is None and self.path.exists():
            self._archive = _Archive(self.path, self.url)
        return self._archive

    def fetch(self, requests: Sequence[Get]) -> list[Buffer | None]:
        """Serve requests in order; None where there is no such entry."""
        archive = self._open()
        return [None] * len(requests) if archive is None else archive.fetch(requests)

    def stamps(self, paths: Sequence[str]) -> Sequence[Stamp | None]:
        """None for all: whoever packs a store gives its entries other times."""
        return [None] * len(paths)

    def get_bytes(self, key: str) -> bytes:
        """The whole entry. Raises ``KeyError`` where there is none."""
        data = self.fetch([Get(key)])[0]
        if data is None:
            raise KeyError(key)
        return bytes(data)

    def exists(self, key: str) -> bool:
        """Whether there is an entry."""
        archive = self._open()
        return archive is not None and key in archive.entries

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        """Entries below a prefix, sorted; containers end in ``/`` unless recursive."""
        archive = self._open()
        head = prefix.strip("/") and prefix.strip("/") + "/"
        below = [key for key in (() if archive is None else archive.entries) if key.startswith(head)]
        if recursive:
            yield from sorted(below)
            return
        parts = (key[len(head) :].partition("/") for key in below)
        yield from sorted({head + first + slash for first, slash, _ in parts})

    def list_children(self, prefixes: Sequence[str]) -> list[list[str]]:
        """Immediate children of several prefixes."""
        return [list(self.list_prefix(prefix)) for prefix in prefixes]

    def size(self, prefix: str) -> int:
        """Bytes of the entries below a prefix, as they lie in the file."""
        archive = self._open()
        head = prefix.strip("/") and prefix.strip("/") + "/"
        entries = {} if archive is None else archive.entries
        return sum(entry.compress_size for key, entry in entries.items() if key.startswith(head))

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Bytes of each of these entries, unpacked; None where there is none."""
        archive = self._open()
        entries = {} if archive is None else archive.entries
        return [entries[key].file_size if key in entries else None for key in keys]

    def close(self) -> None:
        """Forget what the file holds."""
        self._archive = None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Other writers need not be kept out: whoever is done first has written the file."""
        yield

    @contextmanager
    def transaction(self) -> Iterator[_Packing]:
        """Write a new file beside the place, which it takes when it is whole.

        Raises:
            ReadOnlyError: There is a file already.
            StoreExistsError: Another writer has made one in the meantime.
        """
        self._refuse_change()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{uuid4().hex}.tmp")
        try:
            with zipfile.ZipFile(temporary, "x") as file:
                yield _Packing(file, self.url)
            try:
                os.link(temporary, self.path)
            except FileExistsError as error:
                raise StoreExistsError("another writer has made the file", store=self.url) from error
            except OSError:
                # Not every disk has links.
                self._refuse_change()
                os.replace(temporary, self.path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()

    def _refuse_change(self) -> None:
        if self.path.exists():
            raise ReadOnlyError(
                "a zip file is written once, and there is one",
                store=self.url,
                hint="remove it first, or unpack it into a folder, change that, and pack it again",
            )

    def _refuse(self, *_: object) -> Any:
        raise ReadOnlyError(
            "a zip file is written as a whole", store=self.url, hint="use a folder to write object by object"
        )

    put_bytes = replace = delete = delete_prefix = ensure_prefix = _refuse
    put_all = copy_all = move_all = delete_all = read_versioned = swap = _refuse


class _Archive:
    """The directory of a zip file; nothing is kept open between reads."""

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url
        self._starts: dict[str, int] = {}
        try:
            self._size = path.stat().st_size
            with zipfile.ZipFile(path) as file:
                infos = [info for info in file.infolist() if not info.is_dir()]
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise CorruptionError("this is not a zip file, or it is cut short", store=url, got=str(error)) from error
        except OSError as error:
            raise StoreError("the file cannot be read", store=url, got=str(error)) from error
        self.entries = _below_one_folder({info.filename: info for info in infos})

    def fetch(self, requests: Sequence[Get]) -> list[Buffer | None]:
        """The bytes of each request; None where there is no such entry."""
        try:
            handle = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise StoreError("the file cannot be read", store=self._url, got=str(error)) from error
        try:
            return [self._read(handle, request) for request in requests]
        finally:
            os.close(handle)

    def _read(self, handle: int, request: Get) -> bytes | None:
        entry = self.entries.get(request.path)
        if entry is None:
            return None
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            return _cut(self._unpacked(request.path, entry), request)
        if entry.file_size > self._size:
            raise self._corrupt(request.path, f"{entry.file_size} bytes in a file of {self._size}")
        start, length = _range(request, entry.file_size)
        data = _read_at(handle, self._start_of(handle, request.path, entry) + start, length)
        if len(data) < length or (length == entry.file_size and zlib.crc32(data) != entry.CRC):
            raise self._corrupt(request.path, "its bytes are not those that were packed")
        return data

    def _start_of(self, handle: int, key: str, entry: zipfile.ZipInfo) -> int:
        if key not in self._starts:
            head = _read_at(handle, entry.header_offset, _LOCAL_HEADER.size)
            if len(head) < _LOCAL_HEADER.size:
                raise self._corrupt(key, "it begins beyond the end of the file")
            self._starts[key] = entry.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(head))
        return self._starts[key]

    def _unpacked(self, key: str, entry: zipfile.ZipInfo) -> bytes:
        if entry.file_size > most_content(min(entry.compress_size, self._size)):
            raise self._corrupt(key, f"{entry.file_size} bytes in {entry.compress_size}")
        try:
            with zipfile.ZipFile(self._path) as file:
                return file.read(entry)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise self._corrupt(key, str(error)) from error

    def _corrupt(self, key: str, what: str) -> CorruptionError:
        return CorruptionError("an entry of the zip file cannot be read", store=self._url, array=key, got=what)


class _Packing:
    """A zip file that is being written."""

    def __init__(self, file: zipfile.ZipFile, url: str) -> None:
        self._file = file
        self._url = url

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Add an entry."""
        if key in self._file.NameToInfo:
            raise StoreError("the batch holds an object twice", store=self._url, got=key)
        entry = zipfile.ZipInfo(key, _WHEN)
        entry.external_attr = 0o644 << 16
        self._file.writestr(entry, bytes(data))

    def delete(self, key: str) -> None:
        """There is nothing yet that could be removed."""

    def clear(self) -> None:
        """There is nothing yet that could be removed."""


def _below_one_folder(entries: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The entries of a store that was packed with the name of its folder, by their path below it."""
    heads = {name.partition("/")[0] for name in entries}
    if _ROOT in entries or len(heads) != 1:
        return entries
    return {name.partition("/")[2]: entry for name, entry in entries.items()}


def _read_at(handle: int, start: int, length: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(handle, length, start)):
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)


def _range(request: Get, size: int) -> tuple[int, int]:
    """First byte and number of bytes of a request for an entry of this size."""
    start = request.start or 0
    start = max(0, size + start) if start < 0 else min(start, size)
    return start, size - start if request.length is None else min(request.length, size - start)


def _cut(data: bytes, request: Get) -> bytes:
    start, length = _range(request, len(data))
    return data if length == len(data) else data[start : start + length]
