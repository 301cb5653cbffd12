"""One segment of a Neuroglancer precomputed folder as arrays: skeletons and legacy mesh fragments.

The layouts are those of the documents "skeletons" and "meshes" of Neuroglancer's precomputed format: all numbers are
little endian, counts and vertex numbers are uint32, positions float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.encoding.unwrap import gunzip
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.typing import AnyArray, IntArray

__all__ = [
    "DTYPES",
    "Segment",
    "VertexAttribute",
    "decode_fragment",
    "decode_skeleton",
    "encode_fragment",
    "encode_skeleton",
    "read_bytes",
]

DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in ["float32", "int8", "uint8", "int16", "uint16", "int32", "uint32"]
}
"""The types of vertex attributes and of numbers of segments."""

_U4, _F4 = np.dtype("<u4"), np.dtype("<f4")
_MOST = 2**32 - 1


@dataclass(frozen=True)
class VertexAttribute:
    """An entry of ``vertex_attributes``.

    Args:
        name: Its ``id``.
        dtype: Of a value.
        channels: Values per vertex.
    """

    name: str
    dtype: np.dtype[Any]
    channels: int

    @property
    def row_bytes(self) -> int:
        """Bytes per vertex."""
        return self.dtype.itemsize * self.channels

    def to_json(self) -> dict[str, Any]:
        """The entry."""
        return {"id": self.name, "data_type": self.dtype.name, "num_components": self.channels}


@dataclass(frozen=True)
class Segment:
    """A skeleton or mesh.

    Args:
        positions: ``(N, 3)`` float32.
        links: ``(E, 2)`` edges or ``(F, 3)`` triangles.
        attributes: A row for each vertex.
    """

    positions: AnyArray
    links: IntArray
    attributes: Mapping[str, AnyArray]


_LONGEST_NAME = 240


def read_bytes(folder: Path, name: str) -> bytes:
    """The bytes of a file, which may be there compressed under its name with ``.gz``.

    Raises:
        IngestError: It is not there, or cannot be uncompressed.
    """
    if name.startswith("/") or "\0" in name or ".." in name.split("/") or len(name) > _LONGEST_NAME:
        raise IngestError(f"{folder} names a file that is none below it", got=repr(name)[:200])
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        return plain.read_bytes()
    if not packed.is_file():
        raise IngestError(f"{plain} is not there", expected="a file that others in the folder name")
    try:
        return gunzip(packed.read_bytes())
    except ValueError as error:
        raise IngestError(f"{packed} cannot be uncompressed", got=str(error)) from error


def decode_skeleton(path: Path, data: bytes, attributes: Sequence[VertexAttribute]) -> Segment:
    """The arrays of one skeleton.

    Raises:
        IngestError: The size is not what the counts say, or an edge names a vertex that there is not.
    """
    if len(data) < 8:
        raise IngestError(f"{path} is truncated", expected="two counts of 4 bytes each", got=f"{len(data)} bytes")
    vertices, edges = np.frombuffer(data, _U4, 2).tolist()
    sizes = [12 * vertices, 8 * edges, *(entry.row_bytes * vertices for entry in attributes)]
    _check_size(path, data, 8 + sum(sizes), f"{vertices} vertices and {edges} edges")
    positions = np.frombuffer(data, _F4, 3 * vertices, 8).reshape(-1, 3)
    links = np.frombuffer(data, _U4, 2 * edges, 8 + sizes[0]).reshape(-1, 2)
    _check_links(path, links, vertices, 8 + sizes[0])
    start = 8 + sizes[0] + sizes[1]
    columns = {}
    for entry in attributes:
        values = np.frombuffer(data, entry.dtype, entry.channels * vertices, start)
        columns[entry.name] = values if entry.channels == 1 else values.reshape(-1, entry.channels)
        start += entry.row_bytes * vertices
    _check_finite(path, positions)
    return Segment(positions, links.astype(np.int64), columns)


def decode_fragment(path: Path, data: bytes) -> Segment:
    """The arrays of one fragment of a mesh.

    Raises:
        IngestError: The size is not what the count says, or a triangle names a vertex that there is not.
    """
    if len(data) < 4:
        raise IngestError(f"{path} is truncated", expected="a count of 4 bytes", got=f"{len(data)} bytes")
    vertices = int(np.frombuffer(data, _U4, 1)[0])
    start = 4 + 12 * vertices
    if len(data) < start or (len(data) - start) % 12:
        expected = f"{start} bytes for {vertices} vertices, and 12 for each triangle"
        raise IngestError(f"{path} is truncated, or no fragment of a mesh", expected=expected, got=f"{len(data)} bytes")
    positions = np.frombuffer(data, _F4, 3 * vertices, 4).reshape(-1, 3)
    links = np.frombuffer(data, _U4, -1, start).reshape(-1, 3) if len(data) > start else np.zeros((0, 3), _U4)
    _check_links(path, links, vertices, start)
    _check_finite(path, positions)
    return Segment(positions, links.astype(np.int64), {})


def _check_size(path: Path, data: bytes, size: int, what: str) -> None:
    if len(data) != size:
        state = "is truncated" if len(data) < size else "has bytes behind its end"
        raise IngestError(f"{path} {state}", expected=f"{size} bytes for {what}", got=f"{len(data)} bytes")


def _check_links(path: Path, links: AnyArray, vertices: int, start: int) -> None:
    bad = np.flatnonzero((links >= vertices).any(axis=1))
    if len(bad):
        row = int(bad[0])
        raise IngestError(
            f"{path} names a vertex that there is not",
            expected=f"numbers below {vertices}",
            got=f"{links[row].tolist()} at byte {start + 4 * links.shape[1] * row}",
        )


def _check_finite(path: Path, positions: AnyArray) -> None:
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        got = f"{positions[bad[0]].tolist()} for vertex {bad[0]}"
        raise IngestError(f"{path} has positions that are not finite", got=got)


def encode_skeleton(segment: Segment) -> bytes:
    """The bytes of one skeleton; positions are rounded to float32.

    Raises:
        ExportError: It is too large, or a position is.

    Example:
        >>> one = Segment(np.zeros((2, 3)), np.array([[1, 0]]), {"radius": np.float32([1, 2])})
        >>> len(encode_skeleton(one))
        48
    """
    positions = _narrow(segment.positions)
    counts = np.array([len(positions), len(segment.links)], dtype=_U4)
    columns = [values.astype(values.dtype.newbyteorder("<")).tobytes() for values in segment.attributes.values()]
    return b"".join([counts.tobytes(), positions.tobytes(), segment.links.astype(_U4).tobytes(), *columns])


def encode_fragment(segment: Segment) -> bytes:
    """The bytes of a mesh as one fragment; positions are rounded to float32.

    Raises:
        ExportError: It is too large, or a position is.
    """
    positions = _narrow(segment.positions)
    count = np.array([len(positions)], dtype=_U4)
    return b"".join([count.tobytes(), positions.tobytes(), segment.links.astype(_U4).tobytes()])


def _narrow(positions: AnyArray) -> AnyArray:
    if len(positions) > _MOST:
        raise ExportError("precomputed segments hold up to 2**32 - 1 vertices", got=len(positions))
    with np.errstate(over="ignore"):
        narrow = positions.astype(_F4)
    if not np.isfinite(narrow).all():
        raise ExportError("precomputed positions are float32", got=f"up to {np.abs(positions).max()}")
    return narrow
