"""Attributes of links of which other writers store a copy in every chunk that they touch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.storage.stores import GOLDEN
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.geometry import Graph, Mesh

NAMES = ["graph_duplicate", "graph_directed_duplicate", "faces_duplicate"]


@pytest.fixture(params=NAMES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "kinds" / str(request.param), tmp_path / "store"))


def cells(place: Path, name: str) -> dict[str, bytes]:
    """Payload of every cell of an attribute of links, copies included."""
    group = zv.open_store(place)[f"0/link_attributes/{name}/0"]
    return {
        f"{array} {key}": group.read_bytes(array, key) for array in group.children() for key in group.list_chunks(array)
    }


def test_every_copy_gets_the_value_of_its_link(place: Path) -> None:
    before, level = cells(place, "weight"), zv.open(place, "r+")[0]
    value = level.read()
    assert isinstance(value, (Graph, Mesh))
    weight = np.asarray(value.link_attributes["weight"])
    assert len(set(weight.tolist())) == len(weight)
    records = sum(len(data) for data in before.values()) // weight.itemsize
    assert records > len(weight)
    with level.writer(overwrite=True) as writer:
        writer.add_face_attribute_sync("weight", weight)
        writer.add_face_attribute_sync("again", weight)
    assert cells(place, "weight") == before
    assert list(cells(place, "again").values()) == list(before.values())
    assert (np.asarray(zv.open(place)[0].read().link_attributes["again"]) == weight).all()


def test_copies_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    place = Path(shutil.copytree(GOLDEN / "kinds" / "graph_duplicate", tmp_path / "store"))
    links = zv.open_store(place, "r+")["0/links/0"]
    (key,) = links.list_chunks("0.0.0")[:1]
    rows = np.frombuffer(links.read_bytes("0.0.0", key), dtype="<i8").reshape(-1, 2)
    twice = np.concatenate([rows, rows[:1]])
    links.write_bytes("0.0.0", key, twice.tobytes())
    level = zv.open(place, "r+")[0]
    value = level.read(link_attributes=[])
    with pytest.raises(ConventionError, match="stored in this way"), level.writer() as writer:
        writer.add_face_attribute_sync("new", np.zeros(len(value.links)))
