"""An attribute that is called as row ids are comes back as an attribute, or is refused where nothing tells it apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.geometry.test_scenes import there
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry, Graph, Mesh, Points, Polylines, Skeleton

AT = np.array([[0.0, 1], [2, 3], [4, 5], [6, 8]])
COLUMNS = {"integers": np.array([7, 5, 5, 9]), "floats": np.array([0.5, 1.5, 0.5, -1.0])}
VALUES: dict[str, Any] = {
    "points": lambda **more: Points(AT, **more),
    "polylines": lambda **more: Polylines(AT, [0, 2, 4], ids=[3, 4], **more),
    "graph": lambda **more: Graph(AT, [[0, 1]], **more),
    "skeleton": lambda **more: Skeleton(AT, [-1, 0, 1, 2], **more),
    "mesh": lambda **more: Mesh(AT, [[0, 1, 2]], **more),
}


def arrow(value: Any) -> Any:
    there("pyarrow")
    tables = [value.to_arrow()]
    if isinstance(value, (Graph, Skeleton, Mesh)):
        tables = [value.to_arrow("vertices"), value.to_arrow(value.link_noun)]
    return type(value).from_arrow(*tables)


def pandas(value: Any) -> Any:
    there("pandas")
    return type(value).from_pandas(value.to_pandas())


def xarray(value: Any) -> Any:
    there("xarray")
    return type(value).from_xarray(value.to_xarray())


WAYS = [(kind, through) for kind in VALUES for through in (arrow, xarray)]


@pytest.mark.parametrize(("kind", "through"), [("points", pandas), *WAYS])
@pytest.mark.parametrize("name", COLUMNS)
def test_it_comes_back(kind: str, through: Any, name: str) -> None:
    back = through(VALUES[kind](attributes={"row_id": COLUMNS[name]}))
    assert back.row_ids is None
    assert back.attributes["row_id"].tolist() == COLUMNS[name].tolist()
    back = through(VALUES[kind](row_ids=COLUMNS["integers"]))
    assert dict(back.attributes) == {}
    assert back.row_ids.tolist() == COLUMNS["integers"].tolist()


def test_it_comes_back_from_anndata() -> None:
    there("anndata")
    back: Any = Points.from_anndata(Points(AT, {"row_id": COLUMNS["integers"]}).to_anndata())
    assert back.row_ids is None
    assert back.attributes["row_id"].tolist() == COLUMNS["integers"].tolist()


def test_a_column_can_be_asked_for_as_an_attribute() -> None:
    table = there("pyarrow").table({"x": [0.0], "y": [1.0], "row_id": [4]})
    assert Points.from_arrow(table).row_ids is not None
    asked: Any = Points.from_arrow(table, attributes=["row_id"])
    assert asked.row_ids is None
    assert asked.attributes["row_id"].tolist() == [4]


OUT: dict[str, tuple[Geometry, Any]] = {
    "trimesh": (Mesh(np.eye(3), [[0, 1, 2]], attributes={"row_id": [1, 2, 3]}), lambda value: value.to_trimesh()),
    "pyvista": (Points(AT, {"row_id": [1, 2, 3, 4]}), lambda value: value.to_pyvista()),
    "networkx": (Graph(AT, [[0, 1]], attributes={"row_id": [1, 2, 3, 4]}), lambda value: value.to_networkx()),
}


@pytest.mark.parametrize(("value", "out"), OUT.values(), ids=OUT)
def test_what_cannot_tell_it_apart_refuses_it(value: Geometry, out: Any) -> None:
    with pytest.raises(InputError, match="'row_id', and would come back as row ids; leave it out"):
        out(value)


def test_names_of_ids_are_not_lost_in_datasets() -> None:
    there("xarray")
    dataset = Points(AT, {"object_id": COLUMNS["floats"]}).to_xarray()
    assert dataset["object_id"].values.tolist() == COLUMNS["floats"].tolist()
    with pytest.raises(InputError, match="two variables would be called 'row_id'"):
        zv.Points(AT, {"row_id": COLUMNS["floats"]}, row_ids=COLUMNS["integers"]).to_xarray()
