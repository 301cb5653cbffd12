"""Values as datasets of xarray, meshes of trimesh, PolyData of pyvista and matrices of anndata, and back."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.geometry.columns import assert_same_value, clouds, columns
from tests.query.connected import KINDS, values
from tests.storage.stores import fewer_examples
from zarr_vectors.exceptions import AttributeNotFoundError, InputError, MissingDependencyError
from zarr_vectors.geometry import Graph, Lines, Mesh, Points, Polylines, Skeleton

CLASSES: Any = {
    "line": Lines,
    "polyline": Polylines,
    "streamline": Polylines,
    "graph": Graph,
    "skeleton": Skeleton,
    "mesh": Mesh,
}
# What these take is wider than what their types say of nested lists.
points_of: Any = Points
meshes_of: Any = Mesh
lines_of: Any = Polylines


def there(module: str) -> Any:
    """A library that is too large for every environment of developers."""
    return pytest.importorskip(module)


@given(clouds(masks=False))
def test_points_come_back_from_xarray(cloud: Points) -> None:
    dataset = cloud.to_xarray()
    assert dataset.sizes["vertex"] == cloud.vertex_count
    assert set(dataset.coords) == {axis.name for axis in cloud.axes or ()}
    assert_same_value(Points.from_xarray(dataset), cloud)


@pytest.mark.parametrize("kind", KINDS)
@fewer_examples(3)
@given(data=st.data())
def test_connected_values_come_back_from_xarray(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind, 3))
    if isinstance(value, Polylines):
        draw: Any = data.draw
        value = replace(value, object_attributes=columns(draw, value.line_count, "o", masks=False))
        assert value.to_xarray()["rowsize"].values.tolist() == value.lengths.tolist()
    dataset = value.to_xarray().drop_vars("when")
    value = replace(value, attributes={name: one for name, one in value.attributes.items() if name != "when"})
    assert_same_value(CLASSES[kind].from_xarray(dataset), value)


def test_datasets_say_units_and_what_is_missing() -> None:
    axes = [{"name": "y", "unit": "micrometer"}, {"name": "x", "unit": "micrometer"}]
    n = np.ma.MaskedArray([1, 2], mask=[False, True])
    cloud = points_of([[0.0, 1], [2, 3]], {"n": n, "t": ["a", None]}, axes=axes)
    dataset = cloud.to_xarray()
    assert dataset["x"].attrs["units"] == "micrometer"
    assert dataset["n"].values.tolist()[0] == 1.0
    assert_same_value(Points.from_xarray(dataset), cloud)
    assert Points.from_xarray(dataset, ["x", "y"]).positions.tolist() == [[1, 0], [3, 2]]
    with pytest.raises(InputError, match=r"coordinates of these names.*axes="):
        Points.from_xarray(dataset, ["x", "q"])
    with pytest.raises(InputError, match="no dataset of xarray"):
        Points.from_xarray({"x": [1]})
    with pytest.raises(InputError, match="how many vertices"):
        Polylines.from_xarray(dataset)
    with pytest.raises(InputError, match="no edges"):
        Graph.from_xarray(dataset)
    with pytest.raises(InputError, match="called 'x'"):
        points_of([[0.0, 1]], {"x": [1]}).to_xarray()
    with pytest.raises(InputError, match="leave no room"):
        points_of([[0.0, 1]], {"b": np.ma.MaskedArray([True], mask=[True])}).to_xarray()


def in_xyz(value: Any) -> Any:
    """What is left of a value where positions are float64 and there are no times."""
    kept = {name: one for name, one in value.attributes.items() if name != "when"}
    more: Any = {} if isinstance(value, (Points, Polylines)) else {f"{value.link_noun[:-1]}_attributes": {}}
    return replace(value, positions=value.positions.astype("f8"), attributes=kept, axes="xyz", **more)


@fewer_examples(2)
@given(st.data())
def test_meshes_come_back_from_trimesh(data: st.DataObject) -> None:
    value = in_xyz(data.draw(values("mesh", 3)))
    numbers = np.arange(value.face_count)
    value = replace(value, face_attributes={"n": numbers, "rgb": np.stack([numbers] * 3, axis=1).astype("u1")})
    mesh = value.to_trimesh()
    np.testing.assert_array_equal(np.asarray(mesh.vertices).reshape(-1, 3), value.positions)
    back = Mesh.from_trimesh(mesh)
    turns = value.faces.shape[1] - 2
    if turns == 1:
        assert back == value
        return
    assert back.face_count == value.face_count * turns
    fans = back.faces.reshape(-1, turns, 3)
    assert (fans[:, :, 0] == value.faces[:, :1]).all()
    assert (fans[:, :, 1] == value.faces[:, 1:-1]).all()
    assert (fans[:, :, 2] == value.faces[:, 2:]).all()
    assert np.asarray(back.face_attributes["n"]).tolist() == np.repeat(numbers, turns).tolist()


def test_axes_of_surfaces() -> None:
    turned = meshes_of([[3.0, 2, 1], [0, 0, 0], [0, 1, 0]], [[0, 1, 2]], axes="zyx").to_trimesh()
    assert turned.vertices[0].tolist() == [1.0, 2.0, 3.0]
    flat = meshes_of([[0.0, 0], [2, 0], [0, 2]], [[0, 1, 2]]).to_trimesh()
    assert flat.area == 2.0
    with pytest.raises(InputError, match="three axes of space"):
        meshes_of([[0.0, 0, 0, 0]], axes="xyzt").to_trimesh()
    with pytest.raises(InputError, match="no Trimesh"):
        Mesh.from_trimesh([1])


@pytest.mark.parametrize("kind", ["point_cloud", *KINDS])
@fewer_examples(3)
@given(data=st.data())
def test_values_come_back_from_pyvista(kind: str, data: st.DataObject) -> None:
    there("pyvista")
    draw: Any = data.draw
    value: Any = draw(clouds(masks=False, times=False)) if kind == "point_cloud" else draw(values(kind, 3))
    if kind == "point_cloud" and value.ndim != 3:
        value = replace(value, positions=np.zeros((value.vertex_count, 3)), axes="xyz")
    value = in_xyz(value)
    text = {name: one for name, one in value.attributes.items() if one.dtype == object}
    # VTK has empty text for missing text, and one channel is none.
    text |= {name: one for name, one in value.attributes.items() if one.shape[1:] == (1,)}
    if kind == "mesh" and not value.face_count:
        value = replace(value, faces=np.zeros((0, 3), dtype=np.int64))
    value = replace(value, attributes={name: one for name, one in value.attributes.items() if name not in text})
    if isinstance(value, Polylines) and not (value.lengths > 1).all():
        value = value.take(value.lengths > 1)
    back = CLASSES.get(kind, Points).from_pyvista(value.to_pyvista())
    if not value.vertex_count:
        assert back.vertex_count == 0, "VTK keeps no arrays of nothing"
        return
    back = replace(back, **({"directed": value.directed} if kind == "graph" else {}))
    if isinstance(value, Polylines):
        back = replace(back, kind=value.kind)
    halves = {name: np.asarray(one).astype("f2") for name, one in value.attributes.items() if one.dtype == np.float16}
    back = replace(back, attributes={**back.attributes, **halves})
    assert replace(back, axes="xyz") == value


def test_pyvista_knows_cells_and_their_data() -> None:
    there("pyvista")
    lines = lines_of([[[0.0, 0, 0], [3, 4, 0]], [[5.0, 5, 5], [6, 5, 5]]], ids=[7, 9], object_attributes={"w": [1, 2]})
    poly = lines.to_pyvista()
    assert poly.n_lines == 2
    assert poly.length > 0
    assert poly.cell_data["w"].tolist() == [1, 2]
    assert Polylines.from_pyvista(poly) == lines
    words = points_of([[0.0, 0, 0], [1, 1, 1]], {"t": ["a", None]}).to_pyvista()
    assert np.asarray(Points.from_pyvista(words).attributes["t"]).tolist() == ["a", None]
    mesh = meshes_of([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], face_attributes={"n": [5]})
    assert mesh.to_pyvista().area == 0.5
    assert Mesh.from_pyvista(mesh.to_pyvista()) == mesh
    with pytest.raises(InputError, match="no type for attribute 'when'"):
        points_of([[0.0, 0, 0]], {"when": np.array(["2020-01-01"], "M8[s]")}).to_pyvista()
    with pytest.raises(InputError, match="same number of points"):
        Graph.from_pyvista(lines_of([[[0.0, 0, 0], [1, 1, 1], [2, 2, 2]]]).to_pyvista())
    with pytest.raises(InputError, match="no PolyData"):
        Points.from_pyvista([1])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@fewer_examples(2)
@given(clouds(masks=False, times=False))
def test_points_come_back_from_anndata(cloud: Points) -> None:
    there("anndata")
    back = Points.from_anndata(cloud.to_anndata())
    assert back.attributes.keys() == cloud.attributes.keys()
    # Those of several channels come after all others.
    assert_same_value(replace(back, attributes={name: back.attributes[name] for name in cloud.attributes}), cloud)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_attributes_become_variables_of_anndata() -> None:
    there("anndata")
    cloud = points_of([[0.0, 1], [2, 3]], {"a": [1.0, 2], "g": [[3.0, 4], [5, 6]], "kind": ["x", "y"]}, [4, 5])
    data = cloud.to_anndata(["a", "g"])
    assert list(data.var_names) == ["a", "g_0", "g_1"]
    assert data.X.tolist() == [[1, 3, 4], [2, 5, 6]]
    assert data.obsm["spatial"].tolist() == [[0, 1], [2, 3]]
    assert list(data.obs.columns) == ["object_id", "kind"]
    back = Points.from_anndata(data, var=["g_1"])
    assert np.asarray(back.attributes["g_1"]).tolist() == [4, 6]
    assert back.object_ids is not None
    with pytest.raises(AttributeNotFoundError, match="no attribute 'q'"):
        cloud.to_anndata("q")
    with pytest.raises(InputError, match="obsm has no 'pca'"):
        Points.from_anndata(data, "pca")
    with pytest.raises(InputError, match="no AnnData"):
        Points.from_anndata([1])


@pytest.mark.parametrize("name", ["xarray", "pyvista", "trimesh", "anndata"])
def test_what_is_not_installed_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=rf"needs {name}.*zarr-vectors\[{name}\]"):
        getattr(meshes_of([[0.0, 1]]) if name == "trimesh" else points_of([[0.0, 1]]), f"to_{name}")()
