"""Values that come one after another make the store that all of them in one value would have made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.connected import KINDS, LINKED, assert_same, of_objects, rebuilt, stored, values
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Graph, Mesh, Polylines, Skeleton
from zarr_vectors.types import links, sort, spill

kinds = pytest.mark.parametrize("kind", KINDS)
FEW = settings(max_examples=settings().max_examples // 5)


def in_parts(value: Any, cuts: list[int]) -> list[Any]:
    """The value as several: lines at any place, others between objects and components."""
    if isinstance(value, Polylines):
        count = value.line_count
        value = value if value.ids is not None else value.take(slice(None))
        ends = sorted({min(cut, count) for cut in cuts} | {0, count})
        parts = [value.take(slice(a, b)) for a, b in pairwise(ends)]
        return parts or [value]
    component = components(value)
    groups = [np.isin(component, [c for c in set(component) if (c % len(cuts)) == k]) for k in range(len(cuts))]
    return [value.within(group) for group in groups]


def components(value: Any) -> list[int]:
    """The least row that each vertex is connected with."""
    label = list(range(value.vertex_count))
    for _ in label:
        for ends in value.links.tolist():
            least = min(label[row] for row in ends)
            for row in ends:
                label[row] = least
    return label


def small_steps(patch: pytest.MonkeyPatch, rows: int) -> None:
    patch.setattr(spill, "_IN_MEMORY_ROWS", 5)
    patch.setattr(spill, "_GROUP_ROWS", rows)
    patch.setattr(sort, "_PART_ROWS", rows)
    patch.setattr(links, "_IN_MEMORY_RECORDS", rows)


@kinds
@FEW
@given(st.data(), st.sampled_from([1, 5, 10**6]), st.sampled_from([None, 2, "auto"]))
def test_a_stream_reads_as_one_value_would(kind: str, data: st.DataObject, rows: int, shard: Any) -> None:
    native = ["f2", "f4", "f8", "i2", "i8"]
    value = data.draw(values(kind, dtypes=native, **({"most": 16} if kind in LINKED else {})))
    parts = in_parts(value, data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4)))
    layout = zv.Layout(chunk_shape=3, shard_shape=shard, keep_order=True, compressor="none")
    place = MemoryStore()
    with pytest.MonkeyPatch.context() as patch:
        small_steps(patch, rows)
        zv.write(place, iter(parts), layout=layout)
    level = zv.open(place)[0]
    got = level.read()
    assert_same(got, value)
    assert sorted(got.row_ids.tolist()) == list(range(value.vertex_count))
    given_rows = np.concatenate([np.asarray(part.attributes["row"]) for part in parts]).astype(int)
    assert given_rows[got.row_ids].tolist() == np.asarray(got.attributes["row"]).tolist()


@kinds
def test_a_long_stream_is_the_same_store_in_other_steps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = list(many(kind))
    layout = zv.Layout(chunk_shape=15, shard_shape=2, keep_order=True)
    whole = stored(iter(parts), layout).read()
    small_steps(monkeypatch, 37)
    again = stored(iter(parts), layout).read()
    assert again == whole
    assert again.vertex_count == sum(part.vertex_count for part in parts)


def many(kind: str) -> Iterator[Any]:
    """Twelve values of one object each."""
    rng = np.random.default_rng(2)
    for one in range(12):
        at = np.cumsum(rng.normal(0, 2, (30, 3)), axis=0)
        columns: dict[str, Any] = {"row": np.arange(30) + 30 * one}
        tables: dict[str, Any] = {"object_attributes": {"n": [one * 1.5]}, "groups": {one % 2: [one]}}
        if kind == "line":
            yield zv.Lines(at[:2][None], ids=np.array([one]), attributes={"row": np.arange(2) + 2 * one}, **tables)
        elif kind in {"polyline", "streamline"}:
            yield Polylines([at], ids=[one], kind=kind, attributes=columns, **tables)
        else:
            tables |= {"attributes": columns, "object_ids": np.full(30, one)}
            if kind == "skeleton":
                yield Skeleton(at, [-1, *(int(rng.integers(0, row)) for row in range(1, 30))], **tables)
            elif kind == "graph":
                yield Graph(at, rng.integers(0, 30, (40, 2)), edge_attributes={"w": rng.normal(size=40)}, **tables)
            else:
                named = {"t": np.array(["a", "b", None, str(one)] * 10, dtype=object)}
                yield Mesh(at, rng.integers(0, 30, (40, 3)), face_attributes=named, **tables)


@kinds
def test_tables_of_all_values_are_united(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch, 20)
    level = stored(many(kind), zv.Layout(chunk_shape=15))
    got = level.read()
    assert got.objects.tolist() == list(range(12))
    assert np.asarray(got.object_attributes["n"]).tolist() == [one * 1.5 for one in range(12)]
    assert {group: ids.tolist() for group, ids in got.groups.items()} == {
        0: list(range(0, 12, 2)),
        1: list(range(1, 12, 2)),
    }
    parts = list(many(kind))
    assert_same(level.read(object_ids=[7]), of_objects(parts[7], [7]))


@kinds
@pytest.mark.parametrize("rows", [5, 10**6])
def test_a_stream_of_several_kinds_is_refused_before_anything_is_there(
    kind: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    small_steps(monkeypatch, rows)
    first, second, *_ = many(kind)
    with pytest.raises(InputError, match="kind of item 2"):
        zv.write(tmp_path / "s", iter([first, second, zv.Points(first.positions)]))
    assert not (tmp_path / "s").exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("rows", [5, 10**6])
def test_a_line_in_two_values_of_a_stream_is_told(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch, rows)
    line = Polylines(np.random.default_rng(0).normal(size=(60, 2)), [0, 30, 60], ids=[3, 4])
    with pytest.raises(InputError, match="4"):
        zv.write(tmp_path / "s", iter([line, line.take(slice(1, 2))]))
    assert not (tmp_path / "s").exists()


def test_lines_without_ids_are_numbered_on_through_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch, 5)
    line = Polylines(np.arange(40.0).reshape(20, 2), [0, 7, 7, 20], attributes={"row": np.arange(20)})
    got = stored(iter([line, line, line]), zv.Layout(chunk_shape=10)).read()
    assert got.line_ids.tolist() == list(range(9))
    assert got.lengths.tolist() == [7, 0, 13] * 3
    assert rebuilt(line, list(range(20)), [7, 0, 13], [0, 1, 2]).positions.tolist() == got.positions[:20].tolist()
