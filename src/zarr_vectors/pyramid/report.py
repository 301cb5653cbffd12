"""What building a pyramid did."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from zarr_vectors.pyramid.level import LevelJob
from zarr_vectors.typing import JsonObject

__all__ = ["LevelReport", "PyramidReport"]


@dataclass(frozen=True, kw_only=True)
class LevelReport:
    """One level that was made.

    Args:
        level: Its number.
        parent_level: The level that it was made from.
        vertex_count: Its vertices.
        parent_vertices: Those of the level that it was made from.
        object_count: Objects that it has vertices of.
        sparsity: One object of so many was kept; 1 where there are no objects, whatever was asked for.
        link_count: Links that it stores.
        bin_shape, chunk_shape: Edge lengths, in data units.
        method: The way of coarsening.
        max_error: What no vertex of level 0, of an object that is kept, is farther from the level than; None where that
            is not known.
        left_out: What the finer level has and this one does not.
    """

    level: int
    parent_level: int
    vertex_count: int
    parent_vertices: int
    object_count: int
    sparsity: float
    link_count: int
    bin_shape: tuple[float, ...]
    chunk_shape: tuple[float, ...]
    method: str
    max_error: float | None
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, job: LevelJob) -> LevelReport:
        """What a job did."""
        assert job.report is not None
        facts = job.facts["pyramid"]
        objects = 0 if not job.finer.level.has_objects else len(job.finer.present if job.kept is None else job.kept)
        return cls(
            level=job.number,
            parent_level=job.finer.level.number,
            vertex_count=job.report.vertex_count,
            parent_vertices=job.read,
            object_count=objects,
            sparsity=job.sparsity,
            link_count=job.report.link_count,
            bin_shape=job.bins,
            chunk_shape=job.report.chunk_shape,
            method=facts["method"],
            max_error=facts.get("max_error"),
            left_out=tuple(facts.get("left_out") or ()),
        )


@dataclass(frozen=True, kw_only=True)
class PyramidReport:
    """What building a pyramid did.

    Args:
        url: Where the store is.
        levels: What was made, finest first.
    """

    url: str
    levels: tuple[LevelReport, ...]

    def to_json(self) -> JsonObject:
        """The same as plain values."""
        return asdict(self)
