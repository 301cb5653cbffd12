"""Stores of 0.9.2 whose bounds shrink: what a read of the box brought before is what there is afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_compare import keys_of, links_of, vertices_of
from tests.interop.peer import Peer
from tests.interop.test_kinds_peer_to_ours import GOLDEN as KINDS
from tests.rechunk.shapes import tables_of
from zarr_vectors.core.store import open_store, read_root_metadata, set_bounds
from zarr_vectors.geometry import Lines, Polylines

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STORES = sorted(path.parent for pattern in ("*", "kinds/*", "draco/*") for path in GOLDEN.glob(f"{pattern}/zarr.json"))
REFUSED = {"composite", "attributes", "crossing", "lost_vertex", "objects_in_chunk"}
"""Composite stores, and Draco cells without the order of their rows."""


def box_of(store: zv.ZVStore) -> tuple[list[float], list[float]]:
    """A box that cuts level 0 on all sides, but for the tiniest."""
    rows = np.sort(np.asarray(store[0].read(attributes=[]).positions, dtype=np.float64), axis=0)
    if not len(rows):
        low, high = store.bounds
        return list(low), [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    at = len(rows) - 1
    return rows[at // 6].tolist(), rows[at - at // 6].tolist()


def inside(value: Any, box: Any) -> Any:
    low, high = (np.asarray(corner) for corner in box)
    return ((value.positions >= low) & (value.positions <= high)).all(axis=1)


def told(value: Any) -> Any:
    """Vertices and links by their content; lines by their parts, whatever the ids of these."""
    if isinstance(value, Polylines):
        return sorted(keys_of(line) for line in value.lines() if len(line))
    rows = sorted(map(repr, vertices_of(value).elements()))
    return rows, [] if isinstance(value, (zv.Points, Lines)) else sorted(map(repr, links_of(value).elements()))


def left_of(level: zv.ZVLevel, box: tuple[list[float], list[float]]) -> Any:
    """What must be left of a level."""
    value = level.read()
    if isinstance(value, Lines):
        whole = inside(value, box).reshape(-1, 2).all(axis=1)
        return told(value.within(np.repeat(whole, 2)))
    return told(level.read(bbox=box, mode="vertices"))


@pytest.mark.parametrize("golden", STORES, ids=lambda golden: golden.relative_to(GOLDEN).as_posix())
def test_what_is_left_of_a_store_of_0_9_2(golden: Path, peer: Peer, tmp_path: Path) -> None:
    before, place = zv.open(golden), tmp_path / "store"
    shutil.copytree(golden, place)
    if golden.name in REFUSED:
        low, high = before.bounds
        middle = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
        with pytest.raises(zv.ZVError, match=r"composite|Draco|cannot|mixes kinds"):
            set_bounds(open_store(place, mode="r+"), (low, middle), force=True)
        assert all(path.read_bytes() == (golden / path.relative_to(place)).read_bytes() for path in files(place))
        return
    box = box_of(before)
    wanted = [left_of(level, box) for level in before]
    set_bounds(open_store(place, mode="r+"), box, force=True)
    after = zv.open(place)
    np.testing.assert_allclose(after.bounds, box, rtol=1e-12)
    assert [told(level.read()) for level in after] == wanted
    for level, old in zip(after, before, strict=True):
        assert level.vertex_count == level.read().vertex_count or level.state.metadata.shared_fragments
        assert list(level.attributes) == list(old.attributes)
        assert level.chunk_shape == old.chunk_shape
        assert level.state.metadata.chunk_attribute_values == old.state.metadata.chunk_attribute_values
        if not isinstance(old.read(), Polylines):
            assert repr(tables_of(level)) == repr(tables_of(old))
    # Its validator finds fault with all stores of one axis.
    assert before.ndim == 1 or peer.validate(place)["errors"] == []


def files(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


def test_bounds_are_those_of_the_world(tmp_path: Path) -> None:
    place = tmp_path / "store"
    shutil.copytree(KINDS / "chunked_offset", place)
    store = zv.open(place)
    offset = np.array(read_root_metadata(open_store(place)).coordinate_offset)
    low, high = (np.array(corner) for corner in store.bounds)
    root = open_store(place, mode="r+")
    said = read_root_metadata(root).bounds
    set_bounds(root, (low.tolist(), high.tolist()))
    assert read_root_metadata(open_store(place)).bounds == said
    set_bounds(root, ((low - 1).tolist(), high.tolist()))
    assert read_root_metadata(open_store(place)).bounds == (tuple(low - 1 - offset), said[1])
    assert zv.open(place).bounds == ((low - 1).tolist(), high.tolist())
    with pytest.raises(zv.exceptions.StoreError, match="force=True"):
        set_bounds(root, (low.tolist(), high.tolist()))
    value = zv.open(place)[0].read()
    middle = np.median(value.positions, axis=0)
    set_bounds(root, (middle.tolist(), high.tolist()), force=True)
    got = zv.open(place)[0].read()
    assert 0 < got.vertex_count < value.vertex_count
    left = value.positions[inside(value, (middle, high))]
    assert sorted(keys_of(got.positions)) == sorted(keys_of(left))
