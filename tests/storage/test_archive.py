"""Stores in one zip file."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore

import zarr_vectors as zv
from tests.storage.stores import GOLDEN
from zarr_vectors.core.store import set_bounds
from zarr_vectors.exceptions import (
    CorruptionError,
    OptionError,
    ReadOnlyError,
    StoreExistsError,
    StoreNotFoundError,
    ZVError,
)
from zarr_vectors.storage.archive import ZipBackend
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.urls import open_backend, zarr_store_of

LAYOUT = zv.Layout(chunk_shape=10, shard_shape=2, keep_order=True)
BOX = ([3.0, 3.0, 3.0], [31.0, 18.0, 25.0])


def cloud(rows: int = 900) -> zv.Points:
    rng = np.random.default_rng(1)
    labels = rng.choice(["a", "b"], rows)
    return zv.Points(
        rng.uniform(0, 40, (rows, 3)),
        attributes={"weight": np.arange(rows), "label": labels},
        object_ids=np.sort(rng.integers(0, 20, rows)),
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(store: zv.ZVStore) -> list[Any]:
    found: list[Any] = []
    for question in ({}, {"bbox": BOX}, {"object_ids": [3, 11]}):
        points = store[0].read(**question)
        found.append([points.positions.tolist(), points.object_ids.tolist()])
        found.append([list(np.asarray(points.attributes[name])) for name in ("weight", "label")])
    return found


def test_a_zip_file_holds_what_a_folder_holds(tmp_path: Path) -> None:
    zv.write(tmp_path / "folder.zarrvectors", cloud(), layout=LAYOUT)
    zv.write(tmp_path / "one.zarrvectors.zip", cloud(), layout=LAYOUT)
    assert names_in(tmp_path) == ["folder.zarrvectors", "one.zarrvectors.zip"]
    expected = content(zv.open(tmp_path / "folder.zarrvectors"))
    with zv.open(f"zip://{tmp_path}/one.zarrvectors.zip") as store:
        assert content(store) == expected
        assert store.url == f"zip://{tmp_path}/one.zarrvectors.zip"
        assert store.info()["levels"][0]["bytes"] > 1000
        assert store.levels == [0]
    with ZipStore(tmp_path / "one.zarrvectors.zip", mode="r") as store:
        group = zarr.open_group(store, mode="r")
        assert group["0/vertices"].shape == (4, 4, 4)  # type: ignore[union-attr]


def test_the_same_content_makes_the_same_file(tmp_path: Path) -> None:
    places = [tmp_path / name / "one.zip" for name in ("a", "b")]
    for place in places:
        zv.write(place, cloud(), layout=LAYOUT)
    assert places[0].read_bytes() == places[1].read_bytes()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize("inside", ["", "scan.zarrvectors"], ids=["at the top", "in a folder"])
def test_what_another_program_has_packed_is_read(tmp_path: Path, compression: int, inside: str) -> None:
    folder = tmp_path / "scan.zarrvectors"
    zv.write(folder, cloud(), layout=LAYOUT)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", compression) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, Path(inside) / path.relative_to(folder))
    assert content(zv.open(tmp_path / "packed.zip")) == content(zv.open(folder))


def test_stores_of_092_are_read_from_zip_files(tmp_path: Path) -> None:
    # They do not name their arrays: the file has to be listed.
    packed = shutil.make_archive(str(tmp_path / "peer"), "zip", GOLDEN / "points")
    found, expected = (zv.open(place)[0].read() for place in (packed, GOLDEN / "points"))
    assert np.array_equal(found.positions, expected.positions)
    assert list(found.attributes) == list(expected.attributes)


def append(path: Path) -> None:
    zv.write(path, zv.Points([[1.0, 1, 1]], object_ids=[99]), mode="append", fill={"weight": 0, "label": "a"})


def replace(path: Path) -> None:
    zv.write(path, cloud(5), mode="replace")


def add_attribute(path: Path) -> None:
    with zv.open(path, "r+")[0].writer() as writer:
        writer.add_attribute_sync("more", np.zeros(900))


REFUSED: dict[str, tuple[Callable[[Path], Any], type[ZVError]]] = {
    "create": (lambda path: zv.write(path, cloud(5)), StoreExistsError),
    "append": (append, ReadOnlyError),
    "replace": (replace, ReadOnlyError),
    "attribute": (add_attribute, ReadOnlyError),
    "bounds": (lambda path: set_bounds(zv.open_store(path, "r+"), ([0] * 3, [90] * 3)), ReadOnlyError),
    "publish": (lambda path: zv.open(path, "r+").publish(), OptionError),
    "put": (lambda path: ZipBackend(path).put_bytes("a", b""), ReadOnlyError),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_zip_file_is_written_once(tmp_path: Path, how: str) -> None:
    path = tmp_path / "one.zip"
    zv.write(path, cloud(), layout=LAYOUT)
    before = path.read_bytes()
    work, error = REFUSED[how]
    with pytest.raises(error):
        work(path)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["one.zip"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def values() -> Any:
        yield cloud(50)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zv.write(tmp_path / "one.zip", values(), bounds=([0] * 3, [40] * 3))
    assert names_in(tmp_path) == []
    with pytest.raises(StoreNotFoundError):
        zv.open(tmp_path / "one.zip")


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "one.zip"
    zv.write(path, cloud(), layout=LAYOUT)
    sound = path.read_bytes()
    place = sound.index(b'"vertex_count"')
    damages = {
        "no zip file": b"something else",
        "cut short": sound[: len(sound) // 2],
        "another document": sound[:place] + b'"vertex_COUNT"' + sound[place + 14 :],
    }
    for data in damages.values():
        path.write_bytes(data)
        with pytest.raises(CorruptionError):
            zv.open(path)
    path.write_bytes(sound)
    assert zv.open(path)[0].read().vertex_count == 900


def test_ranges_are_those_of_the_entry(tmp_path: Path) -> None:
    data = bytes(range(100))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("stored", data)
        file.writestr("packed", data, zipfile.ZIP_DEFLATED)
    backend = open_backend(tmp_path / "a.zip", read_only=True)
    ranges: list[tuple[int | None, int | None]] = [(None, None), (5, 7), (90, 50), (-3, None), (200, 1), (40, None)]
    expected = [data, data[5:12], data[90:], data[-3:], b"", data[40:]]
    for key in ("stored", "packed"):
        assert backend.fetch([Get(key, *part) for part in ranges]) == expected
    assert backend.fetch([Get("nothing")]) == [None]
    assert isinstance(zarr_store_of(backend), ZipStore)
