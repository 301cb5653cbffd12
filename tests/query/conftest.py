"""Fixtures: stores of every layout, a fresh copy for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.query.damage import LAYOUTS, POINTS


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    for name, layout in LAYOUTS.items():
        zv.write(folder / name, POINTS, layout=layout)
    return {name: folder / name for name in LAYOUTS}


@pytest.fixture(params=list(LAYOUTS))
def place(request: pytest.FixtureRequest, originals: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals[request.param], tmp_path / "store"))


@pytest.fixture
def unsharded(originals: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals["unsharded"], tmp_path / "store"))
