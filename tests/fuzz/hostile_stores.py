"""Whole stores with one thing spoiled, opened and read in every way."""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import google_crc32c
import numpy as np

import zarr_vectors as zv
from tests.fuzz.mutate import dumped, spoiled, spoiled_json
from tests.fuzz.targets import Target
from tests.query.damage import LAYOUTS, POINTS
from tests.storage.stores import GOLDEN, golden_stores
from zarr_vectors.core.store import (
    list_available_ratios,
    list_resolution_levels,
    open_store,
    read_level_metadata,
    read_parametric_types,
    read_root_metadata,
)
from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.codecs import ByteCodec, known_chain
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, encode_shard
from zarr_vectors.exceptions import ZVError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.local import LocalBackend

__all__ = ["Content", "folder_of", "store_targets", "stored_values", "use", "written"]

_SECONDS = 5.0
Content = Mapping[str, bytes]


class MemoryFolder(LocalBackend):
    """A folder that only seems to be on a disk."""

    def __init__(self, content: Content) -> None:
        super().__init__("/nowhere", read_only=True)
        self.content = content

    def fetch(self, requests: Sequence[Get]) -> list[Buffer | None]:
        return [self._part(get) for get in requests]

    def _part(self, get: Get) -> Buffer | None:
        self._full(get.path)
        data = self.content.get(get.path)
        if data is None or get.start is None:
            return data
        start = get.start if get.start >= 0 else max(0, len(data) + get.start)
        return data[start : None if get.length is None else start + get.length]

    def exists(self, key: str) -> bool:
        self._full(key)
        return key in self.content

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        self._full(prefix)
        head = prefix.strip("/") + "/" if prefix.strip("/") else ""
        below = (key for key in self.content if key.startswith(head))
        if recursive:
            yield from sorted(below)
            return
        parts = (key[len(head) :].partition("/") for key in below)
        yield from sorted({head + first + slash for first, slash, _ in parts})

    def size(self, prefix: str) -> int:
        return sum(len(self.content[key]) for key in self.list_prefix(prefix, recursive=True))


def folder_of(content: Content) -> LocalBackend:
    """A store with this content, to be opened."""
    return MemoryFolder(content)


def store_targets() -> list[Target]:
    """One for each store."""
    return [Target(name=f"store {name}", run=_run(content), seconds=60.0) for name, content in _stores().items()]


def _stores() -> dict[str, dict[str, bytes]]:
    found = {store.name: _content(store) for store in golden_stores() if store.parent == GOLDEN}
    for kind in sorted((GOLDEN / "kinds").iterdir()):
        if (kind / "zarr.json").is_file():
            found[f"kinds/{kind.name}"] = _content(kind)
    for kind in sorted((GOLDEN / "draco").iterdir()):
        if (kind / "zarr.json").is_file():
            found[f"draco/{kind.name}"] = _content(kind)
    for name, layout in LAYOUTS.items():
        found[f"points {name}"] = written(POINTS, layout)
    for name, value in stored_values().items():
        found[name] = written(value, zv.Layout(chunk_shape=4, shard_shape=2))
    found["draco"] = written(
        zv.Points(POINTS.positions.astype(np.float32)), zv.Layout(chunk_shape=4, vertex_encoding="draco")
    )
    return found


def stored_values() -> dict[str, Any]:
    rows = np.random.default_rng(1).uniform(0, 12, (60, 3))
    offsets = np.arange(0, 61, 6)
    edges = np.stack([np.arange(0, 59), np.arange(1, 60)], axis=1)
    faces = np.stack([np.arange(0, 58), np.arange(1, 59), np.arange(2, 60)], axis=1)
    ids = np.arange(10) * 3
    return {
        "polylines": zv.Polylines(rows, offsets, ids=ids, attributes={"w": np.arange(60)}),
        "graph": zv.Graph(rows, edges, attributes={"w": np.arange(60)}, edge_attributes={"e": np.arange(59.0)}),
        "mesh": zv.Mesh(rows, faces, face_attributes={"f": np.arange(58)}),
        "skeleton": zv.Skeleton(rows, np.concatenate([[-1], np.arange(59)]), attributes={"r": np.arange(60.0)}),
    }


def written(value: Any, layout: zv.Layout) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        zv.write(Path(folder) / "a", value, layout=layout)
        return _content(Path(folder) / "a")


def _content(store: Path) -> dict[str, bytes]:
    files = (path for path in sorted(store.rglob("*")) if path.is_file())
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def _run(content: Content) -> Callable[[random.Random], None]:
    documents = [path for path in content if path.endswith("zarr.json")]
    others = [path for path in content if not path.endswith("zarr.json")]

    def run(seed: random.Random) -> None:
        changed = dict(content)
        path = seed.choice(documents if seed.random() < 0.5 or not others else others)
        if path.endswith("zarr.json"):
            changed[path] = dumped(spoiled_json(json.loads(content[path]), seed), seed)
        elif seed.random() < 0.05:
            del changed[path]
        else:
            changed[path] = _spoiled_object(content, path, seed)
        use(MemoryFolder(changed))

    return run


def _spoiled_object(content: Content, path: str, seed: random.Random) -> bytes:
    """A stored object whose checksums hold, so that what lies behind them is reached; at times without them."""
    data = content[path]
    array = path.partition("/c/")[0] if "/c/" in path else path.rpartition("/c")[0]
    document = ArrayDocument.parse(json.loads(content[f"{array}/zarr.json"]), where=array)
    if seed.random() < 0.15:
        return spoiled(data, seed)
    sharding = document.sharding
    chain = document.codecs if sharding is None else sharding.inner
    codec = known_chain(chain[1:])
    if codec is None:
        return spoiled(data, seed)
    if sharding is None:
        return _recoded(data, codec, seed)
    cells = int(np.prod(document.chunk_shape))
    size = 16 * cells + 4 * sharding.index_crc32c
    index = decode_shard_index(data[-size:], cells, crc32c=sharding.index_crc32c)
    if seed.random() < 0.3:
        raw = spoiled(index.tobytes(), seed)
        return data[:-size] + raw + struct.pack("<I", google_crc32c.value(raw)) * sharding.index_crc32c
    there = np.flatnonzero(index[:, 1] != MISSING)
    items = [data[int(start) : int(start) + int(length)] for start, length in index[there].tolist()]
    at = seed.randrange(len(items))
    items[at] = _recoded(items[at], codec, seed)
    return encode_shard(Blobs.from_list(items), there, document.chunk_shape, crc32c=sharding.index_crc32c)


def _recoded(data: bytes, codec: ByteCodec, seed: random.Random) -> bytes:
    (item,), errors = codec.decode_each(Blobs.from_list([data]))
    if errors:
        return spoiled(data, seed)
    raw = bytes(item)
    if seed.random() < 0.8 and len(raw) > 8 and raw[:4] == b"\1\0\0\0":
        payload = spoiled(raw[8:], seed)
        raw = struct.pack("<II", 1, len(payload)) + payload
    else:
        raw = spoiled(raw, seed)
    return codec.encode(Blobs.from_list([raw])).to_list()[0]


def use(place: Any) -> None:
    """Open a store and read it in every way; what goes wrong in one way does not keep the others from being tried."""
    opened: list[Any] = []
    _try(lambda: opened.append(zv.open(place)))
    for ways in map(_ways, opened):
        for way in ways:
            _try(way)
    groups: list[Any] = []
    _try(lambda: groups.append(open_store(place)))
    for group in groups:
        for way in _group_ways(group):
            _try(way)


def _ways(store: Any) -> Iterator[Callable[[], object]]:
    yield store.info
    yield store._repr_html_
    yield lambda: store.headers
    levels: list[Any] = []
    yield lambda: levels.extend(store[number] for number in store.levels[:3])
    for level in levels:
        yield from _level_ways(level, store.ndim)


def _level_ways(level: Any, ndim: int) -> list[Callable[[], object]]:
    box = ([0.0] * ndim, [2.0] * ndim)
    return [
        level.read,
        partial(level.read, strict=False),
        partial(level.read, bbox=box),
        lambda: level.objects,
        partial(level.read, object_ids=[0, 3]),
        partial(level.read, group_ids=[0]),
        partial(level.count, bbox=box),
        lambda: [len(batch.positions) for batch in level.iter(batch_rows=50)],
        lambda: (repr(level), level.attributes, level.bounds, level.link_count, level.bin_shape),
        level.row_order,
        lambda: (level.object_index.compute(), None),
        lambda: (level.vertices.compute(), None),
    ]


def _group_ways(root: Any) -> Iterator[Callable[[], object]]:
    yield partial(read_root_metadata, root)
    yield lambda: list_resolution_levels(root)
    yield lambda: list_available_ratios(root)
    yield lambda: read_level_metadata(root, 0)
    yield lambda: read_parametric_types(root)
    names: list[str] = []
    yield lambda: names.extend(_arrays_below(root))
    for name in names[:40]:
        yield partial(root.read_array_fill_value, name)
        yield partial(root.read_array_meta, name)
        yield partial(root.read_array, name)
        yield partial(root.read_vlen_array, name)


def _arrays_below(root: Any) -> list[str]:
    keys = root.storage.list_keys("", recursive=True)
    return [key.removesuffix("/zarr.json") for key in keys if key.endswith("/zarr.json")]


def _try(way: Callable[[], object]) -> None:
    began = time.process_time()
    with suppress(ZVError):
        way()
    if time.process_time() - began > _SECONDS:
        raise TimeoutError(f"one way of reading took more than {_SECONDS} s")
