"""Few bytes that become many when they are unpacked: refused in bounded memory, with the name of what they are."""

from __future__ import annotations

import bz2
import gzip
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numcodecs.lz4
import numpy as np
import pytest

import zarr_vectors as zv
from tests.fuzz.hostile_stores import folder_of, written
from tests.fuzz.test_crafted import bounded, refused
from tests.query.damage import LAYOUTS, POINTS
from zarr_vectors.encoding import limits, unwrap
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import ByteCodec
from zarr_vectors.encoding.limits import check_room, most_content
from zarr_vectors.encoding.sharding import encode_shard
from zarr_vectors.encoding.unwrap import gunzip, unwrapped
from zarr_vectors.exceptions import (
    CorruptionError,
    IngestError,
    InputError,
    OutOfMemoryError,
    StoreNotFoundError,
    ZVError,
)
from zarr_vectors.formats import registry
from zarr_vectors.formats.base import Source
from zarr_vectors.formats.off import OFF
from zarr_vectors.formats.registry import ingest
from zarr_vectors.storage import cells as reading

FOUR_GIB = 1 << 32
ARRAYS = ["vertices", "vertex_fragments", "vertex_attributes/v", "object_index/manifests", "groups"]


@cache
def zstd_bomb(stated: bool) -> bytes:
    """A real frame of 4 GiB of zeros, in 128 KiB: one block for each 128 KiB."""
    blocks = FOUR_GIB >> 17
    size = b"\xe0" + struct.pack("<Q", FOUR_GIB) if stated else b"\x00\x38"
    repeated = [(1 << 17) << 3 | 1 << 1 | (number == blocks - 1) for number in range(blocks)]
    return b"\x28\xb5\x2f\xfd" + size + b"".join(head.to_bytes(3, "little") + b"\0" for head in repeated)


@cache
def gzip_bomb() -> bytes:
    """4 GiB of zeros; the checksum at the end is another."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = stream.compress(b"") + stream.flush(zlib.Z_FULL_FLUSH)
    block = stream.compress(bytes(1 << 24)) + stream.flush(zlib.Z_FULL_FLUSH)
    return head + block * (FOUR_GIB >> 24) + stream.flush()


@cache
def content(layout: str) -> dict[str, bytes]:
    return written(POINTS, LAYOUTS[layout])


def with_cell(array: str, cell: bytes, codecs: list[Any] | None = None) -> dict[str, bytes]:
    """A store in which a stored chunk of an array is another one."""
    changed = dict(content("unsharded"))
    path = next(path for path in sorted(changed) if path.startswith(f"0/{array}/c/"))
    changed[path] = cell
    if codecs is not None:
        document = json.loads(changed[f"0/{array}/zarr.json"])
        document["codecs"] = [document["codecs"][0], *codecs]
        changed[f"0/{array}/zarr.json"] = json.dumps(document).encode()
    return changed


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("stated", [True, False])
def test_four_gib_of_zeros_in_128_kib(array: str, stated: bool) -> None:
    bomb = zstd_bomb(stated)
    assert len(bomb) < 140_000
    refused(with_cell(array, bomb), "cannot hold")


GZIP = {"name": "gzip", "configuration": {"level": 5}}
BLOSC = {
    "name": "blosc",
    "configuration": {"typesize": 1, "cname": "zstd", "clevel": 5, "shuffle": "noshuffle", "blocksize": 0},
}


def _blosc(stated: int) -> bytes:
    packed = bytearray(numcodecs.blosc.compress(bytes(1000), b"zstd", 5, 0))
    packed[4:8] = struct.pack("<I", stated)
    return bytes(packed)


@pytest.mark.parametrize("array", ["vertices", "groups"])
@pytest.mark.parametrize(
    ("codecs", "cell"),
    [
        ([GZIP, GZIP], lambda: gzip.compress(gzip_bomb())),
        ([BLOSC], lambda: _blosc(2**31 - 1)),
        ([BLOSC, GZIP], lambda: gzip.compress(_blosc(2**31 - 1))),
        ([{"name": "zstd", "configuration": {"level": 1}}, GZIP], lambda: gzip.compress(zstd_bomb(True))),
    ],
    ids=["gzip twice", "blosc", "blosc in gzip", "zstd in gzip"],
)
def test_other_codecs(array: str, codecs: list[Any], cell: Callable[[], bytes]) -> None:
    refused(with_cell(array, cell(), codecs), "holds more than|cannot hold")


@pytest.mark.parametrize("array", ["vertices", "groups"])
@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_blosc_cell_of_another_size_than_it_states(array: str, cut: int) -> None:
    """c-blosc would read beyond its end."""
    whole = numcodecs.blosc.compress(np.arange(1000).tobytes(), b"lz4", 5, 1)
    cell = whole[:-cut] if cut > 0 else whole + b"1"
    refused(with_cell(array, cell, [BLOSC]), f"blosc: {len(cell)} bytes, of which the header states {len(whole)}")


def test_cells_in_shards_of_other_codecs() -> None:
    store = dict(content("gzip"))
    path = next(path for path in sorted(store) if path.startswith("0/vertices/c/"))
    (cell,) = ByteCodec(crc32c=True).encode(Blobs.from_list([gzip_bomb()])).to_list()
    store[path] = encode_shard(Blobs.from_list([cell]), np.array([0]), (2, 2, 2))
    refused(store, "holds more than")


def test_cells_of_a_shard_that_share_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwrap, "_MOST_OF_SHARD", 5 << 20)
    packed = gzip.compress(bytes(1 << 20))
    shard = encode_shard(Blobs.from_list([packed]), np.array([0]), (2, 2, 2))
    index = np.full((8, 2), [0, len(packed)], dtype="<u8").tobytes()
    (sealed,) = ByteCodec(crc32c=True).encode(Blobs.from_list([index])).to_list()
    sharding = {
        "name": "sharding_indexed",
        "configuration": {"chunk_shape": [1, 1, 1], "codecs": [{"name": "vlen-bytes"}, GZIP]},
    }
    with pytest.raises(ValueError, match="too much together"):
        unwrapped([sharding], (2, 2, 2), shard[: -len(sealed)] + sealed)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json", "0/vertices/c/0/0/0"])
def test_members_of_zip_files(tmp_path: Path, method: int, name: str) -> None:
    place = tmp_path / "a.zarrvectors.zip"
    with zipfile.ZipFile(place, "w", method) as file:
        for path, data in content("unsharded").items():
            file.writestr(path, data)
        file.NameToInfo[name].file_size = FOUR_GIB - 2
    with bounded(), pytest.raises(ZVError, match=name):
        zv.open(place)[0].read()


def test_members_that_are_larger_than_their_zip_file(tmp_path: Path) -> None:
    place = tmp_path / "a.zarrvectors.zip"
    with zipfile.ZipFile(place, "w") as file:
        for path, data in content("unsharded").items():
            file.writestr(path, data)
        for name, entry in file.NameToInfo.items():
            if name.startswith("0/vertices/c/"):
                entry.file_size = entry.compress_size = 2**40
    with bounded(), pytest.raises(CorruptionError, match="in a file of"):
        zv.open(place)[0].read()


def test_packed_files_of_a_precomputed_folder(tmp_path: Path) -> None:
    (tmp_path / "info").write_text(json.dumps({"@type": "neuroglancer_skeletons"}))
    (tmp_path / "7.gz").write_bytes(gzip_bomb())
    with bounded(), pytest.raises(IngestError, match=r"7\.gz"):
        ingest(tmp_path, "memory://bomb-precomputed")


def npy(shape: str, data: bytes) -> bytes:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117)
    return b"\x93NUMPY\x01\x00\x76\x00" + head.encode() + b"\n" + data


def test_a_row_that_does_not_fit_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for axis in "xyz":
            file.writestr(f"{axis}.npy", npy("(1,)", bytes(8)))
        with file.open("w.npy", "w") as member:
            member.write(npy(f"(1, {5 << 24})", b""))
            for _ in range(5 << 27 >> 24):
                member.write(bytes(1 << 24))
    with bounded(), pytest.raises(ZVError, match=r"a\.npz"):
        ingest(path, "memory://bomb-npz")


class TestLimits:
    """What is believed of a number of bytes."""

    def test_by_size_class(self) -> None:
        assert most_content(131_072) == 2**28
        assert most_content(2**24) == 2**30
        assert most_content(np.array([0, 4, 2**30])).tolist() == [2**17, 2**18, 2**32 + 8]
        assert most_content(2**17, 2**40) == 2**30

    def test_what_is_as_large_as_that_is_read(self) -> None:
        packed = gzip.compress(bytes(1 << 20))
        assert len(gunzip(packed + packed)) == 2 << 20
        with pytest.raises(ValueError, match="cut off"):
            gunzip(packed[:-3])

    def test_others_may_be_allowed_by_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (frame,) = ByteCodec(zstd=(1, True)).encode(Blobs.from_list([bytes(1 << 20)])).to_list()
        monkeypatch.setattr(limits, "_LARGEST", 1 << 19)
        _, errors = ByteCodec(zstd=(1, True)).decode(Blobs.from_list([frame]))
        assert "cannot hold" in errors[0]
        assert limits.LARGEST_CELL == "ZARR_VECTORS_LARGEST_CELL"

    def test_what_nobody_could_read_is_not_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "_LARGEST", 1 << 12)
        points = zv.Points(np.ones((5000, 3)), attributes={"v": np.zeros(5000)})
        with pytest.raises(InputError, match=r"no reader would believe.*compressor='none'"):
            zv.write("memory://unbelievable", points)
        with pytest.raises(StoreNotFoundError):
            zv.open("memory://unbelievable")
        zv.write("memory://unbelievable", points, layout=zv.Layout(compressor="none"))
        assert len(zv.open("memory://unbelievable")[0].read().positions) == 5000

    def test_room_is_not_made_for_more_than_the_machine_has(self) -> None:
        with pytest.raises(MemoryError):
            check_room(1 << 60)
        check_room(1 << 20)


class TestMemory:
    """A lack of memory is an error of this library that says what was read, and no corruption."""

    @pytest.fixture
    def place(self) -> Any:
        return folder_of(content("unsharded"))

    @pytest.mark.parametrize("strict", [True, False])
    def test_cells(self, monkeypatch: pytest.MonkeyPatch, place: Any, strict: bool) -> None:
        level = zv.open(place)[0]
        monkeypatch.setattr(limits, "_memory", lambda: 1000)
        with pytest.raises(OutOfMemoryError, match=r"0/vertices.*level\.iter\(\)") as caught:
            level.read(strict=strict)
        assert isinstance(caught.value, MemoryError)

    def test_anything_else(self, monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
        def full(*_: Any) -> None:
            raise MemoryError

        level = zv.open(place)[0]
        monkeypatch.setattr(reading._Reading, "results", full)
        with pytest.raises(OutOfMemoryError, match="not enough memory"):
            level.read()
        assert not zv.validate(place).ok

    def test_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> Any:
            raise MemoryError

        def empty() -> Iterator[zv.Mesh]:
            yield full()

        (tmp_path / "a.off").write_text("OFF\n1 0 0\n0 0 0\n")
        for broken in (full, lambda *_: Source(batches=empty())):
            monkeypatch.setitem(registry._BY_SUFFIX, ".off", replace(OFF, open=broken))
            with pytest.raises(OutOfMemoryError, match=r"a\.off"):
                ingest(tmp_path / "a.off", "memory://no-memory")


def test_other_codecs_of_numcodecs() -> None:
    packed = bz2.compress(bytes(1 << 24)) * 17
    with pytest.raises(ValueError, match="holds more than"):
        unwrapped([{"name": "bytes"}, {"name": "numcodecs.bz2"}], (1,), packed)
    lz4 = struct.pack("<I", 2**31) + numcodecs.lz4.compress(b"abc")[4:]
    with pytest.raises(ValueError, match="holds more than"):
        unwrapped([{"name": "bytes"}, {"name": "numcodecs.lz4"}], (1,), lz4)
