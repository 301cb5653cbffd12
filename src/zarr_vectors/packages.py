"""Packages that stand at the door as the function of their own name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["stand_for_package"]


class _Package(ModuleType):
    """A package that is called like its function, which has the modules of the package as attributes."""

    @property
    def _function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = vars(self)[self.__name__.rpartition(".")[2]]
        return function

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._function(*args, **keywords)

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing a module sets it as an attribute of its package.
        super().__setattr__(name, value)
        if isinstance(value, ModuleType):
            setattr(self._function, name, value)


def stand_for_package(function: Callable[..., Any]) -> None:
    """Let the function of a package's name stand for the package, and the package for the function.

    Both can be called; both have the function, and every module of the package that has been imported, as attributes.
    So ``import package.name.module as x`` works although ``package.name`` is the function.

    Example:
        >>> import zarr_vectors as zv
        >>> import zarr_vectors.validate.rules as rules
        >>> zv.validate.rules is rules, zv.validate.validate is zv.validate
        (True, True)
    """
    package = sys.modules[function.__module__]
    package.__class__ = _Package
    for name, value in [(function.__name__, function), *vars(package).items()]:
        if value is function or (isinstance(value, ModuleType) and value.__name__ == f"{package.__name__}.{name}"):
            setattr(function, name, value)
