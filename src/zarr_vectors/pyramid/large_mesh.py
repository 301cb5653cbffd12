"""Meshes that are coarsened block by block.

Where a vertex lies follows from its block and the faces at it. Which faces stay, and which vertices stand for those
whose faces are all gone, does not: a byte for each coarse vertex tells what becomes of it, and the way from vertices
that are gone to those that stand for them may lead through any number of blocks. So all that are gone are looked at
at once, but no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from zarr_vectors.geometry import Column, Mesh, take_column
from zarr_vectors.pyramid.coarse import Coarse, bin_numbers
from zarr_vectors.pyramid.faces import as_triangles, corners_of_wide, sheets_staying, wound
from zarr_vectors.pyramid.large import CoarseLinks, Large, bucket_numbers
from zarr_vectors.pyramid.large_mesh_tasks import (
    AttributeTask,
    FaceTask,
    GatheredFaces,
    Guests,
    MergeTask,
    MeshErrorTask,
    PlaceTask,
)
from zarr_vectors.pyramid.lost import settle
from zarr_vectors.pyramid.mesh import Surface
from zarr_vectors.pyramid.reach import Incidence
from zarr_vectors.pyramid.scratch import Buckets, RecordColumns, Spool
from zarr_vectors.query.values import find_rows
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["LargeMesh"]

_FULL, _WIDE, _FACED, _BARE, _STAYS = 1, 2, 4, 8, 16
"""Of a coarse vertex: it has a face that is not of a thin sheet; it is a corner of more than a single vertex that
sticks out of one; it has a face; it stands for a vertex that had none before; it stays."""
_BATCH_ROWS = 1 << 20


class LargeMesh(Large):
    """A mesh that is coarsened block by block."""

    def __post_init__(self) -> None:
        super().__post_init__()
        number, corners = np.dtype(np.int64), np.dtype(("i8", (3,)))
        self._flags = Spool(self.folder / "flags", np.dtype(np.uint8))
        self._corners = Buckets(self.folder / "corners", corners)
        self._columns, dtype = self.link_records()
        self._faces = Buckets(self.folder / "faces", dtype)
        self._merged_columns = RecordColumns(self.merged_model())
        self._record = np.dtype([("corners", "i8", (3,)), ("count", "i8"), *self._merged_columns.fields()])
        self._merged = Spool(self.folder / "merged", self._record)
        self._thin = Spool(self.folder / "thin", self._record)
        self._final = Spool(self.folder / "final", number)
        self._guests: Buckets | None = None
        self._guest_columns = RecordColumns()
        self._kept = [0]
        self._final_places = Spool(self.folder / "final-places", self.places.dtype, self.places.row_shape)
        self._final_faces = Spool(self.folder / "final-faces", number, (3,))
        self._at = Buckets(self.folder / "at", np.dtype(("i8", (2,))))
        self._groups = self.ids
        self._weighted = False
        self._order: dict[int, IntArray] = {}

    def vertices(self) -> Iterator[Coarse]:
        """As of ``Large``."""
        for _ in self.read_vertices(contracts=False):
            pass
        self._flags.fill(self.firsts[-1])
        self._scatter()
        self._place()
        self._merge()
        self._settle()
        self._invite()
        yield from self._emit()

    # Faces

    def _scatter(self) -> None:
        """Write faces to the files of the blocks that they touch, and those between clusters to other files, too."""
        labels, count = self.labels.rows(), self.bucket_count()
        for ends, columns, weights in self.read_links():
            faces, polygons = as_triangles(ends)
            one, two, three = (np.searchsorted(np.asarray(self.starts), faces.T, side="right") - 1).astype(np.int64)
            for touched, there in ((one, None), (two, two != one), (three, (three != one) & (three != two))):
                rows = slice(None) if there is None else there
                self._corners.add(faces[rows], touched[rows])
            coarse = np.sort(labels[faces], axis=1)
            rows = np.flatnonzero((coarse[:, 0] != coarse[:, 1]) & (coarse[:, 1] != coarse[:, 2]))
            given = rows if polygons is None else polygons[rows]
            records = np.empty(len(rows), dtype=self._faces.dtype)
            records["ends"] = faces[rows]
            records["weight"] = 1 if weights is None else weights[given]
            self._weighted |= weights is not None
            self._columns.put(records, {name: take_column(column, given) for name, column in columns.items()})
            self._faces.add(records, bucket_numbers([coarse[rows]], count))

    def _merge(self) -> None:
        """Faces with the same corners become one; those of thin sheets stay where they must."""
        count = self.bucket_count()
        flags = self._flags.rows()
        for number, found in enumerate(self.crew.in_order(self._face_task(number) for number in range(count))):
            corners = self._order.pop(number)[found.corners]
            records = self._as_records(corners, found)
            full = found.net != 0
            records["corners"][found.net < 0] = corners[found.net < 0][:, [0, 2, 1]]
            self._merged.append(records[full])
            flags[corners[full]] |= _FULL
            self._thin.append(records[~full])
        for records in self._thin.batches(_BATCH_ROWS):
            distinct, local = _compact(records["corners"])
            flags[distinct[corners_of_wide(local, flags[distinct] & _FULL == 0)]] |= _WIDE
        for records in self._thin.batches(_BATCH_ROWS):
            distinct, local = _compact(records["corners"])
            alone, wide = flags[distinct] & _FULL == 0, flags[distinct] & _WIDE > 0
            stay = sheets_staying(local, alone, wide)
            left = records[stay]
            net = np.zeros(len(left), dtype=np.int64)
            left["corners"] = distinct[wound(local[stay], net, self.places.rows()[distinct])]
            self._merged.append(left)
        for records in self._merged.batches(_BATCH_ROWS):
            flags[records["corners"]] |= _FACED

    def _face_task(self, number: int) -> FaceTask:
        records = self._faces.take(number)
        fine = np.ascontiguousarray(records["ends"])
        self._order[number], corners = self.ranked(self.labels.rows()[fine])
        places = np.zeros((len(fine), 0))
        if self.needs_places():
            places = self.positions.rows()[fine].astype(np.float64).mean(axis=1)
        return FaceTask(corners, places, records, self._columns, self._weighted, self.policy)

    def _as_records(self, corners: IntArray, found: GatheredFaces) -> AnyArray:
        records = np.empty(len(corners), dtype=self._record)
        records["corners"], records["count"] = corners, found.counts
        self._merged_columns.put(records, found.columns)
        return records

    # Places

    def _place(self) -> None:
        """Where the vertex of each cluster lies."""
        flags = self._flags.rows()
        tasks = (self._place_task(block) for block in range(len(self.blocks)))
        for first, (places, bare) in zip(self.firsts[:-1], self.crew.in_order(tasks), strict=True):
            self.places.append(places)
            flags[first : first + len(bare)][bare] |= _BARE

    def _place_task(self, block: int) -> PlaceTask:
        start, end = self.starts[block], self.starts[block + 1]
        first, count = self.firsts[block], self.firsts[block + 1] - self.firsts[block]
        faces = self._corners.read(block)
        far = np.unique(faces[(faces < start) | (faces >= end)])
        labels, positions = self.labels.rows(), self.positions.rows()
        inside = labels[start:end]
        local = np.where(inside >= 0, inside - first, count)
        ids = self.ids.rows()
        objects = np.concatenate([ids[np.maximum(inside, 0)], ids[labels[far]]]) if len(ids) else inside
        own = np.flatnonzero(inside >= 0)
        beyond = end - start + np.searchsorted(far, faces)
        surface = Surface(
            np.concatenate([positions[start:end], positions[far]]),
            np.where((faces >= start) & (faces < end), faces - start, beyond),
            np.concatenate([local, np.full(len(far), count, dtype=np.int64)]),
            objects,
            own,
        )
        weights = None if self.weights is None else self.weights.rows()[start:end][own]
        return PlaceTask(surface, weights, self.policy.bins)

    # What stands for what

    def _settle(self) -> None:
        """Which clusters stay, and which of these stands for each of the others."""
        flags, ids = self._flags.rows(), self._number_groups().rows()
        parts = [slice(first, first + _BATCH_ROWS) for first in range(0, len(flags), _BATCH_ROWS)]
        faced = np.unique(np.concatenate([np.unique(ids[part][flags[part] & _FACED > 0]) for part in parts]))
        for part in parts:
            stay = (flags[part] & (_FACED | _BARE) > 0) | ~np.isin(ids[part], faced)
            flags[part][stay] |= _STAYS
        gone = np.concatenate([part.start + np.flatnonzero(flags[part] & _STAYS == 0) for part in parts])
        stands = self._stand_ins(gone) if len(gone) else gone
        flags[gone[stands == gone]] |= _STAYS
        final = self._final.fill(len(flags))
        for first, last in zip(self.firsts[:-1], self.firsts[1:], strict=True):
            stay = flags[first:last] & _STAYS > 0
            final[first:last] = self._kept[-1] + np.cumsum(stay) - 1
            self._kept.append(self._kept[-1] + int(stay.sum()))
        left = stands != gone
        self._gone, self._stands = gone[left], stands[left]
        final[self._gone] = final[self._stands]

    def _number_groups(self) -> Spool:
        """A number for each cluster that is the same for those of one object, and of one place before the spatial axes.

        No vertex of another stands for one that is gone.
        """
        if self.leads is None:
            return self._groups
        self._groups = Spool(self.folder / "groups", np.dtype(np.int64))
        ids, leads = self.ids.rows(), self.leads.rows()
        parts = [slice(first, first + _BATCH_ROWS) for first in range(0, len(ids), _BATCH_ROWS)]
        known = np.zeros((0, 2), dtype=np.int64)
        for part in parts:
            known = np.unique(np.concatenate([known, np.stack([ids[part], leads[part]], axis=1)]), axis=0)
        for part in parts:
            self._groups.append(find_rows(known, np.stack([ids[part], leads[part]], axis=1)))
        return self._groups

    def _stand_ins(self, gone: IntArray) -> IntArray:
        """What stands for each of some clusters that have lost their faces."""
        flags, ids, labels = self._flags.rows(), self._groups.rows(), self.labels.rows()
        pairs = [np.zeros((0, 2), dtype=np.int64)]
        for block in range(len(self.blocks)):
            corners = labels[self._corners.read(block)]
            corners = corners[(flags[corners] & _STAYS == 0).any(axis=1)]
            sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
            sides = sides[(ids[sides[:, 0]] == ids[sides[:, 1]]) & (sides[:, 0] != sides[:, 1])]
            pairs.append(np.unique(np.sort(sides, axis=1), axis=0))
        links = np.concatenate(pairs)
        known, _ = self.ranked(np.concatenate([gone, links.ravel(), self._beside(gone)]))
        sort = np.argsort(known)
        local = sort[np.searchsorted(known, links, sorter=sort)]
        objects = np.cumsum(np.diff(ids[known], prepend=ids[known[0]]) != 0)
        stay = flags[known] & _STAYS > 0
        stands = settle(stay, local, objects, bin_numbers(self.places.rows()[known], self.policy.bins))
        found: IntArray = known[stands[sort[np.searchsorted(known, gone, sorter=sort)]]]
        return found

    def _beside(self, gone: IntArray) -> IntArray:
        """The clusters that stay nearest before and after each of some that do not, in the order of ``ranked``."""
        flags = self._flags.rows()
        found = np.zeros(0, dtype=np.int64)
        for first in range(0, len(flags), _BATCH_ROWS):
            some = first + np.flatnonzero(flags[first : first + _BATCH_ROWS] & _STAYS)
            order, _ = self.ranked(np.concatenate([some, found, gone]))
            stays = flags[order] & _STAYS > 0
            at = np.arange(len(order))
            before = np.maximum.accumulate(np.where(stays, at, -1))[~stays]
            after = np.minimum.accumulate(np.where(stays, at, len(order))[::-1])[::-1][~stays]
            found = order[np.unique(np.concatenate([before[before >= 0], after[after < len(order)]]))]
        return found

    # Vertices

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for name in self.finer.names if name != self.finer.counts)

    def _invite(self) -> None:
        """Bring vertices to the blocks of what stands for them, where that is another than their own."""
        own, other = self.blocks_of(self._gone), self.blocks_of(self._stands)
        across = own != other
        away = self._gone[across]
        guests: Buckets | None = None
        tasks = []
        for block in np.unique(own[across]).tolist():
            labels = self.labels.rows()[self.starts[block] : self.starts[block + 1]]
            rows = np.flatnonzero(np.isin(labels, away))
            tasks.append(AttributeTask(self.reader, self.blocks[block], self._names, rows))
        read = self.crew.in_order(tasks) if self._names else iter([{}] * len(tasks))
        for block, task, columns in zip(np.unique(own[across]).tolist(), tasks, read, strict=True):
            numbers = self.starts[block] + task.rows
            if guests is None:
                self._guest_columns = RecordColumns(_emptied(columns))
                dtype = np.dtype([("number", "i8"), *self._guest_columns.fields()])
                guests = self._guests = Buckets(self.folder / "guests", dtype)
            records = np.empty(len(numbers), dtype=guests.dtype)
            records["number"] = numbers
            self._guest_columns.put(records, columns)
            final = self._final.rows()[self.labels.rows()[numbers]]
            guests.add(records, np.searchsorted(np.asarray(self._kept), final, side="right") - 1)

    def _emit(self) -> Iterator[Coarse]:
        """The coarse vertices of each block."""
        model, flags = self.merged_model(), self._flags.rows()
        blocks = [block for block in range(len(self.blocks)) if self._kept[block] < self._kept[block + 1]]
        tasks = (self._merge_task(block) for block in blocks)
        for block, (columns, counts) in zip(blocks, self.crew.in_order(tasks), strict=True):
            first, last = self.firsts[block], self.firsts[block + 1]
            kept = first + np.flatnonzero(flags[first:last] & _STAYS)
            if self.leads is not None and self.finer.lead is not None:
                columns[self.finer.lead] = self.leads.rows()[kept]
            value = Mesh(
                self.places.rows()[kept],
                np.zeros((0, 3), dtype=np.int64),
                attributes=columns,
                face_attributes=model,
                object_ids=self.ids.rows()[kept],
            )
            self._final_places.append(value.positions)
            none = np.zeros(0, dtype=np.int64)
            value = replace(value, axes=self.finer.root.axes)
            yield Coarse(value=value, parents=none, counts=counts, link_counts=none)

    def _merge_task(self, block: int) -> MergeTask:
        start, base, end = self.starts[block], self._kept[block], self._kept[block + 1]
        parents = self.stand_ins(block)
        rows = np.flatnonzero((parents >= base) & (parents < end))
        records = None if self._guests is None else self._guests.take(block)
        numbers = np.zeros(0, dtype=np.int64) if records is None else np.ascontiguousarray(records["number"])
        columns = {} if records is None else self._guest_columns.take(records)
        read = AttributeTask(self.reader, self.blocks[block], self._names, rows) if self._names else None
        guests = self._members(numbers, base, columns)
        return MergeTask(read, self._members(start + rows, base, {}), guests, self.policy)

    def _members(self, numbers: IntArray, base: int, columns: dict[str, Column]) -> Guests:
        parents = self._final.rows()[self.labels.rows()[numbers]] - base
        weights = None if self.weights is None else self.weights.rows()[numbers]
        return Guests(parents, self.positions.rows()[numbers], weights, columns)

    def stand_ins(self, block: int) -> IntArray:
        """As of ``Large``."""
        labels = self.labels.rows()[self.starts[block] : self.starts[block + 1]]
        found: IntArray = np.where(labels >= 0, self._final.rows()[np.maximum(labels, 0)], -1)
        return found

    # What comes after the vertices

    def links(self) -> Iterator[CoarseLinks]:
        """As of ``Large``."""
        final, ids = self._final.rows(), self.ids.rows()
        for records in self._merged.batches(_BATCH_ROWS):
            corners = np.ascontiguousarray(records["corners"])
            ends = final[corners]
            own = ends[(ids[corners] == ids[corners[:, :1]]).all(axis=1)]
            faces = len(self._final_faces) + np.arange(len(own))
            self._final_faces.append(own)
            for corner in own.T:
                block = np.searchsorted(np.asarray(self._kept), corner, side="right") - 1
                self._at.add(np.stack([corner, faces], axis=1), block)
            counts = np.ascontiguousarray(records["count"])
            yield CoarseLinks(ends, self._merged_columns.take(records), counts)

    def error(self) -> float:
        """As of ``Large``."""
        return self.farthest(partial(self._error_task, self._incidence()))

    def _incidence(self) -> Incidence:
        """The faces at each coarse vertex, in files."""
        number = np.dtype(np.int64)
        links = Spool(self.folder / "faces-at", number)
        counts = Spool(self.folder / "face-counts", number)
        starts = Spool(self.folder / "face-starts", number)
        for block, (base, end) in enumerate(zip(self._kept[:-1], self._kept[1:], strict=True)):
            pairs = self._at.take(block)
            each = np.bincount(pairs[:, 0] - base, minlength=end - base)
            starts.append(len(links) + np.cumsum(each) - each)
            counts.append(each)
            links.append(pairs[np.argsort(pairs[:, 0], kind="stable"), 1])
        return Incidence(links.rows(), starts.rows(), counts.rows())

    def _error_task(self, at: Incidence, block: int, least: float) -> MeshErrorTask:
        """The vertices of a block, with the faces at what stands for them and at its neighbours."""
        found = self.stand_ins(block)
        fine = np.flatnonzero(found >= 0)
        parents, all_faces = found[fine], self._final_faces.rows()
        own = np.unique(parents)
        near = np.union1d(own, all_faces[at.expand(own)[1]])
        faces = all_faces[np.unique(at.expand(near)[1])]
        known = np.union1d(own, faces)
        return MeshErrorTask(
            self.positions.rows()[self.starts[block] + fine],
            np.searchsorted(known, parents),
            self._final_places.rows()[known],
            np.searchsorted(known, faces),
            self.policy.bins,
            least,
        )


def _compact(corners: AnyArray) -> tuple[IntArray, IntArray]:
    """The distinct corners, and the place of each among them."""
    distinct, local = np.unique(corners, return_inverse=True)
    return distinct, local.reshape(corners.shape)


def _emptied(columns: dict[str, Column]) -> dict[str, Column]:
    return {name: take_column(column, slice(0, 0)) for name, column in columns.items()}
