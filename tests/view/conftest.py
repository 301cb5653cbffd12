"""Where pictures go, and what was drawn on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from zarr_vectors.view.frame import Frame


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "picture.png"


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """The frames that were drawn, to be looked into."""
    seen: list[Frame] = []
    fit = Frame.fit

    def remember(frame: Frame, ratio: float | None) -> None:
        seen.append(frame)
        fit(frame, ratio)

    monkeypatch.setattr(Frame, "fit", remember)
    return seen
