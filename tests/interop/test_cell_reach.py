"""Boxes of what reaches out of cells, and 0.9.2: it reads what has them, and what it moves is found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.peer import Peer
from tests.query.indexed import reach_known
from zarr_vectors.geometry import Graph, Polylines
from zarr_vectors.query import prune

LAYOUT = {"polyline": zv.Layout(chunk_shape=10, shard_shape=None), "graph": zv.Layout(chunk_shape=10, shard_shape=2)}


@pytest.fixture(autouse=True, scope="module")
def small_reads_use_it() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_WORTH_LOADING", "_WORTH_FOR_REACH"):
            patch.setattr(prune, name, 0)
        yield


@pytest.fixture(params=["polyline", "graph"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Zigzags through chunks of 10, some steps as long as three of them; each vertex in its chunk's lower half."""
    rng = np.random.default_rng(3)
    cells = rng.integers(0, 5, (12, 6, 3))
    positions = (cells * 10 + rng.random((12, 6, 3)) * 5).astype("f4").reshape(-1, 3)
    weights = {"weight": rng.random(len(positions)).astype("f4")}
    value: Any = Polylines(positions, np.arange(13) * 6, attributes=weights)
    if request.param == "graph":
        rows = np.arange(len(positions))
        links = np.stack([rows[:-1], rows[1:]], axis=1)[rows[1:] % 6 > 0]
        value = Graph(positions, links, attributes=weights, object_ids=rows // 6)
    zv.write(tmp_path / "s", value, layout=LAYOUT[request.param], bounds=([0] * 3, [50] * 3))
    return tmp_path / "s"


def answers(level: Any) -> list[Any]:
    rng = np.random.default_rng(1)
    found = []
    for mode in ("vertices", "objects", "clip"):
        for low in rng.random((5, 3)) * 45:
            got = level.read((low, low + 6), mode=mode)
            found.append([got.positions.tolist(), got.attributes["weight"].tolist()])
    found.append(level.read(where="weight > 5").positions.tolist())
    return found


def check(place: Path, *levels: Any) -> None:
    """Reads that believe the index bring what those without it do."""
    bare = zv.open(place)[0]
    bare.state.index.level = None
    expected = answers(bare)
    for level in (*levels, zv.open(place)[0]):
        assert level.state.index.get(level.storage) is not None
        assert answers(level) == expected


def test_what_the_peer_moves_is_found_by_all_that_leads_there(peer: Peer, place: Path) -> None:
    opened = zv.open(place)[0]
    check(place, opened)
    assert reach_known(place) == 1
    assert peer.validate(place)["ok"]
    present = opened.state.vertices.present
    for number in (0, 0, len(present) - 1):
        chunk = present[number]
        # The clock of a disk may tick a hundred times a second only.
        time.sleep(0.02)
        corner = (chunk * 10 + 9.5).tolist()
        peer.call("edit_vertices", path=str(place), edits=[[chunk.tolist(), 0, 0, "position", corner]])
        check(place, opened)
    time.sleep(0.02)
    peer.call("edit_vertices", path=str(place), edits=[[present[1].tolist(), 0, 0, "weight", 9.0]])
    check(place, opened)
    assert len(opened.read(where="weight > 5").positions) == 1
    assert 0 < reach_known(place) < 1
    zv.open(place, "r+").index()
    assert reach_known(place) == 1
