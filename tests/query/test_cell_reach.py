"""Boxes of what reaches out of cells: true after every way of writing, used by boxes, harmless when out of date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import KINDS, LAYOUTS, assert_same, link_values, numbers, object_list, of_objects, values
from tests.query.indexed import reach_known
from tests.query.test_connected_boxes import SIDES, objects_met, told
from tests.spatial.exact import boxes
from tests.storage.stores import fewer_examples
from zarr_vectors.geometry import Polylines
from zarr_vectors.query import prune

kinds = pytest.mark.parametrize("kind", KINDS)
SOME = fewer_examples(6)


@pytest.fixture(autouse=True, scope="module")
def small_reads_use_it() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_WORTH_LOADING", "_WORTH_FOR_BOX", "_WORTH_FOR_REACH"):
            patch.setattr(prune, name, 0)
        yield


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_a_new_store_tells_what_reaches_out_of_every_cell(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind, least=1))
    with TemporaryDirectory() as folder:
        zv.write(Path(folder) / "store", value, layout=layout)
        assert reach_known(Path(folder) / "store") == 1
        zv.open(Path(folder) / "store", "r+").index()
        assert reach_known(Path(folder) / "store") == 1


def same(got: Any, expected: Any) -> None:
    """The same in the same order."""
    assert_same(got, expected, ordered=True)
    assert np.array_equal(got.positions, expected.positions)
    assert numbers(got) == numbers(expected)
    if isinstance(got, Polylines):
        assert got.offsets.tolist() == expected.offsets.tolist()
    else:
        assert link_values(got) == link_values(expected)


def without_index(place: Path) -> Any:
    level = zv.open(place)[0]
    level.state.index.level = None
    return level


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_reads_are_those_of_a_store_without_an_index(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(
        values(kind, least=1, most=14) if kind in ("graph", "skeleton", "mesh") else values(kind, least=1)
    )
    with TemporaryDirectory() as folder:
        place = Path(folder) / "store"
        zv.write(place, value, layout=layout)
        level, bare = zv.open(place)[0], without_index(place)
        box = data.draw(boxes(value.ndim, SIDES))
        assert_same(level.read(told(box), mode="objects"), of_objects(value, objects_met(value, box)))
        where = data.draw(st.sampled_from(["row < 3", "row > 5 and flag = true", "f > 0 or row = 2", "row < 0"]))
        some = object_list(value)[::2]
        for mode in ("vertices", "objects", "clip"):
            for asked in ({}, {"object_ids": some}):
                for way in ({"bbox": told(box)}, {"bbox": told(box), "where": where}, {"where": where}):
                    all_asked: dict[str, Any] = {"mode": mode, **way, **asked}
                    same(level.read(**all_asked), bare.read(**all_asked))
                    assert level.count(**all_asked) == bare.count(**all_asked)
