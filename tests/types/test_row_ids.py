"""Row ids are those of levels that say where they continue; what is damaged there is told, and never counted anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import files_of
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError, InputError, MetadataError

AT = np.random.default_rng(3).uniform(0, 20, (40, 2)).astype("f4")
CLOUD = zv.Points(AT, {"n": np.arange(40)})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    zv.write(tmp_path / "s", CLOUD, layout=zv.Layout(chunk_shape=10, shard_shape=None, keep_order=True))
    return tmp_path / "s"


def change(place: Path, **facts: Any) -> None:
    """Other facts of level 0; None takes one away."""
    path = place / "0" / "zarr.json"
    document = json.loads(path.read_bytes())
    block = document["attributes"]["zarr_vectors_level"]
    block.update(facts)
    for name in [name for name, value in facts.items() if value is None]:
        del block[name]
    path.write_text(json.dumps(document))


def of_array(place: Path, **attributes: Any) -> None:
    path = place / "0" / "vertex_attributes" / "row_id" / "zarr.json"
    document = json.loads(path.read_bytes())
    document["attributes"].update(attributes)
    path.write_text(json.dumps(document))


def state(place: Path) -> LevelState:
    return zv.open(place)[0].state


def test_ids_go_on_in_a_store_that_was_emptied(place: Path) -> None:
    with zv.open(place, "r+").edit() as e:
        e.remove(bbox=([0, 0], [20, 20]))
    assert zv.open(place)[0].count() == 0
    zv.write(place, CLOUD, mode="append")
    assert sorted(zv.open(place)[0].read().row_ids) == list(range(40, 80))
    assert state(place).metadata.next_row_id == 80
    zv.write(place, CLOUD, mode="append")
    assert len(set(zv.open(place)[0].read().row_ids)) == 80


def test_without_the_key_the_name_is_one_like_others(place: Path) -> None:
    change(place, next_row_id=None)
    level = zv.open(place)[0]
    assert set(level.attributes) == {"n", "row_id"}
    assert level.read().row_ids is None
    assert sorted(level.read(where="row_id < 3").attributes["n"].tolist()) == [0, 1, 2]
    with pytest.raises(InputError, match="no attribute 'row_id'"):
        zv.write(place, CLOUD, mode="append")
    assert not zv.validate(place).problems


@pytest.mark.parametrize("value", ["5", 5.5, -1, True, 2**63, [1]])
def test_a_number_that_is_none_is_told(place: Path, value: Any) -> None:
    change(place, next_row_id=value)
    before = files_of(place)
    with pytest.raises(MetadataError, match="next_row_id must be a whole number from 0"):
        zv.open(place)[0].read()
    with pytest.raises(MetadataError, match="next_row_id"):
        zv.write(place, CLOUD, mode="append")
    assert files_of(place) == before
    assert [problem.kind for problem in zv.validate(place).errors] == ["level_metadata"]


@pytest.mark.parametrize("what", ["gone", "float64", "int32", "channels", "categories"])
def test_an_array_that_is_none_is_told(place: Path, what: str) -> None:
    if what == "gone":
        zv.write(place, CLOUD, layout=zv.Layout(chunk_shape=10, shard_shape=None), mode="replace")
        change(place, next_row_id=40)
    elif what == "channels":
        of_array(place, row_shape=[2])
    elif what == "categories":
        of_array(place, encoding="dictionary", categories=[str(number) for number in range(40)])
    else:
        of_array(place, dtype=what)
    before = files_of(place)
    level = zv.open(place)[0]
    for use in (
        level.read,
        lambda: level.attributes,
        lambda: zv.write(place, CLOUD, mode="append"),
        lambda: zv.open(place, "r+").edit().__enter__(),
        lambda: zv.open(place, "r+").build_pyramid([(2, 1)]),
    ):
        with pytest.raises(CorruptionError, match="delete 'next_row_id'") as told:
            use()
        assert told.value.array == "0/vertex_attributes/row_id"
    assert files_of(place) == before
    assert "row_ids" in {problem.kind for problem in zv.validate(place).errors}
    change(place, next_row_id=None)
    if what == "gone":
        assert zv.open(place)[0].read().vertex_count == 40
        assert not zv.validate(place).errors
