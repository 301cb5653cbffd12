"""The ``zarr_vectors`` block of the root and of a level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from zarr_vectors import constants
from zarr_vectors.exceptions import FormatError
from zarr_vectors.metadata.base import Document
from zarr_vectors.typing import JsonObject

__all__ = ["ChunkAxis", "DracoFacts", "LevelMetadata", "RootMetadata", "check_version"]

Numbers = tuple[float | int, ...]
_FARTHEST = float("inf")
"""Compared with, as whole numbers of JSON may be too large for any other test."""


def check_version(version: Any, *, store: str | None = None) -> str:
    """Accept any 0.9.x.

    Raises:
        FormatError: Another version, or none.

    Example:
        >>> check_version("0.9.1")
        '0.9.1'
    """
    if isinstance(version, str) and re.fullmatch(r"0\.9(\.\d+)?((a|b|rc)\d+|[.+-].*)?", version):
        return version
    raise FormatError(
        "this library reads format versions 0.9.x",
        store=store,
        got=f"zv_version {version!r}",
        hint="convert an older store with the software that wrote it; a newer one needs a newer release",
    )


class RootMetadata(Document):
    """The ``zarr_vectors`` object of the root attributes."""

    zv_version: str = constants.FORMAT_VERSION
    format_capabilities: tuple[str, ...] = ()
    chunk_shape: Numbers
    bounds: tuple[Numbers, Numbers]
    geometry_types: tuple[str, ...] = ()
    crs: Any = None
    links_convention: str | None = None
    object_index_convention: str | None = None
    cross_chunk_strategy: str | None = None
    cross_level_depth: int | None = None
    cross_level_storage: str | None = None
    reduction_factor: int | None = None
    base_bin_shape: Numbers | None = None
    attribute_specs: JsonObject | None = None
    coordinate_offset: Numbers | None = None
    required_capabilities: tuple[str, ...] = ()

    @field_validator("chunk_shape", "base_bin_shape")
    @classmethod
    def _positive(cls, value: Numbers | None) -> Numbers | None:
        if value is not None and not all(0 < edge < _FARTHEST for edge in value):
            raise ValueError("edge lengths must be finite and above 0")
        return value

    @model_validator(mode="after")
    def _ranks_agree(self) -> Self:
        rank = len(self.chunk_shape)
        if rank == 0:
            raise ValueError("chunk_shape must have at least one axis")
        if any(len(corner) != rank for corner in self.bounds):
            raise ValueError(f"bounds must have {rank} numbers per corner, as chunk_shape has")
        if self.base_bin_shape is not None and len(self.base_bin_shape) != rank:
            raise ValueError(f"base_bin_shape must have {rank} numbers, as chunk_shape has")
        return self

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.chunk_shape)

    @property
    def bin_shape(self) -> Numbers:
        """Bin of level 0; a whole chunk where none was given."""
        return self.base_bin_shape or self.chunk_shape

    @property
    def bins_per_chunk(self) -> tuple[int, ...]:
        """Bins along each axis of a chunk of level 0."""
        return tuple(max(1, round(c / b)) for c, b in zip(self.chunk_shape, self.bin_shape, strict=True))


class DracoFacts(Document):
    """How the positions of a level in Draco encoding were rounded; an addition to the format.

    ``max_error`` is what rounding moved a coordinate at most. A level without these facts has been written by others,
    and its cells need not keep the order of their rows.
    """

    quantization_bits: int = Field(ge=1, le=30)
    step: float = Field(gt=0, allow_inf_nan=False)
    max_error: float = Field(ge=0, allow_inf_nan=False)


class ChunkAxis(Document):
    """What the axis of the chunk keys before the spatial ones stands for; an addition to the format.

    ``by`` is what ``RechunkSpec`` calls so, ``of`` whose attribute it is (``"object"`` or ``"vertex"``). ``edges`` are
    the lower ends of its bins, in order. ``extra`` says that one more bin at the end takes what has no value or group.
    ``array`` holds the array attributes of a vertex attribute that the chunk keys say and no array stores.
    """

    by: str
    of: str | None = None
    edges: tuple[Any, ...] | None = None
    extra: bool = False
    array: JsonObject | None = None


class LevelMetadata(Document):
    """The ``zarr_vectors_level`` object of a level's attributes."""

    level: int = 0
    object_sparsity: float = 1.0
    vertex_count: int = 0
    coarsening_method: str = constants.COARSEN_NONE
    parent_level: int | None = None
    arrays_present: tuple[str, ...] = ()
    chunk_shape: Numbers | None = None
    chunk_dims: tuple[str, ...] | None = None
    chunk_attribute_name: str | None = None
    chunk_attribute_values: tuple[Any, ...] | None = None
    chunk_axis: ChunkAxis | None = None
    preserves_object_ids: bool = False
    inherited_num_objects: int | None = None
    shared_fragments: bool = False
    fragments_tile: bool = False
    bin_shape: Any = None
    bin_ratio: Any = None
    draco: DracoFacts | None = None

    @property
    def leading_axes(self) -> int:
        """Axes of the chunk keys before the spatial ones."""
        return 1 if self.chunk_dims is not None else 0


def divides(chunk_shape: Sequence[float], bin_shape: Sequence[float]) -> bool:
    """Whether bins fill a chunk without remainder, within 1e-9.

    Example:
        >>> divides((10, 10), (5, 2.5)), divides((10,), (3,))
        (True, False)
    """
    ratio = np.asarray(chunk_shape, dtype=np.float64) / np.asarray(bin_shape, dtype=np.float64)
    return bool((np.abs(ratio - np.round(ratio)) <= 1e-9 * np.maximum(ratio, 1)).all() and (np.round(ratio) >= 1).all())
