"""What users hold: stores, levels, and the verbs open, create and write.

What changes stores is imported when it is first used, so that reading does not wait for what only writing needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarr_vectors.api.edit import Edit
    from zarr_vectors.api.writer import ZVWriter

__all__ = ["Edit", "ZVWriter"]

_PLACES = {"Edit": "edit", "ZVWriter": "writer"}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
