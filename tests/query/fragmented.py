"""Values with attributes that are constant within each fragment, and the rule for it in plain Python."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import columns_of, owners_of, positions, values
from zarr_vectors.typing import AnyArray

KINDS = ["points", "bins", "polyline", "graph", "skeleton", "mesh"]
WORDS = np.array(["a", "", "ü", None], dtype=object)
NAMES = ["f.int", "f.wide", "f.flag", "f.text", "f.when"]


def fragment_columns(value: Any, edges: float, bin_edges: float | None = None, salt: int = 0) -> dict[str, Any]:
    """An attribute of every sort that follows from the object and the chunk, or from the bin, of each vertex."""
    owners = [0] * value.vertex_count if value.object_ids is None else owners_of(value)
    cells = np.floor(value.positions.astype(np.float64) / (bin_edges or edges)).astype(int).tolist()
    numbers = {key: n for n, key in enumerate(sorted(set(zip(owners, map(tuple, cells), strict=True))))}
    n = np.array([numbers[owner, tuple(cell)] for owner, cell in zip(owners, cells, strict=True)], dtype=np.int64)
    return salted(n + salt)


def salted(n: AnyArray) -> dict[str, Any]:
    wide = np.stack([n * 0.5, np.where(n % 3 == 0, np.nan, n)], axis=1)
    return {
        "f.int": n.astype("i2"),
        "f.wide": wide.astype(">f8"),
        "f.flag": n % 2 == 0,
        "f.text": WORDS[n % 4],
        "f.when": n.astype("M8[s]"),
    }


@st.composite
def clouds(draw: st.DrawFn, *, objects: bool, ndim: int | None = None) -> zv.Points:
    rows = draw(st.integers(0, 24))
    axes = draw(st.integers(1, 4)) if ndim is None else ndim
    given = draw(positions(rows, axes))
    owners = draw(st.lists(st.integers(-2, 3), min_size=rows, max_size=rows)) if objects else None
    ids = None if owners is None else np.array(owners, dtype=np.int64)
    return zv.Points(given, attributes=columns_of(rows, "row"), object_ids=ids)


def fragmented(kind: str, edges: float, ndim: int | None = None) -> st.SearchStrategy[Any]:
    """Values of a kind whose attributes of ``NAMES`` are constant in chunks of these edges."""
    if kind in {"points", "bins"}:
        drawn: st.SearchStrategy[Any] = clouds(objects=kind == "points", ndim=ndim)
    else:
        drawn = values(kind, ndim)
    bin_edges = edges / 2 if kind == "bins" else None
    return drawn.map(lambda value: with_columns(value, fragment_columns(value, edges, bin_edges)))


def with_columns(value: Any, columns: dict[str, Any]) -> Any:
    return replace(value, attributes={**value.attributes, **columns})


def layout_of(kind: str, edges: float, **options: Any) -> zv.Layout:
    """A layout of chunks of these edges; a cloud without objects has bins of half the edges."""
    return zv.Layout(chunk_shape=edges, bin_shape=edges / 2 if kind == "bins" else None, **options)
