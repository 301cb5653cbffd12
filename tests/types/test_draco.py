"""Stores in Draco encoding: every kind comes back in order within the stated error, appended to or not."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.connected import KINDS, line_values, linked_values
from tests.query.damage import flip
from tests.storage.stores import fewer_examples
from zarr_vectors.core.store import create_store
from zarr_vectors.exceptions import CorruptionError, InputError, MetadataError, MissingDependencyError
from zarr_vectors.geometry import Geometry, Linked, Polylines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.typing import AnyArray

BITS = 8
LAYOUT = zv.Layout(chunk_shape=4, vertex_encoding="draco", draco_quantization_bits=BITS, keep_order=True)


def cloud(rows: int, seed: int = 0, **options: Any) -> zv.Points:
    positions = (np.random.default_rng(seed).random((rows, 3)) * 12 - 4).astype("f4")
    return zv.Points(positions, attributes={"row": np.arange(rows)}, **options)


def values(kind: str) -> st.SearchStrategy[Any]:
    lines = kind in ("line", "polyline", "streamline")
    return (line_values if lines else linked_values)(kind, 3, dtypes=["f4"])


def agree(level: zv.ZVLevel, value: Any) -> Geometry:
    """The same vertices, told by their numbers, within the error; and the same links between them."""
    got = level.read()
    error = level.max_error
    assert error is not None
    assert got.vertex_count == value.vertex_count
    rows = got.attributes["row"]
    if got.vertex_count:
        moved = np.abs(got.positions.astype("f8") - value.positions[rows].astype("f8")).max()
        assert moved <= error <= 4 / (2**BITS - 1)
    np.testing.assert_array_equal(np.sort(rows), np.arange(value.vertex_count))
    if isinstance(value, Linked):
        assert numbered(rows[got.links], got) == numbered(value.links, value)
    if isinstance(value, Polylines):
        starts = np.cumsum([0, *map(len, got.lines())])[:-1]
        assert all((np.diff(part) == 1).all() for part in np.split(rows, starts[1:]))
    assert isinstance(got, Geometry)
    return got


def numbered(ends: AnyArray, value: Any) -> list[Any]:
    """Links by the numbers of their vertices, with their own."""
    own = value.link_attributes.get("link", np.zeros(len(ends), dtype=int))
    return sorted(zip(ends.tolist(), own.tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@fewer_examples(3)
@given(data=st.data())
def test_every_kind_comes_back_in_order_within_the_error(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    store = MemoryStore()
    report = zv.write(store, value, layout=LAYOUT)
    level = zv.open(store)[0]
    assert report.max_error == level.max_error
    agree(level, value)


@fewer_examples(2)
@given(
    rows=st.integers(0, 200),
    seed=st.integers(0, 99),
    bits=st.integers(1, 12),
    shards=st.sampled_from([None, 2]),
    boxes=st.lists(st.tuples(*[st.floats(-5, 9, width=32)] * 6), min_size=8, max_size=8),
    owned=st.booleans(),
)
def test_a_box_is_exact_for_the_positions_that_a_whole_read_returns(
    rows: int, seed: int, bits: int, shards: Any, boxes: list[Any], owned: bool
) -> None:
    layout = dataclasses.replace(LAYOUT, draco_quantization_bits=bits, shard_shape=shards)
    store = MemoryStore()
    zv.write(store, cloud(rows, seed, object_ids=np.arange(rows) % 5 if owned else None), layout=layout)
    level = zv.open(store)[0]
    whole = level.read()
    assert level.count(level.bounds) == rows
    on_faces = [(*position, *position) for position in whole.positions[:20].tolist()]
    for box in (*boxes, *on_faces):
        low, high = np.minimum(box[:3], box[3:]), np.maximum(box[:3], box[3:])
        inside = ((whole.positions >= low) & (whole.positions <= high)).all(axis=1)
        part = level.read((low, high))
        assert sorted(part.attributes["row"]) == sorted(whole.attributes["row"][inside])


@fewer_examples(3)
@given(value=values("graph"), low=st.tuples(*[st.integers(-7, 5)] * 3), size=st.integers(0, 6))
def test_boxes_of_connected_kinds_are_parts_of_the_whole(value: Any, low: Any, size: int) -> None:
    store = MemoryStore()
    zv.write(store, value, layout=dataclasses.replace(LAYOUT, draco_quantization_bits=3))
    level = zv.open(store)[0]
    whole = level.read()
    box = ([float(a) for a in low], [float(a + size) for a in low])
    inside = ((whole.positions >= box[0]) & (whole.positions <= box[1])).all(axis=1)
    part = level.read(box, mode="vertices")
    assert sorted(part.attributes["row"]) == sorted(whole.attributes["row"][inside])
    assert sorted(part.edge_attributes["link"]) == sorted(
        whole.edge_attributes["link"][inside[whole.edges].all(axis=1)]
    )
    # A raw store of the rounded positions must say the same of objects and cuts.
    raw = MemoryStore()
    zv.write(raw, dataclasses.replace(whole, row_ids=None, errors=()), layout=zv.Layout(chunk_shape=4))
    for mode in ("objects", "clip"):
        mine, other = level.read(box, mode=mode), zv.open(raw)[0].read(box, mode=mode)
        assert sorted(mine.positions.tolist()) == sorted(other.positions.tolist())
        assert mine.edge_count == other.edge_count


@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("shards", [None, 2])
@pytest.mark.parametrize("bins", [None, 2])
def test_appending_moves_nothing_that_is_there(owned: bool, shards: Any, bins: Any) -> None:
    store = MemoryStore()
    layout = dataclasses.replace(LAYOUT, shard_shape=shards, bin_shape=bins)
    parts = [cloud(80, seed, object_ids=np.arange(80) % 7 if owned else None) for seed in range(4)]
    zv.write(store, parts[0], layout=layout)
    for number, part in enumerate(parts[1:], 1):
        before = zv.open(store)[0].read()
        report = zv.write(store, part, mode="append", extend=owned, out_of_bounds="expand")
        assert report.vertex_encoding == "draco"
        level = zv.open(store)[0]
        after = level.read()
        assert after.row_ids is not None
        assert before.row_ids is not None
        placed = after.positions[np.argsort(after.row_ids)]
        np.testing.assert_array_equal(placed[: 80 * number], before.positions[np.argsort(before.row_ids)])
        error = np.abs(placed[80 * number :].astype("f8") - part.positions).max()
        assert error <= report.max_error == level.max_error
        assert level.count(level.bounds) == len(after.positions)


@pytest.mark.parametrize("bits", [20, 30])
def test_the_error_counts_what_appending_moves(bits: int) -> None:
    """At the last places of float32, packing rounded positions again may round them again."""
    store = MemoryStore()
    layout = dataclasses.replace(LAYOUT, draco_quantization_bits=bits)
    parts = [cloud(100, seed) for seed in range(5)]
    given = np.concatenate([part.positions for part in parts]).astype("f8")
    zv.write(store, parts[0], layout=layout)
    for number, part in enumerate(parts[1:], 2):
        zv.write(store, part, mode="append", out_of_bounds="expand")
        level = zv.open(store)[0]
        got = level.read()
        assert got.row_ids is not None
        assert level.max_error is not None
        moved = np.abs(got.positions.astype("f8") - given[got.row_ids]).max()
        assert moved <= level.max_error <= number * 2e-6
        assert level.count(level.bounds) == 100 * number


def test_lines_can_be_continued() -> None:
    store = MemoryStore()
    path = cloud(30).positions
    zv.write(store, zv.Polylines([path[:10]], ids=[4]), layout=LAYOUT)
    for start in (10, 20):
        zv.write(store, zv.Polylines([path[start : start + 10]], ids=[4]), mode="append", extend=True,
                 out_of_bounds="expand")  # fmt: skip
    level = zv.open(store)[0]
    (line,) = level.read().lines()
    assert level.max_error is not None
    np.testing.assert_allclose(line, path, rtol=0, atol=level.max_error)


def test_replace_stream_and_create() -> None:
    store = MemoryStore()
    bounds = ([-4.0] * 3, [8.0] * 3)
    zv.create(store, "point_cloud", bounds=bounds, attributes={"row": "int64"}, layout=LAYOUT, objects=True)
    zv.write(store, (cloud(40, seed, object_ids=np.full(40, seed)) for seed in range(3)), mode="append")
    level = zv.open(store)[0]
    assert level.vertex_encoding == "draco"
    assert level.state.metadata.draco is not None
    assert level.state.metadata.draco.quantization_bits == BITS
    assert [level.count(object_ids=[owner]) for owner in range(3)] == [40, 40, 40]
    zv.write(store, cloud(5), mode="replace")
    assert zv.open(store)[0].vertex_encoding == "raw"
    assert zv.open(store)[0].max_error is None


def test_a_shell_takes_draco_cells(tmp_path: Path) -> None:
    create_store(tmp_path / "shell", bounds=bounds_of(8), chunk_shape=(4, 4, 4), vertex_encoding="draco",
                 geometry_types=["point_cloud"])  # fmt: skip
    points = zv.Points(np.random.default_rng(0).random((50, 3)).astype("f4") * 8)
    assert zv.write(tmp_path / "shell", points, mode="append").vertex_encoding == "draco"
    level = zv.open(tmp_path / "shell")[0]
    assert level.read().vertex_count == 50
    assert level.max_error is not None
    with pytest.raises(MetadataError, match="3-D float32"):
        create_store(tmp_path / "flat", ndim=2, vertex_encoding="draco")


def bounds_of(side: float) -> Any:
    return [0.0] * 3, [side] * 3


def test_the_facade_of_meshes() -> None:
    corners = np.array([[0, 0, 0], [9, 0.3, 0], [0, 9, 1], [9, 9, 9.5]], dtype="f4")
    store = MemoryStore()
    written = write_mesh(store, corners, [[0, 1, 2], [1, 3, 2]], encoding="draco", draco_quantization_bits=16)
    assert written["encoding"] == "draco"
    got = read_mesh(store)
    assert got["face_count"] == 2
    np.testing.assert_allclose(np.sort(got["vertices"], axis=0), np.sort(corners, axis=0), atol=10 / 2**16)
    facts = zv.open(store)[0].state.metadata.draco
    assert facts is not None
    assert facts.quantization_bits == 16
    with pytest.raises(InputError, match="float32"):
        write_mesh(MemoryStore(), corners.astype("f8"), [[0, 1, 2]], encoding="draco")


def refused() -> Iterator[Any]:
    for dtype in ("f8", "f2", "i4", ">f4"):
        yield zv.Points(np.ones((4, 3), dtype=dtype)), "dtype='float32'"
    yield zv.Points(np.ones((4, 2), dtype="f4")), "2-D float32"


@pytest.mark.parametrize(("value", "message"), list(refused()))
@pytest.mark.parametrize("streamed", [False, True])
def test_other_positions_are_refused_before_anything_is_written(
    tmp_path: Path, value: Any, message: str, streamed: bool
) -> None:
    with pytest.raises(InputError, match=message):
        zv.write(tmp_path / "store", iter([value]) if streamed else value, layout=LAYOUT)
    assert not (tmp_path / "store").exists()


def test_a_given_dtype_accepts_the_rounding() -> None:
    value = zv.Points(np.random.default_rng(0).random((20, 3)))
    assert zv.write(MemoryStore(), value, layout=LAYOUT, dtype="float32").max_error is not None


@pytest.mark.parametrize("bits", [0, 31, -1, 2.5, True, "11", None])
def test_bits_out_of_range_are_refused(bits: Any) -> None:
    with pytest.raises(InputError, match="draco_quantization_bits"):
        zv.Layout(vertex_encoding="draco", draco_quantization_bits=bits)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(InputError, match="draco, raw"):
        zv.Layout(vertex_encoding="zip")


@pytest.mark.parametrize("bits", [1, 24, 30])
@pytest.mark.parametrize("shift", [0.0, 5e5, -1e7])
def test_any_number_of_bits_works_anywhere(bits: int, shift: float) -> None:
    store = MemoryStore()
    value = cloud(200)
    value = dataclasses.replace(value, positions=(value.positions.astype("f8") + shift).astype("f4"))
    zv.write(store, value, layout=zv.Layout(vertex_encoding="draco", draco_quantization_bits=bits, chunk_shape=5))
    level = zv.open(store)[0]
    got = level.read()
    moved = np.abs(got.positions.astype("f8") - value.positions[got.attributes["row"]]).max()
    assert moved == level.max_error
    assert moved <= 2.5 if bits == 1 else moved <= max(5 / 2**bits, 2 * np.spacing(np.float32(abs(shift) + 8)))


def test_flat_and_single_positions() -> None:
    for positions in (np.zeros((1, 3)), np.full((7, 3), 5.5), np.eye(3)[:1] * 1e-20):
        store = MemoryStore()
        value = zv.Points(positions.astype("f4"))
        zv.write(store, value, layout=zv.Layout(vertex_encoding="draco"))
        level = zv.open(store)[0]
        assert level.max_error is not None
        moved = level.read().positions.astype("f8") - value.positions
        assert np.abs(moved).max() == level.max_error
    far = zv.Points(np.array([[3e38, 0, 0], [-3e38, 0, 0]], dtype="f4"))
    with pytest.raises(InputError, match="quantised"):
        zv.write(MemoryStore(), far, layout=zv.Layout(vertex_encoding="draco"))


def test_without_the_library_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    zv.write(tmp_path / "old", cloud(10), layout=LAYOUT)
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(MissingDependencyError, match=r"zarr-vectors\[draco\]"):
        zv.write(tmp_path / "new", cloud(10), layout=LAYOUT)
    assert not (tmp_path / "new").exists()
    with pytest.raises(MissingDependencyError):
        zv.open(tmp_path / "old")[0].read()
    with pytest.raises(MissingDependencyError):
        zv.write(tmp_path / "old", cloud(10), mode="append")


def bitstreams(place: Path) -> list[Path]:
    return sorted(path for path in (place / "0/vertices/c").rglob("*") if path.is_file())


def damaged(place: Path, change: Any) -> tuple[AnyArray, zv.ZVLevel]:
    """A store of which one bitstream has been changed, and its rows before."""
    layout = dataclasses.replace(LAYOUT, shard_shape=None, compressor=[])
    zv.write(place, cloud(300), layout=layout)
    before = zv.open(place)[0].read().attributes["row"]
    change(bitstreams(place)[2])
    return before, zv.open(place)[0]


@pytest.mark.parametrize("at", range(8, 17))
def test_a_damaged_header_is_named_and_the_rest_is_read(tmp_path: Path, at: int) -> None:
    before, level = damaged(tmp_path / "store", lambda path: flip(path, at))
    with pytest.raises(CorruptionError, match="0/vertices") as caught:
        level.read()
    assert caught.value.cell is not None
    rest = level.read(strict=False)
    assert 0 < rest.vertex_count < len(before)
    assert str(caught.value.cell) in rest.errors[0]


@fewer_examples(2)
@given(at=st.integers(8, 400), cut=st.booleans())
def test_no_damage_ends_the_interpreter(tmp_path_factory: pytest.TempPathFactory, at: int, cut: bool) -> None:
    def change(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: at % len(data)] if cut else data)
        if not cut:
            flip(path, at)

    before, level = damaged(tmp_path_factory.mktemp("damaged") / "store", change)
    got = level.read(strict=False)
    assert got.vertex_count == len(before) or got.errors


def test_a_cell_with_rows_of_another_is_corrupt(tmp_path: Path) -> None:
    def swap(path: Path) -> None:
        cells = bitstreams(tmp_path / "store")
        path.write_bytes(next(other for other in cells if other.stat().st_size != path.stat().st_size).read_bytes())

    _, level = damaged(tmp_path / "store", swap)
    with pytest.raises(CorruptionError, match=r"points for \d+ rows"):
        level.read()
    assert len(level.read(strict=False).errors) == 1


def test_what_the_document_says() -> None:
    store = MemoryStore()
    zv.write(store, cloud(50), layout=LAYOUT)
    opened = zv.open(store)
    (level,) = opened.info()["levels"]
    assert level["vertex_encoding"] == "draco"
    assert json.loads(json.dumps(level["draco"])) == {
        "quantization_bits": BITS,
        "step": 4 / (2**BITS - 1),
        "max_error": opened[0].max_error,
    }
