"""When what the header of an object index says of fragments and ids is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from zarr_vectors.core.documents import ID_RUN, OWNERS_OF, group_document, index_header, own_header, owners_agree


def header(**changes: Any) -> dict[str, Any]:
    return index_header(np.arange(3), np.array([9, 9, 4]), 2, owners_agree=True) | changes


def test_a_header_as_it_is_written_here_is_believed() -> None:
    said = own_header(json.loads(json.dumps(group_document(header()))))
    assert said == header()
    assert said[OWNERS_OF] == [3, 2]
    assert owners_agree(said)


@pytest.mark.parametrize("name", ["num_objects", "num_present"])
@pytest.mark.parametrize("value", [1, None, "3"])
def test_other_counts_are_those_of_other_manifests(name: str, value: Any) -> None:
    assert not owners_agree(own_header(group_document(header(**{name: value}))))


@pytest.mark.parametrize("value", [None, [], [3], [2, 3], "32", True, {"3": 2}])
def test_whatever_else_it_says_is_not_believed(value: Any) -> None:
    assert not owners_agree(header(**{OWNERS_OF: value}))
    said = index_header(np.arange(3), np.array([9, 9, 4]), 2, owners_agree=False)
    assert OWNERS_OF not in said
    assert not owners_agree(said)


def test_a_header_that_zarr_python_has_changed_is_not_believed(tmp_path: Path) -> None:
    place = tmp_path / "s"
    zv.write(place, zv.Points([[0.5, 0.5], [1.5, 0.5]], object_ids=[0, 1]), layout=zv.Layout(chunk_shape=1.0))
    state = zv.open(place)[0].state
    assert state.owner_array is not None
    assert {ID_RUN, OWNERS_OF} <= (state.object_index or {}).keys()
    group = zarr.open_group(place, path="0/object_index", mode="r+")
    group.attrs["num_present"] = 2
    stored = json.loads((place / "0/object_index/zarr.json").read_bytes())["attributes"]
    assert {ID_RUN, OWNERS_OF} <= stored.keys()
    state = zv.open(place)[0].state
    assert state.owner_array is None
    assert not {ID_RUN, OWNERS_OF} & (state.object_index or {}).keys()
    assert zv.open(place)[0].read().object_ids.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["manifests", "object_ids"])
def test_tables_put_one_by_one_take_the_claims_away(name: str) -> None:
    place = f"memory://owners-{name}"
    zv.write(place, zv.Points([[0.5, 0.5], [1.5, 0.5]], object_ids=[0, 1]), layout=zv.Layout(chunk_shape=1.0))
    level = zv.open_store(place, mode="r+")["0"]
    if name == "manifests":
        level.write_vlen_array("object_index/manifests", level.read_vlen_array("object_index/manifests")[::-1])
    else:
        level.write_array("object_index/object_ids", [7, 3])
    opened = zv.open(place)[0]
    assert opened.state.owner_array is None
    ids = [1, 0] if name == "manifests" else [7, 3]
    assert opened.read().object_ids.tolist() == ids
    assert [opened.read(object_ids=[one]).positions.tolist() for one in ids] == [[[0.5, 0.5]], [[1.5, 0.5]]]
