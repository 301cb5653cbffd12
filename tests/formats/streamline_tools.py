"""What the tests of TRK, TCK and TRX share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.streamlines import AXES
from zarr_vectors.geometry import Column, Polylines
from zarr_vectors.typing import AnyArray

DATA = Path(__file__).parents[1] / "data"
FETCHED = DATA / "fetched"


def fetched(name: str) -> Path:
    """A file that ``scripts/fetch_real_data.py`` fetches."""
    path = FETCHED / name
    if not path.exists():
        pytest.skip(f"{name} is not there: python scripts/fetch_real_data.py")
    return path


def read(fmt: Format, path: Path, **options: Any) -> tuple[Source, list[Polylines]]:
    source = fmt.open(path, ReadOptions(**options))
    batches = [batch for batch in source.batches if isinstance(batch, Polylines)]
    assert batches
    assert source.rows in {None, sum(batch.vertex_count for batch in batches)}
    return source, batches


def write(fmt: Format, path: Path, batches: Iterable[Polylines], headers: Mapping[str, Any] | None = None) -> int:
    path.unlink(missing_ok=True)
    return fmt.export(path, iter(batches), ExportContext(axes=AXES, headers=headers or {}))


def joined(batches: list[Polylines]) -> Polylines:
    """All batches as one value, after a check of what they must have in common."""
    first = batches[0]
    for batch in batches:
        assert batch.kind == "streamline"
        assert batch.axes == AXES
        assert batch.positions.dtype == first.positions.dtype
        assert list(batch.groups) == list(first.groups)
        assert batch.group_attributes.keys() == first.group_attributes.keys()
        assert_same_columns(batch.group_attributes, first.group_attributes)
    assert np.concatenate([batch.ids for batch in batches]).tolist() == list(range(sum(b.line_count for b in batches)))
    lengths = np.concatenate([batch.lengths for batch in batches])
    return Polylines(
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([[0], np.cumsum(lengths)]),
        kind="streamline",
        attributes=stacked([batch.attributes for batch in batches]),
        object_attributes=stacked([batch.object_attributes for batch in batches]),
        groups={number: np.concatenate([batch.groups[number] for batch in batches]) for number in first.groups},
        group_attributes=first.group_attributes,
        axes=AXES,
    )


def stacked(tables: list[Mapping[str, Column]]) -> dict[str, AnyArray]:
    for table in tables:
        assert table.keys() == tables[0].keys()
    return {name: np.concatenate([np.asarray(table[name]) for table in tables]) for name in tables[0]}


def assert_same_columns(left: Mapping[str, Column], right: Mapping[str, Column]) -> None:
    """Same names, dtypes, shapes and bits."""
    assert left.keys() == right.keys()
    for name, column in left.items():
        one, other = np.asarray(column), np.asarray(right[name])
        assert (one.dtype, one.shape) == (other.dtype, other.shape), name
        assert one.tolist() == other.tolist() or one.tobytes() == other.tobytes(), name


def assert_same_lines(left: Polylines, right: Polylines) -> None:
    """Same positions, lines, attributes and groups, bit by bit."""
    assert left.positions.dtype == right.positions.dtype
    assert left.positions.tobytes() == right.positions.tobytes()
    assert left.offsets.tolist() == right.offsets.tolist()
    assert_same_columns(left.attributes, right.attributes)
    assert_same_columns(left.object_attributes, right.object_attributes)
    assert {key: value.tolist() for key, value in left.groups.items()} == {
        key: value.tolist() for key, value in right.groups.items()
    }
    assert_same_columns(left.group_attributes, right.group_attributes)
