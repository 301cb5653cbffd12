"""Changing the box that a store covers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.shell_checks import bounds_of
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.exceptions import ChunkingError, InputError, MetadataError, StoreError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.rechunk.crop import crop_store, has_rows_outside
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import MAX_GRID_CELLS
from zarr_vectors.storage.cell_array import grown, renamed
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.types.append_links import link_arrays
from zarr_vectors.types.cell_facts import facts_of_level
from zarr_vectors.typing import Bounds, JsonObject

__all__ = ["set_bounds"]

_Pairs = list[tuple[CellArray, CellArray]]
"""Arrays as they are and as they will be."""


def set_bounds(root: Group, new_bounds: Bounds, *, force: bool = False) -> None:
    """Change the closed box that a store covers, as one commit.

    Where the box grows, the grids of all arrays grow with it, in every direction. Where it shrinks, vertices outside
    are taken away, on each level its own, with all that hangs on them: attributes, links that lose an end, also those
    between levels, and counts. Objects keep their ids, attributes and groups, also without vertices. A polyline that
    falls into parts keeps its id for the first part; the others become objects of their own, with the same attributes
    and groups, the n-th part with the same id on every level. A straight line that loses an end goes. So do links to
    levels that do not exist, which name vertices that move.

    What stays goes through temporary files, so that memory is bounded by shards and tables of objects.

    Args:
        root: The root group of a store.
        new_bounds: ``(min corner, max corner)``, one finite number per axis and corner, in world coordinates: those in
            which vertices are read, a ``coordinate_offset`` included.
        force: Whether the box may shrink on any side.

    Raises:
        StoreError: The box shrinks and ``force`` is not set, or changes wait inside ``batched_writes``.
        MetadataError: The bounds are inverted, not finite, or of another rank than the store.
        ChunkingError: The box would have too many chunks.
        ConventionError: A coarser level would be left with more vertices than the level before it; the store stays as
            it was.
        FormatError: Vertices would have to be taken out of Draco cells that do not keep the order of their rows.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> import zarr_vectors as zv
        >>> from zarr_vectors.core.store import open_store, read_root_metadata
        >>> _ = zv.write("memory://set-bounds-doc", zv.Points([[1.0, 1.0], [8.0, 8.0]], attributes={"w": [1, 2]}))
        >>> root = open_store("memory://set-bounds-doc", mode="r+")
        >>> set_bounds(root, ([0, 0], [100, 100]))
        >>> set_bounds(root, ([0, 0], [5, 5]), force=True)
        >>> read_root_metadata(root).bounds, zv.open("memory://set-bounds-doc")[0].read().attributes["w"].tolist()
        (((0, 0), (5, 5)), [1])
    """
    session = root.session
    session.check_writable()
    if root.prefix:
        raise InputError("this is not the root group of a store", got=root.url)
    if session.pending is not None:
        raise StoreError("bounds cannot be changed inside a batch", store=root.url)
    storage = session.storage
    with storage.lock():
        state, _ = open_root(storage)
        if new_bounds is None:
            raise MetadataError("bounds must be (min corner, max corner)", got="None")
        lo, hi = bounds_of(new_bounds, state.metadata.ndim)
        shrinks = _shrinks(state, lo, hi)
        if shrinks and not force:
            raise StoreError(
                "the new bounds are smaller than those of the store",
                store=storage.url,
                expected=f"a box around {state.bounds}",
                got=f"{(lo, hi)}",
                hint="pass force=True to take away the vertices outside",
            )
        box = ClosedBox.from_user((lo, hi), [axis.name for axis in state.axes])
        state = replace(state, metadata=state.metadata.replace(bounds=_stored(state, lo, hi)))
        document = _root_document(state)
        levels = [open_level(storage, state, number) for number in level_numbers(storage, state.attributes)]
        pairs = [pair for level in levels for pair in _grown_arrays(level, *state.metadata.bounds)]
        if shrinks and any(has_rows_outside(storage, state, level, box) for level in levels):
            crop_store(storage, state, levels, box, document)
            return
        moved = [pair for pair in pairs if pair[0].grid.origin != pair[1].grid.origin]
        copies = [names for old, new in moved for names in renamed(old, new)]
        kept = {target for _, target in copies}
        gone = [source for source, _ in copies if source not in kept]
        last = _index_of(storage, levels, {new.path: new for _, new in moved}) if moved else None
        storage.commit(Batch(puts=_document_puts(pairs), root=lambda: document, copies=copies, deletes=gone, last=last))


def _index_of(
    storage: Storage, levels: Sequence[LevelState], moved: Mapping[str, CellArray]
) -> Callable[[Stamps], Iterator[Put]]:
    """The cell indexes of levels whose stored objects get other names."""
    known = [(level, facts_of_level(storage, level)) for level in levels if level.index.get(storage) is not None]

    def puts(stamps: Stamps) -> Iterator[Put]:
        for level, facts in known:
            arrays = {name: moved.get(array.path, array) for name, array in level.cells.items()}
            reach = facts.reach
            if reach is not None and reach.linking is not None:
                links = [(moved.get(array.path, array), cells) for array, cells in reach.linking.arrays]
                reach.linking = replace(reach.linking, arrays=links)
            yield from facts.puts(arrays, level.vertices.present, stamps)

    return puts


def _stored(state: RootState, lo: Sequence[float], hi: Sequence[float]) -> Any:
    """A box of the world in stored coordinates; corners that the store has keep what it says of them."""
    if state.offset is None:
        return tuple(lo), tuple(hi)
    corners = zip((lo, hi), state.bounds, state.metadata.bounds, strict=True)
    return tuple(
        tuple(
            stored if new == old else new - moved
            for new, old, stored, moved in zip(corner, known, said, state.offset, strict=True)
        )
        for corner, known, said in corners
    )


def _shrinks(state: RootState, lo: Sequence[float], hi: Sequence[float]) -> bool:
    low, high = state.bounds
    return bool((np.asarray(lo) > np.asarray(low)).any() or (np.asarray(hi) < np.asarray(high)).any())


def _grown_arrays(level: LevelState, lo: Sequence[float], hi: Sequence[float]) -> Iterator[tuple[CellArray, CellArray]]:
    """Arrays of a level whose grid has to grow."""
    spatial = Grid.of_bounds(lo, hi, level.chunk_shape)
    leading = level.metadata.leading_axes
    for array in [*level.cells.values(), *link_arrays(level).values()]:
        own = array.grid
        needed = Grid(own.origin[:leading] + spatial.origin, own.shape[:leading] + spatial.shape)
        if own.covers(needed):
            continue
        if own.union(needed).cells > MAX_GRID_CELLS:
            raise ChunkingError(
                "the store's grid would have too many chunks",
                store=array.store,
                array=array.path,
                got=f"{own.union(needed).cells:.3g} chunks",
                expected=f"at most {MAX_GRID_CELLS}",
                hint="write the store anew with larger chunks",
            )
        yield array, grown(array, needed)


def _document_puts(pairs: _Pairs) -> list[Put]:
    return [(f"{new.path}/zarr.json", dump_json(new.document.to_json())) for _, new in pairs]


def _root_document(state: RootState) -> JsonObject:
    attributes = {**state.attributes, constants.ROOT_KEY: state.metadata.to_json()}
    return {**state.document, "attributes": attributes}
