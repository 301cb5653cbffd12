"""Packages that not everyone has, imported where they are needed; the error for a missing one says how to get it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from zarr_vectors.exceptions import MissingDependencyError

__all__ = ["EXTRAS", "require"]

EXTRAS: Mapping[str, str] = {
    "DracoPy": "draco",
    "anndata": "anndata",
    "dask": "dask",
    "fsspec": "fsspec",
    "icechunk": "icechunk",
    "laspy": "las",
    "lazrs": "las",
    "matplotlib": "plot",
    "networkx": "networkx",
    "obstore": "cloud",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "arrow",
    "pyvista": "pyvista",
    "scipy": "scipy",
    "trimesh": "trimesh",
    "xarray": "xarray",
}
"""The extra of this library with which each package comes; packages without one come with the library itself."""


def require(module: str, needs: str = "this needs") -> Any:
    """Import a package, or one of its modules.

    Args:
        module: Its dotted name.
        needs: Begins the message, up to the name of the package.

    Raises:
        MissingDependencyError: It is not installed.

    Example:
        >>> require("pyarrow.types").__name__
        'pyarrow.types'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        wanted = f"'zarr-vectors[{EXTRAS[name]}]'" if name in EXTRAS else name
        raise MissingDependencyError(f"{needs} {name}, which is not installed", hint=f"pip install {wanted}") from error
