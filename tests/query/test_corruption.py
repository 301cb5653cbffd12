"""Damage is found and named: a read returns everything, or says what it cannot return and where."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.query.damage import CELLS, LAYOUTS, POINTS, TABLES, edit, flip, stored, touch_all
from tests.types.clouds import files_of, read, rows_of, same_rows
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import vlen_frame
from zarr_vectors.encoding.fragments import encode_ranges
from zarr_vectors.exceptions import CorruptionError, MetadataError

DAMAGE: dict[str, Callable[[Path], Any]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "flipped at the start": lambda path: flip(path, 1),
    "flipped at the end": lambda path: flip(path, path.stat().st_size - 2),
}


@covering("array, damage, place", CELLS, list(DAMAGE), list(LAYOUTS), indirect=["place"])
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


@covering("array, damage, place", [*TABLES, "group_attributes/g"], list(DAMAGE), list(LAYOUTS), indirect=["place"])
def test_a_damaged_table_is_named_with_its_store_and_array(place: Path, array: str, damage: str) -> None:
    DAMAGE[damage](stored(place, array)[0])
    with pytest.raises(CorruptionError) as caught:
        touch_all(place)
    assert caught.value.store == place.as_uri()
    assert caught.value.array == f"0/{array}"
    assert caught.value.cell == 0


def group_rows(place: Path) -> list[int]:
    return [read(place, group_ids=[group]).vertex_count for group in range(3)]


def test_a_flipped_byte_anywhere_in_the_data_is_found_or_changes_nothing(place: Path) -> None:
    draw = random.Random(4)
    whole, groups = rows_of(read(place)), group_rows(place)
    for path in sorted(place.rglob("c/*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        for at in [draw.randrange(len(data)) for _ in range(2)]:
            flip(path, at)
            try:
                touch_all(place)
            except CorruptionError:
                pass
            else:
                # A bit of a frame's header that means nothing.
                assert rows_of(read(place)) == whole
                assert group_rows(place) == groups
            path.write_bytes(data)


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
    assert same_rows(
        read(unsharded, object_ids=[3, 6], strict=False), rest.take(np.isin(np.asarray(rest.object_ids), [3, 6]))
    )
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
    with pytest.raises(CorruptionError, match="gone") as caught:
        read(unsharded)
    assert len(caught.value.problems) == 3


def presence(place: Path, array: str, change: Callable[[dict[str, Any]], None]) -> None:
    edit(place / "0" / array / "zarr.json", lambda document: change(document["attributes"]))


@pytest.mark.parametrize("array", CELLS)
def test_a_presence_list_that_is_gone_is_told(place: Path, array: str) -> None:
    presence(place, array, lambda attributes: attributes.pop("nonempty_chunks"))
    with pytest.raises((MetadataError, CorruptionError), match=array.rpartition("/")[2]):
        read(place)


@pytest.mark.parametrize("array", [CELLS[0], CELLS[1], CELLS[4]])
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


def first_cell() -> int:
    """Rows in chunk 0.0.0."""
    return int((np.floor(POINTS.positions / 4) == 0).all(axis=1).sum())


def test_fragments_that_contradict_the_vertices_are_told(unsharded: Path) -> None:
    rows = first_cell()
    fragments = len(np.unique(np.asarray(POINTS.object_ids)[(np.floor(POINTS.positions / 4) == 0).all(axis=1)]))
    starts, counts = np.arange(fragments), np.ones(fragments, dtype=np.int64)
    counts[-1] = rows + 1
    put_cell(unsharded, "vertex_fragments", bytes(encode_ranges(np.array([fragments]), starts, counts)[0]))
    with pytest.raises(CorruptionError, match=rf"beyond the {rows}") as caught:
        read(unsharded)
    assert (caught.value.array, caught.value.cell) == ("0/vertex_fragments", "0.0.0")
    put_cell(unsharded, "vertex_fragments", b"VFRG" + bytes(12))
    with pytest.raises(CorruptionError, match=r"0\.0\.0"):
        read(unsharded)


@pytest.mark.parametrize("array", ["vertices", "vertex_attributes/v", "vertex_attributes/t"])
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


def test_owners_that_cannot_be_read_leave_those_of_other_chunks(unsharded: Path) -> None:
    for payload in (bytes(12), bytes(8)):
        put_cell(unsharded, "fragment_attributes/object_id", payload)
        with pytest.raises(CorruptionError, match="object_id"):
            read(unsharded)
        got = read(unsharded, strict=False)
        assert len(got.errors) == 1
        assert got.vertex_count == 300
        owners = dict(zip(map(tuple, POINTS.positions.tolist()), np.asarray(POINTS.object_ids).tolist(), strict=True))
        for row, owner in zip(got.positions.tolist(), np.asarray(got.object_ids).tolist(), strict=True):
            assert owner == (-1 if max(row) < 4 else owners[tuple(row)])


def test_codes_beyond_the_categories_are_told(unsharded: Path) -> None:
    put_cell(unsharded, "vertex_attributes/t", bytes([77] * first_cell()))
    with pytest.raises(CorruptionError, match="vertex_attributes/t"):
        read(unsharded)


def test_reading_never_changes_a_store(place: Path) -> None:
    before = files_of(place)
    touch_all(place)
    list(zv.open(place)[0].iter())
    zv.open(place).info()
    assert files_of(place) == before
