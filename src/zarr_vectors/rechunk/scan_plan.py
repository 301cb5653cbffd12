"""How a level is read from one end to the other, and what that brings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import StoreError
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.rechunk.binning import Binning
from zarr_vectors.rechunk.parts import LineRuns
from zarr_vectors.rechunk.shared import SharedFragments
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.column_file import ColumnFile
from zarr_vectors.types.kinds import Kind
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["Cut", "Scan", "ScanPlan", "SeveralOwnersError"]


@dataclass(frozen=True, eq=False)
class Cut:
    """What is taken away of a level.

    Args:
        box: Rows outside go.
        offset: What the coordinates of the box have in addition to stored ones; None for nothing.
        whole: Whether a line that loses a vertex goes as a whole.
    """

    box: ClosedBox
    offset: tuple[float, ...] | None = None
    whole: bool = False

    def keeps(self, positions: AnyArray) -> BoolArray:
        """``(n,)`` whether rows stay."""
        if self.offset is not None:
            positions = positions + np.asarray(self.offset, dtype=np.float64)
        return self.box.mask(positions)


class SeveralOwnersError(StoreError):
    """Several objects share a fragment, and only manifests tell which."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanPlan:
    """How a level is read.

    Args:
        storage: Where it is.
        level: The level.
        kind: What it holds.
        columns: Types of the attributes to carry, by the names under which they are read.
        binning: Bins of the new axis.
        foreign: Manifests of all objects, where fragments do not tell their owners or their place along a line.
        shared: The same where they name a fragment more than once, so that rows belong to fragments.
        cut: What is taken away; None for nothing.
        implied: Whether a vertex of a tree has the one before as its parent unless a link says otherwise.
        links: Whether links name rows.
        numbered: Whether links of other levels, or to them, name rows.
        ids: Object ids of the level.
        folder: For temporary files.
    """

    storage: Storage
    level: LevelState
    kind: Kind
    columns: dict[str, ColumnSpec]
    binning: Binning
    foreign: ObjectRefs | None
    implied: bool
    links: bool
    ids: IntArray
    folder: Path
    numbered: bool = False
    shared: SharedFragments | None = None
    cut: Cut | None = None

    @property
    def keeps_parts(self) -> bool:
        """Whether new fragments must not join old ones, which may have other attributes."""
        return self.has_objects and bool(self.level.fragment_columns)

    @property
    def has_objects(self) -> bool:
        """Whether rows belong to objects."""
        return self.level.has_objects or constants.FRAGMENT_OWNER in self.level.cells


@dataclass
class Scan:
    """What reading a level brought.

    Args:
        rows: The records.
        count: Rows.
        read: Rows that the level had, those of lines that are of no object included.
        numbers: Numbers that rows may have; some are not taken.
        bases: ``(C + 1,)`` where the rows of each present cell begin in the buffers of all, in numeric order of cells.
        shift: ``(C,)`` what the number of a row is above its place in those buffers.
        dead: ``(n,)`` ascending numbers of rows that no fragment names, or that are taken away.
        used: ``(B,)`` whether each bin has rows.
        low: ``(D,)`` least coordinates, or None.
        high: ``(D,)`` greatest coordinates.
        faces: File of the faces that lay in cells of positions, as numbers of rows; not there where there are none.
        parents: File of the number of each row's parent, -1 for none; of trees only.
        runs: What is left of lines, or of shared fragments of them; None where nothing is taken away.
        lost: Lines, or shared fragments of them, that have lost a vertex.
    """

    rows: ColumnFile
    count: int
    read: int
    numbers: int
    bases: IntArray
    shift: IntArray
    dead: IntArray
    used: AnyArray
    low: FloatArray | None
    high: FloatArray | None
    faces: Path
    parents: Path
    runs: LineRuns | None = None
    lost: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
