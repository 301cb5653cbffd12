"""Positions on their way into Draco cells, and what rounding did to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.draco import decode_draco, encode_draco, load_draco
from zarr_vectors.exceptions import DracoError, FormatError, InputError
from zarr_vectors.metadata.root import DracoFacts
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.spatial.lattice import DEFAULT_BITS, Lattice
from zarr_vectors.typing import AnyArray, FloatArray, IntArray, JsonObject

__all__ = ["DRACO_DTYPE", "Packing", "check_quantisable"]

DRACO_DTYPE = np.dtype(np.float32)


def check_quantisable(ndim: int, dtype: np.dtype[Any]) -> None:
    """Refuse positions that Draco cells cannot hold.

    Raises:
        InputError: They are not 3-D, or not float32.
    """
    if ndim == 3 and dtype == DRACO_DTYPE:
        return
    raise InputError(
        "Draco encoding is for 3-D float32 positions",
        got=f"{ndim}-D {dtype}",
        hint="pass dtype='float32' to accept its rounding, or write with vertex_encoding='raw'"
        if ndim == 3
        else "write with vertex_encoding='raw'",
    )


@dataclass
class Packing:
    """Packs cells of positions, and remembers what rounding moved.

    Args:
        lattice: What positions are rounded to.
        max_error: What it moved a coordinate at most, in this and in earlier writes.
        low: ``(3,)`` least coordinates of what was packed; None before anything is.
        high: ``(3,)`` greatest coordinates.
    """

    lattice: Lattice
    max_error: float = 0.0
    low: FloatArray | None = None
    high: FloatArray | None = None

    @classmethod
    def of_level(cls, root: RootState, level: LevelState) -> Self | None:
        """For rows that are added to a level; None where it stores positions as they are.

        Raises:
            MissingDependencyError: DracoPy is not installed.
            FormatError: The level's cells do not keep the order of their rows.
        """
        if not level.is_draco:
            return None
        load_draco()
        facts = level.metadata.draco
        if level.is_unordered:
            raise FormatError(
                "nothing can be appended to Draco cells that do not keep the order of their rows",
                store=level.store,
                array=level.vertices.path,
                hint="write the data anew, with the vertex_encoding of zarr_vectors.Layout",
            )
        if facts is None:
            return cls(Lattice.of(DEFAULT_BITS, level.chunk_shape, root.metadata.bounds))
        chunk = tuple(float(edge) for edge in level.chunk_shape)
        return cls(Lattice(facts.quantization_bits, facts.step, chunk), facts.max_error)

    def pack(self, coords: IntArray, cells: Blobs) -> Blobs:
        """Bitstreams of cells.

        Args:
            coords: ``(n, K)`` chunk of each cell; the last three components are spatial.
            cells: Rows of three float32.

        Raises:
            DracoError: A cell cannot be encoded.
        """
        packed, decoded = self._packed(coords, cells)
        if len(decoded):
            self._note(cells, decoded)
            self.low = _extreme(np.minimum, self.low, decoded.min(axis=0))
            self.high = _extreme(np.maximum, self.high, decoded.max(axis=0))
        return packed

    def repack(self, coords: IntArray, cells: Blobs) -> None:
        """Take into account that rows which have been rounded once are about to be packed again."""
        _, decoded = self._packed(coords, cells)
        if len(decoded):
            self.max_error += _difference(cells, decoded)

    def _packed(self, coords: IntArray, cells: Blobs) -> tuple[Blobs, AnyArray]:
        """The bitstreams, and the rows that they decode to."""
        lattice = self.lattice
        bits, reach = lattice.bits, lattice.reach
        packed, decoded = [], [np.zeros((0, 3), dtype=DRACO_DTYPE)]
        origins = lattice.origins(coords[:, -len(lattice.chunk_shape) :])
        for number, (origin, cell) in enumerate(zip(origins, cells.views(), strict=True)):
            positions = np.frombuffer(cell, dtype=DRACO_DTYPE).reshape(-1, 3)
            try:
                data = encode_draco(positions, origin=origin, reach=reach, bits=bits)
                decoded.append(decode_draco(data, len(positions)).positions)
            except DracoError as error:
                error.cell = format_keys(coords[number : number + 1])[0]
                raise
            packed.append(data)
        return Blobs.from_list(packed), np.concatenate(decoded)

    def _note(self, cells: Blobs, decoded: AnyArray) -> None:
        self.max_error = max(self.max_error, _difference(cells, decoded))

    def widened(self, bounds: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Bounds that hold what has been packed, too: rounding may have moved it over them."""
        return _extreme(np.minimum, self.low, bounds[0]), _extreme(np.maximum, self.high, bounds[1])

    def facts(self) -> JsonObject:
        """What the level's document says of it."""
        lattice = self.lattice
        facts = {"quantization_bits": lattice.quantization_bits, "step": lattice.step, "max_error": self.max_error}
        return DracoFacts.parse(facts, where="draco").to_json()


def _difference(cells: Blobs, decoded: AnyArray) -> float:
    before = np.frombuffer(cells.joined(), dtype=DRACO_DTYPE).reshape(-1, 3)
    return float(np.abs(before.astype(np.float64) - decoded).max())


def _extreme(choose: np.ufunc, one: FloatArray | None, other: AnyArray) -> FloatArray:
    corner = np.asarray(other, dtype=np.float64)
    return corner if one is None else np.asarray(choose(one, corner))
