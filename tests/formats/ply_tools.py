"""What the tests of PLY share: files written by hand, and reading and writing of whole files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tests.formats.clouds import joined
from zarr_vectors.axes import as_axes
from zarr_vectors.formats.base import ExportContext, ReadOptions, Source
from zarr_vectors.formats.ply import PLY
from zarr_vectors.geometry import Points

ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = ["char", "uchar", "short", "ushort", "int", "uint", "float", "double"]
CODES = dict(zip(TYPES, "bBhHiIfd", strict=True))
DTYPES = dict(zip(TYPES, ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"], strict=True))

MESH = """\
element face 2
property uchar quality
property list uchar int corners
property list int float uv
element vertex 3
property double x
property float y
property int z
property uchar red
property short level
element edge 1
property int a
"""
FACES = [(1, [0, 1, 2], [0.5]), (2, [0, 1, 2, 1], [])]
VERTICES = [(0.1, 1.5, -7, 255, -300), (1e300, -2.25, 2**31 - 1, 0, 300), (-0.0, 3.0, 0, 7, 0)]


def header(encoding: str, body: str, *, ends: str = "\n") -> bytes:
    return f"ply\nformat {encoding} 1.0\n{body}end_header\n".replace("\n", ends).encode()


def mesh(encoding: str, *, ends: str = "\n", notes: str = "") -> bytes:
    """A point cloud: its faces, which do not say that they list vertices, come before the vertices, edges after."""
    start = header(encoding, notes + MESH, ends=ends)
    if encoding == "ascii":
        rows = [f"{q} {len(v)} {' '.join(map(str, v))} {len(u)} {' '.join(map(str, u))}" for q, v, u in FACES]
        rows += [" ".join(map(repr, vertex)) for vertex in VERTICES]
        return start + "".join(row + ends for row in [*rows, "5"]).encode()
    order = ORDERS[encoding]
    for quality, indices, uv in FACES:
        start += struct.pack(f"{order}BB{len(indices)}ii{len(uv)}f", quality, len(indices), *indices, len(uv), *uv)
    return start + b"".join(struct.pack(f"{order}dfiBh", *vertex) for vertex in VERTICES) + struct.pack(f"{order}i", 5)


def read_ply(path: Path, **options: Any) -> tuple[Source, Points]:
    source = PLY.open(path, ReadOptions(**options))
    batches = list(source.batches)
    assert all(batch.vertex_count <= options.get("batch_rows", 1_000_000) for batch in batches)
    whole = joined(batches)
    assert (source.rows, source.axes) == (whole.vertex_count, whole.axes)
    json.dumps(source.headers, allow_nan=False)
    return source, whole


def read_bytes(folder: Path, content: bytes, **options: Any) -> tuple[Source, Points]:
    (folder / "in.ply").write_bytes(content)
    return read_ply(folder / "in.ply", **options)


def write_ply(path: Path, points: Points, *, parts: int = 2, headers: Any = None) -> tuple[str, np.ndarray[Any, Any]]:
    """Export in parts; returns the lines of the header and the table of vertices, decoded by other means."""
    cuts = np.linspace(0, points.vertex_count, parts + 1).astype(int)
    batches = (points.take(slice(cuts[part], cuts[part + 1])) for part in range(parts))
    context = ExportContext(axes=as_axes(points.axes, points.ndim), headers=headers or {}, bounds=points.bounds)
    assert PLY.export(path, batches, context) == points.vertex_count
    text, _, body = path.read_bytes().partition(b"end_header\n")
    lines = [line.split() for line in text.decode().splitlines()]
    table = np.frombuffer(body, [(line[2], "<" + CODES[line[1]]) for line in lines if line[0] == "property"])
    (count,) = (int(line[2]) for line in lines if line[:2] == ["element", "vertex"])
    assert count == len(table) == points.vertex_count
    return text.decode(), table
