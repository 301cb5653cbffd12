"""The links of a level by the numbers of rows, for any kind: read some cells at a time, and given to a sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.links import LinkFamily, Segment
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.query.links import LinkPart, Links, decode_links
from zarr_vectors.rechunk.columns import without_gaps
from zarr_vectors.rechunk.scan_plan import Scan
from zarr_vectors.storage.cells import CellRead, read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.links import LinkSink, implied
from zarr_vectors.types.places import Places
from zarr_vectors.types.table import LinkTable
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["SourceLinks", "link_specs"]

_BATCH_CELLS = 2048
_BATCH_ROWS = 1 << 18


@dataclass
class _Frame:
    """Where the rows of all cells lie: what links are decoded against."""

    coords: IntArray
    bases: IntArray
    others: dict[str, CellRead] = field(default_factory=dict)
    errors: list[CorruptionError] = field(default_factory=list)


def link_specs(storage: Storage, level: LevelState, family: LinkFamily, *, implied: bool) -> dict[str, ColumnSpec]:
    """Types of the attributes of links, as they can be stored again.

    Args:
        implied: Whether there may be links that are not stored and so have no values.

    Raises:
        StoreError: An attribute lacks values that its type cannot mark as missing.
    """
    found = {}
    for name, spec in family.columns.items():
        shape = next((_row_shape(storage, segment, name, family) for segment in _filled(family, name)), spec.row_shape)
        found[name] = spec if shape == spec.row_shape else replace(spec, row_shape=shape)
        gaps = [one for one in family.segments.values() if not _is_whole(one, name)]
        if gaps:
            path = gaps[0].array.path
            found[name] = without_gaps(f"attribute {name!r} of links", found[name], path, level.store)
        elif implied and spec.categories is not None:
            found[name] = without_gaps(name, found[name], level.vertices.path, level.store)
    return found


def _is_whole(segment: Segment, name: str) -> bool:
    """Whether every cell of a segment has values of an attribute."""
    array = segment.attributes.get(name)
    return array.has_all_of(segment.array) if array is not None else not len(segment.array.present)


def _filled(family: LinkFamily, name: str) -> Iterator[Segment]:
    """Segments with values of an attribute."""
    for segment in family.segments.values():
        if name in segment.attributes and len(segment.attributes[name].present):
            yield segment


def _row_shape(storage: Storage, segment: Segment, name: str, family: LinkFamily) -> tuple[int, ...]:
    """What one cell tells of the shape of a row."""
    array = segment.attributes[name]
    cells = array.present[:1]
    offsets = np.concatenate([np.zeros((1, array.ndim), dtype=np.int64), segment.offsets])
    coords = np.unique(cells + offsets, axis=0)
    # Rows may be anywhere: only how many values there are is looked at.
    frame = _Frame(coords, np.arange(len(coords) + 1) * 2**40)
    return _read_part(storage, family, frame, LinkPart(segment, cells), [name]).columns[name].shape[1:]


def _read_part(storage: Storage, family: LinkFamily, frame: _Frame, part: LinkPart, names: list[str]) -> Links:
    """The links of some cells of a segment.

    Raises:
        CorruptionError: A cell cannot be read.
    """
    reads = read_cells(storage, part.arrays(names))
    frame.others = {read.array.path: read for read in reads}
    links = decode_links(family, frame, [part], names)
    if frame.errors:
        first = frame.errors[0]
        first.problems = tuple(f"{error.array} {error.cell}: {error.got}" for error in frame.errors)
        raise first
    return links


@dataclass
class SourceLinks:
    """The links of a level that has been read.

    Args:
        storage: Where it is.
        level: The level.
        scan: Its rows.
        columns: Types of the attributes of links.
        tree: Whether links lead from children to parents, and each child has one.
        parts: Whether new fragments may end where order implies a link.
    """

    storage: Storage
    level: LevelState
    scan: Scan
    columns: Mapping[str, ColumnSpec]
    tree: bool
    parts: bool
    _parents: AnyArray | None = None
    _said: AnyArray | None = None

    def prepare(self) -> None:
        """For trees: let stored links overrule those that order implies."""
        if not self.tree:
            return
        size = self.scan.numbers
        if not size:
            self._parents = self._said = np.zeros(0, dtype=np.int64)
            return
        self._parents = np.memmap(self.scan.parents, dtype=np.int64, mode="r+", shape=(size,))
        said = self.scan.parents.with_name("said")
        self._said = np.memmap(said, dtype=bool, mode="w+", shape=(size,))
        for links in self._stored([]):
            child, parent = links.ends.T
            # A stored link to a row that no fragment names still says that the vertex before is not the parent.
            self._parents[child] = np.where(self._alive(parent), parent, -1)
            self._said[child] = True

    def roots(self, numbers: AnyArray) -> AnyArray:
        """``(n,)`` whether rows have no parent."""
        assert self._parents is not None
        return np.asarray(self._parents.take(numbers) < 0)

    def fill(self, sink: LinkSink, places: Places) -> None:
        """Give a sink all links, whose rows have been written to these places."""
        for links in self._stored(list(self.columns)):
            kept = links.where(np.asarray(self._alive(links.ends).all(axis=1)))
            if self._parents is not None:
                # Of links that name several parents of a vertex the last one counts.
                kept = kept.where(np.asarray(self._parents.take(kept.ends[:, 0]) == kept.ends[:, 1]))
            values = {name: self._values(name, column) for name, column in kept.columns.items()}
            sink.add_table(LinkTable(kept.ends, values), places)
        for ends in self._faces():
            sink.add_table(LinkTable(ends[self._alive(ends).all(axis=1)], {}), places)
        if self.tree:
            self._fill_implied(sink, places)

    def _stored(self, names: list[str]) -> Iterator[Links]:
        """Stored links by the numbers of their ends."""
        family = self.level.links
        if family is None:
            return
        frame = _Frame(self.level.vertices.present, self.scan.bases)
        for segment in family.segments.values():
            present = segment.array.present
            for start in range(0, len(present), _BATCH_CELLS):
                part = LinkPart(segment, present[start : start + _BATCH_CELLS])
                self._check_ends(part)
                links = _read_part(self.storage, family, frame, part, names)
                cells = np.searchsorted(self.scan.bases, links.ends, side="right") - 1
                ends = links.ends + self.scan.shift.take(cells) if len(links.ends) else links.ends
                if self.tree and family.directed:
                    # Source: the two writers of skeletons in format 0.9.2 order the ends of crossing links differently.
                    crossing = cells[:, 0] != cells[:, 1]
                    ends[crossing] = ends[crossing][:, ::-1]
                yield Links(ends, links.columns)

    def _check_ends(self, part: LinkPart) -> None:
        """Whether all chunks that these links name have vertices."""
        for offset in part.segment.offsets:
            gone = ~self.level.vertices.has(part.coords + offset)
            if gone.any():
                raise CorruptionError(
                    "a link names a chunk that has no vertices",
                    store=self.level.store,
                    array=part.segment.array.path,
                    cell=".".join(map(str, part.coords[gone][0].tolist())),
                )

    def _alive(self, numbers: IntArray) -> AnyArray:
        """Whether fragments name these rows, in the shape of ``numbers``."""
        dead = self.scan.dead
        if not len(dead):
            return np.ones(numbers.shape, dtype=bool)
        return np.asarray(dead[np.minimum(np.searchsorted(dead, numbers), len(dead) - 1)] != numbers)

    def _values(self, name: str, column: Column) -> AnyArray:
        if isinstance(column, Categorical):
            return column.codes.astype(self.columns[name].dtype)
        return np.ma.getdata(column)

    def _faces(self) -> Iterator[IntArray]:
        """Faces that lay in cells of positions."""
        if not self.scan.faces.exists():
            return
        with self.scan.faces.open("rb") as source:
            while len(ends := np.fromfile(source, dtype=np.int64, count=3 * _BATCH_ROWS)):
                yield ends.reshape(-1, 3)

    def _fill_implied(self, sink: LinkSink, places: Places) -> None:
        """Links that order implied: those that it does not imply any more are stored, without values."""
        assert self._parents is not None
        assert self._said is not None
        for start in range(0, self.scan.numbers, _BATCH_ROWS):
            parents = self._parents[start : start + _BATCH_ROWS]
            children = np.flatnonzero((parents >= 0) & ~self._said[start : start + _BATCH_ROWS])
            ends = np.stack([start + children, parents[children]], axis=1)
            cells, rows = places.at(ends)
            if not self.parts:
                said = ~implied(cells, rows)
                ends, cells, rows = ends[said], cells[said], rows[said]
            if len(cells):
                missing = {name: self._missing(name, len(cells)) for name in self.columns}
                sink.add(cells, rows, missing, places.positions_of(ends))

    def _missing(self, name: str, count: int) -> AnyArray:
        spec = self.columns[name]
        without_gaps(f"attribute {name!r} of edges", spec, f"{self.level.number}/links/0", self.level.store)
        blank = np.zeros((count, *spec.row_shape), dtype=spec.dtype)
        if spec.categories is not None:
            blank[:] = -1
        else:
            blank[:] = "NaT" if spec.dtype.kind in "mM" else np.nan
        return blank
