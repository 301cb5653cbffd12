"""Editing what a store holds: changes are noted down, and then made as one commit."""

from __future__ import annotations

from zarr_vectors.edit.checks import check_editable
from zarr_vectors.edit.diff import Diff, diff_levels
from zarr_vectors.edit.log import EditOptions, apply_edits
from zarr_vectors.edit.recorder import Recorder
from zarr_vectors.edit.which import Opened

__all__ = [
    "Diff",
    "EditOptions",
    "Opened",
    "Recorder",
    "apply_edits",
    "check_editable",
    "diff_levels",
]
