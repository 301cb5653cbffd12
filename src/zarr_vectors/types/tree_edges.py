"""Attributes for the edges of trees, most of which follow from the order of vertices and are not stored.

An edge has a value only where it has a record, so all edges get one, as if the trees had been written with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.geometry import Column
from zarr_vectors.query.places import Places
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.append_links import link_arrays
from zarr_vectors.types.attributes import Additions, stored_objects
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.links import LinkPlan, LinkSink
from zarr_vectors.types.table import column_codes
from zarr_vectors.typing import IntArray, JsonObject

__all__ = ["tree_edges"]


def tree_edges(
    root: RootState,
    level: LevelState,
    places: Places,
    ends: IntArray,
    columns: Mapping[str, Column],
    specs: Mapping[str, ColumnSpec],
    added: Additions,
) -> None:
    """Store every edge of a level of trees, with these attributes, in place of those that are stored.

    Args:
        ends: ``(E, 2)`` child and parent of each edge, as vertices of ``places``.
        columns: All attributes of edges, those that the level has already included.
        specs: The types to store them as.

    Raises:
        ConventionError: The level keeps its edges in another way, or an attribute has no value for some edges.
    """
    if level.links is not None and (level.links.directed or level.links.duplicate):
        raise ConventionError(
            "edge attributes cannot be added to a level that stores its edges in this way",
            store=level.store,
            array=f"{level.number}/{constants.LINKS}/0",
            got="directed links" if level.links.directed else "a copy for every chunk",
            hint="read the skeletons and write them anew",
        )
    for name, column in columns.items():
        if np.ma.is_masked(column):
            raise ConventionError(
                f"edge attribute {name!r} of the level has values for some edges only, and whole numbers cannot say so",
                store=level.store,
                hint=f"replace {name!r} first, with a value for every edge",
            )
    cells = CellPlan(
        arrays={constants.VERTICES: level.vertices},
        chunk_shape=level.chunk_shape,
        bin_shape=tuple(root.metadata.bin_shape),
        bins=root.metadata.bins_per_chunk,
        dtype=level.position_dtype,
        columns={},
        has_objects=level.has_objects,
        connects="tree",
    )

    def array(name: str, said: JsonObject) -> CellArray:
        return level.array_beside(level.vertices, name, said)

    sink = LinkSink(LinkPlan(level.number, cells, 2, directed=False, columns=specs, array=array))
    chunk, row = places.cells(ends)
    numbers = cells.cell_numbers(places.chunks)[chunk] if len(places.chunks) else chunk
    sink.add(numbers, row, {name: column_codes(column, specs[name]) for name, column in columns.items()})

    def puts() -> Iterator[Put]:
        yield from sink.puts(lambda made, coords, blobs: made.encode(coords, blobs))
        yield from sink.documents()
        if added.facts is not None and added.facts.reach is not None:
            # The edges are those that were there.
            added.facts.reach.linking = sink.linking()

    added.puts.append(puts())
    zero = np.zeros((1, level.vertices.ndim), dtype=np.int64)
    segments = [*sink.offsets, *([] if sink.offsets else [zero])]
    added.names |= {sink.plan.family, constants.LINK_FRAGMENTS, *(sink.segment_name(offsets) for offsets in segments)}
    for name in specs:
        added.names |= {f"{constants.LINK_ATTRIBUTES}/{name}/0"}
        added.names |= {sink.attribute_name(name, offsets) for offsets in segments}
    added.families |= dict.fromkeys([constants.LINKS, constants.LINK_ATTRIBUTES])
    _drop_old(level, added)


def _drop_old(level: LevelState, added: Additions) -> None:
    """Documents and stored objects of the links that are replaced."""
    added.gone |= set(level.link_documents)
    added.dropped |= {f"{level.number}/{name}/zarr.json" for name in level.link_documents}
    for array in link_arrays(level).values():
        added.dropped |= set(stored_objects(array))
