"""Other libraries, imported when a value becomes what they hold."""

from __future__ import annotations

import importlib
from typing import Any

from zarr_vectors.exceptions import MissingDependencyError

__all__ = ["require"]

_EXTRAS = {
    "anndata": "anndata",
    "dask": "dask",
    "networkx": "networkx",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "arrow",
    "pyvista": "pyvista",
    "scipy": "scipy",
    "trimesh": "trimesh",
    "xarray": "xarray",
}


def require(module: str) -> Any:
    """Import a library, or one of its modules.

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
        raise MissingDependencyError(
            f"this needs {name}, which is not installed", hint=f"pip install 'zarr-vectors[{_EXTRAS[name]}]'"
        ) from error
