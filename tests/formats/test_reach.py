"""What a format is told of where an exported selection lies: all of it does, and no more is said than need be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import short
from zarr_vectors.formats import registry
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.npy import NPZ
from zarr_vectors.formats.registry import export
from zarr_vectors.formats.trx import TRX

FAR = ([-1000.0] * 3, [1000.0] * 3)
WAYS: list[tuple[dict[str, Any], Any]] = [
    ({}, FAR),
    ({"bbox": ([-1, -1, -1], [1, 2, None])}, ([-1, -1, -1], [1, 2, 1000])),
    ({"near": ([0, 0, 0], 3)}, ([-3] * 3, [3] * 3)),
    ({"near": ([999, 0, 0], 3)}, ([996, -3, -3], [1000, 3, 3])),
    ({"within": zv.Polygon([[0, 0], [4, 0], [0, 4]], axes=("x", "y"))}, ([0, 0, -1000], [4, 4, 1000])),
    ({"within": zv.HalfSpaces([[1, 0, 0]], [2])}, ([-1000] * 3, [2, 1000, 1000])),
    ({"within": lambda places: places[:, 0] > 1}, FAR),
    ({"near": ([0, 0, 0], 3), "bbox": ([1, None, None], [None, 1, None])}, ([1, -3, -3], [3, 1, 3])),
    ({"near": ([0, 0, 0], 3), "bbox": ([10, 0, 0], [11, 1, 1])}, ([10, 0, 0], [10, 1, 1])),
]


def told(source: zv.ZVStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: Any, **way: Any) -> Any:
    """The bounds that a format is told, and those of what it gets."""
    found: list[Any] = []

    def write(path: Path, batches: Iterator[Any], context: ExportContext) -> int:
        positions = np.concatenate([batch.positions for batch in batches])
        found.append(context.bounds)
        found.append([positions.min(axis=0), positions.max(axis=0)] if len(positions) else None)
        path.write_bytes(b"written")
        return 1

    monkeypatch.setattr(registry, "format_of", lambda _: replace(fmt, export=write))
    export(source, tmp_path / f"out{fmt.suffixes[0]}", overwrite=True, **way)
    return found


@pytest.mark.parametrize(("way", "reach"), WAYS, ids=short)
def test_points_lie_in_what_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: dict[str, Any], reach: Any
) -> None:
    positions = np.concatenate([np.random.default_rng(0).normal(0, 2, (300, 3)), FAR])
    ids = np.arange(302) % 50
    zv.write(tmp_path / "s", zv.Points(positions, object_ids=ids), layout=zv.Layout(chunk_shape=50), bounds=FAR)
    for mode in ("vertices", "objects"):
        bounds, corners = told(zv.open(tmp_path / "s"), tmp_path, monkeypatch, NPZ, mode=mode, **way)
        if corners is not None:
            assert (np.asarray(bounds[0]) <= corners[0]).all()
            assert (np.asarray(bounds[1]) >= corners[1]).all()
        assert np.allclose(bounds, FAR if mode == "objects" else reach)


@pytest.mark.parametrize(("mode", "near"), [(None, False), ("objects", True), ("vertices", True), ("clip", False)])
def test_lines_lie_in_what_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None, near: bool
) -> None:
    lines = zv.Polylines([[[0.0] * 3, [900.0] * 3], [[2.0] * 3, [3.0] * 3]])
    zv.write(tmp_path / "s", lines, layout=zv.Layout(chunk_shape=50), bounds=FAR)
    way: dict[str, Any] = {"near": ([0, 0, 0], 5)} if near else {"bbox": ([-1] * 3, [4] * 3)}
    bounds, corners = told(zv.open(tmp_path / "s"), tmp_path, monkeypatch, TRX, mode=mode, **way)
    assert (np.asarray(bounds[0]) <= corners[0]).all()
    assert (np.asarray(bounds[1]) >= corners[1]).all()
    assert (np.max(bounds[1]) < 10) == (mode in ("vertices", "clip"))


def test_las_keeps_what_a_small_part_is_precise_to(tmp_path: Path) -> None:
    positions = np.array([[0.123456, 0.0, 0.0], [1.0, 0.5, 0.25], [1e8, 1e8, 1e8]])
    zv.write(tmp_path / "s", zv.Points(positions), layout=zv.Layout(chunk_shape=1e7))
    ways: list[dict[str, Any]] = [{"bbox": ([-1] * 3, [2] * 3)}, {"near": ([0, 0, 0], 2)}]
    for number, way in enumerate(ways):
        export(zv.open(tmp_path / "s"), tmp_path / f"{number}.las", **way)
        assert laspy.read(tmp_path / f"{number}.las").x.min() == pytest.approx(0.123456, abs=1e-8)
