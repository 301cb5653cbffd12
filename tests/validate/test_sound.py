"""Stores of every writer are sound."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.storage.stores import GOLDEN, open_memory
from tests.types.clouds import memory
from zarr_vectors.exceptions import InputError, ValidationError

_RANDOM = np.random.default_rng(8)
_XYZ = _RANDOM.uniform(-20, 20, (160, 3)).astype("f4")
_IDS = np.arange(160) % 11 * 3 - 4
_WALKS = [np.cumsum(_RANDOM.normal(size=(length, 3)), 0).astype("f4") for length in _RANDOM.integers(1, 12, 30)]
_ENDS = _RANDOM.permutation(160)[:60]
ATTRIBUTES: dict[str, Any] = {"v": np.arange(160), "t": ["a", "b", None, "c"] * 40, "rgb": np.zeros((160, 3), "u1")}


def _skeleton() -> zv.Skeleton:
    parents = np.array([-1, *(int(_RANDOM.integers(max(0, row - 4), row)) for row in range(1, 160))])
    return zv.Skeleton(_XYZ, parents, object_ids=[7] * 160, attributes={"r": np.ones(160)})


def _walks(**more: Any) -> zv.Polylines:
    return zv.Polylines(_WALKS, attributes={"s": np.arange(sum(map(len, _WALKS)))}, **more)


VALUES: dict[str, Callable[[], Any]] = {
    "points": lambda: zv.Points(_XYZ, attributes=ATTRIBUTES),
    "objects": lambda: zv.Points(
        _XYZ,
        attributes=ATTRIBUTES,
        object_ids=_IDS,
        object_attributes={"n": np.arange(11.0)},
        groups={0: [-1, 2], 2: [-4]},
        group_attributes={"g": [1, 2, 3]},
    ),
    "flat points": lambda: zv.Points(_XYZ[:, :1].astype("f8")),
    "polylines": _walks,
    "streamlines": lambda: _walks(kind="streamline", ids=np.arange(30) * 5),
    "lines": lambda: zv.Lines(_XYZ.reshape(80, 2, 3)),
    "graph": lambda: zv.Graph(_XYZ, _ENDS.reshape(-1, 2), edge_attributes={"w": np.arange(30)}, object_ids=_IDS),
    "directed graph": lambda: zv.Graph(_XYZ, _ENDS.reshape(-1, 2), directed=True),
    "skeleton": _skeleton,
    "mesh": lambda: zv.Mesh(_XYZ, _ENDS.reshape(-1, 3), face_attributes={"f": np.arange(20)}),
    "quads": lambda: zv.Mesh(_XYZ, _ENDS.reshape(-1, 4)),
}
GZIP = [{"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}]
LAYOUTS = {
    "default": zv.Layout(),
    "sharded": zv.Layout(chunk_shape=12, shard_shape=2, compressor="none", keep_order=True),
    "flat": zv.Layout(chunk_shape=12, shard_shape=None),
    "binned": zv.Layout(chunk_shape=12, bin_shape=6),
}
MANY = [path.parent for part in ("*", "kinds/*", "draco/*") for path in sorted(GOLDEN.glob(f"{part}/zarr.json"))]


def problems(store: Any, level: int = 5) -> list[str]:
    return [f"{problem.severity} {problem}" for problem in zv.validate(store, level).problems]


@pytest.mark.parametrize("store", MANY, ids=lambda path: path.name)
def test_golden_stores_have_no_errors(store: Path) -> None:
    # What 0.9.2 does not keep: counts, widths, bounds of skeletons written chunk by chunk, ranges with gaps, links of
    # lines in chunks that hold whole ones.
    known = {"vertex_count", "row_shape", "position_outside_bounds", "group_member", "line_links", "vertices_lost"}
    result = zv.validate(store)
    assert result.errors == ()
    assert set(result.counts) <= known | ({"no_vertices"} if store.name == "empty" else set())


@pytest.mark.parametrize(("name", "layout"), [*itertools.product(VALUES, LAYOUTS)])
def test_what_is_written_is_sound(name: str, layout: str) -> None:
    place, value = memory(), VALUES[name]()
    zv.write(place, value, layout=LAYOUTS[layout])
    assert problems(place) == []


def test_chains_that_only_zarr_knows_are_sound() -> None:
    place = memory()
    zv.write(place, VALUES["objects"](), layout=zv.Layout(chunk_shape=16, shard_shape=2, compressor=GZIP))
    assert problems(place) == []


@pytest.mark.parametrize("name", VALUES)
def test_what_is_changed_stays_sound(name: str) -> None:
    place, value = memory(), VALUES[name]()
    zv.write(place, value, layout=zv.Layout(chunk_shape=12, keep_order=True))
    owned = (getattr(value, "object_ids", None), getattr(value, "ids", None))
    if all(ids is None for ids in owned):
        zv.write(place, value, mode="append")
        assert problems(place) == []
    with zv.open(place, "r+")[0].writer() as writer:
        writer.add_attribute_sync("late", np.arange(zv.open(place)[0].vertex_count))
    assert problems(place) == []
    zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(24,) * len(zv.open(place).axes)))
    assert problems(place) == []
    if zv.open(place)[0].object_count:
        zv.rechunk(place, zv.RechunkSpec("object_id"))
        assert problems(place) == []


@pytest.mark.parametrize("name", ["points", "objects", "skeleton", "mesh", "polylines"])
def test_draco_stores_are_sound(name: str) -> None:
    place = memory()
    zv.write(place, VALUES[name](), layout=zv.Layout(chunk_shape=12, vertex_encoding="draco"))
    assert problems(place) == []


def test_every_way_to_name_a_store_leads_to_it(tmp_path: Path) -> None:
    zv.write(tmp_path, VALUES["points"]())
    with zv.open(tmp_path) as store:
        ways = [tmp_path, str(tmp_path), f"file://{tmp_path}", store, zv.open_store(tmp_path)]
        assert [zv.validate(way).ok for way in ways] == [True] * len(ways)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="no such level"):
        zv.validate("memory://x", 6)
    with pytest.raises(InputError):
        zv.validate(object())


def test_check_raises_with_everything() -> None:
    result = zv.validate(open_memory().backend)
    assert [problem.kind for problem in result.errors] == ["store_missing"]
    with pytest.raises(ValidationError, match="does not pass validation at level 5"):
        result.check()


@pytest.mark.parametrize(
    "first", ["import zarr_vectors.validate", "from zarr_vectors.validate import validate", "pass"]
)
def test_the_package_and_the_function_are_one(first: str) -> None:
    code = f"""if True:
        {first}
        import importlib, inspect, sys, zarr_vectors as zv
        assert inspect.isfunction(zv.validate)
        assert zv.validate.validate is zv.validate
        assert "zarr_vectors.validate.run" not in sys.modules
        del sys.modules["zarr_vectors.validate"]
        importlib.import_module("zarr_vectors.validate")
        assert not zv.validate("memory://nothing").ok
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("first", ["import zarr_vectors as zv; zv.validate, zv.rechunk", "import zarr_vectors.rechunk"])
def test_modules_of_the_packages_are_found_by_every_import(first: str) -> None:
    code = f"""if True:
        {first}
        import zarr_vectors.validate.rules as rules
        import zarr_vectors.rechunk.spec as spec
        import zarr_vectors.validate.run
        from zarr_vectors.validate import nodes, validate
        from zarr_vectors.rechunk import rechunk, run
        import zarr_vectors as zv
        assert "cell_missing" in rules.RULES and spec.RechunkSpec is zv.RechunkSpec
        assert zv.validate.run.validate_store and zv.validate.nodes is nodes and zv.rechunk.run is run
        assert zv.validate is validate is zv.validate.validate and zv.rechunk is rechunk is rechunk.rechunk
        assert not zv.validate("memory://nothing").ok
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_attribute_may_have_the_name_of_the_folder_of_chunks(tmp_path: Path) -> None:
    zv.write(tmp_path / "a.zarrvectors", zv.Points(np.zeros((3, 2)), {"c": np.arange(3)}))
    assert zv.validate(tmp_path / "a.zarrvectors", level=5).problems == ()
