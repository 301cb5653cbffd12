"""Cloud-native storage for vector geometry on Zarr v3."""

from __future__ import annotations

from zarr_vectors import exceptions
from zarr_vectors.api.level import AttributeInfo, ObjectTable, ZVLevel
from zarr_vectors.api.store import ZVStore
from zarr_vectors.api.store import open_zv_store as open  # noqa: A004  (the verb of the API)
from zarr_vectors.api.write import create, write
from zarr_vectors.axes import Axis
from zarr_vectors.constants import FORMAT_VERSION
from zarr_vectors.core.group import FsGroup, Group
from zarr_vectors.core.store import create_store, open_store
from zarr_vectors.exceptions import ZVError
from zarr_vectors.geometry import Categorical, Graph, Lines, Mesh, Points, Polylines, Skeleton
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.storage.backend import StorageBackend
from zarr_vectors.storage.urls import detect_scheme
from zarr_vectors.types.report import WriteReport

__version__ = "0.1.0"

__all__ = [
    "FORMAT_VERSION",
    "AttributeInfo",
    "Axis",
    "Categorical",
    "FsGroup",
    "Graph",
    "Group",
    "Layout",
    "Lines",
    "Mesh",
    "ObjectTable",
    "Points",
    "Polylines",
    "Skeleton",
    "StorageBackend",
    "WriteReport",
    "ZVError",
    "ZVLevel",
    "ZVStore",
    "__version__",
    "create",
    "create_store",
    "detect_scheme",
    "exceptions",
    "open",
    "open_store",
    "write",
]
