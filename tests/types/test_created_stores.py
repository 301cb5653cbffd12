"""Stores made empty by ``create_store``: what they refuse, and what they tell those who write into them later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from zarr_vectors.core.parametric import BUILTIN_TYPES
from zarr_vectors.core.store import read_parametric_types, read_root_metadata, set_bounds, write_parametric_types
from zarr_vectors.exceptions import ConventionError, InputError, MetadataError, OptionError, StoreExistsError, ZVError
from zarr_vectors.geometry import Geometry
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import write_lines
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import write_polylines

BOX: dict[str, Any] = {"bounds": ([0, 0, 0], [10, 10, 10]), "chunk_shape": (5, 5, 5)}
CHUNK = BOX["chunk_shape"]
FOUR = np.array([[1, 1, 1], [2, 2, 2], [8, 8, 8], [9, 9, 9]], dtype="f4")


def values() -> dict[str, Geometry]:
    """Four vertices as each kind has them."""
    return {
        "point_cloud": zv.Points(FOUR),
        "owned points": zv.Points(FOUR, object_ids=[0, 0, 1, 1]),
        "line": zv.Lines(FOUR.reshape(2, 2, 3)),
        "polyline": zv.Polylines(FOUR, [0, 4]),
        "graph": zv.Graph(FOUR, [[0, 1], [1, 2]]),
        "skeleton": zv.Skeleton(FOUR, [-1, 0, 1, 1]),
        "mesh": zv.Mesh(FOUR, [[0, 1, 2]]),
    }


KINDS = list(values())


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_store_was_told_outlives_its_first_rows(kind: str) -> None:
    """Whatever is said at creation, and whatever others have put beside the level, is there after the first write."""
    store = MemoryStore()
    root = zv.create_store(
        store,
        **BOX,
        axes=[zv.Axis("x", "micrometer"), "y", "z"],
        crs={"a": 1},
        cross_level_depth=2,
        cross_level_storage="implicit",
        reduction_factor=4,
        format_capabilities=["fragment_index"],
        object_index_convention="identity",
        cross_chunk_strategy="explicit_links",
        name="mine",
    )
    root.attrs["user_metadata"] = {"mine": 1}
    root["0"].attrs["mine"] = 2
    write_parametric_types(root, BUILTIN_TYPES)
    zv.write(store, values()[kind], mode="append")
    metadata = read_root_metadata(zv.open_store(store))
    assert (metadata.cross_level_depth, metadata.cross_level_storage, metadata.reduction_factor) == (2, "implicit", 4)
    assert metadata.format_capabilities == ("fragment_index",)
    assert metadata.object_index_convention == "identity"
    assert metadata.cross_chunk_strategy == "explicit_links"
    assert metadata.crs == {"a": 1}
    assert metadata.links_convention is not None
    root = zv.open_store(store)
    assert (root.attrs["user_metadata"], root["0"].attrs["mine"]) == ({"mine": 1}, 2)
    assert root.attrs["ome"]["name"] == "mine"
    assert [entry.name for entry in read_parametric_types(root)] == ["plane", "line", "sphere"]
    level = zv.open(store)[0]
    assert level.axes[0].unit == "micrometer"
    assert level.vertex_count == len(level.read().positions) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_vertex_dtype_is_that_of_later_rows(kind: str) -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX, vertex_dtype="float64")
    zv.write(store, values()[kind], mode="append")
    assert zv.open(store)[0].position_dtype == np.float64
    narrow = MemoryStore()
    zv.create_store(narrow, **BOX)
    wide = values()[kind]
    exact = replace(wide, positions=wide.positions.astype("f8"))
    zv.write(narrow, exact, mode="append")
    assert zv.open(narrow)[0].read().positions.dtype == np.float32
    rounded = replace(wide, positions=wide.positions.astype("f8") + 0.1)
    again = MemoryStore()
    zv.create_store(again, **BOX)
    with pytest.raises(InputError, match="cannot hold these exactly"):
        zv.write(again, rounded, mode="append")


@pytest.mark.parametrize("kind", KINDS)
def test_the_vertex_encoding_is_that_of_later_rows(kind: str) -> None:
    pytest.importorskip("DracoPy")
    store = MemoryStore()
    zv.create_store(store, **BOX, vertex_encoding="draco")
    zv.write(store, values()[kind], mode="append")
    level = zv.open(store)[0]
    assert level.vertex_encoding == "draco"
    assert level.max_error is not None
    got = level.read().positions
    assert np.abs(np.sort(got, axis=0) - FOUR).max() <= level.max_error


@pytest.mark.parametrize("strategy", ["boundary_deduplication", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_strategy_that_no_writer_has_is_refused_at_the_first_write(kind: str, strategy: str) -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX, cross_chunk_strategy=strategy)
    assert read_root_metadata(zv.open_store(store)).cross_chunk_strategy == strategy
    assert zv.open(store)[0].read().vertex_count == 0
    with pytest.raises(ConventionError, match="no writer implements"):
        zv.write(store, values()[kind], mode="append")
    assert zv.open(store)[0].vertex_count == 0


@pytest.mark.parametrize("convention", ["explicit", "implicit_sequential", "implicit_sequential_with_branches"])
@pytest.mark.parametrize("kind", KINDS)
def test_links_follow_the_convention_or_are_refused(kind: str, convention: str) -> None:
    own = {
        "line": "implicit_sequential",
        "polyline": "implicit_sequential",
        "graph": "explicit",
        "mesh": "explicit",
        "skeleton": "implicit_sequential_with_branches",
    }
    store = MemoryStore()
    zv.create_store(store, **BOX, links_convention=convention)
    if own.get(kind, convention) == convention or (kind, convention) == ("skeleton", "explicit"):
        zv.write(store, values()[kind], mode="append")
        assert read_root_metadata(zv.open_store(store)).links_convention == convention
        assert zv.open(store)[0].read().vertex_count == 4
        return
    with pytest.raises(ConventionError, match="another convention"):
        zv.write(store, values()[kind], mode="append")


def test_an_explicit_skeleton_store_says_every_edge() -> None:
    """Edges of the first rows, of appended ones, and of what is left after shrinking: none follows from the order."""
    store = MemoryStore()
    zv.create_store(store, **BOX, links_convention="explicit")
    chain = np.arange(40)[:, None] * np.full(3, 0.25)
    for first in (0, 1):
        skeleton = zv.Skeleton(chain.astype("f4"), np.arange(40) - 1, object_ids=np.full(40, first))
        zv.write(store, skeleton, mode="append")
    level = zv.open(store)[0]
    assert level.link_count == 78
    assert sorted(map(tuple, level.read(object_ids=[1]).edges.tolist())) == [(n, n - 1) for n in range(1, 40)]
    set_bounds(zv.open_store(store, mode="r+"), ([0, 0, 0], [4, 4, 4]), force=True)
    level = zv.open(store)[0]
    assert (level.vertex_count, level.link_count, level.read().edge_count) == (34, 32, 32)


def test_ids_of_an_identity_store_are_0_to_n() -> None:
    def owned(ids: list[int]) -> zv.Points:
        return zv.Points(FOUR[: len(ids)], object_ids=ids)

    store = MemoryStore()
    zv.create_store(store, **BOX, object_index_convention="identity")
    for bad in ([1, 2], [0, 2], [-1, 0], [0, 0, 5]):
        with pytest.raises(ConventionError, match="identity"):
            zv.write(store, owned(bad), mode="append")
    assert zv.open(store)[0].vertex_count == 0
    zv.write(store, owned([1, 0]), mode="append")
    with pytest.raises(ConventionError, match="id 3 in the place of 2"):
        zv.write(store, owned([3]), mode="append")
    zv.write(store, owned([2, 3]), mode="append")
    zv.write(store, owned([3]), mode="append", extend=True)
    assert zv.open(store)[0].objects.ids.tolist() == [0, 1, 2, 3]
    lines = MemoryStore()
    zv.create_store(lines, **BOX, object_index_convention="identity")
    zv.write(lines, zv.Polylines(FOUR, [0, 2, 4]), mode="append")
    zv.write(lines, zv.Polylines(FOUR, [0, 2, 4]), mode="append")
    assert zv.open(lines)[0].objects.ids.tolist() == [0, 1, 2, 3]
    with pytest.raises(ConventionError, match="identity"):
        zv.write(lines, zv.Polylines(FOUR, [0, 2, 4], ids=[7, 9]), mode="append")


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"geometry_types": "mesh"}, "geometry_types"),
        ({"geometry_types": ["mesh"], "links_convention": "implicit_sequential"}, "a mesh needs explicit"),
        ({"format_capabilities": ["magic"]}, "magic"),
        ({"format_capabilities": "fragment_index"}, "format_capabilities"),
        ({"cross_level_depth": -2}, "cross_level_depth"),
        ({"cross_level_depth": 1.5}, "cross_level_depth"),
        ({"reduction_factor": 1}, "reduction_factor"),
        ({"reduction_factor": True}, "reduction_factor"),
        ({"ndim": 0}, "ndim"),
        ({"ndim": "3"}, "ndim"),
        ({"crs": {1, 2}}, "crs"),
        ({"crs": float("nan")}, "crs"),
        ({"name": 5}, "name"),
        ({"links_convention": ["explicit"]}, "links_convention"),
        ({"vertex_dtype": None}, "vertex_dtype"),
        ({"bounds": 5}, "bounds"),
        ({"bounds": ([0, 0, 0],)}, "bounds"),
        ({"bounds": (["a", 0, 0], [1, 1, 1])}, "bounds"),
        ({"chunk_shape": (0, 1, 1)}, "chunk_shape"),
        ({"chunk_shape": 1e-6}, "too many chunks"),
        ({"compressor": "zip"}, "compressor"),
        ({"vertex_encoding": "draco", "vertex_dtype": "float64"}, "Draco"),
        ({"backend": "tape"}, "backend"),
    ],
    ids=str,
)
def test_arguments_that_are_refused(bad: dict[str, Any], what: str) -> None:
    store = MemoryStore()
    with pytest.raises(ZVError, match=what):
        zv.create_store(store, **bad)
    assert store._store_dict == {}


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(MetadataError) as caught:
        zv.create_store(MemoryStore(), links_convention="x", reduction_factor=0, geometry_types=["blob"])
    assert len(caught.value.problems) == 3
    with pytest.raises(OptionError, match="colour"):
        zv.create_store(MemoryStore(), colour=1)


def test_numpy_numbers_are_numbers() -> None:
    store = MemoryStore()
    zv.create_store(
        store, bounds=np.array([[0, 0], [9, 9]]), chunk_shape=np.array([3.5, 3]), reduction_factor=int(np.int64(4))
    )
    metadata = read_root_metadata(zv.open_store(store))
    assert (metadata.bounds, metadata.chunk_shape) == (((0, 0), (9, 9)), (3.5, 3))


# First rows


NAMES = ["a", None, "b", "c"]


def with_attributes(kind: str) -> Geometry:
    value = values()[kind]
    return replace(value, attributes={"w": np.arange(4.0), "name": np.array(NAMES, dtype=object)})


@pytest.mark.parametrize("mode", ["create", "append"])
def test_the_first_rows_of_a_store_bring_their_attributes(mode: str) -> None:
    store = MemoryStore()
    root = zv.create_store(store, **BOX)
    positions = np.asarray(FOUR, dtype="f4")
    report = write_points(
        root, positions, vertex_attributes={"w": np.arange(4)}, object_ids=[3, 3, 1, 1], chunk_shape=CHUNK, mode=mode
    )
    assert report["object_count"] == 2
    value = zv.open(store)[0].read()
    assert value.attributes["w"][np.lexsort(value.positions.T)].tolist() == np.lexsort(positions.T).tolist()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_brings_attributes(kind: str, streamed: bool) -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX)
    value = with_attributes(kind)
    zv.write(store, iter([value]) if streamed else value, mode="append")
    found = zv.open(store)[0].read()
    rows = zip(found.positions.tolist(), found.attributes["w"].tolist(), found.attributes["name"], strict=True)
    assert sorted(rows) == sorted(zip(value.positions.tolist(), range(4), NAMES, strict=True))


def test_attributes_of_the_first_rows_can_be_stored_per_fragment() -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX)
    value = zv.Points(FOUR.astype("f4"), {"bundle": np.array([7, 7, 9, 9])}, object_ids=[0, 0, 1, 1])
    zv.write(store, value, mode="append", per_fragment="bundle")
    level = zv.open(store)[0]
    assert level.attributes["bundle"].per_fragment
    assert sorted(level.read().attributes["bundle"].tolist()) == [7, 7, 9, 9]


def test_a_store_that_declares_attributes_keeps_to_them() -> None:
    store = MemoryStore()
    zv.create(store, kind="point_cloud", bounds=BOX["bounds"], attributes={"v": "float32"})
    with pytest.raises(InputError, match="no attribute 'w'"):
        zv.write(store, with_attributes("point_cloud"), mode="append")


def test_a_store_with_rows_takes_no_new_attributes() -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX)
    zv.write(store, values()["point_cloud"], mode="append")
    with pytest.raises(InputError, match="no attribute 'w'"):
        zv.write(store, with_attributes("point_cloud"), mode="append")


FACADES: dict[str, Callable[..., Any]] = {
    "points": lambda store, **options: write_points(store, FOUR, **options),
    "lines": lambda store, **options: write_lines(store, FOUR.reshape(2, 2, 3), **options),
    "polylines": lambda store, **options: write_polylines(store, [FOUR], **options),
    "graph": lambda store, **options: write_graph(store, FOUR, [[0, 1]], **options),
    "mesh": lambda store, **options: write_mesh(store, FOUR, [[0, 1, 2]], **options),
}


@pytest.mark.parametrize("kind", FACADES)
def test_functions_of_0_9_2_fill_a_store_that_has_been_made(kind: str) -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX, vertex_dtype="float64", crs="EPSG:4326")
    FACADES[kind](store, chunk_shape=CHUNK[0], bounds=BOX["bounds"], shard_shape=None)
    opened = zv.open(store)
    assert (opened[0].vertex_count, opened.crs) == (4, "EPSG:4326")
    assert opened.bounds == tuple(map(list, BOX["bounds"]))
    with pytest.raises(StoreExistsError):
        FACADES[kind](store)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chunk_shape", 3.0),
        ("chunk_shape", (5.0, 5.0)),
        ("bin_shape", 2.5),
        ("bounds", ([0, 0, 0], [99, 99, 99])),
        ("shard_shape", (2, 2, 2)),
        ("compressor", "blosc"),
        ("keep_order", True),
    ],
)
def test_options_that_contradict_the_store_are_refused(name: str, value: Any) -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX, vertex_dtype="float64")
    with pytest.raises(InputError, match=name):
        write_points(store, FOUR, **{name: value})
    assert zv.open(store)[0].vertex_count == 0


def test_the_bounds_of_a_store_that_has_been_made_hold() -> None:
    store = MemoryStore()
    zv.create_store(store, **BOX, vertex_dtype="float64")
    with pytest.raises(InputError, match="outside the bounds"):
        write_points(store, FOUR + 1000)
    write_points(store, FOUR + 1000, out_of_bounds="expand")
    assert zv.open(store).bounds[1] == (FOUR + 1000).max(axis=0).tolist()
