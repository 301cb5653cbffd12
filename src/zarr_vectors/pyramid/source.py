"""Reading a finer level for a coarser one: whole bins of points, or whole objects, some at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Column, Geometry, Graph, Linked, Mesh, Skeleton
from zarr_vectors.pyramid.coarse import Piece
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.rows import attribute_names
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.sizes import chunk_sizes, object_sizes
from zarr_vectors.query.stored import rows_are_single
from zarr_vectors.query.tables import LevelTables, read_level_tables
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.value import plan_for, value_of
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Finer", "PieceRead", "free_name", "object_tables", "rest_of", "weights_of", "with_link_attributes"]

_BATCH_ROWS = 1_000_000
_BLOCK_ROWS = 1 << 18
"""Of chunks, fewer are read at once: so several blocks are coarsened side by side, and what is made of one is small."""
_SAMPLE_ROWS = 65_536
_MOST_TIMES = 4
"""Objects that have so many times more vertices than are asked for are not read whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PieceRead:
    """What to read for a piece: chunks of points, or objects.

    Args:
        chunks: ``(n, K)`` the chunks.
        stay: ``(n,)`` ids of the objects whose points stay; None for all.
        ids: ``(n,)`` the objects.
        is_last: Whether nothing comes after these objects.
    """

    chunks: IntArray | None = None
    stay: IntArray | None = None
    ids: IntArray | None = None
    is_last: bool = False


@dataclass
class Finer:
    """A level that another one is made from.

    Args:
        storage: The store.
        root: Its root.
        level: The level.
        kind: What it holds.
        batch_rows: About how many vertices to read at once.
    """

    storage: Storage
    root: RootState
    level: LevelState
    kind: Kind
    batch_rows: int = _BATCH_ROWS
    samples: list[AnyArray] = field(default_factory=list)

    @cached_property
    def tables(self) -> LevelTables:
        """Objects and groups, with what is known of them."""
        return read_level_tables(self.storage, self.level)

    @cached_property
    def present(self) -> IntArray:
        """``(n,)`` ids of the objects that have vertices here."""
        ids, sizes = self._sizes
        return ids[sizes > 0]

    @cached_property
    def leaves_vertices(self) -> bool:
        """Whether some vertices are not read, as they are of no object and the kind is read by object."""
        if self.kind.connects == "nothing" or not self.level.has_objects:
            return False
        return int(self._sizes[1].sum()) < self._rows

    @cached_property
    def _sizes(self) -> tuple[IntArray, IntArray]:
        return object_sizes(self.storage, self.level)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Attributes of vertices that a coarser level has arrays of too."""
        said = self.level.chunk_columns if self.lead else {}
        known = [name for name in attribute_names(self.level) if name not in said and not self._lacks_numbers(name)]
        return tuple(name for name in known if name not in self.level.own_columns and "/" not in name)

    def _lacks_numbers(self, name: str) -> bool:
        """Whether whole chunks have no value of an attribute whose numbers cannot say so."""
        spec = self.level.row_columns.get(name)
        if spec is None or spec.categories is not None or spec.dtype.kind not in "biu" or name == self.counts:
            return False
        return not self.level.cells[self.level.column_path(name)].has_all_of(self.level.vertices)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Attributes of vertices that a coarser level cannot have."""
        said = self.level.chunk_columns if self.lead else {}
        return tuple(name for name in attribute_names(self.level) if name not in self.names and name not in said)

    @cached_property
    def lead(self) -> str | None:
        """A name of no attribute, by which values tell the place of their chunk on the axis before the spatial ones."""
        known = attribute_names(self.level)
        return free_name("lead", known) if self.level.metadata.leading_axes else None

    @property
    def counts(self) -> str | None:
        """The attribute that tells what each vertex stands for, where this level is a coarser one itself."""
        facts = self.level.metadata.pyramid
        return None if facts is None else facts.counts

    @property
    def link_counts(self) -> str | None:
        """The same of links."""
        facts = self.level.metadata.pyramid
        return None if facts is None else facts.link_counts

    @property
    def sample(self) -> AnyArray:
        """Some positions of what has been read."""
        positions = np.concatenate(self.samples)
        return positions[:: max(1, len(positions) // _SAMPLE_ROWS)]

    def reopen(self) -> None:
        """Take notice of what the store says by now."""
        self.root, documents = open_root(self.storage, [f"{self.level.number}/{ROOT}"])
        self.level = open_level(self.storage, self.root, self.level.number, documents[f"{self.level.number}/{ROOT}"])

    def pieces(
        self, multiples: IntArray, objects: IntArray | None, *, attributes: tuple[str, ...] | None = None
    ) -> Iterator[Piece]:
        """The level, some of it at a time.

        Args:
            multiples: ``(D,)`` chunks along each axis that are whole bins of the coarser level.
            objects: Ids of the objects to read; None for all there is.
            attributes: Of vertices; None for all.
        """
        reads = self.reads(multiples, objects)
        for number, read in enumerate(reads):
            piece, left = self.read(read, attributes=attributes)
            if left:
                # No earlier piece had such a link, so none leads back to one.
                yield self.read(rest_of(reads[number:]), attributes=attributes)[0]
                return
            yield piece

    def reads(self, multiples: IntArray, objects: IntArray | None) -> list[PieceRead]:
        """What to read for each piece; at least one.

        Args:
            multiples, objects: As of ``pieces``.
        """
        # Vertices that several objects share are read with each of them.
        if self.kind.connects == "nothing" and not self.level.metadata.shared_fragments:
            rows = min(_BLOCK_ROWS, self.batch_rows)
            return [PieceRead(chunks=chunks, stay=objects) for chunks in self.blocks(multiples, rows)]
        ids = self.present if objects is None else objects
        step = max(1, self.batch_rows * len(self.present) // max(1, self._rows))
        starts = range(0, max(1, len(ids)), step)
        return [PieceRead(ids=ids[start : start + step], is_last=start + step >= len(ids)) for start in starts]

    def read(
        self, read: PieceRead, *, attributes: tuple[str, ...] | None = None, places: bool = False
    ) -> tuple[Piece, int]:
        """A piece, and how many links were left out of it because they lead to other objects.

        Args:
            attributes: Of vertices; None for all.
            places: Whether to tell where vertices are stored.
        """
        leads = self.lead is not None and attributes is None
        selection = Selection(
            attributes=self.names if attributes is None else attributes,
            places=places or leads,
            chunks=read.chunks,
            object_ids=read.ids,
            lenient=True,
        )
        plan = replace(self._plan, counts_left=read.ids is not None and not read.is_last)
        shape = read_shape(self.storage, self.level, selection, plan)
        owners = shape.rows.object_ids
        if read.stay is not None and owners is not None:
            shape = Shape(shape.rows.take(self._stay(owners, read.stay)))
        family = self.level.links if self.kind.connects == "links" else None
        value = value_of(shape, self.kind, self.root.axes, family)
        if leads:
            value = self._with_lead(value, shape.rows.places)
        return replace(self._piece(value), places=shape.rows.places), shape.links_left

    def sampled(self, positions: AnyArray) -> AnyArray:
        """Some of the positions of a piece, of which as many are taken from each."""
        return positions[:: max(1, self._rows // _SAMPLE_ROWS)].copy()

    @cached_property
    def is_cut(self) -> bool:
        """Whether graphs or meshes are too large to be read at once, and can be read chunk by chunk."""
        if self.kind.connects != "links" or not self.level.has_objects or self._rows <= self.batch_rows:
            return False
        return rows_are_single(self.storage, self.level)

    def _with_lead(self, value: Geometry, places: IntArray | None) -> Geometry:
        """The value with an attribute of the places of its chunks on the axis before the spatial ones, from 0."""
        assert self.lead is not None
        assert places is not None
        return replace(value, attributes={**value.attributes, self.lead: self.leads(places)})

    def leads(self, places: IntArray) -> IntArray:
        """``(N,)`` place of the chunk of each vertex on the axis before the spatial ones, from 0.

        Args:
            places: ``(N, 2)`` as of ``Piece``.
        """
        vertices = self.level.vertices
        found: IntArray = vertices.present[places[:, 0], 0] - vertices.grid.origin[0]
        return found

    def some(self, rows: int) -> Geometry:
        """About so many vertices, without attributes: of some whole objects, or of a place that is as full as most.

        It is a place for points, and where objects are much larger.
        """
        count = max(1, rows * len(self.present) // max(1, self._rows)) if self.kind.is_linked else 0
        expected = count * self._rows // max(1, len(self.present))
        if self.kind.connects == "nothing" or (self.kind.connects == "links" and expected > _MOST_TIMES * rows):
            chunks = self.level.vertices.present
            if not self.level.is_unordered:
                order = np.argsort(self._chunk_sizes, kind="stable")
                sums = np.cumsum(self._chunk_sizes[order])
                chunks = chunks[order[np.searchsorted(sums, sums[-1] / 2)]][None]
            selection = Selection(chunks=chunks[:1], attributes=(), owners=False)
        else:
            step = max(1, len(self.present) // count)
            selection = Selection(object_ids=self.present[::step], attributes=())
        plan = replace(self._plan, link_attributes=())
        shape = read_shape(self.storage, self.level, selection, plan)
        return value_of(shape, self.kind, self.root.axes, None)

    @property
    def _rows(self) -> int:
        return self.level.metadata.vertex_count

    @property
    def _plan(self) -> ReadPlan:
        # Coordinates as they are stored: so they go back into the store.
        return replace(plan_for(self.root, self.kind, None, None), offset=None)

    def blocks(self, multiples: IntArray, rows: int) -> list[IntArray]:
        """Chunks of about so many vertices, of whole bins, since no bin lies in two blocks of chunks."""
        chunks = self.level.vertices.present
        lead = chunks.shape[1] - len(multiples)
        blocks = chunks.copy()
        blocks[:, lead:] //= multiples
        if lead:
            # Vertices of one place lie in chunks of every leading coordinate.
            blocks = blocks[:, lead:]
        order = np.lexsort(blocks.T[::-1])
        ordered = blocks[order]
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        sizes = np.zeros(len(order), dtype=np.int64) if self.level.is_unordered else self._chunk_sizes[order]
        # A batch begins with the block in which another so many rows have come together.
        number = (np.cumsum(sizes) - sizes) // rows
        starts = np.flatnonzero(new)
        batch_of_block = number[starts]
        first = np.ones(len(starts), dtype=np.bool_)
        first[1:] = batch_of_block[1:] != batch_of_block[:-1]
        return [chunks[np.sort(part)] for part in np.split(order, starts[first][1:])]

    def _stay(self, owners: IntArray, objects: IntArray) -> BoolArray:
        """Which points are of some objects, or of none, as none can be left out then."""
        stay: BoolArray = np.isin(owners, objects)
        unknown = owners[~stay & ~np.isin(owners, self.tables.ids) & (owners != constants.OWNER_NONE)]
        if len(unknown):
            raise CorruptionError(
                "vertices belong to objects that the object index does not have",
                store=self.storage.url,
                array=f"{self.level.number}/{constants.OBJECT_INDEX}",
                got=np.unique(unknown)[:5].tolist(),
                hint="validate tells where they are",
            )
        return stay if constants.OWNER_NONE in self.tables.ids else stay | (owners == constants.OWNER_NONE)

    @cached_property
    def _chunk_sizes(self) -> IntArray:
        return chunk_sizes(self.storage, self.level)

    def _piece(self, value: Geometry) -> Piece:
        attributes = dict(value.attributes)
        weights = weights_of(attributes.pop(self.counts, None) if self.counts else None)
        value = replace(value, attributes=attributes)
        if not isinstance(value, Linked) or self.link_counts is None:
            return Piece(value, weights)
        links = dict(value.link_attributes)
        link_weights = weights_of(links.pop(self.link_counts, None))
        return Piece(with_link_attributes(value, links), weights, link_weights)


def rest_of(reads: Sequence[PieceRead]) -> PieceRead:
    """Several pieces of objects, which are the last, as one."""
    ids = [read.ids for read in reads if read.ids is not None]
    return PieceRead(ids=np.concatenate(ids), is_last=True)


def with_link_attributes(value: Linked, columns: Mapping[str, Column]) -> Linked:
    """The value with these attributes of its links and no others."""
    if isinstance(value, Mesh):
        return replace(value, face_attributes=columns)
    assert isinstance(value, (Graph, Skeleton))
    return replace(value, edge_attributes=columns)


def free_name(name: str, taken: Collection[str]) -> str:
    """A name of an attribute, with a number behind it where others have it already."""
    names = [name, *(f"{name}_{number}" for number in range(1, len(taken) + 1))]
    return next(one for one in names if one not in taken)


def weights_of(column: Column | None) -> IntArray | None:
    """``(n,)`` int64 what rows stand for; None where nothing tells.

    Raises:
        CorruptionError: It is told of some of them only.
    """
    if column is not None and np.ma.is_masked(column):
        raise CorruptionError(
            "some vertices or links of a coarser level do not say what they stand for",
            hint="remove the coarser levels, and build the pyramid anew",
        )
    return None if column is None else np.asarray(column).astype(np.int64)


def object_tables(tables: LevelTables) -> ObjectTables:
    """The tables of a level, as a writer takes them."""
    order = np.argsort(tables.ids, kind="stable")
    return ObjectTables(
        ids=tables.ids[order],
        attributes={name: column[order] for name, column in tables.attributes.items()},
        groups=dict(enumerate(tables.groups.members)),
        group_attributes=tables.group_attributes,
    )
