"""``zarr-vectors rechunk``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import fails, misused, zvrun
from zarr_vectors.core.store import add_resolution_level, open_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    ids = np.repeat([1, 2, 3], 10)
    value = zv.Points(
        np.random.default_rng(1).uniform(0, 30, (30, 2)),
        object_ids=ids,
        groups={0: [1], 1: [1, 2]},
        attributes={"gene": list("abc") * 10},
    )
    zv.write(tmp_path / "store", value, layout=zv.Layout(chunk_shape=10))
    return tmp_path / "store"


def test_a_store_is_cut_by_group_in_place(store: Path) -> None:
    out = zvrun("rechunk", store, "--by", "group").out.splitlines()
    assert out[0] == f"{store} -> {store}"
    assert out[1].startswith("30 vertices in 3 bins along group, ")
    assert out[2:] == [
        "1 object of several groups stored with the first",
        "1 object without group or value stored in a bin at the end",
    ]
    assert {len(key) for key in zv.open(store)[0].chunk_keys} == {3}


def test_another_store_is_written(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "other"
    zvrun("rechunk", store, target, "--by", "attribute:gene", "--chunk-shape", "15", "--name", "transcript")
    level = zv.open(target)[0]
    assert list(level.chunk_shape) == [15, 15]
    assert level.state.metadata.chunk_dims == ("transcript", "x", "y")
    assert level.read(where={"gene": "b"}).vertex_count == 10
    assert {len(key) for key in zv.open(store)[0].chunk_keys} == {2}
    assert zvrun("rechunk", target, "--by", "object_id", "--bins", "0,2", "--quiet").out == ""
    assert {key[0] for key in zv.open(target)[0].chunk_keys} == {0, 1}
    zvrun("rechunk", target)
    assert {len(key) for key in zv.open(target)[0].chunk_keys} == {2}


def test_coarser_levels_are_left_out_where_told(store: Path, tmp_path: Path) -> None:
    add_resolution_level(open_store(store, mode="r+"), 1, 2)
    zvrun("rechunk", store, tmp_path / "kept", "--by", "object_id")
    assert len(zv.open(tmp_path / "kept")) == 2
    out = zvrun("rechunk", store, "--by", "object_id", "--coarser", "drop").out.splitlines()
    assert out[2:] == ["coarser levels left out: 1"]
    assert len(zv.open(store)) == 1
    assert "--coarser: 'some' is none of keep, spatial, drop" in misused(
        "rechunk", store, "--by", "object_id", "--coarser", "some"
    )


def test_what_is_wrong_is_said(store: Path) -> None:
    assert "by is not known" in misused("rechunk", store, "--by", "colour")
    assert "bins are for" in misused("rechunk", store, "--by", "group", "--bins", "1,2")
    assert "no object or vertex attribute" in fails("rechunk", store, "--by", "attribute:size")
    assert "--bins" in misused("rechunk", store, "--by", "object_id", "--bins", "a")
    assert "nothing would change" in misused("rechunk", store)
    assert "no Zarr Vectors store" in fails("rechunk", store / "none", "--by", "group")
