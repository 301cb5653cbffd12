"""A level as a stream of Arrow batches, which DuckDB, polars and pyarrow take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import chain
from typing import Any

import numpy as np

from zarr_vectors.api.catalogue import ObjectCatalogue
from zarr_vectors.api.facts import LevelFacts
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry, Linked, Polylines
from zarr_vectors.geometry.interchange.arrow_out import record_batch, stream_of
from zarr_vectors.geometry.interchange.tables import LINES, OBJECTS, VERTICES, Table
from zarr_vectors.optional import require
from zarr_vectors.query.object_boxes import objects_of_chunks
from zarr_vectors.typing import IntArray

__all__ = ["TabularLevel"]

_BATCH_ROWS = 250_000


class TabularLevel(LevelFacts):
    """A level as tables of other libraries."""

    iter: Callable[..., Iterator[Any]]
    read_chunks: Callable[..., Any]
    read: Callable[..., Any]

    @property
    def objects(self) -> ObjectCatalogue:
        """The objects as a table: ids, attributes and groups, and what can be told of them; no geometry is read."""
        table = super().objects
        facts = {entry.name: getattr(table, entry.name) for entry in fields(table)}
        return ObjectCatalogue(**facts, level=self)

    def objects_in(self, chunks: Any) -> IntArray:
        """``(n,)`` ids of the objects that have a part in these chunks, ascending.

        Only what the chunks themselves say is read, no manifests, where our writers have written the store.

        Args:
            chunks: ``(n, K)`` chunk coordinates, as ``chunk_keys`` has them, or those of one chunk; chunks without
                vertices have no objects.

        Raises:
            InputError: They are no chunk coordinates of this level.

        Example:
            >>> import zarr_vectors as zv
            >>> lines = zv.Polylines([[[0.0, 1.0], [5.0, 2.0]], [[6.0, 2.5]]], ids=[7, 9])
            >>> _ = zv.write("memory://objects-in-doc", lines, layout=zv.Layout(chunk_shape=4))
            >>> level = zv.open("memory://objects-in-doc")[0]
            >>> level.objects_in((0, 0)).tolist(), level.objects_in([(0, 0), (1, 0)]).tolist()
            ([7], [7, 9])
        """
        width = self._state.vertices.ndim
        coords = np.atleast_2d(np.asarray(chunks))
        coords = np.zeros((0, width), dtype=np.int64) if not coords.size else coords
        if coords.ndim != 2 or coords.shape[1] != width or coords.dtype.kind not in "iu":
            raise InputError(
                f"chunks must be integers, {width} for each chunk", got=f"{coords.dtype} of shape {coords.shape}"
            )
        wanted = np.unique(coords.astype(np.int64), axis=0)
        return self._whole(lambda: objects_of_chunks(self._storage, self._state, wanted))

    def to_arrow(
        self,
        bbox: Any = None,
        *,
        table: str | None = None,
        geometry: bool | None = None,
        batch_rows: int = _BATCH_ROWS,
        **selection: Any,
    ) -> Any:
        """What is selected as a ``pyarrow.RecordBatchReader`` that reads batch by batch, as ``iter`` does.

        Args:
            bbox: As in ``read``.
            table: ``"vertices"``; of lines ``"lines"`` (their default), a row each with the object attributes; of
                graphs and skeletons ``"edges"``, of meshes ``"faces"``, whose ends are rows of the vertices that the
                same selection brings; or ``"objects"``, which takes no selection.
            geometry: As in ``Geometry.to_arrow``: whether coordinates are one column of GeoArrow.
            batch_rows: About how many vertices are read at a time.
            selection: As in ``iter``: ``object_ids``, ``group_ids``, ``where``, ``attributes``, ``mode``, ``strict``.

        Raises:
            InputError: There is no such table, or two of its columns have one name.
            MissingDependencyError: pyarrow is not installed.

        While batches are read: what ``iter`` raises.

        Example:
            >>> import zarr_vectors as zv
            >>> cloud = zv.Points([[0.0, 1.0], [5.0, 2.0]], attributes={"w": [1.5, 2.5]})
            >>> _ = zv.write("memory://level-arrow-doc", cloud)
            >>> level = zv.open("memory://level-arrow-doc")[0]
            >>> level.to_arrow(bbox=([4, 0], [9, 9])).read_all().to_pylist()
            [{'x': 5.0, 'y': 2.0, 'w': 2.5}]
        """
        if table == OBJECTS:
            return self.objects.to_arrow()
        schema, batches = self._stream(bbox, table, geometry, batch_rows=batch_rows, **selection)
        return require("pyarrow").RecordBatchReader.from_batches(schema, batches)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """What DuckDB, polars and pyarrow take a level by: ``to_arrow()``, with float32 for float16."""
        schema, batches = self._stream(None, None, None, batch_rows=_BATCH_ROWS)
        return stream_of(batches, schema, requested_schema)

    def _stream(
        self, bbox: Any, table: str | None, geometry: bool | None, **selection: Any
    ) -> tuple[Any, Iterator[Any]]:
        """The schema, and the batches, none of which is read before it is asked for."""
        values = self.iter(bbox, **selection)
        if selection.get("mode") == "clip":
            # What is cut may be of other dtypes than what is stored.
            first = next(values)
            values = chain([first], values)
        else:
            none = np.zeros((0, self._state.vertices.ndim), dtype=np.int64)
            first = self.read_chunks(none, attributes=selection.get("attributes"))
        name = first.default_table if table is None else table
        schema = record_batch(self._rows(first, name, geometry, 0), crs=self.crs).schema
        return schema, self._record_batches(values, name, geometry, schema)

    def _record_batches(
        self, values: Iterator[Geometry], name: str, geometry: bool | None, schema: Any
    ) -> Iterator[Any]:
        before = 0
        for value in values:
            batch = record_batch(self._rows(value, name, geometry, before), crs=self.crs)
            before += value.vertex_count
            yield batch if batch.schema.equals(schema) else batch.cast(schema)

    def _rows(self, value: Geometry, name: str, geometry: bool | None, before: int) -> Table:
        """A table of one batch; ends of links count from the first vertex of all batches."""
        if name == LINES and isinstance(value, Polylines) and value.objects is None:
            known = self.objects
            value = replace(value, objects=known.ids, object_attributes=known.attributes)
        rows = value.tabulate(name, geometry)
        if before and isinstance(value, Linked) and name not in (VERTICES, OBJECTS):
            ends = {end: np.asarray(rows.columns[end]) + before for end in value.link_ends}
            rows = replace(rows, columns={**rows.columns, **ends})
        return rows
