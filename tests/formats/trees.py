"""Graphs and skeletons that the tests of the formats share, and a level that hands out what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from hypothesis import strategies as st

from zarr_vectors.api.described import ObjectTable
from zarr_vectors.api.level import ZVLevel
from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.geometry import Geometry, Skeleton
from zarr_vectors.types.kinds import kind_of_value
from zarr_vectors.typing import IntArray, JsonObject

XYZ = as_axes("xyz", 3)


def read(fmt: Format, path: Path, **options: Any) -> tuple[Source, list[Any]]:
    """Open a file and read all of it."""
    source = fmt.open(path, ReadOptions(**options))
    return source, list(source.batches)


def only(fmt: Format, path: Path, **options: Any) -> Any:
    """The one value of a file."""
    _, (value,) = read(fmt, path, **options)
    return value


def write(fmt: Format, path: Path, *batches: Geometry, headers: Any = None, axes: Any = None, names: Any = None) -> int:
    """Export values."""
    context = ExportContext(axes=axes or batches[0].axes or XYZ, headers=headers or {}, names=names or {})
    return fmt.export(path, iter(batches), context)


class Level:
    """What an export asks of a level, for values of any kind."""

    def __init__(self, *batches: Geometry, headers: JsonObject | None = None, table: ObjectTable | None = None) -> None:
        self.batches = batches
        self.axes: tuple[Axis, ...] = batches[0].axes or XYZ
        self.kind = kind_of_value(batches[0])
        self.crs = None
        self.headers = headers or {}
        self.bounds = ([0.0] * 3, [1.0] * 3)
        self.has_objects = table is not None
        self.objects = table

    def iter(self, *_: Any, **__: Any) -> Iterator[Geometry]:
        return iter(self.batches)

    def level(self) -> ZVLevel:
        return cast(ZVLevel, self)


def random_parents(draw: Callable[[Any], Any], count: int) -> IntArray:
    """Parents of a forest whose rows are in any order."""
    places = draw(st.permutations(range(count)))
    parents = np.full(count, -1, dtype=np.int64)
    for rank, row in enumerate(places):
        above = draw(st.integers(-1, rank - 1))
        parents[row] = -1 if above < 0 else places[above]
    return parents


def trees(draw: Callable[[Any], Any], finite: Any, *, least: int = 0) -> Skeleton:
    """A forest with SWC's attributes."""
    count = draw(st.integers(least, 12))
    numbers = st.lists(finite, min_size=3 * count, max_size=3 * count)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    radius_dtype = draw(st.sampled_from([np.float32, np.float64]))
    radii = draw(st.lists(finite, min_size=count, max_size=count))
    return Skeleton(
        np.array(draw(numbers), dtype=dtype).reshape(count, 3),
        random_parents(draw, count),
        attributes={
            "type": np.array(draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)), dtype=np.int32),
            "radius": np.array(radii, dtype=radius_dtype),
        },
    )
