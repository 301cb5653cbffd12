"""Stores whose manifests another writer has changed, and left what fragments state of their objects as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.storage.counting import CountingStore, rounds_of
from zarr_vectors.encoding.manifests import ManifestTable, encode_manifests
from zarr_vectors.query.objects import all_refs
from zarr_vectors.query.stored import read_stored_rows

PLACE = ([20.0, 20.0], [75.0, 75.0])
IDS = np.array([4, 5, 9, 11, 30])


def value_of(kind: str, rng: np.random.Generator, ids: Any = IDS) -> Any:
    named: dict[str, Any] = {"object_attributes": {"rank": np.asarray(ids, dtype="f8")}}
    if kind == "polylines":
        steps = [rng.uniform(10, 90, 2) + np.cumsum(rng.normal(0, 5, (12, 2)), axis=0) for _ in ids]
        return zv.Polylines([np.clip(one, 0, 99) for one in steps], ids=ids, **named)
    positions = rng.uniform(0, 100, (60, 2))
    owners = np.concatenate([ids, rng.choice(ids, 60 - len(ids))])
    if kind == "points":
        return zv.Points(positions, object_ids=owners, **named)
    order = np.argsort(owners, kind="stable")
    edges = np.stack([order[:-1], order[1:]], axis=1)
    edges = edges[owners[edges[:, 0]] == owners[edges[:, 1]]]
    return zv.Graph(positions, edges, object_ids=owners, **named)


def give_to_others(place: Path, rng: np.random.Generator, *, count: bool) -> None:
    """Give each fragment to any object, or to none, as another writer would: through zarr-python."""
    level = zv.open(place)[0]
    refs = all_refs(level.storage, level.state)[1]
    rows = rng.integers(-1, len(refs.asked), len(refs.ids))
    kept = np.flatnonzero(rows >= 0)
    kept = kept[np.argsort(rows[kept], kind="stable")]
    table = ManifestTable(rows[kept], refs.chunks[kept], refs.fragments[kept])
    items = np.empty(len(refs.asked), dtype=object)
    items[:] = encode_manifests(table, len(refs.asked)).to_list()
    zarr.open_array(place, path="0/object_index/manifests", mode="r+")[:] = items
    group = zarr.open_group(place, path="0/object_index", mode="r+")
    # Counts that do not tell are the harder case.
    group.attrs["num_present"] = len(np.unique(rows[kept])) if count else group.attrs["num_present"]


def rows_of(value: Any) -> list[tuple[Any, ...]]:
    owners = np.asarray(value.vertex_objects).tolist()
    return sorted((*row, owner) for row, owner in zip(value.positions.tolist(), owners, strict=True))


@pytest.mark.parametrize("kind", ["points", "polylines", "graph"])
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), count=st.booleans())
def test_every_read_says_what_reads_by_id_say(kind: str, seed: int, count: bool) -> None:
    rng = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        place, value = Path(folder) / "s", value_of(kind, rng)
        zv.write(place, value, layout=zv.Layout(chunk_shape=20), bounds=([0, 0], [100, 100]))
        before = zv.open(place)[0]
        give_to_others(place, rng, count=count)
        level = zv.open(place)[0]
        owned = [row for one in IDS.tolist() for row in rows_of(level.read(object_ids=[one]))]
        known = {row[:2] for row in owned}
        loose = [] if kind == "polylines" else [(*row, -1) for row in value.positions.tolist() if (*row,) not in known]
        rows = sorted([*owned, *loose])
        inside = [row for row in rows if all(20 <= x <= 75 for x in row[:2])]
        assert rows_of(before.read()) != rows or len(rows) == 0
        assert rows_of(level.read()) == rows
        assert rows_of(level.read(bbox=PLACE, mode="vertices")) == inside
        assert (level.count(), level.count(bbox=PLACE, mode="vertices")) == (len(rows), len(inside))
        batches = sorted(row for part in level.iter(batch_rows=20) for row in rows_of(part))
        # Batches of what is connected are of whole objects.
        assert batches == (rows if kind == "points" else sorted(owned))
        assert rows_of(level.read(where="object.rank > 6")) == [row for row in rows if row[2] > 6]
        chunks = level.state.vertices.present
        assert level.objects_in(chunks).tolist() == sorted({row[2] for row in owned})
        stored = read_stored_rows(level.storage, level.state, chunks, ()).rows
        of = zip(stored.positions.tolist(), np.asarray(stored.object_ids).tolist(), strict=True)
        assert sorted((*row, one) for row, one in of if kind != "polylines" or one >= 0) == rows
        cut = zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=50.0), output=Path(folder) / "cut")
        assert cut is not None
        anew = zv.open(Path(folder) / "cut")[0]
        assert anew.state.owner_array is not None
        assert rows_of(anew.read()) == rows
        assert zv.validate(Path(folder) / "cut").counts.keys() <= {"fragment_unowned"}


def _of_ids(ids: Any) -> Callable[[], CountingStore]:
    def made() -> CountingStore:
        store = CountingStore()
        zv.write(store, value_of("points", np.random.default_rng(0), ids), layout=zv.Layout(chunk_shape=20))
        return store

    return made


@pytest.mark.parametrize("made", [_of_ids(np.arange(5)), _of_ids(IDS)], ids=["run", "any ids"])
def test_no_request_is_made_for_what_the_header_tells(made: Callable[[], CountingStore]) -> None:
    store = made()
    level = zv.open(store)[0]
    assert rounds_of(store, lambda: level.read(bbox=PLACE)) == 2
    assert rounds_of(store, lambda: level.read(bbox=PLACE)) == 1
    assert not any("object_index" in request for request in store.requests)
