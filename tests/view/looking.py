"""Looking into a frame after it was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.typing import AnyArray
from zarr_vectors.view.frame import Frame


def texts(frame: Frame) -> list[str]:
    return [str(getattr(artist, "get_text", str)()) for artist in frame.figure.findobj()]


def collection(frame: Frame, name: str) -> Any:
    """The one collection of a class of matplotlib."""
    found = [each for each in frame.panel.collections if type(each).__name__ == name]
    assert len(found) == 1, [type(each).__name__ for each in frame.panel.collections]
    return found[0]


def segments(frame: Frame) -> AnyArray:
    """``(S, 2, 2)`` ends of all segments, in the order in which they were drawn."""
    return np.array(collection(frame, "LineCollection").get_segments())


def legend(frame: Frame) -> list[str]:
    """The entries of the legend."""
    found = frame.panel.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]
