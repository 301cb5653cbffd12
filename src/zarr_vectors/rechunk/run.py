"""Rechunking: read all levels, decide on bins and grids, and publish all that changes as one commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.exceptions import ConventionError, InputError, StoreExistsError
from zarr_vectors.metadata.root import divides
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.rechunk.binning import Binning, plan_bins
from zarr_vectors.rechunk.level import LevelJob, check_level
from zarr_vectors.rechunk.levels import LevelsJob
from zarr_vectors.rechunk.root import new_root_document
from zarr_vectors.rechunk.spec import COARSER, DROP, KEEP, RechunkSpec
from zarr_vectors.rechunk.target import coarse_chunk_shape, new_chunk_shape
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.storage import ROOT, Batch, Put, Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.types.temporary import scratch_folder
from zarr_vectors.typing import JsonObject

__all__ = ["rechunk_store"]

_COPY_OBJECTS = 32


def rechunk_store(
    store_path: StoreLike, spec: RechunkSpec, output: StoreLike | None = None, coarser: str = KEEP
) -> dict[str, Any]:
    """Cut a store into other chunks; ``zarr_vectors.rechunk`` says how."""
    if not isinstance(spec, RechunkSpec):
        raise InputError("spec must be a RechunkSpec", got=type(spec).__name__)
    spec.check()
    if coarser not in COARSER:
        raise InputError("coarser is not known", got=repr(coarser), expected=f"one of {', '.join(COARSER)}")
    source = Storage(open_backend(store_path, read_only=output is not None))
    target = source if output is None else Storage(open_backend(output))
    with ExitStack() as stack:
        if output is None:
            stack.enter_context(source.lock())
        elif target.backend.exists(ROOT):
            raise StoreExistsError(
                "there is already something here", store=target.url, hint="choose another output, or remove it"
            )
        folder = Path(stack.enter_context(scratch_folder()))
        root, documents = open_root(source, ["0/zarr.json"])
        numbers = level_numbers(source, root.attributes)
        kept = [number for number in numbers if not number or coarser != DROP]
        levels = [open_level(source, root, number, documents["0/zarr.json"] if not number else None) for number in kept]
        place = store_path if output is None else output
        job = _Job.of(source, target, root, levels, spec, coarser, folder)
        job.dropped = [number for number in numbers if number not in kept]
        job.place = str(place) if isinstance(place, (str, PathLike)) else target.url
        return job.run()


@dataclass
class _Job:
    """One rechunking."""

    source: Storage
    target: Storage
    root: RootState
    spec: RechunkSpec
    work: LevelsJob
    place: str = ""
    dropped: list[int] | tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        source: Storage,
        target: Storage,
        root: RootState,
        levels: list[LevelState],
        spec: RechunkSpec,
        coarser: str,
        folder: Path,
    ) -> _Job:
        """Look at all that can be refused before any vertex is read."""
        kind = kind_of_types(root.metadata.geometry_types, source.url)
        for level in levels:
            check_level(source, level, kind)
        tables = [read_level_tables(source, level) for level in levels]
        shape = new_chunk_shape(root, levels[0], spec.spatial_chunk_shape)
        root = _with_stated_bins(root, shape) if len(levels) > 1 else root
        binning = plan_bins(source, levels[0], tables[0], spec)
        new_root = replace(root, metadata=root.metadata.replace(chunk_shape=shape))
        jobs = {}
        for level, known in zip(levels, tables, strict=True):
            jobs[level.number] = LevelJob(
                source=source,
                root=new_root,
                level=level,
                kind=kind,
                tables=known,
                binning=_binning(binning, level, coarser) if level.number else binning,
                chunk_shape=coarse_chunk_shape(root, level, shape) if level.number else shape,
                folder=folder / str(level.number),
                axis=(spec.by, spec.dimension_name),
            )
        return cls(source, target, root, spec, LevelsJob(source, jobs, folder))

    def run(self) -> dict[str, Any]:
        """Read everything, then write."""
        self.work.read()
        self.work.plan()
        last = self.work.index_of(self.target)
        if self.target is self.source:
            gone = [key for number in self.dropped for key in self.source.list_keys(str(number), recursive=True)]
            deletes = [*self.work.deletes(), *gone]
            self.source.commit(Batch(puts=self.work.puts(), root=self._root_document, deletes=deletes, last=last))
        else:
            self.target.commit(Batch(puts=self._whole(), root=self._root_document, last=last, must_be_new=True))
        return self._report()

    def _root_document(self) -> JsonObject:
        packings = [rewrite.packing for rewrite in self.work.rewrites.values() if rewrite.packing is not None]
        document = new_root_document(
            self.root,
            self.work.levels[0].chunk_shape,
            dropped=self.dropped,
            packings=packings,
            keeps_links=self.work.has_links,
            names=(self.source.name, self.target.name),
        )
        return self.work.root_document(document)

    def _whole(self) -> Iterator[Put]:
        """What is written anew, then everything else of the source as it is."""
        written = {ROOT, *self.work.deletes()}
        for put in self.work.puts():
            written.add(put[0])
            yield put
        gone = tuple(f"{number}/" for number in self.dropped)
        every = self.source.list_keys("", recursive=True)
        rest = [key for key in every if key not in written and not key.startswith(gone)]
        for start in range(0, len(rest), _COPY_OBJECTS):
            found = self.source.fetch(Get(key) for key in rest[start : start + _COPY_OBJECTS])
            for get, data in found.items():
                if data is not None:
                    yield get.path, data

    def _report(self) -> dict[str, Any]:
        names = [axis.name for axis in self.root.axes]
        job = self.work.levels[0]
        binning, found = job.binning, job.found
        return {
            "objects_rechunked": len(job.tables.ids),
            "bins_created": int(found.used.sum()) if binning.has_axis else 1,
            "output_path": self.place,
            "total_vertices": found.count,
            "rechunk_dims": [self.spec.dimension_name, *names] if binning.has_axis else names,
            "objects_in_several_bins": binning.in_several,
            "objects_in_no_bin": binning.in_none,
            "links_left_out": self.work.left_out,
            "levels_rechunked": list(self.work.levels),
            "levels_dropped": list(self.dropped),
        }


def _with_stated_bins(root: RootState, shape: tuple[float, ...]) -> RootState:
    """The root with bins that stay when chunks, which are its bins where it states none, become larger.

    Those of coarser levels are multiples of them.
    """
    old = tuple(root.metadata.chunk_shape)
    if root.metadata.base_bin_shape is not None or shape == old or not divides(shape, old):
        return root
    return replace(root, metadata=root.metadata.replace(base_bin_shape=old))


def _binning(binning: Binning, level: LevelState, coarser: str) -> Binning:
    """The bins of a coarser level: those of level 0, or none.

    Raises:
        ConventionError: The level does not tell what belongs to which bin.
    """
    if not binning.has_axis or coarser != KEEP:
        return Binning(count=0, has_axis=False)
    what = None
    if binning.by_vertex:
        what = f"chunks of the vertex attribute {binning.attribute!r} are told apart at level 0 alone"
    elif not level.has_objects and constants.FRAGMENT_OWNER not in level.cells and len(level.vertices.present):
        what = "the level has no objects, which the bins are of"
    if what is not None:
        raise ConventionError(
            f"level {level.number} cannot be cut as level 0: {what}",
            store=level.store,
            hint="pass coarser='spatial' to cut coarser levels by space alone, or coarser='drop'",
        )
    return binning
