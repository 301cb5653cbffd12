"""Levels and values as data frames of dask, held against what a read brings."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.api.test_tables import STORES, cloud, owned
from tests.query.connected import KINDS, LAYOUTS, stored, values
from tests.query.damage import edit, flip
from tests.query.damage import stored as files_of
from tests.storage.counting import CountingStore
from tests.storage.stores import fewer_examples
from tests.types.clouds import short
from zarr_vectors.exceptions import ConcurrentEditError, CorruptionError, InputError, MissingDependencyError, ZVError


def computed(frame: Any) -> pd.DataFrame:
    """All partitions, each of which has the columns and dtypes that were told before."""
    parts = [part.compute(scheduler="sync") for part in frame.partitions]
    for part in parts:
        pd.testing.assert_series_equal(part.dtypes, frame.dtypes)
        assert part.index.tolist() == list(range(len(part)))
    return pd.concat(parts, ignore_index=True) if parts else frame.compute(scheduler="sync")


def rows_in(frame: pd.DataFrame) -> list[str]:
    """Rows as text, in an order of their own."""
    plain = {name: [repr(None if one is pd.NA else one) for one in column.tolist()] for name, column in frame.items()}
    return sorted(map(repr, zip(*plain.values(), strict=True)))


@pytest.mark.parametrize("kind", ["point_cloud", *KINDS])
@fewer_examples(5)
@given(data=st.data())
def test_frames_bring_what_a_read_brings(kind: str, data: st.DataObject) -> None:
    value: Any = cloud(data.draw(st.integers(0, 60))) if kind == "point_cloud" else data.draw(values(kind))
    level = stored(value, data.draw(LAYOUTS), bounds=([-20] * value.ndim, [20] * value.ndim))
    rows = data.draw(st.integers(1, 20))
    ways: list[dict[str, Any]] = [{}, {"bbox": ([-3] * value.ndim, [4] * value.ndim)}]
    ways += [{"near": ([1] * value.ndim, 4), "mode": "vertices"}]
    if len(level.objects):
        ways.append({"object_ids": level.objects.ids[::-2]})
    for way in ways:
        whole = level.read(**way)
        for name in ("vertices", *(["lines"] if level.kind.connects == "sequence" else [])):
            frame = level.to_dask(table=name, block_rows=rows, **way)
            expected = whole.to_pandas(name)
            if name == "lines" and whole.objects is None:
                continue
            found = computed(frame)
            assert found.columns.tolist() == expected.columns.tolist()
            assert rows_in(found) == rows_in(expected)


@pytest.mark.parametrize(
    "way",
    [
        {"where": "w > 100 and t = 'a'"},
        {"where": "volume > 2", "bbox": ([-3, -3, -3], [9, 9, 9])},
        {"group_ids": [0]},
        {"bbox": ([-3, -3, -3], [9, 9, 9]), "mode": "objects"},
        {"within": lambda places: places[:, 0] > 1, "attributes": ["rgb"]},
        {"object_ids": [30, 0], "bbox": ([-3, -3, -3], [9, 9, 9])},
        {"bbox": ([90, 90, 90], [99, 99, 99])},
    ],
    ids=short,
)
def test_selections_of_points(way: dict[str, Any]) -> None:
    level = owned()
    expected = level.read(**way).to_pandas()
    frame = level.to_dask(block_rows=40, **way)
    assert rows_in(computed(frame)) == rows_in(expected)
    assert frame.columns.tolist() == expected.columns.tolist()
    assert len(frame.compute(scheduler="threads")) == len(expected)


def test_rows_come_in_the_order_of_a_read(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", cloud(), layout=zv.Layout(chunk_shape=2))
    level = zv.open(tmp_path / "s")[0]
    frame = level.to_dask(block_rows=50)
    assert 4 < frame.npartitions < level.chunk_count
    pd.testing.assert_frame_equal(computed(frame), level.read().to_pandas(), check_column_type=False)
    assert max(len(part.compute()) for part in frame.partitions) < 100


def test_only_indexes_are_read_before_it_is_computed() -> None:
    counting = CountingStore()
    zv.write(counting._store, cloud(), layout=zv.Layout(chunk_shape=4, shard_shape=2))
    level = zv.open(counting)[0]
    counting.reset()
    frame = level.to_dask(bbox=([-20, -20, -20], [0, 0, 0]), block_rows=20)
    assert {request.split("/")[1] for request in counting.requests if "/" in request} == {"vertex_fragments"}
    counting.reset()
    frame.partitions[0].compute(scheduler="sync")
    assert 0 < len([one for one in counting.requests if "/vertices/c/" in one]) < level.chunk_count / 4


def test_values_that_some_chunks_lack(tmp_path: Path) -> None:
    """Whole numbers and booleans are of nullable dtypes in all partitions then."""
    place = tmp_path / "s"
    columns = {"n": np.arange(3, dtype="i2"), "flag": [True, False, True], "rgb": np.ones((3, 2), dtype="u1")}
    zv.write(place, zv.Points([[0.5], [1.5], [2.5]], attributes=columns), layout=zv.Layout(chunk_shape=1))
    for name in columns:
        edit(
            place / f"0/vertex_attributes/{name}/zarr.json",
            lambda document: document["attributes"]["nonempty_chunks"].pop(),
        )
    level = zv.open(place)[0]
    frame = level.to_dask(block_rows=1)
    found = computed(frame)
    assert found.dtypes.astype(str).tolist() == ["float64", "boolean", "Int16", "UInt8", "UInt8"]
    assert rows_in(found) == rows_in(level.read().to_pandas())


@pytest.mark.parametrize("place", STORES, ids=lambda place: str(place.name))
def test_stores_of_0_9_2(place: Path) -> None:
    level = zv.open(place)[0]
    try:
        expected = level.read().to_pandas("vertices")
    except ZVError as error:
        with pytest.raises(type(error)):
            level.to_dask(table="vertices").compute()
        return
    assert rows_in(computed(level.to_dask(table="vertices", block_rows=20))) == rows_in(expected)


def test_frames_of_a_store_on_disk_can_be_sent_elsewhere(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", cloud(), layout=zv.Layout(chunk_shape=4))
    frame = zv.open(tmp_path / "s")[0].to_dask(block_rows=50, where="w > 3")
    sent = pickle.loads(pickle.dumps(frame))
    pd.testing.assert_frame_equal(sent.compute(), frame.compute())


def test_partitions_of_two_states_are_not_put_together(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", cloud(), layout=zv.Layout(chunk_shape=4))
    frame = zv.open(tmp_path / "s")[0].to_dask(block_rows=50)
    zv.write(tmp_path / "s", cloud(), mode="append")
    with pytest.raises(ConcurrentEditError, match="block by block"):
        frame.compute(scheduler="sync")


def test_what_is_damaged_is_told_when_it_is_computed(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", cloud(), layout=zv.Layout(chunk_shape=4, shard_shape=None))
    frame = zv.open(tmp_path / "s")[0].to_dask(block_rows=50)
    flip(files_of(tmp_path / "s", "vertices")[0], -3)
    with pytest.raises(CorruptionError):
        frame.compute(scheduler="sync")


@pytest.mark.parametrize("table", ["vertices", "edges", "objects"])
def test_values_come_back(table: str) -> None:
    graph = zv.Graph(
        [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]],
        [[0, 1], [1, 2]],
        attributes={"name": ["a", None, "b"], "n": np.ma.MaskedArray([1, 2, 3], mask=[False, True, False])},
        object_ids=[4, 4, 7],
    )
    frame = graph.to_dask(table, block_rows=1)
    assert frame.npartitions == len(graph.to_pandas(table))
    pd.testing.assert_frame_equal(frame.compute(), graph.to_pandas(table))


def test_lists_of_lines_stay_lists() -> None:
    lines = zv.Polylines([[[0.0, 1.0], [5.0, 2.0]], [[6.0, 2.5]]], ids=[7, 9], object_attributes={"n": [1, 2]})
    level = stored(lines, zv.Layout(chunk_shape=4))
    for frame in (lines.to_dask(), level.to_dask(block_rows=1)):
        found = frame.compute(scheduler="sync")
        assert [one.tolist() for one in found["x"]] == [[0, 5], [6]]
        assert found["n"].tolist() == [1, 2]


def test_what_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    level = owned()
    for options, told in (
        ({"table": "edges"}, "lazy table 'edges'"),
        ({"limit": 3}, "all that is selected"),
        ({"mode": "clip", "bbox": ([0] * 3, [1] * 3)}, "comes at once"),
        ({"strict": False}, "missing"),
        ({"block_rows": 0}, "block_rows"),
        ({"where": "w >"}, "where cannot be understood"),
    ):
        with pytest.raises(InputError, match=told):
            level.to_dask(**options)
    with pytest.raises(InputError, match="block_rows"):
        level.read().to_dask(block_rows=0)
    monkeypatch.setitem(sys.modules, "dask.dataframe", None)
    for one in (level, level.read()):
        with pytest.raises(MissingDependencyError, match=r"needs dask.*zarr-vectors\[dask\]"):
            one.to_dask()
