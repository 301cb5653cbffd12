"""Pyramids: coarser levels, each a whole data set of the kind of the store.

What it takes to build them is imported when it is first used, so that opening a store does not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarr_vectors.pyramid.options import PyramidOptions, PyramidProgress, Step
    from zarr_vectors.pyramid.report import LevelReport, PyramidReport
    from zarr_vectors.pyramid.run import build_levels, coarsen_one, refresh_levels

__all__ = [
    "LevelReport",
    "PyramidOptions",
    "PyramidProgress",
    "PyramidReport",
    "Step",
    "build_levels",
    "coarsen_one",
    "refresh_levels",
]

_HOMES = {
    "options": ("PyramidOptions", "PyramidProgress", "Step"),
    "report": ("LevelReport", "PyramidReport"),
    "run": ("build_levels", "coarsen_one", "refresh_levels"),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
