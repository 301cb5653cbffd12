"""Every error that this library raises on purpose.

Each class is also the builtin that a Python programmer would catch::

    ZVError                       Exception
    ├── InputError                ValueError         a bad argument; nothing was written
    │   └── ChunkingError                            a chunk or bin shape that cannot be used
    ├── OptionError               TypeError          an unknown keyword, or keywords that exclude each other
    ├── StoreError                                   a store cannot be used as asked
    │   ├── StoreNotFoundError    FileNotFoundError
    │   ├── StoreExistsError      FileExistsError
    │   ├── ReadOnlyError         PermissionError
    │   ├── MissingCellError      KeyError           a cell that the presence list does not name
    │   ├── CorruptionError       ValueError         stored bytes contradict the metadata or their checksum
    │   ├── OutOfMemoryError      MemoryError        what was asked for does not fit into memory
    │   ├── UnfinishedCommitError                    what was written is there; it must not be written again
    │   └── ShardedPresenceError
    ├── MetadataError             ValueError         a document is malformed or contradicts itself
    │   └── FormatError                              a format version that this library does not read
    ├── ArrayError                                   an array of a level
    │   ├── ObjectNotFoundError   KeyError
    │   └── AttributeNotFoundError KeyError
    ├── EditError
    │   └── ConcurrentEditError                      another writer changed what this one built on
    ├── IngestError               ValueError         a file cannot be read as what it claims to be
    ├── ExportError               ValueError         a value cannot be written in the wanted file format
    ├── MissingDependencyError    ImportError        an optional package is not installed
    └── ConventionError, CoarseningError, DracoError, ValidationError
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = [
    "ArrayError",
    "AttributeNotFoundError",
    "ChunkingError",
    "CoarseningError",
    "ConcurrentEditError",
    "ConventionError",
    "CorruptionError",
    "DracoError",
    "EditError",
    "ExportError",
    "FormatError",
    "IngestError",
    "InputError",
    "MetadataError",
    "MissingCellError",
    "MissingDependencyError",
    "ObjectNotFoundError",
    "OptionError",
    "OutOfMemoryError",
    "ReadOnlyError",
    "ShardedPresenceError",
    "StoreError",
    "StoreExistsError",
    "StoreNotFoundError",
    "UnfinishedCommitError",
    "ValidationError",
    "ZVError",
]


_LONGEST_FACT = 1000
_GAPS = re.compile(r"\s*\n\s*")


class ZVError(Exception):
    """The root of all errors of this library; it carries its facts as fields.

    Args:
        message: What is wrong, in one sentence.
        store: URL of the store concerned.
        array: Path of the array inside the store.
        cell: Chunk key (``"i.j.k"``) or coordinate of the cell.
        expected: What should have been there.
        got: What was there.
        hint: The way out.
        problems: Every problem found, when there is more than one.

    Example:
        >>> error = InputError("positions must be finite", got="nan in row 3", hint="drop row 3")
        >>> print(error)
        positions must be finite (got nan in row 3); drop row 3
        >>> error.hint
        'drop row 3'
    """

    def __init__(
        self,
        message: str,
        *,
        store: str | None = None,
        array: str | None = None,
        cell: Any = None,
        expected: Any = None,
        got: Any = None,
        hint: str | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.store = store
        self.array = array
        self.cell = cell
        self.expected = expected
        self.got = got
        self.hint = hint
        self.problems = tuple(problems)

    def __str__(self) -> str:
        facts = [
            f"{label} {_shortened(value)}"
            for label, value in (
                ("store", self.store),
                ("array", self.array),
                ("cell", self.cell),
                ("expected", self.expected),
                ("got", self.got),
            )
            if value is not None
        ]
        text = self.message + (f" ({', '.join(facts)})" if facts else "")
        if len(self.problems) > 1:
            text += "".join(f"\n  - {problem}" for problem in self.problems)
        return text + (f"; {self.hint}" if self.hint else "")


def _shortened(value: Any) -> str:
    """What a file or an argument says may be of any length, and of many lines."""
    text = _GAPS.sub(" ", str(value))
    return text if len(text) <= _LONGEST_FACT else f"{text[:_LONGEST_FACT]}... ({len(text)} characters)"


class InputError(ZVError, ValueError):
    """An argument cannot be used; nothing has been written."""


class ChunkingError(InputError):
    """A chunk, bin or shard shape cannot be used."""


class OptionError(ZVError, TypeError):
    """A keyword is unknown, missing, or excludes another one."""


class StoreError(ZVError):
    """A store cannot be used as asked."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no Zarr Vectors store at this place."""


class StoreExistsError(StoreError, FileExistsError):
    """Something is already at this place and no ``mode`` says what to do with it."""


class ReadOnlyError(StoreError, PermissionError):
    """The store was opened for reading, or its place cannot be written."""


class MissingCellError(StoreError, KeyError):
    """A cell was asked for that the array's presence list does not name."""


class CorruptionError(StoreError, ValueError):
    """Stored bytes are gone, fail their checksum, or contradict the metadata."""


class OutOfMemoryError(StoreError, MemoryError):
    """What was asked for, or what a store claims to hold, does not fit into memory."""


class ShardedPresenceError(StoreError):
    """The presence list of a sharded array cannot be rebuilt by listing."""


class UnfinishedCommitError(StoreError):
    """A commit has happened, but not everything could be put in its place; the next writer does that.

    Whoever reads the store with this library sees all that was written. It must not be written again. Readers that do
    not know of commits see it when one of our writers has opened the store.
    """


class MetadataError(ZVError, ValueError):
    """A metadata document is malformed or contradicts itself or the arguments."""


class FormatError(MetadataError):
    """The store's format version is not one that this library reads."""


class ArrayError(ZVError):
    """An array of a level cannot be used as asked."""


class ObjectNotFoundError(ArrayError, KeyError):
    """An object or group id does not exist in the level."""


class AttributeNotFoundError(ArrayError, KeyError):
    """An attribute name does not exist in the level."""


class EditError(ZVError):
    """An edit cannot be carried out."""


class ConcurrentEditError(EditError):
    """Another writer holds, or has changed, what this one works on."""


class IngestError(ZVError, ValueError):
    """A file cannot be read as what it claims to be."""


class ExportError(ZVError, ValueError):
    """A value cannot be written in the wanted file format."""


class MissingDependencyError(ZVError, ImportError):
    """An optional package is needed and not installed; the hint says which."""


class ConventionError(ZVError, ValueError):
    """Geometry contradicts the conventions stamped in the store."""


class CoarseningError(ZVError):
    """A coarser level cannot be built."""


class DracoError(ZVError):
    """A Draco cell cannot be encoded or decoded."""


class ValidationError(ZVError):
    """A store does not pass validation."""
