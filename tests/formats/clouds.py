"""Point clouds that the tests of the formats share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zarr_vectors.geometry import Categorical, Column, Geometry, Points
from zarr_vectors.typing import AnyArray


def cloud(positions: Any, attributes: Any = None, object_ids: Any = None, **options: Any) -> Points:
    """``Points`` of whatever it takes; its signature asks for arrays."""
    return Points(positions, attributes or {}, object_ids, **options)


def coded(codes: Any, *categories: Any) -> Categorical:
    """Categories by code."""
    return Categorical(np.asarray(codes, dtype=np.int8), categories)


def joined(values: Sequence[Geometry]) -> Points:
    """All batches as one value, after a check of what they must have in common."""
    batches = [value for value in values if isinstance(value, Points)]
    assert len(batches) == len(values)
    first = batches[0]
    for batch in batches[1:]:
        assert list(batch.attributes) == list(first.attributes)
        assert batch.axes == first.axes
        assert batch.positions.dtype == first.positions.dtype
        for name, column in batch.attributes.items():
            assert type(column) is type(first.attributes[name])
            assert column.dtype == first.attributes[name].dtype
    attributes: dict[str, Column] = {}
    for name, column in first.attributes.items():
        columns = [batch.attributes[name] for batch in batches]
        if isinstance(column, Categorical):
            last = columns[-1]
            assert isinstance(last, Categorical)
            codes = [part.codes for part in columns if isinstance(part, Categorical)]
            attributes[name] = Categorical(np.concatenate(codes), last.categories, last.ordered)
        else:
            attributes[name] = np.concatenate([np.asarray(part) for part in columns])
    ids = None if first.object_ids is None else np.concatenate([np.asarray(batch.object_ids) for batch in batches])
    return Points(np.concatenate([b.positions for b in batches]), attributes, ids, axes=first.axes)


def text(points: Points, name: str) -> list[Any]:
    """The values of a text attribute."""
    column = points.attributes[name]
    assert isinstance(column, Categorical)
    return list(np.asarray(column).tolist())


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6).map(lambda tail: "w" + tail)
"""Text that no reader takes for a number, a boolean or a missing value."""


def categorical(values: list[str | None]) -> Categorical:
    return Categorical.from_values(np.array([*values, None], dtype=object)[:-1])


def clouds(
    draw: Callable[[Any], Any], *, words: st.SearchStrategy[str] = WORDS, missing: bool = True, times: bool = False
) -> Points:
    """Draw a cloud with up to 30 points, 2 or 3 axes and attributes of every kind."""
    rows = draw(st.integers(0, 30))
    ndim = draw(st.integers(2, 3))

    def array(dtype: Any, *shape: int) -> AnyArray:
        drawn: AnyArray = draw(hnp.arrays(dtype, (rows, *shape)))
        return drawn

    def texts() -> Categorical:
        return categorical(draw(st.lists(st.none() | words if missing else words, min_size=rows, max_size=rows)))

    columns: dict[str, Callable[[], Any]] = {
        "i": lambda: array(np.int64),
        "u": lambda: array(np.uint64),
        "s": lambda: array(np.int8, 2),
        "f": lambda: array(np.float64),
        "g": lambda: array(np.float32, 3),
        # Drawn as bits: hypothesis rejects most floats that it draws for 16 bits.
        "h": lambda: array(np.uint16).view(np.float16),
        "b": lambda: array(np.bool_),
        "n": texts,
    }
    if times:
        columns |= {"when": lambda: array("M8[ns]"), "took": lambda: array("m8[ms]", 2)}
    kept = draw(st.sets(st.sampled_from(sorted(columns))))
    return Points(
        array(draw(st.sampled_from([np.float64, np.float32, np.int64, np.int16])), ndim),
        {name: column() for name, column in columns.items() if name in kept},
        array(np.int64) if draw(st.booleans()) else None,
    )


def assert_same(back: Any, given: Any) -> None:
    """Compare after a cast to the dtype of ``given``; floats must have stayed floats, unless there are none."""
    back, given = np.asarray(back), np.asarray(given)
    assert not given.size or (back.dtype.kind == "f") == (given.dtype.kind == "f")
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(back.astype(given.dtype), given)


def assert_equal(back: Points, given: Points) -> None:
    """Compare values and dtypes."""
    assert back == given
    assert back.positions.dtype == given.positions.dtype
    for name, column in given.attributes.items():
        other = back.attributes[name]
        assert type(other) is type(column)
        if not isinstance(column, Categorical):
            assert other.dtype == column.dtype
            assert other.shape == column.shape
