"""Stores of formats that are not read: who has one is told which it is, and the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from tests.query.damage import LAYOUTS, POINTS, edit
from zarr_vectors.core.store import open_store
from zarr_vectors.exceptions import FormatError, ZVError


def old_store(place: Path, version: Any, *, links: bool = True, declared: bool = False) -> Path:
    """A store as format 0.7 and 0.8 lay it out: a group of small arrays for each kind of cell, links of their own."""
    zv.write(place, POINTS, layout=LAYOUTS["unsharded"])
    edit(place / "zarr.json", lambda root: root["attributes"]["zarr_vectors"].update(zv_version=version))
    if not declared:
        edit(place / "0" / "zarr.json", lambda level: level["attributes"].pop("zarr_vectors_arrays"))
    level = zarr.open_group(place / "0", mode="r+")
    for name in ("vertices", "vertex_fragments"):
        cells = level.create_group(name, overwrite=True)
        for key in ("0.0.0", "0.0.1"):
            cells.create_array(key, data=np.arange(12.0).reshape(4, 3))
    if links:
        level.create_array("cross_chunk_links", data=np.arange(8).reshape(1, 8))
    return place


@pytest.mark.parametrize("version", ["0.7.0", "0.7.3", "0.8.0", "0.8.1", "0.1"])
def test_old_versions_are_named_with_the_way_out(version: str, tmp_path: Path) -> None:
    place = old_store(tmp_path / "old", version)
    for opened in (zv.open, open_store):
        with pytest.raises(FormatError, match=f"zv_version '{version}'") as caught:
            opened(place)
        assert "release that wrote it" in str(caught.value)
        assert "cross_chunk_links" in str(caught.value)


@pytest.mark.parametrize("version", ["0.10.0", "1.0.0", "99999999999999999999.0", "2.0"])
def test_newer_versions_are_named_with_the_way_out(version: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="zv_version") as caught:
        zv.open(old_store(tmp_path / "new", version))
    assert version in str(caught.value)
    assert ("newer release" in str(caught.value)) == (len(version) < 10)


@pytest.mark.parametrize("version", [None, "", "abc", 0.9, [0, 9], {"a": 1}, "x" * 100_000])
def test_what_is_no_version_is_shown(version: Any, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="zv_version") as caught:
        zv.open(old_store(tmp_path / "odd", version))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("declared", [False, True])
def test_an_old_layout_is_recognised_whatever_its_stamp_says(declared: bool, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="before format 0") as caught:
        zv.open(old_store(tmp_path / "relabelled", "0.9.2", links=False, declared=declared))
    assert "release that wrote it" in str(caught.value)


def test_old_links_are_not_left_out_silently(tmp_path: Path) -> None:
    place = tmp_path / "links"
    zv.write(place, POINTS, layout=LAYOUTS["unsharded"])
    edit(place / "0" / "zarr.json", lambda level: level["attributes"].pop("zarr_vectors_arrays"))
    zv.open(place)
    zarr.open_group(place / "0", mode="r+").create_array("cross_chunk_links", data=np.arange(8).reshape(1, 8))
    with pytest.raises(FormatError, match="links as before format 0"):
        zv.open(place)


def test_a_version_beside_the_block_is_found(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "older", mode="w", attributes={"zv_version": "0.7.0", "chunk_shape": [1, 1, 1]})
    with pytest.raises(FormatError, match=r"0\.7\.0"):
        zv.open(tmp_path / "older")


def test_nothing_is_written_to_a_store_that_is_not_read(tmp_path: Path) -> None:
    place = old_store(tmp_path / "old", "0.8.0")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(ZVError):
        zv.write(place, POINTS, mode="append")
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert json.loads((place / "zarr.json").read_text())["attributes"]["zarr_vectors"]["zv_version"] == "0.8.0"
