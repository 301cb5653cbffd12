"""Lines, graphs, skeletons and meshes that 0.9.2 writes: we return the same, whole, by object and by box."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_cases import KIND_CASES, KindCase
from tests.interop.kind_compare import keys_of, links_of, same, value_of, vertices_of
from tests.interop.peer import Peer
from tests.interop.peer_server import unpack
from zarr_vectors.exceptions import StoreError
from zarr_vectors.geometry import Geometry, Polylines, Skeleton
from zarr_vectors.spatial.box import ClosedBox

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kinds"
PLAIN = [name for name in KIND_CASES if name not in {"composite", "pyramid"}]
LIVE = [name for name, case in KIND_CASES.items() if case.large]


def golden(case: KindCase) -> tuple[zv.ZVLevel, Geometry]:
    """Our view of a golden store, and what was stored."""
    expected = unpack(json.loads((GOLDEN / f"{case.name}.expected.json").read_text(encoding="utf-8")), {})
    level = zv.open(GOLDEN / case.name)[0]
    value = value_of(case.kind, case.writer, expected["input"])
    return level, as_stored(level, value, expected["levels"][0]["read"] if case.writer == "graph" else None)


def as_stored(level: zv.ZVLevel, expected: Geometry, told: Any) -> Geometry:
    """What the bytes say of a skeleton: 0.9.2 gives a root that is not the first of its chunk the vertex before it.

    Its own reader says the same, and such parents are all that may be more than what was written.
    """
    if told is None or not isinstance(expected, Skeleton):
        return expected
    place = {key: row for row, key in enumerate(keys_of(expected.positions))}
    keys = keys_of(told["positions"])
    parents = expected.parents.copy()
    for child, parent in told["edges"].tolist():
        row = place[keys[child]]
        assert parents[row] in (-1, place[keys[parent]])
        parents[row] = place[keys[parent]]
    assert level.vertex_count in (0, expected.vertex_count)
    return dataclasses.replace(expected, parents=parents, edge_attributes={})


def agree(level: zv.ZVLevel, expected: Geometry, boxes: Any) -> None:
    """Whole, by object and by box."""
    # Of a skeleton, 0.9.2 keeps attributes of the edges that it stores only.
    told = not isinstance(expected, Skeleton)
    # Its writer of chunked skeletons adds the number of a segment to each fragment.
    added = {name for name, info in level.attributes.items() if info.per_fragment}
    assert added <= {"segment_id"}
    names = [name for name in level.attributes if name not in added] if added else None
    same(level.read(attributes=names), expected, attributes=told)
    owners = expected.vertex_objects
    assert owners is not None
    for owner in np.unique(owners)[::-1][:4].tolist():
        part = level.read(object_ids=[owner], attributes=names)
        same(part, expected.within(owners == owner), attributes=told)
    axes = [axis.name for axis in level.axes]
    for box in boxes:
        inside = ClosedBox.from_user(box, axes).mask(expected.positions)
        got = level.read(box, mode="vertices", attributes=names)
        if isinstance(expected, Polylines):
            mine = {(line, key) for line, keys in links_of(expected).items() for key in keys}
            assert {(line, key) for line, (key) in _rows(got)} <= mine
            assert got.vertex_count == int(inside.sum())
        else:
            assert vertices_of(got) == vertices_of(expected.within(inside))
            assert links_of(got, attributes=told) == links_of(expected.within(inside), attributes=told)


def _rows(lines: Polylines) -> list[tuple[int, tuple[float, ...]]]:
    keys = [tuple(row) for row in lines.positions.astype(np.float32).tolist()]
    return list(zip(lines.object_ids.tolist(), keys, strict=True))


@pytest.mark.parametrize("name", PLAIN)
def test_golden_stores_read_as_they_were_written(name: str) -> None:
    case = KIND_CASES[name]
    level, expected = golden(case)
    offset = np.asarray(level._root.metadata.coordinate_offset or 0.0)
    agree(level, expected, [tuple((np.asarray(corner) + offset).tolist() for corner in box) for box in case.boxes()])


@pytest.mark.parametrize("name", LIVE)
def test_larger_stores_read_as_they_were_written(name: str, peer: Peer, tmp_path: Path) -> None:
    case = KIND_CASES[name]
    keywords = case.live()
    peer.call("write", path=str(tmp_path / "store"), writer=case.writer, kwargs=keywords)
    for verb, more in case.steps:
        peer.call(verb, path=str(tmp_path / "store"), **more)
    told = (
        peer.call("read", path=str(tmp_path / "store"), reader=case.reader, kwargs={})
        if case.writer == "graph"
        else None
    )
    level = zv.open(tmp_path / "store")[0]
    agree(level, as_stored(level, value_of(case.kind, case.writer, keywords), told), [])


def test_coarser_levels_hold_the_lines_that_0_9_2_reads() -> None:
    case = KIND_CASES["pyramid"]
    expected = unpack(json.loads((GOLDEN / f"{case.name}.expected.json").read_text(encoding="utf-8")), {})
    for level, told in zip(zv.open(GOLDEN / case.name), expected["levels"], strict=True):
        value = level.read()
        whole = {
            i: np.concatenate(pieces)
            for i, pieces in zip(told["read"]["object_ids"], told["read"]["polylines"], strict=True)
        }
        assert value.line_ids.tolist() == list(whole)
        for line, owner in zip(value.lines(), value.line_ids.tolist(), strict=True):
            np.testing.assert_array_equal(line, whole[owner])


def test_composite_stores_are_refused_by_name() -> None:
    with pytest.raises(StoreError, match="composite"):
        zv.open(GOLDEN / "composite")[0].read()
