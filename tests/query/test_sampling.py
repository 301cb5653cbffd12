"""Samples of points: every set of rows as likely as any other, and only the chunks of those that are drawn are read."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.damage import edit, flip, stored
from tests.storage.counting import CountingStore
from tests.types.clouds import memory, same_rows, uniform
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.query import drawing, sample
from zarr_vectors.query.drawing import Order
from zarr_vectors.query.fragments import read_fragments
from zarr_vectors.query.prune import known_cells
from zarr_vectors.query.selection import Selection

ROWS = 2000
CLOUD = uniform(
    ROWS,
    seed=5,
    low=0,
    high=10,
    ndim=2,
    attributes={"v": np.arange(ROWS), "m": np.where(np.arange(ROWS) % 5, np.arange(ROWS), np.nan)},
    object_ids=np.arange(ROWS) % 30,
)
BOX = ([1.5, 0.0], [8.5, 7.25])
WAYS: list[dict[str, Any]] = [{}, {"bbox": BOX}, {"near": ([5, 5], 4)}, {"bbox": BOX, "where": "v >= 0"}]
ways = pytest.mark.parametrize("way", WAYS, ids=str)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sampling") / "store"
    zv.write(place, CLOUD, layout=zv.Layout(chunk_shape=1, shard_shape=None))
    return place


class _Told(np.random.Generator):
    """A generator whose order of rows is told, and which draws nothing else."""

    def __init__(self, order: Any) -> None:
        super().__init__(np.random.PCG64(0))
        self.order = order

    def permutation(self, *args: Any, **options: Any) -> Any:
        del options
        assert args == (len(self.order),)
        return np.array(self.order)

    def random(self, *args: Any, **options: Any) -> Any:
        raise AssertionError((args, options))


@pytest.mark.parametrize("spare", [0, 2, 16])
@pytest.mark.parametrize("count", [1, 2])
def test_of_all_orders_of_rows_each_sample_comes_as_often(
    monkeypatch: pytest.MonkeyPatch, count: int, spare: int
) -> None:
    """Five rows, of which three lie in the box: one chunk has both sorts, one lies in it as a whole, one does not."""
    monkeypatch.setattr(drawing, "_SPARE", spare)
    monkeypatch.setattr(drawing, "_LEAST_MET", 0)
    monkeypatch.setattr(drawing, "_MOST_PER_CELL", 99)
    xy = [[0.1, 0.5], [0.6, 0.5], [1.2, 0.5], [1.7, 0.5], [2.2, 0.5]]
    place = memory()
    zv.write(place, zv.Points(xy, attributes={"v": np.arange(5)}), layout=zv.Layout(chunk_shape=1))
    level = zv.open(place)[0]
    found: Counter[tuple[int, ...]] = Counter()
    for order in permutations(range(5)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(np.random, "default_rng", lambda _, order=order: _Told(order))
            found[tuple(level.sample(count, bbox=([0.5, 0], [2, 1])).attributes["v"].tolist())] += 1
    assert set(found) == {rows for rows in permutations(range(1, 4), count) if list(rows) == sorted(rows)}
    assert len(set(found.values())) == 1


@ways
def test_all_rows_are_as_likely(place: Path, way: dict[str, Any]) -> None:
    level = zv.open(place)[0]
    inside = np.asarray(level.read(**way, attributes="v").attributes["v"])
    met = np.zeros(ROWS)
    for seed in range(120):
        met[np.asarray(level.sample(60, seed, **way, attributes="v").attributes["v"])] += 1
    mean = 120 * 60 / len(inside)
    # A binomial count lies within five deviations of its mean.
    assert met.sum() == 120 * 60
    assert met[inside].min() > mean - 5 * mean**0.5
    assert met[inside].max() < mean + 5 * mean**0.5


@ways
@pytest.mark.parametrize("count", [0, 1, 20, 150])
def test_a_sample_is_the_same_for_a_seed_and_in_reading_order(place: Path, way: dict[str, Any], count: int) -> None:
    whole = zv.open(place)[0].read(**way)
    rows = {int(value): row for row, value in enumerate(whole.attributes["v"])}
    part, again, other = (zv.open(place)[0].sample(count, seed, **way) for seed in (7, 7, 8))
    places = np.array([rows[int(value)] for value in part.attributes["v"]], dtype=np.int64)
    assert len(places) == min(count, whole.vertex_count)
    assert (np.diff(places) > 0).all()
    assert same_rows(part, whole.take(places))
    assert part.attributes["v"].tolist() == again.attributes["v"].tolist()
    assert count < 20 or part.attributes["v"].tolist() != other.attributes["v"].tolist()


@given(st.data())
def test_samples_of_any_cloud(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 60))
    flat = data.draw(st.lists(st.integers(0, 80), min_size=2 * rows, max_size=2 * rows))
    cloud = zv.Points(np.reshape(flat, (-1, 2)) / 8, attributes={"v": np.arange(rows)})
    place = memory()
    zv.write(place, cloud, layout=zv.Layout(chunk_shape=data.draw(st.integers(1, 4)), shard_shape=None))
    level = zv.open(place)[0]
    low, high = sorted(data.draw(st.lists(st.integers(0, 10), min_size=2, max_size=2)))
    way: dict[str, Any] = data.draw(
        st.sampled_from([{}, {"bbox": ([low, low], [high, high])}, {"where": f"v >= {low}"}, {"object_ids": []}])
    )
    way = {} if way.get("object_ids") == [] else way
    count = data.draw(st.integers(0, 70))
    whole = level.read(**way).attributes["v"].tolist()
    part = level.sample(count, data.draw(st.integers(0, 9)), **way).attributes["v"].tolist()
    assert len(part) == min(count, len(whole))
    assert part == [value for value in whole if value in set(part)]


def test_only_chunks_of_drawn_rows_are_read() -> None:
    store = CountingStore()
    zv.write(store._store, CLOUD, layout=zv.Layout(chunk_shape=1, shard_shape=None))
    for way, most in ((WAYS[0], 3), (WAYS[1], 8), (WAYS[2], 20)):
        level = zv.open(store)[0]
        chunks = level.plan(**way).chunks
        store.reset()
        assert level.sample(3, 1, **way).vertex_count == 3
        read = [request for request in store.requests if "/vertices/c/" in request]
        assert 0 < len(read) <= most < chunks / 4
        assert len([request for request in store.requests if "vertex_attributes/v/c/" in request]) == len(read)


def test_the_index_tells_how_many_rows_there_are(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []

    def fetching(storage: Any, level: Any, coords: Any) -> Any:
        fetched.append(len(coords))
        return read_fragments(storage, level, coords)

    monkeypatch.setattr(drawing, "read_fragments", fetching)
    _never_all(monkeypatch)
    level = zv.open(place)[0]
    level.sample(5, 1)
    level.sample(5, 1, bbox=BOX)
    assert not fetched
    monkeypatch.setattr(drawing, "known_cells", lambda *a: (np.ones(len(a[2]), dtype=bool), np.full(len(a[2]), -1)))
    assert level.sample(5, 1).vertex_count == 5
    assert fetched == [level.chunk_count]


def _never_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError((args, options))

    monkeypatch.setattr(sample, "iter_rows", refuse)


@pytest.mark.parametrize("more", [1, -1])
@ways
def test_an_index_that_lies_is_found_out(
    place: Path, monkeypatch: pytest.MonkeyPatch, way: dict[str, Any], more: int
) -> None:
    def lying(*args: Any) -> Any:
        whole, rows = known_cells(*args)
        return np.ones_like(whole), rows + more

    level = zv.open(place)[0]
    whole = level.read(**way).attributes["v"].tolist()
    monkeypatch.setattr(drawing, "known_cells", lying)
    chance = np.random.default_rng(0)
    assert drawing.drawn_rows(level.storage, level.state, Selection(), 20, chance, strict=True) is None
    for seed in range(3):
        part = level.sample(20, seed, **way).attributes["v"].tolist()
        assert len(set(part)) == 20
        assert set(part) <= set(whole)


def test_rows_that_a_chunk_lacks_are_found_out(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what the index tells adds up to what the level states."""

    def lying(*args: Any) -> Any:
        whole, rows = known_cells(*args)
        return whole, rows + np.resize([1, -1], len(rows))

    monkeypatch.setattr(drawing, "known_cells", lying)
    level = zv.open(place)[0]
    assert level.chunk_count % 2 == 0
    chance = np.random.default_rng(0)
    assert drawing.drawn_rows(level.storage, level.state, Selection(), 5, chance, strict=True) is None


def test_a_chunk_that_is_not_listed_is_missed(place: Path, tmp_path: Path) -> None:
    """All lists of chunks lack it alike, so that only the count of the level tells."""
    cut = Path(shutil.copytree(place, tmp_path / "store"))
    for path in (cut / "0").rglob("zarr.json"):
        edit(path, lambda document: document.get("attributes", {}).get("nonempty_chunks", [""]).pop())
    with pytest.raises(CorruptionError, match="as many vertices"):
        zv.open(cut)[0].sample(5, 1)


def test_chunks_that_others_have_changed_are_counted_anew(place: Path, tmp_path: Path) -> None:
    """The index of a chunk whose files have another stamp is not asked."""
    changed = Path(shutil.copytree(place, tmp_path / "store"))
    level = zv.open(changed)[0]
    for path in stored(changed, "vertices")[:3] + stored(changed, "vertex_fragments")[3:5]:
        path.write_bytes(path.read_bytes())
    whole, rows = known_cells(level.storage, level.state, level.state.vertices.present, Selection())
    assert (rows < 0).sum() == 5
    assert whole.all()
    assert level.sample(50, 3).attributes["v"].tolist() == zv.open(place)[0].sample(50, 3).attributes["v"].tolist()


@pytest.mark.parametrize("array", ["vertices", "vertex_fragments", "vertex_attributes/v"])
def test_what_is_damaged_is_told(place: Path, tmp_path: Path, array: str) -> None:
    """All chunks are damaged but one; what can be read is chosen from, and what cannot is named."""
    damaged = Path(shutil.copytree(place, tmp_path / "store"))
    paths = stored(damaged, array)
    for path in paths[1:]:
        flip(path, -3)
    level = zv.open(damaged)[0]
    with pytest.raises(CorruptionError):
        level.sample(50, 1)
    part = level.sample(50, 1, strict=False)
    whole = level.read(strict=False)
    assert len(part.errors) == len(whole.errors) == len(paths) - 1
    assert part.vertex_count == min(50, whole.vertex_count)
    assert set(part.attributes["v"].tolist()) <= set(whole.attributes["v"].tolist())


def test_an_order_brings_every_number_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for most in (0, 1 << 20):
        monkeypatch.setattr(drawing, "_MOST_SHUFFLED", most)
        order = Order(1000, np.random.default_rng(2))
        first = order.first(20).tolist()
        every = order.first(order.most).tolist()
        assert every[:20] == first
        assert len(set(every)) == len(every) == (1000 if most else 500)
        assert 0 <= min(every) <= max(every) < 1000
