"""Stores are the same bytes whether rows are sorted one by one or as runs of neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.storage.stores import fewer_examples
from tests.types.clouds import files_of
from zarr_vectors.geometry import Geometry
from zarr_vectors.types import sort

NEVER, ALWAYS = 10**9, 0


def written(folder: Path, value: Geometry, layout: zv.Layout, least: int) -> dict[str, bytes]:
    """The arrays of a store that is written with another bound on the length of runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sort, "_LEAST_RUN", least)
        patch.setattr(sort, "_PART_ROWS", 20)
        patch.setattr(sort, "_BLOCK_ROWS", 16)
        zv.write(folder, value, layout=layout)
    return {name: data for name, data in files_of(folder).items() if "/c/" in name}


def walks(random: np.random.Generator, rows: int, ndim: int) -> Any:
    """Positions that mostly stay near the one before."""
    steps = random.normal(0, 1, (rows, ndim)) * np.where(random.random((rows, 1)) < 0.1, 8, 0.5)
    return np.clip(np.cumsum(steps, axis=0), -30, 30).astype(np.float32)


def points(random: np.random.Generator, rows: int, **options: Any) -> zv.Points:
    return zv.Points(walks(random, rows, 3), attributes={"number": np.arange(rows)}, **options)


def some_value(random: np.random.Generator, kind: str, rows: int) -> Geometry:
    if kind == "points":
        return points(random, rows)
    if kind == "owned":
        return points(random, rows, object_ids=np.sort(random.integers(0, 9, rows)))
    if kind == "mixed":
        return points(random, rows, object_ids=random.integers(0, 3, rows))
    if kind == "lines":
        cuts = np.sort(random.integers(0, rows + 1, 4))
        offsets = np.array([0, *cuts, rows])
        return zv.Polylines(walks(random, rows, 3), offsets, attributes={"number": np.arange(rows)})
    parents = np.maximum(np.arange(rows) - random.integers(1, 3, rows), -1)
    return zv.Skeleton(walks(random, rows, 3), parents, attributes={"number": np.arange(rows)})


@pytest.mark.parametrize("kind", ["points", "binned", "owned", "mixed", "lines", "skeleton"])
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 150))
@fewer_examples(4)
def test_runs_and_rows_give_the_same_store(tmp_path_factory: Any, kind: str, seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    value = some_value(random, kind.replace("binned", "points"), rows)
    layout = zv.Layout(chunk_shape=8, shard_shape=2, bin_shape=4 if kind == "binned" else None)
    folder = tmp_path_factory.mktemp("sort")
    one_by_one = written(folder / "rows", value, layout, NEVER)
    assert written(folder / "runs", value, layout, ALWAYS) == one_by_one


def test_scattered_rows_are_not_taken_for_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then runs would be as many as rows, and cost memory."""
    taken: list[int] = []
    rows_of_runs = sort._rows_of_runs

    def noted(plan: Any, table: Any, runs: Any) -> Any:
        taken.append(len(runs.starts))
        return rows_of_runs(plan, table, runs)

    monkeypatch.setattr(sort, "_rows_of_runs", noted)
    random = np.random.default_rng(0)
    layout = zv.Layout(chunk_shape=10)
    zv.write(tmp_path / "cloud", zv.Points(random.uniform(0, 100, (5000, 3))), layout=layout)
    assert taken == []
    line = np.linspace([0, 0, 0], [100, 50, 20], 5000)
    zv.write(tmp_path / "line", zv.Polylines(line, [0, 5000]), layout=layout)
    assert len(taken) == 1
    assert taken[0] < 50
