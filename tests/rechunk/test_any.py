"""Whatever a store holds, and by whatever it is rechunked: its content stays, and lies in the right chunks."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import of_objects
from tests.rechunk.shapes import (
    KINDS,
    LAYOUTS,
    assert_same_rows,
    expected_bins,
    ids_of,
    narrowed,
    rows_by_chunk,
    specs,
    tables_of,
    values,
    write,
)
from tests.storage.stores import fewer_examples

SOME = fewer_examples(10)


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(data=st.data())
def test_everything_stays(kind: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_everything(kind, data, f"{folder}/store")


def check_everything(kind: str, data: st.DataObject, place: str) -> None:
    value = data.draw(values(kind))
    write(place, value, data.draw(LAYOUTS))
    before = zv.open(place)[0]
    whole, tables = before.read(), tables_of(before)
    for _ in range(data.draw(st.integers(1, 2))):
        spec = data.draw(specs(value))
        report = zv.rechunk(place, spec)
        level = zv.open(place)[0]
        got = level.read()
        assert_same_rows(narrowed(got, whole), whole)
        assert tables_of(level) == tables
        assert sorted([] if got.row_ids is None else got.row_ids) == sorted(
            [] if whole.row_ids is None else whole.row_ids
        )
        assert report["total_vertices"] == level.vertex_count == value.vertex_count
        check_chunks(level, spec, whole, report)
    ids = ids_of(value)
    if ids:
        wanted = data.draw(st.lists(st.sampled_from(ids), unique=True, max_size=3))
        assert_same_rows(narrowed(level.read(object_ids=wanted), whole), of_objects(whole, wanted))


def check_chunks(level: zv.ZVLevel, spec: zv.RechunkSpec, whole: Any, report: dict[str, Any]) -> None:
    """Every vertex lies in the chunk of its place and of its bin."""
    if spec.spatial_chunk_shape is not None:
        assert np.array_equal(level.chunk_shape, spec.spatial_chunk_shape)
    shape = np.asarray(level.chunk_shape, dtype=np.float64)
    lead = 0 if spec.by == "spatial" else 1
    bins = expected_bins(spec, whole)
    used = set()
    for key, rows in rows_by_chunk(level):
        assert len(key) == len(shape) + lead
        places = np.floor(rows.positions.astype(np.float64) / shape)
        assert (places == np.array(key[lead:])).all()
        if lead:
            used.add(key[0])
            assert {bins[int(row)] for row in rows.attributes["row"]} == {key[0]}
    assert report["bins_created"] == (len(used) if lead else 1)


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(data=st.data())
def test_boxes_bring_what_they_bring_of_a_store_that_was_never_rechunked(kind: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_boxes(kind, data, f"{folder}/store", f"{folder}/plain")


def check_boxes(kind: str, data: st.DataObject, place: str, plain: str) -> None:
    value = data.draw(values(kind, dtypes=["f4", "f8", "i4"]))
    write(place, value, data.draw(LAYOUTS))
    write(plain, value)
    zv.rechunk(place, data.draw(specs(value)))
    low = np.array(data.draw(st.lists(st.integers(-8, 8), min_size=value.ndim, max_size=value.ndim)), dtype=float)
    box = (low, low + data.draw(st.integers(0, 8)))
    for mode in ("vertices", "objects"):
        expected = zv.open(plain)[0].read(box, mode=mode)
        got = narrowed(zv.open(place)[0].read(box, mode=mode), expected)
        assert_same_rows(replace(got, row_ids=None), expected)
