"""The fragment index: which rows of a chunk's buffers belong to which fragment.

A blob (``fragment_index_v1``) holds ``F`` fragments, each a range of rows or an explicit row list::

    u32 magic, u16 version, u16 flags, u32 F, u32 R      R fragments are ranges
    bitmap of F bits, padded to 8 bytes                  1 = range
    R x (i64 start, i64 count)
    (F - R + 1) x u32, then i64 row numbers              CSR of the explicit ones; absent when F = 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, offsets_of, records_at
from zarr_vectors.encoding.codecs import CellErrors
from zarr_vectors.encoding.pick import ItemRuns
from zarr_vectors.rowwise import RowRuns
from zarr_vectors.typing import AnyArray, ByteArray, IntArray

__all__ = [
    "Fragment",
    "FragmentTable",
    "decode_fragments",
    "encode_fragments",
    "encode_ranges",
    "most_named",
    "pick_ranges",
]

MAGIC = 0x5A564647
_HEADER = np.dtype([("magic", "<u4"), ("version", "<u2"), ("flags", "<u2"), ("count", "<u4"), ("ranges", "<u4")])
_RANGE = np.dtype([("start", "<i8"), ("count", "<i8")])
_MOST_ROWS = 2**48
"""Far more than a chunk can hold, and little enough for sums of them to fit 64 bits."""

Fragment = tuple[int, int] | AnyArray
"""``(start, count)``, or the row numbers."""


@dataclass(frozen=True, eq=False)
class FragmentTable:
    """The fragments of many chunks, side by side.

    Args:
        per_cell: ``(C,)`` number of fragments of each chunk.
        counts: ``(F,)`` rows of each fragment, all chunks after one another.
        starts: ``(F,)`` first row of each range fragment; -1 where the fragment is explicit.
        explicit: Row numbers of all explicit fragments after one another.
    """

    per_cell: IntArray
    counts: IntArray
    starts: IntArray
    explicit: IntArray

    @property
    def cell_of(self) -> IntArray:
        """``(F,)`` number of the chunk that each fragment lies in."""
        return np.repeat(np.arange(len(self.per_cell), dtype=np.int64), self.per_cell)

    def runs(self, fragments: IntArray | None = None, *, bases: IntArray | None = None) -> RowRuns | None:
        """The rows of ``rows`` as runs; None where a fragment is explicit."""
        if len(self.explicit) or (self.starts < 0).any():
            return None
        starts = self.starts if bases is None else self.starts + np.repeat(bases, self.per_cell)
        return RowRuns(starts, self.counts) if fragments is None else RowRuns(starts[fragments], self.counts[fragments])

    def rows(self, fragments: IntArray | None = None, *, bases: IntArray | None = None) -> IntArray:
        """Row numbers, fragment after fragment; all fragments, or these by number.

        Args:
            fragments: ``(M,)`` numbers of fragments.
            bases: ``(C,)`` number of the first row of each chunk; None to count inside chunks.
        """
        runs = self.runs(fragments, bases=bases)
        if runs is not None:
            return runs.numbers
        starts, counts, explicit = self.starts, self.counts, self.starts < 0
        base = np.zeros_like(counts) if bases is None else bases[self.cell_of]
        if len(self.explicit):
            # Explicit fragments count from their place in the list of row numbers first.
            starts = np.where(explicit, offsets_of(counts * explicit)[:-1], starts)
        if fragments is not None:
            starts, counts, base = starts[fragments], counts[fragments], base[fragments]
            explicit = explicit[fragments]
        before = offsets_of(counts)
        rows = np.repeat(np.where(explicit, starts, starts + base) - before[:-1], counts)
        rows += np.arange(int(before[-1]), dtype=np.int64)
        if len(self.explicit):
            listed = np.repeat(explicit, counts)
            rows[listed] = self.explicit[rows[listed]] + np.repeat(base[explicit], counts[explicit])
        return rows

    def rows_per_cell(self) -> IntArray:
        """``(C,)`` sum of the counts of each chunk's fragments."""
        ends = offsets_of(self.per_cell)
        running = offsets_of(self.counts)
        return running[ends[1:]] - running[ends[:-1]]

    def reaching_beyond(self, rows_per_cell: IntArray) -> IntArray:
        """Numbers of the chunks that have a fragment which names rows beyond those of its chunk."""
        limit = np.repeat(rows_per_cell, self.per_cell)
        beyond = (self.counts < 0) | ((self.starts >= 0) & (self.starts + self.counts > limit))
        if len(self.explicit):
            listed = self.starts < 0
            limits = np.repeat(limit[listed], self.counts[listed])
            fragment = np.repeat(np.flatnonzero(listed), self.counts[listed])
            beyond[fragment[(self.explicit < 0) | (self.explicit >= limits)]] = True
        return np.unique(self.cell_of[beyond])

    def tiles(self, rows_per_cell: IntArray) -> bool:
        """Whether every chunk's fragments are ranges that partition its rows in order."""
        if (self.starts < 0).any() or not np.array_equal(self.rows_per_cell(), rows_per_cell):
            return False
        expected = offsets_of(self.counts)[:-1] - np.repeat(offsets_of(rows_per_cell)[:-1], self.per_cell)
        return bool(np.array_equal(self.starts, expected))


def encode_ranges(per_cell: IntArray, starts: IntArray, counts: IntArray) -> Blobs:
    """Encode chunks whose fragments are all ranges.

    Args:
        per_cell: ``(C,)`` fragments of each chunk.
        starts: ``(F,)`` first row of each fragment.
        counts: ``(F,)`` rows of each fragment.

    Example:
        >>> blob = encode_ranges(np.array([2]), np.array([0, 2]), np.array([2, 1]))
        >>> len(blob[0]), decode_fragments(blob)[0].counts.tolist()
        (60, [2, 1])
    """
    # Every section is a whole number of 4-byte words, so all blobs are laid out in one array of words.
    bitmap_words = 2 * ((per_cell + 63) // 64)
    filled = per_cell > 0
    sizes = 4 + bitmap_words + 4 * per_cell + filled
    base = offsets_of(sizes)
    words = np.zeros(int(base[-1]), dtype="<u4")
    at = base[:-1]
    words[at] = MAGIC
    words[at + 1] = 1
    words[at + 2] = per_cell
    words[at + 3] = per_cell
    _set_bits(words, at + 4, per_cell)
    first = np.repeat(at + 4 + bitmap_words, per_cell)
    number = np.arange(len(starts), dtype=np.int64) - np.repeat(offsets_of(per_cell)[:-1], per_cell)
    slot = first + 4 * number
    words[slot] = starts
    words[slot + 2] = counts
    return Blobs.packed(words.view(np.uint8), sizes * 4)


def _set_bits(words: AnyArray, at: IntArray, count: IntArray) -> None:
    """Set the first ``count`` bits from each word ``at``."""
    whole = count // 32
    target = np.repeat(at, whole) + (np.arange(int(whole.sum())) - np.repeat(offsets_of(whole)[:-1], whole))
    words[target] = 0xFFFFFFFF
    rest = count % 32
    partial = rest > 0
    words[(at + whole)[partial]] = (np.uint64(1) << rest[partial].astype(np.uint64)) - np.uint64(1)


def encode_fragments(fragments: Sequence[Fragment]) -> bytes:
    """Encode one chunk's fragments; an explicit list that is a consecutive run becomes a range.

    Example:
        >>> len(encode_fragments([])), len(encode_fragments([(0, 5), np.array([4, 0, 2])]))
        (16, 72)
    """
    ranges: list[tuple[int, int]] = []
    lists: list[AnyArray] = []
    is_range = np.zeros(len(fragments), dtype=bool)
    for number, fragment in enumerate(fragments):
        as_range = fragment if isinstance(fragment, tuple) else _as_range(fragment)
        if as_range is None:
            lists.append(np.asarray(fragment))
        else:
            is_range[number] = True
            ranges.append(as_range)
    header = np.array((MAGIC, 1, 0, len(fragments), len(ranges)), dtype=_HEADER).tobytes()
    if not fragments:
        return header
    bitmap = np.packbits(is_range, bitorder="little").tobytes()
    bitmap += bytes(-len(bitmap) % 8)
    csr = offsets_of(np.array([len(rows) for rows in lists], dtype=np.int64)).astype("<u4")
    rows = np.concatenate([*lists, np.zeros(0, dtype=np.int64)]).astype("<i8")
    return header + bitmap + np.array(ranges, dtype="<i8").tobytes() + csr.tobytes() + rows.tobytes()


def _as_range(rows: AnyArray) -> tuple[int, int] | None:
    rows = np.asarray(rows)
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return int(rows[0]), len(rows)
    return None


def decode_fragments(blobs: Blobs) -> tuple[FragmentTable, CellErrors]:
    """Decode the fragment index of many chunks; a bad one counts as no fragments and is named in the errors."""
    errors: CellErrors = {}
    headers = _headers(blobs, errors)
    per_cell = headers["count"].astype(np.int64)
    only_ranges = headers["ranges"] == headers["count"]
    first = offsets_of(per_cell)
    total = int(first[-1])
    starts = np.full(total, -1, dtype=np.int64)
    counts = np.zeros(total, dtype=np.int64)
    plain = only_ranges & (per_cell > 0)

    def spoil(cell: int, what: str) -> None:
        part = slice(int(first[cell]), int(first[cell + 1]))
        starts[part], counts[part] = 0, 0
        errors[cell] = f"fragment index: {what}"

    if plain.any():
        slot = slice(None) if plain.all() else np.flatnonzero(np.repeat(plain, per_cell))
        at = blobs.starts + 16 + 8 * ((per_cell + 63) // 64) - 16 * first[:-1]
        ranges = records_at(blobs.data, (np.repeat(at, per_cell) + 16 * np.arange(total))[slot], _RANGE)
        starts[slot], counts[slot] = ranges["start"], ranges["count"]
        pairs = ranges.view("<i8").reshape(-1, 2)
        # A start below 0 would count as an explicit fragment, and take rows from the end of the chunk.
        bad = first[:0]
        if pairs.min() < 0 or pairs.max() > _MOST_ROWS:
            outside = (pairs.min(axis=1) < 0) | (pairs.max(axis=1) > _MOST_ROWS)
            bad = np.flatnonzero(np.repeat(plain, per_cell))[outside]
        for cell in np.unique(np.searchsorted(first, bad, side="right") - 1).tolist():
            spoil(cell, "a range is negative, or longer than a chunk can be")
    explicit: list[IntArray] = []
    for cell in np.flatnonzero(~only_ranges).tolist():
        part = slice(int(first[cell]), int(first[cell + 1]))
        try:
            starts[part], counts[part], rows = _decode_mixed(blobs[cell], per_cell[cell], headers["ranges"][cell])
            explicit.append(rows)
        except ValueError as error:
            spoil(cell, str(error))
    rows_of_lists = np.concatenate([*explicit, np.zeros(0, dtype=np.int64)])
    return FragmentTable(per_cell, counts, starts, rows_of_lists), errors


def pick_ranges(
    items: Callable[[ItemRuns], ByteArray | None],
    sizes: IntArray,
    cell: IntArray,
    fragment: IntArray,
    rows_per_cell: IntArray,
) -> tuple[IntArray, IntArray] | None:
    """Starts and counts of some fragments; None if an index has others than ranges, or one is not what it must be.

    Args:
        items: Gives parts of the blobs, which are not decoded for anything else; None if one cannot be decoded.
        sizes: ``(C,)`` bytes of each blob.
        cell: ``(M,)`` chunk of each fragment.
        fragment: ``(M,)`` its number inside the chunk.
        rows_per_cell: ``(C,)`` rows of each chunk.
    """
    # An index of ranges only has as many as fit into it: each takes 16 bytes and a bit.
    per_cell = np.maximum(sizes - 20, 0) * 8 // 129
    bitmap = 8 * ((per_cell + 63) // 64)
    if (20 + bitmap + 16 * per_cell != sizes).any() or ((fragment < 0) | (fragment >= per_cell[cell])).any():
        return None
    cells = np.arange(len(sizes))
    at = np.concatenate([np.zeros_like(cells), 16 + bitmap[cell] + 16 * fragment])
    found = items(ItemRuns(np.concatenate([cells, cell]), at, np.ones_like(at), 16))
    if found is None:
        return None
    headers = found[: len(cells)].reshape(-1).view(_HEADER)
    pairs = found[len(cells) :].reshape(-1).view("<i8").reshape(-1, 2)
    plain = (headers["magic"] == MAGIC) & (headers["version"] == 1) & (headers["flags"] == 0)
    plain &= (headers["count"] == per_cell) & (headers["ranges"] == per_cell)
    starts, counts = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    limit = rows_per_cell[cell]
    inside = (starts >= 0) & (counts >= 0) & (starts <= limit) & (counts <= limit - starts)
    named = np.bincount(cell, counts, minlength=len(sizes)) if inside.all() else limit[:0]
    if not plain.all() or not inside.all() or (named > most_named(rows_per_cell)).any():
        return None
    return starts, counts


def most_named(rows: IntArray) -> IntArray:
    """How many rows fragments may name, where they share some: a small index may not stand for any number of rows."""
    return 64 * rows + 2**20


def _headers(blobs: Blobs, errors: CellErrors) -> AnyArray:
    headers = np.zeros(len(blobs), dtype=_HEADER)
    long_enough = blobs.sizes >= 16
    headers[long_enough] = records_at(blobs.data, blobs.starts[long_enough], _HEADER)
    count, ranges = headers["count"].astype(np.int64), headers["ranges"].astype(np.int64)
    need = 16 + np.where(count > 0, 8 * ((count + 63) // 64) + 16 * ranges + 4 * (count - ranges + 1), 0)
    checks = (
        (~long_enough, "shorter than its header"),
        (headers["magic"] != MAGIC, "wrong magic"),
        (headers["version"] != 1, "unknown version"),
        (headers["flags"] != 0, "unknown flags"),
        (ranges > count, "more ranges than fragments"),
        (need > blobs.sizes, "truncated"),
    )
    if any(bad.any() for bad, _ in checks):
        for bad, what in checks:
            for cell in np.flatnonzero(bad).tolist():
                errors.setdefault(cell, f"fragment index: {what}")
        headers[list(errors)] = np.zeros(1, dtype=_HEADER)
    return headers


def _decode_mixed(blob: memoryview, count: int, ranges: int) -> tuple[IntArray, IntArray, IntArray]:
    count, ranges = int(count), int(ranges)
    at = 16 + 8 * ((count + 63) // 64)
    bits = np.unpackbits(np.frombuffer(blob, np.uint8, at - 16, 16), bitorder="little")[:count].astype(bool)
    if int(bits.sum()) != ranges:
        raise ValueError("bitmap contradicts the number of ranges")
    pairs = np.frombuffer(blob, "<i8", 2 * ranges, at).reshape(-1, 2)
    if ((pairs < 0) | (pairs > _MOST_ROWS)).any():
        raise ValueError("a range is negative, or longer than a chunk can be")
    at += 16 * ranges
    csr = np.frombuffer(blob, "<u4", count - ranges + 1, at).astype(np.int64)
    at += 4 * (count - ranges + 1)
    sizes = np.diff(csr)
    if csr[0] != 0 or (sizes < 0).any():
        raise ValueError("offsets of the row lists do not ascend from 0")
    rows = np.frombuffer(blob, "<i8", int(csr[-1]), at).astype(np.int64)
    starts = np.full(count, -1, dtype=np.int64)
    counts = np.empty(count, dtype=np.int64)
    starts[bits], counts[bits] = pairs[:, 0], pairs[:, 1]
    counts[~bits] = sizes
    return starts, counts, rows
