"""Reads that need manifests which cannot be read: an error, or with ``strict=False`` what is left, and why not all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.query.damage import flip, stored
from tests.storage.stores import GOLDEN
from zarr_vectors.constants import MANIFEST_CHUNK, OWNER_NONE
from zarr_vectors.exceptions import CorruptionError, ObjectNotFoundError

DAMAGE: dict[str, Callable[[Path], Any]] = {
    "gone": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped": lambda path: flip(path, path.stat().st_size // 2),
}
damages = pytest.mark.parametrize("damage", DAMAGE)
ARRAY = "object_index/manifests"
COUNT = MANIFEST_CHUNK + 50
RANDOM = np.random.default_rng(7)
AT = RANDOM.uniform(0, 8, (2 * COUNT, 2)).astype("f4")


def value_of(kind: str) -> Any:
    ids = np.repeat(np.arange(COUNT) * 2, 2)
    if kind == "points":
        return zv.Points(AT, {"n": np.arange(2 * COUNT)}, object_ids=ids)
    if kind == "graph":
        edges = np.arange(2 * COUNT).reshape(-1, 2)
        return zv.Graph(AT, edges, attributes={"n": np.arange(2 * COUNT)}, object_ids=ids)
    return zv.Polylines(AT, np.arange(0, 2 * COUNT + 1, 2), ids=ids[::2], attributes={"n": np.arange(2 * COUNT)})


@pytest.fixture(scope="module", params=["points", "graph", "polyline"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole") / str(request.param)
    zv.write(place, value_of(str(request.param)), layout=zv.Layout(chunk_shape=4, shard_shape=None))
    return place


def last_chunk(place: Path) -> Path:
    files = stored(place, ARRAY)
    assert len(files) == 2
    return max(files, key=lambda path: int(path.name))


@damages
def test_what_other_chunks_of_manifests_tell_is_read(whole: Path, tmp_path: Path, damage: str) -> None:
    place = Path(shutil.copytree(whole, tmp_path / "store"))
    DAMAGE[damage](last_chunk(place))
    level = zv.open(place)[0]
    last = 2 * COUNT - 2
    for asked in ([last], [2, last, 8]):
        with pytest.raises(CorruptionError) as caught:
            level.read(object_ids=asked)
        assert (caught.value.array, caught.value.cell) == (f"0/{ARRAY}", 1)
    left = level.read(object_ids=[2, last, 8], strict=False)
    assert len(left.errors) == 1
    assert ARRAY in left.errors[0]
    assert left.attributes["n"].tolist() == [2, 3, 8, 9]
    assert np.asarray(left.object_ids).tolist() == [2, 2, 8, 8]
    if isinstance(left, zv.Polylines):
        assert left.line_ids.tolist() == [2, 8]
    assert level.read(object_ids=[2, 8]).errors == ()
    assert level.read(object_ids=[2, 8], strict=False).errors == ()
    none = level.read(object_ids=[last], strict=False)
    assert (none.vertex_count, len(none.errors)) == (0, 1)
    with pytest.raises(ObjectNotFoundError):
        level.read(object_ids=[1], strict=False)


@damages
def test_batches_tell_it_too(whole: Path, tmp_path: Path, damage: str) -> None:
    place = Path(shutil.copytree(whole, tmp_path / "store"))
    DAMAGE[damage](last_chunk(place))
    level = zv.open(place)[0]
    asked = [2, 2 * COUNT - 2, 8]
    batches = list(level.iter(object_ids=asked, batch_rows=2, strict=False))
    assert sorted(number for batch in batches for number in batch.attributes["n"].tolist()) == [2, 3, 8, 9]
    assert any(ARRAY in error for batch in batches for error in batch.errors)
    with pytest.raises(CorruptionError):
        list(level.iter(object_ids=asked, batch_rows=2))


@pytest.mark.parametrize("name", ["polylines", "streamlines", "graph", "skeleton", "mesh"])
def test_stores_of_0_9_2_are_read_as_far_as_they_tell(tmp_path: Path, name: str) -> None:
    place = Path(shutil.copytree(GOLDEN / "kinds" / name, tmp_path / "store"))
    before = zv.open(place)[0]
    DAMAGE["cut"](stored(place, ARRAY)[0])
    level = zv.open(place)[0]
    left = level.read(object_ids=before.objects.ids[:2], strict=False)
    assert left.vertex_count == 0
    assert any(ARRAY in error for error in left.errors)
    with pytest.raises(CorruptionError):
        level.read()
    everything = level.read(strict=False)
    assert any(ARRAY in error for error in everything.errors)
    # The order of lines is in the manifests alone; other vertices lose their owners only.
    is_line = name in ("polylines", "streamlines")
    assert everything.vertex_count == (0 if is_line else before.vertex_count)
    if not is_line:
        assert set(np.asarray(everything.object_ids).tolist()) == {OWNER_NONE}


def test_one_corrupt_manifest_costs_one_object(tmp_path: Path) -> None:
    place = tmp_path / "store"
    zv.write(place, zv.Points(AT[:8], object_ids=np.arange(8) // 2), layout=zv.Layout(chunk_shape=4))
    root = zv.open_store(place, "r+")
    good = root.read_vlen_array(f"0/{ARRAY}")
    attributes = root.read_array_attrs(f"0/{ARRAY}")
    root.write_vlen_array(f"0/{ARRAY}", [good[0], good[1][:-3], *good[2:]], attributes=attributes)
    level = zv.open(place)[0]
    with pytest.raises(CorruptionError) as caught:
        level.read(object_ids=[3, 1])
    assert caught.value.cell == 1
    left = level.read(object_ids=[3, 1, 0], strict=False)
    assert np.asarray(left.object_ids).tolist() == [3, 3, 0, 0]
    assert len(left.errors) == 1
