"""What users hold: stores, levels, and the verbs open, create and write.

The writer of a level is imported when it is first used, so that reading does not wait for what only writing needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarr_vectors.api.writer import ZVWriter

__all__ = ["ZVWriter"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.writer"), name)
