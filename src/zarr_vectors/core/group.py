"""A group of a store, cell by cell and array by array: the low-level interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr

from zarr_vectors.core.attributes import Attributes
from zarr_vectors.core.documents import group_document
from zarr_vectors.core.group_cells import CellsOfGroup
from zarr_vectors.core.group_tables import TablesOfGroup
from zarr_vectors.core.node import plain_attributes
from zarr_vectors.core.pending import Pending
from zarr_vectors.core.session import Session
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.exceptions import InputError, StoreError, StoreNotFoundError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend, zarr_store_of

__all__ = ["FsGroup", "Group"]


class Group(CellsOfGroup, TablesOfGroup):
    """A group of a Zarr Vectors store.

    Cells are named by chunk keys (``"i.j.k"``, absolute, possibly negative) or coordinates. Every change is one
    commit; changes made inside ``batched_writes`` are one commit together. Iterating gives the names of the groups
    below, ``children()`` those of arrays as well.

    Args:
        zarr_group: The zarr group that it stands for, of Zarr format 3.

    Raises:
        InputError: It is no zarr group.
        StoreError: There is no group of Zarr format 3 at its place.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://group-doc", bounds=([0, 0], [9, 9]), chunk_shape=(5, 5))
        >>> root["0"].write_bytes("vertices", "1.0", b"abcdefgh")
        >>> root["0"].list_chunks("vertices"), root["0"].read_bytes("vertices", "1.0")
        (['1.0'], b'abcdefgh')
    """

    def __init__(self, zarr_group: zarr.Group) -> None:
        given: Any = zarr_group
        if not isinstance(given, zarr.Group):
            raise InputError("a group is made of a zarr.Group", got=type(given).__name__, hint="use open_store")
        self._open(Storage(open_backend(given.store)), given.path)
        if not self._is_group():
            raise StoreNotFoundError("there is no group of Zarr format 3 here", store=self.url)

    def _open(self, storage: Storage, prefix: str) -> None:
        # Reading the root is what makes a commit visible that another writer has recorded and not yet published.
        storage.read_root()
        self._session = Session(storage)
        self._prefix = prefix.strip("/")

    def _is_group(self) -> bool:
        """Whether there is a group.

        Raises:
            StoreError: There is an array.
        """
        document = self._session.document(self._prefix)
        if document is not None and document.get("node_type") != "group":
            raise StoreError("there is an array, not a group", store=self.url)
        return document is not None

    @classmethod
    def of(cls, session: Session, prefix: str) -> Group:
        """A group of a store that is open already."""
        group: Group = Group.__new__(Group)
        group._session, group._prefix = session, prefix.strip("/")
        return group

    def __repr__(self) -> str:
        return f"Group({self.url!r})"

    @property
    def zarr_group(self) -> zarr.Group:
        """The group as zarr-python sees it; what is changed through it is neither locked nor part of a commit.

        Raises:
            InputError: The place of the store is not one that zarr-python knows.

        Example:
            >>> import zarr_vectors as zv
            >>> root = zv.create_store("memory://zarr-group-doc", ndim=2)
            >>> root.zarr_group["0/vertices"].shape, root["0"].zarr_group.path
            ((2, 2), '0')
        """
        mode: Any = "r" if self.storage.read_only else "r+"
        return zarr.open_group(zarr_store_of(self.backend), path=self._prefix, mode=mode)

    @property
    def attrs(self) -> Attributes:
        """The group's attributes, as a mapping of texts to JSON values that can be changed.

        Each change is a commit; inside ``batched_writes`` it waits with the others. Numbers and arrays of numpy are
        stored as plain numbers and lists.

        Raises:
            InputError: By a change, for what is not plain JSON.
            ReadOnlyError: By a change, where the store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> root = zv.create_store("memory://attrs-doc")
            >>> root.attrs["user_metadata"] = {"mine": {"sample": 7}}
            >>> root.attrs["user_metadata"]["mine"], "other" in root.attrs, root.attrs.get("other")
            ({'sample': 7}, False, None)
        """
        return Attributes(self)

    def __getitem__(self, key: str) -> Group:
        kind = self._kind(str(key))
        if kind == "array":
            raise StoreError(f"{key!r} is an array, not a group", store=self.url, hint="use read_bytes or read_array")
        if kind != "group":
            raise StoreNotFoundError(f"there is no group {key!r}", store=self.url)
        return Group.of(self._session, self._full(key))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._kind(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, kind in self._children().items() if kind == "group"])

    def children(self) -> list[str]:
        """Names of all groups and arrays directly below, sorted.

        Returns:
            Names without the path of the group.

        Raises:
            StoreError: The store cannot list its objects.

        Example:
            >>> import zarr_vectors as zv
            >>> zv.create_store("memory://children-doc")["0"].children()
            ['vertex_fragments', 'vertices']
        """
        return list(self._children())

    def _children(self) -> dict[str, str | None]:
        keys = [key for key in self.storage.list_keys(self._prefix) if key.endswith("/")]
        names = {key.rstrip("/").rsplit("/", 1)[-1] for key in keys}
        waiting = self._session.pending
        if waiting is not None:
            head = f"{self._prefix}/" if self._prefix else ""
            names |= {path.removeprefix(head).partition("/")[0] for path in waiting.paths() if path.startswith(head)}
        kinds = self._kinds(sorted(name for name in names if name))
        return {name: kind for name, kind in kinds.items() if kind is not None}

    def create_group(self, name: str, **attributes: Any) -> Group:
        """A group below, with those above it; one that exists stays as it is.

        Args:
            name: Path below the group.
            **attributes: Of the group, if it is made.

        Raises:
            StoreError: An array is there or above.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> root = zv.create_store("memory://create-group-doc")
            >>> root.create_group("headers/las", version="1.4").attrs["version"], list(root["headers"])
            ('1.4', ['las'])
        """
        self._session.check_writable()
        full = self._below(name)
        if self._kind(name) == "array":
            raise StoreError("an array is there", store=self.url, array=name, hint="delete it first")
        with self._session.changes() as waiting:
            waiting.ensure_group(full, plain_attributes(attributes))
        return Group.of(self._session, full)

    def require_group(self, name: str) -> Group:
        """The group below, made if it does not exist."""
        return self[name] if name in self and self._kind(name) == "group" else self.create_group(name)

    def delete_subtree(self, name: str) -> None:
        """Remove a group or array and everything below it; a missing one is no error.

        Raises:
            InputError: The name is empty: a store is removed by its owner, not through its root group.
            ReadOnlyError: The store was opened for reading.
        """
        self._session.check_writable()
        full = self._below(name)
        with self._session.changes() as waiting:
            waiting.delete(full)

    @contextmanager
    def batched_writes(self, compressor: Any = None) -> Iterator[None]:
        """Commit all changes made inside the block together when it ends; none if it ends by an exception.

        Reads inside the block see the store as it was before.

        Args:
            compressor: As in ``Layout``, for arrays that are made in the block and name no other.

        Returns:
            A context, which gives None.

        Raises:
            StoreError: Inside another ``batched_writes``.
            ReadOnlyError: The store was opened for reading.
            InputError: The compressor is not known.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://batched-writes-doc")["0"]
            >>> with level.batched_writes():
            ...     level.write_bytes("vertices", "0.0.0", b"abc")
            ...     level.write_bytes("vertices", "0.0.1", b"def")
            >>> level.list_chunks("vertices")
            ['0.0.0', '0.0.1']
        """
        session = self._session
        if session.pending is not None:
            raise StoreError("batched_writes cannot be nested", store=self.url)
        session.check_writable()
        cell_codecs(compressor)
        changes = session.pending = Pending()
        session.compressor = compressor
        try:
            yield
        finally:
            session.pending = session.compressor = None
        session.flush(changes)


class FsGroup(Group):
    """A group in a local folder, as older code opens it; ``create_store`` and ``open_store`` are the way to a store.

    Args:
        path: The folder, or a ``file://`` URL.
        create: Make an empty group where there is none.

    Raises:
        StoreError: There is no group, and ``create`` is not set; there is an array; or the path is not a local one.

    Example:
        >>> import tempfile
        >>> group = FsGroup(tempfile.mkdtemp(), create=True)
        >>> dict(group.attrs), group.children()
        ({}, [])
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        backend = open_backend(path)
        if not backend.is_local:
            raise StoreError("FsGroup opens local folders", store=backend.url, hint="use open_store")
        self._open(Storage(backend), "")
        if not self._is_group():
            if not create:
                raise StoreNotFoundError(
                    "there is no zarr group in this folder", store=backend.url, hint="pass create=True"
                )
            with self._session.changes() as waiting:
                waiting.declare("", group_document())
