"""What a write did."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from zarr_vectors.typing import JsonObject

__all__ = ["WriteReport"]


@dataclass(frozen=True, kw_only=True)
class WriteReport:
    """What a write did.

    Args:
        url: Where the store is.
        mode: ``"create"``, ``"append"`` or ``"replace"``.
        vertex_count: Rows written by this call.
        total_vertices: Rows in the level now.
        chunk_count: Chunks that this call wrote rows into.
        object_count: Objects that are new.
        extended_objects: Objects that existed and got more rows.
        assigned_ids: ``(first, last)`` of ids that the library gave out, or None.
        link_count: Links that this call stored; those that order implies are none.
        crossing_links: Those of them whose ends lie in several chunks.
        group_count: Groups in the level now.
        dropped: Rows outside the bounds that ``out_of_bounds="ignore"`` left out.
        bounds: The store's bounds now.
        grown_from: The bounds before, where they grew.
        chunk_shape: Edge lengths of a chunk.
        shard_shape: Chunks per stored object, or None for one.
        bins_per_chunk: Bins along each axis of a chunk.
        vertex_encoding: How the level stores positions: ``"raw"`` or ``"draco"``.
        max_error: What rounding moved a coordinate of the level at most; None where nothing is rounded.
    """

    url: str
    mode: str
    vertex_count: int
    total_vertices: int
    chunk_count: int
    object_count: int = 0
    extended_objects: int = 0
    assigned_ids: tuple[int, int] | None = None
    link_count: int = 0
    crossing_links: int = 0
    group_count: int = 0
    dropped: int = 0
    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    grown_from: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    chunk_shape: tuple[float, ...]
    shard_shape: tuple[int, ...] | None
    bins_per_chunk: tuple[int, ...]
    vertex_encoding: str = "raw"
    max_error: float | None = None

    def to_json(self) -> JsonObject:
        """The same as plain values."""
        return asdict(self)
