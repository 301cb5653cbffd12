"""A level that is written anew is written where it differs; all kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.edit.stores import data_files, seen, value_of, whole_only, written

KINDS = ("cloud", "points", "polyline", "graph", "skeleton", "mesh")
LAYOUT = zv.Layout(chunk_shape=10, shard_shape=2, keep_order=True)


def store_of(kind: str, place: Path) -> dict[str, tuple[int, int]]:
    zv.write(place, value_of(kind), layout=LAYOUT, bounds=([0, 0], [100, 100]))
    if kind == "skeleton":
        # The edges of a tree are stored in the order of its vertices from the first edit on.
        with zv.open(place, "r+").edit() as e:
            e.add_attribute("first", 0)
    return seen(place)


@pytest.mark.parametrize("kind", KINDS)
def test_an_attribute_more_leaves_all_others(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_only(monkeypatch)
    before = store_of(kind, tmp_path)
    with zv.open(tmp_path, "r+").edit() as e:
        e.add_attribute("height", 1.5)
    touched = data_files(dict.fromkeys(written(before, seen(tmp_path)), (0, 0)), "")
    assert touched
    assert all(path.startswith(("0/vertex_attributes/height/", "0/cell_index/")) for path in touched)
    assert zv.validate(tmp_path).ok


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize(
    "work",
    [lambda e: e.remove(object_ids=[6]), lambda e: e.move(6, by=[0.01, 0.0]), lambda e: e.split(6, at=4)],
    ids=["remove", "move", "split"],
)
def test_one_object_leaves_most_files(
    kind: str, work: Callable[[zv.Edit], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_only(monkeypatch)
    before = store_of(kind, tmp_path)
    with zv.open(tmp_path, "r+").edit() as e:
        work(e)
    after = seen(tmp_path)
    cells = data_files(before, "vertices", "vertex_fragments", "links", "fragment_attributes")
    kept = {path for path in cells if after.get(path) == before[path]}
    assert 0.6 * len(cells) < len(kept) < len(cells)
    assert zv.validate(tmp_path).ok


def test_what_is_no_more_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_only(monkeypatch)
    before = store_of("cloud", tmp_path)
    with zv.open(tmp_path, "r+").edit() as e:
        e.remove(bbox=([0, 0], [20, 20]))
    assert "0/vertices/c/0/0" in before.keys() - seen(tmp_path).keys()
    assert zv.open(tmp_path)[0].read(bbox=([0, 0], [19, 19])).vertex_count == 0
