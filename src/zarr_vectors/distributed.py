"""Writing one store from many workers that know nothing of each other: processes, dask, Slurm jobs, cloud functions.

The coordinator makes the store (``zv.create``) and begins a job. Workers get the job, which can be pickled, and write
parts: rows that share no shard with those of other parts. Each part is a small store beside the real one, so that no
worker waits for another or touches a document of the store. The coordinator gets a receipt for each part, and
finishes: the shards of all parts become shards of the store, and presence, counts and tables of objects are merged, as
one commit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import numpy as np

from zarr_vectors import constants
from zarr_vectors.api.level import ZVLevel
from zarr_vectors.core.headers import read_headers
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.exceptions import (
    ConcurrentEditError,
    ConventionError,
    EditError,
    InputError,
    OptionError,
)
from zarr_vectors.geometry import Geometry
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.regions import Region, cut_grid
from zarr_vectors.storage.backend import Transactional
from zarr_vectors.storage.parts import JobPlace, job_place
from zarr_vectors.storage.record import open_jobs
from zarr_vectors.storage.storage import Batch, Storage
from zarr_vectors.types.conventions import stamped_conventions
from zarr_vectors.types.gather import Part, gather, without_job
from zarr_vectors.types.kinds import Kind, kind_of_types
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.parts import inside, peeked
from zarr_vectors.types.refill import Refill
from zarr_vectors.types.report import WriteReport
from zarr_vectors.types.writer import check_appendable, write_value

__all__ = ["Job", "Receipt", "Region", "begin", "jobs"]

_HEADER = "part"
"""Header of a part's store; it is written with the rows, so that a part without it is not complete."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,+-]{0,199}")
_AT_ONCE = 8


@dataclass(frozen=True)
class Receipt:
    """What is left to tell when a part has been written; to be brought to ``Job.finish``.

    Args:
        job: The job's id.
        part: The part's name.
        token: Tells this writing of the part from others.
        rows: How many were written.
    """

    job: str
    part: str
    token: str
    rows: int


@dataclass(frozen=True)
class Job:
    """Writing to one store in parts. Get it from ``begin`` or ``jobs``, and send it to workers.

    The job is open until ``finish`` or ``cancel``, whatever becomes of the process that began it: no other writer, and
    no ``repair``, removes what its workers have staged, and the rows of its parts are in the store only after
    ``finish``. Other writers may change the store in the meantime.

    Args:
        url: The store.
        id: The job's name.

    Raises:
        InputError: By ``write``, for rows that the store or the region does not take; nothing was written.

    Example:
        >>> import numpy as np, zarr_vectors as zv
        >>> layout = zv.Layout(chunk_shape=10, shard_shape=2)
        >>> _ = zv.create("memory://job-doc", bounds=([0, 0], [59, 19]), attributes={"w": "f4"}, layout=layout)
        >>> job = begin("memory://job-doc")
        >>> xy = np.random.default_rng(0).uniform([0, 0], [59, 19], (100, 2)).astype("f4")
        >>> def work(region):
        ...     mine = xy[region.contains(xy)]
        ...     return job.write(region, zv.Points(mine, attributes={"w": mine[:, 0]}))
        >>> job.finish([work(region) for region in job.regions(3)]).vertex_count
        100
        >>> zv.open("memory://job-doc")[0].vertex_count, jobs("memory://job-doc")
        (100, [])
    """

    url: str
    id: str
    _blank: Geometry = field(repr=False)
    _made: WriteOptions = field(repr=False)
    _shards: Grid = field(repr=False)
    _first: tuple[int, ...] = field(repr=False)
    _block: tuple[int, ...] = field(repr=False)
    _place: JobPlace = field(repr=False)

    def regions(self, count: int) -> list[Region]:
        """The store's bounds cut into at most so many blocks of whole shards, of about the same number.

        Args:
            count: From 1.
        """
        given: Any = count
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
            raise InputError("count must be a whole number from 1", got=repr(count))
        return [Region(self._chunks_of(box), self._chunk_shape) for box in cut_grid(self._shards, int(count))]

    @property
    def _chunk_shape(self) -> tuple[float, ...]:
        shape: Any = self._made.layout.chunk_shape
        return tuple(shape)

    def _chunks_of(self, shards: Grid) -> Grid:
        """The chunks of a block of shards, which are numbered from the first chunk of the grid."""
        return Grid(
            tuple(o + s * b for o, s, b in zip(self._first, shards.origin, self._block, strict=True)),
            tuple(n * b for n, b in zip(shards.shape, self._block, strict=True)),
        )

    def write(
        self,
        part: Region | str,
        value: Geometry | Iterable[Geometry],
        *,
        fill: Mapping[str, Any] | None = None,
        dtype: Any = None,
    ) -> Receipt:
        """Write one part; to be called by a worker.

        A part that is written again replaces what an earlier or a dead worker has written under its name.

        Args:
            part: The region that the rows lie in, which names the part; or a name of your own, for rows that lie in
                any shards that no other part has rows in.
            value: A value of the store's kind, or an iterable of values, streamed in bounded memory. Objects of points
                may have rows in several parts; lines, graphs, skeletons and meshes must lie in one part as a whole.
                Without ids, objects get ids of their own when the job is finished.
            fill: ``{attribute: value}`` for attributes that the rows lack.
            dtype: That of the store, to have positions rounded to it.

        Raises:
            InputError: Rows outside the region or the bounds, or that the store does not take. Nothing was written.
        """
        region = part if isinstance(part, Region) else None
        name: Any = part if region is None else region.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError("a part is named by letters, digits and _ . , + -", got=repr(part))
        own_ids, checked = peeked(value if region is None else inside(value, region))
        token = uuid4().hex
        self._refuse_ended(self._place.storage(read_only=True))
        storage = self._place.part(self.id, name)
        said = {"token": token, "job": self.id, "part": name, "own_ids": own_ids}
        with storage.lock():
            write_value(storage, self._blank, self._made)
            options = WriteOptions(mode="append", headers={_HEADER: said}, fill=fill or {}, dtype=dtype)
            report = write_value(storage, checked, options)
        return Receipt(self.id, name, token, report.vertex_count)

    def receipts(self) -> list[Receipt]:
        """Receipts of all parts that are complete, for when those of the workers are lost.

        Raises:
            StoreError: The place cannot list its objects.
        """
        found: list[Receipt] = []
        for name in self._place.names(self.id):
            storage = self._place.part(self.id, name, read_only=True)
            root, _ = storage.read_root()
            said = {} if root is None else read_headers(storage, root.get("attributes") or {}).get(_HEADER)
            if said:
                level = open_level(storage, open_root(storage)[0], 0)
                found.append(Receipt(self.id, name, said["token"], level.metadata.vertex_count))
        return found

    def finish(self, receipts: Iterable[Receipt]) -> WriteReport:
        """Make the rows of all parts rows of the store, as one commit, and end the job.

        Args:
            receipts: Of all parts; what was written and has none is dropped.

        Raises:
            ConcurrentEditError: Two parts, or a part and the store, have rows in one shard; a part was written again
                since its receipt; the store was changed in another way than by rows. Nothing was published, and the
                job stays open.
            InputError: Ids that exist, or that two parts have and may not share; receipts that are not of this job.
            EditError: The job has ended.
        """
        given = self._checked(receipts)
        self._refuse_ended(self._place.storage(read_only=True))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            parts = list(pool.map(self._open, given))
        storage = self._place.storage()
        with storage.lock():
            root, level = _opened(storage)
            self._refuse_ended(storage)
            report = gather(storage, root, level, parts, _kind_of(root, storage), self.id)
        self._place.sweep(self.id)
        return report

    def cancel(self) -> None:
        """End the job without its rows; what its workers have staged is removed."""
        storage = self._place.storage()
        with storage.lock():
            root, _ = _opened(storage)
            if self.id in open_jobs(root.document):
                attributes = without_job(root.attributes, self.id)
                storage.commit(Batch(puts=(), root=lambda: {**root.document, "attributes": attributes}))
        self._place.sweep(self.id)

    def _checked(self, receipts: Iterable[Receipt]) -> list[Receipt]:
        given: list[Any] = list(receipts)
        for receipt in given:
            if not isinstance(receipt, Receipt) or receipt.job != self.id:
                raise InputError("a receipt is not of this job", got=repr(receipt), expected=f"job {self.id}")
        names = [receipt.part for receipt in given]
        twice = sorted({name for name in names if names.count(name) > 1}) if len({*names}) < len(names) else []
        if twice:
            raise InputError("a part has several receipts", got=twice[:5], hint="keep the last of them")
        return given

    def _open(self, receipt: Receipt) -> Part:
        storage = self._place.part(self.id, receipt.part, read_only=True)
        root, level = _opened(storage)
        said = read_headers(storage, root.attributes).get(_HEADER) or {}
        if said.get("token") != receipt.token or level.metadata.vertex_count != receipt.rows:
            raise ConcurrentEditError(
                f"part {receipt.part!r} was written again since its receipt",
                store=self.url,
                hint="bring the receipt of its last writing, or those of job.receipts()",
            )
        within = self._place.inside(self.id, receipt.part)
        assigned = level.has_objects and not said.get("own_ids")
        return Part(receipt.part, storage, root, level, within, assigned)

    def _refuse_ended(self, storage: Storage) -> None:
        if self.id not in open_jobs(storage.read_root()[0]):
            raise EditError(
                "the job has ended: it was finished or cancelled, or the store was replaced",
                store=storage.url,
                got=self.id,
            )


def begin(
    target: str | os.PathLike[str],
    *,
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    scratch: str | os.PathLike[str] | None = None,
    scratch_options: Mapping[str, Any] | None = None,
) -> Job:
    """Begin a job: writing to a store, new or filled, in parts.

    Args:
        target: Path or URL of a store that ``zv.create`` or ``zv.write`` has made.
        backend: As in ``zv.write``; of Icechunk repositories, the end of the job is one commit to the branch.
        storage_options: As in ``zv.open``; workers use them too, and they are kept nowhere else.
        scratch: A folder or URL for what workers stage, which all of them reach; by default inside the store. Icechunk
            repositories need one. Only the places of stores can be copied from without reading and writing.
        scratch_options: ``storage_options`` of ``scratch``.

    Raises:
        InputError, ConventionError: Nothing can be appended to the store, or not in parts: coarser levels, Draco
            encoding, links in another way than the kind's, arrays in shards of different shapes.
        OptionError: A place in memory of another process, or an Icechunk repository without ``scratch``.

    Example:
        See ``Job``.
    """
    place = job_place(target, backend, storage_options, scratch, scratch_options)
    storage = place.storage()
    with storage.lock():
        root, level = _opened(storage)
        kind = _kind_of(root, storage)
        check_appendable(storage, root, level, WriteOptions(mode="append"), kind)
        _refuse_unfit(root, level, kind)
        if place.scratch is None and isinstance(storage.backend, Transactional):
            raise OptionError(
                "parts cannot be staged in an Icechunk repository",
                store=storage.url,
                hint="pass scratch, a folder or URL that all workers reach",
            )
        name = uuid4().hex
        open_now = {**open_jobs(root.document), name: {"scratch": place.scratch}}
        attributes = {**root.attributes, constants.JOBS_KEY: open_now}
        storage.commit(Batch(puts=(), root=lambda: {**root.document, "attributes": attributes}))
        return _job(place, name, storage, root, level)


def jobs(
    target: str | os.PathLike[str],
    *,
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    scratch_options: Mapping[str, Any] | None = None,
) -> list[Job]:
    """The jobs of a store that are open: those under way, and those whose coordinator has died.

    Args:
        target: Path or URL of the store.
        backend: As in ``begin``.
        storage_options: As in ``begin``.
        scratch_options: As in ``begin``.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.create("memory://jobs-doc", bounds=([0, 0], [59, 19]))
        >>> job = begin("memory://jobs-doc")
        >>> [found.id == job.id for found in jobs("memory://jobs-doc")]
        [True]
        >>> job.cancel()
        >>> jobs("memory://jobs-doc")
        []
    """
    place = job_place(target, backend, storage_options, None, scratch_options)
    storage = place.storage(read_only=True)
    root, level = _opened(storage)
    return [
        _job(replace(place, scratch=(said or {}).get("scratch")), name, storage, root, level)
        for name, said in open_jobs(root.document).items()
    ]


def _opened(storage: Storage) -> tuple[RootState, LevelState]:
    root, documents = open_root(storage, ["0/zarr.json"])
    return root, open_level(storage, root, 0, documents["0/zarr.json"])


def _kind_of(root: RootState, storage: Storage) -> Kind:
    if not root.metadata.geometry_types:
        raise ConventionError(
            "the store does not say what it will hold",
            store=storage.url,
            hint="make it with zv.create, which declares kind and attributes",
        )
    return kind_of_types(root.metadata.geometry_types, storage.url)


def _refuse_unfit(root: RootState, level: LevelState, kind: Kind) -> None:
    if level.is_draco:
        raise ConventionError(
            "positions in Draco encoding cannot be written in parts, which would be rounded differently",
            store=level.store,
            hint="write the parts to a raw store, and that one to a store in Draco encoding",
        )
    if level.takes_row_id:
        raise ConventionError(
            "the store has an attribute 'row_id' of another writer, a name that parts keep for row ids",
            store=level.store,
            hint="rename it: with store.edit() as e: e.rename('row_id', ...)",
        )
    stamped = stamped_conventions(root.metadata, kind)
    if stamped["links_convention"] != kind.links_convention:
        raise ConventionError(
            "the store keeps links in another way than its kind does by itself",
            store=level.store,
            got=stamped["links_convention"],
            expected=kind.links_convention,
            hint="append to it, one writer after another",
        )
    cuts = {(array.block, array.grid.origin) for array in level.cells.values()}
    if len(cuts) > 1:
        raise ConventionError(
            "the arrays of the store are cut into different shards", store=level.store, hint="rechunk it first"
        )


def _job(place: JobPlace, name: str, storage: Storage, root: RootState, level: LevelState) -> Job:
    made = Refill(root=root, level=level).options(WriteOptions(axes=root.axes), root.metadata.bounds)
    made = replace(made, crs=None, layout=replace(made.layout, keep_order=level.keeps_row_ids))
    array = level.vertices
    beyond = [
        (start + length + 1) * edge
        for start, length, edge in zip(array.grid.origin, array.grid.shape, level.chunk_shape, strict=True)
    ]
    blank = ZVLevel(storage, root, level).read(bbox=(beyond, beyond))
    shards = Grid((0,) * array.ndim, tuple(-(-n // b) for n, b in zip(array.grid.shape, array.block, strict=True)))
    return Job(place.url, name, blank, made, shards, tuple(array.grid.origin), tuple(array.block), place)
