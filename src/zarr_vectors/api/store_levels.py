"""What an open store does with its resolution levels: make them, make them anew, choose one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np

from zarr_vectors import api, constants, pyramid
from zarr_vectors.api.level import ZVLevel
from zarr_vectors.exceptions import InputError, ReadOnlyError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.index_level import index_levels

if TYPE_CHECKING:
    from zarr_vectors.rechunk.vacuum import VacuumReport

__all__ = ["StoreLevels"]


class StoreLevels(ABC):
    """The levels of a store."""

    _storage: Storage
    _first: ZVLevel
    _levels: dict[int, ZVLevel]

    @abstractmethod
    def __getitem__(self, number: int) -> ZVLevel: ...

    @abstractmethod
    def __iter__(self) -> Iterator[ZVLevel]: ...

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
        executor: Executor | None = None,
    ) -> pyramid.PyramidReport:
        """Make coarser levels, each a whole data set of the store's kind and a commit of its own.

        Points of a bin become one. Polylines are simplified, their ends stay; so are the chains of skeletons, whose
        branch points and ends stay and whose short twigs go. Vertices of graphs and meshes are joined bin by bin, with
        the edges and faces between them. What a level does not say otherwise is carried: objects, their attributes
        and groups, attributes of vertices and links, units. Where vertices are merged, an attribute ``count`` tells
        how many vertices of level 0 each stands for.

        Args:
            factors: For each level from 1 on ``(factor, sparsity)``: how many times larger its bins are than those of
                the level before, and of how many objects, where there are some, it keeps one. None for as many levels
                as it takes until the last has at most 100,000 vertices; the bins of level 0 then lie near the spacing
                of its vertices.
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
            executor: Who reads and coarsens the pieces of a level: any ``concurrent.futures.Executor``, a few threads
                by default. Processes open the store for themselves, so it must not lie in memory; what is made is the
                same, byte for byte.

        Returns:
            What was made, level by level, with the error of each.

        Raises:
            InputError: The store has no vertices, something is asked for that cannot be meant, or the executor's
                processes cannot open the store.
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
            executor=executor,
        )
        try:
            return pyramid.build_levels(self._storage, options)
        finally:
            self._reopen()

    def refresh_pyramid(
        self,
        *,
        force: bool = False,
        progress: pyramid.PyramidProgress | None = None,
        executor: Executor | None = None,
    ) -> pyramid.PyramidReport:
        """Make levels anew that appended vertices have made stale, as they were made before.

        Args:
            force: All coarser levels, stale or not.
            progress, executor: As of ``build_pyramid``.

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
            options = pyramid.PyramidOptions(progress=progress, executor=executor)
            return pyramid.refresh_levels(self._storage, options, force=force)
        finally:
            self._reopen()

    def index(self, levels: Sequence[int] | None = None) -> dict[int, int]:
        """Make the cell index anew, which tells queries what to leave out.

        Every write of this library keeps it; what other software has changed since is read without its help until it is
        made anew. All vertices and attributes are read for that, some chunks at a time.

        Args:
            levels: Of these levels only.

        Returns:
            Chunks by level.

        Raises:
            StoreError: The place does not tell when its objects are written: memory, Icechunk, zip files.
            StoreNotFoundError: There is no such level.
            ReadOnlyError: The store was opened for reading, or is published.

        Example:
            >>> import tempfile
            >>> import zarr_vectors as zv
            >>> place = tempfile.mkdtemp() + "/store"
            >>> _ = zv.write(place, zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> zv.open(place, "r+").index()
            {0: 2}
        """
        try:
            return index_levels(self._storage, levels)
        finally:
            self._reopen()

    def edit(
        self, *, out_of_bounds: str = "raise", fill: Mapping[str, Any] | None = None, refresh: bool = False
    ) -> api.Edit:
        """Edit what level 0 holds, in a ``with`` block that is one commit.

        Args:
            out_of_bounds: Positions outside the store's bounds: ``"raise"``, or ``"expand"`` the bounds.
            fill: ``{attribute: value}`` for attributes that added vertices, objects and links lack.
            refresh: Whether coarser levels are made anew after the commit; otherwise they say that they are stale.

        Raises:
            ReadOnlyError: The store was opened for reading.
            ConventionError: The store is stored in a way in which it cannot be edited, or its coarser levels could not
                follow; at the end of the block also if one of them would be left with more vertices than level 0, and
                is not to be made anew.

        Example:
            >>> import zarr_vectors as zv
            >>> lines = zv.Polylines([[[0.0, 1.0], [5.0, 2.0], [6.0, 3.0]]], ids=[7])
            >>> _ = zv.write("memory://store-edit-doc", lines)
            >>> store = zv.open("memory://store-edit-doc", "r+")
            >>> with store.edit() as e:
            ...     e.split(7, at=2).tolist()
            [8]
            >>> [line.tolist() for line in store[0].read().lines()]
            [[[0.0, 1.0], [5.0, 2.0]], [[6.0, 3.0]]]
        """

        def done() -> None:
            self._reopen()
            if refresh:
                self.refresh_pyramid()

        options = {"out_of_bounds": out_of_bounds, "fill": {} if fill is None else fill, "refresh": refresh}
        return api.Edit(self[0], options, done)

    def vacuum(self) -> VacuumReport:
        """Free the bytes of what nothing names, as one commit: what the levels hold stays as it is.

        Gone are vertices that no fragment names, as other writers leave them behind, vertices of lines that are of no
        line, and files in the folders of arrays that belong to nothing. Levels are read and written some shards at a
        time, so that memory is bounded by these.

        Returns:
            ``rows_dropped``, ``objects_dropped`` (files), ``bytes_before``, ``bytes_after`` and ``bytes_freed``, of all
            levels.

        Raises:
            ReadOnlyError: The store was opened for reading.
            ConventionError, StoreError: The store is stored in a way in which it cannot be written anew.
            CorruptionError: A cell is gone or corrupt.

        Example:
            >>> import zarr_vectors as zv
            >>> _ = zv.write("memory://vacuum-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> zv.open("memory://vacuum-doc", "r+").vacuum().rows_dropped
            0
        """
        if self._storage.read_only:
            raise ReadOnlyError(
                "the store was opened for reading", store=self._storage.url, hint="open it with mode='r+'"
            )
        try:
            return api.vacuum_store(self._storage)
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
