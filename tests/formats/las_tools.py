"""What the tests of LAS share: reading and writing whole files, and files made by laspy."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import laspy
import numpy as np

from zarr_vectors.axes import as_axes
from zarr_vectors.formats.base import ExportContext, ReadOptions, Source
from zarr_vectors.formats.las import LAS
from zarr_vectors.geometry import Points
from zarr_vectors.typing import AnyArray, JsonObject

DATA = Path(__file__).parents[1] / "data"
FILES = sorted(path.name for path in DATA.iterdir() if path.suffix in LAS.suffixes)


def read_las(path: Path, **options: Any) -> tuple[Source, Points]:
    source = LAS.open(path, ReadOptions(**options))
    batches = [batch for batch in source.batches if isinstance(batch, Points)]
    assert all(batch.vertex_count <= options.get("batch_rows", 1_000_000) for batch in batches)
    ids = (
        None
        if batches[0].object_ids is None
        else np.concatenate([b.object_ids for b in batches if b.object_ids is not None])
    )
    whole = Points(
        np.concatenate([batch.positions for batch in batches]),
        attributes={
            name: np.concatenate([np.asarray(batch.attributes[name]) for batch in batches])
            for name in batches[0].attributes
        },
        object_ids=ids,
        axes=batches[0].axes,
    )
    assert source.rows == whole.vertex_count
    json.dumps([source.headers, source.crs, source.bounds], allow_nan=False)
    return source, whole


def write_las(path: Path, cloud: Points, *, parts: int = 2, **context: Any) -> Any:
    """Export in ``parts`` batches and read the file with laspy."""
    context.setdefault("bounds", cloud.bounds)
    context.setdefault("axes", as_axes(cloud.axes, cloud.ndim))
    cuts = np.linspace(0, cloud.vertex_count, parts + 1).astype(int)
    batches = [cloud.take(slice(low, high)) for low, high in pairwise(cuts)]
    assert LAS.export(path, iter(batches), ExportContext(**context)) == cloud.vertex_count
    return laspy.read(path)


def context_of(source: Source, cloud: Points) -> JsonObject:
    # Through JSON, as a store keeps it.
    headers = json.loads(json.dumps(dict(source.headers)))
    return {"axes": source.axes, "crs": source.crs, "headers": headers, "bounds": cloud.bounds}


def xyz(las: Any) -> AnyArray:
    return np.stack([np.asarray(las.x), np.asarray(las.y), np.asarray(las.z)], axis=1)


def assert_same_points(cloud: Points, las: Any) -> None:
    assert cloud.positions.dtype == np.float64
    np.testing.assert_array_equal(cloud.positions, xyz(las))
    names = [name for name in las.point_format.dimension_names if name not in {"X", "Y", "Z"}]
    assert list(cloud.attributes) == names
    for name in names:
        ours, theirs = np.asarray(cloud.attributes[name]), np.asarray(las[name])
        np.testing.assert_array_equal(ours, theirs)
        is_flag = las.point_format.dimension_by_name(name).num_bits == 1
        assert ours.dtype == (np.bool_ if is_flag else theirs.dtype)


def random_las(point_format: int, rows: int, *, version: str | None = None) -> Any:
    """A file in memory whose dimensions are all random, up to the limits of each."""
    rng = np.random.default_rng(point_format)
    header = laspy.LasHeader(point_format=point_format, version=version)
    header.scales, header.offsets = np.array([0.001, 0.01, 2.0]), np.array([-5.5, 1e6, 0.0])
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord.zeros(rows, header=header)
    for dim in las.point_format.dimensions:
        if dim.dtype is not None and dim.dtype.kind == "f":
            las[dim.name] = rng.normal(size=rows).astype(dim.dtype)
        else:
            las[dim.name] = rng.integers(int(dim.min), int(dim.max), rows, dim.dtype or np.uint8, endpoint=True)
    return las
