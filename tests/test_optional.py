"""What is said of packages that are not installed."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from zarr_vectors.exceptions import MissingDependencyError
from zarr_vectors.optional import EXTRAS, require

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("package", EXTRAS)
def test_every_extra_brings_its_package(package: str) -> None:
    assert package in " ".join(PROJECT["optional-dependencies"][EXTRAS[package]])


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("lazrs", r"files need lazrs, .*pip install 'zarr-vectors\[las\]'"),
        ("pyarrow.types", r"files need pyarrow, .*pip install 'zarr-vectors\[arrow\]'"),
        ("lark", "files need lark, .*pip install lark$"),
    ],
)
def test_a_missing_package_is_named_with_what_brings_it(
    module: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=says) as caught:
        require(module, "files need")
    assert isinstance(caught.value, ImportError)
