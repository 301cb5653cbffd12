"""What rechunking reports, refuses and leaves alone."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import memory, same_rows
from zarr_vectors.query.objects import all_refs
from zarr_vectors.types.parametric import read_parametric_objects, write_parametric_objects


def cloud(**options: Any) -> zv.Points:
    rng = np.random.default_rng(2)
    ids = np.repeat([3, 8, 9, 20], [30, 20, 40, 10])
    return zv.Points(
        rng.uniform(0, 30, (100, 3)).astype("f4"),
        object_ids=ids,
        attributes={"n": np.arange(100)},
        **options,
    )


def test_an_object_in_several_groups_lies_in_the_first_and_keeps_all() -> None:
    place = memory()
    value = cloud(groups={0: [9], 1: [3, 9], 4: [3]}, group_attributes={"w": np.arange(5.0)})
    zv.write(place, value, layout=zv.Layout(chunk_shape=10))
    report = zv.rechunk(place, zv.RechunkSpec("group", prefix_dim_name="tract"))
    level = zv.open(place)[0]
    assert report["objects_rechunked"] == 4
    assert report["bins_created"] == 3
    assert report["objects_in_several_bins"] == 2
    assert report["objects_in_no_bin"] == 2
    assert report["rechunk_dims"] == ["tract", "x", "y", "z"]
    leads = {one: {key[0] for key in chunks_of(level, one)} for one in (3, 8, 9, 20)}
    assert leads == {3: {1}, 9: {0}, 8: {5}, 20: {5}}
    assert {group: ids.tolist() for group, ids in level.objects.groups.items()} == {
        0: [9],
        1: [3, 9],
        2: [],
        3: [],
        4: [3],
    }
    assert np.asarray(level.objects.group_attributes["w"]).tolist() == [0, 1, 2, 3, 4]
    assert same_rows(level.read(), value)
    assert level.vertex_count == value.vertex_count


def chunks_of(level: zv.ZVLevel, one: int) -> list[tuple[int, ...]]:
    """Chunks with vertices of an object."""
    part = level.read(object_ids=[one])
    places = {tuple(row) for row in np.floor(part.positions / np.asarray(level.chunk_shape)).astype(int).tolist()}
    refs = all_refs(level._storage, level.state)[1]
    chunks = [tuple(row) for row in refs.chunks[refs.ids == one].tolist()]
    assert {chunk[1:] for chunk in chunks} == places
    return chunks


def test_numbers_beyond_a_few_are_binned_by_quartiles() -> None:
    place = memory()
    ids = np.arange(40)
    value = zv.Points(
        np.zeros((40, 1)), object_ids=ids, objects=ids, object_attributes={"size": np.where(ids < 38, ids, np.nan)}
    )
    zv.write(place, value)
    report = zv.rechunk(place, zv.RechunkSpec("attribute:size"))
    assert (report["bins_created"], report["objects_in_no_bin"]) == (5, 2)
    axis = zv.open(place)[0].state.metadata.chunk_axis
    assert axis is not None
    assert axis.edges == (0.0, 9.25, 18.5, 27.75)
    assert zv.rechunk_by_attribute(place, "size")["bins_created"] == 39


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (zv.RechunkSpec("colour"), "by is not known"),
        (zv.RechunkSpec("attribute:"), "by is not known"),
        (zv.RechunkSpec("attribute:sise"), "did you mean 'size'"),
        (zv.RechunkSpec("attribute:place"), "cannot be chunked by"),
        (zv.RechunkSpec("attribute:name", bins=[1]), "is text"),
        (zv.RechunkSpec("object_id", bins=[3, 3]), "ascend"),
        (zv.RechunkSpec("object_id", bins=[]), "at least one"),
        (zv.RechunkSpec("object_id", bins=["a"]), "finite numbers"),  # type: ignore[list-item]
        (zv.RechunkSpec("group", bins=[1]), "bins are for"),
        (zv.RechunkSpec("spatial", prefix_dim_name="x"), "prefix_dim_name"),
        (zv.RechunkSpec("spatial", spatial_chunk_shape=(1, 2)), "one number per axis"),
        (zv.RechunkSpec("spatial", spatial_chunk_shape=(1, 2, 0)), "above 0"),
        (zv.RechunkSpec("spatial", spatial_chunk_shape=(1e-4,) * 3), "too many chunks"),
        (zv.RechunkSpec("group"), "no groups"),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    tmp_path: Path, spec: zv.RechunkSpec, text: str, beside: bool
) -> None:
    tables = {"size": np.arange(4.0), "name": list("abcd"), "place": np.zeros((4, 2))}
    zv.write(tmp_path / "store", cloud(objects=[3, 8, 9, 20], object_attributes=tables))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises((ValueError, zv.exceptions.StoreError), match=text):
        zv.rechunk(tmp_path / "store", spec, tmp_path / "out" if beside else None)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_place_that_is_taken_or_empty_is_refused(tmp_path: Path) -> None:
    zv.write(tmp_path / "store", cloud())
    with pytest.raises(zv.exceptions.StoreExistsError):
        zv.rechunk(tmp_path / "store", zv.RechunkSpec("object_id"), tmp_path / "store")
    with pytest.raises(zv.exceptions.StoreNotFoundError):
        zv.rechunk(tmp_path / "no store", zv.RechunkSpec("object_id"))
    with pytest.raises(zv.exceptions.StoreNotFoundError):
        zv.rechunk(tmp_path / "no store", zv.RechunkSpec("object_id"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_appending_is_refused_with_the_way_out_which_leads_there() -> None:
    place = memory()
    value = cloud()
    zv.write(place, value, layout=zv.Layout(chunk_shape=10))
    zv.rechunk(place, zv.RechunkSpec("object_id"))
    more = replace(value, object_ids=np.asarray(value.object_ids) + 100)
    with pytest.raises(zv.exceptions.ConventionError, match="RechunkSpec\\('spatial'\\)"):
        zv.write(place, more, mode="append")
    zv.rechunk(place, zv.RechunkSpec("spatial"))
    zv.write(place, more, mode="append")
    zv.rechunk(place, zv.RechunkSpec("object_id"))
    got = zv.open(place)[0].read()
    assert sorted(got.object_ids) == sorted([*np.asarray(value.object_ids), *np.asarray(more.object_ids)])
    assert {len(key) for key in zv.open(place)[0].chunk_keys} == {4}


def test_row_ids_headers_crs_axes_and_parametric_objects_stay(tmp_path: Path) -> None:
    value = cloud()
    for name in ("a", "b"):
        zv.write(
            tmp_path / name,
            value,
            layout=zv.Layout(chunk_shape=10, keep_order=True, compressor="blosc"),
            headers={"las": {"scale": [1, 2]}},
            crs={"id": 4326},
            axes=["east", "north", "up"],
        )
        write_parametric_objects(tmp_path / name, [{"type": "sphere", "coefficients": [1, 2, 3, 4]}])
    zv.rechunk(tmp_path / "a", zv.RechunkSpec("object_id"))
    zv.rechunk(tmp_path / "b", zv.RechunkSpec("object_id"), tmp_path / "c")
    for name in ("a", "c"):
        store = zv.open(tmp_path / name)
        got = store[0].read()
        assert got.row_ids.tolist() == got.attributes["n"].tolist()
        assert store.headers == {"las": {"scale": [1, 2]}}
        assert store.crs == {"id": 4326}
        assert [axis.name for axis in store.axes] == ["east", "north", "up"]
        assert read_parametric_objects(tmp_path / name)[0]["coefficients"] == [1, 2, 3, 4]
        assert store.info()["levels"][0]["codec"] == ["vlen-bytes", "blosc", "crc32c"]
        assert store[0].state.document["attributes"]["zarr_vectors_level"]["next_row_id"] == 100


def test_fragment_attributes_stay_those_of_fragments() -> None:
    place = memory()
    value = cloud()
    owners = np.asarray(value.object_ids)
    value = replace(value, attributes={**value.attributes, "bundle": owners * 2.0})
    zv.write(place, value, layout=zv.Layout(chunk_shape=10), per_fragment=["bundle"])
    for spec in (zv.RechunkSpec("object_id"), zv.RechunkSpec("spatial", spatial_chunk_shape=(25, 25, 25))):
        zv.rechunk(place, spec)
        level = zv.open(place)[0]
        assert level.attributes["bundle"].per_fragment
        assert same_rows(level.read(), value)


def test_fragment_attributes_of_bins_that_merge_are_refused() -> None:
    place = memory()
    positions = np.array([[1.0], [11.0]])
    zv.write(
        place,
        zv.Points(positions, attributes={"tile": [1, 2]}),
        layout=zv.Layout(chunk_shape=10),
        per_fragment=["tile"],
    )
    with pytest.raises(zv.exceptions.InputError, match=r"'tile' is not constant.*keep the chunks"):
        zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(20,)))
    zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(5,)))
    assert zv.open(place)[0].read().attributes["tile"].tolist() == [1, 2]


def test_binned_points_keep_their_bins() -> None:
    place = memory()
    value = replace(cloud(), object_ids=None)
    zv.write(place, value, layout=zv.Layout(chunk_shape=10, bin_shape=5))
    with pytest.raises(zv.exceptions.ChunkingError, match="multiple of the store's bins"):
        zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(12, 10, 10)))
    zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(20, 10, 5)))
    level = zv.open(place)[0]
    assert list(level.bin_shape) == [5, 5, 5]
    assert same_rows(level.read(), value)


def test_draco_cells_of_the_same_boxes_are_not_rounded_again() -> None:
    place = memory()
    zv.write(place, cloud(), layout=zv.Layout(chunk_shape=10, vertex_encoding="draco"))
    level = zv.open(place)[0]
    before, error = level.read(), level.max_error or 0
    zv.rechunk(place, zv.RechunkSpec("object_id"))
    level = zv.open(place)[0]
    assert same_rows(level.read(), before)
    assert (level.vertex_encoding, level.max_error) == ("draco", error)
    zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(17, 17, 17)))
    level = zv.open(place)[0]
    again = level.read()
    order = np.argsort(again.attributes["n"])
    assert level.max_error is not None
    moved = np.abs(again.positions[order].astype("f8") - cloud().positions).max()
    assert moved <= level.max_error
    assert error < level.max_error <= 3 * error


def test_a_vertex_attribute_comes_back_as_it_was_stored() -> None:
    place = memory()
    n = np.arange(50)
    genes = zv.Categorical(n % 3, ("z", "a", "m", "unused"), ordered=True)
    value = zv.Points(np.stack([n, n], axis=1) / 2.0, attributes={"gene": genes, "u": (n % 4).astype("u1")})
    zv.write(place, value, layout=zv.Layout(chunk_shape=5))
    for name in ("gene", "u"):
        zv.rechunk_by_attribute(place, name)
        level = zv.open(place)[0]
        assert level.attributes["u"].dtype == np.uint8
        assert level.attributes["gene"].categories == ("z", "a", "m", "unused")
        assert f"vertex_attributes/{name}" not in level.state.cells
        assert same_rows(level.read(), value)
        assert level.read().attributes["gene"].ordered
    zv.rechunk(place, zv.RechunkSpec("spatial"))
    assert same_rows(zv.open(place)[0].read(), value)
    assert set(zv.open(place)[0].state.cells) >= {"vertex_attributes/gene", "vertex_attributes/u"}


@pytest.mark.parametrize("first", ["import zarr_vectors.rechunk", "from zarr_vectors import RechunkSpec", "pass"])
def test_the_package_and_the_function_are_one(first: str) -> None:
    code = f"""if True:
        {first}
        import inspect, zarr_vectors
        assert inspect.isfunction(zarr_vectors.rechunk)
        assert zarr_vectors.rechunk.rechunk is zarr_vectors.rechunk
        from zarr_vectors.rechunk import RechunkSpec
        assert RechunkSpec is zarr_vectors.RechunkSpec
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_package_that_is_loaded_anew_can_be_called() -> None:
    code = """if True:
        import importlib, sys
        import zarr_vectors as zv
        del sys.modules["zarr_vectors.rechunk"]
        importlib.import_module("zarr_vectors.rechunk")
        try:
            zv.rechunk("memory://nothing", zv.RechunkSpec("group"))
        except zv.exceptions.StoreNotFoundError:
            print("called")
    """
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "called\n"


def test_links_to_levels_that_do_not_exist_are_left_out_and_told(tmp_path: Path) -> None:
    edges = [[0, 1], [1, 2]]
    graph = zv.Graph(
        np.array([[1.0, 1], [2, 2], [12, 3]]), edges, object_ids=[1, 1, 1], edge_attributes={"w": [1.5, 2]}
    )
    zv.write(tmp_path / "store", graph, layout=zv.Layout(chunk_shape=10))
    for folder in ("links/+1/0.0", "link_attributes/w/-1/0.0"):
        (tmp_path / "store/0" / folder).mkdir(parents=True)
        shutil.copy(tmp_path / "store/0/links/0/0.0/zarr.json", tmp_path / "store/0" / folder / "zarr.json")
    report = zv.rechunk(tmp_path / "store", zv.RechunkSpec("object_id"), tmp_path / "out")
    assert report["links_left_out"] == ["link_attributes/w/-1", "links/+1"]
    zv.rechunk(tmp_path / "store", zv.RechunkSpec("object_id"))
    for name in ("store", "out"):
        assert not any(path.name in {"+1", "-1"} for path in (tmp_path / name / "0").rglob("*"))
        got = zv.open(tmp_path / name)[0].read()
        assert sorted(got.positions[got.edges][:, :, 0].tolist()) == [[1, 2], [2, 12]]
        assert sorted(got.edge_attributes["w"]) == [1.5, 2]


def test_signatures_are_those_that_were_asked_for() -> None:
    def names(what: Any) -> list[tuple[str, Any]]:
        return [(name, one.default) for name, one in inspect.signature(what).parameters.items()]

    none = inspect.Parameter.empty
    assert names(zv.rechunk) == [("store_path", none), ("spec", none), ("output", None), ("coarser", "keep")]
    assert names(zv.rechunk_by_attribute) == [
        ("store_path", none),
        ("attribute_name", none),
        ("output", None),
        ("spatial_chunk_shape", None),
        ("coarser", "keep"),
    ]
    assert [name for name, _ in names(zv.RechunkSpec)] == [
        "by",
        "bins",
        "spatial_chunk_shape",
        "prefix_dim_name",
        "categorical",
    ]
    assert zv.RechunkSpec("attribute:len").dimension_name == "attribute"


@pytest.mark.parametrize("edge", [2.5, 5, 40])
def test_bins_that_nobody_states_stay_under_coarser_levels(edge: float) -> None:
    place = memory()
    corners = np.random.default_rng(0).uniform(0, 20, (9, 2)).astype("f4")
    mesh = zv.Mesh(corners, [[0, 1, 2], [3, 4, 5]], object_ids=np.zeros(9, dtype=int))
    zv.write(place, mesh, layout=zv.Layout(chunk_shape=5), bounds=([0, 0], [20, 20]))
    zv.open(place, "r+").build_pyramid([(2, 1)])
    zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(edge, edge)))
    assert zv.open(place)[1].bin_shape == (10, 10)
    assert zv.validate(place).ok
