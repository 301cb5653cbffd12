"""What the processes of ``test_group_writers`` do; in a file of its own, so that they need not import the tests."""

from __future__ import annotations

import zarr_vectors as zv

__all__ = ["write_cells_and_attributes"]


def write_cells_and_attributes(place: str, number: int, times: int) -> None:
    """Cells of one array and attributes of one group, one commit each."""
    level = zv.open_store(place, mode="r+")["0"]
    for step in range(times):
        level.write_bytes("vertices", (number, step), f"{number} {step}".encode())
        level.attrs[f"{number}.{step}"] = step
