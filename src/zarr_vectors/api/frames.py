"""A level as a data frame of dask, of which each partition is read when it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import numpy as np

from zarr_vectors.api.asked import Asked
from zarr_vectors.api.readable import BLOCK_ROWS, block_begins
from zarr_vectors.api.reading import LevelReading
from zarr_vectors.api.tables import TabularLevel
from zarr_vectors.exceptions import ConcurrentEditError, InputError
from zarr_vectors.geometry.interchange.frames import data_frame, empty_frame, lazy_frame
from zarr_vectors.geometry.interchange.tables import LINES, VERTICES
from zarr_vectors.optional import require
from zarr_vectors.query.geometry import objects_selected
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.rows import selected_cells, wanted_refs
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.sizes import chunk_sizes
from zarr_vectors.query.where import narrow_cells
from zarr_vectors.typing import IntArray

__all__ = ["FramedLevel"]

_CHUNKS, _IDS = "chunks", "object_ids"


class FramedLevel(LevelReading, TabularLevel):
    """A level as a data frame that is read part by part, by other processes or machines if need be."""

    def to_dask(
        self, bbox: Any = None, *, table: str | None = None, block_rows: int = BLOCK_ROWS, **selection: Any
    ) -> Any:
        """What is selected as a ``dask.dataframe.DataFrame``; only indexes are read before it is computed.

        A partition is a batch of chunks; of lines, and where objects are selected, a batch of whole objects. What a
        place cuts out of connected geometry, or a condition on its edges or faces selects, is one partition. Rows are
        numbered from 0 in each partition, and columns are those of ``Geometry.to_pandas``.

        Args:
            bbox: As in ``read``.
            table: ``"vertices"``, or of lines ``"lines"``, their default.
            block_rows: About how many vertices a partition has; a chunk, or an object, is not split.
            selection: As in ``read``: ``object_ids``, ``group_ids``, ``where``, ``near``, ``within``, ``attributes``,
                ``mode``, but not ``"clip"``.

        Raises:
            InputError: There is no such table, two of its columns have one name, or what ``read`` would refuse.
            MissingDependencyError: dask, pandas or pyarrow is not installed.

        While it is computed: what ``read`` raises, and ``ConcurrentEditError`` when the store has changed since.

        Example:
            >>> import zarr_vectors as zv
            >>> cloud = zv.Points([[0.0, 1.0], [5.0, 2.0]], attributes={"w": [1.5, 2.5]})
            >>> _ = zv.write("memory://level-dask-doc", cloud, layout=zv.Layout(chunk_shape=4))
            >>> frame = zv.open("memory://level-dask-doc")[0].to_dask(block_rows=1)
            >>> frame.npartitions, float(frame["w"].sum().compute())
            (2, 4.0)
        """
        require("dask.dataframe")
        asked = Asked(bbox=bbox, **selection)
        _check(asked)
        return self._whole(lambda: self._lazily(asked, table, block_rows))

    def _lazily(self, asked: Asked, table: str | None, block_rows: int) -> Any:
        chosen, how = self._selected(asked), asked.plan(self._root, self.kind)
        none = np.zeros((0, self._state.vertices.ndim), dtype=np.int64)
        first = self.read_chunks(none, attributes=asked.attributes)
        name = first.default_table if table is None else table
        known = [VERTICES, *([LINES] if how.connects == "sequence" else [])]
        if name not in known:
            raise InputError(
                f"there is no lazy table {name!r}",
                expected=f"one of {', '.join(map(repr, known))}",
                hint="what is read at once has the others: level.read().to_dask(...)",
            )
        by, parts = self._batches(chosen, how, block_rows)
        if by == _IDS:
            # The ids are those of the groups too.
            asked = replace(asked, group_ids=None)
        part = _Part(self._frame, asked, by, name, self._root.seen)
        if self._state.keeps_count or not len(parts[0]):
            meta = empty_frame(self._rows(first, name, False, 0), self._with_gaps(name))
        else:
            # Other writers state widths of rows that are not true.
            meta = part(parts[0]).iloc[:0]
        return lazy_frame(replace(part, types=meta.dtypes.to_dict()), parts, meta)

    def _batches(self, selection: Selection, plan: ReadPlan, block_rows: int) -> tuple[str | None, list[IntArray]]:
        """By what partitions are told apart, None for a single one; and what each is of, at least one."""
        points, places = plan.connects == "nothing", selection.places_asked
        none = np.zeros(0, dtype=np.int64)
        cut = places and plan.mode == ("objects" if points else "vertices")
        if cut or selection.link_condition is not None:
            return None, [none]
        if selection.by_object or plan.connects == "sequence" or (places and not points):
            if not self.has_objects:
                return None, [none]
            ids = self._ids_of(selection, plan)
            per_object = max(1, self.vertex_count // max(1, self.object_count))
            begins = block_begins(np.full(len(ids), per_object), block_rows)
            return _IDS, np.split(ids, begins[1:])
        if points and plan.offset is None:
            coords = selected_cells(self._storage, self._state, selection)
        else:
            coords = narrow_cells(self._state.vertices.present, selection)
        sizes = chunk_sizes(self._storage, self._state, coords)
        return _CHUNKS, np.split(coords, block_begins(sizes, block_rows)[1:])

    def _ids_of(self, selection: Selection, plan: ReadPlan) -> IntArray:
        if plan.connects != "nothing":
            return objects_selected(self._storage, self._state, selection, plan)
        refs = wanted_refs(self._storage, self._state, selection)
        return np.zeros(0, dtype=np.int64) if refs is None else refs.asked

    def _with_gaps(self, table: str) -> list[str]:
        """Columns of which values are missing in some partitions perhaps, where their dtype has no room for that."""
        if table == LINES:
            return [name for name, column in self.objects.attributes.items() if np.ma.is_masked(column)]
        state = self._state
        arrays = {name: state.cells[state.column_path(name)] for name in state.row_columns}
        return [name for name, array in arrays.items() if not array.has_all_of(state.vertices)]

    def _frame(self, asked: Asked, table: str, seen: frozenset[bytes]) -> Any:
        """One partition."""
        value = self._values_asked(asked)
        if self._root.seen != seen:
            raise ConcurrentEditError(
                "the store was changed while it was read block by block",
                store=self._storage.url,
                hint="make the data frame of dask anew",
            )
        return data_frame(self._rows(value, table, False, 0))


@dataclass(frozen=True)
class _Part:
    """Reads a partition.

    Args:
        frame: What reads it.
        asked: What to read, but for ``by``.
        by: Which part of that the units are; None for all.
        table: Of which table the rows are.
        seen: The state of the store that is meant.
        types: Dtypes of the columns where they are known.
        token: What dask knows it by.
    """

    frame: Callable[[Asked, str, frozenset[bytes]], Any]
    asked: Asked
    by: str | None
    table: str
    seen: frozenset[bytes]
    types: dict[str, Any] = field(default_factory=dict)
    token: str = field(default_factory=lambda: uuid4().hex)

    def __call__(self, units: IntArray) -> Any:
        given: dict[str, Any] = {} if self.by is None else {self.by: units}
        asked = replace(self.asked, **given)
        return self.frame(asked, self.table, self.seen).astype(self.types)

    def __dask_tokenize__(self) -> str:
        return self.token


def _check(asked: Asked) -> None:
    if asked.limit is not None or asked.chunks is not None:
        raise InputError("to_dask reads all that is selected", hint="take some of it with head")
    if asked.mode == "clip":
        raise InputError("what is cut has new vertices, and comes at once", hint='level.read(mode="clip").to_dask()')
    if not asked.strict:
        raise InputError("a data frame cannot tell what is missing from it", hint="level.read(strict=False).to_dask()")
