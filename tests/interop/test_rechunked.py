"""Stores in other chunks: 0.9.2 validates and reads what we make of ours and of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_cases import KIND_CASES
from tests.interop.kind_compare import value_of
from tests.interop.peer import Peer
from tests.interop.test_kinds_ours_to_peer import ours, told
from zarr_vectors.geometry import Geometry

CASES = ["lines", "polylines", "streamlines", "graph", "graph_directed", "skeleton", "mesh", "quads"]
SPECS = {
    "object_id": zv.RechunkSpec("object_id"),
    "bins": zv.RechunkSpec("object_id", bins=[0, 5], spatial_chunk_shape=(20, 20, 20)),
    "spatial": zv.RechunkSpec("spatial", spatial_chunk_shape=(6, 30, 15)),
}


def check(peer: Peer, path: Path, value: Geometry) -> None:
    verdict = peer.validate(path)
    assert verdict["errors"] == []
    assert told(peer, path, value) == ours(value)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", [name for name in CASES if name in KIND_CASES])
def test_0_9_2_reads_ours_in_other_chunks(name: str, spec: str, peer: Peer, tmp_path: Path) -> None:
    case = KIND_CASES[name]
    value = value_of(case.kind, case.writer, case.golden())
    zv.write(tmp_path / "store", value, layout=zv.Layout(chunk_shape=10))
    zv.rechunk(tmp_path / "store", SPECS[spec])
    check(peer, tmp_path / "store", value)


@pytest.mark.parametrize("name", ["polylines", "graph", "skeleton", "mesh"])
def test_0_9_2_reads_its_own_in_other_chunks(name: str, peer: Peer, tmp_path: Path) -> None:
    case = KIND_CASES[name]
    keywords = case.golden()
    peer.call("write", path=str(tmp_path / "theirs"), writer=case.writer, kwargs=keywords)
    value = value_of(case.kind, case.writer, keywords)
    zv.rechunk(tmp_path / "theirs", zv.RechunkSpec("object_id", bins=[0, 3]), tmp_path / "ours")
    check(peer, tmp_path / "ours", value)
    zv.rechunk(tmp_path / "ours", zv.RechunkSpec("spatial"))
    check(peer, tmp_path / "ours", value)


def cloud() -> zv.Points:
    rng = np.random.default_rng(3)
    ids = np.arange(400) % 8
    return zv.Points(
        rng.uniform(0, 50, (400, 3)).astype("f4"),
        object_ids=ids,
        attributes={"n": np.arange(400, dtype="f4"), "gene": [["a", "b", "c"][n % 3] for n in range(400)]},
        objects=np.arange(8),
        object_attributes={"label": np.array([4, 4, 2, 2, 9, 9, 9, 4])},
        groups={0: [1, 2], 1: [2, 3, 4], 3: [7]},
    )


@pytest.mark.parametrize("by", ["group", "object_id", "attribute:label", "attribute:gene", "spatial"])
def test_0_9_2_reads_points_in_other_chunks(by: str, peer: Peer, tmp_path: Path) -> None:
    value = cloud()
    zv.write(tmp_path / "store", value, layout=zv.Layout(chunk_shape=25))
    zv.rechunk(tmp_path / "store", zv.RechunkSpec(by))
    assert peer.validate(tmp_path / "store")["errors"] == []
    got = peer.read_points(tmp_path / "store")
    assert sorted(map(tuple, got["positions"].tolist())) == sorted(map(tuple, value.positions.tolist()))
    for question, mask in {
        "object_ids": value.object_ids == 2,
        "group_ids": np.isin(np.asarray(value.object_ids), [1, 2]),
    }.items():
        got = peer.read_points(tmp_path / "store", **{question: [2] if question == "object_ids" else [0]})
        assert sorted(map(tuple, got["positions"].tolist())) == sorted(map(tuple, value.positions[mask].tolist()))
    if by.startswith("attribute"):
        name = by.partition(":")[2]
        column: Any = (
            value.object_attributes["label"][value.object_ids] if name == "label" else value.attributes["gene"]
        )
        for wanted in [9, 4] if name == "label" else ["a", "c"]:
            got = peer.read_points(tmp_path / "store", attribute_filter={name: wanted})
            expected = value.positions[np.asarray(column == wanted)]
            assert sorted(map(tuple, got["positions"].tolist())) == sorted(map(tuple, expected.tolist()))
            mine = zv.open(tmp_path / "store")[0].read(where={name: wanted})
            assert sorted(map(tuple, mine.positions.tolist())) == sorted(map(tuple, expected.tolist()))


def test_what_0_9_2_chunks_by_an_attribute_is_read_by_it_and_can_be_chunked_otherwise(
    peer: Peer, tmp_path: Path
) -> None:
    value = cloud()
    genes = np.array(np.asarray(value.attributes["gene"]).tolist())
    peer.write_points(
        tmp_path / "theirs",
        {
            "positions": value.positions,
            "chunk_shape": (25, 25, 25),
            "object_ids": value.object_ids,
            "vertex_attributes": {"n": value.attributes["n"], "gene": genes},
            "chunk_by_attribute": "gene",
        },
    )
    level = zv.open(tmp_path / "theirs")[0]
    assert list(level.attributes) == ["n", "gene"]
    assert level.attributes["gene"].categories == ("a", "b", "c")
    assert sorted(level.read(where={"gene": "b"}).attributes["n"]) == np.flatnonzero(genes == "b").tolist()
    for by in ("object_id", "spatial"):
        zv.rechunk(tmp_path / "theirs", zv.RechunkSpec(by), tmp_path / by)
        got = zv.open(tmp_path / by)[0].read()
        order = np.argsort(got.attributes["n"])
        assert np.asarray(got.attributes["gene"])[order].tolist() == genes.tolist()
        assert got.object_ids[order].tolist() == np.asarray(value.object_ids).tolist()
        assert peer.validate(tmp_path / by)["errors"] == []
