"""Cells of several levels on one grid as those of one: objects that move as they are, and what must be told anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec, presence_list, stored_dtype, with_presence
from zarr_vectors.core.merge_cells import same_layout
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.exceptions import ConcurrentEditError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cell_array import CellArray, grown
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.append_columns import merge_categories
from zarr_vectors.types.append_links import link_arrays
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["ArrayMerge", "Part", "arrays_of", "check_apart", "union_of"]

_AT_ONCE = 32
"""Stored objects that are read at once."""
_ROW_ID = f"{constants.VERTEX_ATTRIBUTES}/{constants.ROW_ID}"
_FACTS = ("row_shape", "channel_names", "encoding", "offsets", "has_perm", "link_width", "unit")
"""Attributes of an array without which its cells mean something else; what values they hold is looked at apart."""

Change: TypeAlias = Callable[[AnyArray], AnyArray]


@dataclass(frozen=True)
class Part:
    """A level whose rows are to be part of another one.

    Args:
        name: For messages.
        storage: The store that it is the level 0 of.
        root: Its root.
        level: The level.
        inside: Where that store lies in the other one; None for a place of its own.
        assigned: Whether its object ids were given out by the library, from 0, and may be changed.
        row_shift: What its row ids grow by.
        id_shift: What its object ids grow by.
    """

    name: str
    storage: Storage
    root: RootState
    level: LevelState
    inside: str | None = None
    assigned: bool = False
    row_shift: int = 0
    id_shift: int = 0


def arrays_of(level: LevelState) -> dict[str, CellArray]:
    """Every chunk-grid array of a level, by name."""
    return {**level.cells, **link_arrays(level)}


def first_cells(array: CellArray, coords: IntArray) -> IntArray:
    """``(n, K)`` the first cells of the stored objects that these cells lie in, each once."""
    origin, block = np.asarray(array.grid.origin), np.asarray(array.block)
    firsts: IntArray = np.unique((coords - origin) // block * block + origin, axis=0)
    return firsts


@dataclass
class ArrayMerge:
    """One array of a level, and those of parts that become part of it.

    Args:
        name: Below the level.
        level: The level.
        storage: Its store.
        old: Its array; None where it has none yet.
        parts: The others.
    """

    name: str
    level: LevelState
    storage: Storage
    old: CellArray | None
    parts: Sequence[tuple[Part, CellArray]]
    lookups: dict[int, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        base = self.parts[0][1] if self.old is None else self.old
        document = base.document
        for part, array in self.parts:
            self._check_like(base, part, array)
        if document.attributes.get("encoding") == "dictionary":
            document = document.with_attributes(**{"_FillValue": None, **self._categories(base).attributes()})
        path = f"{self.level.number}/{self.name}"
        self.array = grown(CellArray(path, document, self.storage.url), self.level.vertices.grid)
        for part, array in self.parts:
            shift = np.asarray(self.array.grid.origin) - np.asarray(array.grid.origin)
            covered = self.array.grid.contains(array.present).all()
            if not covered or (shift % np.asarray(array.block)).any():
                raise self._odd(part, "the store has been cut in another way since the job began")

    def _check_like(self, base: CellArray, part: Part, array: CellArray) -> None:
        mine, other = ({name: a.document.attributes.get(name) for name in _FACTS} for a in (base, array))
        plain = base.document.attributes.get("encoding") != "dictionary"
        types = [a.document.attributes.get("dtype") for a in (base, array)]
        if mine != other or not same_layout(base, array) or (plain and types[0] != types[1]):
            raise self._odd(part, "the part does not store the array as the store does")

    def _odd(self, part: Part, what: str) -> ConcurrentEditError:
        return ConcurrentEditError(
            what,
            store=self.storage.url,
            array=f"{self.level.number}/{self.name}",
            got=f"part {part.name!r}",
            hint="cancel the job, begin another one and write all parts again",
        )

    def _categories(self, base: CellArray) -> ColumnSpec:
        """The categories of all, and for each part what becomes of its codes."""
        spec = ColumnSpec.from_attributes(base.document.attributes)
        for number, (_, array) in enumerate(self.parts):
            spec, self.lookups[number] = merge_categories(
                self.name, spec, ColumnSpec.from_attributes(array.document.attributes)
            )
        return spec

    def document(self) -> ArrayDocument:
        """The array's document, with the cells of all."""
        return with_presence(self.array.document, presence_list(self.present()))

    def present(self) -> IntArray:
        """``(n, K)`` the cells of all."""
        held = [array.present for array in ([] if self.old is None else [self.old]) + [a for _, a in self.parts]]
        cells: IntArray = np.unique(np.concatenate(held), axis=0)
        return cells

    def puts(self) -> Iterator[Put]:
        """Objects that are written: those whose values change, those that come from another place, the document."""
        if self.old is not None and self._dtype(self.old) != self._dtype(self.array):
            yield from self._rewritten(self.storage, self.old, lambda values: values)
        for number, (part, array) in enumerate(self.parts):
            change = self._change(number)
            if change is not None:
                yield from self._rewritten(part.storage, array, change)
            elif part.inside is None:
                yield from self._fetched(part.storage, array)
        yield f"{self.array.path}/zarr.json", dump_json(self.document().to_json())

    def copies(self) -> Iterator[tuple[str, str]]:
        """Objects that only get another name: where they are in the store, and where they go."""
        for number, (part, array) in enumerate(self.parts):
            if part.inside is not None and self._change(number) is None:
                for source, target in self._renamed(array):
                    yield f"{part.inside}/{source}", target

    def _renamed(self, array: CellArray) -> list[tuple[str, str]]:
        firsts = first_cells(array, array.present)
        sources, targets = array.locate(firsts)[0].tolist(), self.array.locate(firsts)[0].tolist()
        return [
            (array.object_path(source), self.array.object_path(target))
            for source, target in zip(sources, targets, strict=True)
        ]

    def _fetched(self, storage: Storage, array: CellArray) -> Iterator[Put]:
        pairs = self._renamed(array)
        for start in range(0, len(pairs), _AT_ONCE):
            part = pairs[start : start + _AT_ONCE]
            found = storage.fetch(Get(source) for source, _ in part)
            for source, target in part:
                data = found[Get(source)]
                if data is None:
                    raise ConcurrentEditError("a stored object of a part is gone", store=storage.url, array=source)
                yield target, data

    def changes(self, part: Part) -> bool:
        """Whether values of a part become others."""
        return any(one is part and self._change(number) is not None for number, (one, _) in enumerate(self.parts))

    def _change(self, number: int) -> Change | None:
        """What is to be done to the values of a part; None for nothing."""
        part, array = self.parts[number]
        shift = {_ROW_ID: part.row_shift, constants.FRAGMENT_OWNER: part.id_shift}.get(self.name, 0)
        if shift:
            # Below 0 are marks.
            return lambda values: np.where(values >= 0, values + shift, values)
        lookup = self.lookups.get(number)
        same = lookup is None or np.array_equal(lookup[:-1], np.arange(len(lookup) - 1))
        if same and self._dtype(array) == self._dtype(self.array):
            return None
        return lambda values: values if lookup is None else lookup[values]

    def _dtype(self, array: CellArray) -> np.dtype[np.generic]:
        return stored_dtype(array.document.attributes.get("dtype", "uint8"))

    def _rewritten(self, storage: Storage, array: CellArray, change: Change) -> Iterator[Put]:
        """All cells with other values, some stored objects at a time."""
        old, new = self._dtype(array), self._dtype(self.array)
        index, which = np.unique(array.locate(array.present)[0], axis=0, return_inverse=True)
        which = np.asarray(which).reshape(-1)
        for start in range(0, len(index), _AT_ONCE):
            coords = array.present[(which >= start) & (which < start + _AT_ONCE)]
            (read,) = read_cells(storage, [(array, coords)])
            cells = read.check().cells
            values = change(np.frombuffer(cells.joined(), dtype=old)).astype(new)
            sizes = cells.sizes // old.itemsize * new.itemsize
            yield from self.array.encode(coords, Blobs.packed(values.view(np.uint8), sizes))


def check_apart(parts: Sequence[Part], level: LevelState, store: str) -> None:
    """Refuse parts of which two have rows in one stored object, or one where the level has rows already.

    Raises:
        ConcurrentEditError: With the names of the parts and the chunk that the object begins with.
    """
    array = level.vertices
    held = [first_cells(array, array.present), *(first_cells(array, part.level.vertices.present) for part in parts)]
    owner = np.repeat(np.arange(len(held)) - 1, [len(firsts) for firsts in held])
    firsts, number = np.unique(np.concatenate(held), axis=0, return_inverse=True)
    number = np.asarray(number).reshape(-1)
    twice = np.flatnonzero(np.bincount(number, minlength=len(firsts)) > 1)
    if not len(twice):
        return
    what = "shard" if array.document.is_sharded else "chunk"
    problems = []
    for shard in twice.tolist():
        names = ["the store itself" if at < 0 else f"part {parts[at].name!r}" for at in owner[number == shard].tolist()]
        problems.append(f"the {what} that begins with {format_keys(firsts[shard : shard + 1])[0]}: {', '.join(names)}")
    raise ConcurrentEditError(
        f"parts must have {what}s of their own, and {len(twice)} belong to several",
        store=store,
        array=array.path,
        got=problems[0],
        problems=problems[:100],
        hint="nothing was published; give every part regions of job.regions(), or rows in other places",
    )


def union_of(columns: Mapping[str, CellArray], others: Sequence[Mapping[str, CellArray]]) -> list[str]:
    """Names of all arrays, in order."""
    return sorted({*columns, *(name for other in others for name in other)})
