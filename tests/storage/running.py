"""Programs of the tests in processes of their own."""

from __future__ import annotations

import os

from tests.storage.stores import REPOSITORY


def environment(**more: str) -> dict[str, str]:
    """In which a program finds the library and the tests."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}
