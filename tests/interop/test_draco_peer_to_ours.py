"""Meshes that 0.9.2 writes in Draco encoding: read where the bytes allow it, else refused with what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.draco_cases import DRACO_CASES, READABLE
from tests.interop.peer_server import unpack
from zarr_vectors.exceptions import CorruptionError, FormatError
from zarr_vectors.typing import AnyArray

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "draco"
UNORDERED = {
    "objects_in_chunk": "several objects in chunk 0.0.0",
    "crossing": "faces that are stored apart",
    "attributes": r"vertex attributes \['row'\].*attributes=\[\]",
}


def stored(name: str) -> dict[str, Any]:
    told: dict[str, Any] = unpack(json.loads((GOLDEN / f"{name}.expected.json").read_text(encoding="utf-8")), {})
    keywords: dict[str, Any] = told["input"]
    return keywords


def corners(positions: AnyArray, faces: AnyArray, model: AnyArray) -> list[tuple[int, ...]]:
    """Each face as the nearest vertices of a model, beginning with the least, sorted."""
    nearest = np.abs(positions[:, None] - model[None]).max(axis=2).argmin(axis=1)
    turned = [np.roll(face, -int(np.argmin(face))).tolist() for face in nearest[faces]]
    return sorted(tuple(face) for face in turned)


def test_every_case_has_its_store() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()) == sorted(DRACO_CASES)
    assert {*READABLE, *UNORDERED, "lost_vertex"} == set(DRACO_CASES)


@pytest.mark.parametrize("name", READABLE)
def test_meshes_inside_their_chunks_read_as_they_were_written(name: str) -> None:
    told = stored(name)
    level = zv.open(GOLDEN / name)[0]
    mesh = level.read()
    error = 5 / 2 ** (told.get("draco_quantization_bits", 11) + 1)
    model = told["vertices"]
    assert mesh.vertex_count == len(model)
    assert np.abs(mesh.positions[:, None] - model[None]).max(axis=2).min(axis=1).max() <= error
    assert corners(mesh.positions, mesh.faces, model) == corners(model, told["faces"], model)
    assert level.vertex_encoding == "draco"
    assert level.max_error is None


@pytest.mark.parametrize("name", READABLE)
def test_boxes_and_objects_are_parts_of_the_whole(name: str) -> None:
    level = zv.open(GOLDEN / name)[0]
    whole = level.read()
    for low, high in (([0, 0, 0], [2.3, 2.3, 9]), ([21, 21, 0], [23, 24, 30]), ([3, 3, 3], [20, 20, 22.5])):
        inside = ((whole.positions >= low) & (whole.positions <= high)).all(axis=1)
        part = level.read((low, high), mode="vertices")
        assert sorted(part.positions.tolist()) == sorted(whole.positions[inside].tolist())
        assert part.face_count == int(inside[whole.faces].all(axis=1).sum())
    for owner in np.unique(whole.object_ids).tolist():
        assert level.read(object_ids=[owner]).vertex_count == int((whole.object_ids == owner).sum())


def test_objects_of_chunks_of_their_own_are_told_apart() -> None:
    mesh = zv.open(GOLDEN / "object_per_chunk")[0].read()
    assert (mesh.object_ids == np.where(mesh.positions[:, 0] > 10, 8, 3)).all()


@pytest.mark.parametrize("name", UNORDERED)
@pytest.mark.parametrize("strict", [True, False])
def test_what_counts_on_the_order_of_rows_is_refused(name: str, strict: bool) -> None:
    with pytest.raises(FormatError, match=UNORDERED[name]):
        zv.open(GOLDEN / name)[0].read(strict=strict)


def test_attributes_can_be_left_out() -> None:
    assert zv.open(GOLDEN / "attributes")[0].read(attributes=[]).face_count == 64


def test_vertices_that_the_encoder_dropped_are_told() -> None:
    level = zv.open(GOLDEN / "lost_vertex")[0]
    with pytest.raises(CorruptionError, match="3 vertices of the 25 that were encoded"):
        level.read()
    rest = level.read(strict=False)
    assert rest.face_count == 1
    assert rest.vertex_count == 28
    assert "0.0.0" in rest.errors[0]


def test_nothing_is_appended_to_rows_without_order(tmp_path: Path) -> None:
    source = GOLDEN / "one_object"
    target = tmp_path / "store"
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    mesh = zv.Mesh(np.eye(3, dtype="f4"), [[0, 1, 2]], object_ids=[9, 9, 9])
    with pytest.raises(FormatError, match="nothing can be appended"):
        zv.write(target, mesh, mode="append", out_of_bounds="expand")
