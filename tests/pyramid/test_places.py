"""Pyramids where stores are not folders, and by the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import Result
from tests.pyramid.samples import level_rows, sample
from tests.storage import s3
from tests.types.clouds import memory

LAYOUT = zv.Layout(chunk_shape=100)


def contents(store: Any) -> list[Any]:
    return [level_rows(level.read(), floats=False) for level in store]


def some(seed: int, ids: Any) -> zv.Points:
    value = sample("points", ndim=2, seed=seed, plain=True)
    return zv.Points(value.positions, {"number": np.arange(len(value.positions))}, ids)


def changed(url: Any, factors: Any, *, objects: bool, **where: Any) -> list[Any]:
    """What a store has after a pyramid was built, rows were appended, and it was built anew."""
    zv.write(url, some(0, np.repeat([4, 9], 90) if objects else None), layout=LAYOUT, **where)
    with zv.open(url, "r+", **where) as store:
        store.build_pyramid(factors)
    more = some(3, np.full(180, 70) if objects else None)
    zv.write(url, more, mode="append", out_of_bounds="expand", **where)
    with zv.open(url, "r+", **where) as store:
        assert all(level.is_stale == (level.number > 0) for level in store)
        store.refresh_pyramid()
        assert not any(level.is_stale for level in store)
    return contents(zv.open(url, **where))


def test_object_stores() -> None:
    pytest.importorskip("obstore")
    factors: Any = [(4, 1)]
    with s3.serving() as endpoint:
        where: Any = {"storage_options": s3.for_obstore(endpoint)}
        got = changed(f"s3://{s3.BUCKET}/pyramid", factors, objects=False, **where)
        assert got == changed(memory(), factors, objects=False)
        assert not zv.validate(f"s3://{s3.BUCKET}/pyramid", **where).problems


def test_icechunk(tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    place, factors = tmp_path / "repository", [(2, 1), (4, 2)]
    assert changed(place, factors, objects=True, backend="icechunk") == changed(memory(), factors, objects=True)
    with zv.open(place, "r+", backend="icechunk") as store:
        store.build_pyramid([(3, 1)], replace=True)
    store = zv.open(place, backend="icechunk")
    assert store.levels == [0, 1]
    assert not zv.validate(store).problems


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zarr_vectors.pyramid.run.TOP_VERTICES", 50)
    table, place = tmp_path / "points.csv", tmp_path / "store"
    np.savetxt(table, np.random.default_rng(0).uniform(0, 100, (400, 2)), delimiter=",", header="x,y", comments="")
    done = Result(["convert", table, place, "--pyramid", "--quiet"])
    assert (done.code, done.out, done.err) == (0, "", "")
    chosen = [level.vertex_count for level in zv.open(place)]
    assert len(chosen) > 1
    assert chosen[-1] <= 50
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    done = Result(["pyramid", place, "--factors", "2"])
    assert done.code != 0
    assert "--replace" in done.err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    done = Result(["pyramid", place, "--factors", "2,4", "--replace"])
    assert (done.code, done.err) == (0, "")
    assert [line.partition(":")[0] for line in done.out.splitlines()[:2]] == ["level 1", "level 2"]
    assert zv.open(place).levels == [0, 1, 2]
    assert not zv.validate(place).problems
    done = Result(["pyramid", place, "--refresh"])
    assert done.code == 0
    assert done.out == "no level is stale\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--factors", "0.5"], "not from 1"),
        (["--factors", "nan"], "not from 1"),
        (["--factors", "2:0.5"], "not from 1"),
        (["--factors", "2;2"], "2,2,4:2"),
        (["--factors", "2", "--keep", "best"], "attribute:NAME"),
        (["--factors", "2", "--keep", "attribute"], "attribute:NAME"),
        (["--factors", "2", "--method", "median"], "subsample"),
        (["--factors", "2", "--aggregate", "heat=median"], "mode"),
        (["--factors", "2", "--aggregate", "nope=max"], "nope"),
        (["--factors", "2", "--cross-level", "both"], "explicit"),
        (["--factors", "2", "--depth", "-3"], "from -1"),
        (["--refresh", "--factors", "2"], "leave out"),
        (["--refresh", "--replace"], "leave out"),
    ],
)
def test_mistakes_on_the_command_line_change_nothing(arguments: list[str], told: str, tmp_path: Path) -> None:
    zv.write(tmp_path / "s", zv.Points([[0.0, 0.0], [5.0, 5.0]], {"heat": [1.0, 2.0]}), layout=LAYOUT)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = Result(["pyramid", tmp_path / "s", *arguments])
    assert done.code in (1, 2)
    assert told in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_small_stores_get_no_level_by_themselves(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", zv.Points([[0.0, 0.0], [5.0, 5.0]]), layout=LAYOUT)
    done = Result(["pyramid", tmp_path / "s"])
    assert (done.code, zv.open(tmp_path / "s").levels) == (0, [0])
    assert "--factors" in done.out
