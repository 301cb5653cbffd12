"""The one way of writing: decide what there is, take the value in, then create, replace or append."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import as_axes
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.headers import read_headers
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.encoding.draco import load_draco
from zarr_vectors.exceptions import ConventionError, InputError, StoreExistsError, StoreNotFoundError
from zarr_vectors.geometry import Geometry
from zarr_vectors.query.objects import read_ids
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.types.append import append_rows
from zarr_vectors.types.append_beside import Displaced
from zarr_vectors.types.append_columns import match_columns
from zarr_vectors.types.append_links import match_links
from zarr_vectors.types.append_tables import TableMerge, merge_object_tables
from zarr_vectors.types.bare import is_bare
from zarr_vectors.types.check import check_same_axes
from zarr_vectors.types.conventions import check_conventions
from zarr_vectors.types.create import write_new
from zarr_vectors.types.intake import First, Intake, Limits, memory_intake
from zarr_vectors.types.kinds import POINT_CLOUD, Kind, kind_of_types, kind_of_value
from zarr_vectors.types.objects import check_tables, table_codecs
from zarr_vectors.types.options import WriteOptions, as_bounds
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.refill import Refill
from zarr_vectors.types.report import WriteReport
from zarr_vectors.types.spill import stream_intake
from zarr_vectors.types.stale import check_coarser
from zarr_vectors.types.temporary import scratch_folder
from zarr_vectors.typing import FloatArray, JsonObject

__all__ = ["check_append", "check_appendable", "next_object_id", "write_value"]


def write_value(storage: Storage, value: Any, options: WriteOptions) -> WriteReport:
    """Write a geometry value, or an iterable of them, in memory bounded by the batch.

    Raises:
        InputError: The value cannot be written; nothing has been.
        StoreExistsError: There is a store, and ``mode`` does not say what to do with it.
        StoreNotFoundError: There is no store to append to.
    """
    kind, value = _kind_and_values(value)
    if options.mode == "append":
        return _append(storage, value, options, kind)
    if options.layout.is_draco:
        load_draco()
    exists = storage.backend.exists(ROOT)
    if exists and options.mode == "create":
        raise StoreExistsError(
            "there is already something here", store=storage.url, hint="use mode='append' or mode='replace'"
        )
    if exists:
        open_root(storage)

    def limits(ndim: int) -> tuple[FloatArray, FloatArray] | None:
        return None if options.bounds is None else as_bounds(options.bounds, ndim)

    first = First(row_id=0 if options.layout.keep_order else None)
    with _intake(value, kind, options, limits, first) as intake:
        return write_new(storage, kind, intake, options)


def _append(storage: Storage, value: Any, options: WriteOptions, kind: Kind) -> WriteReport:
    if not storage.backend.exists(ROOT):
        raise StoreNotFoundError(
            "there is no Zarr Vectors store to append to",
            store=storage.url,
            hint="check the path, or use mode='create'",
        )
    with storage.lock():
        root, documents = open_root(storage, ["0/zarr.json"])
        level = open_level(storage, root, 0, documents["0/zarr.json"])
        with _matched(storage, root, level, value, options, kind) as match:
            intake, options = match.intake, match.options
            if is_bare(level):
                assigned = None
                if constants.FRAGMENT_OWNER in level.cells and not intake.has_objects and intake.extent.rows:
                    intake.set_object_id(0)
                    assigned = (0, 0)
                if intake.has_objects or kind.is_linked or intake.columns.keys() - level.row_columns.keys():
                    refill = Refill(root=root, level=level)
                    report = write_new(storage, kind, intake, refill.options(options, root.metadata.bounds), refill)
                    return replace(report, mode="append", assigned_ids=assigned)
            merge = match.merge(storage, level)
            return append_rows(storage, root, level, intake, options, merge, Displaced(recoded=match.recoded), kind)


@dataclass(frozen=True)
class _Match:
    """Rows that fit the level they are to be appended to.

    Args:
        intake: The rows.
        recoded: Arrays of attributes whose stored type must widen, with their new type.
        options: How to write, with what the store says.
        first: Where numbers continue.
    """

    intake: Intake
    recoded: Mapping[str, ColumnSpec]
    options: WriteOptions
    first: First

    def merge(self, storage: Storage, level: LevelState) -> TableMerge:
        """The tables of objects, old and new."""
        merge = merge_object_tables(storage, level, self.intake, self.options, table_codecs(level))
        lines = self.intake.numbered_lines
        return replace(merge, assigned=(self.first.line_id, self.first.line_id + lines - 1)) if lines else merge


@contextmanager
def _matched(
    storage: Storage, root: RootState, level: LevelState, value: Any, options: WriteOptions, kind: Kind
) -> Iterator[_Match]:
    """Take in what is to be appended, and bring it to the types of the level."""
    check_appendable(storage, root, level, options, kind)

    def limits(ndim: int) -> tuple[FloatArray, FloatArray]:
        if ndim != root.metadata.ndim:
            raise InputError(
                "the value and the store differ in the number of axes", expected=root.metadata.ndim, got=ndim
            )
        return as_bounds(root.metadata.bounds, ndim)

    first = First(
        row_id=level.metadata.next_row_id if level.keeps_row_ids else None,
        line_id=next_object_id(storage, level) if kind.connects == "sequence" else 0,
        takes_row_id=level.takes_row_id,
    )
    if options.axes is not None:
        check_same_axes(as_axes(options.axes, root.metadata.ndim), root.axes)
    options = replace(options, headers=_beside(storage, root, options.headers), axes=root.axes)
    with _intake(value, kind, options, limits, first) as intake:
        _match_positions(level, intake, options)
        recoded = match_columns(level, intake, options)
        match_links(level, kind, intake, options)
        yield _Match(intake, recoded, options, first)


def check_append(
    storage: Storage, root: RootState, level: LevelState, value: Geometry, options: WriteOptions
) -> tuple[Intake, int]:
    """Refuse what cannot be appended to a level, and write nothing.

    Returns:
        The rows, and the number of objects that they add.

    Raises:
        InputError, ConventionError: As ``write_value`` with ``mode="append"``.
    """
    with _matched(storage, root, level, value, options, kind_of_value(value)) as match:
        if is_bare(level):
            check_tables(match.intake.tables)
            return match.intake, len(match.intake.tables.ids)
        return match.intake, match.merge(storage, level).new_objects


def check_appendable(storage: Storage, root: RootState, level: LevelState, options: WriteOptions, kind: Kind) -> None:
    """Refuse a store that nothing of this kind can be appended to.

    Raises:
        ConventionError, InputError: With the reason.
    """
    level.refuse_composite()
    Packing.of_level(root, level)
    types = root.metadata.geometry_types
    if types and kind_of_types(types, storage.url).family != kind.family:
        raise ConventionError(
            f"a {kind.geometry_type} cannot be appended to this store",
            store=storage.url,
            got=f"it holds {', '.join(types)}",
            hint="write it to a store of its own",
        )
    check_conventions(root.metadata, kind, storage.url)
    if any(root.metadata.coordinate_offset or ()):
        raise ConventionError(
            "the store keeps coordinates with an offset, to which nothing can be appended", store=storage.url
        )
    if options.bounds is not None:
        raise InputError(
            "bounds cannot be given when appending", hint="use out_of_bounds='expand' to grow the store's bounds"
        )
    # The store keeps its own layout, but what fits no store is a mistake all the same.
    options.layout.check(root.metadata.ndim)
    cell_codecs(options.layout.compressor)
    twice = [name for name in level.fragment_columns if "/" in name]
    if twice:
        raise ConventionError(
            "the store has a fragment attribute with the name of a vertex attribute, to which nothing can be appended",
            store=storage.url,
            got=twice,
        )
    if level.metadata.leading_axes:
        raise ConventionError(
            "nothing can be appended to a store whose chunks have an axis before the spatial ones",
            store=storage.url,
            got=f"chunks by {', '.join(level.metadata.chunk_dims or ())}",
            hint="rechunk it with RechunkSpec('spatial'), append, and rechunk it again",
        )
    check_coarser(storage, root, level)
    if options.crs is not None and root.metadata.crs not in (None, options.crs):
        raise InputError(
            "crs is not that of the store", hint="transform the positions to the store's crs and leave crs out"
        )


def _beside(storage: Storage, root: RootState, headers: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
    """New headers under names that are free; one that the store keeps already is left out."""
    kept = read_headers(storage, root.attributes)
    added: dict[str, JsonObject] = {}
    for name, header in headers.items():
        names = [name, *(f"{name}_{number}" for number in range(2, len(kept) + 3))]
        if all(kept.get(used) != header for used in names):
            added[next(free for free in names if free not in kept)] = header
    return added


def _match_positions(level: LevelState, intake: Intake, options: WriteOptions) -> None:
    dtype = level.position_dtype
    if intake.dtype != dtype and options.dtype is None and not intake.casts_exactly(None, dtype):
        raise InputError(
            f"the store's positions are {dtype}, which cannot hold these exactly",
            got=str(intake.dtype),
            hint=f"pass dtype={dtype.name!r} to accept the rounding",
        )
    if options.dtype is not None and options.dtype != dtype:
        raise InputError("dtype must be that of the store", expected=str(dtype), got=str(options.dtype))


def next_object_id(storage: Storage, level: LevelState) -> int:
    """The id above the largest of a level."""
    ids = read_ids(storage, level) if level.has_objects else np.zeros(0, dtype=np.int64)
    return int(ids.max(initial=-1)) + 1


def _kind_and_values(value: Any) -> tuple[Kind, Any]:
    """The kind of what to write, and the value or an iterator over all values."""
    if isinstance(value, Geometry):
        return kind_of_value(value), value
    if isinstance(value, (str, bytes, dict, np.ndarray)) or not isinstance(value, Iterable):
        raise InputError(
            "what to write must be a geometry value or an iterable of them",
            got=type(value).__name__,
            hint="wrap positions in zv.Points(positions)",
        )
    values = iter(value)
    first = next(values, None)
    if first is None:
        return POINT_CLOUD, iter(())
    kind = kind_of_value(first) if isinstance(first, Geometry) else POINT_CLOUD
    return kind, chain([first], values)


@contextmanager
def _intake(value: Any, kind: Kind, options: WriteOptions, limits: Limits, first: First) -> Iterator[Intake]:
    if isinstance(value, Geometry):
        yield memory_intake(value, kind, options, limits, first)
        return
    with scratch_folder() as folder:
        yield stream_intake(value, kind, options, limits, first, Path(folder))
