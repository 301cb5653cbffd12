"""Changing the box that a store covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.shell_checks import bounds_of
from zarr_vectors.core.state import LevelState, RootState, level_numbers, open_level, open_root
from zarr_vectors.exceptions import ChunkingError, ConventionError, InputError, MetadataError, StoreError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import MAX_GRID_CELLS
from zarr_vectors.storage.cell_array import grown, renamed
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Batch, Put
from zarr_vectors.types.append_links import link_arrays
from zarr_vectors.types.prune import has_rows_outside, prune_rows
from zarr_vectors.typing import Bounds, JsonObject

__all__ = ["set_bounds"]

_Pairs = list[tuple[CellArray, CellArray]]
"""Arrays as they are and as they will be."""


def set_bounds(root: Group, new_bounds: Bounds, *, force: bool = False) -> None:
    """Change the closed box that a store covers, as one commit.

    Where the box grows, the grids of all arrays grow with it, in every direction. Where it shrinks, vertices outside
    are taken away with all that hangs on them: attributes, links that lose an end, and counts. Objects keep their ids,
    attributes and groups, also without vertices. A polyline that falls into parts keeps its id for the first part; the
    others become objects of their own, with the same attributes and groups. A straight line that loses an end goes.

    Args:
        root: The root group of a store.
        new_bounds: ``(min corner, max corner)``, one finite number per axis and corner, in stored coordinates.
        force: Whether the box may shrink on any side.

    Raises:
        StoreError: The box shrinks and ``force`` is not set, or changes wait inside ``batched_writes``.
        MetadataError: The bounds are inverted, not finite, or of another rank than the store.
        ChunkingError: The box would have too many chunks.
        ConventionError: Vertices would have to be taken out of a store that has coarser levels with vertices, or that
            cannot be written anew; the store stays as it was.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> import zarr_vectors as zv
        >>> from zarr_vectors.core.store import open_store, read_root_metadata
        >>> _ = zv.write("memory://set-bounds-doc", zv.Points([[1.0, 1.0], [8.0, 8.0]], attributes={"w": [1, 2]}))
        >>> root = open_store("memory://set-bounds-doc", mode="r+")
        >>> set_bounds(root, ([0, 0], [100, 100]))
        >>> set_bounds(root, ([0, 0], [5, 5]), force=True)
        >>> read_root_metadata(root).bounds, zv.open("memory://set-bounds-doc")[0].read().attributes["w"].tolist()
        (((0.0, 0.0), (5.0, 5.0)), [1])
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
                expected=f"a box around {state.metadata.bounds}",
                got=f"{(lo, hi)}",
                hint="pass force=True to take away the vertices outside",
            )
        levels = [open_level(storage, state, number) for number in level_numbers(storage, state)]
        pairs = {level.number: list(_grown_arrays(level, lo, hi)) for level in levels}
        outside = [level for level in levels if shrinks and has_rows_outside(storage, state, level, (lo, hi))]
        if outside:
            _check_single(storage.url, levels)
            others = [pair for number, arrays in pairs.items() if number for pair in arrays]
            prune_rows(storage, state, levels[0], (lo, hi), tuple(_document_puts(others)))
            return
        changed = [pair for arrays in pairs.values() for pair in arrays]
        document = _root_document(state, lo, hi)
        moved = [pair for pair in changed if pair[0].grid.origin != pair[1].grid.origin]
        copies = [names for old, new in moved for names in renamed(old, new)]
        kept = {target for _, target in copies}
        gone = [source for source, _ in copies if source not in kept]
        storage.commit(Batch(puts=_document_puts(changed), root=lambda: document, copies=copies, deletes=gone))


def _shrinks(state: RootState, lo: Sequence[float], hi: Sequence[float]) -> bool:
    low, high = state.metadata.bounds
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


def _root_document(state: RootState, lo: Sequence[float], hi: Sequence[float]) -> JsonObject:
    metadata: Any = state.metadata.replace(bounds=(tuple(lo), tuple(hi)))
    attributes = {**state.attributes, constants.ROOT_KEY: metadata.to_json()}
    return {**state.document, "attributes": attributes}


def _check_single(store: str, levels: Sequence[LevelState]) -> None:
    """Coarser levels are made from the vertices of level 0, and would tell of ones that are gone."""
    coarser = [level.number for level in levels if level.number and len(level.vertices.present)]
    if coarser:
        raise ConventionError(
            "the store has coarser levels, which tell of vertices that would be taken away",
            store=store,
            got=f"levels {coarser}",
            hint="remove them with remove_resolution_level, set the bounds, and build them again",
        )
