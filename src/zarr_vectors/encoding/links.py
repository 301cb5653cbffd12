"""Link records: edges and faces as rows of the chunks that their ends lie in.

A record has ``L`` ends, each a row of some chunk. It is stored with the chunk of its first end after *placement*; the
other ends' chunks are told by ``L - 1`` offsets, which all records of one array (a *segment*) share. Where placement
may reorder the ends, a column before the rows says how: the Lehmer rank of the permutation.

A cell of the segment whose offsets are all zero holds plain rows. Any other cell is ``i64 G``, ``G`` byte offsets
relative to the end of this header, and the rows of all groups one after another.
"""

from __future__ import annotations

import re
from math import factorial

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.codecs import CellErrors
from zarr_vectors.typing import AnyArray, IntArray

__all__ = [
    "decode_grouped",
    "decode_plain",
    "encode_grouped",
    "format_delta",
    "format_segment",
    "lehmer_ranks",
    "parse_segment",
    "permutations_at",
]

_COMPONENT = re.compile(r"0|[+-][1-9]\d*")
_SELF = "self"


def format_delta(delta: int) -> str:
    """The name of the links to a level that is so much coarser.

    Example:
        >>> format_delta(0), format_delta(1), format_delta(-2)
        ('0', '+1', '-2')
    """
    return f"{delta:+d}" if delta else "0"


def format_segment(offsets: IntArray) -> str:
    """The name of a segment.

    Args:
        offsets: ``(L - 1, K)`` chunk offset of each end but the first.

    Example:
        >>> format_segment(np.array([[0, 0, 0], [1, -1, 0]])), format_segment(np.zeros((0, 3), int))
        ('0.0.0_+1.-1.0', 'self')
    """
    if not len(offsets):
        return _SELF
    return "_".join(".".join(f"{n:+d}" if n else "0" for n in row) for row in offsets.tolist())


def parse_segment(name: str, ndim: int) -> IntArray:
    """``(L - 1, ndim)`` offsets that a segment's name tells.

    Raises:
        ValueError: The name is malformed.

    Example:
        >>> parse_segment("0.0.0_+1.-1.0", 3).tolist()
        [[0, 0, 0], [1, -1, 0]]
    """
    if name == _SELF:
        return np.zeros((0, ndim), dtype=np.int64)
    rows = [part.split(".") for part in name.split("_")]
    if any(len(row) != ndim or not all(map(_COMPONENT.fullmatch, row)) for row in rows):
        raise ValueError(f"{name!r} is not offsets of {ndim} components each")
    return np.array([[int(n) for n in row] for row in rows], dtype=np.int64)


def permutations_at(ranks: IntArray, width: int) -> IntArray:
    """``(n, width)`` the permutation of each Lehmer rank.

    Example:
        >>> permutations_at(np.array([0, 1, 5]), 3).tolist()
        [[0, 1, 2], [0, 2, 1], [2, 1, 0]]
    """
    orders = np.zeros((len(ranks), width), dtype=np.int64)
    rest = np.asarray(ranks, dtype=np.int64)
    for place in range(width):
        orders[:, place], rest = np.divmod(rest, factorial(width - 1 - place))
    # Digit i counts among the numbers not used before: later ones make room for it.
    for place in range(width - 2, -1, -1):
        orders[:, place + 1 :] += orders[:, place + 1 :] >= orders[:, place : place + 1]
    return orders


def lehmer_ranks(orders: IntArray) -> IntArray:
    """``(n,)`` Lehmer rank of each of ``(n, L)`` permutations: the sum of (smaller ones that follow) * (rest)!.

    Example:
        >>> lehmer_ranks(np.array([[0, 1], [1, 0]])).tolist(), lehmer_ranks(permutations_at(np.arange(6), 3)).tolist()
        ([0, 1], [0, 1, 2, 3, 4, 5])
    """
    width = orders.shape[1]
    ranks = np.zeros(len(orders), dtype=np.int64)
    for place in range(width - 1):
        smaller = (orders[:, place + 1 :] < orders[:, place : place + 1]).sum(axis=1)
        ranks += smaller * factorial(width - 1 - place)
    return ranks


def encode_grouped(rows: AnyArray, per_cell: IntArray) -> Blobs:
    """Encode cells of one group each.

    Args:
        rows: ``(n, W)`` rows of all cells one after another, already of the stored type.
        per_cell: ``(C,)`` rows of each cell.

    Example:
        >>> blob = encode_grouped(np.array([[0, 2, 0]], dtype="<i8"), np.array([1]))
        >>> len(blob[0]), decode_grouped(blob, np.dtype("<i8"), 3)[0].tolist()
        (40, [[0, 2, 0]])
    """
    row_bytes = rows.dtype.itemsize * rows.shape[1]
    sizes = 16 + per_cell * row_bytes
    starts = offsets_of(sizes)
    data = np.empty(int(starts[-1]), dtype=np.uint8)
    head = np.frombuffer(np.array([1, 0], dtype="<i8").tobytes(), dtype=np.uint8)
    data[starts[:-1, None] + np.arange(16)] = head
    is_row = np.ones(len(data), dtype=bool)
    is_row[(starts[:-1, None] + np.arange(16)).ravel()] = False
    data[is_row] = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
    return Blobs.packed(data, sizes)


def decode_grouped(blobs: Blobs, dtype: np.dtype[np.generic], width: int) -> tuple[AnyArray, IntArray, CellErrors]:
    """Rows of all cells, rows of each cell, and what is wrong with which cell; a bad one counts as empty."""
    errors: CellErrors = {}
    sizes = blobs.sizes
    raw = np.frombuffer(blobs.data, np.uint8)
    groups = np.zeros(len(blobs), dtype=np.int64)
    headed = np.flatnonzero(sizes >= 8)
    heads = raw[blobs.starts[headed, None] + np.arange(8)]
    groups[headed] = np.ascontiguousarray(heads).view("<i8").ravel()
    row_bytes = dtype.itemsize * width
    room = np.maximum(sizes - 8, 0) // 8
    sound = (sizes >= 8) & (groups >= 0) & (groups <= room)
    skip = np.where(sound, 8 + 8 * np.where(sound, groups, 0), 0)
    whole = sound & ((sizes - skip) % row_bytes == 0)
    for cell in np.flatnonzero(~sound).tolist():
        errors[cell] = f"links: {groups[cell]} groups in {sizes[cell]} bytes"
    for cell in np.flatnonzero(sound & ~whole).tolist():
        errors[cell] = f"links: {sizes[cell] - skip[cell]} bytes are not rows of {width} {dtype}"
    per_cell = np.where(whole, (sizes - skip) // row_bytes, 0)
    payload = Blobs(blobs.data, blobs.starts + skip, per_cell * row_bytes)
    rows = np.frombuffer(payload.joined(), dtype=dtype).reshape(-1, width)
    return rows, per_cell, errors


def decode_plain(blobs: Blobs, dtype: np.dtype[np.generic], width: int) -> tuple[AnyArray, IntArray, CellErrors]:
    """The same for cells of plain rows.

    Example:
        >>> cells = Blobs.from_list([np.array([[0, 1], [1, 2]], dtype="<i8").tobytes(), b"abc"])
        >>> rows, per_cell, errors = decode_plain(cells, np.dtype("<i8"), 2)
        >>> rows.tolist(), per_cell.tolist(), list(errors)
        ([[0, 1], [1, 2]], [2, 0], [1])
    """
    row_bytes = dtype.itemsize * width
    whole = blobs.sizes % row_bytes == 0
    errors = {
        cell: f"links: {blobs.sizes[cell]} bytes are not rows of {width} {dtype}"
        for cell in np.flatnonzero(~whole).tolist()
    }
    per_cell = np.where(whole, blobs.sizes // row_bytes, 0)
    payload = Blobs(blobs.data, blobs.starts, per_cell * row_bytes)
    return np.frombuffer(payload.joined(), dtype=dtype).reshape(-1, width), per_cell, errors
