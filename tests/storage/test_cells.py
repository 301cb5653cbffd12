"""Cells of chunk-grid arrays: our path and zarr-python's give the same, in both directions."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import ShardingCodec, VLenBytesCodec
from zarr.storage import LocalStore, MemoryStore

from tests.storage.stores import as_buffer, fewer_examples, memory_of, open_memory, put_document, zarr_store
from zarr_vectors.core.documents import cell_array_document
from zarr_vectors.encoding import unpack
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.spatial.grid import Grid, format_keys
from zarr_vectors.storage import cell_plan, cells
from zarr_vectors.storage.cells import CellArray, read_cells
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import JsonObject

VLEN: JsonObject = {"name": "vlen-bytes", "configuration": {}}
CRC32C: JsonObject = {"name": "crc32c"}
GZIP: JsonObject = {"name": "gzip", "configuration": {"level": 1}}
BLOSC: JsonObject = {
    "name": "blosc",
    "configuration": {"typesize": 4, "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0},
}


def zstd(level: int, checksum: bool) -> JsonObject:
    return {"name": "zstd", "configuration": {"level": level, "checksum": checksum}}


CHAINS: dict[str, list[JsonObject]] = {
    "plain": [],
    "zstd": [zstd(0, False)],
    "zstd checked": [zstd(0, True)],
    "zstd 19": [zstd(19, True)],
    "zstd -7": [zstd(-7, False)],
    "crc32c": [CRC32C],
    "zstd crc32c": [zstd(3, True), CRC32C],
    "gzip": [GZIP],
    "blosc": [BLOSC],
    "gzip crc32c": [GZIP, CRC32C],
    "crc32c zstd": [CRC32C, zstd(0, False)],
}
FAST = {"plain", "zstd", "zstd checked", "zstd 19", "zstd -7", "crc32c", "zstd crc32c"}
chains = pytest.mark.parametrize("chain", CHAINS)
few = fewer_examples(3)
"""Examples run once for each chain."""


class Case:
    """Some cells of a grid."""

    def __init__(self, grid: Grid, shards: tuple[int, ...] | None, cells: dict[tuple[int, ...], bytes]) -> None:
        self.grid, self.shards, self.cells = grid, shards, cells

    def __repr__(self) -> str:
        return f"Case({self.grid}, {self.shards}, {self.cells})"

    @property
    def coords(self) -> Any:
        return np.array(sorted(self.cells), dtype=np.int64).reshape(-1, len(self.grid.shape))

    @property
    def payloads(self) -> list[bytes]:
        return [self.cells[coord] for coord in sorted(self.cells)]

    def document(self, codecs: list[JsonObject]) -> ArrayDocument:
        document = cell_array_document(self.grid, self.shards, [VLEN, *codecs], {"zv_array": "vertices"})
        return document.with_attributes(nonempty_chunks=sorted(format_keys(self.coords)))

    def as_zarr_sees_it(self) -> Any:
        values = np.full(self.grid.shape, b"", dtype=object)
        for coord, cell in self.cells.items():
            values[tuple(np.array(coord) - self.grid.origin)] = cell
        return values


@st.composite
def cases(draw: st.DrawFn) -> Case:
    ndim = draw(st.integers(1, 4))
    shape = draw(st.tuples(*[st.integers(1, 5 if ndim < 3 else 3)] * ndim))
    origin = draw(st.tuples(*[st.integers(-9, 9)] * ndim))
    shards = draw(st.none() | st.tuples(*[st.integers(1, 4)] * ndim))
    grid = Grid(origin, shape)
    places = draw(
        st.lists(st.sampled_from([tuple(row) for row in grid.all_coords().tolist()]), unique=True, max_size=9)
    )
    return Case(grid, shards, {place: draw(st.binary(min_size=1, max_size=40)) for place in places})


def write_ours(storage: Storage, case: Case, codecs: list[JsonObject], path: str = "a") -> CellArray:
    array = CellArray(path, case.document(codecs), storage.url)
    put_document(storage, path, array.document)
    for key, data in array.encode(case.coords, Blobs.from_list(case.payloads)):
        storage.backend.put_bytes(key, data)
    return array


def write_with_zarr(store: Any, case: Case, codecs: list[JsonObject], path: str = "a") -> None:
    """zarr-python makes the array from our document, and writes the cells."""
    document = case.document(codecs).to_json()
    group = zarr.open_group(store, mode="a")
    array = group.create_array(
        path,
        shape=document["shape"],
        dtype="variable_length_bytes",
        chunks=(1,) * len(case.grid.shape),
        shards=case.shards,
        compressors=codecs or None,
        fill_value=b"",
        attributes=document["attributes"],
    )
    array[...] = case.as_zarr_sees_it()


def array_in(storage: Storage, path: str = "a") -> CellArray:
    document = storage.read_documents([f"{path}/zarr.json"])[f"{path}/zarr.json"]
    return CellArray(path, ArrayDocument.parse(document, where=path), storage.url)


numbers = count()


@chains
@few
@given(cases())
def test_what_we_write_zarr_python_reads(chain: str, case: Case) -> None:
    storage = open_memory()
    array = write_ours(storage, case, CHAINS[chain])
    assert (array.codec is not None) == (chain in FAST)
    found: Any = np.asarray(zarr.open_array(zarr_store(storage), path="a", mode="r")[...])
    assert [bytes(cell) for cell in found.ravel()] == case.as_zarr_sees_it().ravel().tolist()
    (read,) = read_cells(storage, [(array_in(storage), case.coords)])
    assert read.check().cells.to_list() == case.payloads


@chains
@few
@given(cases())
def test_what_zarr_python_writes_we_read(chain: str, case: Case) -> None:
    storage = open_memory()
    write_with_zarr(zarr_store(storage), case, CHAINS[chain])
    array = array_in(storage)
    assert (array.codec is not None) == (chain in FAST)
    assert array.present.tolist() == case.coords.tolist()
    (read,) = read_cells(storage, [(array, case.coords[::-1])])
    assert read.check().cells.to_list() == case.payloads[::-1]


@chains
@few
@given(cases())
def test_local_folders_are_alike(tmp_path_factory: pytest.TempPathFactory, chain: str, case: Case) -> None:
    folder = tmp_path_factory.getbasetemp() / f"cells-{next(numbers)}"
    write_with_zarr(LocalStore(folder), case, CHAINS[chain])
    storage = Storage(LocalBackend(folder))
    (read,) = read_cells(storage, [(array_in(storage), case.coords)])
    assert read.check().cells.to_list() == case.payloads
    write_ours(storage, case, CHAINS[chain], "b")
    found: Any = np.asarray(zarr.open_array(folder, path="b", mode="r")[...])
    assert [bytes(cell) for cell in found.ravel()] == case.as_zarr_sees_it().ravel().tolist()


@pytest.mark.parametrize("shards", [None, (4, 4), (16, 16)])
@pytest.mark.parametrize("damage", [False, True])
@pytest.mark.parametrize("large", [None, (1, 2**40), (1, 1)])
@pytest.mark.parametrize("joined", [0, 2**20])
def test_threads_that_share_the_work_bring_the_same(
    monkeypatch: pytest.MonkeyPatch,
    shards: tuple[int, ...] | None,
    damage: bool,
    large: tuple[int, int] | None,
    joined: int,
) -> None:
    """Whether cells count as large, so large that each is worth a thread, or pieces as small enough to be joined."""
    monkeypatch.setattr(cells, "_THREADED_BYTES", 0)
    monkeypatch.setattr(cell_plan, "_JOINED_BYTES", joined)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    if large is not None:
        monkeypatch.setattr(unpack, "_LARGE_CELL", large[0])
        monkeypatch.setattr(unpack, "_HUGE_CELL", large[1])
    monkeypatch.setattr(cells, "PART_BYTES", 100)
    monkeypatch.setattr(unpack, "PART_BYTES", 1000)
    rng = np.random.default_rng(5)
    places = [(row, column) for row in range(-3, 10) for column in range(13) if (row + column) % 7]
    case = Case(Grid((-3, 0), (13, 13)), shards, {place: rng.bytes(4 * int(rng.integers(1, 60))) for place in places})
    storage = open_memory()
    paths = [f"a{number}" for number in range(3)]
    chains_of = dict(zip(paths, ["plain", "crc32c", "zstd crc32c"], strict=True))
    arrays = [write_ours(storage, case, CHAINS[chain], path) for path, chain in chains_of.items()]
    arrays.append(write_ours(storage, case, CHAINS["zstd checked"], "b"))
    if damage:
        key = next(key for key in storage.list_keys("b", recursive=True) if "/c/" in key)
        data = bytearray(storage.backend.get_bytes(key))
        data[30] ^= 8
        storage.backend.put_bytes(key, bytes(data))
    order = np.random.default_rng(6).permutation(len(case.coords))
    found = read_cells(storage, [(array, case.coords[order]) for array in arrays])
    expected = [case.payloads[row] for row in order]
    assert [read.check().cells.to_list() for read in found[:-1]] == [expected] * 3
    assert len(found[-1].errors) == damage
    read = zip(found[-1].cells.to_list(), expected, strict=True)
    assert sum(cell != wanted for cell, wanted in read) == damage


@pytest.mark.parametrize("chain", ["plain", "crc32c"])
@few
@given(cases())
def test_stored_objects_are_byte_for_byte_those_of_zarr_python(chain: str, case: Case) -> None:
    storage, other = open_memory(), MemoryStore()
    write_ours(storage, case, CHAINS[chain])
    write_with_zarr(other, case, CHAINS[chain])
    ours = {key: value.to_bytes() for key, value in memory_of(storage.backend).items() if "/c/" in key}
    theirs = {key: value.to_bytes() for key, value in other._store_dict.items() if "/c/" in key}
    assert ours == theirs


@chains
@few
@given(cases(), st.data())
def test_kept_cells_go_along_when_a_stored_object_is_written_again(chain: str, case: Case, data: st.DataObject) -> None:
    storage = open_memory()
    array = write_ours(storage, case, CHAINS[chain])
    if not case.cells:
        return
    changed = data.draw(st.lists(st.sampled_from(sorted(case.cells)), unique=True, min_size=1))
    fresh = {coord: b"new " + case.cells[coord] for coord in changed}
    blocks = {tuple(row) for row in array.locate(np.array(changed, dtype=np.int64))[0].tolist()}
    beside = [c for c in sorted(case.cells) if c not in fresh and tuple(array.locate(np.array([c]))[0][0]) in blocks]
    kept = read_cells(storage, [(array, np.array(beside, dtype=np.int64).reshape(-1, array.ndim))], decode=False)[0]
    for key, stored in array.encode(np.array(changed), Blobs.from_list(list(fresh.values())), kept.check()):
        storage.backend.put_bytes(key, stored)
    storage.shard_indexes.clear()
    (read,) = read_cells(storage, [(array, case.coords)])
    assert read.check().cells.to_list() == [fresh.get(coord, cell) for coord, cell in sorted(case.cells.items())]


FOREIGN: dict[str, dict[str, Any]] = {
    "several cells in a chunk": {"chunks": (2, 3)},
    "several cells in a chunk, gzip": {"chunks": (2, 3), "compressors": [GZIP]},
    "shards of such chunks": {"chunks": (2, 1), "shards": (4, 3)},
    "index first": {"serializer": {"index_location": "start"}},
    "index without checksum": {
        "serializer": {"index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}
    },
    "big-endian index": {
        "serializer": {"index_codecs": [{"name": "bytes", "configuration": {"endian": "big"}}, CRC32C]}
    },
    "separator of dots": {"chunks": (1, 1), "chunk_key_encoding": {"name": "default", "separator": "."}},
    "keys of version 2": {"chunks": (1, 1), "chunk_key_encoding": {"name": "v2", "separator": "/"}},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_layouts_that_we_do_not_write_are_read_and_written_again(name: str) -> None:
    options = dict(FOREIGN[name])
    storage = open_memory()
    serializer = options.pop("serializer", None)
    if serializer is not None:
        options |= {"chunks": (2, 2), "compressors": None}
        options["serializer"] = ShardingCodec(chunk_shape=(1, 1), codecs=[VLenBytesCodec()], **serializer)
    foreign = zarr.create_array(
        zarr_store(storage),
        name="a",
        shape=(4, 6),
        dtype="variable_length_bytes",
        fill_value=b"",
        **options,
    )
    values = np.full((4, 6), b"", dtype=object)
    present = [(0, 0), (1, 2), (3, 5)]
    for number, place in enumerate(present):
        values[place] = b"cell %d" % number
    foreign[...] = values
    foreign.update_attributes({"nonempty_chunks": format_keys(np.array(present))})
    array = array_in(storage)
    assert read_cells(storage, [(array, array.present)])[0].check().cells.to_list() == [b"cell 0", b"cell 1", b"cell 2"]

    again = Blobs.from_list([b"again %d" % number for number in range(3)])
    for key, stored in array.encode(array.present, again):
        storage.backend.put_bytes(key, stored)
    storage.shard_indexes.clear()
    assert read_cells(storage, [(array, array.present)])[0].check().cells.to_list() == again.to_list()
    found: Any = np.asarray(foreign[...])
    assert [bytes(found[place]) for place in present] == again.to_list()


@pytest.mark.parametrize("sharded", [False, True])
def test_several_arrays_are_read_together_in_any_order(sharded: bool) -> None:
    storage = open_memory()
    wanted, expected = [], []
    for number, chain in enumerate(CHAINS):
        case = Case(Grid((0, 0), (3, 3)), (2, 2) if sharded else None, {(i, i): b"%d" % (number + i) for i in range(3)})
        array = write_ours(storage, case, CHAINS[chain], f"a{number}")
        wanted.append((array, case.coords[[2, 0, 1, 0]]))
        expected.append([case.payloads[i] for i in (2, 0, 1, 0)])
    assert [read.check().cells.to_list() for read in read_cells(storage, wanted)] == expected
    assert read_cells(storage, []) == []
    (nothing,) = read_cells(storage, [(wanted[0][0], np.zeros((0, 2), dtype=np.int64))])
    assert nothing.check().cells.to_list() == []


def test_large_reads_are_decoded_in_threads_alike() -> None:
    storage = open_memory()
    rng = np.random.default_rng(0)
    case = Case(Grid((0,), (6,)), (3,), {(i,): rng.bytes(400_000) for i in range(6)})
    wanted = [
        (write_ours(storage, case, CHAINS[chain], chain.replace(" ", "-")), case.coords) for chain in sorted(FAST)
    ]
    assert all(read.check().cells.to_list() == case.payloads for read in read_cells(storage, wanted))


@few
@given(cases(), st.data())
def test_presence_is_told_by_the_list_alone(case: Case, data: st.DataObject) -> None:
    array = CellArray("a", case.document([]))
    around = Grid(tuple(o - 1 for o in case.grid.origin), tuple(n + 2 for n in case.grid.shape)).all_coords()
    asked = around[data.draw(st.lists(st.integers(0, len(around) - 1), max_size=30))]
    expected = [tuple(coord) in case.cells for coord in asked.tolist()]
    assert array.has(asked).tolist() == expected
    assert array.present.tolist() == case.coords.tolist()


def test_presence_in_a_grid_far_wider_than_the_data_needs_no_map_of_it() -> None:
    case = Case(Grid((-(10**6),) * 3, (2 * 10**6,) * 3), None, {(5, 5, 5): b"x"})
    array = CellArray("a", case.document([]))
    assert array.has(np.array([[5, 5, 5], [5, 5, 6], [0, 0, 0]])).tolist() == [True, False, False]


MALFORMED: dict[str, Any] = {
    "a number": 5,
    "a text": "0.0",
    "numbers": [0],
    "pairs": [[0, 0]],
    "nulls": [None],
    "an object": {"0.0": 1},
    "rank": ["0"],
    "higher rank": ["0.0", "0.0.0"],
    "letters": ["a.b"],
    "empty keys": [""],
    "outside": ["0.0", "3.0"],
    "below": ["0.-1"],
    "beyond 64 bits": [f"{2**64}.0"],
    "twice": ["0.0", "1.0", "0.0"],
    "twice in other words": ["0.0", "00.0"],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_presence_list_is_an_error_with_its_place(name: str) -> None:
    document = Case(Grid((0, 0), (3, 3)), None, {}).document([]).with_attributes(nonempty_chunks=MALFORMED[name])
    array = CellArray("0/vertices", document, "s3://store")
    with pytest.raises(MetadataError, match="presence list") as caught:
        _ = array.present
    assert (caught.value.store, caught.value.array) == ("s3://store", "0/vertices")


def test_an_array_without_a_presence_list_is_not_read_as_empty() -> None:
    document = Case(Grid((0, 0), (3, 3)), None, {}).document([]).with_attributes(nonempty_chunks=None)
    with pytest.raises(MetadataError, match="no presence list"):
        _ = CellArray("0/vertices", document).present


@pytest.mark.parametrize("origin", ["ab", [0], [0, 0, 0], ["0", "0"], 5, [0.5, 0], [None, 0], {"x": 1}], ids=str)
def test_a_malformed_origin_is_an_error_with_its_place(origin: Any) -> None:
    document = Case(Grid((0, 0), (3, 3)), None, {}).document([]).with_attributes(chunk_grid_origin=origin)
    with pytest.raises(MetadataError, match="chunk_grid_origin") as caught:
        _ = CellArray("0/vertices", document, "s3://store").grid
    assert (caught.value.store, caught.value.array) == ("s3://store", "0/vertices")


def test_frames_of_a_streaming_writer_are_read() -> None:
    zstandard = pytest.importorskip("zstandard")
    storage = open_memory()
    case = Case(Grid((0,), (4,)), None, {(i,): b"streamed %d" % i * 9 for i in range(3)})
    array = write_ours(storage, case, [zstd(0, True)])
    compressor = zstandard.ZstdCompressor(write_content_size=False, write_checksum=True)
    for key, value in [item for item in memory_of(storage.backend).items() if "/c/" in item[0]]:
        stream = compressor.compressobj()
        framed = zstandard.ZstdDecompressor().decompress(value.to_bytes())
        memory_of(storage.backend)[key] = as_buffer(stream.compress(framed) + stream.flush())
    assert read_cells(storage, [(array, case.coords)])[0].check().cells.to_list() == case.payloads


@chains
@pytest.mark.parametrize("shards", [None, (2,)], ids=["unsharded", "sharded"])
def test_cells_that_are_empty_on_purpose_are_not_taken_for_gone(chain: str, shards: tuple[int, ...] | None) -> None:
    storage = open_memory()
    case = Case(Grid((0,), (5,)), shards, {(0,): b"", (1,): b"", (3,): b"x", (4,): b""})
    array = write_ours(storage, case, CHAINS[chain])
    assert read_cells(storage, [(array, case.coords)])[0].check().cells.to_list() == case.payloads


def test_a_shard_of_a_foreign_codec_holds_only_the_cells_that_there_are() -> None:
    storage = open_memory()
    case = Case(Grid((0, 0), (20, 20)), (20, 20), {(3, 3): b"x"})
    write_ours(storage, case, [GZIP])
    assert len(memory_of(storage.backend)["a/c/0/0"]) < 400 * 16 + 100


@pytest.mark.parametrize("name", ["index at end", "index first", "index without checksum"])
def test_a_shard_that_another_writer_has_written_again_is_read_by_its_new_index(name: str) -> None:
    storage = open_memory()
    case = Case(Grid((0,), (4,)), (4,), {(1,): b"one", (2,): b"two", (3,): b"thr"})
    document = case.document([]).to_json()
    options = document["codecs"][0]["configuration"]
    options["index_location"] = "start" if name == "index first" else "end"
    options["index_codecs"] = options["index_codecs"][: 1 if name == "index without checksum" else 2]
    array = CellArray("a", ArrayDocument.parse(document, where="a"), storage.url)

    def put(cells: dict[int, bytes]) -> None:
        coords = np.array(sorted(cells))[:, None]
        for key, data in array.encode(coords, Blobs.from_list([cells[number] for number in sorted(cells)])):
            storage.backend.put_bytes(key, data)

    put({1: b"one", 2: b"two", 3: b"thr"})
    assert read_cells(storage, [(array, case.coords)])[0].check().cells.to_list() == case.payloads
    put({0: b"new", 1: b"one", 2: b"two", 3: b"thr"})
    assert read_cells(storage, [(array, case.coords)])[0].check().cells.to_list() == case.payloads
    put({1: b"one", 3: b"thr"})
    assert sorted(read_cells(storage, [(array, case.coords)])[0].errors) == [1]
    storage.backend.delete("a/c/0")
    assert sorted(read_cells(storage, [(array, case.coords)])[0].errors) == [0, 1, 2]
    put({1: b"1", 2: b"2", 3: b"3"})
    assert read_cells(storage, [(array, case.coords)])[0].check().cells.to_list() == [b"1", b"2", b"3"]
