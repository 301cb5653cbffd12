"""The program on stores of lines, graphs, skeletons and meshes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import fails, misused, zvrun
from zarr_vectors.cli import plot as plot_command
from zarr_vectors.geometry import Geometry

parquet = pytest.importorskip("pyarrow.parquet")

LAYOUT = zv.Layout(chunk_shape=4)
RANDOM = np.random.default_rng(11)


def values() -> dict[str, Geometry]:
    places = np.column_stack([np.arange(12.0), np.arange(12.0) % 3, np.zeros(12)])
    owners = np.repeat([3, 8], 6)
    edges = np.column_stack([np.arange(11), np.arange(1, 12)])
    return {
        "streamline": zv.Polylines(
            places,
            [0, 6, 12],
            ids=[3, 8],
            kind="streamline",
            attributes={"fa": np.linspace(0, 1, 12)},
            object_attributes={"bundle": ["left", "right"]},
            groups={0: [3], 1: [3, 8]},
            group_attributes={"side": ["l", "both"]},
        ),
        "line": zv.Lines(places.reshape(6, 2, 3), object_attributes={"w": np.arange(6.0)}),
        "graph": zv.Graph(
            places,
            edges,
            edge_attributes={"weight": np.arange(11.0)},
            object_ids=owners,
            object_attributes={"name": ["a", "b"]},
            directed=True,
        ),
        "skeleton": zv.Skeleton(
            places,
            [-1, 0, 1, 2, 3, 4, -1, 6, 7, 7, 9, 10],
            attributes={"radius": np.ones(12)},
            object_ids=owners,
            edge_attributes={"length": np.arange(10.0)},
        ),
        "mesh": zv.Mesh(
            places + RANDOM.random((12, 3)),
            [[0, 1, 2], [2, 1, 3], [3, 4, 5], [7, 8, 9], [9, 10, 11]],
            face_attributes={"part": ["u", "v", "u", "v", "u"]},
            object_ids=owners,
        ),
    }


KINDS = list(values())


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("stores")
    for name, value in values().items():
        zv.write(folder / name, value, layout=LAYOUT)
    return {name: folder / name for name in KINDS}


def read(store: Path, **selection: Any) -> Any:
    with zv.open(store) as opened:
        return opened[0].read(**selection)


def facts_of(value: Any) -> list[Any]:
    """All that a value says, in an order of its own: another layout brings vertices and links in another one."""
    owners = value.vertex_objects.tolist()
    rows = zip(
        value.positions.tolist(), owners, *(column.tolist() for column in value.attributes.values()), strict=True
    )
    places = value.positions[value.links] if hasattr(value, "links") else np.stack([value.positions], axis=1)
    columns = [np.asarray(column).tolist() for column in getattr(value, "link_attributes", {}).values()]
    return [sorted(rows), sorted(zip(places.tolist(), *columns, strict=True))]


def facts(store: Path) -> dict[str, Any]:
    level: dict[str, Any] = json.loads(zvrun("info", store, "--json").out)["levels"][0]
    return level


# --- info -------------------------------------------------------------------------------------------------------------


def test_info_counts_what_connects(stores: dict[str, Path]) -> None:
    words = {name: [line.split() for line in zvrun("info", store).out.splitlines()] for name, store in stores.items()}
    assert ["lines", "2"] in words["streamline"]
    assert ["lines", "6"] in words["line"]
    assert ["edges", "11"] in words["graph"]
    assert ["faces", "5"] in words["mesh"]
    assert ["edge", "attribute", "dtype"] in words["graph"]
    assert ["weight", "float64"] in words["graph"]
    assert ["face", "attribute", "dtype", "categories"] in words["mesh"]
    assert ["length", "float64"] in words["skeleton"]


def test_info_as_json(stores: dict[str, Path]) -> None:
    assert facts(stores["streamline"])["line_count"] == 2
    assert facts(stores["graph"])["edge_count"] == 11
    assert facts(stores["graph"])["link_attributes"]["weight"]["dtype"] == "float64"
    assert facts(stores["mesh"])["face_count"] == 5
    assert "edge_count" not in facts(stores["skeleton"])
    assert facts(stores["skeleton"])["geometry_type"] == "skeleton"


# --- query ------------------------------------------------------------------------------------------------------------


def test_query_counts_everything(stores: dict[str, Path]) -> None:
    assert zvrun("query", stores["streamline"]).out.split() == ["2", "streamlines", "12", "vertices"]
    assert zvrun("query", stores["line"], "--object-ids", "2").out.split() == ["1", "line", "2", "vertices"]
    assert zvrun("query", stores["graph"]).out.split() == ["2", "objects", "12", "nodes", "11", "edges"]
    assert zvrun("query", stores["mesh"]).out.split() == ["2", "objects", "12", "vertices", "5", "faces"]
    assert zvrun("query", stores["skeleton"]).out.split() == ["2", "skeletons", "12", "vertices", "10", "edges"]


@pytest.mark.parametrize("mode", ["vertices", "objects", "clip"])
def test_query_modes(stores: dict[str, Path], kind: str, mode: str) -> None:
    expected = read(stores[kind], bbox={"x": (1.5, 4.5)}, mode=mode)
    options = ("--bbox", "x=1.5:4.5", "--mode", mode)
    counted = zvrun("query", stores[kind], *options).out.split()
    assert str(expected.vertex_count) in counted[::2]
    found = zvrun("query", stores[kind], *options, "--format", "csv").rows
    assert len(found) == expected.vertex_count
    assert sorted(float(row["x"]) for row in found) == pytest.approx(sorted(expected.positions[:, 0]))


def test_query_rows_have_the_object(stores: dict[str, Path], kind: str) -> None:
    found = zvrun("query", stores[kind], "--format", "jsonl").out.splitlines()
    value = values()[kind]
    assert value.vertex_objects is not None
    assert sorted(json.loads(line)["object_id"] for line in found) == sorted(value.vertex_objects.tolist())


@pytest.mark.parametrize("name", ["graph", "skeleton", "mesh"])
def test_query_links(stores: dict[str, Path], tmp_path: Path, name: str) -> None:
    value = read(stores[name])
    rows = zvrun("query", stores[name], "--links", "--format", "csv").rows
    width = value.links.shape[1]
    corners = [[int(row[f"vertex_{corner}"]) for corner in range(width)] for row in rows]
    assert corners == value.links.tolist()
    [(attribute, column)] = value.link_attributes.items()
    assert [row[attribute] for row in rows] == [str(entry) for entry in np.asarray(column).tolist()]
    # The numbers are rows of the same query without the option.
    vertices = zvrun("query", stores[name], "--format", "csv").rows
    assert [float(row["x"]) for row in vertices] == value.positions[:, 0].tolist()
    file = tmp_path / "links.parquet"
    zvrun("query", stores[name], "--links", "--attributes", attribute, "-o", file, "--limit", 3)
    table = parquet.read_table(file)
    assert table.num_rows == 3
    assert table.column_names[-1] == attribute


def test_query_wrong_options(stores: dict[str, Path]) -> None:
    assert "has no edges or faces" in misused("query", stores["line"], "--links", "--format", "csv")
    assert "--links" in misused("query", stores["graph"], "--links")
    assert "--mode" in misused("query", stores["graph"], "--mode", "halves")
    assert "height" in fails("query", stores["graph"], "--links", "--format", "csv", "--attributes", "height")


# --- convert ----------------------------------------------------------------------------------------------------------


def test_a_store_to_a_store(stores: dict[str, Path], tmp_path: Path, kind: str) -> None:
    target = tmp_path / "again.zarrvectors"
    out = zvrun("convert", stores[kind], target, "--chunk-shape", "3").out
    before, after = read(stores[kind]), read(target)
    assert type(after) is type(before)
    ids = before.objects.tolist()
    for name in ids:
        assert facts_of(read(target, object_ids=[name])) == facts_of(read(stores[kind], object_ids=[name]))
    assert after.objects.tolist() == ids
    for name, column in before.object_attributes.items():
        assert np.asarray(after.object_attributes[name]).tolist() == np.asarray(column).tolist()
    assert {group: members.tolist() for group, members in after.groups.items()} == {
        group: members.tolist() for group, members in before.groups.items()
    }
    assert zvrun("query", target).out == zvrun("query", stores[kind]).out
    words = {"line": "6 lines, 12 vertices", "streamline": "2 streamlines, 12 vertices"}
    words |= {"graph": "2 objects, 12 nodes, 11 edges", "mesh": "2 objects, 12 vertices, 5 faces"}
    assert f"{words.get(kind, '2 skeletons, 12 vertices')} in " in out
    assert "point" not in out.replace(str(tmp_path), "")


def test_edges_between_objects_go_along(stores: dict[str, Path], tmp_path: Path) -> None:
    zvrun("convert", stores["graph"], tmp_path / "again")
    after = read(tmp_path / "again")
    assert after.edge_count == 11
    assert after.directed


@pytest.mark.parametrize("mode", ["vertices", "objects", "clip"])
def test_a_part_of_a_store_to_a_store(stores: dict[str, Path], tmp_path: Path, kind: str, mode: str) -> None:
    target = tmp_path / "cut.zarrvectors"
    zvrun("convert", stores[kind], target, "--bbox", "y=0.5:1.6", "--mode", mode)
    before, after = read(stores[kind], bbox={"y": (0.5, 1.6)}, mode=mode), read(target)
    assert after.vertex_count == before.vertex_count
    for axis in range(3):
        np.testing.assert_allclose(np.sort(after.positions[:, axis]), np.sort(before.positions[:, axis]))


def test_lines_cut_into_parts_become_lines_with_what_is_known_of_them(stores: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "cut.zarrvectors"
    zvrun("convert", stores["streamline"], target, "--bbox", "y=0.5:2", "--mode", "clip")
    before, after = read(stores["streamline"], bbox={"y": (0.5, 2)}, mode="clip"), read(target)
    assert after.line_count == before.line_count > 2
    assert after.lengths.tolist() == before.lengths.tolist()
    sides = np.where(before.line_ids == 3, "left", "right")
    assert np.asarray(after.object_attributes["bundle"]).tolist() == sides.tolist()
    assert after.groups[0].tolist() == np.flatnonzero(before.line_ids == 3).tolist()


def test_mode_of_an_export(tmp_path: Path) -> None:
    spots = tmp_path / "spots"
    zv.write(spots, zv.Points(np.arange(10.0).reshape(5, 2), object_ids=[0, 0, 1, 1, 1]))
    file = tmp_path / "spots.csv"
    out = zvrun("convert", spots, file, "--bbox", "x=3:4", "--mode", "objects").out
    assert "3 points, " in out
    with file.open() as lines:
        assert [row["object_id"] for row in csv.DictReader(lines)] == ["1", "1", "1"]
    zvrun("convert", spots, file, "--replace", "--bbox", "x=3:4")
    assert len(file.read_text().splitlines()) == 2
    assert "no effect" in misused("convert", file, tmp_path / "new", "--mode", "clip")


def test_what_is_appended(tmp_path: Path) -> None:
    for number in (1, 20):
        line = zv.Polylines(np.ones((1, 3, 3)) * number, kind="streamline", ids=[number])
        zv.write(tmp_path / str(number), line)
    out = zvrun("convert", tmp_path / "20", tmp_path / "1", "--append", "--out-of-bounds", "expand").out
    assert "3 vertices added in" in out
    assert "store: 2 streamlines, 6 vertices" in out


def test_modes_of_an_export_of_lines(tmp_path: Path) -> None:
    zv.write(tmp_path / "tracts", zv.Polylines(np.arange(24.0).reshape(2, 4, 3), kind="streamline"))
    file = tmp_path / "cut.tck"
    out = zvrun("convert", tmp_path / "tracts", file, "--bbox", "x=:6", "--mode", "vertices").out
    assert "1 streamline, 3 vertices, " in out
    out = zvrun("convert", tmp_path / "tracts", file, "--bbox", "x=:6", "--replace").out
    assert "1 streamline, 4 vertices, " in out
    assert "1 streamline, 4 vertices in " in zvrun("convert", file, tmp_path / "again").out


# --- plot -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("streamline", [], "2 streamlines, 12 vertices"),
        ("streamline", ["--color", "direction"], "2 streamlines"),
        ("streamline", ["--color", "bundle", "--bbox", "x=0:3", "--mode", "clip"], "1 streamline, 4 vertices"),
        ("line", ["--color", "w"], "6 lines"),
        ("graph", ["--color", "weight"], "2 objects, 12 nodes, 11 edges"),
        ("graph", ["--color", "name", "--object-ids", "3"], "1 object, 6 nodes, 5 edges"),
        ("skeleton", ["--color", "radius"], "2 skeletons, 12 vertices, 10 edges"),
        ("skeleton", ["--color", "length", "--point-size", "2"], "2 skeletons"),
        ("mesh", ["--color", "part"], "2 objects, 12 vertices, 5 faces"),
        ("mesh", ["--color", "z", "--bbox", "x=100:"], "0 objects, 0 vertices, 0 faces"),
    ],
)
def test_plot(stores: dict[str, Path], tmp_path: Path, name: str, options: list[str], text: str) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    assert zvrun("plot", stores[name], picture, "--dpi", "50", *options).out.startswith(f"{picture}: {text}")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_reads_a_sample_of_very_many_objects(
    tmp_path: Path, stores: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(plot_command, "MOST_CONNECTED", 4)
    picture = tmp_path / "picture.png"
    out = zvrun("plot", stores["line"], picture, "--dpi", "50").out
    assert out == f"{picture}: 2 lines, 4 vertices, of 6 objects in all\n"


def test_plot_for_what_the_store_does_not_have(tmp_path: Path, stores: dict[str, Path]) -> None:
    message = fails("plot", stores["mesh"], tmp_path / "a.png", "--color", "direction")
    assert "choose one of part, x, y, z, object_id" in message
    assert "choose one of radius, length, direction" in fails("plot", stores["skeleton"], tmp_path / "a.png", "-c", "q")


def test_a_store_that_is_appended_to_another_keeps_its_ids(tmp_path: Path) -> None:
    """Object 0, too, of which nothing else is known: it must not come again under another id."""
    zv.write(tmp_path / "a.zarrvectors", zv.Graph(np.arange(6.0).reshape(3, 2), [[0, 1]]))
    zvrun("convert", tmp_path / "a.zarrvectors", tmp_path / "b.zarrvectors")
    told = fails("convert", tmp_path / "a.zarrvectors", tmp_path / "b.zarrvectors", "--append")
    assert "object_ids exist in the store already" in " ".join(told.split())
    assert zv.open(tmp_path / "b.zarrvectors")[0].objects.ids.tolist() == [0]
