"""Links from the vertices of one level to those of another: which there are, and between which rows they lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.links import LinkFamily, Segment, parse_family
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.links import decode_grouped
from zarr_vectors.exceptions import CorruptionError, StoreError
from zarr_vectors.query.values import RowFinder
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.spatial.placement import anchors
from zarr_vectors.storage.cells import CellRead, read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["AcrossEnds", "CrossFamily", "cross_families", "groups_across", "read_across"]

_BATCH_CELLS = 2048


@dataclass(frozen=True, eq=False)
class CrossFamily:
    """The links of a level to those of another.

    Args:
        level: Where the first end of each lies, and the links themselves.
        delta: How much coarser the level of the others is.
        links: The family.
        documents: ``zarr.json`` of its arrays and groups, by name below the level.
    """

    level: LevelState
    delta: int
    links: LinkFamily
    documents: Mapping[str, JsonObject]

    @property
    def target(self) -> int:
        """Number of the level of the other ends."""
        return self.level.number + self.delta


@dataclass(frozen=True, eq=False)
class AcrossEnds:
    """Links between two levels.

    Args:
        chunks: ``(n, L)`` place of each end's chunk among those of its level that hold vertices.
        rows: ``(n, L)`` row of each end in its chunk.
        columns: ``n`` values of each attribute.
    """

    chunks: IntArray
    rows: IntArray
    columns: Mapping[str, AnyArray]


def cross_families(
    storage: Storage, level: LevelState, numbers: Sequence[int]
) -> tuple[list[CrossFamily], list[str], list[str]]:
    """The families of a level to other levels.

    Args:
        numbers: The levels that there are to be.

    Returns:
        Those that lead to such a level; names below the level of the groups of all; and of those that lead nowhere.

    Raises:
        StoreError: A family stores its links several times.
    """
    groups = groups_across(storage, level.number)
    deltas = sorted({name.rpartition("/")[2] for name in groups if name.startswith(f"{constants.LINKS}/")})
    there = {text for text in deltas if level.number + int(text) in numbers}
    found = []
    for text in sorted(there, key=int):
        own = [name for name in groups if name.rpartition("/")[2] == text]
        documents = _documents(storage, level.number, own)
        family = parse_family(level.number, documents, level.vertices.ndim, level.store, int(text))
        assert family is not None
        if family.duplicate:
            raise StoreError(
                "links between levels that are stored once for each chunk cannot be told in other chunks",
                store=level.store,
                array=f"{level.number}/{constants.LINKS}/{text}",
            )
        found.append(CrossFamily(level, int(text), family, documents))
    return found, groups, [name for name in groups if name.rpartition("/")[2] not in there]


def groups_across(storage: Storage, number: int) -> list[str]:
    """Names below a level of the groups of links to other levels, and of their attributes."""
    folders = [f"{number}/{constants.LINKS}"]
    attributes = storage.list_children([f"{number}/{constants.LINK_ATTRIBUTES}"])
    folders += [key.rstrip("/") for keys in attributes.values() for key in keys if key.endswith("/")]
    found = [key.rstrip("/") for keys in storage.list_children(folders).values() for key in keys if key.endswith("/")]
    return sorted(key.split("/", 1)[1] for key in found if key.rpartition("/")[2].startswith(("+", "-")))


def _documents(storage: Storage, number: int, groups: Sequence[str]) -> dict[str, JsonObject]:
    children = storage.list_children([f"{number}/{name}" for name in groups])
    arrays = [key.rstrip("/") for keys in children.values() for key in keys if key.endswith("/")]
    paths = {name: f"{number}/{name}/zarr.json" for name in [*groups, *(key.split("/", 1)[1] for key in arrays)]}
    documents = storage.read_documents(list(paths.values()))
    return {name: document for name, path in paths.items() if (document := documents[path]) is not None}


def read_across(
    storage: Storage,
    family: CrossFamily,
    other: LevelState,
    reaches: tuple[IntArray, IntArray],
    names: Sequence[str] = (),
) -> Iterator[AcrossEnds]:
    """The links of a family, some at a time.

    Args:
        other: The level that it leads to.
        reaches: ``(C,)`` rows of each chunk that holds vertices, of the family's level and of the other.
        names: Attributes of the links to bring along.

    Raises:
        CorruptionError: A cell is gone or corrupt, or names what its level does not have.
    """
    for segment in family.links.segments.values():
        present = segment.array.present
        for start in range(0, len(present), _BATCH_CELLS):
            coords = present[start : start + _BATCH_CELLS]
            wanted = [(segment.array, coords)]
            wanted += [(segment.attributes[name], coords) for name in names if name in segment.attributes]
            reads = read_cells(storage, wanted)
            chunks, rows, per_cell = _ends(family, other, segment, reads[0], reaches)
            yield AcrossEnds(chunks, rows, {name: _values(family, segment, name, reads, per_cell) for name in names})


def _ends(
    family: CrossFamily, other: LevelState, segment: Segment, read: CellRead, reaches: tuple[IntArray, IntArray]
) -> tuple[IntArray, IntArray, IntArray]:
    """Chunks and rows of the ends, and the links of each cell."""
    width = family.links.width
    records, per_cell, errors = decode_grouped(read.cells, segment.dtype, width + segment.has_perm)
    for cell, what in {**errors, **read.errors}.items():
        raise _corrupt(read, cell, what)
    rows = records[:, int(segment.has_perm) :].astype(np.int64)
    chunks = np.empty_like(rows)
    begins = anchors(read.coords, family.level.chunk_shape, other.chunk_shape)
    levels = (family.level, *[other] * (width - 1))
    places = (read.coords, *(begins + offset for offset in segment.offsets))
    for end, (level, coords) in enumerate(zip(levels, places, strict=True)):
        found = RowFinder(level.vertices.present).find(coords)
        gone = np.flatnonzero((found < 0) & (per_cell > 0))
        if len(gone):
            raise _corrupt(read, int(gone[0]), f"a link names a chunk of level {level.number} without vertices")
        chunks[:, end] = np.repeat(found, per_cell)
        row, reach = rows[:, end], reaches[min(end, 1)]
        beyond = np.flatnonzero((row < 0) | (row >= reach[chunks[:, end]])) if len(row) else row
        if len(beyond):
            bad = int(np.searchsorted(np.cumsum(per_cell), beyond[0], side="right"))
            raise _corrupt(read, bad, f"a link names row {row[beyond[0]]}, which its chunk does not have")
    return chunks, rows, per_cell


def _values(
    family: CrossFamily, segment: Segment, name: str, reads: Sequence[CellRead], per_cell: IntArray
) -> AnyArray:
    """An attribute of the links of some cells.

    Raises:
        CorruptionError: A cell is not there, or has another number of values.
    """
    spec = family.links.columns[name]
    read = next((one for one in reads[1:] if one.array.path.split("/")[2] == name), None)
    if read is None:
        raise CorruptionError(
            "links lack an attribute that others of their family have",
            store=family.level.store,
            array=segment.array.path,
            expected=name,
        )
    for cell, what in read.errors.items():
        raise _corrupt(read, cell, what)
    size = spec.dtype.itemsize * spec.channels
    wrong = np.flatnonzero(read.cells.sizes != per_cell * size)
    if len(wrong):
        raise _corrupt(read, int(wrong[0]), f"{read.cells.sizes[wrong[0]]} bytes for {per_cell[wrong[0]]} links")
    return np.frombuffer(read.cells.joined(), dtype=spec.dtype).reshape(-1, *spec.row_shape)


def _corrupt(read: CellRead, cell: int, what: str) -> CorruptionError:
    return CorruptionError(
        "a cell cannot be read",
        store=read.array.store,
        array=read.array.path,
        cell=format_keys(read.coords[cell : cell + 1])[0],
        got=what,
        hint="restore it from a copy",
    )
