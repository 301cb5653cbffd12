"""The grid of a box of chunks, under the name that the API asks for."""

from __future__ import annotations

from collections.abc import Sequence

from zarr_vectors.spatial.grid import Grid

__all__ = ["compute_grid_shape"]


def compute_grid_shape(
    bounds: tuple[Sequence[float], Sequence[float]], chunk_shape: Sequence[float]
) -> tuple[int, ...]:
    """Number of chunks along each axis that an inclusive box touches.

    Example:
        >>> compute_grid_shape(([0, 0, 0], [1000, 999, 50]), (1000, 1000, 10))
        (2, 1, 6)
    """
    return Grid.of_bounds(bounds[0], bounds[1], chunk_shape).shape
