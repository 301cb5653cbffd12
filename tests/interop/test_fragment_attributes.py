"""Fragment attributes between 0.9.2 and this library, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.interop.peer import Peer
from tests.query.fragmented import NAMES, fragment_columns, layout_of, with_columns
from tests.types.clouds import column_values
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.typing import AnyArray

ROWS = 80
KINDS = ["points", "bins", "polyline", "graph", "skeleton", "mesh"]
WRITERS = {"points": write_points, "bins": write_points, "polyline": write_polylines, "graph": write_graph}
READERS = {"polyline": read_polylines, "graph": read_graph, "skeleton": read_graph}


def positions() -> AnyArray:
    """Distinct places, so that a vertex is known by where it is."""
    rng = np.random.default_rng(4)
    return rng.permutation(400)[:ROWS, None] // [20, 1] % 20 * np.float32(0.5)


def value_of(kind: str) -> Any:
    at, row = positions(), {"row": np.arange(ROWS)}
    owners = np.arange(ROWS) // 20
    parents = np.where(np.arange(ROWS) % 20 == 0, -1, np.arange(ROWS) - 1 - np.arange(ROWS) % 20 // 3)
    made: dict[str, Any] = {
        "points": lambda: zv.Points(at, attributes=row, object_ids=owners),
        "bins": lambda: zv.Points(at, attributes=row),
        "polyline": lambda: zv.Polylines(at, np.arange(0, ROWS + 1, 20), attributes=row),
        "graph": lambda: zv.Graph(at, [[0, 1], [5, 40]], attributes=row, object_ids=owners),
        "skeleton": lambda: zv.Skeleton(at, parents, attributes=row, object_ids=owners),
        "mesh": lambda: zv.Mesh(at, [[0, 1, 2], [5, 40, 41]], attributes=row, object_ids=owners),
    }
    value = made[kind]()
    return with_columns(value, fragment_columns(value, 4, 2 if kind == "bins" else None))


@covering("kind, shards", KINDS, [None, 2])
def test_0_9_2_reads_what_is_written_per_fragment(peer: Peer, tmp_path: Path, kind: str, shards: int | None) -> None:
    value = value_of(kind)
    layout = layout_of(kind, 4, shard_shape=shards)
    zv.write(tmp_path / "s", value, layout=layout, per_fragment=NAMES)
    zv.write(tmp_path / "s", shifted(value, kind), mode="append", out_of_bounds="expand")
    assert peer.validate(tmp_path / "s")["errors"] == []
    level = zv.open(tmp_path / "s")[0]
    categories = level.attributes["f.text"].categories
    assert categories is not None
    rows = {tuple(place): row for row, place in enumerate(value.positions.tolist())}
    seen = 0
    for cell in peer.fragments(tmp_path / "s", 2).values():
        for number, places in enumerate(cell["positions"]):
            for place in places.tolist():
                row = rows[tuple(place) if tuple(place) in rows else (place[0] - 20, place[1])]
                seen += 1
                for name in NAMES:
                    got, expected = cell["values"][name][number], value.attributes[name][row : row + 1]
                    if name == "f.text":
                        got = None if got < 0 else categories[got]
                        assert got == np.asarray(expected)[0]
                    else:
                        assert column_values(np.asarray([got])) == column_values(expected)
    assert seen == 2 * ROWS


def shifted(value: Any, kind: str) -> Any:
    """The same beside it, as other objects."""
    fields: dict[str, Any] = {"positions": value.positions + np.array([20, 0], np.float32)}
    if kind == "polyline":
        fields["ids"] = value.line_ids + 100
    elif kind != "bins":
        fields["object_ids"] = np.asarray(value.object_ids) + 100
    return type(value)(**{**{name: getattr(value, name) for name in own_fields(kind)}, **fields})


def own_fields(kind: str) -> list[str]:
    more = {"polyline": ["offsets"], "graph": ["edges"], "skeleton": ["parents"], "mesh": ["faces"]}
    return ["attributes", *more.get(kind, [])]


def keywords(kind: str) -> dict[str, Any]:
    """The arguments of the writers of 0.9.2."""
    at, owners = positions(), np.arange(ROWS) // 20
    cut = {"chunk_shape": (4.0, 4.0)}
    if kind == "polyline":
        return {"polylines": [at[a : a + 20] for a in range(0, ROWS, 20)], **cut}
    if kind == "graph":
        return {"positions": at, "edges": np.array([[0, 1], [5, 40]]), "object_ids": owners, **cut}
    if kind == "skeleton":
        edges = np.array([[n, n - 1] for n in range(1, ROWS)])
        return {"positions": at, "edges": edges, "kind": "skeleton", **cut}
    return {"positions": at, **cut, **({"object_ids": owners} if kind == "points" else {"bin_shape": (2.0, 2.0)})}


def by_chunk(counts: dict[tuple[int, ...], int], *, text: bool) -> dict[str, dict[tuple[int, ...], AnyArray]]:
    """Values of every type for so many fragments; some chunks have none."""
    starts = dict(zip(counts, np.cumsum([0, *counts.values()]).tolist(), strict=False))
    numbers = {chunk: np.arange(count) + starts[chunk] for chunk, count in counts.items()}
    values: dict[str, dict[tuple[int, ...], AnyArray]] = {
        "a": {chunk: n.astype("i2") for chunk, n in numbers.items()},
        "b": {chunk: np.stack([n, n * 0.5, -n], axis=1) for chunk, n in list(numbers.items())[::2]},
        "c": {chunk: n % 2 == 0 for chunk, n in numbers.items()},
        "d": {chunk: n.astype("u1") for chunk, n in list(numbers.items())[1:]},
    }
    if text:
        values["t"] = {chunk: np.array([f"w{k % 3}" for k in n.tolist()]) for chunk, n in list(numbers.items())[1:]}
    return values


def write_theirs(peer: Peer, path: Path, kind: str, given: dict[str, Any]) -> None:
    kwargs = {**keywords(kind), **given}
    if kind in {"points", "bins"}:
        peer.write_points(path, kwargs)
    else:
        writer = "polylines" if kind == "polyline" else "graph"
        peer.call("write", path=str(path), writer=writer, kwargs=kwargs)


def fragment_counts(peer: Peer, path: Path, kind: str) -> dict[tuple[int, ...], int]:
    """How many fragments 0.9.2 makes in each chunk."""
    write_theirs(peer, path, kind, {})
    return {chunk: len(cell["positions"]) for chunk, cell in peer.fragments(path, 2).items()}


@pytest.mark.parametrize("kind", ["points", "bins", "polyline", "graph", "skeleton"])
def test_what_0_9_2_stores_for_fragments_is_read_for_vertices(peer: Peer, tmp_path: Path, kind: str) -> None:
    counts = fragment_counts(peer, tmp_path / "bare", kind)
    values = by_chunk(counts, text=True)
    write_theirs(peer, tmp_path / "s", kind, {"fragment_attributes": values})
    where = {
        tuple(place): (chunk, number)
        for chunk, cell in peer.fragments(tmp_path / "s", 2).items()
        for number, places in enumerate(cell["positions"])
        for place in places.tolist()
    }
    level = zv.open(tmp_path / "s")[0]
    assert all(level.attributes[name].per_fragment for name in values)
    reads: list[dict[str, Any]] = [{}, {"bbox": ([1, 1], [6, 7])}, {"bbox": ([1, 1], [6, 7]), "mode": "objects"}]
    reads += [] if kind == "bins" else [{"object_ids": [0]}]
    for options in reads:
        got = level.read(**options)
        assert got.vertex_count
        assert got.attributes["a"].dtype == np.int16
        assert got.attributes["c"].dtype == bool
        for row, place in enumerate(got.positions.tolist()):
            chunk, number = where[tuple(place)]
            for name, per_chunk in values.items():
                one = np.asarray(got.attributes[name][row : row + 1])[0]
                if chunk in per_chunk:
                    assert np.array_equal(one, per_chunk[chunk][number])
                elif name == "b":
                    assert np.isnan(one).all()
                elif name == "d":
                    assert np.ma.getmaskarray(got.attributes["d"])[row]
                else:
                    assert one is None


def read_with(kind: str, path: Path, names: list[str]) -> dict[str, Any]:
    reader = READERS.get(kind)
    return read_points(path, attribute_names=names) if reader is None else reader(path)


@pytest.mark.parametrize("kind", ["points", "polyline", "graph"])
def test_rows_are_appended_to_what_0_9_2_wrote(peer: Peer, tmp_path: Path, kind: str) -> None:
    counts = fragment_counts(peer, tmp_path / "bare", kind)
    values = {name: values for name, values in by_chunk(counts, text=False).items() if name in "ac"}
    write_theirs(peer, tmp_path / "s", kind, {"fragment_attributes": values})
    before = zv.open(tmp_path / "s")[0].read()
    owners = np.arange(ROWS) // 20
    columns = {"a": owners.astype("i2") - 9, "c": owners % 2 == 1}
    value = type(value_of(kind))(
        **{name: getattr(value_of(kind), name) for name in own_fields(kind) if name != "attributes"},
        **{"ids": [11, 12, 13, 14]} if kind == "polyline" else {"object_ids": owners + 11},
        positions=positions(),
        attributes=columns,
    )
    zv.write(tmp_path / "s", value, mode="append")
    after = zv.open(tmp_path / "s")[0].read()
    assert after.vertex_count == 2 * ROWS
    assert sorted(told(after)) == sorted(told(before) + told(value))
    assert peer.validate(tmp_path / "s")["errors"] == []
    for cell in peer.fragments(tmp_path / "s", 2).values():
        assert all(len(column) == len(cell["positions"]) for column in cell["values"].values())


def told(value: Any) -> list[tuple[Any, ...]]:
    """Place and values of each vertex."""
    columns = [np.asarray(value.attributes[name]).tolist() for name in "ac"]
    return list(zip(map(tuple, value.positions.tolist()), *columns, strict=True))


@pytest.mark.parametrize("kind", ["points", "bins", "polyline", "graph", "skeleton"])
def test_the_keyword_of_0_9_2_stores_the_same(peer: Peer, tmp_path: Path, kind: str) -> None:
    counts = fragment_counts(peer, tmp_path / "bare", kind)
    values = by_chunk(counts, text=False)
    write_theirs(peer, tmp_path / "theirs", kind, {"fragment_attributes": values})
    writer: Any = WRITERS.get(kind, write_graph)
    writer(tmp_path / "ours", **keywords(kind), fragment_attributes=values)
    assert peer.validate(tmp_path / "ours")["errors"] == []
    ours, theirs = peer.fragments(tmp_path / "ours", 2), peer.fragments(tmp_path / "theirs", 2)
    assert set(ours) == set(theirs)
    for chunk, cell in theirs.items():
        for mine, other in zip(ours[chunk]["positions"], cell["positions"], strict=True):
            assert np.array_equal(mine, other)
        for name, other in cell["values"].items():
            mine = ours[chunk]["values"][name]
            assert (mine is None) == (other is None)
            if mine is not None:
                assert mine.dtype == other.dtype
                assert np.array_equal(mine, other)
    found, other = (read_with(kind, tmp_path / name, list(values)) for name in ("ours", "theirs"))
    for name in values:
        assert column_values(found["fragment_attributes"][name]) == column_values(other["fragment_attributes"][name])


def test_an_empty_bin_keeps_its_value_when_points_come_to_others(peer: Peer, tmp_path: Path) -> None:
    said = {"a": {(0, 0): np.array([5, 6, 7, 8])}}
    write_points(tmp_path / "s", [[0.5, 0.5]], chunk_shape=(4, 4), bin_shape=(2, 2), fragment_attributes=said,
                 bounds=([0, 0], [8, 8]))  # fmt: skip
    zv.write(tmp_path / "s", zv.Points([[1.0, 1.0], [3.0, 0.5]], attributes={"a": [5, 1]}), mode="append")
    (cell,) = peer.fragments(tmp_path / "s", 2).values()
    assert [len(places) for places in cell["positions"]] == [2, 0, 1, 0]
    assert cell["values"]["a"].tolist() == [5, 6, 1, 8]
