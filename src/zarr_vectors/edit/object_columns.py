"""Attributes of objects that are written without anything else of the level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zarr_vectors import constants
from zarr_vectors.core.documents import group_document
from zarr_vectors.core.state import LevelState
from zarr_vectors.edit.described import described, descriptions_of
from zarr_vectors.edit.draft import Draft
from zarr_vectors.encoding.compression import typed_codecs
from zarr_vectors.geometry import Column
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query.tables import LevelTables
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.objects import as_stored_column, object_attribute_puts, table_codecs

__all__ = ["ObjectColumns"]

_FAMILY = constants.OBJECT_ATTRIBUTES


@dataclass(frozen=True, eq=False)
class ObjectColumns:
    """Attributes of objects as a draft has them, whose objects are those that there were.

    Args:
        level: The level as it is.
        old: Its tables.
        draft: The draft.
    """

    level: LevelState
    old: LevelTables
    draft: Draft

    def check(self) -> None:
        """Refuse what a table cannot hold.

        Raises:
            InputError: A column has such a value.
        """
        for name, column in self._changed.items():
            as_stored_column(name, column)

    @property
    def _changed(self) -> dict[str, Column]:
        """Columns that an operation has made or put values into."""
        kept = self.old.attributes
        return {name: column for name, column in self.draft.object_columns.items() if kept.get(name) is not column}

    @property
    def names(self) -> set[str]:
        """Names below the level of all columns."""
        return {f"{_FAMILY}/{name}" for name in self.draft.object_columns}

    def puts(self) -> Iterator[Put]:
        """The stored objects and documents of columns that have changed."""
        level, changed = self.level, self._changed
        if changed and not self.old.attributes:
            yield f"{level.number}/{_FAMILY}/zarr.json", dump_json(group_document())
        codecs, said = typed_codecs(table_codecs(level)), descriptions_of(level, self.draft)
        for name, column in changed.items():
            yield from described(object_attribute_puts(level.number, name, column, codecs), said)

    def deletes(self) -> Iterator[str]:
        """What is stored of columns that have changed or are gone; some of it may be written again."""
        gone = self.old.attributes.keys() - self.draft.object_columns.keys()
        for name in {*gone, *self._changed} & self.old.attributes.keys():
            table = self.level.tables[f"{_FAMILY}/{name}"]
            yield from (get.path for get in table.requests())
            yield f"{table.path}/zarr.json"
        if self.old.attributes and not self.draft.object_columns:
            yield f"{self.level.number}/{_FAMILY}/zarr.json"
