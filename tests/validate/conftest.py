"""The fixture ``sound``: stores that nothing is wrong with, each made when it is first asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.validate.spoiling import build


class _Sound(dict[str, Path]):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, base: str) -> Path:
        self[base] = build(base, self._folder / base.replace(" ", "-"))
        return self[base]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sound store of every base, not to be changed."""
    return _Sound(tmp_path_factory.mktemp("sound"))
