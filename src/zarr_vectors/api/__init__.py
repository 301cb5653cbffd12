"""What users hold: stores, levels, and the verbs open, create and write.

What changes stores is imported when it is first used, so that reading does not wait for what only writing needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarr_vectors.api.edit import Edit
    from zarr_vectors.api.writer import ZVWriter
    from zarr_vectors.rechunk.vacuum import vacuum_store

__all__ = ["Edit", "ZVWriter", "vacuum_store"]

_PLACES = {"Edit": "api.edit", "ZVWriter": "api.writer", "vacuum_store": "rechunk.vacuum"}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"zarr_vectors.{_PLACES[name]}"), name)
