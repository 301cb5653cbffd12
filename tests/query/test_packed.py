"""Rows that are picked or placed while cells are decompressed are those that whole cells would have brought."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.query.damage import flip, stored
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
from zarr_vectors.encoding.fragments import encode_fragments
from zarr_vectors.encoding.place import place_items
from zarr_vectors.exceptions import ZVError
from zarr_vectors.query import block
from zarr_vectors.query.kept import keep_only
from zarr_vectors.storage import cells

RANDOM = np.random.default_rng(5)
ROWS = 400
AT = RANDOM.uniform(0, 8, (ROWS, 3)).astype(np.float32)
VALUES = {
    "points": zv.Points(AT, attributes={"row": np.arange(ROWS)}, object_ids=np.arange(ROWS) // 40 * 2),
    "lines": zv.Polylines(
        AT, np.arange(0, ROWS + 1, 40), ids=np.arange(10) * 2, attributes={"row": np.arange(ROWS)}, kind="streamline"
    ),
}
IDS = [14, 0, 6]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    for kind, value in VALUES.items():
        zv.write(folder / kind, value, layout=zv.Layout(chunk_shape=3, shard_shape=None))
    return folder


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[bool]]:
    """Reads small stores as large ones are read, or not; says how often rows were picked."""
    done: list[bool] = []
    real = keep_only

    def keep(*args: Any) -> Any:
        kept = real(*args)
        done.append(kept is not None)
        return kept

    def set_to(on: bool) -> list[bool]:
        done.clear()
        monkeypatch.setattr(cells, "_PACKED_BYTES", 1 if on else 1 << 60)
        monkeypatch.setattr(block, "keep_only", keep)
        return done

    return set_to


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether rows were placed, each time that it was tried."""
    done: list[bool] = []
    real = place_items

    def place(*args: Any) -> Any:
        items = real(*args)
        done.append(items is not None)
        return items

    monkeypatch.setattr(cells, "place_items", place)
    return done


def asked(place: Path, ids: list[int] | None = IDS, **options: Any) -> Any:
    """What a read of some objects tells, or the error that it raises."""
    try:
        found = zv.open(place)[0].read(object_ids=ids, **options)
    except ZVError as error:
        return type(error), str(error), error.problems
    offsets = getattr(found, "offsets", None)
    facts = [found.positions.tolist(), found.object_ids.tolist(), None if offsets is None else offsets.tolist()]
    return facts, {name: np.asarray(column).tolist() for name, column in found.attributes.items()}, found.errors


@pytest.mark.parametrize("kind", list(VALUES))
def test_sound_objects_are_picked(kind: str, originals: Path, packed: Callable[[bool], list[bool]]) -> None:
    packed(False)
    expected = asked(originals / kind)
    done = packed(True)
    assert asked(originals / kind) == expected
    assert done == [True]
    rows = np.concatenate([np.arange(20 * number, 20 * number + 40) for number in IDS])
    found = np.array(expected[1]["row"])
    assert found.tolist() == rows.tolist() if kind == "lines" else sorted(found) == sorted(rows)
    assert expected[0][0] == AT[found].tolist()


def spoil_range(path: Path) -> None:
    """A fragment index that leads beyond its rows."""
    frames = ByteCodec(zstd=(0, True)).encode(vlen_frame(Blobs.from_list([encode_fragments([(0, 5000)] * 10)])))
    path.write_bytes(frames.to_list()[0])


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "gone": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped": lambda path: flip(path, path.stat().st_size // 2),
    "empty": lambda path: path.write_bytes(b""),
    "range": spoil_range,
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("array", ["vertices", "vertex_fragments", "vertex_attributes/row"])
@pytest.mark.parametrize("kind", ["points", "lines"])
def test_damage_is_told_as_by_whole_cells(
    kind: str, array: str, damage: str, strict: bool, originals: Path, tmp_path: Path, packed: Callable[[bool], Any]
) -> None:
    place = Path(shutil.copytree(originals / kind, tmp_path / "store"))
    DAMAGE[damage](stored(place, array)[4])
    packed(False)
    expected = asked(place, strict=strict)
    done = packed(True)
    assert asked(place, strict=strict) == expected
    assert not any(done) or array.endswith("row")
    assert expected[1 if strict else 2]


def test_two_damages_are_told_together(originals: Path, tmp_path: Path, packed: Callable[[bool], Any]) -> None:
    place = Path(shutil.copytree(originals / "lines", tmp_path / "store"))
    flip(stored(place, "vertices")[2], 60)
    flip(stored(place, "vertex_fragments")[5], 40)
    told = []
    for on in (False, True):
        packed(on)
        told.append([asked(place), asked(place, strict=False)])
    assert told[0] == told[1]
    assert len(told[0][0][2]) == 2


def test_whole_lines_are_placed(originals: Path, packed: Callable[[bool], Any], placed: list[bool]) -> None:
    packed(False)
    expected = asked(originals / "lines", None)
    packed(True)
    assert asked(originals / "lines", None) == expected
    assert placed == [True]
    assert expected[0][0] == AT.tolist()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "array",
    [
        "vertices",
        "vertex_fragments",
        "vertex_attributes/row",
        "fragment_attributes/object_id",
        "fragment_attributes/object_offset",
    ],
)
def test_damage_to_whole_lines_is_told_as_by_whole_cells(
    array: str,
    damage: str,
    strict: bool,
    originals: Path,
    tmp_path: Path,
    packed: Callable[[bool], Any],
    placed: list[bool],
) -> None:
    place = Path(shutil.copytree(originals / "lines", tmp_path / "store"))
    DAMAGE[damage](stored(place, array)[4])
    packed(False)
    expected = asked(place, None, strict=strict)
    packed(True)
    assert asked(place, None, strict=strict) == expected
    assert not any(placed)
    assert expected[1 if strict else 2]
