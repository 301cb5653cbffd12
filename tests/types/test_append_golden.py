"""Appending to stores that 0.9.2 wrote: old rows and tables stay, new ones come along."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import cloud, joined, rows_of
from zarr_vectors.exceptions import ConventionError, InputError
from zarr_vectors.geometry import Categorical, same_values

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PYRAMID = "pyramid"
STORES = sorted(path.name for path in GOLDEN.iterdir() if (path / "zarr.json").is_file() and path.name != PYRAMID)
WITH_OBJECTS = [name for name in STORES if (GOLDEN / name / "0" / "object_index" / "manifests").is_dir()]


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / name, folder / name))


def shifted(points: zv.Points, ids: Any) -> zv.Points:
    """The first rows again, some of them beyond the grid on both sides."""
    part = points.take(slice(0, 6))
    step = np.array([0, 0, 0, 40, -40, 1])[: part.vertex_count, None]
    if part.positions.dtype.kind == "u":
        step = np.abs(step)
    moved = (part.positions + step.astype(part.positions.dtype)).astype(part.positions.dtype)
    attributes = {name: np.asarray(column, dtype=column.dtype) for name, column in part.attributes.items()}
    return cloud(moved, attributes, ids)


@pytest.mark.parametrize("name", STORES)
def test_rows_are_appended_and_the_old_ones_stay(tmp_path: Path, name: str) -> None:
    place = copied(name, tmp_path)
    level = zv.open(place)[0]
    old, tables = level.read(), level.objects
    owned = level.has_objects
    rows = min(6, old.vertex_count)
    new = int(tables.ids.max(initial=0)) + 5
    more = shifted(old, np.full(rows, new) if owned else None)
    fill = {name: 1 for name, column in tables.attributes.items() if not isinstance(column, Categorical)}
    fill = {name: value for name, value in fill.items() if tables.attributes[name].dtype.kind in "iub"}
    report = zv.write(place, more, mode="append", out_of_bounds="expand", fill=fill)
    assert report.total_vertices == old.vertex_count + rows
    level = zv.open(place)[0]
    got = level.read()
    assert rows_of(got) == rows_of(joined([old, more]))
    assert level.count(zv.open(place).bounds) == report.total_vertices
    if owned and rows:
        assert rows_of(level.read(object_ids=[new])) == rows_of(more)
        for one in tables.ids[:5]:
            assert rows_of(level.read(object_ids=[one])) == rows_of(old.take(old.object_ids == one))
    for key, column in tables.attributes.items():
        again = level.objects.attributes[key]
        assert same_values(again[: len(column)], column)


@pytest.mark.parametrize("name", WITH_OBJECTS)
def test_an_existing_object_may_be_extended(tmp_path: Path, name: str) -> None:
    place = copied(name, tmp_path)
    old = zv.open(place)[0].read()
    assert old.object_ids is not None
    one = int(old.object_ids[0])
    more = shifted(old, np.full(6, one))
    zv.write(place, more, mode="append", out_of_bounds="expand", extend=True)
    level = zv.open(place)[0]
    assert rows_of(level.read()) == rows_of(joined([old, more]))
    mine = joined([old.take(old.object_ids == one), more])
    assert rows_of(level.read(object_ids=[one])) == rows_of(mine)


def test_coarser_levels_would_lack_the_rows(tmp_path: Path) -> None:
    place = copied(PYRAMID, tmp_path)
    before = zv.open(place)[0].read()
    with pytest.raises(ConventionError, match="coarser levels"):
        zv.write(place, before.take(slice(0, 1)), mode="append", extend=True)
    assert zv.open(place)[0].read() == before


def test_another_crs_is_refused_and_a_first_one_adopted(tmp_path: Path) -> None:
    points = cloud(np.array([[0.0, 1.0], [2.0, 3.0]]), {}, None)
    zv.write(tmp_path / "s", points)
    zv.write(tmp_path / "s", points, mode="append", crs={"name": "a"})
    assert zv.open(tmp_path / "s").crs == {"name": "a"}
    with pytest.raises(InputError, match="crs"):
        zv.write(tmp_path / "s", points, mode="append", crs={"name": "b"})
    assert zv.write(tmp_path / "s", points, mode="append", crs={"name": "a"}).total_vertices == 6


def test_headers_of_appended_files_are_kept_side_by_side(tmp_path: Path) -> None:
    points = cloud(np.array([[0.0, 1.0], [2.0, 3.0]]), {}, None)
    zv.write(tmp_path / "s", points, headers={"las": {"flight": 1}})
    for flight in (2, 2, 3):
        zv.write(tmp_path / "s", points, mode="append", headers={"las": {"flight": flight}})
    assert zv.open(tmp_path / "s").headers == {"las": {"flight": 1}, "las_2": {"flight": 2}, "las_3": {"flight": 3}}
