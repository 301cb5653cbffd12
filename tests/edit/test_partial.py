"""Which files an edit writes: of points that move, only those of the chunks that they leave and enter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.edit.stores import seen, whole_only


def cloud(owned: bool) -> zv.Points:
    rng = np.random.default_rng(5)
    owners = np.arange(4000) // 40 if owned else None
    table: dict[str, Any] = {"object_attributes": {"size": np.arange(100.0)}} if owned else {}
    positions = rng.uniform(0, 100, (4000, 2))
    positions = positions[np.argsort(positions[:, 0] // 10)]
    return zv.Points(positions, {"n": np.arange(4000), "kind": ["a", "b"] * 2000}, owners, **table)


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("layout", [{"shard_shape": 2}, {"shard_shape": None}, {"shard_shape": 2, "bin_shape": 5}])
def test_only_touched_files_are_written(
    layout: dict[str, Any], owned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if owned and "bin_shape" in layout:
        pytest.skip("fragments of objects are no bins")
    value, place = cloud(owned), tmp_path / "store"
    how = zv.Layout(chunk_shape=10, keep_order=True, **layout)
    for path in (place, tmp_path / "whole"):
        zv.write(path, value, layout=how, bounds=([0, 0], [100, 100]))
    rows = np.flatnonzero((value.positions[:, 0] < 12) & (value.positions[:, 1] < 12))
    before = seen(place)

    def work(e: zv.Edit) -> None:
        e.update(row_ids=rows, positions=value.positions[rows][:, ::-1] * 0.9)
        e.set_attribute("kind", "b", row_ids=rows[:5])
        if owned:
            e.update([(0, 3), (0, 1)], attributes={"n": [-3, -1]})

    with zv.open(place, "r+").edit() as e:
        work(e)
    after = seen(place)
    data = [path for path in before if "/c/" in path and path.startswith(("0/vert", "0/frag"))]
    kept = [path for path in data if after.get(path) == before[path]]
    assert len(kept) > 0.7 * len(data)
    assert len(kept) < len(data)
    # The same, written whole.
    whole_only(monkeypatch)
    with zv.open(tmp_path / "whole", "r+").edit() as e:
        work(e)
    one, other = (zv.open(path)[0] for path in (place, tmp_path / "whole"))
    assert zv.validate(place).ok
    assert one.state.metadata == other.state.metadata
    assert zv.diff(place, tmp_path / "whole").is_empty
    values = one.read(), other.read()
    for name in ("n", "kind"):
        sides = [np.asarray(side.attributes[name])[np.argsort(side.row_ids)] for side in values]
        assert np.array_equal(sides[0], sides[1])
    for box in (([0, 0], [9, 9]), ([5, 5], [12, 40])):
        assert sorted(one.read(bbox=box).row_ids.tolist()) == sorted(other.read(bbox=box).row_ids.tolist())


@pytest.mark.parametrize("owned", [True, False])
def test_points_enter_chunks_that_are_new(owned: bool, tmp_path: Path) -> None:
    value, place = cloud(owned), tmp_path / "store"
    zv.write(place, value, layout=zv.Layout(chunk_shape=10, shard_shape=2, keep_order=True))
    with zv.open(place, "r+").edit(out_of_bounds="expand") as e:
        e.update(row_ids=[17, 3], positions=[[-25.0, 50.0], [130.0, 50.0]])
    got = zv.open(place)[0].read()
    where = dict(zip(got.row_ids.tolist(), got.positions.tolist(), strict=True))
    assert where[17] == [-25.0, 50.0]
    assert where[3] == [130.0, 50.0]
    assert len(where) == got.vertex_count == 4000
    assert all(where[n] == at for n, at in enumerate(value.positions.tolist()) if n not in (17, 3))
    assert zv.validate(place).ok
    assert zv.open(place).bounds[0][0] == -25.0
