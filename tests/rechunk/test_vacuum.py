"""A vacuum of what this library has written leaves every byte as it is, and so all that anybody reads."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.rechunk.shapes import KINDS, LAYOUTS, values, write
from tests.storage.stores import fewer_examples
from zarr_vectors.pyramid import PyramidOptions, build_levels
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend

NUMBERS = itertools.count()


def stored(url: str) -> dict[str, bytes]:
    """All stored objects, but for what documents say, and the stamps of the cell index, which tell times."""
    storage = Storage(open_backend(url))
    keys = [key for key in storage.list_keys("", recursive=True) if "cell_index/" not in key]
    found = {get.path: bytes(data or b"") for get, data in storage.fetch(map(Get, keys)).items()}
    return {key: b"" if key.endswith("zarr.json") else data for key, data in found.items()}


def check(url: str) -> None:
    before = stored(url)
    store = zv.open(url, "r+")
    value = [level.read() for level in store]
    done = store.vacuum()
    assert (done.rows_dropped, done.objects_dropped) == (0, 0)
    assert stored(url) == before
    assert [level.read() for level in zv.open(url)] == value
    assert zv.validate(url).ok


@pytest.mark.parametrize("kind", KINDS)
@fewer_examples(8)
@given(data=st.data(), layout=LAYOUTS)
def test_nothing_changes(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    url = f"memory://vacuumed-{next(NUMBERS)}"
    write(url, data.draw(values(kind)), layout)
    check(url)


@pytest.mark.parametrize("kind", ["points", "skeleton"])
@fewer_examples(10)
@given(data=st.data())
def test_links_between_levels_stay(kind: str, data: st.DataObject) -> None:
    url = f"memory://vacuumed-{next(NUMBERS)}"
    value = data.draw(values(kind, 2).filter(lambda one: one.vertex_count > 3))
    write(url, value, zv.Layout(chunk_shape=6))
    build_levels(Storage(open_backend(url)), PyramidOptions(factors=[(2.0, 1.0)], cross_level_storage="explicit"))
    assert any("links/+1" in key for key in stored(url))
    check(url)
