"""What two sides of a merge may not both have done, beyond changing the same thing.

Rows of a chunk, its fragments, their attributes and the links to them are bound to each other by place: where one side
has changed the rows, nothing that counts on them may come from the other side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.merge_cells import ArrayChange, common_rows
from zarr_vectors.core.merge_documents import conflict
from zarr_vectors.metadata.root import RootMetadata
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.icechunk_repository import Changes
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.typing import IntArray, JsonObject

__all__ = ["Documents", "Side", "check_sides"]

Documents: TypeAlias = Mapping[str, tuple[JsonObject | None, JsonObject | None, JsonObject | None]]
"""Documents of nodes that either side has changed: before, ours, theirs."""
_ROWS = (constants.VERTICES, constants.VERTEX_FRAGMENTS)
"""Arrays whose cells say which rows a chunk has."""
_MEANING = {
    constants.ROOT_KEY: (
        "chunk_shape",
        "base_bin_shape",
        "coordinate_offset",
        "links_convention",
        "object_index_convention",
        "cross_chunk_strategy",
    ),
    constants.LEVEL_KEY: ("chunk_shape", "chunk_dims", "chunk_attribute_name", "chunk_attribute_values"),
}
"""Facts of the root and of a level without which cells mean something else."""


@dataclass
class Side:
    """One state of the store, and what leads to it from the common one.

    Args:
        storage: The state.
        changes: Since the common state.
    """

    storage: Storage
    changes: Changes
    cells: dict[str, ArrayChange] = field(default_factory=dict)

    def rows_changed(self, level: str) -> IntArray | None:
        """``(n, K)`` chunks of a level whose rows or fragments have changed; None for none."""
        found = [self.cells[f"{level}/{name}"].cells for name in _ROWS if f"{level}/{name}" in self.cells]
        joined = np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 1), dtype=np.int64)
        return joined if len(joined) else None

    @cached_property
    def levels(self) -> set[str]:
        """Levels of which anything has changed."""
        return {path.partition("/")[0] for path in self.changes.paths if path.partition("/")[0].isdecimal()}


def check_sides(ours: Side, theirs: Side, documents: Documents) -> None:
    """Refuse changes that cannot both be kept.

    Raises:
        ConcurrentEditError: There are some.
    """
    for one, other, at in ((ours, theirs, 2), (theirs, ours, 1)):
        for level in sorted(one.levels):
            _check_rows(level, one, other)
        _check_links(one, other)
        _check_removed(other, documents, at)
        for path, block, levels in _meanings(one, documents):
            _check_meaning(path, block, documents[path], at, any(_has_cells(one, level) for level in levels))


def _check_rows(level: str, one: Side, other: Side) -> None:
    """Refuse what the other side did to chunks whose rows this side has changed."""
    rows = one.rows_changed(level)
    if rows is None:
        return
    coarser = sorted(number for number in other.levels if int(number) > int(level))
    if coarser:
        raise conflict(
            "one side has changed rows that the other side has built coarser levels from",
            array=f"{level}/{constants.VERTICES}",
            got=f"levels {', '.join(coarser)}",
        )
    for path, change in other.cells.items():
        if path.startswith(f"{level}/") and change.cells.shape[1] == rows.shape[1]:
            _refuse_common("a chunk has other rows on one side, and was changed on the other", path, change, rows)


def _check_links(one: Side, other: Side) -> None:
    """Refuse links of one side to rows that the other has changed, and values of links that it has changed."""
    for path, change in one.cells.items():
        level, family, *rest = path.split("/")
        if family != constants.LINKS or change.array is None or not len(change.cells):
            continue
        delta = int(rest[0])
        rows = other.rows_changed(str(int(level) + delta))
        if rows is not None and (delta or _ends_in(change, rows)):
            raise conflict("links were made on one side to rows that the other side has changed", array=path)
        segment = "/".join(rest)
        for beside, values in other.cells.items():
            aligned = beside.startswith(f"{level}/{constants.LINK_ATTRIBUTES}/") and beside.endswith(f"/{segment}")
            if aligned or beside == f"{level}/{constants.LINK_FRAGMENTS}":
                told = "links of a chunk have changed on one side, and their values or groups on the other"
                if aligned or not any(any(offset) for offset in _offsets(change)):
                    _refuse_common(told, beside, values, change.cells)


def _refuse_common(what: str, path: str, change: ArrayChange, cells: IntArray) -> None:
    both = common_rows(change.cells, cells)
    if both.any():
        raise conflict(what, array=path, cell=format_keys(change.cells[both][:1])[0])


def _check_removed(side: Side, documents: Documents, at: int) -> None:
    """Refuse groups that this side has removed and the other has put something below."""
    gone = [path for path in side.changes.remade if path and documents[path][0] and not documents[path][at]]
    for path in gone:
        below = [name for name, states in documents.items() if name.startswith(f"{path}/") and states[3 - at]]
        kept = [name for name in below if documents[name][3 - at] != documents[name][0]]
        if kept:
            raise conflict("a group was removed on one side, and changed below on the other", array=path, got=kept[0])


def _meanings(side: Side, documents: Documents) -> Iterator[tuple[str, str, list[str]]]:
    """Documents that say what cells mean: their node, the attribute, and the levels that it is about."""
    levels = sorted(side.levels)
    if "" in documents:
        yield "", constants.ROOT_KEY, levels
    yield from ((level, constants.LEVEL_KEY, [level]) for level in levels if level in documents)


def _has_cells(side: Side, level: str) -> bool:
    return any(path.startswith(f"{level}/") and len(change.cells) for path, change in side.cells.items())


def _check_meaning(path: str, block: str, states: Any, at: int, has_cells: bool) -> None:
    """Refuse cells of one side that what the other has said of them would make mean something else."""
    base, mine, other = (_block(states[number], block) for number in (0, 3 - at, at))
    changed = [key for key in _MEANING[block] if other.get(key) != base.get(key) and other.get(key) != mine.get(key)]
    if has_cells and changed:
        raise conflict(f"one side has changed {changed[0]}, and the other has written cells", array=f"{path}/{ROOT}")
    if has_cells and block == constants.ROOT_KEY and _shrinks(base, other):
        raise conflict("one side has put rows where the other side has contracted the bounds", array=ROOT)


def _offsets(change: ArrayChange) -> Any:
    assert change.array is not None
    return change.array.document.attributes.get("offsets") or []


def _ends_in(change: ArrayChange, rows: IntArray) -> bool:
    """Whether links of changed cells end in one of these chunks; their own chunk is looked at elsewhere."""
    ends = [change.cells + np.asarray(offset, dtype=np.int64) for offset in _offsets(change)]
    return any(bool(common_rows(end, rows).any()) for end in ends)


def _shrinks(base: JsonObject, block: JsonObject) -> bool:
    """Whether bounds leave out some of what they covered."""
    if not base or not block:
        return False
    old, new = (RootMetadata.parse(said, where=ROOT).bounds for said in (base, block))
    return any(a > b for a, b in zip(new[0], old[0], strict=True)) or any(
        a < b for a, b in zip(new[1], old[1], strict=True)
    )


def _block(document: JsonObject | None, name: str) -> JsonObject:
    block: JsonObject = ((document or {}).get("attributes") or {}).get(name) or {}
    return block
