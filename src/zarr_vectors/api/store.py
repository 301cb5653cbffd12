"""An open store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from html import escape
from operator import index
from types import TracebackType
from typing import Any, Self, SupportsIndex

from zarr_vectors.api.described import AttributeInfo
from zarr_vectors.api.level import ZVLevel
from zarr_vectors.api.store_levels import StoreLevels
from zarr_vectors.api.worker import in_worker
from zarr_vectors.axes import Axis
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.headers import read_headers
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.publishing import publish_store, unpublish_store
from zarr_vectors.core.session import check_mode
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.exceptions import ConventionError, InputError, StoreNotFoundError
from zarr_vectors.geometry import Mesh
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.storage.whole import open_whole
from zarr_vectors.types.kinds import KINDS
from zarr_vectors.typing import Json, JsonObject

__all__ = ["ZVStore", "aopen", "open_zv_store"]

MODES = ("r", "r+", "a")


class ZVStore(StoreLevels):
    """An open Zarr Vectors store: a sequence of levels, and what holds for all of them.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.write("memory://store-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
        >>> with zv.open("memory://store-doc") as store:
        ...     store.bounds, store.levels, store[0].vertex_count
        (([0.0, 1.0], [5.0, 2.0]), [0], 2)
    """

    def __init__(self, storage: Storage, root: RootState, level: LevelState) -> None:
        self._storage = storage
        self._first = ZVLevel(storage, root, level)
        self._levels: dict[int, ZVLevel] = {level.number: self._first}

    @property
    def _root(self) -> RootState:
        """The root's documents, as the level has them whose writer may change them."""
        return self._first.root

    @property
    def storage(self) -> Storage:
        """Its bytes: rounds of reading, batches of writing."""
        return self._storage

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._storage.url

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Names and units of the positions' columns."""
        return self._root.axes

    @property
    def bounds(self) -> tuple[list[float], list[float]]:
        """Closed box that all vertices lie in."""
        return self._root.bounds

    @property
    def crs(self) -> Json:
        """Coordinate reference system, or None."""
        return self._root.metadata.crs

    @property
    def geometry_types(self) -> tuple[str, ...]:
        """Kinds of geometry in the store."""
        return self._root.metadata.geometry_types

    @property
    def zv_version(self) -> str:
        """Format version that the store states."""
        return self._root.metadata.zv_version

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._root.metadata.ndim

    @property
    def chunk_shape(self) -> tuple[float, ...]:
        """Edge lengths of a chunk at level 0."""
        return self._root.metadata.chunk_shape

    @cached_property
    def levels(self) -> list[int]:
        """Numbers of the resolution levels."""
        return level_numbers(self._storage, self._root.attributes)

    @cached_property
    def headers(self) -> dict[str, JsonObject]:
        """What ingested files said about themselves, by format."""
        return read_headers(self._storage, self._root.attributes)

    def __getitem__(self, number: int) -> ZVLevel:
        if isinstance(number, bool) or not isinstance(number, SupportsIndex):
            raise InputError("a level is named by its number", got=repr(number))
        number = index(number)
        if number not in self._levels:
            if number not in self.levels:
                raise StoreNotFoundError(
                    f"the store has no level {number}", store=self.url, expected=f"one of {self.levels}"
                )
            state = open_level(self._storage, self._root, number)
            self._levels[number] = ZVLevel(self._storage, self._root, state)
        return self._levels[number]

    def __len__(self) -> int:
        return len(self.levels)

    def __iter__(self) -> Iterator[ZVLevel]:
        return (self[number] for number in self.levels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections."""
        self._storage.backend.close()

    @property
    def is_published(self) -> bool:
        """Whether one request opens the store, and nobody may change it."""
        return self._storage.is_published

    def publish(self) -> int:
        """Put copies of all documents into the root document, so that one request opens the store; how many there are.

        This is for stores that are served as files to many readers. Every writer of this library then refuses to
        change the store; other programs must not either, because readers trust the copies.

        Raises:
            ReadOnlyError: The store was opened for reading.
            StoreError: The place cannot list its objects.
            OptionError: The store lies in an Icechunk repository or a zip file.

        Example:
            >>> import zarr_vectors as zv
            >>> _ = zv.write("memory://publish-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> zv.open("memory://publish-doc", "r+").publish()
            3
            >>> zv.write("memory://publish-doc", zv.Points([[1.0, 1.0]]), mode="append")
            Traceback (most recent call last):
            ...
            zarr_vectors.exceptions.ReadOnlyError: the store is published, so that nobody changes it ...
            >>> zv.open("memory://publish-doc", "r+").unpublish()
        """
        return publish_store(self._storage)

    def unpublish(self) -> None:
        """Take back what ``publish`` did, so that the store may be changed.

        Raises:
            ReadOnlyError: The store was opened for reading.
        """
        unpublish_store(self._storage)

    def info(self) -> JsonObject:
        """What there is to know without reading geometry, as plain values."""
        low, high = self.bounds
        return {
            "url": self.url,
            "zv_version": self.zv_version,
            "geometry_types": list(self.geometry_types),
            "axes": [axis.to_json() for axis in self.axes],
            "bounds": [low, high],
            "crs": self.crs,
            "levels": [self._level_info(level) for level in self],
            "headers": sorted(self.headers),
            "published": self.is_published,
        }

    def _level_info(self, level: ZVLevel) -> JsonObject:
        state = level.state
        index, _ = state.vertices.locate(state.vertices.present)
        return {
            "level": level.number,
            "geometry_type": _kind_text(level),
            "vertex_count": level.vertex_count,
            **_connected_counts(level),
            "chunk_shape": list(level.chunk_shape),
            "shard_shape": None if level.shard_shape is None else list(level.shard_shape),
            "bin_shape": list(level.bin_shape),
            "chunk_count": level.chunk_count,
            "shard_count": len({tuple(row) for row in index.tolist()}),
            "bytes": self._bytes(level.number),
            "position_dtype": str(level.position_dtype),
            "vertex_encoding": level.vertex_encoding,
            "draco": _draco_facts(level),
            "object_count": level.object_count,
            "group_count": level.group_count,
            "attributes": _attribute_facts(level.attributes),
            "link_attributes": _attribute_facts(level.link_attributes),
            "object_attributes": {name: _type_text(spec) for name, spec in state.object_columns.items()},
            "group_attributes": {name: _type_text(spec) for name, spec in state.group_columns.items()},
            "codec": [codec.get("name") for codec in _cell_codecs(state)],
            "pyramid": None if state.metadata.pyramid is None else state.metadata.pyramid.to_json(),
        }

    def _bytes(self, number: int) -> int | None:
        """Stored bytes of a level, where sizes are cheap to know."""
        return self._storage.size(str(number))

    def __repr__(self) -> str:
        kinds = ", ".join(self.geometry_types) or "no geometry"
        return f"ZVStore({self.url!r}: {kinds}, {self[0].vertex_count:,} vertices, levels {self.levels})"

    def _repr_html_(self) -> str:
        rows: dict[str, Any] = {
            "store": self.url,
            "geometry": ", ".join(self.geometry_types),
            "axes": ", ".join(f"{axis.name} [{axis.unit}]" if axis.unit else axis.name for axis in self.axes),
            "bounds": f"{self.bounds[0]} to {self.bounds[1]}",
        }
        for level in self:
            names = ", ".join(level.attributes)
            counts = {
                "vertices": level.vertex_count,
                **_connected_counts(level, words=True),
                "chunks": level.chunk_count,
            }
            count = ", ".join(f"{number:,} {word}" for word, number in counts.items())
            rows[f"level {level.number}"] = f"{count}, attributes: {names}"
        cells = "".join(f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>" for key, value in rows.items())
        return f"<table>{cells}</table>"


def _kind_text(level: ZVLevel) -> str | None:
    """The kind of geometry of a level; None where several are mixed."""
    try:
        return level.kind.geometry_type
    except ConventionError:
        return None


def _connected_counts(level: ZVLevel, *, words: bool = False) -> dict[str, int]:
    """Lines, edges or faces, as far as the documents of the level state them.

    A skeleton's edges mostly follow from the order of its vertices, and no document counts those.
    """
    kind = _kind_text(level)
    if kind is None:
        return {}
    if KINDS[kind].connects == "sequence":
        return {f"{kind}s" if words else "line_count": level.object_count}
    if KINDS[kind].connects != "links" or level.link_count is None:
        return {}
    noun = "face" if KINDS[kind].value is Mesh else "edge"
    return {f"{noun}s" if words else f"{noun}_count": level.link_count}


def _attribute_facts(attributes: Mapping[str, AttributeInfo]) -> dict[str, JsonObject]:
    return {
        name: {
            "dtype": "text" if info.categories is not None else str(info.dtype),
            "channels": info.channels,
            "categories": None if info.categories is None else len(info.categories),
            "unit": info.unit,
            "per_fragment": info.per_fragment,
        }
        for name, info in attributes.items()
    }


def _draco_facts(level: ZVLevel) -> JsonObject | None:
    """What is known of the rounding of positions in Draco encoding."""
    facts = level.state.metadata.draco
    return None if facts is None or not level.state.is_draco else facts.to_json()


def _type_text(spec: ColumnSpec) -> str:
    return "text" if spec.dtype.kind == "U" else str(spec.dtype)


def _cell_codecs(state: LevelState) -> tuple[Mapping[str, Any], ...]:
    document = state.vertices.document
    return document.codecs if document.sharding is None else document.sharding.inner


def open_zv_store(
    target: StoreLike,
    mode: str = "r",
    *,
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> ZVStore:
    """Open a store in at most two rounds of requests.

    Args:
        target: A path, a URL, an open zarr store, or the root ``Group`` of a store. What is open already stays open as
            it is, for writing too; of Icechunk, its uncommitted changes are seen.
        mode: ``"r"``, ``"r+"`` or ``"a"``; the store must exist in each.
        backend: ``"icechunk"`` for an Icechunk repository; one in a local folder is recognised without it.
            ``"fsspec"`` to reach a URL by that library instead of obstore.
        storage_options: For object stores, for example ``{"region": "eu-west-1", "skip_signature": True}``; for
            Icechunk also ``branch``, ``tag`` or ``snapshot_id``.

    Raises:
        StoreNotFoundError: There is no Zarr Vectors store.
        ReadOnlyError: The target is open for reading only, and ``mode`` asks for more.
        FormatError: Its version is not 0.9.x.
        CorruptionError, MetadataError: Its documents cannot be read.

    Example:
        >>> import zarr_vectors as zv
        >>> zv.open("no-such-place.zarrvectors")
        Traceback (most recent call last):
        ...
        zarr_vectors.exceptions.StoreNotFoundError: there is no Zarr Vectors store here ...
    """
    if mode not in MODES:
        raise InputError("mode is not known", got=repr(mode), expected=f"one of {', '.join(MODES)}")
    storage = Storage(open_backend(target, read_only=mode == "r", storage_options=storage_options, backend=backend))
    check_mode(storage, mode)

    def opened() -> ZVStore:
        root, documents = open_root(storage, ["0/zarr.json"])
        return ZVStore(storage, root, open_level(storage, root, 0, documents["0/zarr.json"]))

    return open_whole(storage, opened)


async def aopen(
    target: StoreLike,
    mode: str = "r",
    *,
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> ZVStore:
    """Open a store as ``zv.open`` does, without keeping an event loop from its other work.

    Example:
        >>> import asyncio, zarr_vectors as zv
        >>> _ = zv.write("memory://aopen-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
        >>> async def first():
        ...     store = await zv.aopen("memory://aopen-doc")
        ...     return await store[0].aread(bbox=([0, 0], [1, 1]))
        >>> asyncio.run(first()).positions.tolist()
        [[0.0, 1.0]]
    """
    return await in_worker(lambda: open_zv_store(target, mode, backend=backend, storage_options=storage_options))
