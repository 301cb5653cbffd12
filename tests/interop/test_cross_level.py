"""Links between levels: 0.9.2 reads and validates ours, and ours are byte for byte those that it writes itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.across import links_between, rows_by_chunk
from tests.interop.peer import Peer
from tests.interop.zarr_cells import document_of
from zarr_vectors import constants
from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.pyramid.across import LevelLinks
from zarr_vectors.query.across import cross_families, read_across
from zarr_vectors.query.sizes import chunk_reaches
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend
from zarr_vectors.types.across import stored_cells
from zarr_vectors.types.places import Places

FACTORS: dict[str, Any] = {"factors": [(2.0, 1.0), (2.0, 1.0)], "chunk_scale_factors": [2, 2]}
BOTH: dict[str, Any] = {"cross_level_storage": "explicit", "cross_level_depth": -1}


def cloud() -> Any:
    return np.random.default_rng(3).uniform(-14, 20, (120, 2)).astype("f4")


@pytest.fixture(scope="module")
def theirs(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramid of 0.9.2 with links over one and two levels, both ways."""
    place = tmp_path_factory.mktemp("theirs") / "store"
    peer.write_points(place, {"positions": cloud(), "chunk_shape": (4.0, 4.0)})
    peer.build_pyramid(place, {**FACTORS, **BOTH})
    return place


def families(place: Path) -> Iterator[tuple[int, str]]:
    for number in range(3):
        folder = place / str(number) / constants.LINKS
        yield from ((number, path.name) for path in sorted(folder.iterdir()) if path.name[0] in "+-")


def test_ours_are_those_of_0_9_2(theirs: Path) -> None:
    """Given which vertex stands for which, every stored cell and document is the same."""
    storage = Storage(open_backend(str(theirs), read_only=True))
    root, _ = open_root(storage, [])
    levels = {number: open_level(storage, root, number) for number in range(3)}
    compared = 0
    for target in (1, 2):
        finer, coarse = levels[target - 1], levels[target]
        (family,) = cross_families(storage, finer, [target])[0]
        further = cross_families(storage, levels[0], [1])[0] if target == 2 else ()
        links = LevelLinks(storage=storage, finer=finer, number=target, further=tuple(further), both_ways=True)
        plan, reaches = stored_cells(coarse), chunk_reaches(storage, coarse)
        bases = np.concatenate([[0], np.cumsum(reaches)])
        places = Places.of(int(bases[-1]), plan.vertices.grid.cells)
        chunk = np.repeat(np.arange(len(reaches)), reaches)
        numbers = plan.cell_numbers(coarse.vertices.present)[chunk]
        places.put(np.arange(len(chunk)), numbers, np.arange(len(chunk)) - bases[chunk])
        standing = links.begun(theirs.parent / f"spare-{target}")
        for ends in read_across(storage, family, coarse, (chunk_reaches(storage, finer), reaches)):
            near = np.stack([ends.chunks[:, 0], ends.rows[:, 0]], axis=1)
            standing.add(near, bases[ends.chunks[:, 1]] + ends.rows[:, 1], 0)

        def beside(name: str, said: Any, level: Any = coarse) -> Any:
            return level.array_beside(level.vertices, name, said)

        for path, data in standing.puts(plan, places, beside):
            if path.endswith("zarr.json"):
                said = document_of(theirs, path.removesuffix("/zarr.json"))
                assert json.loads(bytes(data))["attributes"] == said["attributes"], path
            else:
                assert bytes(data) == (theirs / path).read_bytes(), path
                compared += 1
    written = [path for path in theirs.glob("*/links/[+-]*/*/c/**/*") if path.is_file()]
    assert compared == len(written) > 100


@pytest.mark.parametrize("kind", ["points", "graph", "streamlines"])
def test_0_9_2_reads_ours(kind: str, peer: Peer, tmp_path: Path) -> None:
    place, positions = tmp_path / "store", cloud()
    values: dict[str, Callable[[], Any]] = {
        "points": lambda: zv.Points(positions, object_ids=np.repeat([4, 9, 11], 40)),
        "graph": lambda: zv.Graph(positions, np.stack([np.arange(119), np.arange(1, 120)], axis=1)),
        "streamlines": lambda: zv.Polylines(
            [(np.cumsum(part, axis=0) / 20).clip(-14, 20) for part in positions.reshape(4, 30, 2)], kind="streamline"
        ),
    }
    zv.write(place, values[kind](), layout=zv.Layout(chunk_shape=(8.0, 8.0), shard_shape=2))
    with zv.open(place, "r+") as store:
        store.build_pyramid(factors=[(2.0, 1.0), (2.0, 1.0)], **BOTH)
    assert peer.validate(place)["errors"] == []
    found = list(families(place))
    assert found == [(0, "+1"), (0, "+2"), (1, "+1"), (1, "-1"), (2, "-1"), (2, "-2")]
    rows = [rows_by_chunk(place, number) for number in range(3)]
    for number, delta in found:
        ends = peer.call("links_across", path=str(place), level=number, delta=int(delta))
        near, far = rows[number], rows[number + int(delta)]
        pairs = Counter((near[tuple(one[0])][one[1]], far[tuple(other[0])][other[1]]) for one, other in ends)
        assert pairs == links_between(place, number, delta)
