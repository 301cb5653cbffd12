"""Coarser lines, against a plain recursion and against the distance of every vertex to the whole coarse line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.geometry import Categorical, Lines, Polylines
from zarr_vectors.pyramid import simplify as module
from zarr_vectors.pyramid.coarse import Coarse, Policy
from zarr_vectors.pyramid.distances import distance_to_segments
from zarr_vectors.pyramid.lines import coarsen_lines
from zarr_vectors.typing import AnyArray, FloatArray


def policy(*bins: float) -> Policy:
    return Policy(bins=np.array(bins))


def to_line(points: FloatArray, line: FloatArray) -> float:
    """The distance of the farthest of some points to the nearest place of a line."""
    if not len(points):
        return 0.0
    starts, ends = (line[:-1], line[1:]) if len(line) > 1 else (line, line)
    point, segment = (grid.ravel() for grid in np.meshgrid(np.arange(len(points)), np.arange(len(starts))))
    away = distance_to_segments(points[point], starts[segment], ends[segment])
    return float(away.reshape(len(starts), len(points)).min(axis=0).max())


def true_error(fine: Polylines, coarse: Polylines) -> float:
    pairs = zip(fine.lines(), coarse.lines(), strict=True)
    return max((to_line(old.astype(float), line.astype(float)) for old, line in pairs), default=0.0)


def by_recursion(line: FloatArray, first: int, last: int) -> set[int]:
    """Rows that are kept of a line that is not closed, in units of bins."""
    if last - first < 2:
        return {first, last}
    inner = line[first + 1 : last]
    away = distance_to_segments(inner, np.tile(line[first], (len(inner), 1)), np.tile(line[last], (len(inner), 1)))
    far = first + 1 + int(np.argmax(away))
    if away.max() <= 0.5:
        return {first, last}
    return by_recursion(line, first, far) | by_recursion(line, far, last)


@st.composite
def polylines(draw: st.DrawFn) -> Polylines:
    sizes = draw(st.lists(st.integers(0, 12), max_size=6))
    axes = draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.float16, np.int16, np.uint8, np.int64]))
    low = 0 if np.dtype(dtype).kind == "u" else -6
    number = st.integers(low, 6)
    flat = draw(st.lists(number, min_size=sum(sizes) * axes, max_size=sum(sizes) * axes))
    positions = np.array(flat, dtype=dtype).reshape(-1, axes)
    ids = draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)))
    return Polylines(
        positions,
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        ids=np.array(ids, dtype=np.int64),
        attributes={"row": np.arange(len(positions), dtype=np.uint16)},
    )


def check(value: Polylines, coarse: Coarse) -> AnyArray:
    """What holds for every coarser value of lines; gives the rows that were kept."""
    lines = coarse.value
    assert isinstance(lines, Polylines)
    rows = np.asarray(lines.attributes["row"]).astype(np.int64)
    assert lines.positions.dtype == value.positions.dtype
    np.testing.assert_array_equal(lines.positions, value.positions[rows])
    assert lines.line_ids.tolist() == value.line_ids.tolist()
    for number in range(value.line_count):
        old = np.arange(value.offsets[number], value.offsets[number + 1])
        new = rows[lines.offsets[number] : lines.offsets[number + 1]]
        assert (np.diff(new) > 0).all()
        assert set(new) <= set(old)
        assert old[:1].tolist() == new[:1].tolist()
        assert old[-1:].tolist() == new[-1:].tolist()
    assert coarse.parents[rows].tolist() == list(range(len(rows)))
    _check_parents(value, rows, coarse.parents)
    assert coarse.counts is None
    return rows


def _check_parents(value: Polylines, rows: AnyArray, parents: AnyArray) -> None:
    """Each vertex has the nearer of the two kept vertices around it, the first where both are as near."""
    points = value.positions.astype(float)
    right = np.minimum(np.searchsorted(rows, np.arange(len(points))), max(0, len(rows) - 1))
    for row in set(range(len(points))) - set(rows.tolist()):
        two = np.array([right[row] - 1, right[row]])
        away = np.sum((points[rows[two]] - points[row]) ** 2, axis=1)
        assert parents[row] == two[np.argmin(away)]


@given(polylines(), st.sampled_from([0.5, 2.0, 5.0]), st.booleans())
def test_against_a_recursion(value: Polylines, size: float, wide: bool) -> None:
    bins = np.full(value.ndim, size)
    bins[-1] *= 3 if wide else 1
    coarse = coarsen_lines(value, Policy(bins=bins))
    rows = check(value, coarse)
    scaled = value.positions.astype(float) / bins
    for first, last in zip(value.offsets[:-1], value.offsets[1:] - 1, strict=True):
        if last - first < 3 or not (scaled[first] == scaled[last]).all():
            wanted = by_recursion(scaled, first, last) if last > first else set(range(first, last + 1))
            assert {row for row in rows.tolist() if first <= row <= last} == wanted
    true = true_error(value, coarse.value)  # type: ignore[arg-type]
    assert coarse.error >= true - 1e-9
    assert coarse.error <= 0.5 * bins.max() + 1e-9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("far", [0, 1e6])
def test_the_error_of_random_walks(dtype: Any, axes: int, far: float) -> None:
    rng = np.random.default_rng(axes)
    walks = (np.cumsum(rng.normal(size=(10, 200, axes)), axis=1) + far).astype(dtype)
    value = Polylines(walks, attributes={"row": np.arange(2000)})
    for size in (2.0, 8.0, 40.0):
        coarse = coarsen_lines(value, policy(*[size] * axes))
        check(value, coarse)
        true = true_error(value, coarse.value)  # type: ignore[arg-type]
        assert true * (1 - 1e-12) <= coarse.error <= 3 * true
        assert coarse.value.vertex_count < 3000 / size


def test_what_is_kept_of_a_line_depends_on_it_alone() -> None:
    rng = np.random.default_rng(1)
    walks = [np.cumsum(rng.normal(size=(size, 3)), axis=0) for size in rng.integers(0, 300, 50)]
    together = coarsen_lines(Polylines(walks), policy(3, 3, 3))
    for number, walk in enumerate(walks):
        alone = coarsen_lines(Polylines(walk, [0, len(walk)]), policy(3, 3, 3)).value.positions
        np.testing.assert_array_equal(alone, together.value.line(number))  # type: ignore[attr-defined]


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    sizes = [0, 5, 0, 0, 700, 1, 30, 30, 0]
    value = Polylines(
        np.cumsum(rng.normal(size=(sum(sizes), 2)), axis=0), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    )
    whole = coarsen_lines(value, policy(2, 2))
    monkeypatch.setattr(module, "_BLOCK_ROWS", 40)
    parts = coarsen_lines(value, policy(2, 2))
    assert parts.value == whole.value
    assert (parts.parents == whole.parents).all()
    assert parts.error == whole.error


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int64, np.uint64, np.float16])
def test_differences_of_narrow_types_do_not_wrap(dtype: Any) -> None:
    line = np.array([[120, 100], [125, 100], [100, 100], [50, 100], [0, 100], [0, 50], [0, 0]], dtype=dtype)
    value = Polylines(line, [0, 7], attributes={"row": np.arange(7)})
    coarse = coarsen_lines(value, policy(20, 20))
    assert check(value, coarse).tolist() == [0, 4, 6]
    assert coarse.error == 5


@pytest.mark.parametrize(
    ("ring", "kept"),
    [
        ([[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]], [0, 1, 2, 3, 4]),
        # Thin, so that without the rule it would go to one corner and back.
        ([[0, 0], [4, 0.1], [9, 0], [4, -0.3], [0, 0]], [0, 2, 3, 4]),
        ([[0, 0], [4, 0], [9, 0], [4, 0], [0, 0]], [0, 1, 2, 4]),
        ([[0, 0], [9, 0], [0, 0], [9, 0], [0, 0]], [0, 1, 2, 3, 4]),
        ([[0, 0], [9, 0], [0, 0]], [0, 1, 2]),
        ([[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1], [0, 0]], [0, 4]),
    ],
)
def test_closed_lines_stay_open_in_the_middle(ring: list[list[float]], kept: list[int]) -> None:
    between = np.array([[0.0, 0], [50, 0]])
    positions = np.concatenate([ring, between, ring])
    offsets = np.cumsum([0, len(ring), 2, len(ring)])
    value = Polylines(positions, offsets, attributes={"row": np.arange(len(positions))})
    rows = check(value, coarsen_lines(value, policy(1, 1)))
    last = [row + len(ring) + 2 for row in kept]
    assert rows.tolist() == [*kept, len(ring), len(ring) + 1, *last]


def test_attributes_stay_and_tables_go() -> None:
    value = Polylines(
        [[[0, 0], [5, 0], [9, 0]]],
        kind="streamline",
        ids=[7],
        axes="yx",
        attributes={"t": np.arange(3, dtype=np.uint8), "c": Categorical.from_values(["a", "b", None])},
        object_attributes={"length": [9.0]},
        groups={0: [7]},
        row_ids=[4, 5, 6],
    )
    lines = coarsen_lines(value, policy(1, 1)).value
    assert isinstance(lines, Polylines)
    assert (lines.kind, lines.line_ids.tolist(), lines.axes) == ("streamline", [7], value.axes)
    assert np.asarray(lines.attributes["t"]).tolist() == [0, 2]
    assert lines.attributes["t"].dtype == np.uint8
    assert np.asarray(lines.attributes["c"]).tolist() == ["a", None]
    assert not lines.object_attributes
    assert not lines.groups
    assert lines.row_ids is None


def test_lines_between_two_points_stay() -> None:
    value = Lines(np.arange(12, dtype=np.float32).reshape(3, 2, 2), ids=[3, 1, 2], attributes={"w": np.arange(6)})
    coarse = coarsen_lines(value, policy(100, 100))
    assert coarse.value == value
    assert coarse.parents.tolist() == list(range(6))
    assert coarse.error == 0


@pytest.mark.parametrize("lines", [0, 3])
def test_no_vertices(lines: int) -> None:
    coarse = coarsen_lines(Polylines(np.empty((0, 3), np.float32), [0] * (lines + 1)), policy(1, 1, 1))
    assert isinstance(coarse.value, Polylines)
    assert coarse.value.offsets.tolist() == [0] * (lines + 1)
    assert (len(coarse.parents), coarse.error) == (0, 0.0)


def test_a_spiral_is_not_unrolled_turn_by_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    farthest = module._farthest

    def counted(bent: AnyArray, first: AnyArray, last: AnyArray) -> Any:
        looked_at.append(int((last - first).sum()))
        return farthest(bent, first, last)

    monkeypatch.setattr(module, "_farthest", counted)
    turn = np.linspace(0, 4000 * np.pi, 20_000)
    spiral = np.stack([turn * np.cos(turn), turn * np.sin(turn)], axis=1)
    value = Polylines([spiral], attributes={"row": np.arange(len(spiral))})
    coarse = coarsen_lines(value, policy(1, 1))
    check(value, coarse)
    assert coarse.error <= 0.5
    assert len(looked_at) < 64 + 2 * 16
    assert sum(looked_at) < 100 * len(spiral)
