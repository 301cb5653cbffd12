"""An open store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from operator import index
from types import TracebackType
from typing import Any, Self, SupportsIndex

import numpy as np

from zarr_vectors import constants, pyramid
from zarr_vectors.api.described import AttributeInfo
from zarr_vectors.api.level import ZVLevel
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


class ZVStore:
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

    def build_pyramid(
        self,
        factors: Sequence[tuple[float, float]] | None = None,
        *,
        chunk_scale_factors: Sequence[int | tuple[int, ...]] | None = None,
        method: str | None = None,
        aggregations: Mapping[str, str] | None = None,
        sparsity_strategy: str = "random",
        sparsity_attribute: str | None = None,
        sparsity_seed: int = 0,
        cross_level_storage: str = constants.XLEVEL_NONE,
        cross_level_depth: int = 1,
        replace: bool = False,
        progress: pyramid.PyramidProgress | None = None,
    ) -> pyramid.PyramidReport:
        """Make coarser levels, each a whole data set of the store's kind and a commit of its own.

        Points of a bin become one. Polylines are simplified, their ends stay; so are the chains of skeletons, whose
        branch points and ends stay and whose short twigs go. Vertices of graphs and meshes are joined bin by bin, with
        the edges and faces between them. What a level does not say otherwise is carried: objects, their attributes
        and groups, attributes of vertices and links, units. Where vertices are merged, an attribute ``count`` tells
        how many vertices of level 0 each stands for.

        Args:
            factors: For each level from 1 on ``(factor, sparsity)``: how many times larger its bins are than those of
                the level before, and of how many objects it keeps one. None for as many levels as it takes until the
                last has at most 100,000 vertices; the bins of level 0 then lie near the spacing of its vertices.
            chunk_scale_factors: For each level, how many times larger its chunks are, one number or one per axis. None
                for chunks that hold about as many vertices as those of the level before.
            method: Points: ``"mean"`` (the default) or ``"subsample"``, which keeps points as they are.
            aggregations: ``{attribute: "mean" | "min" | "max" | "sum" | "first" | "mode"}`` where values are merged;
                by default the mean of floats and the mode of everything else.
            sparsity_strategy: Which objects are kept: ``"random"``, ``"length"``, ``"spatial_coverage"`` or
                ``"attribute"``.
            sparsity_attribute: With ``"attribute"``, the object attribute of which the largest values stay.
            sparsity_seed: Of everything that is random; the same seed brings the same levels.
            cross_level_storage: Links between levels: ``"none"``, ``"implicit"`` (from finer vertices to coarser ones)
                or ``"explicit"`` (both ways); they about double the size of the store.
            cross_level_depth: Over how many levels links lead; -1 for all.
            replace: Whether coarser levels that there are give way, as those that a killed build has left.
            progress: Called with the number of a level, and the vertices that are done and that there are.

        Returns:
            What was made, level by level, with the error of each.

        Raises:
            InputError: The store has no vertices, or something is asked for that cannot be meant.
            StoreExistsError: There are coarser levels already, and ``replace`` is not said.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import numpy as np, zarr_vectors as zv
            >>> points = zv.Points(np.random.default_rng(0).uniform(0, 100, (1000, 2)))
            >>> _ = zv.write("memory://pyramid-doc", points)
            >>> store = zv.open("memory://pyramid-doc", "r+")
            >>> report = store.build_pyramid(factors=[(2, 1), (2, 1)])
            >>> store.levels, store[2].vertex_count < store[1].vertex_count < 1000
            ([0, 1, 2], True)
            >>> store.level_for(store[1].error_bound).number
            1
        """
        options = pyramid.PyramidOptions(
            factors=factors,
            chunk_scale_factors=chunk_scale_factors,
            method=method,
            aggregations=aggregations or {},
            sparsity_strategy=sparsity_strategy,
            sparsity_attribute=sparsity_attribute,
            seed=sparsity_seed,
            cross_level_storage=cross_level_storage,
            cross_level_depth=cross_level_depth,
            replace=replace,
            progress=progress,
        )
        try:
            return pyramid.build_levels(self._storage, options)
        finally:
            self._reopen()

    def refresh_pyramid(
        self, *, force: bool = False, progress: pyramid.PyramidProgress | None = None
    ) -> pyramid.PyramidReport:
        """Make levels anew that appended vertices have made stale, as they were made before.

        Args:
            force: All coarser levels, stale or not.
            progress: As of ``build_pyramid``.

        Raises:
            ConventionError: With ``force``, a level does not say how it was made.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import numpy as np, zarr_vectors as zv
            >>> points = zv.Points(np.random.default_rng(0).uniform(0, 100, (1000, 2)))
            >>> _ = zv.write("memory://refresh-doc", points)
            >>> _ = zv.open("memory://refresh-doc", "r+").build_pyramid(factors=[(2, 1)])
            >>> _ = zv.write("memory://refresh-doc", zv.Points([[50.0, 50.0]]), mode="append")
            >>> store = zv.open("memory://refresh-doc", "r+")
            >>> store[1].is_stale, [level.level for level in store.refresh_pyramid().levels], store[1].is_stale
            (True, [1], False)
        """
        try:
            return pyramid.refresh_levels(self._storage, pyramid.PyramidOptions(progress=progress), force=force)
        finally:
            self._reopen()

    def _reopen(self) -> None:
        """Take notice of levels that have been made."""
        self._first.refresh()
        self._levels = {self._first.number: self._first}
        self.__dict__.pop("levels", None)

    def level_for(self, resolution: Any) -> ZVLevel:
        """The coarsest level that is at most so far from level 0, by ``ZVLevel.error_bound``.

        Args:
            resolution: A distance in data units, such as the edge of a pixel.

        Raises:
            InputError: It is negative or no number.
        """
        if isinstance(resolution, bool) or not isinstance(resolution, (int, float, np.number)) or not resolution >= 0:
            raise InputError("resolution must be a number from 0", got=repr(resolution))
        fit = [level for level in self if level.error_bound is not None and level.error_bound <= resolution]
        return fit[-1] if fit else self._first

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
