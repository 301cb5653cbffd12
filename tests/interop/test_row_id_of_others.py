"""An attribute ``row_id`` that 0.9.2 wrote is one like all others, whatever its type; ours are row ids."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.interop.peer import Peer
from zarr_vectors.core.store import open_store, set_bounds
from zarr_vectors.exceptions import ConventionError, InputError
from zarr_vectors.formats.registry import export
from zarr_vectors.types.points import read_points
from zarr_vectors.typing import AnyArray

ROWS = 60
DTYPES = ["float64", "int64", "uint8"]
WIDTHS = [1, 3]


def positions() -> AnyArray:
    """Distinct places, so that a vertex is known by where it is."""
    rng = np.random.default_rng(4)
    return (rng.permutation(400)[:ROWS, None] // [20, 1] % 20).astype("f4")


def values(dtype: str, width: int) -> AnyArray:
    numbers = (np.arange(ROWS * width) * 7 % 250 + (0.25 if dtype == "float64" else 0)).astype(dtype)
    return numbers if width == 1 else numbers.reshape(ROWS, width)


def theirs(peer: Peer, place: Path, dtype: str, width: int = 1) -> dict[tuple[float, ...], Any]:
    """A store of 0.9.2 with the attribute, and what it says of each place."""
    columns = {"row_id": values(dtype, width), "n": np.arange(ROWS)}
    kwargs = {"positions": positions(), "chunk_shape": (5.0, 5.0), "vertex_attributes": columns}
    kwargs["object_ids"] = np.arange(ROWS) // 10
    peer.write_points(place, kwargs)
    return said(zv.Points(positions(), columns))


def said(value: Any) -> dict[tuple[float, ...], Any]:
    columns = [np.asarray(column).reshape(len(value.positions), -1).tolist() for column in value.attributes.values()]
    rows = zip(*columns, strict=True)
    by_name = [dict(zip(value.attributes, row, strict=True)) for row in rows]
    return dict(zip(map(tuple, value.positions.tolist()), by_name, strict=True))


@pytest.fixture(scope="module")
def stores(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("theirs")
    made = {}
    for dtype in DTYPES:
        for width in WIDTHS:
            place = folder / f"{dtype}{width}"
            made[dtype, width] = place, theirs(peer, place, dtype, width)
    return made


@pytest.fixture
def copied(stores: dict[tuple[str, int], tuple[Path, Any]], tmp_path: Path) -> Any:
    def copy(dtype: str = "float64", width: int = 1) -> tuple[Path, Any]:
        place, rows = stores[dtype, width]
        return Path(shutil.copytree(place, tmp_path / "copy")), rows

    return copy


@covering("dtype, width", DTYPES, WIDTHS)
def test_it_is_listed_and_read(copied: Any, dtype: str, width: int) -> None:
    place, rows = copied(dtype, width)
    level = zv.open(place)[0]
    assert set(level.attributes) == {"row_id", "n"}
    value = level.read()
    assert said(value) == rows
    assert value.row_ids is None
    assert value.attributes["row_id"].dtype == dtype
    assert set(level.read(attributes=["row_id"]).attributes) == {"row_id"}
    assert set(level.read(attributes=["n"]).attributes) == {"n"}
    assert "row_id" in json.dumps(zv.open(place).info())
    assert set(read_points(place, attribute_names=["row_id", "n"])["vertex_attributes"]) == {"row_id", "n"}
    with pytest.raises(InputError, match="keep_order=True"):
        level.row_order()
    if width == 1:
        wanted = {at for at, row in rows.items() if row["row_id"][0] > 100}
        assert set(said(level.read(where="row_id > 100"))) == wanted


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_appended_to(peer: Peer, copied: Any, dtype: str) -> None:
    place, rows = copied(dtype)
    plain, ids = {"n": np.arange(ROWS)}, np.arange(ROWS) // 10 + 6
    more = zv.Points(positions() + 20, {"row_id": values(dtype, 1), **plain}, ids)
    less = zv.Points(positions() + 40, plain, ids + 6)
    if dtype != "float64":
        with pytest.raises(InputError, match="no attribute 'row_id'"):
            zv.write(place, less, mode="append", out_of_bounds="expand")
    zv.write(place, more, mode="append", out_of_bounds="expand")
    zv.write(place, less, mode="append", out_of_bounds="expand", fill={"row_id": 5})
    found = said(zv.open(place)[0].read())
    assert {at: found[at] for at in rows} == rows
    assert {at: found[at] for at in said(more)} == said(more)
    assert {found[tuple(at)]["row_id"][0] for at in less.positions.tolist()} == {5}
    assert peer.validate(place)["errors"] == []
    assert not zv.validate(place).errors


def changed(rows: Any, change: Any) -> dict[Any, Any]:
    return {at: change(dict(row)) for at, row in rows.items()}


def without_first(rows: Any) -> dict[Any, Any]:
    return {at: row for at, row in rows.items() if row["n"][0] >= 9}


def with_one(rows: Any, name: str = "row_id") -> dict[Any, Any]:
    return {**rows, (1.5, 1.5): {name: [3], "n": [-1]}}


def renamed(rows: Any) -> dict[Any, Any]:
    return changed(rows, lambda row: {("other" if name == "row_id" else name): value for name, value in row.items()})


ONE = zv.Points([[1.5, 1.5]], {"row_id": [3], "n": [-1]}, [9])
EDITS: dict[str, tuple[Any, Any]] = {
    "remove": (lambda e: e.remove(where="n < 9"), without_first),
    "move": (
        lambda e: e.move(3, by=[0.25, 0.25]),
        lambda rows: {(at[0] + 0.25, at[1] + 0.25) if row["n"][0] // 10 == 3 else at: row for at, row in rows.items()},
    ),
    "set": (
        lambda e: e.set_attribute("row_id", 7, where="n < 9"),
        lambda rows: {at: row if row["n"][0] >= 9 else {**row, "row_id": [7]} for at, row in rows.items()},
    ),
    "add": (lambda e: e.add(ONE), with_one),
    "remove and set": (
        lambda e: (e.remove(where="n < 9"), e.set_attribute("row_id", 7)),
        lambda rows: changed(without_first(rows), lambda row: {**row, "row_id": [7]}),
    ),
    "drop": (lambda e: e.drop_attribute("row_id"), lambda rows: changed(rows, lambda row: {"n": row["n"]})),
    "rename": (lambda e: e.rename("row_id", "other"), renamed),
    "rename and remove": (
        lambda e: (e.remove(where="n < 9"), e.rename("row_id", "other")),
        lambda rows: renamed(without_first(rows)),
    ),
    "merge": (lambda e: e.merge([1, 2]), lambda rows: rows),
}


@covering("name, dtype", EDITS, DTYPES[:2])
def test_it_is_kept_by_edits(peer: Peer, copied: Any, name: tuple[Any, Any], dtype: str) -> None:
    edit, expected = name
    place, rows = copied(dtype)
    with zv.open(place, "r+").edit(out_of_bounds="expand") as e:
        edit(e)
    value = zv.open(place)[0].read()
    assert said(value) == expected(rows)
    assert value.row_ids is None
    assert "next_row_id" not in zv.open(place)[0].state.metadata.to_json()
    assert peer.validate(place)["errors"] == []
    assert not zv.validate(place).errors


def test_its_name_is_free_for_nothing_else(copied: Any) -> None:
    place, rows = copied()
    for edit in (
        lambda e: (e.drop_attribute("row_id"), e.rename("n", "row_id")),
        lambda e: (e.rename("row_id", "other"), e.add_attribute("row_id", fill=1)),
        lambda e: e.remove(row_ids=[1]),
    ):
        with pytest.raises(InputError, match="keep_order=True"), zv.open(place, "r+").edit() as e:
            edit(e)
    with pytest.raises(InputError, match="exists already"), zv.open(place, "r+").edit() as e:
        e.add_attribute("row_id", fill=1)
    assert said(zv.open(place)[0].read()) == rows


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_it_is_kept_by_all_that_writes_levels(peer: Peer, copied: Any, tmp_path: Path, dtype: str) -> None:
    place, rows = copied(dtype)
    zv.open(place, "r+").build_pyramid([(2, 1)])
    coarse = zv.open(place)[1].read()
    assert set(coarse.attributes) >= {"row_id", "n"}
    assert coarse.row_ids is None
    assert np.ptp(coarse.attributes["row_id"]) > 0
    zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=10), tmp_path / "again")
    assert said(zv.open(tmp_path / "again")[0].read()) == rows
    shutil.copytree(place, tmp_path / "cut")
    set_bounds(open_store(str(tmp_path / "cut"), mode="r+"), ([0, 0], [9, 9]), force=True)
    assert said(zv.open(tmp_path / "cut")[0].read()) == {at: row for at, row in rows.items() if max(at) <= 9}
    zv.open(place, "r+").vacuum()
    assert said(zv.open(place)[0].read()) == rows
    assert peer.validate(place)["errors"] == []
    assert not zv.validate(place).errors


def test_it_is_compared(copied: Any, tmp_path: Path) -> None:
    place, _ = copied("int64")
    shutil.copytree(place, tmp_path / "other")
    assert zv.diff(place, tmp_path / "other").is_empty
    with zv.open(place, "r+").edit() as e:
        e.set_attribute("row_id", 99, where="n < 3")
    assert zv.diff(place, tmp_path / "other").attributes == ("vertices/row_id",)


def test_parts_are_refused(copied: Any) -> None:
    place, _ = copied()
    with pytest.raises(ConventionError, match="rename"):
        zv.distributed.begin(place)


def test_a_writer_replaces_it(copied: Any) -> None:
    place, _ = copied("int64")
    with zv.open(place, "r+")[0].writer(overwrite=True) as writer:
        writer.add_attribute_sync("row_id", np.arange(ROWS) / 2)
    assert sorted(zv.open(place)[0].read().attributes["row_id"].tolist()) == (np.arange(ROWS) / 2).tolist()


def test_it_is_exported(copied: Any, tmp_path: Path) -> None:
    place, rows = copied("float64")
    export(zv.open(place), tmp_path / "spots.csv")
    lines = [line.split(",") for line in (tmp_path / "spots.csv").read_text().split()]
    assert lines[0] == ["x", "y", "object_id", "n", "row_id"]
    found = {(float(x), float(y)): {"row_id": [float(value)], "n": [int(n)]} for x, y, _, n, value in lines[1:]}
    assert found == rows
