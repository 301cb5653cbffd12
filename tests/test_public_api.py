"""The door of the package: what it shows, and what importing it costs and changes."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import zarr_vectors
from zarr_vectors import exceptions

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PUBLIC_NAMES = [
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
"""A name joins or leaves this list on purpose, and CHANGELOG.md says so. Sorted as ruff sorts."""

IMPORTED_ON_USE = (
    *("anndata", "dask", "icechunk", "laspy", "matplotlib", "networkx", "obstore", "pandas", "polars", "pyarrow"),
    *("pyvista", "rich", "scipy", "trimesh", "typer", "xarray"),
)
"""Packages that only some users need, and that ``import zarr_vectors`` leaves alone."""


def test_public_names_are_these() -> None:
    assert zarr_vectors.__all__ == PUBLIC_NAMES


def test_public_names_are_all_that_is_visible() -> None:
    namespace: dict[str, object] = {}
    exec("from zarr_vectors import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(PUBLIC_NAMES)
    assert len(zarr_vectors.__all__) == len(set(zarr_vectors.__all__))
    modules = {"TYPE_CHECKING", "annotations", "import_module"}
    visible = {name for name, value in vars(zarr_vectors).items() if not isinstance(value, ModuleType)}
    assert {name for name in visible if not name.startswith("_")} - modules <= set(PUBLIC_NAMES)
    assert set(dir(zarr_vectors)) >= set(PUBLIC_NAMES)


def test_a_name_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="'zarr_vectors' has no attribute 'wirte'"):
        zarr_vectors.wirte  # noqa: B018


def test_version_is_that_of_the_project() -> None:
    assert zarr_vectors.__version__ == PROJECT["version"]


def test_types_are_shipped() -> None:
    assert resources.files("zarr_vectors").joinpath("py.typed").is_file()


def test_commands_lead_to_functions() -> None:
    assert set(PROJECT["scripts"]) == {"zarr-vectors", "zv"}
    for target in PROJECT["scripts"].values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_every_exception_is_a_zverror_and_stands_in_the_tree() -> None:
    defined = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and value.__module__ == exceptions.__name__
    }
    assert set(exceptions.__all__) == defined
    tree = exceptions.__doc__ or ""
    for name in exceptions.__all__:
        assert issubclass(getattr(exceptions, name), exceptions.ZVError)
        assert name in tree


def test_an_error_is_one_line_whatever_it_is_about() -> None:
    error = exceptions.InputError("bounds must be finite", got=np.full((3, 2), np.nan), hint="give numbers")
    assert str(error) == "bounds must be finite (got [[nan nan] [nan nan] [nan nan]]); give numbers"


def test_import_changes_no_warnings_and_loads_nothing_optional() -> None:
    code = """if True:
        import json, sys, warnings
        import numpy, zarr
        before = list(warnings.filters)
        from zarr_vectors import *
        print(json.dumps({"modules": sorted(sys.modules), "same filters": before == list(warnings.filters)}))
    """
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    told = json.loads(printed)
    assert told["same filters"]
    assert set(IMPORTED_ON_USE) & set(told["modules"]) == set()
