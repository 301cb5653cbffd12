"""Links between a new level and the finer ones that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, RootState, open_level
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.pyramid.options import PyramidOptions
from zarr_vectors.query.across import CrossFamily, cross_families, read_across
from zarr_vectors.query.sizes import chunk_reaches
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.across import CrossSink, stored_cells
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.links import LinkPlan, MakeArray
from zarr_vectors.types.places import Places
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["LevelLinks", "plan_links", "said_of_links"]

_BLOCK_ROWS = 1 << 18
_IN_MEMORY_ROWS = 4_000_000
_RANKS = (constants.XLEVEL_NONE, constants.XLEVEL_IMPLICIT, constants.XLEVEL_EXPLICIT)

_Pairs: TypeAlias = tuple[IntArray, IntArray, IntArray]
"""Of finer vertices: place of the chunk among those of the level, row in it, and number of the new vertex."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LevelLinks:
    """Which links a new level has to finer ones.

    Args:
        storage: The store.
        finer: The level that it is made from.
        number: Its own number.
        further: For each level that ``finer`` was made from in turn, as far as links lead, the links to ``finer``.
        both_ways: Whether there are links from the new level too.
    """

    storage: Storage
    finer: LevelState
    number: int
    further: tuple[CrossFamily, ...]
    both_ways: bool

    def begun(self, folder: Path) -> Standing:
        """Ready to be told what stands for what.

        Args:
            folder: For temporary files of these links alone.
        """
        folder.mkdir()
        return Standing(self, folder)


@dataclass
class Standing:
    """Which new vertex stands for each stored vertex of the finer level, and the links that follow.

    It takes four bytes for each vertex of the finer level, in a file where there are many.
    """

    links: LevelLinks
    folder: Path
    _reaches: IntArray = field(init=False)
    _bases: IntArray = field(init=False)
    _numbers: AnyArray = field(init=False)
    _next: int = 0
    _groups: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._reaches = chunk_reaches(self.links.storage, self.links.finer)
        self._bases = offsets_of(self._reaches)
        rows = int(self._bases[-1])
        dtype: Any = np.int32 if rows < 2**31 else np.int64
        if rows <= _IN_MEMORY_ROWS:
            self._numbers = np.full(rows, -1, dtype=dtype)
            return
        self._numbers = np.memmap(self.folder / "standing", dtype=dtype, mode="w+", shape=(rows,))
        self._numbers[:] = -1

    def add(self, places: IntArray, parents: IntArray, count: int) -> None:
        """Take what stands for some vertices.

        A stored vertex that several lines share has one link, to what stands for it in the first of them.

        Args:
            places: ``(n, 2)`` place of each finer vertex's chunk among those of its level, and its row in it.
            parents: ``(n,)`` number, among the new vertices that come with these, of the one that stands for each; -1
                for none.
            count: How many new vertices come with these.
        """
        self.put(places, np.where(parents >= 0, parents + self._next, -1))
        self._next += count

    def put(self, places: IntArray, numbers: IntArray) -> None:
        """Take what stands for some vertices, as its number among all new ones; -1 for none."""
        told = np.flatnonzero(numbers >= 0)
        stored = self._bases[places[told, 0]] + places[told, 1]
        stored, first = np.unique(stored, return_index=True)
        new = self._numbers[stored] < 0
        self._numbers[stored[new]] = numbers[told[first[new]]]

    def puts(self, plan: CellPlan, places: Places, array: MakeArray) -> Iterator[Put]:
        """The stored objects and documents of all families, of which each lies with the level that its links come from.

        Args:
            plan: How the new level's rows have become cells.
            places: Where its vertices have come to lie.
            array: Makes arrays on its grid.
        """
        for family in (None, *self.links.further):
            level = self.links.finer if family is None else family.level
            cells, delta = stored_cells(level), self.links.number - level.number
            beside = _maker(level)
            up = LinkPlan(level.number, cells, 2, directed=True, columns={}, array=beside, delta=delta)
            down = LinkPlan(self.links.number, plan, 2, directed=True, columns={}, array=array, delta=-delta)
            yield from self._family_puts(CrossSink(up, self._spare(up), other=plan), level, family, places)
            if self.links.both_ways:
                yield from self._family_puts(CrossSink(down, self._spare(down), other=cells), level, family, places)

    def _family_puts(
        self, sink: CrossSink, level: LevelState, family: CrossFamily | None, places: Places
    ) -> Iterator[Put]:
        """A family, once its sink has been filled with the links of ``level`` to the new one, or those back."""
        numbers = stored_cells(level).cell_numbers(level.vertices.present)
        for chunks, rows, new in self._own() if family is None else self._composed(family):
            near, far = (numbers[chunks], rows), places.at(new)
            own, other = (near, far) if sink.plan.delta > 0 else (far, near)
            sink.add_across(own, (other[0][:, None], other[1][:, None]), {})
        yield from sink.puts(lambda array, coords, cells: array.encode(coords, cells))
        group = f"{sink.plan.level}/{constants.LINKS}/zarr.json"
        there = sink.plan.level != self.links.number and self.links.storage.read_documents([group])[group] is not None
        for path, data in sink.documents():
            if path != group or not (there or group in self._groups):
                yield path, data
        self._groups.add(group)

    def _own(self) -> Iterator[_Pairs]:
        """What stands for the vertices of the finer level, as they are stored."""
        for start in range(0, len(self._numbers), _BLOCK_ROWS):
            numbers = np.asarray(self._numbers[start : start + _BLOCK_ROWS], dtype=np.int64)
            there = np.flatnonzero(numbers >= 0)
            stored = start + there
            chunks = np.searchsorted(self._bases, stored, side="right") - 1
            yield chunks, stored - self._bases[chunks], numbers[there]

    def _composed(self, family: CrossFamily) -> Iterator[_Pairs]:
        """What stands for the vertices of a level from which links lead to the finer one."""
        reaches = (chunk_reaches(self.links.storage, family.level), self._reaches)
        for links in read_across(self.links.storage, family, self.links.finer, reaches):
            numbers = self._numbers[self._bases[links.chunks[:, 1]] + links.rows[:, 1]].astype(np.int64)
            there = numbers >= 0
            yield links.chunks[there, 0], links.rows[there, 0], numbers[there]

    def _spare(self, plan: LinkPlan) -> Path:
        """A folder for the records of a family."""
        folder = self.folder / f"{plan.level}{plan.delta_text}"
        folder.mkdir()
        return folder


def _maker(level: LevelState) -> MakeArray:
    return lambda name, said: level.array_beside(level.vertices, name, said)


def plan_links(
    storage: Storage, root: RootState, finer: LevelState, number: int, options: PyramidOptions
) -> LevelLinks | None:
    """Which links a level gets that is made from another; None for none.

    Args:
        number: Of the new level.

    Raises:
        ConventionError: The store cannot have them.
    """
    asked, depth = options.cross_level_storage, options.cross_level_depth
    if asked == constants.XLEVEL_NONE or not depth:
        return None
    others = [one for one in level_numbers(storage, root.attributes) if one not in (0, number)]
    had = root.metadata.cross_level_storage or constants.XLEVEL_EXPLICIT
    if others and had in _RANKS and _RANKS.index(had) < _RANKS.index(asked):
        raise ConventionError(
            "the coarser levels that the store has were made without such links between levels",
            store=storage.url,
            got=f"{asked}, where the store has {had}",
            hint=f"use cross_level_storage={had!r}, or remove these levels and build them anew",
        )
    _check_linkable(finer)
    before = _before(storage, root, finer, None if depth < 0 else number - depth)
    further = tuple(_links_to(storage, level, finer.number) for level in before)
    return LevelLinks(
        storage=storage, finer=finer, number=number, further=further, both_ways=asked == constants.XLEVEL_EXPLICIT
    )


def said_of_links(root: RootState, options: PyramidOptions) -> tuple[JsonObject, JsonObject]:
    """What the root says of links once a level is made, and what the level says itself, where that is another thing."""
    asked: JsonObject = {
        "cross_level_storage": options.cross_level_storage,
        "cross_level_depth": options.cross_level_depth,
    }
    metadata = root.metadata
    linked = constants.CAP_MULTISCALE_LINKS in metadata.format_capabilities
    if not linked or metadata.cross_level_storage in (None, constants.XLEVEL_NONE):
        return asked, {}
    depths = (1 if metadata.cross_level_depth is None else metadata.cross_level_depth, options.cross_level_depth)
    # Other levels keep the links that they have.
    stays = {
        "cross_level_storage": metadata.cross_level_storage,
        "cross_level_depth": -1 if min(depths) < 0 else max(depths),
    }
    return stays, {} if stays == asked else asked


def _before(storage: Storage, root: RootState, level: LevelState, least: int | None) -> Iterator[LevelState]:
    """The levels that a level was made from in turn, from the nearest one down to ``least``."""
    parent = level.metadata.parent_level
    while parent is not None and parent < level.number and (least is None or parent >= least):
        level = open_level(storage, root, parent)
        _check_linkable(level)
        yield level
        parent = level.metadata.parent_level


def _links_to(storage: Storage, level: LevelState, number: int) -> CrossFamily:
    found: Sequence[CrossFamily] = cross_families(storage, level, [number])[0]
    if not found:
        raise ConventionError(
            f"links from level {level.number} follow from those to level {number}, which the store does not have",
            store=storage.url,
            hint=f"use a cross_level_depth of at most {number - level.number}, or build the pyramid anew",
        )
    return found[0]


def _check_linkable(level: LevelState) -> None:
    """Refuse a level whose vertices no link of another level can name."""
    if level.metadata.leading_axes:
        raise ConventionError(
            "links between levels are not made where chunks have an axis before the spatial ones",
            store=level.store,
            got=f"level {level.number}, chunked by {level.metadata.chunk_attribute_name or 'another axis'}",
            hint="use cross_level_storage='none'",
        )
    if level.is_unordered:
        raise ConventionError(
            "the Draco cells of this store do not keep the order of their rows, which links between levels would name",
            store=level.store,
            got=f"level {level.number}",
            hint="use cross_level_storage='none', or read the store and write it anew",
        )
