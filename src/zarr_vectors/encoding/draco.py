"""Draco bitstreams: positions, and the faces that other writers put beside them, as the bytes of one cell.

A cell that is written here is a point cloud in sequential encoding, which keeps every row and their order. The cells
of other writers may be meshes or k-d trees: these have neither the rows that went in nor their order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import DracoError
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["DracoCell", "decode_draco", "encode_draco", "load_draco"]

_HEADER = struct.Struct("<5s4BH")
_COUNT = struct.Struct("<i")
_POINT_CLOUD, _SEQUENTIAL = 0, 0


@dataclass(frozen=True, eq=False)
class DracoCell:
    """What a bitstream holds.

    Args:
        positions: ``(n, 3)`` float32.
        faces: ``(f, 3)`` int64 rows of ``positions``; none in a point cloud.
        in_order: Whether the rows are those that were encoded, in their order.
    """

    positions: AnyArray
    faces: IntArray
    in_order: bool


def load_draco() -> Any:
    """The module ``DracoPy``.

    Raises:
        MissingDependencyError: It is not installed.
    """
    return require("DracoPy", "positions in Draco encoding need")


def encode_draco(positions: AnyArray, *, origin: AnyArray, reach: float, bits: int) -> bytes:
    """Positions as a bitstream that keeps their order.

    Args:
        positions: ``(n, 3)`` float32, n from 1.
        origin: ``(3,)`` float32 lowest place of the lattice that positions are rounded to.
        reach: From the lowest to the highest place, along every axis.
        bits: Places along an axis are ``2 ** bits``.

    Raises:
        MissingDependencyError: DracoPy is not installed.
        DracoError: The positions cannot be encoded.

    Example:
        >>> rows = np.array([[0.0, 0.6, 1.9], [3.0, 2.2, 0.0]], dtype="f4")
        >>> data = encode_draco(rows, origin=np.zeros(3, "f4"), reach=3.0, bits=2)
        >>> decode_draco(data, 2).positions.tolist()
        [[0.0, 1.0, 2.0], [3.0, 2.0, 0.0]]
    """
    draco = load_draco()
    try:
        data: bytes = draco.encode(
            np.ascontiguousarray(positions, dtype=np.float32),
            quantization_bits=bits,
            quantization_range=reach,
            quantization_origin=np.asarray(origin, dtype=np.float32),
            preserve_order=True,
        )
    except _errors(draco) as error:
        raise DracoError("positions cannot be encoded with Draco", got=_told(error)) from error
    return data


def decode_draco(data: Buffer, rows: int) -> DracoCell:
    """What a bitstream holds.

    Args:
        data: The cell.
        rows: How many rows were encoded. A mesh may have another number of them.

    Raises:
        MissingDependencyError: DracoPy is not installed.
        DracoError: The bytes are not a Draco bitstream, are cut off or damaged, or hold another number of points.

    Example:
        >>> decode_draco(b"not Draco", 1)
        Traceback (most recent call last):
        ...
        zarr_vectors.exceptions.DracoError: a cell cannot be decoded (got 9 bytes that are not a Draco bitstream)
    """
    if len(data) < _HEADER.size + _COUNT.size or bytes(data[:5]) != b"DRACO":
        raise _undecodable(f"{len(data)} bytes that are not a Draco bitstream")
    _, _, _, kind, method, _ = _HEADER.unpack_from(data)
    if kind == _POINT_CLOUD:
        # Looked at first: the decoder makes room for as many points as a damaged header states.
        (stated,) = _COUNT.unpack_from(data, _HEADER.size)
        if stated != rows:
            raise _undecodable(f"{stated} points for {rows} rows")
    draco = load_draco()
    try:
        decoded = draco.decode(bytes(data))
        points, faces = decoded.points, getattr(decoded, "faces", None)
    except _errors(draco) as error:
        raise _undecodable(_told(error)) from error
    positions = np.zeros((0, 3), dtype=np.float32) if points is None else np.asarray(points)
    if positions.ndim != 2 or positions.shape[1] != 3 or positions.dtype != np.float32:
        raise _undecodable(f"positions of {positions.dtype} and shape {positions.shape}")
    if kind == _POINT_CLOUD and len(positions) != rows:
        raise _undecodable(f"{len(positions)} points for {rows} rows")
    if not np.isfinite(positions).all():
        raise _undecodable("positions that are not finite")
    corners = np.zeros((0, 3), dtype=np.int64) if faces is None else np.asarray(faces).astype(np.int64).reshape(-1, 3)
    if corners.size and int(corners.max()) >= len(positions):
        raise _undecodable(f"a face with vertex {corners.max()} of {len(positions)}")
    return DracoCell(positions, corners, in_order=(kind, method) == (_POINT_CLOUD, _SEQUENTIAL))


def _undecodable(got: str) -> DracoError:
    return DracoError("a cell cannot be decoded", got=got)


def _errors(draco: Any) -> tuple[type[Exception], ...]:
    """What DracoPy raises for bytes that make no sense."""
    own = (draco.FileTypeException, draco.EncodingFailedException)
    return (*own, ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
