"""Parts of lines: which vertices are of which, and ids that agree between levels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.rechunk.parts import LineRuns, number_parts


def runs(*told: tuple[int, int, int]) -> LineRuns:
    """Runs by line, first number and length."""
    return LineRuns(*(np.array(column, dtype=np.int64) for column in zip(*told, strict=True)))


def test_the_nth_part_of_a_line_has_the_same_id_on_every_level() -> None:
    fine = runs((7, 4, 2), (5, 8, 1), (5, 0, 2), (5, 2, 1), (7, 0, 1), (5, 4, 3)).parts()
    coarse = runs((5, 1, 2), (7, 3, 1), (7, 0, 1), (7, 5, 1)).parts()
    new = number_parts([fine, coarse], 10)
    assert (new.ids.tolist(), new.lines.tolist()) == ([10, 11, 12, 13], [5, 5, 7, 7])
    assert list(zip(fine.ids.tolist(), fine.starts.tolist(), strict=True)) == [
        (5, 0),
        (10, 4),
        (11, 8),
        (7, 0),
        (12, 4),
    ]
    assert list(zip(coarse.ids.tolist(), coarse.starts.tolist(), strict=True)) == [(5, 1), (7, 0), (12, 3), (13, 5)]


@given(st.lists(st.tuples(st.integers(-4, 4), st.lists(st.booleans(), min_size=1, max_size=9)), max_size=5))
def test_every_vertex_finds_its_part(lines: list[tuple[int, list[bool]]]) -> None:
    kept = {line: stays for line, stays in lines if any(stays)}
    rows = [(line, n) for line, stays in kept.items() for n, stay in enumerate(stays) if stay]
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    parts = LineRuns.of_rows(table[:, 0], table[:, 1]).parts()
    number_parts([parts], 100)
    ids, numbers = parts.of(table[:, 0], table[:, 1])
    for row, (line, n) in enumerate(rows):
        continues = n > 0 and kept[line][n - 1]
        assert (numbers[row] > 0) == continues
        if continues:
            assert (ids[row], numbers[row]) == (ids[row - 1], numbers[row - 1] + 1)
        else:
            assert (ids[row] == line) == (not any(kept[line][:n]))
