"""Decoders of cells and models of documents, fed with golden bytes that have been spoiled."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import google_crc32c
import numpy as np

from tests.fuzz.mutate import dumped, spoiled, spoiled_json
from tests.fuzz.targets import Target
from tests.storage.stores import GOLDEN, golden_stores, tables
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.parametric import parse_types
from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
from zarr_vectors.encoding.draco import decode_draco, encode_draco
from zarr_vectors.encoding.fragments import decode_fragments, encode_fragments
from zarr_vectors.encoding.links import decode_grouped, decode_plain, encode_grouped, parse_segment, permutations_at
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests
from zarr_vectors.encoding.references import decode_references, encode_references
from zarr_vectors.encoding.sharding import decode_shard_index, encode_shard
from zarr_vectors.encoding.unpack import PayloadBuffer, frame_sizes
from zarr_vectors.exceptions import ZVError
from zarr_vectors.metadata.array import ArrayDocument, fill_value_of
from zarr_vectors.metadata.base import DocumentParser
from zarr_vectors.metadata.ngff import axes_of, level_transform
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata, check_version
from zarr_vectors.spatial.grid import parse_keys
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.tables import TableArray

__all__ = ["decoder_targets"]

_PAYLOADS = [b"", b"a", b"abc" * 40, bytes(range(256)) * 9, b"\0" * 5000]
_CODECS = [
    ByteCodec(),
    ByteCodec(zstd=(0, True)),
    ByteCodec(zstd=(3, False)),
    ByteCodec((3, True), True),
    ByteCodec(None, True),
]


def decoder_targets() -> list[Target]:
    """Every decoder and every model."""
    value_errors = (ZVError, ValueError)
    return [
        Target(name="codecs", run=_codecs, weight=4),
        Target(name="batched frames", run=_batched_frames),
        Target(name="fragments", run=_fragments, weight=4),
        Target(name="manifests", run=_manifests, weight=4),
        Target(name="references", run=_references, weight=2),
        Target(name="plain links", run=_plain_links),
        Target(name="grouped links", run=_grouped_links, weight=2),
        Target(name="segments", run=_segments, allowed=value_errors),
        Target(name="shard index", run=_shard_index, allowed=value_errors),
        Target(name="chunk keys", run=_chunk_keys, allowed=value_errors),
        Target(name="draco", run=_draco, weight=0.5),
        Target(name="tables", run=_tables, weight=2),
        Target(name="documents", run=_documents(_DOCUMENTS), weight=3),
    ]


def _both(blobs: Blobs) -> Blobs:
    """The same, now and then as they lie in a shard: with gaps, and other bytes around them."""
    return Blobs(b"\7" * 5 + bytes(blobs.joined()), blobs.starts + 5, blobs.sizes)


def _codecs(seed: random.Random) -> None:
    codec = seed.choice(_CODECS)
    framed = vlen_frame(Blobs.from_list(_PAYLOADS)).to_list()
    inner = seed.random() < 0.5
    if inner:
        framed = [spoiled(item, seed, framed) if seed.random() < 0.4 else item for item in framed]
    stored = codec.encode(Blobs.from_list(framed)).to_list()
    if not inner:
        stored = [spoiled(item, seed, stored) if seed.random() < 0.4 else item for item in stored]
        if codec.crc32c and seed.random() < 0.5:
            stored = [item[:-4] + struct.pack("<I", google_crc32c.value(item[:-4])) for item in stored]
    blobs = _both(Blobs.from_list(stored))
    frame_sizes(blobs)
    decoded, errors = codec.decode(blobs)
    assert len(decoded) == len(_PAYLOADS)
    decoded, errors = codec.decode_framed(blobs)
    assert len(decoded) == len(_PAYLOADS)
    assert set(errors) <= set(range(len(_PAYLOADS)))
    assert sum(map(len, decoded.views())) == decoded.total


def _batched_frames(seed: random.Random) -> None:
    codec = ByteCodec(zstd=(3, True))
    size = seed.choice((8, 2000, 9000))
    stored = codec.encode(vlen_frame(Blobs.from_list([bytes([n]) * size for n in range(40)]))).to_list()
    at = seed.randrange(40)
    stored[at] = spoiled(stored[at], seed, stored)
    frames = Blobs.from_list(stored)
    buffer = PayloadBuffer.for_frames(frame_sizes(frames), frames.sizes)
    if buffer is not None:
        buffer.fill(np.arange(40), frames)
    codec.decode_framed(frames)


_FRAGMENT_CELLS = [
    encode_fragments([]),
    encode_fragments([(0, 5)]),
    encode_fragments([(0, 5), np.array([4, 0, 2]), (5, 2)]),
    encode_fragments([np.array([4, 0, 2])]),
    encode_fragments([(n, 1) for n in range(70)]),
]


def _fragments(seed: random.Random) -> None:
    cells = [spoiled(c, seed, _FRAGMENT_CELLS) if seed.random() < 0.5 else c for c in _FRAGMENT_CELLS]
    table, errors = decode_fragments(_both(Blobs.from_list(cells)))
    assert len(table.per_cell) == len(cells)
    assert len(table.counts) == len(table.starts) == int(table.per_cell.sum())
    assert (table.counts >= 0).all()
    assert set(errors) <= set(range(len(cells)))
    rows = table.rows_per_cell()
    table.tiles(rows)
    if int(table.counts.sum()) < 1000:
        assert len(table.rows()) == int(table.counts.sum())


_MANIFESTS = [
    *encode_manifests(ManifestTable(np.array([0, 0, 2]), np.arange(9).reshape(3, 3), np.array([5, 1, 0])), 4).to_list(),
    struct.pack("<I3qBqq", 1, 0, 1, 2, 1, 3, 4),
    struct.pack("<I3qBI2q", 1, 0, 1, 2, 2, 2, 8, 9),
    struct.pack("<I3qBq3qBqq", 2, 0, 1, 2, 0, 7, 1, 1, 1, 1, 0, 2),
]


def _manifests(seed: random.Random) -> None:
    blobs = [spoiled(m, seed, _MANIFESTS) if seed.random() < 0.5 else m for m in _MANIFESTS]
    table, errors = decode_manifests(_both(Blobs.from_list(blobs)), 3)
    assert len(table.objects) == len(table.chunks) == len(table.fragments)
    assert set(errors) <= set(range(len(blobs)))


_TABLE = ManifestTable(np.array([0, 0, 2]), np.array([[-1, 2, 300], [0, 0, 1], [9, 9, 9]]), np.array([5, 70000, 0]))
_REFERENCES = encode_references(_TABLE, 4, b"seal")


def _references(seed: random.Random) -> None:
    table = decode_references(spoiled(_REFERENCES, seed), b"seal", np.array([3, 0, 2]), 3)
    assert table is None or len(table.objects) == len(table.chunks) == len(table.fragments)


_PLAIN = [np.arange(n * 2, dtype="<i8").tobytes() for n in (0, 1, 5)]
_GROUPED = encode_grouped(np.arange(18, dtype="<i8").reshape(6, 3), np.array([1, 0, 5])).to_list()


def _plain_links(seed: random.Random) -> None:
    cells = [spoiled(cell, seed, _PLAIN) for cell in _PLAIN]
    rows, per_cell, _ = decode_plain(_both(Blobs.from_list(cells)), np.dtype(seed.choice(("<i8", "<i4", "<u2"))), 2)
    assert len(rows) == int(per_cell.sum())


def _grouped_links(seed: random.Random) -> None:
    cells = [spoiled(cell, seed, _GROUPED) if seed.random() < 0.7 else cell for cell in _GROUPED]
    rows, per_cell, _ = decode_grouped(_both(Blobs.from_list(cells)), np.dtype("<i8"), 3)
    assert len(rows) == int(per_cell.sum())
    permutations_at(rows[:, 0], 3)


def _segments(seed: random.Random) -> None:
    name = seed.choice(("self", "0.0.0", "+1.-1.0_0.0.0", "+1.0.0"))
    offsets = parse_segment(spoiled(name.encode(), seed).decode(errors="replace"), 3)
    assert offsets.shape[1] == 3


_SHARD = encode_shard(Blobs.from_list([b"abc", b"defg"]), np.array([1, 6]), (2, 2, 2))


def _shard_index(seed: random.Random) -> None:
    raw = spoiled(_SHARD[-132:], seed)
    if seed.random() < 0.7:
        raw = raw[:-4] + struct.pack("<I", google_crc32c.value(raw[:-4]))
    assert decode_shard_index(raw, 8).shape == (8, 2)


def _chunk_keys(seed: random.Random) -> None:
    keys = spoiled_json(["0.0.0", "-1.0.12", "3.4.5"], seed)
    texts = [key if isinstance(key, str) else str(key) for key in (keys if isinstance(keys, list) else [])]
    assert parse_keys(texts, 3).shape == (len(texts), 3)


def _draco_cells() -> list[bytes]:
    rows = np.random.default_rng(0).uniform(0, 8, (60, 3)).astype(np.float32)
    own = encode_draco(rows, origin=np.zeros(3, np.float32), reach=8.0, bits=10)
    others = [path.read_bytes() for path in sorted((GOLDEN / "draco").rglob("*")) if path.is_file()]
    return [own, *(data for data in others if data[:5] == b"DRACO")]


_DRACO = _draco_cells()


def _draco(seed: random.Random) -> None:
    cell = seed.choice(_DRACO)
    decode_draco(spoiled(cell, seed, _DRACO), 60)


def _golden_tables() -> list[tuple[TableArray, dict[str, bytes]]]:
    found = []
    for store in golden_stores():
        if store.parent != GOLDEN:
            continue
        for table in tables(store):
            if len(table.document.shape) and table.document.shape[1:] == table.document.chunk_shape[1:]:
                stored = {get.path: store / get.path for get in table.requests()}
                found.append((table, {path: file.read_bytes() for path, file in stored.items() if file.is_file()}))
    return [item for item in found if item[1]]


_TABLES = _golden_tables()


def _tables(seed: random.Random) -> None:
    table, stored = seed.choice(_TABLES)
    codec = table._codec()
    found: dict[Get, Buffer | None] = {}
    for get in table.requests():
        data = stored.get(get.path)
        if data is not None and codec is not None and seed.random() < 0.7:
            raw = codec.decode_each(Blobs.from_list([data]))[0][0]
            data = codec.encode(Blobs.from_list([spoiled(bytes(raw), seed)])).to_list()[0]
        elif data is not None:
            data = spoiled(data, seed)
        found[get] = data
    table.decode(found)
    table.decode(found, np.arange(table.rows)[::-2])


def _golden_documents() -> list[tuple[str, Any]]:
    found: dict[str, Any] = {}
    for store in golden_stores():
        if store.parent == GOLDEN:
            for path in sorted(store.rglob("zarr.json")):
                text = path.read_text()
                found.setdefault(text, json.loads(text))
    return [(text, value) for text, value in found.items() if len(text) < 4000]


_DOCUMENTS = _golden_documents()


def _column_and_fill(document: Any) -> None:
    """What tables and columns take from the document of an array, and the errors that they expect."""
    with suppress(TypeError, KeyError):
        ColumnSpec.from_attributes(document.get("attributes") or {})
    with suppress(ValueError):
        fill_value_of(ArrayDocument.parse(document, where="x"))


def _documents(known: Sequence[tuple[str, Any]]) -> Callable[[random.Random], None]:
    def run(seed: random.Random) -> None:
        _, value = seed.choice(known)
        text = dumped(spoiled_json(value, seed), seed)
        document = DocumentParser("memory://fuzz").parse(text, path="zarr.json")
        attributes = document.get("attributes") or {}
        uses: list[Callable[[], object]] = [
            lambda: ArrayDocument.parse(document, where="x"),
            lambda: _column_and_fill(document),
        ]
        if "zarr_vectors" in attributes:
            block = attributes["zarr_vectors"]
            uses = [
                lambda: check_version(block.get("zv_version") if isinstance(block, dict) else block),
                lambda: RootMetadata.parse(block, where="x").bins_per_chunk,
                lambda: axes_of(attributes.get("multiscales")),
                lambda: level_transform(attributes.get("multiscales"), 1),
            ]
        elif "zarr_vectors_level" in attributes:
            uses = [lambda: LevelMetadata.parse(attributes["zarr_vectors_level"], where="x")]
        elif "parametric_types" in attributes:
            uses = [lambda: parse_types(attributes)]
        for use in uses:
            try:
                use()
            except ZVError:
                continue

    return run
