"""How a kind of geometry is read, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import InputError
from zarr_vectors.query.selection import MODES, Selection

__all__ = ["ReadPlan"]


@dataclass(frozen=True)
class ReadPlan:
    """How a kind of geometry is read.

    Args:
        connects: ``"nothing"``, ``"sequence"``, ``"tree"`` or ``"links"``.
        implied: Whether trees leave out links to the vertex before.
        mode: What a box selects: ``"vertices"``, ``"objects"`` or ``"clip"``.
        link_attributes: Attributes of links to bring along; None for all.
        strict: Whether what cannot be read raises.
        offset: What world coordinates have in addition to stored ones; None for nothing.
        counts_left: Whether a read by objects counts the links that lead out of them.
    """

    connects: str
    implied: bool
    mode: str
    link_attributes: Sequence[str] | None = None
    strict: bool = True
    offset: tuple[float, ...] | None = None
    counts_left: bool = False

    def is_by_row(self, selection: Selection) -> bool:
        """Whether what is selected can be told row by row, in stored coordinates."""
        by_row = self.mode == "vertices" or not selection.places_asked
        return self.connects == "nothing" and self.offset is None and by_row

    def is_counted_by_row(self, level: LevelState, selection: Selection) -> bool:
        """Whether each vertex counts by itself, whatever it is connected with, and none is read twice."""
        by_place = selection.places_asked and self.mode != "vertices"
        if self.offset is not None or by_place or selection.link_condition is not None or selection.by_object:
            return False
        tiled = level.metadata.fragments_tile and not level.metadata.shared_fragments
        told = self.connects != "sequence" or level.tells_order
        return tiled and told and selection.chunks is None and not (level.is_draco or level.is_composite)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError("mode is not known", got=repr(self.mode), expected=f"one of {', '.join(MODES)}")
