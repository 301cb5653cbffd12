"""Stores that 0.9.2 has edited and we edit after: what it has taken away stays so, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.edit.damaged import files
from tests.edit.stores import whole_only
from tests.interop.peer import Peer
from tests.interop.test_vacuumed import BOX, value_of
from zarr_vectors.exceptions import ConventionError, CorruptionError

KINDS = ["points", "polylines", "skeleton", "graph", "mesh"]


def made(kind: str, place: Path) -> Path:
    zv.write(place, value_of(kind), layout=zv.Layout(chunk_shape=20, keep_order=True), bounds=BOX)
    return place


def edit(place: Path, name: str, one: int) -> None:
    """One edit of each of the ways in which a store is written."""
    with zv.open(place, "r+").edit(out_of_bounds="expand") as e:
        if name == "values":
            e.set_attribute("tag", 5, row_ids=[one * 40, one * 40 + 1])
        elif name == "far":
            e.move(one, by=[30.0, 0.0, 0.0])
        elif name == "gone":
            e.remove(object_ids=[one])
        else:
            e.split(one, at=20)


def objects(place: Path) -> dict[int, Any]:
    level = zv.open(place)[0]
    return {one: level.read(object_ids=[one]).positions.tolist() for one in level.objects.ids.tolist()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_removed_object_is_not_brought_back(
    kind: str, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.9.2 empties its manifest, and leaves its vertices and what is stored beside them."""
    place = made(kind, tmp_path / "store")
    peer.call("edit_store", path=str(place), steps=[["remove_object", 3]], atomic=False)
    before, known = files(place), objects(place)
    assert known[3] == []
    says = r"object 3 .*0 vertices by the manifest.*40 that state it.*vacuum"
    with monkeypatch.context() as patch:
        # Of points, chunks without such vertices are edited all the same.
        whole_only(patch)
        with pytest.raises(CorruptionError, match=says):
            edit(place, "split", 5)
    with pytest.raises(CorruptionError, match=r"object 3 .*vacuum"):
        edit(place, "gone", 3)
    assert files(place) == before
    with zv.open(place, "r+").edit() as e:
        # No more is written than this, and nothing that would have to be believed.
        e.add_attribute("rank", {one: float(one) for one in known}, of="objects")
        e.add_attribute("tag", 1)
    assert objects(place) == known
    zv.open(place, "r+").vacuum()
    edit(place, "split", 5)
    edit(place, "far", 7)
    edit(place, "gone", 8)
    now = objects(place)
    assert now.pop(12) == known[5][20:]
    assert now.pop(5) == known[5][:20]
    assert now.pop(7) != known[7]
    assert now == {one: known[one] for one in now}
    assert now.keys() == known.keys() - {5, 7, 8}
    assert now[3] == []
    assert 3 not in zv.open(place)[0].read().vertex_objects
    assert peer.validate(place)["errors"] == []
    assert zv.validate(place).ok


@covering("kind, name", KINDS, ["gone", "far", "split"])
def test_vertices_that_two_objects_share_are_not_taken_from_one(
    kind: str, name: str, peer: Peer, tmp_path: Path
) -> None:
    """An edit of 0.9.2 that adds what is new makes another object, of the same fragments but for one."""
    place = made(kind, tmp_path / "store")
    chunk = zv.open(place)[0].state.vertices.present[0].tolist()
    peer.call("edit_store", path=str(place), steps=[["remove_vertex", chunk, 0, 0]], atomic=True)
    before, known = files(place), objects(place)
    assert known.keys() == set(range(13))
    (source,) = [one for one in range(12) if {*map(tuple, known[one])} & {*map(tuple, known[12])}]
    for one in (source, 12):
        with pytest.raises(ConventionError, match=rf"share vertices.*objects {source}, 12"):
            edit(place, name, one)
    assert files(place) == before
    with zv.open(place, "r+").edit() as e:
        e.add_attribute("tag", 1)
    with pytest.raises(ConventionError, match="share vertices"), zv.open(place, "r+").edit() as e:
        e.set_attribute("tag", 2, object_ids=[source])
    edit(place, "values", source)
    assert objects(place) == known
    got = zv.open(place)[0].read()
    assert np.unique(np.asarray(got.row_ids)[np.asarray(got.attributes["tag"]) == 5]).tolist() == [
        source * 40,
        source * 40 + 1,
    ]
    other = tmp_path / "other"
    level = zv.open(place)[0]
    zv.write(other, (level.read(object_ids=[one]) for one in known), bounds=BOX, layout=zv.Layout(chunk_shape=20))
    edit(other, name, source)
    now = objects(other)
    assert sorted(now[12]) == sorted(known[12])
    assert now != known
    assert peer.validate(place)["errors"] == []
