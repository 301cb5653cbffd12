"""A folder on a local disk, by plain ``os`` calls."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import ReadOnlyError, StoreError
from zarr_vectors.parallel import run_all
from zarr_vectors.storage.backend import ABSENT, STAGE, Get, Put, Stamp, Versioned, swap_by_comparing
from zarr_vectors.storage.files import Room, read_part
from zarr_vectors.storage.folder_lock import acquire, is_open_lock, open_lock

__all__ = ["LocalBackend"]

_GROUP_BYTES = 8 << 20
_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalBackend:
    """A folder; keys are relative paths.

    Args:
        root: The folder; it need not exist yet.
        read_only: Refuse writing.
    """

    is_local = True
    is_static = False
    is_shared = False
    has_stamps = True
    locks_everyone = True

    def __init__(self, root: str | Path, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self._base = os.path.abspath(os.path.expanduser(root))
        self._head = os.path.join(self._base, "")
        self.url = Path(self._base).as_uri()
        self._folders: set[str] = set()

    @property
    def root(self) -> Path:
        """The folder."""
        return Path(self._base)

    def fetch(self, requests: Sequence[Get]) -> list[Buffer | None]:
        """Serve requests in order, opening each file once; much of them by several threads."""
        results: list[Buffer | None] = [None] * len(requests)
        by_path: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            by_path.setdefault(request.path, []).append(number)
        groups = _shared_out(by_path, requests)
        run_all([partial(self._fetch, group, requests, results) for group in groups], threaded=len(groups) > 1)
        return results

    def _fetch(self, files: dict[str, list[int]], requests: Sequence[Get], results: list[Buffer | None]) -> None:
        """Serve the requests of these numbers, file by file."""
        room = Room([requests[number] for numbers in files.values() for number in numbers])
        for path, numbers in files.items():
            try:
                handle = os.open(self._full(path), os.O_RDONLY)
            except _NO_FILE:
                continue
            except OSError as error:
                raise StoreError(f"cannot read {path!r}", store=self.url, got=str(error)) from error
            try:
                size = os.fstat(handle).st_size
                for number in numbers:
                    results[number] = read_part(handle, size, requests[number], room)
            except IsADirectoryError:
                continue
            except OSError as error:
                raise StoreError(f"cannot read {path!r}", store=self.url, got=str(error)) from error
            finally:
                os.close(handle)

    def stamps(self, paths: Sequence[str]) -> list[Stamp]:
        """Size and time of modification of files."""
        found = []
        for path in paths:
            try:
                told = os.stat(self._full(path))
            except _NO_FILE:
                found.append(ABSENT)
            except OSError as error:
                raise StoreError(f"cannot read {path!r}", store=self.url, got=str(error)) from error
            else:
                found.append(Stamp(told.st_size, told.st_mtime_ns))
        return found

    def get_bytes(self, key: str) -> bytes:
        """The whole file. Raises ``KeyError`` where there is none."""
        data = self.fetch([Get(key)])[0]
        if data is None:
            raise KeyError(key)
        return bytes(data)

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Write a file, making its folders."""
        with self._writing(key):
            full = self._full(key)
            self._make_folder(os.path.dirname(full))
            try:
                handle = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            except FileNotFoundError:
                # Another process has removed the folder since it was made.
                self._folders.clear()
                self._make_folder(os.path.dirname(full))
                handle = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
            finally:
                os.close(handle)

    def replace(self, key: str, data: Buffer) -> None:
        """Write beside and rename over; what a killed process leaves lies where the next writer sweeps."""
        temporary = f"{STAGE}/{uuid4().hex}.tmp"
        try:
            self.put_bytes(temporary, data)
            with self._writing(key):
                os.replace(self._full(temporary), self._full(key))
        except BaseException:
            with suppress(OSError):
                os.unlink(self._full(temporary))
            raise

    def put_all(self, puts: Iterable[Put]) -> None:
        """Write files one after another, which a disk is fastest at."""
        for key, data in puts:
            self.put_bytes(key, data)

    def copy_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Link where the disk can, else copy."""
        for source, target in pairs:
            with self._writing(target):
                full = self._full(target)
                self._make_folder(os.path.dirname(full))
                try:
                    os.link(self._full(source), full)
                except OSError:
                    shutil.copyfile(self._full(source), full)

    def move_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Rename, replacing what is there; a file that is gone has been moved before."""
        for source, target in pairs:
            with self._writing(target):
                full = self._full(target)
                self._make_folder(os.path.dirname(full))
                try:
                    os.replace(self._full(source), full)
                except FileNotFoundError:
                    if os.path.lexists(self._full(source)):
                        raise

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove files."""
        for key in keys:
            self.delete(key)

    def read_versioned(self, key: str) -> Versioned | None:
        """The whole object as it is now; None where there is none."""
        data = self.fetch([Get(key)])[0]
        return None if data is None else Versioned(bytes(data))

    def swap(self, key: str, data: Buffer, expected: Versioned | None) -> Versioned:
        """Overwrite an object that is still as it was."""
        return swap_by_comparing(self, key, data, expected)

    def exists(self, key: str) -> bool:
        """Whether there is a file."""
        return os.path.isfile(self._full(key))

    def delete(self, key: str) -> None:
        """Remove a file and the folders that become empty, up to the root."""
        full = self._full(key)
        with self._writing(key), suppress(FileNotFoundError, NotADirectoryError):
            if not os.path.isdir(full):
                os.unlink(full)
        self._drop_empty_above(full)

    def _drop_empty_above(self, full: str) -> None:
        folder = os.path.dirname(full)
        while len(folder) > len(self._base):
            try:
                os.rmdir(folder)
            except OSError:
                break
            self._folders.discard(folder)
            folder = os.path.dirname(folder)

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        """Files below a folder, sorted; folders end in ``/`` unless recursive."""
        folder = self._full(prefix)
        head = prefix.strip("/") + "/" if prefix.strip("/") else ""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except _NO_FILE:
            return
        for entry in entries:
            if not entry.is_dir():
                yield head + entry.name
            elif recursive:
                yield from self.list_prefix(head + entry.name, recursive=True)
            else:
                yield head + entry.name + "/"

    def list_children(self, prefixes: Sequence[str]) -> list[list[str]]:
        """Immediate children of several folders."""
        return [list(self.list_prefix(prefix)) for prefix in prefixes]

    def size(self, prefix: str) -> int:
        """Bytes of all files below a folder."""
        return sum(os.stat(self._full(key)).st_size for key in self.list_prefix(prefix, recursive=True))

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Bytes of each of these files; None where there is none."""
        return [None if stamp is ABSENT else stamp.size for stamp in self.stamps(keys)]

    def ensure_prefix(self, prefix: str) -> None:
        """Make a folder."""
        with self._writing(prefix):
            self._make_folder(self._full(prefix))

    def delete_prefix(self, prefix: str) -> None:
        """Remove a folder, everything in it, and the folders that become empty; of the root, its content."""
        self._folders.clear()
        full = self._full(prefix)
        with self._writing(prefix), suppress(FileNotFoundError):
            if not prefix:
                for key in list(self.list_prefix("")):
                    self.delete_prefix(key.rstrip("/"))
            elif os.path.isdir(full) and not os.path.islink(full):
                shutil.rmtree(full)
            else:
                os.unlink(full)
        self._drop_empty_above(full)

    def close(self) -> None:
        """Nothing is held open."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's advisory lock; the system lets go of it when the process dies.

        The folder is made if need be, and removed again with those above it that were made if nothing was put there.

        Raises:
            ConcurrentEditError: Another process has held it for a minute.
        """
        with self._writing(""):
            handle, made = self._locked()
        try:
            yield
        finally:
            for folder in made:
                try:
                    os.rmdir(folder)
                except OSError:
                    break
            os.close(handle)

    def _locked(self) -> tuple[int, list[str]]:
        """A handle that holds the lock of the folder that is there now, and the folders that were made for it."""
        while True:
            # Other processes may have removed folders since this one made them.
            self._folders.clear()
            made = _missing_folders(self._base)
            self._make_folder(self._base)
            with suppress(FileNotFoundError):
                handle = open_lock(self._base)
                try:
                    acquire(handle, self._base, self.url)
                    if is_open_lock(handle, self._base):
                        return handle, made
                except BaseException:
                    os.close(handle)
                    raise
                # The folder was removed while this process waited for it: whoever made it anew has another lock.
                os.close(handle)

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        """Turn what the operating system says against a change into an error that names the place."""
        self._check_writable()
        try:
            yield
        except PermissionError as error:
            raise ReadOnlyError(
                "this place may not be written", store=self.url, array=key or None, got=error.strerror
            ) from error
        except (NotADirectoryError, FileExistsError) as error:
            raise StoreError(
                "a file stands where a folder of the store must be",
                store=self.url,
                array=key or None,
                got=error.filename,
            ) from error
        except OSError as error:
            raise StoreError(
                "the disk refused a change", store=self.url, array=key or None, got=error.strerror or str(error)
            ) from error

    def _full(self, key: str) -> str:
        if key.startswith("/") or "\0" in key or (".." in key and ".." in key.split("/")):
            raise StoreError("this is not a path inside the store", store=self.url, got=repr(key))
        return self._head + key if key else self._base

    def _make_folder(self, folder: str) -> None:
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyError("the store was opened for reading", store=self.url, hint="open it with mode='r+'")


def _shared_out(by_path: dict[str, list[int]], requests: Sequence[Get]) -> list[dict[str, list[int]]]:
    """Files with their requests, in groups that are worth a thread; one group where there is little to read."""
    groups: list[dict[str, list[int]]] = []
    room = 0
    for path, numbers in by_path.items():
        if room <= 0:
            groups.append({})
            room = _GROUP_BYTES
        groups[-1][path] = numbers
        room -= sum(requests[number].length or 0 for number in numbers)
    return groups


def _missing_folders(folder: str) -> list[str]:
    """A folder and those above it that do not exist, deepest first."""
    missing: list[str] = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing
