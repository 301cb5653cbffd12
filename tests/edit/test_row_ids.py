"""Edits of levels with a ``row_id`` of others, and of levels that say too little of where row ids continue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.edit.stores import made

EDITS: dict[str, Any] = {
    "remove": lambda e, ids: e.remove(object_ids=ids[:1]),
    "move": lambda e, ids: e.move(ids[0], by=[1.0, 1.0]),
    "remove vertices": lambda e, _: e.remove(where="n < 5"),
    "move and merge": lambda e, ids: (e.move(ids[0], by=[1.0, 1.0]), e.merge(ids[1:3])),
}


def says(place: Path, number: int | None) -> None:
    path = place / "0" / "zarr.json"
    document = json.loads(path.read_bytes())
    block = document["attributes"]["zarr_vectors_level"]
    block.pop("next_row_id")
    block.update({} if number is None else {"next_row_id": number})
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("kind", ["polyline", "graph", "skeleton", "mesh"])
@pytest.mark.parametrize("edit", EDITS)
def test_both_are_edited_alike(tmp_path: Path, kind: str, edit: str) -> None:
    """A column of numbers stays with its vertices, whether these are row ids or an attribute."""
    ours, theirs = made(kind, tmp_path / "ours"), made(kind, tmp_path / "theirs")
    says(theirs, None)
    value: Any = zv.open(ours)[0].read()
    ids = value.objects.tolist()
    for place in (ours, theirs):
        with zv.open(place, "r+").edit(out_of_bounds="expand") as e:
            EDITS[edit](e, ids)
    one: Any = zv.open(ours)[0].read()
    other: Any = zv.open(theirs)[0].read()
    assert other.row_ids is None
    assert one.positions.tolist() == other.positions.tolist()
    assert one.row_ids.tolist() == other.attributes["row_id"].tolist()
    assert not zv.validate(theirs).errors


def test_new_row_ids_come_after_all_that_were_read(tmp_path: Path) -> None:
    place = made("graph", tmp_path / "s")
    before: Any = zv.open(place)[0].read()
    says(place, 3)
    assert {problem.kind for problem in zv.validate(place).errors} == {"next_row_id"}
    graph = before.within(np.arange(before.vertex_count) < 10)
    with zv.open(place, "r+").edit(fill={"label": None}) as e:
        e.remove(object_ids=[int(before.object_ids[-1])])
        e.add(graph, extend=True)
    after: Any = zv.open(place)[0].read()
    assert len(np.unique(after.row_ids)) == after.vertex_count
    assert not zv.validate(place).errors
