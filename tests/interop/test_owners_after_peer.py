"""Reads of everything and of places after 0.9.2 has changed manifests: whose vertices are is what these say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.interop.peer import Peer
from tests.interop.test_vacuumed import BOX, value_of
from zarr_vectors.core.documents import OWNERS_OF

KINDS = ["points", "polylines", "graph"]
IDS = {
    "run": list(range(12)),
    "run from 5": list(range(5, 17)),
    "any": [3, 5, 8, 9, 20, 21, 22, 23, 24, 25, 26, 30],
}
PLACE = (np.array([40.0] * 3), np.array([60.0] * 3))
FIRST = object()
"""Stands for chunk, fragment and vertex of the first one that there is."""
CHANGES: dict[str, list[tuple[bool, list[Any]]]] = {
    "emptied": [(False, ["remove_object", 3])],
    "emptied beside": [(True, ["remove_object", 3])],
    "moved beside": [(True, ["edit_vertex", FIRST, [50.0] * 3])],
    "swapped": [(False, ["swap_objects", 3, 4])],
    "emptied and packed": [(False, ["remove_object", 3]), (False, ["vacuum"])],
    # The same number of objects as before, and as many that have vertices.
    "one for another": [(False, ["remove_object", 3]), (False, ["add_object", [[50.0] * 3]]), (False, ["vacuum"])],
    "packed": [(False, ["vacuum"])],
}
Row = tuple[Any, ...]


def named(kind: str, ids: list[int]) -> Any:
    """A value whose objects have these ids, and a rank that is the id."""
    value = value_of(kind)
    whose: dict[str, Any] = {"ids": np.array(ids)}
    if kind != "polylines":
        whose = {"object_ids": np.array(ids)[np.asarray(value.object_ids)]}
    return replace(value, **whose, object_attributes={"rank": np.array(ids, dtype="f8")})


def made(kind: str, ids: list[int], place: Path) -> Path:
    zv.write(place, named(kind, ids), layout=zv.Layout(chunk_shape=20), bounds=BOX)
    return place


def change(peer: Peer, place: Path, name: str, ids: list[int]) -> None:
    chunk = zv.open(place)[0].state.vertices.present[0].tolist()
    for atomic, (verb, *about) in CHANGES[name]:
        first = [chunk, 0, 0] if about[:1] == [FIRST] else []
        given = [
            np.array(one, dtype="f4").tolist() if isinstance(one, list) else ids[one] for one in about[bool(first) :]
        ]
        steps = [[verb, given]] if verb == "swap_objects" else [[verb, *first, *given]]
        peer.call("edit_store", path=str(place), steps=steps, atomic=atomic)


def stored_rows(peer: Peer, place: Path, *, lines: bool) -> list[Row]:
    """Position and object of all vertices as 0.9.2 has them; of lines, of those that manifests name."""
    told = peer.call("fragments", path=str(place), ndim=3)
    parts = {tuple(map(int, chunk)): found["positions"] for chunk, found in told.items()}
    if lines:
        ids = np.asarray(peer.call("describe", path=str(place), level=0)["object_ids"]).tolist()
        manifests = peer.call("content", path=str(place), level=0)["manifests"]
        return [
            (*row, one)
            for one, manifest in zip(ids, manifests, strict=True)
            for chunk, fragment in manifest
            for row in np.asarray(parts[tuple(map(int, chunk))][int(fragment)]).tolist()
        ]
    owners = peer.call("owners", path=str(place), level=0)["derived"]
    return [
        (*row, int(owner))
        for chunk, whose in owners.items()
        for fragment, owner in zip(parts[tuple(map(int, chunk))], np.asarray(whose).tolist(), strict=True)
        for row in np.asarray(fragment).tolist()
    ]


def rows_of(value: Any) -> list[Row]:
    owners = value.vertex_objects if hasattr(value, "vertex_objects") else value.object_ids
    rows = [(*row, owner) for row, owner in zip(value.positions.tolist(), np.asarray(owners).tolist(), strict=True)]
    return sorted(rows)


@covering("kind, name, ids", KINDS, CHANGES, IDS)
def test_reads_say_what_manifests_say(kind: str, name: Any, ids: list[int], peer: Peer, tmp_path: Path) -> None:
    name = next(key for key, steps in CHANGES.items() if steps is name)
    place = made(kind, ids, tmp_path / "store")
    assert zv.open(place)[0].state.owner_array is not None
    change(peer, place, name, ids)
    level = zv.open(place)[0]
    assert (level.state.owner_array is not None) == (name == "packed")
    rows = sorted(stored_rows(peer, place, lines=kind == "polylines"))
    assert rows_of(level.read()) == rows
    inside = [row for row in rows if all(40 <= x <= 60 for x in row[:3])]
    assert rows_of(level.read(bbox=PLACE, mode="vertices")) == inside
    assert 0 < len(inside) < len(rows)
    assert level.count() == len(rows)
    assert level.count(bbox=PLACE, mode="vertices") == len(inside)
    assert rows_of(level.read_chunks(level.state.vertices.present)) == rows
    ids = np.asarray(peer.call("describe", path=str(place), level=0)["object_ids"]).tolist()
    assert level.objects.ids.tolist() == ids
    if name != "moved beside":
        for one in ids:
            assert rows_of(level.read(object_ids=[one])) == [row for row in rows if row[3] == one]
        marked = {row[3] for row in inside} - {-1}
        assert {*level.objects_in(level.state.vertices.present)} == {row[3] for row in rows} - {-1}
        got = level.read(bbox=PLACE, mode="objects" if kind == "points" else None)
        assert marked <= {row[3] for row in rows_of(got)} <= {*ids}
    if name in ("emptied", "swapped", "emptied and packed", "packed"):
        ranks = dict(zip(ids, np.asarray(level.objects.attributes["rank"]).tolist(), strict=True))
        assert rows_of(level.read(where="object.rank > 8")) == [row for row in rows if ranks.get(row[3], 0) > 8]
    assert peer.validate(place)["errors"] == []


@pytest.mark.parametrize("kind", ["points", "polylines"])
def test_what_writes_all_fragments_anew_makes_them_count_again(kind: str, peer: Peer, tmp_path: Path) -> None:
    ids = IDS["any"]
    place = made(kind, ids, tmp_path / "store")
    change(peer, place, "swapped", ids)
    assert {problem.kind for problem in zv.validate(place).problems} >= {"fragment_owner"}
    rows = sorted(stored_rows(peer, place, lines=kind == "polylines"))
    if kind == "points":
        assert zv.repair(place, dry_run=False).ok
    else:
        zv.open(place, "r+").vacuum()
    level = zv.open(place)[0]
    assert level.state.owner_array is not None
    assert (level.state.object_index or {})[OWNERS_OF] == [12, 12]
    assert rows_of(level.read()) == rows
    assert zv.validate(place).ok
    assert peer.validate(place)["errors"] == []


@pytest.mark.parametrize("kind", ["points", "polylines"])
def test_an_append_does_not_make_others_count(kind: str, peer: Peer, tmp_path: Path) -> None:
    ids = IDS["run"]
    place = made(kind, ids, tmp_path / "store")
    change(peer, place, "swapped", ids)
    value, rows = named(kind, [*range(100, 112)]), stored_rows(peer, place, lines=kind == "polylines")
    zv.write(place, value, mode="append")
    level = zv.open(place)[0]
    assert level.state.owner_array is None
    assert rows_of(level.read()) == sorted([*rows, *rows_of(value)])
