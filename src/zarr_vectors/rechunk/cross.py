"""Links from the vertices of one level to those of another, when rows of either move or go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.metadata.base import dump_json, parse_json
from zarr_vectors.query.across import CrossFamily, read_across
from zarr_vectors.rechunk.scan_plan import Scan
from zarr_vectors.rechunk.target import array_like
from zarr_vectors.rechunk.write import Rewrite
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.across import CrossSink
from zarr_vectors.types.links import LinkPlan
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["cross_puts"]


def _left(
    storage: Storage, family: CrossFamily, other: LevelState, scans: tuple[Scan, Scan]
) -> Iterator[tuple[IntArray, dict[str, AnyArray]]]:
    """Links of which all ends are left: ``(n, L)`` numbers of rows, and the values of attributes."""
    reaches = np.diff(scans[0].bases), np.diff(scans[1].bases)
    for links in read_across(storage, family, other, reaches, list(family.links.columns)):
        ends = links.rows.copy()
        alive = np.ones(len(ends), dtype=bool)
        for place in range(ends.shape[1]):
            scan = scans[min(place, 1)]
            ends[:, place] += (scan.bases[:-1] + scan.shift)[links.chunks[:, place]]
            alive &= ~_among(scan.dead, ends[:, place])
        yield ends[alive], {name: column[alive] for name, column in links.columns.items()}


def _among(sorted_numbers: IntArray, numbers: IntArray) -> AnyArray:
    if not len(sorted_numbers):
        return np.zeros(len(numbers), dtype=bool)
    place = np.minimum(np.searchsorted(sorted_numbers, numbers), len(sorted_numbers) - 1)
    return np.asarray(sorted_numbers[place] == numbers)


def cross_puts(
    storage: Storage, family: CrossFamily, own: Rewrite, other: Rewrite, scans: tuple[Scan, Scan], folder: Path
) -> Iterator[Put]:
    """The stored objects and documents of a family, once the rows of both levels have been written.

    Args:
        own: The level of the family.
        other: The level that it leads to.
        scans: What reading both has brought.
        folder: For temporary files of this family alone.
    """
    assert own.tally.places is not None
    assert other.tally.places is not None
    plan = LinkPlan(
        level=family.level.number,
        cells=own.target.plan,
        width=family.links.width,
        directed=True,
        columns=family.links.columns,
        array=lambda name, said: array_like(own.target, name, family.documents.get(name), said),
        delta=family.delta,
    )
    folder.mkdir()
    sink = CrossSink(plan, folder, other=other.target.plan)
    for ends, columns in _left(storage, family, other.target.level, scans):
        cells, rows = own.tally.places.at(ends[:, 0])
        sink.add_across((cells, rows), other.tally.places.at(ends[:, 1:]), columns)
    yield from sink.puts(lambda array, coords, cells: array.encode(coords, cells))
    for path, data in sink.documents():
        kept = _with_old(path, bytes(data), family, storage)
        if kept is not None:
            yield kept


def _with_old(path: str, data: bytes, family: CrossFamily, storage: Storage) -> Put | None:
    """A document of the family with what its old one said beside; None for a bare group that is there already."""
    document = parse_json(data, store=storage.url, path=path)
    if document["node_type"] != "group":
        return path, data
    name = path.partition("/")[2].removesuffix("/zarr.json")
    old = family.documents.get(name)
    if old is None:
        return None if storage.read_documents([path])[path] is not None else (path, data)
    said: dict[str, Any] = old.get("attributes") or {}
    # Whether a family is directed is its policy; links between levels keep their order either way.
    policy = {key: said[key] for key in ("directed", "store") if key in said}
    return path, dump_json({**old, "attributes": {**said, **document["attributes"], **policy}})
