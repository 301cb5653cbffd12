"""What the store itself tells is put right; what it does not tell stays as it is, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.query.damage import stored
from tests.storage.stores import memory_of
from tests.types.clouds import memory, rows_of
from tests.validate.cases import CASES
from tests.validate.spoiling import BASES, Spoil, both, cell, document, flipped, gone, listed, numbers, table
from zarr_vectors.exceptions import ReadOnlyError
from zarr_vectors.storage.urls import open_backend

MENDED = {
    "an array is not named",
    "no group above",
    "no ome",
    "a stage",
    "bounds the wrong way",
    "scale of level 1",
    "scale of level 0",
    "scale below 0",
    "translation of level 0",
    "translation of level 1",
    "an entry twice",
    "a name of nothing",
    "no presence list",
    "presence is text",
    "a key outside",
    "a key twice",
    "keys in another order",
    "vertex_attributes/v without a cell",
    "fragment_attributes/object_id without a cell",
    "a bit of fragment_attributes/object_id",
    "a cell that is not there",
    "a presence list cut short",
    "no presence of anything",
    "a cell in a shard is not named",
    "a stray file",
    "fragments that do not tile",
    "a short attribute of fragments",
    "bounds that are too small",
    "a stale count",
    "row ids to be given again",
    "a stale header",
    "an object without fragments",
    "another owner",
    "another place along a line",
    "references of others",
    "a stale count of links",
    "a stale count of logical links",
    "no capability",
    "stale",
    "a stale parent",
}
"""Afterwards nothing is wrong any more."""
UNTOLD = {
    "root cut off",
    "level cut off",
    "no level",
    "no vertices",
    "bins that do not fill",
    "no entry of a level",
    "ids of text",
    "no permutation",
    "values of no links",
    "vertices without a cell",
    "a bit of vertices",
    "a fragment beyond",
    "fewer bins",
    "a chunk of object_index/manifests is gone",
    "ids of another order",
    "ids that are not the run",
    "an id twice",
    "a row beyond",
    "links to nowhere",
    "two parents",
}
"""Nothing tells what is right: repairing one witness by the other might destroy the one that is."""
SPOILS = {name: (base, spoil) for name, base, spoil, _, _ in CASES}
DERIVED = (
    "fragment_attributes/object_id",
    "fragment_attributes/object_offset",
    "object_index/fragment_refs",
    "cell_index/",
)


def contents(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def problems(store: Path) -> set[tuple[str, str, str | None]]:
    return {(problem.kind, problem.path, problem.cell) for problem in zv.validate(store).problems}


def spoiled(sound: dict[str, Path], place: Path, base: str, spoil: Spoil) -> Path:
    shutil.copytree(sound[base], place)
    spoil(place)
    return place


@pytest.mark.parametrize("name", sorted(MENDED | UNTOLD))
def test_a_repair_helps_or_changes_nothing(sound: dict[str, Path], tmp_path: Path, name: str) -> None:
    store = spoiled(sound, tmp_path / "store", *SPOILS[name])
    before, wrong = contents(store), problems(store)
    plan = zv.repair(store)
    assert contents(store) == before
    done = zv.repair(store, dry_run=False)
    after = contents(store)
    assert (plan.repairs, plan.left) == (done.repairs, done.left)
    assert {(problem.kind, problem.path, problem.cell) for problem in done.left} == problems(store)
    if name in UNTOLD:
        assert done.repairs == ()
        assert after == before
        return
    assert done.applied
    assert done.repairs
    assert problems(store) == set()
    for path, data in before.items():
        if not path.endswith("zarr.json") and not path.startswith(".zv/") and not any(part in path for part in DERIVED):
            assert data in (after.get(path), after.get(f"lost+found/{path}")), path
    assert wrong
    assert zv.repair(store, dry_run=False).repairs == ()


def test_rows_come_back_with_the_presence_list(sound: dict[str, Path], tmp_path: Path) -> None:
    names = ("vertices", "vertex_fragments", "vertex_attributes/v", "vertex_attributes/t")
    store = spoiled(
        sound, tmp_path / "store", "points", both(*(listed(f"0/{name}", lambda k: k[3:]) for name in names))
    )
    assert not zv.validate(store).ok
    assert zv.repair(store, dry_run=False).ok
    assert rows_of(zv.open(store)[0].read()) == rows_of(zv.open(sound["points"])[0].read())


def test_a_cell_that_does_not_fit_goes_to_lost_and_found(sound: dict[str, Path], tmp_path: Path) -> None:
    store = spoiled(
        sound,
        tmp_path / "store",
        "points",
        both(
            cell("0/vertex_attributes/v", numbers("<i8", lambda values: values[:3])),
            listed("0/vertex_attributes/v", lambda keys: keys.remove("0.0.0")),
        ),
    )
    data = stored(store, "vertex_attributes/v")[0].read_bytes()
    done = zv.repair(store, dry_run=False)
    assert [(repair.action, repair.cell) for repair in done.repairs] == [("moved", "0.0.0")]
    assert (store / "lost+found/0/vertex_attributes/v/c/0/0/0").read_bytes() == data
    assert done.ok
    assert zv.validate(store).problems == ()


def test_what_multiscales_said_of_a_level_that_is_gone_is_kept(sound: dict[str, Path], tmp_path: Path) -> None:
    store = spoiled(sound, tmp_path / "store", "pyramid", lambda place: shutil.rmtree(place / "1"))
    root = (store / "zarr.json").read_bytes()
    assert zv.repair(store, dry_run=False).ok
    assert (store / "lost+found/zarr.json").read_bytes() == root
    assert "ngff_stale" not in zv.validate(store).counts


def test_a_count_that_vertices_are_missing_from_is_given_up(sound: dict[str, Path], tmp_path: Path) -> None:
    drop_count = document("0", lambda d: d["attributes"]["zarr_vectors_level"].update(vertex_count=301))
    store = spoiled(sound, tmp_path / "store", "points", drop_count)
    (repair,) = zv.repair(store, dry_run=False).repairs
    assert (repair.action, repair.message) == ("given up", "vertex_count is 300, it was 301")


def test_several_things_are_repaired_as_one_commit(sound: dict[str, Path], tmp_path: Path) -> None:
    spoil = both(
        flipped("fragment_attributes/object_id"),
        gone("vertex_attributes/t"),
        listed("0/vertices", lambda keys: keys[::-1]),
        SPOILS["a stale header"][1],
        SPOILS["scale of level 0"][1],
    )
    store = spoiled(sound, tmp_path / "store", "points", spoil)
    result = zv.repair(store, dry_run=False)
    assert set(result.counts) == {"fragment_owner", "cell_missing", "presence_order", "index_count", "ngff_scale"}
    assert zv.validate(store).problems == ()
    assert not (store / ".zv").exists()
    assert "5 repaired; 0 errors and 0 warnings are left" in result.summary()
    assert result.to_json()["ok"]


def test_stores_that_are_no_folders_are_repaired() -> None:
    place = memory()
    BASES["points"](place)  # type: ignore[arg-type]
    content = memory_of(open_backend(place))
    del content["0/vertex_attributes/v/c/0/0/0"]
    assert not zv.validate(place).ok
    assert zv.repair(place, dry_run=False).ok
    assert zv.validate(place).ok


def test_a_store_that_is_open_for_reading_is_not_repaired(sound: dict[str, Path]) -> None:
    with pytest.raises(ReadOnlyError):
        zv.repair(zv.open(sound["points"]), dry_run=False)
    assert zv.repair(sound["points"], dry_run=False).repairs == ()


def test_owners_are_written_anew_in_shards(sound: dict[str, Path], tmp_path: Path) -> None:
    store = spoiled(sound, tmp_path / "store", "sharded", document("0", lambda _: None))
    stored(store, "fragment_attributes/object_id")[0].unlink()
    assert zv.repair(store, dry_run=False).ok
    assert zv.validate(store).problems == ()
    read, kept = (zv.open(place)[0].read() for place in (store, sound["sharded"]))
    assert rows_of(read) == rows_of(kept)


@pytest.mark.parametrize("base", ["points", "lines", "refs"])
def test_objects_come_back_with_their_manifests(sound: dict[str, Path], tmp_path: Path, base: str) -> None:
    spoil = table("0/object_index/manifests", lambda manifests: [manifests[0], b"", *manifests[2:]])
    store = spoiled(sound, tmp_path / "store", base, spoil)
    before = (store / "0/object_index/manifests/c/0").read_bytes()
    done = zv.repair(store, dry_run=False)
    assert [(repair.kind, repair.cell) for repair in done.repairs] == [("fragment_unowned", "1")]
    assert (store / "0/object_index/manifests/c/0").read_bytes() != before
    assert zv.validate(store).problems == ()
    ids = np.unique(zv.open(sound[base])[0].read().object_ids)[:3] if base != "lines" else [0, 1, 2]
    read, kept = (zv.open(place)[0].read(object_ids=ids) for place in (store, sound[base]))
    assert read.positions.tolist() == kept.positions.tolist()


def test_stale_levels_are_built_anew_unless_errors_are_left(tmp_path: Path) -> None:
    zv.write(tmp_path / "store", zv.Points([[1.0, 1.0], [2.0, 1.0], [9.0, 9.0]]), layout=zv.Layout(chunk_shape=5))
    zv.open(tmp_path / "store", "r+").build_pyramid([(2, 1), (2, 1)])
    zv.write(tmp_path / "store", zv.Points([[4.0, 4.0]]), mode="append")
    shutil.copytree(tmp_path / "store", tmp_path / "damaged")
    done = zv.repair(tmp_path / "store", dry_run=False)
    assert [(repair.action, repair.path) for repair in done.repairs] == [("rebuilt", "1"), ("rebuilt", "2")]
    assert zv.open(tmp_path / "store")[2].read().attributes["count"].sum() == 4
    assert not any(level.is_stale for level in zv.open(tmp_path / "store"))
    stored(tmp_path / "damaged", "vertices")[0].unlink()
    before = contents(tmp_path / "damaged")
    done = zv.repair(tmp_path / "damaged", dry_run=False)
    assert {problem.kind for problem in done.left} == {"cell_missing", "level_stale"}
    assert contents(tmp_path / "damaged") == before
