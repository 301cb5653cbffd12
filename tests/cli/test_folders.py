"""``convert`` with folders. What goes into a store or comes out of one is taken from the formats as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import invoke
from tests.formats.trees import Level
from zarr_vectors.api.described import ObjectTable
from zarr_vectors.cli import convert
from zarr_vectors.formats import registry
from zarr_vectors.geometry import Geometry, Skeleton

ONE = "1 1 0.5 0.5 0.5 1 -1\n2 3 1.5 1.5 1.5 1 1\n"


def run(*arguments: object) -> Any:
    return invoke("convert", *arguments)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Geometry]:
    """What an ingest hands over to be written."""
    taken: list[Geometry] = []

    def write(_: object, values: Iterator[Geometry], **__: Any) -> None:
        taken.extend(values)

    monkeypatch.setattr(registry, "write", write)
    monkeypatch.setattr(convert, "_tell_store", lambda *_: None)
    return taken


def test_a_folder_goes_in(tmp_path: Path, written: list[Geometry]) -> None:
    (tmp_path / "f").mkdir()
    for name in ("3", "5"):
        (tmp_path / "f" / f"{name}.swc").write_text(ONE)
    result = run(tmp_path / "f", tmp_path / "store", "--object-ids", "5")
    assert result.exit_code == 0, result.output
    assert [value.vertex_count for value in written] == [0, 2]


@pytest.mark.parametrize(
    ("files", "fact"),
    [({"a.swc": "1 1\n"}, "wrong number of columns"), ({"a.swc": ONE, "b.las": ""}, "files of one format")],
)
def test_a_folder_that_cannot_be_read(files: dict[str, str], fact: str, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for name, text in files.items():
        (tmp_path / "f" / name).write_text(text)
    result = run(tmp_path / "f", tmp_path / "store")
    assert result.exit_code == 1
    assert fact in " ".join(result.output.split())
    assert not (tmp_path / "store").exists()


def test_stores_are_stores_whatever_lies_in_them(tmp_path: Path) -> None:
    zv.write(tmp_path / "a", zv.Points(np.zeros((2, 3)), attributes={"w": [1, 2]}))
    (tmp_path / "a" / "notes.csv").write_text("x,y\n1,2\n")
    result = run(tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert zv.open(tmp_path / "b")[0].vertex_count == 2


def test_a_folder_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zv.write(tmp_path / "store", zv.Points(np.zeros((2, 3)), object_ids=[1, 2]))
    value = Skeleton(np.zeros((2, 3)), [-1, -1], object_ids=[1, 2])
    level = Level(value, table=ObjectTable(np.array([1, 2]), {}, {}, {}))

    def export(_: object, *arguments: Any, **options: Any) -> int:
        return registry.export(level.level(), *arguments, **options)

    monkeypatch.setattr(convert, "export", export)
    out = tmp_path / "out"
    result = run(tmp_path / "store", out, "--format", "swc")
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in out.iterdir()) == ["1.swc", "2.swc"]
    assert "2 vertices" in result.output
    assert run(tmp_path / "store", out, "--format", "swc").exit_code != 0
    assert run(tmp_path / "store", out, "--format", "swc", "--replace").exit_code == 0


@pytest.mark.parametrize(
    ("source", "target", "name", "fact"),
    [
        ("store", "out", "docx", "not known"),
        ("store", "out.las", "swc", "another format"),
        ("store", "memory://out", "swc", "local folders"),
        ("a.swc", "out", "swc", "must be a store"),
    ],
)
def test_formats_that_make_no_sense(source: str, target: str, name: str, fact: str, tmp_path: Path) -> None:
    zv.write(tmp_path / "store", zv.Points(np.zeros((2, 3))))
    (tmp_path / "a.swc").write_text(ONE)
    place = target if "://" in target else tmp_path / target
    result = run(tmp_path / source, place, "--format", name)
    assert result.exit_code == 2
    assert fact in " ".join(result.output.replace("│", " ").split())
