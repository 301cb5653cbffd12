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

__all__ = ["OLD_LAYOUT", "ChunkAxis", "DracoFacts", "LevelMetadata", "PyramidFacts", "RootMetadata", "check_version"]

OLD_LAYOUT = (
    "before 0.9 cells lay in groups of small arrays, and links between chunks in cross_chunk_links, which is not read "
    "here: read the store with the release that wrote it, and write what it brings to a new store"
)
"""The way out for those who have a store of an older format."""
Numbers = tuple[float | int, ...]
_FARTHEST = 2**63 - 1
_MOST_BINS = 2**53
"""Of a chunk along an axis; float64 counts no further."""


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
    numbers = re.match(r"(\d{1,9})\.(\d{1,9})", version) if isinstance(version, str) else None
    if numbers is None:
        hint = "its root document is damaged, or was made by hand"
    elif (int(numbers[1]), int(numbers[2])) < (0, 9):
        hint = OLD_LAYOUT
    else:
        hint = "it was written by newer software: look for a newer release of this library"
    raise FormatError(
        "this library reads format versions 0.9.x", store=store, got=f"zv_version {version!r}"[:100], hint=hint
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
        return _checked_edges(value)

    @field_validator("bounds")
    @classmethod
    def _bounds_are_numbers(cls, value: tuple[Numbers, Numbers]) -> tuple[Numbers, Numbers]:
        for corner in value:
            _check_numbers("bounds", corner)
        return value

    @field_validator("coordinate_offset")
    @classmethod
    def _offset_is_numbers(cls, value: Numbers | None) -> Numbers | None:
        _check_numbers("coordinate_offset", value or ())
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
        if self.coordinate_offset is not None and len(self.coordinate_offset) != rank:
            raise ValueError(f"coordinate_offset must have {rank} numbers, as chunk_shape has")
        if any(edge >= _MOST_BINS * bin_edge for edge, bin_edge in zip(self.chunk_shape, self.bin_shape, strict=True)):
            raise ValueError("base_bin_shape is too small for chunk_shape")
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


class PyramidFacts(Document):
    """How a coarser level was made from a finer one; an addition to the format.

    No vertex of level 0, of the objects that the level keeps, is farther from their geometry here than ``max_error``,
    in data units; None where a finer level does not say. ``counts`` names the vertex attribute that tells how many
    vertices of level 0 each vertex stands for, ``link_counts`` that of links. ``left_out`` is what the finer level has
    and this one does not. A level is ``stale`` once a finer one has changed. ``cross_level_storage`` and
    ``cross_level_depth`` are those of the level where they are not those of the root.
    """

    method: str
    factor: tuple[float, ...]
    max_error: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    aggregations: dict[str, str] = Field(default_factory=dict)
    sparsity: float = 1.0
    sparsity_strategy: str | None = None
    sparsity_attribute: str | None = None
    seed: int = 0
    counts: str | None = None
    link_counts: str | None = None
    left_out: tuple[str, ...] = ()
    stale: bool = False
    cross_level_storage: str | None = None
    cross_level_depth: int | None = None


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
    pyramid: PyramidFacts | None = None

    @field_validator("chunk_shape")
    @classmethod
    def _positive(cls, value: Numbers | None) -> Numbers | None:
        return _checked_edges(value)

    @model_validator(mode="after")
    def _row_ids_are_numbers(self) -> Self:
        value = (self.model_extra or {}).get(constants.NEXT_ROW_ID, 0)
        if type(value) is not int or not 0 <= value < 2**63:
            raise ValueError(f"{constants.NEXT_ROW_ID} must be a whole number from 0, not {value!r}")
        return self

    @property
    def numbers_rows(self) -> bool:
        """Whether this library gives each vertex a row id."""
        return constants.NEXT_ROW_ID in (self.model_extra or {})

    @property
    def next_row_id(self) -> int:
        """Where row ids continue; 0 where vertices have none."""
        found: int = (self.model_extra or {}).get(constants.NEXT_ROW_ID, 0)
        return found

    @property
    def leading_axes(self) -> int:
        """Axes of the chunk keys before the spatial ones."""
        return 1 if self.chunk_dims is not None else 0


def _checked_edges(edges: Numbers | None) -> Numbers | None:
    _check_numbers("edge lengths", edges or ())
    if edges is not None and not all(edge > 0 for edge in edges):
        raise ValueError("edge lengths must be finite and above 0")
    return edges


def _check_numbers(what: str, values: Numbers) -> None:
    """Refuse what numpy has no number for."""
    if not all(-_FARTHEST <= value <= _FARTHEST for value in values if isinstance(value, int)):
        raise ValueError(f"{what} must fit 64 bits")
    if not all(isinstance(value, int) or np.isfinite(value) for value in values):
        raise ValueError(f"{what} must be finite")


def divides(chunk_shape: Sequence[float], bin_shape: Sequence[float]) -> bool:
    """Whether bins fill a chunk without remainder, within 1e-9.

    Example:
        >>> divides((10, 10), (5, 2.5)), divides((10,), (3,))
        (True, False)
    """
    ratio = np.asarray(chunk_shape, dtype=np.float64) / np.asarray(bin_shape, dtype=np.float64)
    return bool((np.abs(ratio - np.round(ratio)) <= 1e-9 * np.maximum(ratio, 1)).all() and (np.round(ratio) >= 1).all())
