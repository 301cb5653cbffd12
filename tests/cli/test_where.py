"""The command line and exports select by conditions and places, as reads do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import invoke
from zarr_vectors.formats.registry import export, ingest


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A hundred points in a row, in ten objects."""
    n = np.arange(100)
    value = zv.Points(
        np.stack([n, 0 * n], axis=1) * 1.0,
        attributes={"w": n},
        object_ids=n // 10,
        objects=np.arange(10),
        object_attributes={"size": np.arange(10)},
    )
    zv.write(tmp_path / "store", value, layout=zv.Layout(chunk_shape=10))
    return tmp_path / "store"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--where", "w > 89 or size = 0"], 20),
        (["--near", "50,0,3"], 7),
        (["--near", "50,0,3", "--where", "w < 50"], 3),
    ],
)
def test_queries_count_and_convert_what_is_asked(store: Path, tmp_path: Path, options: list[str], count: int) -> None:
    result = invoke("query", str(store), *options)
    assert (result.exit_code, result.stdout.strip()) == (0, str(count))
    for target in ("out.csv", "out.zarrvectors"):
        result = invoke("convert", str(store), str(tmp_path / target), *options)
        assert result.exit_code == 0, result.output
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == count + 1
    copy = zv.open(tmp_path / "out.zarrvectors")[0]
    assert copy.vertex_count == count
    assert set(copy.objects.ids.tolist()) == set(copy.read().object_ids.tolist())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--where", "w >"], "cannot be understood"),
        (["--near", "5"], "is no ball"),
        (["--near", "1,2,-3"], "is no ball"),
    ],
)
def test_what_cannot_be_asked_is_told(store: Path, options: list[str], told: str) -> None:
    result = invoke("query", str(store), *options)
    assert result.exit_code != 0
    assert told in " ".join(result.output.replace("│", " ").split())


def test_exports_take_all_selections(store: Path, tmp_path: Path) -> None:
    level = zv.open(store)[0]
    inside = zv.Polygon([[20, -1], [60, -1], [60, 1], [20, 1]])
    assert export(level, tmp_path / "part.csv", where=zv.col("w") >= 40, within=inside, near=([50, 0], 20)) == 21
    ingest(tmp_path / "part.csv", tmp_path / "again")
    assert zv.open(tmp_path / "again")[0].vertex_count == 21
