"""What the documents of a level say, without its geometry."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from zarr_vectors import constants
from zarr_vectors.api.described import AttributeInfo, ObjectTable, info_of, object_table
from zarr_vectors.axes import Axis
from zarr_vectors.core.headers import read_headers
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.storage.drivers import check_sendable
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.whole import open_whole, read_whole
from zarr_vectors.types.kinds import Kind, kind_of_types
from zarr_vectors.typing import Json, JsonObject

__all__ = ["LevelFacts"]

T = TypeVar("T")
_OPENED = {"_storage", "_root", "_state"}


class LevelFacts:
    """A level, as its documents describe it."""

    def __init__(self, storage: Storage, root: RootState, state: LevelState) -> None:
        self._storage = storage
        self._root = root
        self._state = state

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the documents that are known, and the place."""
        check_sendable(self._storage.backend)
        return vars(self).copy()

    @property
    def storage(self) -> Storage:
        """The store's bytes, for those who extend the library."""
        return self._storage

    @property
    def root(self) -> RootState:
        """The root's documents, for those who extend the library."""
        return self._root

    @property
    def state(self) -> LevelState:
        """The level's documents and arrays, for those who extend the library."""
        return self._state

    @property
    def number(self) -> int:
        """Which level; 0 is the full resolution."""
        return self._state.number

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Names and units of the positions' columns."""
        return self._root.axes

    @property
    def bounds(self) -> tuple[list[float], list[float]]:
        """Closed box of the store."""
        return self._root.bounds

    @property
    def crs(self) -> Json:
        """Coordinate reference system of the store, or None."""
        return self._root.metadata.crs

    @cached_property
    def headers(self) -> dict[str, JsonObject]:
        """What ingested files said about themselves, by format."""
        return read_headers(self._storage, self._root.attributes)

    @property
    def vertex_count(self) -> int:
        """Number of vertices, as the level's metadata states it."""
        return self._state.metadata.vertex_count

    @property
    def chunk_shape(self) -> tuple[float, ...]:
        """Edge lengths of a chunk."""
        return self._state.chunk_shape

    @property
    def shard_shape(self) -> tuple[int, ...] | None:
        """Chunks per stored object along each axis; None where every chunk is an object of its own."""
        vertices = self._state.vertices
        return vertices.block if vertices.document.is_sharded else None

    @property
    def bin_shape(self) -> tuple[float, ...]:
        """Edge lengths of a bin."""
        return self._root.level_bin_shape(self.number)

    @property
    def chunk_count(self) -> int:
        """Chunks that hold vertices."""
        return len(self._state.vertices.present)

    @property
    def chunk_keys(self) -> list[tuple[int, ...]]:
        """Coordinates of the chunks that hold vertices, in numeric order."""
        return [tuple(row) for row in self._state.vertices.present.tolist()]

    @property
    def position_dtype(self) -> np.dtype[Any]:
        """Of the stored positions."""
        return self._state.position_dtype

    @property
    def vertex_encoding(self) -> str:
        """How positions are stored: ``"raw"`` or ``"draco"``."""
        return constants.ENCODING_DRACO if self._state.is_draco else constants.ENCODING_RAW

    @property
    def max_error(self) -> float | None:
        """What rounding for Draco encoding moved a coordinate at most; None where nothing is rounded or it is unknown.

        Example:
            >>> import numpy as np, zarr_vectors as zv
            >>> cloud = zv.Points(np.array([[0, 0, 0], [1.3, 2.7, 4.1], [8, 9, 10]], dtype="f4"))
            >>> _ = zv.write("memory://error-doc", cloud, layout=zv.Layout(vertex_encoding="draco"))
            >>> level = zv.open("memory://error-doc")[0]
            >>> bool(0 < level.max_error <= 10 / 2**11)
            True
        """
        facts = self._state.metadata.draco
        return None if facts is None or not self._state.is_draco else facts.max_error

    @property
    def error_bound(self) -> float | None:
        """No vertex of level 0, of the objects that this level keeps, is farther from it than this, in data units.

        0 at level 0; None where the level does not say.
        """
        facts = self._state.metadata.pyramid
        return 0.0 if not self._state.number else None if facts is None else facts.max_error

    @property
    def is_stale(self) -> bool:
        """Whether a finer level has changed since this one was made from it."""
        facts = self._state.metadata.pyramid
        return facts is not None and facts.stale

    @cached_property
    def link_attributes(self) -> dict[str, AttributeInfo]:
        """Attributes of edges or faces by name."""
        links = self._state.links
        return {} if links is None else {name: info_of(spec) for name, spec in links.columns.items()}

    @property
    def link_count(self) -> int | None:
        """Links between vertices that are stored, where the store states it; not those that order implies."""
        links = self._state.links
        return None if links is None else links.links

    @property
    def has_objects(self) -> bool:
        """Whether vertices belong to objects, also where there are none yet."""
        return self._state.has_objects or constants.FRAGMENT_OWNER in self._state.cells

    @property
    def object_count(self) -> int:
        """Objects in the index, those without vertices included."""
        return self._state.object_slots

    @property
    def group_count(self) -> int:
        """Group ids from 0."""
        table = self._state.tables.get(constants.GROUPS)
        return 0 if table is None else table.rows

    @property
    def objects(self) -> ObjectTable:
        """Ids, attributes and groups of all objects; no geometry is read."""
        if "_object_table" in vars(self):
            return self._object_table
        return self._whole(lambda: self._object_table)

    @cached_property
    def _object_table(self) -> ObjectTable:
        return object_table(read_level_tables(self._storage, self._state))

    @cached_property
    def kind(self) -> Kind:
        """The kind of geometry that the store holds.

        Raises:
            StoreError: It is a composite store.
            ConventionError: It mixes kinds that nothing tells apart.
        """
        self._state.refuse_composite()
        return kind_of_types(self._root.metadata.geometry_types, self._storage.url)

    def refresh(self) -> None:
        """Take notice of what others have written since the level was opened."""
        self._root, self._state = open_whole(self._storage, self._opened)
        for name in vars(self).keys() - _OPENED:
            # What has been worked out from the documents of before.
            del self.__dict__[name]

    def _opened(self) -> tuple[RootState, LevelState]:
        path = f"{self.number}/zarr.json"
        root, documents = open_root(self._storage, [path])
        return root, open_level(self._storage, root, self.number, documents[path])

    def _whole(self, work: Callable[[], T]) -> T:
        """What a read brings, of one state of the store; where others have written, of the one that is there now."""
        return read_whole(self._storage, work, seen=lambda: self._root.seen, again=self.refresh)
