"""Object manifests: the fragments of an object, in order.

A manifest is ``u32 B`` and ``B`` blocks ``i64 chunk[K], u8 mode, payload``: mode 0 is one fragment (i64), mode 1 a
range (i64 start, i64 count), mode 2 a list (u32 n, i64 fragments). An empty blob is an absent object.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, offsets_of, records_at
from zarr_vectors.encoding.codecs import CellErrors
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["ManifestTable", "decode_manifests", "encode_manifests"]

_MOST_FRAGMENTS = 2**20
"""Ranges may name so many fragments in all, and one more for each stored byte: a corrupt one must not claim more."""


_PART_REFS = 1 << 15


@dataclass(frozen=True, eq=False)
class ManifestTable:
    """References from objects to fragments, in manifest order.

    Args:
        objects: ``(M,)`` number of the manifest that each reference comes from; ascending.
        chunks: ``(M, K)`` absolute chunk coordinates.
        fragments: ``(M,)`` fragment numbers inside their chunk.
    """

    objects: IntArray
    chunks: IntArray
    fragments: IntArray

    @classmethod
    def joined(cls, parts: Sequence[ManifestTable]) -> ManifestTable:
        """The references of all parts, each object's in their order."""
        objects = np.concatenate([part.objects for part in parts])
        order = np.argsort(objects, kind="stable")
        chunks = np.concatenate([part.chunks for part in parts])
        fragments = np.concatenate([part.fragments for part in parts])
        return cls(objects[order], chunks[order], fragments[order])

    def __len__(self) -> int:
        return len(self.objects)


def _block_dtype(ndim: int) -> np.dtype[np.void]:
    return np.dtype([("chunk", "<i8", (ndim,)), ("mode", "u1"), ("fragment", "<i8")])


def encode_manifests(table: ManifestTable, count: int) -> Blobs:
    """Encode one manifest for each of ``count`` objects, a block of mode 0 per reference.

    Example:
        >>> table = ManifestTable(np.array([0]), np.array([[-1, 2, 3]]), np.array([5]))
        >>> blobs = encode_manifests(table, 2)
        >>> blobs.sizes.tolist(), decode_manifests(blobs, 3)[0].fragments.tolist()
        ([37, 4], [5])
    """
    block = _block_dtype(table.chunks.shape[1])
    per_object = np.bincount(table.objects, minlength=count).astype(np.int64)
    sizes = 4 + block.itemsize * per_object
    starts, refs = offsets_of(sizes), offsets_of(per_object)
    data = np.empty(int(starts[-1]), dtype=np.uint8)
    # Some at a time: what they are made from is as large as they are, and stays in the cache.
    cuts = np.searchsorted(refs, np.arange(_PART_REFS, len(table), _PART_REFS))
    for first, last in pairwise(np.unique([0, *cuts, count]).tolist()):
        rows = slice(int(refs[first]), int(refs[last]))
        blocks = np.zeros(rows.stop - rows.start, dtype=block)
        blocks["chunk"], blocks["fragment"] = table.chunks[rows], table.fragments[rows]
        part = data[starts[first] : starts[last]]
        heads = starts[first:last, None] - starts[first] + np.arange(4)
        part[heads] = per_object[first:last].astype("<u4").view(np.uint8).reshape(-1, 4)
        is_block = np.ones(len(part), dtype=bool)
        is_block[heads] = False
        part[is_block] = blocks.view(np.uint8)
    return Blobs.packed(data, sizes)


def decode_manifests(blobs: Blobs, ndim: int) -> tuple[ManifestTable, CellErrors]:
    """Decode manifests of any modes; a bad one counts as empty and is named in the errors."""
    errors: CellErrors = {}
    block = _block_dtype(ndim)
    plain, blocks = _plain_blocks(blobs, block)
    odd = np.flatnonzero(~plain)
    per_object = np.where(plain, np.maximum(blobs.sizes - 4, 0) // block.itemsize, 0)
    if not len(odd):
        objects = np.repeat(np.arange(len(blobs), dtype=np.int64), per_object)
        return ManifestTable(objects, blocks["chunk"].astype(np.int64), blocks["fragment"].astype(np.int64)), errors
    owners = [np.repeat(np.arange(len(blobs), dtype=np.int64), per_object)]
    chunks, fragments = [blocks["chunk"].astype(np.int64)], [blocks["fragment"].astype(np.int64)]
    room = _MOST_FRAGMENTS + blobs.total
    for number in odd.tolist():
        try:
            chunk, fragment = _decode_one(blobs[number], ndim, room)
        except (ValueError, IndexError, struct.error) as error:
            errors[number] = f"manifest: {error}"
            continue
        room -= len(fragment)
        owners.append(np.full(len(fragment), number, dtype=np.int64))
        chunks.append(chunk)
        fragments.append(fragment)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return ManifestTable(owner[order], np.concatenate(chunks)[order], np.concatenate(fragments)[order]), errors


def _plain_blocks(blobs: Blobs, block: np.dtype[np.void]) -> tuple[AnyArray, AnyArray]:
    """Which manifests are empty or hold blocks of mode 0 only, and the blocks of those."""
    sizes = blobs.sizes
    fits = (sizes == 0) | ((sizes >= 4) & ((sizes - 4) % block.itemsize == 0))
    counted = np.flatnonzero(fits & (sizes > 0))
    stated = records_at(blobs.data, blobs.starts[counted], np.dtype("<u4"))
    fits[counted] = stated == (sizes[counted] - 4) // block.itemsize
    counted = np.flatnonzero(fits & (sizes > 0))
    per_object = (sizes[counted] - 4) // block.itemsize
    owner = np.repeat(counted, per_object)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(per_object) - per_object, per_object)
    blocks = records_at(blobs.data, blobs.starts[owner] + 4 + place * block.itemsize, block)
    other_modes = owner[blocks["mode"] != 0]
    if len(other_modes):
        fits[other_modes] = False
        blocks = blocks[fits[owner]]
    return fits, blocks


def _decode_one(blob: memoryview, ndim: int, room: int) -> tuple[IntArray, IntArray]:
    (count,) = struct.unpack_from("<I", blob, 0)
    at = 4
    chunks: list[IntArray] = []
    fragments: list[IntArray] = []
    for _ in range(count):
        chunk = np.frombuffer(blob, "<i8", ndim, at)
        mode = blob[at + 8 * ndim]
        at += 8 * ndim + 1
        if mode == 0:
            part = np.frombuffer(blob, "<i8", 1, at)
            at += 8
        elif mode == 1:
            start, length = struct.unpack_from("<qq", blob, at)
            room -= length
            if not 0 <= start < 2**62 or length < 0 or room < 0:
                raise ValueError(f"range of {length} fragments from {start}")
            part = np.arange(start, start + length)
            at += 16
        elif mode == 2:
            (length,) = struct.unpack_from("<I", blob, at)
            part = np.frombuffer(blob, "<i8", length, at + 4)
            at += 4 + 8 * length
        else:
            raise ValueError(f"unknown block mode {mode}")
        chunks.append(np.broadcast_to(chunk, (len(part), ndim)))
        fragments.append(part)
    if at != len(blob):
        raise ValueError(f"{len(blob) - at} bytes after the last block")
    empty = np.zeros((0, ndim), dtype=np.int64)
    return (
        np.concatenate([*chunks, empty]).astype(np.int64),
        np.concatenate([*fragments, np.zeros(0, dtype=np.int64)]).astype(np.int64),
    )
