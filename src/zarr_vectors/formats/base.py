"""What an exchange format is: a name, its suffixes, a way in and a way out.

A format turns a file into batches of ``Points`` and batches of ``Points`` into a file. It knows nothing of stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zarr_vectors.axes import Axis
from zarr_vectors.geometry import Points
from zarr_vectors.typing import Bounds, JsonObject

__all__ = ["ExportContext", "Format", "ReadOptions", "Source"]

DEFAULT_BATCH_ROWS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read a file whose columns do not say what they mean.

    Args:
        positions: Column names of the coordinates, in axis order; None lets the format find them.
        object_ids: Column that holds object ids; None for none.
        attributes: Columns to keep; None for all.
        batch_rows: Rows per batch.
    """

    positions: tuple[str, ...] | None = None
    object_ids: str | None = None
    attributes: tuple[str, ...] | None = None
    batch_rows: int = DEFAULT_BATCH_ROWS


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that has been opened and found to be what its suffix says.

    Args:
        batches: The content as an iterable of ``Points``, each of at most ``batch_rows`` rows; iterated once.
            All batches have the same attributes, dtypes and axes. An empty file yields one empty batch.
        rows: Number of points, where the file states it.
        bounds: The closed box of all points in world units, where the file states it; a hint that is checked.
        axes: Names and units, where known.
        crs: Coordinate reference system as JSON, where known.
        headers: ``{format name: JSON}``, what else the file says about itself.
    """

    batches: Iterable[Points]
    rows: int | None = None
    bounds: Bounds | None = None
    axes: tuple[Axis, ...] | None = None
    crs: JsonObject | None = None
    headers: Mapping[str, JsonObject] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExportContext:
    """What a writer of files may want to know beyond the batches.

    Args:
        axes: Axes of the positions.
        crs: As in the store's root, or None.
        headers: ``{format name: JSON}`` as kept by an earlier ingest.
        bounds: A closed box that holds every point (it may be larger), or None for no points.
    """

    axes: tuple[Axis, ...]
    crs: JsonObject | None = None
    headers: Mapping[str, JsonObject] = field(default_factory=dict)
    bounds: Bounds | None = None


@dataclass(frozen=True, kw_only=True)
class Format:
    """One exchange format.

    Args:
        name: Short, lower case; also the key under ``headers/``.
        suffixes: With the dot, lower case.
        description: One line for help texts.
        open: Check the file and return its ``Source``; raises ``IngestError`` naming the file when it is not
            what its suffix says, is truncated, or is empty where the format cannot be empty.
        export: Write the batches to a path that does not exist yet and return the number of rows written;
            raises ``ExportError`` naming what the format cannot hold. The first batch is always there,
            possibly with no rows; it tells attributes and dtypes.
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    open: Callable[[Path, ReadOptions], Source]
    export: Callable[[Path, Iterator[Points], ExportContext], int]
