"""Attributes of vertices that are made, dropped and renamed: no other array is written; all kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.edit.stores import assert_same, edit, part_only, seen, value_of, whole_only, written

KINDS = ("cloud", "points", "polyline", "graph", "skeleton", "mesh")
Work = Callable[[zv.Edit], Any]
N = "vertex_attributes/n"
CASES: dict[str, list[Work]] = {
    "made of one value": [lambda e: e.add_attribute("more", 1.5)],
    "made": [lambda e: e.add_attribute("more", np.arange(600) / 2)],
    "made of text": [lambda e: e.add_attribute("more", ["x", None, "y"] * 200)],
    "dropped": [lambda e: e.drop_attribute("n")],
    "dropped all": [lambda e: e.drop_attribute("n"), lambda e: e.drop_attribute("label")],
    "renamed": [lambda e: e.rename("n", "more")],
    "renamed text": [lambda e: e.rename("label", "more")],
    "swapped": [lambda e: e.rename("n", "t"), lambda e: e.rename("label", "n"), lambda e: e.rename("t", "label")],
    "made anew": [lambda e: e.drop_attribute("n"), lambda e: e.add_attribute("n", 2.5)],
    "made, renamed": [lambda e: e.add_attribute("t", 2.5), lambda e: e.rename("t", "more")],
    "made, dropped": [lambda e: e.add_attribute("t", 2.5), lambda e: e.drop_attribute("t")],
}
OF_OBJECTS: list[Work] = [
    lambda e: e.set_object_attribute("size", {3: 9.0}),
    lambda e: e.rename("name", "no", of="objects"),
]


LAYOUTS: list[dict[str, Any]] = [{"keep_order": True}, {"compressor": "none", "shard_shape": None}]


@pytest.mark.parametrize(
    ("kind", "name", "layout"),
    [
        pytest.param(KINDS[(n + 2 * step) % 6], name, LAYOUTS[n % 2], marks=[pytest.mark.long] if step else [])
        for n, name in enumerate(CASES)
        for step in (0, 1)
    ],
)
def test_no_other_array_is_written(kind: str, name: str, layout: dict[str, Any], tmp_path: Path) -> None:
    work, places = [*CASES[name], *(OF_OBJECTS if kind != "cloud" else [])], [tmp_path / "part", tmp_path / "whole"]
    how = zv.Layout(**{"chunk_shape": 10, "shard_shape": 2, **layout})
    for place in places:
        zv.write(place, value_of(kind), layout=how, bounds=([0, 0], [100, 100]))
    before = seen(places[0])
    edit(places[0], *work, how=part_only)
    own = ("0/vertex_attributes/", "0/object_attributes/", "0/cell_index/")
    files = {path for path in written(before, seen(places[0])) if "/c/" in path}
    assert all(path.startswith(own) for path in files)
    assert not any(path.startswith("0/vertex_attributes/row_id") for path in files)
    edit(places[1], *work, how=whole_only)
    assert_same(*places)
    assert zv.validate(places[0]).ok
    assert seen(places[0]).keys() == seen(places[1]).keys()
    states = [zv.open(place)[0].state for place in places]
    assert len({tuple(sorted(state.metadata.arrays_present)) for state in states}) == 1
    said = [{n: a.document.attributes.get("name") for n, a in state.cells.items()} for state in states]
    assert said[0] == said[1]


def test_the_index_knows_new_names(tmp_path: Path) -> None:
    zv.write(tmp_path, value_of("cloud"), layout=zv.Layout(chunk_shape=10), bounds=([0, 0], [100, 100]))
    with zv.open(tmp_path, "r+").edit() as e:
        e.rename("n", "more")
        e.add_attribute("half", np.arange(600) / 2)
    level = zv.open(tmp_path)[0]
    for condition, count in (("more > 597", 2), ("half > 299", 1)):
        # The chunk of each, and its positions and three attributes.
        assert level.plan(where=condition).cells <= 4 * count
        assert level.count(where=condition) == count


def test_units_are_kept(tmp_path: Path) -> None:
    zv.write(tmp_path, value_of("graph"), layout=zv.Layout(chunk_shape=10), bounds=([0, 0], [100, 100]))
    path = tmp_path / "0" / N / "zarr.json"
    path.write_text(path.read_text().replace('"zv_array"', '"unit": "mm", "of_others": 3, "zv_array"'))
    with zv.open(tmp_path, "r+").edit() as e:
        e.rename("n", "more")
    said = zv.open(tmp_path)[0].state.cells["vertex_attributes/more"].document.attributes
    assert (said["unit"], said["of_others"], said["name"]) == ("mm", 3, "more")


def test_values_must_be_as_many(tmp_path: Path) -> None:
    zv.write(tmp_path, value_of("mesh"), layout=zv.Layout(chunk_shape=10), bounds=([0, 0], [100, 100]))
    before = seen(tmp_path)
    with pytest.raises(zv.exceptions.InputError, match="600 values"), zv.open(tmp_path, "r+").edit() as e:
        e.add_attribute("more", np.arange(599))
    assert seen(tmp_path) == before
