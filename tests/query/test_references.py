"""Objects are found by the references by column as by their manifests, which stay what counts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from tests.query.test_connected_rounds import value_of
from tests.storage.counting import CountingStore, rounds_of
from zarr_vectors import constants
from zarr_vectors.types import objects

KINDS = ["points", "line", "polyline", "graph", "skeleton", "mesh"]
kinds = pytest.mark.parametrize("kind", KINDS)
ASKED = [37, 5, 5 + 2 * 29, 9]


@pytest.fixture(autouse=True)
def _few_objects_in_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_WORTH_REFS", 0)
    monkeypatch.setattr(constants, "MANIFEST_CHUNK", 8)


def value(kind: str, first: int = 5, step: int = 2) -> Any:
    if kind != "points":
        return value_of(kind, first=first, step=step, spread=2)
    graph = value_of("graph", first=first, step=step, spread=2)
    return zv.Points(graph.positions, attributes=graph.attributes, object_ids=graph.object_ids)


def write(path: Any, kind: str, **options: Any) -> None:
    zv.write(path, value(kind, **options), layout=zv.Layout(chunk_shape=2, shard_shape=4))


def without_references(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(objects, "_WORTH_REFS", 2**40)
    write(path, kind)
    return zv.open(path)[0].read(object_ids=ASKED)


def change_manifests(path: Path) -> None:
    """The first object gets the manifest of the next, written by zarr-python."""
    manifests = zarr.open_array(path, path=f"0/{constants.OBJECT_MANIFESTS}", mode="r+")
    stored: Any = manifests[...]
    stored[0] = stored[1]
    manifests[...] = stored


@kinds
def test_they_bring_what_manifests_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    write(tmp_path / "s", kind)
    level = zv.open(tmp_path / "s")[0]
    assert len(list((tmp_path / "s" / "0" / constants.FRAGMENT_REFS / "c").iterdir())) == 4
    # The manifests are gone but for their seals, so that what comes must come from the references.
    found = level.read(object_ids=ASKED)
    assert found == without_references(tmp_path / "other", kind, monkeypatch)
    with pytest.raises(KeyError, match="no object 6"):
        level.read(object_ids=[5, 6])


@kinds
def test_manifests_are_not_read_where_references_hold(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "s", kind)
    expected = zv.open(tmp_path / "s")[0].read(object_ids=ASKED)
    for chunk in (tmp_path / "s" / "0" / constants.OBJECT_MANIFESTS / "c").iterdir():
        seal = chunk.read_bytes()[-4:]
        chunk.write_bytes(bytes(40) + seal)
    assert zv.open(tmp_path / "s")[0].read(object_ids=ASKED) == expected


@kinds
def test_references_of_other_manifests_are_not_believed(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "s", kind)
    level = zv.open(tmp_path / "s")[0]
    first, other = level.read(object_ids=[5]), level.read(object_ids=[7])
    assert first.positions.tolist() != other.positions.tolist()
    change_manifests(tmp_path / "s")
    again = zv.open(tmp_path / "s")[0].read(object_ids=[5])
    assert again.positions.tolist() == other.positions.tolist()


@kinds
def test_damaged_references_are_passed_over(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "s", kind)
    expected = zv.open(tmp_path / "s")[0].read(object_ids=ASKED)
    chunks = sorted((tmp_path / "s" / "0" / constants.FRAGMENT_REFS / "c").iterdir())
    chunks[0].write_bytes(chunks[0].read_bytes()[:-3])
    chunks[1].write_bytes(bytes(50))
    assert zv.open(tmp_path / "s")[0].read(object_ids=ASKED) == expected


def test_references_that_are_gone_are_not_missed(tmp_path: Path) -> None:
    write(tmp_path / "s", "polyline")
    expected = zv.open(tmp_path / "s")[0].read(object_ids=ASKED)
    next((tmp_path / "s" / "0" / constants.FRAGMENT_REFS / "c").iterdir()).unlink()
    assert zv.open(tmp_path / "s")[0].read(object_ids=ASKED) == expected
    shutil.rmtree(tmp_path / "s" / "0" / constants.FRAGMENT_REFS)
    assert zv.open(tmp_path / "s")[0].read(object_ids=ASKED) == expected


@kinds
@pytest.mark.parametrize("had", [True, False])
def test_an_append_writes_them_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, had: bool) -> None:
    monkeypatch.setattr(objects, "_WORTH_REFS", 0 if had else 2**40)
    write(tmp_path / "s", kind)
    monkeypatch.setattr(objects, "_WORTH_REFS", 2**40 if had else 0)
    more = value(kind, first=500, step=3)
    zv.write(tmp_path / "s", more, mode="append", out_of_bounds="expand")
    asked = [*ASKED, 503, 500 + 3 * 29]
    level = zv.open(tmp_path / "s")[0]
    found = level.read(object_ids=asked)
    names = zarr.open_group(tmp_path / "s", path="0/object_index", mode="r")
    assert names["fragment_refs"].shape == (8,)  # type: ignore[union-attr]
    whole = level.read()
    owners = np.repeat(whole.ids, np.diff(whole.offsets)) if hasattr(whole, "offsets") else whole.object_ids
    if kind == "line":
        owners = np.repeat(whole.ids, 2)
    assert found.vertex_count == np.isin(owners, asked).sum()


@pytest.mark.parametrize("kind", ["points", "polyline", "skeleton"])
def test_objects_take_no_more_rounds(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    store = CountingStore()
    write(store._store, kind, step=1)
    level = zv.open(store)[0]
    assert rounds_of(store, lambda: level.read(object_ids=[7, 30])) <= 3
    store = CountingStore()
    write(store._store, kind)
    level = zv.open(store)[0]
    assert rounds_of(store, lambda: level.read(object_ids=[7, 33])) <= 4
    monkeypatch.setattr(constants, "MANIFEST_CHUNK", 30)
    store = CountingStore()
    write(store._store, kind)
    level = zv.open(store)[0]
    assert rounds_of(store, lambda: level.read(object_ids=[7, 33])) <= 3
