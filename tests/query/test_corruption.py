"""Damage is found and named: a read returns everything, or says what it cannot return and where."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import files_of, read, rows_of, same_rows, uniform
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import vlen_frame
from zarr_vectors.encoding.fragments import encode_ranges
from zarr_vectors.exceptions import CorruptionError, FormatError, MetadataError, StoreNotFoundError, ZVError

POINTS = uniform(
    300,
    attributes={"v": np.arange(300), "t": ["a", "b", None] * 100},
    object_ids=np.arange(300) % 11 * 3,
    object_attributes={"n": np.arange(11.0), "t": [f"object {n}" for n in range(11)]},
    groups={0: [3, 6], 2: [0]},
    group_attributes={"g": [1, 2, 3]},
)
LAYOUTS = {
    "unsharded": zv.Layout(chunk_shape=4, shard_shape=None),
    "sharded": zv.Layout(chunk_shape=4, shard_shape=2),
    "uncompressed": zv.Layout(chunk_shape=4, shard_shape=2, compressor="none"),
    "gzip": zv.Layout(
        chunk_shape=4, shard_shape=2, compressor=[{"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}]
    ),
}
CELLS = ["vertices", "vertex_fragments", "vertex_attributes/v", "vertex_attributes/t", "fragment_attributes/object_id"]
TABLES = ["object_index/object_ids", "object_index/manifests", "object_attributes/n", "object_attributes/t", "groups"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    for name, layout in LAYOUTS.items():
        zv.write(folder / name, POINTS, layout=layout)
    return {name: folder / name for name in LAYOUTS}


@pytest.fixture(params=list(LAYOUTS))
def place(request: pytest.FixtureRequest, originals: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals[request.param], tmp_path / "store"))


@pytest.fixture
def unsharded(originals: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals["unsharded"], tmp_path / "store"))


def stored(place: Path, array: str) -> list[Path]:
    return sorted(path for path in (place / "0" / array / "c").rglob("*") if path.is_file())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x10
    path.write_bytes(data)


def touch_all(place: Path) -> None:
    """Read everything there is, by every way to read it."""
    level = zv.open(place)[0]
    level.read()
    level.read(object_ids=[3, 30])
    level.read(group_ids=[0])
    _ = level.objects


DAMAGE: dict[str, Callable[[Path], None]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "flipped at the start": lambda path: flip(path, 1),
    "flipped at the end": lambda path: flip(path, path.stat().st_size - 2),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("array", CELLS)
def test_a_damaged_cell_is_named_with_its_store_and_array(place: Path, array: str, damage: str) -> None:
    DAMAGE[damage](stored(place, array)[0])
    with pytest.raises(CorruptionError) as caught:
        read(place)
    error = caught.value
    assert error.store == place.as_uri()
    assert str(error.array).startswith(f"0/{array}")
    assert error.cell is not None or "shard" in error.message
    assert f"0/{array}" in str(error)
    assert place.as_uri() in str(error)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("array", [*TABLES, "group_attributes/g"])
def test_a_damaged_table_is_named_with_its_store_and_array(place: Path, array: str, damage: str) -> None:
    DAMAGE[damage](stored(place, array)[0])
    with pytest.raises(CorruptionError) as caught:
        touch_all(place)
    assert caught.value.store == place.as_uri()
    assert caught.value.array == f"0/{array}"
    assert caught.value.cell == 0


def test_a_flipped_byte_anywhere_in_the_data_is_found(place: Path) -> None:
    draw = random.Random(4)
    whole = rows_of(read(place))
    for path in sorted(place.rglob("c/*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        for at in [draw.randrange(len(data)) for _ in range(4)]:
            flip(path, at)
            with pytest.raises(CorruptionError):
                touch_all(place)
            path.write_bytes(data)
    assert rows_of(read(place)) == whole


def test_what_is_left_can_be_read_and_what_is_not_is_told(unsharded: Path) -> None:
    level = zv.open(unsharded)[0]
    keys = level.chunk_keys
    lost, bad, bare = keys[0], keys[1], keys[2]
    (unsharded / "0/vertices/c" / "/".join(map(str, lost))).unlink()
    flip(unsharded / "0/vertex_fragments/c" / "/".join(map(str, bad)), 20)
    (unsharded / "0/vertex_attributes/v/c" / "/".join(map(str, bare))).unlink()
    chunk = np.floor(POINTS.positions / 4).astype(int)
    rest = POINTS.take(~np.isin(chunk @ [100, 10, 1], np.array([lost, bad, bare]) @ [100, 10, 1]))
    got = read(unsharded, strict=False)
    assert same_rows(got, rest)
    for key, array in ((lost, "0/vertices"), (bad, "0/vertex_fragments"), (bare, "0/vertex_attributes/v")):
        assert any(array in error and ".".join(map(str, key)) in error for error in got.errors)
    assert len(got.errors) == 3
    parts = list(zv.open(unsharded)[0].iter(strict=False, batch_rows=50))
    assert sum(part.vertex_count for part in parts) == rest.vertex_count
    assert {error for part in parts for error in part.errors} == set(got.errors)
    assert same_rows(read(unsharded, object_ids=[3, 6], strict=False), rest.take(np.isin(rest.object_ids, [3, 6])))
    without = read(unsharded, attributes=["t"], strict=False)
    assert without.vertex_count > rest.vertex_count
    assert len(without.errors) == 2


def test_a_box_and_attributes_beside_the_damage_are_read(unsharded: Path) -> None:
    (unsharded / "0/vertices/c/0/0/0").unlink()
    flip(stored(unsharded, "vertex_attributes/v")[0], 9)
    assert read(unsharded, ([8.1, 8.1, 8.1], [None] * 3)).vertex_count > 0
    with pytest.raises(CorruptionError):
        read(unsharded, ([0, 0, 0], [3, 3, 3]))


def test_every_problem_is_listed(unsharded: Path) -> None:
    for path in stored(unsharded, "vertices")[:3]:
        path.unlink()
    got = read(unsharded, strict=False)
    assert len(got.errors) == 3
    with pytest.raises(CorruptionError, match="gone"):
        read(unsharded)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("version", ["0.8.1", "0.10.0", "1.0.0", "", None, 0.9, "0.9x", "latest"])
def test_a_store_of_another_version_is_refused_with_the_version_found(unsharded: Path, version: Any) -> None:
    edit(unsharded / "zarr.json", lambda document: document["attributes"]["zarr_vectors"].update(zv_version=version))
    with pytest.raises(FormatError) as caught:
        zv.open(unsharded)
    assert repr(version) in str(caught.value)
    assert "0.9" in str(caught.value)
    edit(unsharded / "zarr.json", lambda document: document["attributes"]["zarr_vectors"].pop("zv_version"))
    with pytest.raises(FormatError, match="None"):
        zv.open(unsharded)


@pytest.mark.parametrize("version", ["0.9", "0.9.0", "0.9.1", "0.9.17", "0.9.2.dev1"])
def test_every_version_0_9_is_read(unsharded: Path, version: str) -> None:
    edit(unsharded / "zarr.json", lambda document: document["attributes"]["zarr_vectors"].update(zv_version=version))
    assert read(unsharded).vertex_count == 300
    assert zv.open(unsharded).zv_version == version


def test_a_capability_that_is_not_known_is_refused(unsharded: Path) -> None:
    edit(
        unsharded / "zarr.json",
        lambda document: document["attributes"]["zarr_vectors"].update(required_capabilities=["time_travel"]),
    )
    with pytest.raises(FormatError, match="time_travel"):
        zv.open(unsharded)


DOCUMENTS = ["zarr.json", "0/zarr.json", *[f"0/{array}/zarr.json" for array in [*CELLS, *TABLES]]]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_that_is_no_json_object_is_named(unsharded: Path, document: str) -> None:
    path = unsharded / document
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-1], b"", b"[]", b"3", b"\xff\xfe", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(CorruptionError) as caught:
            zv.open(unsharded)[0].read()
        assert caught.value.array == document
        assert caught.value.store == unsharded.as_uri()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_that_is_gone_is_named(unsharded: Path, document: str) -> None:
    (unsharded / document).unlink()
    error: type[Exception] = CorruptionError
    if document in {"zarr.json", "0/zarr.json"}:
        error = StoreNotFoundError
    with pytest.raises(error) as caught:
        touch_all(unsharded)
    if error is CorruptionError:
        assert f"0/{caught.value.array}/zarr.json".endswith(document)  # type: ignore[attr-defined]


@pytest.mark.parametrize("document", ["zarr.json", "0/zarr.json", "0/vertices/zarr.json", "0/object_index/zarr.json"])
def test_documents_damaged_at_random_never_raise_anything_else(unsharded: Path, document: str) -> None:
    draw = random.Random(document)
    path = unsharded / document
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(draw.choice([1, 1, 3])):
            data[draw.randrange(len(data))] = draw.choice(b'0123456789"{}[],:abcxyz ')
        path.write_bytes(data)
        try:
            touch_all(unsharded)
            outcomes.add("read")
        except ZVError:
            outcomes.add("refused")
    assert "refused" in outcomes


def presence(place: Path, array: str, change: Callable[[dict[str, Any]], None]) -> None:
    edit(place / "0" / array / "zarr.json", lambda document: change(document["attributes"]))


@pytest.mark.parametrize("array", CELLS)
def test_a_presence_list_that_is_gone_is_told(place: Path, array: str) -> None:
    presence(place, array, lambda attributes: attributes.pop("nonempty_chunks"))
    with pytest.raises((MetadataError, CorruptionError), match=array.split("/")[-1]):
        read(place)


@pytest.mark.parametrize("array", ["vertices", "vertex_fragments", "fragment_attributes/object_id"])
def test_a_presence_list_that_is_too_short_is_told(place: Path, array: str) -> None:
    presence(place, array, lambda attributes: attributes["nonempty_chunks"].pop())
    with pytest.raises((MetadataError, CorruptionError)):
        read(place)


def test_a_chunk_missing_from_every_presence_list_is_told(place: Path) -> None:
    for array in CELLS:
        presence(place, array, lambda attributes: attributes["nonempty_chunks"].pop())
    with pytest.raises((MetadataError, CorruptionError)):
        read(place)


def test_values_missing_from_an_attributes_presence_list_are_missing_values(place: Path) -> None:
    def drop(attributes: dict[str, Any]) -> None:
        attributes["nonempty_chunks"].pop()

    presence(place, "vertex_attributes/v", drop)
    presence(place, "vertex_attributes/t", drop)
    got = read(place)
    assert got.vertex_count == 300
    gone = np.ma.getmaskarray(np.ma.asarray(got.attributes["v"]))
    assert 0 < gone.sum() < 300
    assert all(value is None for value in np.asarray(got.attributes["t"])[gone])


@pytest.mark.parametrize(
    "keys", [["9.9.9"], ["0.0"], ["a.b.c"], [""], [3], "0.0.0", {"0.0.0": 1}, ["0.0.0", "0.0.0.0"], None, ["-1.0.0"]]
)
def test_a_presence_list_that_cannot_be_meant_is_told(unsharded: Path, keys: Any) -> None:
    presence(unsharded, "vertices", lambda attributes: attributes.update(nonempty_chunks=keys))
    with pytest.raises((MetadataError, CorruptionError)):
        read(unsharded)


def put_cell(place: Path, array: str, payload: bytes) -> None:
    """Store another payload as chunk 0.0.0, well encoded."""
    cell = zv.open(place)[0]._state.cells[array]
    assert cell.codec is not None
    encoded = cell.codec.encode(vlen_frame(Blobs.from_list([payload])))
    (place / "0" / array / "c/0/0/0").write_bytes(bytes(encoded[0]))


def first_cell(place: Path) -> int:
    """Rows in chunk 0.0.0."""
    return int((np.floor(POINTS.positions / 4) == 0).all(axis=1).sum())


def test_fragments_that_contradict_the_vertices_are_told(unsharded: Path) -> None:
    rows = first_cell(unsharded)
    fragments = len(np.unique(np.asarray(POINTS.object_ids)[(np.floor(POINTS.positions / 4) == 0).all(axis=1)]))
    starts, counts = np.arange(fragments), np.ones(fragments, dtype=np.int64)
    counts[-1] = rows + 1
    put_cell(unsharded, "vertex_fragments", bytes(encode_ranges(np.array([fragments]), starts, counts)[0]))
    with pytest.raises(CorruptionError, match=rf"beyond the {rows}") as caught:
        read(unsharded)
    assert (caught.value.array, caught.value.cell) == ("0/vertex_fragments", "0.0.0")
    put_cell(unsharded, "vertex_fragments", b"VFRG" + bytes(12))
    with pytest.raises(CorruptionError, match="0.0.0"):
        read(unsharded)


@pytest.mark.parametrize("array", ["vertices", "vertex_attributes/v", "vertex_attributes/t", "fragment_attributes/object_id"])
@pytest.mark.parametrize("size", ["no bytes", "a row less", "half a row more", "a row more"])
def test_cells_with_the_wrong_number_of_rows_are_told(unsharded: Path, array: str, size: str) -> None:
    level = zv.open(unsharded)[0]
    cell = level._state.cells[array]
    assert cell.codec is not None
    raw = Blobs.from_list([(unsharded / "0" / array / "c/0/0/0").read_bytes()])
    payload = bytes(cell.codec.decode(raw)[0][0])[8:]
    width = {"vertices": 24, "vertex_attributes/t": 1}.get(array, 8)
    payload = {
        "no bytes": b"",
        "a row less": payload[:-width],
        "half a row more": payload + bytes(max(width // 2, 1)),
        "a row more": payload + bytes(width),
    }[size]
    put_cell(unsharded, array, payload)
    with pytest.raises(CorruptionError) as caught:
        read(unsharded)
    assert caught.value.cell == "0.0.0"


def test_codes_beyond_the_categories_are_told(unsharded: Path) -> None:
    put_cell(unsharded, "vertex_attributes/t", bytes([77] * first_cell(unsharded)))
    with pytest.raises(CorruptionError, match="vertex_attributes/t"):
        read(unsharded)


def test_an_id_table_shorter_than_the_manifests_is_told(unsharded: Path) -> None:
    edit(unsharded / "0/object_index/object_ids/zarr.json", lambda document: document.update(shape=[10]))
    with pytest.raises(CorruptionError, match=r"object_ids.*expected 11, got 10"):
        touch_all(unsharded)


def test_an_attribute_longer_than_the_index_is_told(unsharded: Path) -> None:
    edit(unsharded / "0/object_attributes/n/zarr.json", lambda document: document.update(shape=[12]))
    with pytest.raises(CorruptionError, match="object_attributes/n|n.*expected 11"):
        touch_all(unsharded)


def test_a_level_that_is_not_there_is_told(unsharded: Path) -> None:
    with zv.open(unsharded) as store:
        with pytest.raises(StoreNotFoundError, match="no level 3"):
            store[3]
        with pytest.raises(ZVError):
            store["0"]  # type: ignore[index]


def test_reading_never_changes_a_store(place: Path) -> None:
    before = files_of(place)
    touch_all(place)
    list(zv.open(place)[0].iter())
    zv.open(place).info()
    assert files_of(place) == before
