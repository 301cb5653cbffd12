"""Plain arrays and attributes of zarr groups that are no Zarr Vectors stores, for exchange formats that lie in zarr."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.errors import BaseZarrError
from zarr.storage import LocalStore

from zarr_vectors.encoding.unwrap import BLOSC_HEAD_BYTES, check_blosc
from zarr_vectors.exceptions import StoreError
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["ForeignGroup", "open_foreign", "write_foreign"]

_FAILURES = (
    BaseZarrError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
    AssertionError,
    SystemError,
)
"""What zarr-python, its codecs and numpy raise at documents and chunks that are not what they should be."""


@dataclass(frozen=True)
class ForeignGroup:
    """A zarr group of format 2 or 3 with all arrays below it.

    Args:
        path: Its folder.
        attributes: Of the group.
        arrays: Path below the group, with slashes, to array.
    """

    path: Path
    attributes: JsonObject
    arrays: Mapping[str, Any]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that an array's document states."""
        return tuple(int(size) for size in self.arrays[name].shape)

    def is_stored(self, name: str) -> bool:
        """Whether chunks of an array are there for what its shape says, but for one that may hold nothing but zeros."""
        with _told(self.path, name):
            array = self.arrays[name]
            return int(array.nchunks_initialized) >= int(array.nchunks) - 1

    def read(self, name: str) -> AnyArray:
        """All of an array.

        Raises:
            StoreError: A chunk cannot be read.
        """
        with _told(self.path, name):
            _check_blosc(self.path / name, self.arrays[name])
            values: AnyArray = np.asarray(self.arrays[name][...])
        return values


def open_foreign(path: Path) -> ForeignGroup | None:
    """Open a zarr group in a local folder; None where there is none.

    Raises:
        StoreError: Its documents cannot be read.

    Example:
        >>> open_foreign(Path("no/such/folder")) is None
        True
    """
    if not any((path / name).is_file() for name in (".zgroup", "zarr.json")):
        return None
    with _told(path, None):
        group = zarr.open_group(LocalStore(path, read_only=True), mode="r")
        members = dict(group.members(max_depth=None))
        attributes = dict(group.attrs)
    arrays = {name: member for name, member in members.items() if isinstance(member, zarr.Array)}
    return ForeignGroup(path, attributes, arrays)


def write_foreign(
    path: Path, attributes: JsonObject, arrays: Mapping[str, AnyArray], *, zarr_format: Literal[2, 3] = 2
) -> None:
    """Write a new zarr group with attributes and arrays below it; names with slashes make groups between.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "a.zarr"
        >>> write_foreign(folder, {"a": 1}, {"nodes/ids": np.arange(3)})
        >>> group = open_foreign(folder)
        >>> group.attributes, group.read("nodes/ids").tolist()
        ({'a': 1}, [0, 1, 2])
    """
    with _quiet():
        group = zarr.create_group(LocalStore(path), zarr_format=zarr_format, attributes=attributes)
        for name, values in arrays.items():
            # An empty array has no chunk shape that would follow from its size.
            chunks: Any = "auto" if values.size else tuple(max(1, size) for size in values.shape)
            array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=chunks)
            array[...] = values


def _check_blosc(folder: Path, array: Any) -> None:
    """Refuse chunks that Blosc would read beyond their end; in shards they cannot be seen from here."""
    outermost = type(array.compressors[-1]).__name__.lower() if array.compressors else ""
    if "blosc" not in outermost or array.shards is not None:
        return
    for file in folder.rglob("*"):
        if file.is_file() and not file.name.startswith(".z") and file.name != "zarr.json":
            with file.open("rb") as chunk:
                check_blosc(chunk.read(BLOSC_HEAD_BYTES), file.stat().st_size)


@contextmanager
def _quiet() -> Iterator[None]:
    """zarr-python warns of types that have no place in the specification of format 3 yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _told(path: Path, name: str | None) -> Iterator[None]:
    try:
        with _quiet():
            yield
    except _FAILURES as error:
        what = f"{type(error).__name__}: {error}"[:200]
        raise StoreError("a zarr group cannot be read", store=str(path), array=name, got=what) from error
