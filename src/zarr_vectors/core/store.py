"""Creating, opening and changing stores as groups: the low-level interface."""

from __future__ import annotations

from zarr_vectors.api.extent import set_bounds
from zarr_vectors.core.group import FsGroup, Group
from zarr_vectors.core.level_changes import add_resolution_level, create_resolution_level, remove_resolution_level
from zarr_vectors.core.levels import (
    get_resolution_level,
    list_available_ratios,
    list_resolution_levels,
    read_level_metadata,
)
from zarr_vectors.core.opening import create_store, open_store, read_root_metadata
from zarr_vectors.core.parametric import get_parametric_group, read_parametric_types, write_parametric_types
from zarr_vectors.core.rebinding import rebind
from zarr_vectors.core.versions import (
    branch,
    commit,
    discard_changes,
    fork,
    merge_branch,
    merge_forks,
    rebase,
    session_for,
    switch_branch,
)
from zarr_vectors.storage.urls import detect_scheme

__all__ = [
    "FsGroup",
    "Group",
    "add_resolution_level",
    "branch",
    "commit",
    "create_resolution_level",
    "create_store",
    "detect_scheme",
    "discard_changes",
    "fork",
    "get_parametric_group",
    "get_resolution_level",
    "list_available_ratios",
    "list_resolution_levels",
    "merge_branch",
    "merge_forks",
    "open_store",
    "read_level_metadata",
    "read_parametric_types",
    "read_root_metadata",
    "rebase",
    "rebind",
    "remove_resolution_level",
    "session_for",
    "set_bounds",
    "switch_branch",
    "write_parametric_types",
]
