"""Which column of the positions a format with fixed axes takes for x, y and z."""

from __future__ import annotations

from collections.abc import Sequence

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError
from zarr_vectors.geometry.interchange.scenes import space_columns

__all__ = ["xyz_columns"]


def xyz_columns(what: str, axes: Sequence[Axis]) -> list[int]:
    """The columns of x, y and z; axes of other names are taken in their order.

    Raises:
        ExportError: There are not three axes, or one of them is time.

    Example:
        >>> xyz_columns("SWC", [Axis("z"), Axis("y"), Axis("x")])
        [2, 1, 0]
    """
    columns = space_columns(tuple(axes))
    if columns is None:
        names = [axis.name.lower() for axis in axes]
        raise ExportError(f"{what} holds positions of three axes of space", got=f"axes {names}")
    return columns
