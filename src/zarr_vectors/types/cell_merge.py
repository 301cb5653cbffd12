"""Old and new rows of the same cells, merged array by array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import FragmentTable, decode_fragments, encode_fragments, encode_ranges
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.spatial.grid import bin_numbers, format_keys
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.storage.cells import CellArray, CellRead
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.encode import rows_as_cells
from zarr_vectors.types.fragment_check import not_constant
from zarr_vectors.types.fragment_values import first_change, first_values
from zarr_vectors.types.sort import SortedRows
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["CellMerge", "recode"]


@dataclass
class CellMerge:
    """Old and new rows of some cells."""

    plan: CellPlan
    level: LevelState
    part: SortedRows
    fresh: dict[str, Blobs]
    old: AnyArray
    recoded: Mapping[str, ColumnSpec]

    def merge(self, reads: Mapping[str, CellRead]) -> tuple[dict[str, Blobs], IntArray, IntArray]:
        """Payloads of every array, and the number of the first new fragment and of the first new row of each cell."""
        payloads = {name: self._recoded(name, read.cells) for name, read in reads.items()}
        row_bytes = self.plan.dtype.itemsize * self.part.table.positions.shape[1]
        old_rows = np.zeros(len(self.part.coords), dtype=np.int64)
        old_rows[self.old] = payloads[constants.VERTICES].sizes // row_bytes
        table, errors = decode_fragments(payloads[constants.VERTEX_FRAGMENTS])
        if errors:
            raise CorruptionError(
                "a fragment index is corrupt",
                store=self.level.store,
                array=f"{self.level.number}/{constants.VERTEX_FRAGMENTS}",
                cell=format_keys(self.part.coords[self.old][[min(errors)]])[0],
                got=errors[min(errors)],
            )
        self._check_widths(payloads, old_rows, table)
        if not self.plan.has_objects:
            return self._resorted(payloads, table, old_rows), np.zeros_like(old_rows), old_rows
        joined = {
            name: self._joined(payloads[name], self.fresh[name])
            for name in payloads
            if name != constants.VERTEX_FRAGMENTS
        }
        fragments, first = self._appended_fragments(table, old_rows)
        return {**joined, constants.VERTEX_FRAGMENTS: fragments}, first, old_rows

    def _recoded(self, name: str, cells: Blobs) -> Blobs:
        if name in self.recoded:
            return recode(cells, self.level.array_columns[name], self.plan.arrays[name])
        return cells

    def _check_widths(self, payloads: Mapping[str, Blobs], old_rows: IntArray, table: FragmentTable) -> None:
        for name, spec in self.plan.columns.items():
            self._check_width(payloads, f"{constants.VERTEX_ATTRIBUTES}/{name}", old_rows[self.old], spec, "vertex")
        for name, spec in self.plan.per_fragment.items():
            self._check_width(payloads, f"{constants.FRAGMENT_ATTRIBUTES}/{name}", table.per_cell, spec, "fragment")

    def _check_width(
        self, payloads: Mapping[str, Blobs], path: str, rows: IntArray, spec: ColumnSpec, what: str
    ) -> None:
        wrong = np.flatnonzero(payloads[path].sizes != rows * spec.row_bytes)
        if len(wrong):
            raise CorruptionError(
                f"an attribute's cell does not have one value per {what}",
                store=self.level.store,
                array=f"{self.level.number}/{path}",
                cell=format_keys(self.part.coords[self.old][wrong[:1]])[0],
                expected=f"{rows[wrong[0]]} rows of {spec.row_bytes} bytes",
                got=f"{payloads[path].sizes[wrong[0]]} bytes",
            )

    def _joined(self, old: Blobs, new: Blobs) -> Blobs:
        """Each cell's old payload and then its new one."""
        sizes = new.sizes.copy()
        sizes[self.old] += old.sizes
        place = np.cumsum(self.old) - 1
        before, after = old.views(), new.views()
        pieces: list[Any] = []
        for cell, is_old in enumerate(self.old.tolist()):
            if is_old:
                pieces.append(before[place[cell]])
            pieces.append(after[cell])
        return Blobs.packed(b"".join(pieces), sizes)

    def _appended_fragments(self, table: FragmentTable, old_rows: IntArray) -> tuple[Blobs, IntArray]:
        """Old fragments keep their numbers; new ones follow."""
        part = self.part
        first = np.zeros(len(part.coords), dtype=np.int64)
        first[self.old] = table.per_cell
        starts = offsets_of(part.counts)[:-1] - np.repeat(offsets_of(part.cell_rows)[:-1], part.per_cell)
        starts = starts + np.repeat(old_rows, part.per_cell)
        per_cell = first + part.per_cell
        cell = np.concatenate(
            [np.flatnonzero(self.old)[table.cell_of], np.repeat(np.arange(len(first)), part.per_cell)]
        )
        order = np.argsort(cell, kind="stable")
        all_starts = np.concatenate([table.starts, starts])[order]
        all_counts = np.concatenate([table.counts, part.counts])[order]
        encoded = encode_ranges(per_cell, np.maximum(all_starts, 0), all_counts)
        mixed = np.unique(np.flatnonzero(self.old)[table.cell_of[table.starts < 0]])
        if not len(mixed):
            return encoded, first
        items: list[Any] = list(encoded.views())
        ends = offsets_of(per_cell)
        lists = np.split(table.rows(np.flatnonzero(table.starts < 0)), np.cumsum(table.counts[table.starts < 0])[:-1])
        listed = iter(lists)
        for number in mixed.tolist():
            span = range(int(ends[number]), int(ends[number + 1]))
            items[number] = encode_fragments(
                [(int(all_starts[i]), int(all_counts[i])) if all_starts[i] >= 0 else next(listed) for i in span]
            )
        return Blobs.from_list(items), first

    def _resorted(self, payloads: Mapping[str, Blobs], table: FragmentTable, old_rows: IntArray) -> dict[str, Blobs]:
        """Without objects fragments are bins or whole cells: all rows are sorted into them anew."""
        part, plan = self.part, self.plan
        old_cells = np.flatnonzero(self.old)
        base = offsets_of(old_rows[self.old])[:-1][table.cell_of]
        rows = table.rows() + np.repeat(base, table.counts)
        cell = np.concatenate(
            [
                np.repeat(old_cells[table.cell_of], table.counts),
                np.repeat(np.arange(len(part.coords)), part.cell_rows),
            ]
        )
        total_old = int(old_rows.sum())
        source = np.concatenate([rows, total_old + np.arange(len(part.table))])
        bins = int(np.prod(plan.bins))
        positions = _stack(payloads[constants.VERTICES], self.fresh[constants.VERTICES], plan.dtype, part)
        number = np.zeros(len(source), dtype=np.int64)
        if bins > 1:
            number = bin_numbers(positions[source], plan.chunk_shape, plan.bin_shape, plan.bins)
        order = stable_order([cell, number])
        source = source[order]
        cell_rows = np.bincount(cell, minlength=len(part.coords)).astype(np.int64)
        counts = np.bincount(cell * bins + number, minlength=bins * len(part.coords)).astype(np.int64)
        per_cell = np.full(len(part.coords), bins, dtype=np.int64)
        starts = offsets_of(counts)[:-1] - np.repeat(offsets_of(cell_rows)[:-1], per_cell)
        merged = {constants.VERTEX_FRAGMENTS: encode_ranges(per_cell, starts, counts)}
        for name in plan.per_fragment:
            path = f"{constants.FRAGMENT_ATTRIBUTES}/{name}"
            values = self._of_bins(name, payloads[path], table, order, counts)
            merged[path] = rows_as_cells(values, per_cell)
        for name in payloads:
            if name not in merged:
                fresh = self.fresh[name]
                width = int(fresh.total // max(1, len(part.table)))
                both = np.concatenate([payloads[name].to_array(), fresh.to_array()])
                values = both.reshape(-1, width)[source]
                merged[name] = rows_as_cells(values, cell_rows)
        return merged

    def _of_bins(self, name: str, payload: Blobs, table: FragmentTable, order: IntArray, counts: IntArray) -> AnyArray:
        """Values of bins that hold old and new rows.

        Args:
            order: Which of the old rows, fragment after fragment, and then of the new ones, comes where.
            counts: ``(F,)`` rows of each bin.

        Raises:
            InputError: Old and new rows of a bin differ.
        """
        plan, spec = self.plan, self.plan.per_fragment[name]
        new = np.asarray(self.part.table.columns[name], dtype=spec.dtype)
        old = np.frombuffer(payload.joined(), dtype=spec.dtype).reshape(-1, *new.shape[1:])
        rows = np.concatenate([np.repeat(old, table.counts, axis=0), new])[order]
        bins = len(counts) // len(self.part.coords)
        change = first_change(rows, counts)
        if change is not None:
            cell = int(np.searchsorted(offsets_of(counts), change, side="right") - 1) // bins
            raise not_constant(
                plan,
                name,
                rows[change - 1 : change + 1],
                f"one bin of chunk {format_keys(self.part.coords[cell : cell + 1])[0]}",
                hint="give appended points the values of the points of the store that share a bin with them",
            )
        values = first_values(rows, counts, spec)
        # A bin that is still empty keeps the value that was said of it.
        kept = table.per_cell == bins
        slots = (np.flatnonzero(self.old)[kept][:, None] * bins + np.arange(bins)).ravel()
        said = old[np.repeat(kept, table.per_cell)]
        empty = counts[slots] == 0
        values[slots[empty]] = said[empty]
        return values


def _stack(old: Blobs, new: Blobs, dtype: np.dtype[Any], part: SortedRows) -> AnyArray:
    ndim = part.table.positions.shape[1]
    both: AnyArray = np.concatenate([old.to_array(), new.to_array()]).view(dtype)
    return both.reshape(-1, ndim)


def recode(cells: Blobs, spec: ColumnSpec, array: CellArray) -> Blobs:
    """Cells of one stored type as another."""
    target = np.dtype(array.document.attributes["dtype"])
    values = np.frombuffer(cells.joined(), dtype=spec.dtype).astype(target)
    return Blobs.packed(values.view(np.uint8), cells.sizes // spec.dtype.itemsize * target.itemsize)
