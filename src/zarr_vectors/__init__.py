"""Cloud-native storage for vector geometry on Zarr v3.

What stands here is imported when it is first used, so that reading does not wait for what only writing needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from zarr_vectors import exceptions

# Functions with the name of their package are bound before anyone can ask for the package.
from zarr_vectors.rechunk import RechunkSpec, rechunk, rechunk_by_attribute
from zarr_vectors.validate import validate

if TYPE_CHECKING:
    from zarr_vectors import distributed
    from zarr_vectors.api.described import AttributeInfo, ObjectTable
    from zarr_vectors.api.diff import Diff, diff
    from zarr_vectors.api.edit import Edit
    from zarr_vectors.api.level import ZVLevel
    from zarr_vectors.api.repair import repair
    from zarr_vectors.api.store import ZVStore, aopen
    from zarr_vectors.api.store import open_zv_store as open  # noqa: A004  (the verb of the API)
    from zarr_vectors.api.write import create, write
    from zarr_vectors.api.writer import ZVWriter
    from zarr_vectors.axes import Axis
    from zarr_vectors.constants import (
        FORMAT_VERSION,
        GEOM_GRAPH,
        GEOM_LINE,
        GEOM_MESH,
        GEOM_POINT_CLOUD,
        GEOM_POLYLINE,
        GEOM_SKELETON,
        GEOM_STREAMLINE,
        LINKS_EXPLICIT,
        LINKS_IMPLICIT_BRANCHES,
        LINKS_IMPLICIT_SEQUENTIAL,
        VERTEX_ATTRIBUTES,
        VERTEX_FRAGMENTS,
        VERTICES,
    )
    from zarr_vectors.core.group import FsGroup, Group
    from zarr_vectors.core.opening import create_store, open_store
    from zarr_vectors.core.rebinding import rebind
    from zarr_vectors.exceptions import ZVError
    from zarr_vectors.geometry import Categorical, Graph, Lines, Mesh, Points, Polylines, Skeleton
    from zarr_vectors.query.attribute import col
    from zarr_vectors.spatial.layout import Layout
    from zarr_vectors.spatial.outlines import HalfSpaces, Polygon
    from zarr_vectors.storage.backend import StorageBackend
    from zarr_vectors.storage.urls import detect_scheme
    from zarr_vectors.types.report import WriteReport

__version__ = "0.1.0"

__all__ = [
    "FORMAT_VERSION",
    "GEOM_GRAPH",
    "GEOM_LINE",
    "GEOM_MESH",
    "GEOM_POINT_CLOUD",
    "GEOM_POLYLINE",
    "GEOM_SKELETON",
    "GEOM_STREAMLINE",
    "LINKS_EXPLICIT",
    "LINKS_IMPLICIT_BRANCHES",
    "LINKS_IMPLICIT_SEQUENTIAL",
    "VERTEX_ATTRIBUTES",
    "VERTEX_FRAGMENTS",
    "VERTICES",
    "AttributeInfo",
    "Axis",
    "Categorical",
    "Diff",
    "Edit",
    "FsGroup",
    "Graph",
    "Group",
    "HalfSpaces",
    "Layout",
    "Lines",
    "Mesh",
    "ObjectTable",
    "Points",
    "Polygon",
    "Polylines",
    "RechunkSpec",
    "Skeleton",
    "StorageBackend",
    "WriteReport",
    "ZVError",
    "ZVLevel",
    "ZVStore",
    "ZVWriter",
    "__version__",
    "aopen",
    "col",
    "create",
    "create_store",
    "detect_scheme",
    "diff",
    "distributed",
    "exceptions",
    "open",
    "open_store",
    "rebind",
    "rechunk",
    "rechunk_by_attribute",
    "repair",
    "validate",
    "write",
]

_HOMES = {
    "api.described": ("AttributeInfo", "ObjectTable"),
    "api.diff": ("Diff", "diff"),
    "api.edit": ("Edit",),
    "api.level": ("ZVLevel",),
    "api.repair": ("repair",),
    "api.store": ("ZVStore", "aopen", "open"),
    "api.write": ("create", "write"),
    "api.writer": ("ZVWriter",),
    "axes": ("Axis",),
    "constants": (
        "FORMAT_VERSION",
        "GEOM_GRAPH",
        "GEOM_LINE",
        "GEOM_MESH",
        "GEOM_POINT_CLOUD",
        "GEOM_POLYLINE",
        "GEOM_SKELETON",
        "GEOM_STREAMLINE",
        "LINKS_EXPLICIT",
        "LINKS_IMPLICIT_BRANCHES",
        "LINKS_IMPLICIT_SEQUENTIAL",
        "VERTEX_ATTRIBUTES",
        "VERTEX_FRAGMENTS",
        "VERTICES",
    ),
    "core.group": ("FsGroup", "Group"),
    "core.opening": ("create_store", "open_store"),
    "core.rebinding": ("rebind",),
    "exceptions": ("ZVError",),
    "geometry": ("Categorical", "Graph", "Lines", "Mesh", "Points", "Polylines", "Skeleton"),
    "query.attribute": ("col",),
    "spatial.layout": ("Layout",),
    "spatial.outlines": ("HalfSpaces", "Polygon"),
    "storage.backend": ("StorageBackend",),
    "storage.urls": ("detect_scheme",),
    "types.report": ("WriteReport",),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}
_MODULES = frozenset({"distributed"})
_THERE = {"open": "open_zv_store"}
"""Names that are other ones at home."""


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), _THERE.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
