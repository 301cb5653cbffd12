"""A group of a store, cell by cell and array by array: the low-level interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from zarr_vectors.core.documents import cell_array_document, group_document, typed_table_document, vlen_table_document
from zarr_vectors.core.session import Pending, Session
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.compression import cell_codecs, typed_codecs
from zarr_vectors.exceptions import CorruptionError, InputError, MissingCellError, ReadOnlyError, StoreError
from zarr_vectors.metadata.array import ArrayDocument, fill_value_of
from zarr_vectors.spatial.grid import Grid, parse_keys
from zarr_vectors.storage.backend import StorageBackend
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray, read_tables
from zarr_vectors.storage.urls import open_backend, zarr_store_of
from zarr_vectors.typing import AnyArray, ChunkCoord, JsonObject

__all__ = ["FsGroup", "Group"]


class Group:
    """A group of a Zarr Vectors store.

    Cells are named by chunk keys (``"i.j.k"``, absolute, possibly negative) or coordinates. Every change is one
    commit; changes made inside ``batched_writes`` are one commit together.

    Args:
        zarr_group: The zarr group that it stands for.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://group-doc", bounds=([0, 0], [9, 9]), chunk_shape=(5, 5))
        >>> root["0"].write_bytes("vertices", "1.0", b"abcdefgh")
        >>> root["0"].list_chunks("vertices"), root["0"].read_bytes("vertices", "1.0")
        (['1.0'], b'abcdefgh')
    """

    def __init__(self, zarr_group: zarr.Group) -> None:
        storage = Storage(open_backend(zarr_group.store))
        self._session = Session(storage)
        self._prefix = zarr_group.path.strip("/")

    @classmethod
    def of(cls, session: Session, prefix: str) -> Group:
        """A group of a store that is open already."""
        group: Group = Group.__new__(Group)
        group.__setstate__((session, prefix))
        return group

    def __setstate__(self, state: tuple[Session, str]) -> None:
        self._session, self._prefix = state[0], state[1].strip("/")

    def __repr__(self) -> str:
        return f"Group({self.url!r})"

    @property
    def storage(self) -> Storage:
        """The store's bytes."""
        return self._session.storage

    @property
    def backend(self) -> StorageBackend:
        """The place that holds the store's bytes."""
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

    @property
    def zarr_group(self) -> zarr.Group:
        """The group as zarr-python sees it."""
        return zarr.open_group(zarr_store_of(self.backend), path=self._prefix, mode="r")

    @property
    def attrs(self) -> Attributes:
        """The group's attributes, as a mapping that can be changed."""
        return Attributes(self)

    def _full(self, name: str) -> str:
        name = name.strip("/")
        return "/".join(part for part in (self._prefix, name) if part)

    def _document(self, name: str = "") -> JsonObject | None:
        return self._session.document(self._full(name))

    def _kind(self, name: str) -> str | None:
        document = self._document(name)
        return None if document is None else str(document.get("node_type"))

    def _array(self, name: str) -> ArrayDocument:
        document = self._document(name)
        if document is None or document.get("node_type") != "array":
            raise StoreError("there is no such array", store=self.url, array=name)
        return ArrayDocument.parse(document, where=name)

    # Groups and arrays

    def __getitem__(self, key: str) -> Group:
        if self._kind(key) != "group":
            raise StoreError(f"there is no group {key!r}", store=self.url, hint=f"it has {self.children()}")
        return Group.of(self._session, self._full(key))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._kind(key) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.children() if self._kind(name) == "group")

    def children(self) -> list[str]:
        """Names of all groups and arrays directly below."""
        keys = [key for key in self.storage.list_keys(self._prefix) if key.endswith("/")]
        names = [key.rstrip("/").rsplit("/", 1)[-1] for key in keys]
        return [name for name in names if self._kind(name) is not None]

    def create_group(self, name: str, **attributes: Any) -> Group:
        """A group below, with its parents; one that exists stays as it is."""
        full = self._full(name)
        self._session.change(documents=self._missing_groups(full, attributes))
        return Group.of(self._session, full)

    def require_group(self, name: str) -> Group:
        """The group below, made if it does not exist."""
        return self.create_group(name)

    def _missing_groups(self, full: str, attributes: JsonObject | None = None) -> dict[str, JsonObject]:
        parts = full.split("/")
        missing: dict[str, JsonObject] = {}
        for length in range(1, len(parts) + 1):
            path = "/".join(parts[:length])
            if self._session.document(path) is None:
                missing[path] = group_document(dict(attributes or {}) if length == len(parts) else {})
        return missing

    def delete_subtree(self, name: str) -> None:
        """Remove a group or array and everything below; a missing one is no error."""
        self._session.change(deletes=[self._full(name)])

    def array_exists(self, name: str) -> bool:
        """Whether there is an array, or a group, at this path."""
        return self._kind(name) is not None

    def standalone_array_exists(self, path: str) -> bool:
        """Whether there is an array at this path."""
        return self._kind(path) == "array"

    def read_array_meta(self, name: str) -> JsonObject:
        """Attributes of the node at this path; empty where there is none."""
        document = self._document(name)
        return {} if document is None else dict(document.get("attributes") or {})

    def write_array_meta(self, name: str, meta: Mapping[str, Any]) -> None:
        """Merge attributes into those of a node; a missing node becomes a group."""
        full = self._full(name)
        document = self._session.document(full) or group_document()
        merged = {**document, "attributes": {**(document.get("attributes") or {}), **meta}}
        parents = self._missing_groups(full) if full else {}
        self._session.change(documents={**parents, full: merged})

    def replace_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Give the group these attributes and no others."""
        document = self._document() or group_document()
        self._session.change(documents={self._prefix: {**document, "attributes": dict(attributes)}})

    def read_array_attrs(self, path: str) -> JsonObject:
        """Attributes of an array; empty where there is no array."""
        return self.read_array_meta(path) if self.standalone_array_exists(path) else {}

    def read_array_fill_value(self, path: str) -> Any:
        """Fill value of an array: a numpy scalar, or bytes.

        Raises:
            StoreError: There is no array at this path.
        """
        document = self._array(path)
        return b"" if document.data_type == "variable_length_bytes" else fill_value_of(document)

    # Cells

    def create_sharded_chunk_array(
        self,
        array_name: str,
        grid_shape: Sequence[int],
        *,
        shard_shape: Sequence[int] | None = None,
        origin: Sequence[int] | None = None,
        compressor: Any = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Make an array with a cell for each chunk of a grid.

        Args:
            array_name: Path below the group.
            grid_shape: Chunks along each axis.
            shard_shape: Chunks per stored object along each axis; None for one.
            origin: Chunk coordinate of the first cell.
            compressor: As in ``Layout``.
            attributes: Of the array.

        Raises:
            StoreError: An array with cells is there, or the shapes differ in rank.
        """
        if shard_shape is not None and len(shard_shape) != len(grid_shape):
            raise StoreError("shard_shape and grid_shape differ in rank", got=f"{shard_shape} and {grid_shape}")
        full = self._full(array_name)
        old = self._session.document(full)
        if old is not None and (old.get("attributes") or {}).get("nonempty_chunks"):
            raise StoreError("an array with cells is there", store=self.url, array=array_name, hint="delete it first")
        grid = Grid(tuple(origin or [0] * len(grid_shape)), tuple(int(n) for n in grid_shape))
        document = cell_array_document(grid, shard_shape, cell_codecs(compressor), dict(attributes or {}))
        parents = self._missing_groups(full.rpartition("/")[0]) if "/" in full else {}
        self._session.change(documents={**parents, full: document.to_json()})

    def list_chunks(self, name: str) -> list[str]:
        """Keys of the cells that an array has, sorted; empty where there is no array."""
        attributes = self.read_array_attrs(name)
        return sorted(attributes.get("nonempty_chunks") or [])

    def chunk_exists(self, name: str, key: str | ChunkCoord) -> bool:
        """Whether an array has a cell."""
        coord = self._coord(name, key)
        return self._session.key(coord) in self.list_chunks(name)

    def read_bytes(self, name: str, key: str | ChunkCoord) -> bytes:
        """Payload of a cell.

        Raises:
            MissingCellError: The presence list does not name the cell.
            CorruptionError: It does, and the cell is gone or corrupt.
            StoreError: There is no such array.
        """
        coord = self._coord(name, key)
        full = self._full(name)
        cached = self._session.prefetched or {}
        if (full, coord) in cached:
            return cached[(full, coord)]
        found = self._session.read_cells({full: [coord]})
        if (full, coord) not in found:
            raise MissingCellError(
                "the array has no such cell", store=self.url, array=name, cell=self._session.key(coord)
            )
        return found[(full, coord)]

    def write_bytes(self, name: str, key: str | ChunkCoord, data: bytes) -> None:
        """Write a cell and record its presence.

        Raises:
            StoreError: There is no such array, or the cell is outside its grid.
        """
        coord = self._coord(name, key)
        array = self._session.array(self._full(name))
        if not array.grid.contains(np.array([coord]))[0]:
            raise StoreError(
                "the cell is outside the array's grid",
                store=self.url,
                array=name,
                cell=self._session.key(coord),
                expected=f"from {array.grid.origin}, {array.grid.shape} cells",
            )
        self._session.change(cells={self._full(name): {coord: bytes(data)}})

    def _coord(self, name: str, key: str | ChunkCoord) -> ChunkCoord:
        ndim = self._session.array(self._full(name)).ndim
        try:
            if isinstance(key, str):
                return tuple(parse_keys([key], ndim)[0].tolist())
            coord = tuple(int(part) for part in key)
        except (TypeError, ValueError) as error:
            raise InputError("a chunk key must be integers joined by dots", got=repr(key)) from error
        if len(coord) != ndim:
            raise InputError(f"a chunk key must have {ndim} components", got=repr(key))
        return coord

    @contextmanager
    def batched_reads(self, plan: Sequence[tuple[str, Sequence[str | ChunkCoord]]]) -> Iterator[None]:
        """Fetch the cells of a plan in at most two rounds, and serve ``read_bytes`` from them inside the block.

        Raises:
            StoreError: Inside another ``batched_reads``.
        """
        if self._session.prefetched is not None:
            raise StoreError("batched_reads cannot be nested", store=self.url)
        wanted = {
            self._full(name): [self._coord(name, key) for key in keys]
            for name, keys in plan
            if self.standalone_array_exists(name)
        }
        self._session.prefetched = self._session.read_cells(wanted)
        try:
            yield
        finally:
            self._session.prefetched = None

    @contextmanager
    def batched_writes(self, compressor: Any = None) -> Iterator[None]:
        """Commit all changes made inside the block together when it ends; none if it ends by an exception.

        Raises:
            StoreError: Inside another ``batched_writes``.
        """
        if self._session.pending is not None:
            raise StoreError("batched_writes cannot be nested", store=self.url)
        if self.storage.read_only:
            raise ReadOnlyError("the store was opened for reading", store=self.url, hint="open it with mode='r+'")
        cell_codecs(compressor)
        changes = self._session.pending = Pending()
        try:
            yield
            self._session.pending = None
            self._session.flush(changes)
        finally:
            self._session.pending = None

    # Tables

    def write_array(
        self,
        path: str,
        data: Any,
        *,
        chunks: Sequence[int] | None = None,
        fill_value: Any = None,
        attributes: Mapping[str, Any] | None = None,
        compressors: Any = None,
    ) -> None:
        """Write a typed array, replacing one that is there.

        Args:
            path: Path below the group.
            data: What numpy makes an array of; chunked along its first axis.
            chunks: Chunk shape; whole by default. Only the first axis may be cut.
            fill_value: 0 by default.
            attributes: Of the array.
            compressors: As ``compressor`` in ``Layout``.
        """
        values = np.asarray(data)
        values = values.reshape(1) if values.ndim == 0 else values
        if chunks is not None and tuple(chunks[1:]) != values.shape[1:]:
            raise InputError(
                "chunks may cut the first axis only", got=tuple(chunks), expected=f"(n, {values.shape[1:]})"
            )
        fill = np.zeros(1, dtype=values.dtype)[0] if fill_value is None else fill_value
        rows = len(values) if chunks is None else int(chunks[0])
        document = typed_table_document(values, rows, typed_codecs(compressors), dict(attributes or {}), fill)
        self._write_table(path, document, values)

    def write_vlen_array(
        self,
        path: str,
        blobs: Sequence[bytes],
        *,
        chunks: int | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a one-dimensional array of byte strings, replacing one that is there."""
        if not all(isinstance(blob, (bytes, bytearray, memoryview)) for blob in blobs):
            raise InputError("blobs must be bytes")
        document = vlen_table_document(len(blobs), chunks or len(blobs), cell_codecs(), dict(attributes or {}))
        self._write_table(path, document, Blobs.from_list(list(blobs)))

    def _write_table(self, path: str, document: ArrayDocument, rows: Any) -> None:
        full = self._full(path)
        parents = self._missing_groups(full.rpartition("/")[0]) if "/" in full else {}
        objects = dict(TableArray(full, document).encode(rows))
        self._session.change(documents={**parents, full: document.to_json()}, objects=objects, deletes=[f"{full}/c"])

    def read_array(self, path: str) -> AnyArray:
        """A typed array as a whole.

        Raises:
            StoreError: There is no such array.
            CorruptionError: It cannot be decoded.
        """
        values: AnyArray = self._read_table(path)
        return values

    def read_vlen_array(self, path: str) -> list[bytes]:
        """A one-dimensional array of byte strings as a whole."""
        blobs: Blobs = self._read_table(path)
        return blobs.to_list()

    def _read_table(self, path: str) -> Any:
        try:
            return read_tables(
                self.storage, [(TableArray(self._full(path), self._array(path), self.storage.url), None)]
            )[0]
        except ValueError as error:
            if isinstance(error, CorruptionError):
                raise
            raise StoreError(
                "the array's data type cannot be read", store=self.url, array=path, got=str(error)
            ) from error


class FsGroup(Group):
    """A group in a local folder.

    Args:
        path: The folder, or a ``file://`` URL.
        create: Make an empty group where there is none.

    Raises:
        StoreError: There is no group, and ``create`` is not set.
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        self._session = Session(Storage(open_backend(path)))
        self._prefix = ""
        if self._session.document("") is None:
            if not create:
                raise StoreError("there is no zarr group in this folder", store=str(path), hint="pass create=True")
            self._session.change(documents={"": group_document()})


class Attributes(MutableMapping[str, Any]):
    """Attributes of a group; each change is a commit."""

    def __init__(self, group: Group) -> None:
        self._group = group

    def to_dict(self) -> JsonObject:
        """A copy of all attributes."""
        return self._group.read_array_meta("")

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._group.write_array_meta("", {key: value})

    def __delitem__(self, key: str) -> None:
        attributes = self.to_dict()
        del attributes[key]
        self._group.replace_attributes(attributes)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several attributes in one commit."""
        self._group.write_array_meta("", dict(*args, **kwargs))

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def __repr__(self) -> str:
        return f"Attributes({self.to_dict()})"
