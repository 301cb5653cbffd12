"""Where a group lies in its store, and the documents of the nodes below it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.core.session import Session
from zarr_vectors.exceptions import InputError, StoreError
from zarr_vectors.metadata.array import ArrayDocument, fill_value_of
from zarr_vectors.storage.backend import Backend
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import JsonObject

__all__ = ["Node", "plain_attributes", "whole_numbers"]


class Node:
    """A place in a store: the part of ``Group`` that has to do with documents."""

    _session: Session
    _prefix: str

    @property
    def session(self) -> Session:
        """What the groups of the opened store share, for those who extend the library."""
        return self._session

    @property
    def storage(self) -> Storage:
        """The store's bytes."""
        return self._session.storage

    @property
    def backend(self) -> Backend:
        """The place that holds the store's bytes: a ``StorageBackend`` rooted at the store, whichever group is asked.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://backend-doc")["0"]
            >>> isinstance(level.backend, zv.StorageBackend), level.backend.url, level.url
            (True, 'memory://backend-doc', 'memory://backend-doc/0')
            >>> level.backend.exists("0/zarr.json")
            True
        """
        return self.storage.backend

    @property
    def prefix(self) -> str:
        """Path of the group inside the store; empty for the root."""
        return self._prefix

    @property
    def url(self) -> str:
        """Where the group is."""
        return f"{self.storage.url}/{self._prefix}" if self._prefix else self.storage.url

    @property
    def path(self) -> Path:
        """Folder of a local group.

        Raises:
            StoreError: The store is not on a local disk.
        """
        root = getattr(self.backend, "root", None)
        if root is None:
            raise StoreError("only a local store has a path", store=self.url)
        return Path(root) / self._prefix

    def _full(self, name: str) -> str:
        name = name.strip("/")
        return "/".join(part for part in (self._prefix, name) if part)

    def _below(self, name: Any) -> str:
        """The path of something below the group that is not the group itself.

        Raises:
            InputError: The name is empty, or leads elsewhere.
        """
        parts = name.strip("/").split("/") if isinstance(name, str) else [""]
        if any(part in ("", ".", "..", "zarr.json") for part in parts) or parts[0].startswith(".zv"):
            raise InputError("this is not a name below the group", got=repr(name))
        return self._full(name)

    def _kinds(self, names: Iterable[str]) -> dict[str, str | None]:
        """``"group"``, ``"array"`` or None, by name, in one round."""
        paths = {name: self._full(name) for name in names}
        documents = self._session.documents(list(paths.values()))
        found = {name: documents[path] for name, path in paths.items()}
        return {name: None if node is None else str(node.get("node_type")) for name, node in found.items()}

    def _kind(self, name: str) -> str | None:
        return self._kinds([name])[name]

    def _array(self, name: str) -> ArrayDocument:
        document = self._session.document(self._full(name))
        if document is None or document.get("node_type") != "array":
            raise StoreError("there is no such array", store=self.url, array=name)
        return ArrayDocument.parse(document, where=name)

    def array_exists(self, name: str) -> bool:
        """Whether there is an array, or a group, at this path."""
        return self._kind(name) is not None

    def standalone_array_exists(self, path: str) -> bool:
        """Whether there is an array at this path; a group is none, unlike for ``array_exists``.

        Args:
            path: Path below the group.

        Returns:
            True for an array, False for a group and for nothing.

        Raises:
            CorruptionError: The document there is not valid JSON.

        Example:
            >>> import zarr_vectors as zv
            >>> root = zv.create_store("memory://standalone-doc")
            >>> [root.standalone_array_exists(path) for path in ("0/vertices", "0", "1")]
            [True, False, False]
        """
        return self._kind(path) == "array"

    def read_array_meta(self, name: str) -> JsonObject:
        """Attributes of the node at this path; empty where there is none."""
        document = self._session.document(self._full(name))
        return {} if document is None else dict(document.get("attributes") or {})

    def write_array_meta(self, name: str, meta: Mapping[str, Any]) -> None:
        """Merge attributes into those of a node; a missing node becomes a group.

        Raises:
            InputError: They are not plain JSON values.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://array-meta-doc")["0"]
            >>> level.write_array_meta("vertices", {"unit": "micrometer"})
            >>> level.read_array_meta("vertices")["unit"]
            'micrometer'
        """
        self.merge_attributes(name, plain_attributes(meta))

    def merge_attributes(self, name: str, changes: Mapping[str, Any]) -> None:
        """Merge attributes that are plain already; ``GONE`` in the place of a value removes one."""
        self._session.check_writable()
        path = self._below(name) if name.strip("/") else self._prefix
        with self._session.changes() as waiting:
            waiting.merge(path, changes)

    def read_array_attrs(self, path: str) -> JsonObject:
        """Attributes of an array: a copy of what its ``zarr.json`` has under ``attributes``.

        Args:
            path: Path below the group.

        Returns:
            JSON values by name; empty where there is no array, or a group.

        Raises:
            CorruptionError: The document there is not valid JSON.

        Example:
            >>> import zarr_vectors as zv
            >>> root = zv.create_store("memory://array-attrs-doc")
            >>> root.read_array_attrs("0/vertices")["dtype"], root.read_array_attrs("0"), root.read_array_attrs("1")
            ('float32', {}, {})
        """
        document = self._session.document(self._full(path))
        is_array = document is not None and document.get("node_type") == "array"
        return dict(document.get("attributes") or {}) if document is not None and is_array else {}

    def read_array_fill_value(self, path: str) -> Any:
        """Fill value of an array: what a reader takes for chunks that are not stored.

        Args:
            path: Path below the group.

        Returns:
            A numpy scalar of the array's dtype, NaN and infinities included; ``b""`` for arrays of byte strings.

        Raises:
            StoreError: There is no array at this path, or a group; or its fill value does not fit its data type.
            CorruptionError: The document there is not valid JSON.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://fill-doc")["0"]
            >>> level.write_array("object_attributes/w", [1.5, 2.5], fill_value=float("nan"))
            >>> float(level.read_array_fill_value("object_attributes/w"))
            nan
        """
        document = self._array(path)
        if document.data_type == "variable_length_bytes":
            return b""
        try:
            return fill_value_of(document)
        except ValueError as error:
            raise StoreError("the array's fill value cannot be read", store=self.url, array=path) from error


def plain_attributes(attributes: Any) -> JsonObject:
    """Attributes as JSON has them, numpy's numbers and arrays too: a copy that shares nothing with what was given.

    Raises:
        InputError: A name is not text, or a value is not plain JSON.

    Example:
        >>> plain_attributes({"shape": (2, 3), "scale": np.float32(0.5)})
        {'shape': [2, 3], 'scale': 0.5}
    """
    if not isinstance(attributes, Mapping) or not all(isinstance(key, str) for key in attributes):
        raise InputError("attributes must be a mapping of texts to plain JSON values", got=repr(attributes)[:200])
    try:
        copy: JsonObject = json.loads(json.dumps(dict(attributes), allow_nan=False, default=_plain))
    except (TypeError, ValueError) as error:
        raise InputError("attributes must be plain JSON values", got=str(error)) from error
    return copy


def _plain(value: Any) -> Any:
    """A value of numpy as Python's own."""
    if isinstance(value, (np.bool_, np.number, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def whole_numbers(name: str, values: Sequence[int], least: int | None = None) -> tuple[int, ...]:
    """A shape or an origin.

    Raises:
        InputError: It is not a sequence of whole numbers, or one is below the least.
    """
    try:
        numbers = tuple(int(value) for value in values)
        exact = all(number == value for number, value in zip(numbers, values, strict=True))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be whole numbers", got=repr(values)) from error
    if not exact or not numbers or (least is not None and min(numbers) < least):
        at_least = "" if least is None else f" from {least}"
        raise InputError(f"{name} must be whole numbers{at_least}", got=repr(values))
    return numbers
