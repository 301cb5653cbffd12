"""Presence lists: which cells there are, told by table, by number and by key."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.presence import PresenceText
from zarr_vectors.spatial.grid import Grid, format_keys
from zarr_vectors.storage.present import PresentCells

LENGTHS = ([1, 2, 3], [1, 3, 10**6, 2**40])
"""Of grids that are worth a table, and of others."""


def present(coords: Any, grid: Grid, *, as_text: bool) -> PresentCells:
    keys = format_keys(np.array(coords, dtype=np.int64).reshape(-1, len(grid.shape)))
    text = PresenceText.of(json.dumps(keys, separators=(",", ":")).encode())
    return PresentCells(text if as_text and text is not None else keys, grid, "0/vertices", "memory://")


@st.composite
def grids_and_cells(draw: st.DrawFn) -> tuple[Grid, list[tuple[int, ...]]]:
    lengths = draw(st.sampled_from(LENGTHS))
    axes = draw(st.lists(st.tuples(st.integers(-9, 9), st.sampled_from(lengths)), min_size=1, max_size=3))
    grid = Grid(tuple(start for start, _ in axes), tuple(length for _, length in axes))
    cell = st.tuples(*(st.integers(start, start + min(length, 6) - 1) for start, length in axes))
    return grid, draw(st.lists(cell, unique=True, max_size=20))


@given(grids_and_cells(), st.booleans(), st.data())
def test_cells_of_a_block_are_those_that_are_listed(
    found: tuple[Grid, list[tuple[int, ...]]], as_text: bool, data: st.DataObject
) -> None:
    grid, coords = found
    cells = present(coords, grid, as_text=as_text)
    origin = tuple(data.draw(st.integers(start - 3, start + 4)) for start in grid.origin)
    block = Grid(origin, tuple(data.draw(st.integers(1, 9)) for _ in origin))
    inside = [
        coord
        for coord in sorted(coords)
        if all(low <= n < low + length for n, low, length in zip(coord, block.origin, block.shape, strict=True))
    ]
    assert list(map(tuple, cells.within(block).tolist())) == inside
    assert list(map(tuple, cells.coords.tolist())) == sorted(coords)
    asked = block.all_coords()
    assert cells.has(asked).tolist() == [tuple(coord) in set(coords) for coord in asked.tolist()]
    assert cells.count == len(coords)


@given(st.integers(0, 2**32), st.booleans(), st.data())
def test_a_small_block_of_a_long_list_is_found_whatever_its_order(
    seed: int, in_order: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    grid = Grid((-3, 95), (12, 30))
    listed = grid.all_coords()[rng.random(grid.cells) < data.draw(st.sampled_from([0.5, 0.97, 1.0]))]
    keys = format_keys(listed)
    keys = sorted(keys) if in_order else [keys[number] for number in rng.permutation(len(keys))]
    text = PresenceText.of(json.dumps(keys, separators=(",", ":")).encode())
    cells = PresentCells(text, grid, "0/vertices", "memory://")
    for _ in range(3):
        origin = (data.draw(st.integers(-4, 8)), data.draw(st.integers(94, 124)))
        block = Grid(origin, (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 12))))
        assert cells.within(block).tolist() == listed[block.contains(listed)].tolist()


def test_a_small_block_of_a_long_list_is_found_without_parsing_it() -> None:
    grid = Grid((-3, 95), (12, 30))
    text = PresenceText.of(json.dumps(sorted(format_keys(grid.all_coords())), separators=(",", ":")).encode())
    cells, block = PresentCells(text, grid, "0/vertices"), Grid((-1, 98), (3, 4))
    assert cells.within(block).tolist() == block.all_coords().tolist()
    assert not {"_table", "_parsed", "keys"} & set(vars(cells))


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("length", [4, 10**6, 2**62])
@pytest.mark.parametrize(
    ("coords", "told"), [([[0, 1], [0, 1]], "twice|each once|malformed"), ([[0, 1], [-1, 0]], "outside the grid")]
)
def test_lists_that_cannot_be_are_refused(coords: Any, told: str, length: int, as_text: bool) -> None:
    cells = present(coords, Grid((0, 0), (4, length)), as_text=as_text)
    with pytest.raises(MetadataError, match=told):
        cells.within(Grid((0, 0), (4, 4)))
    with pytest.raises(MetadataError, match=told):
        _ = cells.coords


def test_without_a_list_nothing_can_be_told() -> None:
    cells = PresentCells(None, Grid((0, 0), (4, 4)), "0/vertices")
    assert (cells.count, cells.keys) == (None, None)
    for ask in (lambda: cells.within(Grid((0, 0), (1, 1))), lambda: cells.has(np.zeros((1, 2), np.int64))):
        with pytest.raises(MetadataError, match="no presence list"):
            ask()
