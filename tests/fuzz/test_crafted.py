"""Stores made to do harm: each must be refused, or answered, in little time and memory."""

from __future__ import annotations

import json
import resource
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zstandard

import zarr_vectors as zv
from tests.fuzz.hostile_stores import folder_of, stored_values, use, written
from tests.query.damage import LAYOUTS, POINTS
from zarr_vectors.core.store import open_store
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
from zarr_vectors.encoding.fragments import encode_fragments
from zarr_vectors.encoding.links import encode_grouped
from zarr_vectors.encoding.unpack import PayloadBuffer, frame_sizes
from zarr_vectors.exceptions import CorruptionError, FormatError, MetadataError, ZVError
from zarr_vectors.metadata.array import ArrayDocument

_SECONDS = 5.0
_ROOM = 1 << 29
_ZSTD = ByteCodec(zstd=(0, True))


@contextmanager
def bounded() -> Iterator[None]:
    """Little time, and no more than half a GiB of memory beyond what the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ROOM, hard))
    began = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - began < _SECONDS


@cache
def _content(name: str) -> dict[str, bytes]:
    if name in LAYOUTS:
        return written(POINTS, LAYOUTS[name])
    return written(stored_values()[name], zv.Layout(chunk_shape=4, shard_shape=None))


def edited(name: str, path: str, change: Callable[[Any], Any]) -> dict[str, bytes]:
    """A store with a document changed."""
    content = dict(_content(name))
    document = json.loads(content[path])
    text = change(document)
    content[path] = text if isinstance(text, bytes) else json.dumps(document).replace("Infinity", "1e999").encode()
    return content


def put(*keys: Any) -> Callable[[Any], None]:
    """Set what lies under these keys, of which the last one is the value."""

    def change(document: Any) -> None:
        *path, last, value = keys
        for key in path:
            document = document[key]
        document[last] = value

    return change


def refused(content: dict[str, bytes], match: str = ".") -> ZVError:
    """The error of a whole read."""
    place = folder_of(content)
    with bounded(), pytest.raises(ZVError, match=match) as caught:
        everything(place)
    return caught.value


def everything(place: Any) -> None:
    """Read everything there is, by every way to read it."""
    store = zv.open(place)
    store.info()
    level = store[0]
    level.read()
    _ = level.objects
    level.read(object_ids=[3])
    level.read(group_ids=[0])


ROOT = ("attributes", "zarr_vectors")
LEVEL = ("attributes", "zarr_vectors_level")
NAN, INF = float("nan"), float("inf")
_BLOCKS: tuple[Any, ...] = (None, [], {}, [[]], [{"axes": [7]}])


@pytest.mark.parametrize(
    ("path", "change"),
    [
        *(("zarr.json", put(*ROOT, "chunk_shape", [edge] * 3)) for edge in (0, -0.0, NAN, INF, 2**70, -1, "a", None)),
        *(("zarr.json", put(*ROOT, "bounds", [[low] * 3, [9] * 3])) for low in (NAN, INF, 2**70, None, [0])),
        *(("zarr.json", put(*ROOT, "base_bin_shape", [edge] * 3)) for edge in (0, 1e-300, NAN, 2**70)),
        *(("zarr.json", put(*ROOT, "coordinate_offset", offset)) for offset in ([1.0], [NAN] * 3, [2**70] * 3)),
        *(("zarr.json", put("attributes", "multiscales", block)) for block in _BLOCKS),
        ("zarr.json", put("attributes", "multiscales", 0, "axes", [{"name": "x"}] * 100_000)),
        ("zarr.json", put("attributes", "multiscales", 0, "axes", 0, "unit", {"a": 1})),
        *(("0/zarr.json", put(*LEVEL, "vertex_count", count)) for count in (10**18, -1, 2**70, 1e300, NAN)),
        *(("0/zarr.json", put(*LEVEL, "chunk_shape", shape)) for shape in ([2**70] * 3, [1.0], [NAN] * 3, [-1] * 3)),
        ("0/zarr.json", put(*LEVEL, "chunk_dims", ["gene", "x", "y", "z"])),
        *(
            ("0/vertices/zarr.json", put("shape", shape))
            for shape in ([2**62] * 3, [2**70] * 3, [-1] * 3, [3, 3], [1e999] * 3)
        ),
        *(("0/vertices/zarr.json", put("attributes", "chunk_grid_origin", [at] * 3)) for at in (2**63, 2**62, 0.5)),
        *(
            ("0/vertices/zarr.json", put("attributes", "nonempty_chunks", keys))
            for keys in (
                *(["9.9.9"], ["0.0.0", "0.0.0"], ["1" * 5000 + ".0.0"], ["-9223372036854775808.0.0"], ["0.0"]),
                *([""], [["0.0.0"]], [None], "0.0.0", {"0.0.0": 1}, ["../../../x"]),
            )
        ),
        *(
            ("0/vertices/zarr.json", put("attributes", "dtype", dtype))
            for dtype in ("O", "V8", "f4,f4", "<U999999999", "datetime64[ns]", "", 7, ["f4"], "f4" * 10_000)
        ),
        ("0/vertices/zarr.json", put("attributes", "encoding", ["raw"])),
        ("0/vertices/zarr.json", put("chunk_key_encoding", "configuration", {"separator": "/../../"})),
        ("0/vertices/zarr.json", put("chunk_key_encoding", "name", ["default"])),
        ("0/vertices/zarr.json", put("chunk_grid", "configuration", "chunk_shape", [2**62] * 3)),
        ("0/vertices/zarr.json", put("codecs", [{"name": "vlen-bytes"}, {"name": "no-such-codec"}])),
        ("0/object_index/manifests/zarr.json", put("shape", [10**9])),
        ("0/object_index/manifests/zarr.json", put("shape", [2**59])),
        ("0/object_index/zarr.json", put("attributes", "layout", ["vlen_manifests_v2"])),
        ("0/object_index/zarr.json", put("attributes", "object_ids_run", [2**63 - 5, 11])),
        (
            "0/object_attributes/n/zarr.json",
            put("data_type", {"name": "fixed_length_utf32", "configuration": {"length_bytes": 2**40}}),
        ),
        ("0/object_attributes/n/zarr.json", put("shape", [10**9])),
        *(
            ("0/groups/zarr.json", put("attributes", "group_ranges", ranges))
            for ranges in ({"1": [0, 10**18]}, {"1": [-(2**70), 2**70]}, {"1": 7}, {"1": ["a", "b"]}, [[0, 1]])
        ),
        *(
            ("0/vertex_attributes/v/zarr.json", put("attributes", "row_shape", shape))
            for shape in ([2**40], [2**20] * 4, [-1], [0], "3", [1.5])
        ),
    ],
)
def test_numbers_out_of_all_bounds(path: str, change: Callable[[Any], None]) -> None:
    error = refused(edited("unsharded", path, change))
    assert len(str(error)) < 5000


@pytest.mark.parametrize("path", ["zarr.json", "0/zarr.json", "0/vertices/zarr.json", "0/groups/zarr.json"])
@pytest.mark.parametrize(
    "text",
    [
        b'{"attributes":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[]",
        b"7",
        b"",
        b"\xff\xfe{}",
        b'{"attributes":7}',
        b'{"node_type":"array","shape":[1e999]}',
        b'{"a":' + b"9" * 10**6 + b"}",
    ],
    ids=["lists", "objects", "list", "number", "empty", "utf16", "attributes", "infinite", "digits"],
)
def test_documents_that_are_none(path: str, text: bytes) -> None:
    refused({**_content("unsharded"), path: text})


@pytest.mark.parametrize(
    "name",
    ["../../secret", "..", "/etc/passwd", "vertex_attributes/../../../secret", "a\0b", "", "a//b", ".", 7, None, ["x"]],
)
def test_names_that_lead_out_of_the_store(name: Any, tmp_path: Path) -> None:
    content = edited("unsharded", "0/zarr.json", lambda d: d["attributes"]["zarr_vectors_arrays"].append(name))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "zarr.json").write_bytes(content["0/vertices/zarr.json"])
    for path, data in content.items():
        (tmp_path / "a" / "b" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / "b" / path).write_bytes(data)
    for place in (folder_of(content), tmp_path / "a" / "b"):
        with pytest.raises(MetadataError, match="name of an array"):
            zv.open(place)


@pytest.mark.parametrize("name", ["%2e%2e/%2e%2e/secret", "..%2f..", "....//"])
def test_names_that_only_look_like_it_are_not_found(name: str) -> None:
    refused(edited("unsharded", "0/zarr.json", lambda d: d["attributes"]["zarr_vectors_arrays"].append(name)))


@pytest.mark.parametrize("name", ["../../x", "/etc", "a\0b"])
def test_groups_do_not_lead_out_of_the_store(name: str) -> None:
    root = open_store(folder_of(_content("unsharded")))
    for read in (root.read_array, root.read_vlen_array):
        with pytest.raises(ZVError):
            read(name)
    with pytest.raises((ZVError, KeyError)):
        root[name]


def first_cell(content: dict[str, bytes], array: str) -> str:
    return next(path for path in sorted(content) if path.startswith(f"0/{array}/c/"))


def bomb(stated: int, stored: bytes = b"few bytes") -> bytes:
    """A zstd frame that states a size, with other content."""
    frame = bytearray(zstandard.ZstdCompressor(write_content_size=True).compress(stored))
    head, rest = frame[:4], frame[6:]
    return bytes(head) + b"\xe0" + struct.pack("<Q", stated) + bytes(rest)


def streamed(size: int) -> bytes:
    """A frame of zeros that does not state its size."""
    stream = zstandard.ZstdCompressor(level=1, write_content_size=False).compressobj()
    parts = [stream.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, stream.flush()])


@pytest.mark.parametrize(
    "array", ["vertices", "vertex_fragments", "vertex_attributes/v", "object_index/manifests", "groups"]
)
@pytest.mark.parametrize(
    "cell",
    [
        bomb(2**40),
        bomb(2**62),
        bomb(2**64 - 2),
        bomb(2**33),
        bomb(2**31),
        b"",
        b"\x28\xb5\x2f\xfd",
        streamed(64 << 20),
        bytes(_ZSTD.encode(Blobs.from_list([struct.pack("<II", 1, 2**32 - 1)]))[0]),
        bytes(_ZSTD.encode(Blobs.from_list([struct.pack("<II", 2**32 - 1, 0)]))[0]),
        bytes(_ZSTD.encode(Blobs.from_list([struct.pack("<I", 2**31) + bytes(400)]))[0]),
    ],
    ids=["2**40", "2**62", "2**64", "2**33", "2**31", "empty", "magic", "streamed", "size", "count", "items"],
)
def test_cells_that_state_more_than_they_hold(array: str, cell: bytes) -> None:
    content = dict(_content("unsharded"))
    content[first_cell(content, array)] = cell
    refused(content)


def framed(payload: bytes) -> bytes:
    return bytes(_ZSTD.encode(vlen_frame(Blobs.from_list([payload])))[0])


@pytest.mark.parametrize(
    "fragments",
    [
        encode_fragments([(0, 2**62)]),
        encode_fragments([(2**62, 2**62)]),
        encode_fragments([(0, 2**31)] * 4000),
        encode_fragments([(0, 1)] * 3_000_000),
        encode_fragments([np.array([2**62, 0])]),
        encode_fragments([np.array([-1, -5])]),
        struct.pack("<IHHII", 0x5A564647, 1, 0, 2**32 - 1, 2**32 - 1),
        struct.pack("<IHHII", 0x5A564647, 1, 0, 2**32 - 1, 0),
    ],
    ids=["long", "far", "many", "overlapping", "explicit", "negative", "count", "lists"],
)
def test_fragments_that_name_what_is_not_there(fragments: bytes) -> None:
    content = dict(_content("unsharded"))
    content[first_cell(content, "vertex_fragments")] = framed(fragments)
    refused(content, "cell")


@pytest.mark.parametrize("stated", [2**31, 2**33, 2**40, 2**62])
def test_no_room_is_made_for_what_a_frame_cannot_hold(stated: int) -> None:
    frames = Blobs.from_list([bomb(stated)] * 40)
    assert PayloadBuffer.for_frames(frame_sizes(frames), frames.sizes) is None
    for part in (frames, frames.take(np.arange(1))):
        _, errors = _ZSTD.decode(part)
        assert len(errors) == len(part)
        assert all("cannot hold" in what for what in errors.values())


def test_fragments_that_name_the_same_rows_without_end() -> None:
    content = dict(_content("unsharded"))
    count = 4000
    content[first_cell(content, "vertex_fragments")] = framed(encode_fragments([(0, 1)] * count))
    content[first_cell(content, "fragment_attributes/object_id")] = framed(bytes(8 * count))
    assert len(zv.open(folder_of(content))[0].read(strict=False).positions) > count
    count = 2_000_000
    content[first_cell(content, "vertex_fragments")] = framed(encode_fragments([(0, 1)] * count))
    content[first_cell(content, "fragment_attributes/object_id")] = framed(bytes(8 * count))
    refused(content, "fragments name 2000000 times one of")


def test_separators_of_paths() -> None:
    document = json.loads(_content("unsharded")["0/vertices/zarr.json"])
    for separator in ("/../", "", None, ["/"], 7):
        document["chunk_key_encoding"]["configuration"] = {"separator": separator}
        with pytest.raises(MetadataError, match="separator"):
            ArrayDocument.parse(document, where="x")


MANIFEST = struct.pack("<I3q", 1, 0, 0, 0)


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST + struct.pack("<Bqq", 1, 0, 2**62),
        MANIFEST + struct.pack("<Bqq", 1, 0, 2**27),
        struct.pack("<I", 60) + (MANIFEST[4:] + struct.pack("<Bqq", 1, 0, 2**20 - 1)) * 60,
        MANIFEST + struct.pack("<BI", 2, 2**32 - 1),
        MANIFEST + struct.pack("<Bq", 0, 2**62),
        MANIFEST + struct.pack("<Bq", 0, -1),
        struct.pack("<I3qBq", 1, 2**62, 0, 0, 0, 0),
        struct.pack("<I", 2**32 - 1),
        MANIFEST + struct.pack("<B", 9),
    ],
    ids=["range", "2**27", "ranges", "list", "fragment", "negative", "chunk", "count", "mode"],
)
def test_manifests_that_name_what_is_not_there(manifest: bytes) -> None:
    content = dict(_content("unsharded"))
    content.pop("0/object_index/fragment_refs/zarr.json", None)
    path = first_cell(content, "object_index/manifests")
    items = [struct.pack("<I", len(manifest)) + manifest] * 11
    content[path] = bytes(_ZSTD.encode(Blobs.from_list([struct.pack("<I", 11) + b"".join(items)]))[0])
    with bounded(), pytest.raises(ZVError):
        zv.open(folder_of(content))[0].read(object_ids=[3])


def test_ids_beyond_64_bits() -> None:
    content = dict(_content("unsharded"))
    document = json.loads(content["0/object_index/object_ids/zarr.json"])
    document["data_type"] = "uint64"
    content["0/object_index/object_ids/zarr.json"] = json.dumps(document).encode()
    header = json.loads(content["0/object_index/zarr.json"])
    header["attributes"].pop("object_ids_run", None)
    content["0/object_index/zarr.json"] = json.dumps(header).encode()
    ids = np.full(document["chunk_grid"]["configuration"]["chunk_shape"], 2**64 - 1, dtype="<u8")
    content[first_cell(content, "object_index/object_ids")] = bytes(_ZSTD.encode(Blobs.from_list([ids.tobytes()]))[0])
    refused(content, "64-bit")


@pytest.mark.parametrize(
    ("entry", "sealed"),
    [
        ((0, 2**63), True),
        ((2**63, 8), True),
        ((0, 2**64 - 2), True),
        ((2**61, 2**61), True),
        ((3, 10**7), True),
        ((0, 0), True),
        ((0, 8), False),
    ],
)
def test_shard_indexes_that_point_anywhere(entry: tuple[int, int], sealed: bool) -> None:
    content = dict(_content("sharded"))
    path = first_cell(content, "vertices")
    data = content[path]
    index = np.frombuffer(data[-(16 * 8 + 4) : -4], dtype="<u8").reshape(-1, 2).copy()
    index[index[:, 1] != 2**64 - 1] = entry
    raw = index.tobytes()
    seal = struct.pack("<I", google_crc32c.value(raw) ^ (not sealed))
    content[path] = data[: -(16 * 8 + 4)] + raw + seal
    refused(content)


def test_a_shard_of_more_cells_than_there_are_bytes() -> None:
    def change(document: Any) -> None:
        document["chunk_grid"]["configuration"]["chunk_shape"] = [2**19] * 3

    refused(edited("sharded", "0/vertices/zarr.json", change))


def test_links_beyond_all_rows_and_orders() -> None:
    content = dict(_content("graph"))
    cells = [path for path in content if path.startswith("0/links/0/") and "/c/" in path]
    assert cells
    for path in cells:
        name = path.split("/")[3]
        document = json.loads(content[path.partition("/c/")[0] + "/zarr.json"])
        width = 2 + bool(document["attributes"]["has_perm"])
        rows = np.full((3, width), 2**62, dtype="<i8")
        plain = set(name) <= set("0._")
        content[path] = framed(rows.tobytes() if plain else bytes(encode_grouped(rows, np.array([3]))[0]))
    refused(content, "link")


@pytest.mark.parametrize("edges", [[[0, 1], [1, 2], [2, 0]], [[0, 0]], [[0, 1], [1, 0]]])
def test_cyclic_skeletons(edges: list[list[int]]) -> None:
    rows = np.array([[0.0, 0, 0], [5, 5, 5], [9, 1, 1]])
    content = written(zv.Graph(rows, edges, directed=True), zv.Layout(chunk_shape=4, shard_shape=None))
    document = json.loads(content["zarr.json"])
    document["attributes"]["zarr_vectors"] |= {"geometry_types": ["skeleton"]}
    content["zarr.json"] = json.dumps(document).encode()
    with bounded():
        use(folder_of(content))
        with pytest.raises(CorruptionError, match="circle"):
            zv.open(folder_of(content))[0].read()
        assert "circle" in zv.open(folder_of(content))[0].read(strict=False).errors[0]


def test_groups_that_hold_themselves_and_what_is_not_there() -> None:
    content = dict(_content("unsharded"))
    items = [struct.pack("<Iq", 8, group) for group in (0, 10**18, -(2**63))]
    raw = struct.pack("<I", 3) + b"".join(items)
    content[first_cell(content, "groups")] = bytes(_ZSTD.encode(Blobs.from_list([raw]))[0])
    with bounded():
        use(folder_of(content))
        level = zv.open(folder_of(content))[0]
        assert len(level.read(group_ids=[1, 2]).positions) == 0


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ([2**33], [2**33]),
        ([2**26], [16]),
        ([2**40, 4], [2**40, 2]),
        ([2**40, 2**10], [1, 1]),
        ([2**59, 2], [2**58, 2]),
        ([0, 2**59], [1, 2]),
    ],
)
def test_arrays_of_other_shapes_that_are_not_there(shape: list[int], chunk: list[int]) -> None:
    def change(document: Any) -> None:
        document["shape"] = shape
        document["chunk_grid"]["configuration"]["chunk_shape"] = chunk
        document["attributes"].pop("zv_stored_whole")

    root = open_store(folder_of(edited("unsharded", "0/object_attributes/n/zarr.json", change)))
    with bounded(), pytest.raises(ZVError):
        root.read_array("0/object_attributes/n")


def test_chunks_too_small_to_be_numbered() -> None:
    content = edited("unsharded", "zarr.json", put(*ROOT, "chunk_shape", [1e-300] * 3))
    with bounded():
        use(folder_of(content))


@pytest.mark.parametrize("needs", [["time_travel"], ["a" * 10_000], [""]])
def test_capabilities_that_are_required(needs: list[str]) -> None:
    content = edited("unsharded", "zarr.json", put(*ROOT, "required_capabilities", needs))
    with pytest.raises(FormatError, match="capabilities") as caught:
        zv.open(folder_of(content))
    assert caught.value.hint


def test_capabilities_that_are_not_required_do_no_harm() -> None:
    content = edited("unsharded", "zarr.json", put(*ROOT, "format_capabilities", ["time_travel"]))
    everything(folder_of(content))


def test_the_store_itself_is_sound() -> None:
    for name in LAYOUTS:
        everything(folder_of(_content(name)))
