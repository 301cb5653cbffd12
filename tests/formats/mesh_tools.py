"""What the tests of the formats of meshes share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zarr_vectors.axes import as_axes
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.geometry import Categorical, Mesh
from zarr_vectors.typing import AnyArray

FETCHED = Path(__file__).parent.parent / "data" / "fetched"
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
FINITE = {"allow_nan": False, "allow_infinity": False}


def fetched(name: str) -> Path:
    """A real file; the test is skipped where ``scripts/fetch_real_data.py`` has not been run."""
    if not (FETCHED / name).exists():
        pytest.skip(f"{name} is absent: run scripts/fetch_real_data.py")
    return FETCHED / name


def read_mesh(fmt: Format, path: Path, **options: Any) -> tuple[Source, Mesh]:
    source = fmt.open(path, ReadOptions(**options))
    values = list(source.batches)
    batches = [value for value in values if isinstance(value, Mesh)]
    assert len(batches) == len(values)
    whole = joined(batches)
    assert source.rows in {None, whole.vertex_count}
    assert source.axes == whole.axes
    json.dumps(source.headers, allow_nan=False)
    return source, whole


def read_text(fmt: Format, folder: Path, content: str | bytes, **options: Any) -> tuple[Source, Mesh]:
    path = folder / f"in{fmt.suffixes[0]}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_mesh(fmt, path, **options)


def write_mesh(fmt: Format, path: Path, meshes: Sequence[Mesh], headers: Any = None) -> Path:
    first = meshes[0]
    context = ExportContext(axes=as_axes(first.axes, first.ndim), headers=headers or {}, bounds=first.bounds)
    assert fmt.export(path, iter(meshes), context) == sum(mesh.vertex_count for mesh in meshes)
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(("tmp", "."))] == []
    return path


def round_trip(fmt: Format, folder: Path, meshes: Sequence[Mesh], headers: Any = None) -> Mesh:
    path = folder / f"out{fmt.suffixes[0]}"
    path.unlink(missing_ok=True)
    return read_mesh(fmt, write_mesh(fmt, path, meshes, headers))[1]


def joined(batches: list[Mesh]) -> Mesh:
    """All batches as one mesh, after a check of what they must have in common."""
    if len(batches) == 1:
        return batches[0]
    first = batches[0]
    seen: set[int] = set()
    for batch in batches:
        assert (list(batch.attributes), list(batch.face_attributes)) == (
            list(first.attributes),
            list(first.face_attributes),
        )
        assert (batch.positions.dtype, batch.axes) == (first.positions.dtype, first.axes)
        assert batch.object_ids is not None
        assert batch.objects is not None
        assert not seen & set(batch.object_ids.tolist())
        seen |= set(batch.object_ids.tolist())
        assert set(batch.object_ids.tolist()) <= set(batch.objects.tolist())
    starts = np.cumsum([0, *(batch.vertex_count for batch in batches)])

    def together(columns: list[Any]) -> Any:
        if isinstance(columns[0], Categorical):
            return Categorical.from_values(np.concatenate([np.asarray(column) for column in columns]))
        return np.concatenate(columns)

    return Mesh(
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([batch.faces + start for batch, start in zip(batches, starts, strict=False)]),
        attributes={name: together([b.attributes[name] for b in batches]) for name in first.attributes},
        face_attributes={name: together([b.face_attributes[name] for b in batches]) for name in first.face_attributes},
        object_ids=together([batch.object_ids for batch in batches]),
        objects=together([batch.objects for batch in batches]),
        object_attributes={
            name: together([b.object_attributes[name] for b in batches]) for name in first.object_attributes
        },
        axes=first.axes,
    )


def same_mesh(left: Mesh, right: Mesh) -> None:
    """Compare bits, dtypes and order."""
    assert left == right
    for one, two in ((left.attributes, right.attributes), (left.face_attributes, right.face_attributes)):
        assert {name: column.dtype for name, column in one.items()} == {n: c.dtype for n, c in two.items()}
    assert left.positions.dtype == right.positions.dtype
    assert left.positions.tobytes() == np.ascontiguousarray(right.positions).tobytes()


def arrays(dtype: Any, shape: tuple[int, ...], **limits: Any) -> st.SearchStrategy[AnyArray]:
    """Arrays without NaN and infinity."""
    kind = np.dtype(dtype).kind
    if kind == "f" and not limits:
        elements = st.floats(width=8 * np.dtype(dtype).itemsize, **FINITE)
        return hnp.arrays(dtype, shape, elements=elements)
    return hnp.arrays(dtype, shape)


@st.composite
def bare_meshes(
    draw: st.DrawFn, dtypes: tuple[Any, ...] = (np.float64,), widths: tuple[int, ...] = (3, 4, 5), least: int = 0
) -> Mesh:
    """Up to 12 vertices and 8 faces, which may be odd in every way."""
    rows = draw(st.integers(least, 12))
    width = draw(st.sampled_from(widths))
    count = draw(st.integers(0, 8)) if rows else 0
    faces = draw(hnp.arrays(np.int64, (count, width), elements=st.integers(0, max(rows - 1, 0))))
    positions = draw(arrays(draw(st.sampled_from(dtypes)), (rows, 3)))
    return Mesh(positions, faces if count else np.zeros((0, 3), np.int64), axes="xyz")


def shifted(mesh: Mesh, by: int) -> Mesh:
    """The same mesh as another object."""
    assert mesh.object_ids is not None
    assert mesh.objects is not None
    return replace(mesh, object_ids=mesh.object_ids + by, objects=mesh.objects + by)
