"""What an exchange format is: a name, its suffixes, a way in and a way out.

A format turns a file into batches of geometry values and such batches into a file. It knows nothing of stores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarr_vectors.axes import Axis
from zarr_vectors.constants import GEOM_POINT_CLOUD
from zarr_vectors.typing import Bounds, JsonObject

__all__ = ["OBJECT_ID", "ExportContext", "Format", "ReadOptions", "Source"]

DEFAULT_BATCH_ROWS = 1_000_000

OBJECT_ID = "object_id"
"""What a column of object ids is called in files, unless it is named."""

WITHOUT_OBJECT_ATTRIBUTES = "leave them out: object_attributes=[] (--object-attributes '')"
WITHOUT_GROUPS = "leave them out: groups=False (--no-groups)"
"""Hints for errors of formats that cannot hold what a store holds."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read a file whose columns do not say what they mean.

    Args:
        positions: Column names of the coordinates, in axis order; None lets the format find them.
        object_ids: Column that holds object ids; None for that called ``object_id``, if it holds integers and is not
            among ``attributes``.
        attributes: Columns to keep; None for all.
        batch_rows: Rows per batch.
        triangulate: Cut the faces of a mesh into triangles where they have more corners: a polygon of the corners
            0, 1, 2, 3 ... becomes (0, 1, 2), (0, 2, 3) ..., each with the attributes of the polygon. Without it the
            faces of a file must all have one number of corners.
        wide: Read floats as float64 also where float32 holds what the text says, so that several files agree.
    """

    positions: tuple[str, ...] | None = None
    object_ids: str | None = None
    attributes: tuple[str, ...] | None = None
    batch_rows: int = DEFAULT_BATCH_ROWS
    triangulate: bool = False
    wide: bool = False

    def owner_among(self, names: Collection[str]) -> str | None:
        """The column of the object ids among those that can hold them, or the one that is asked for.

        Example:
            >>> ReadOptions().owner_among(["object_id", "n"]), ReadOptions(object_ids="n").owner_among(["n"])
            ('object_id', 'n')
            >>> ReadOptions(attributes=("object_id",)).owner_among(["object_id"]) is None
            True
        """
        if self.object_ids is not None:
            return self.object_ids
        taken = OBJECT_ID in (*(self.positions or ()), *(self.attributes or ()))
        return OBJECT_ID if OBJECT_ID in names and not taken else None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that has been opened and found to be what its suffix says.

    Args:
        batches: The content as an iterable of values of one kind, each of about ``batch_rows`` vertices at most;
            iterated once. All batches have the same attributes, dtypes and axes. Connected kinds come in whole
            objects, whose ids no other batch uses. An empty file yields one empty batch.
        rows: Number of vertices, where the file states it.
        bounds: The closed box of all points in world units, where the file states it; a hint that is checked.
        axes: Names and units, where known.
        crs: Coordinate reference system as JSON, where known.
        headers: ``{format name: JSON}``, what else the file says about itself.
    """

    batches: Iterable[Any]
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
        names: Object id to a name that no other object has, where the objects have such names: what the files of a
            folder are called.
    """

    axes: tuple[Axis, ...]
    crs: JsonObject | None = None
    headers: Mapping[str, JsonObject] = field(default_factory=dict)
    bounds: Bounds | None = None
    names: Mapping[int, str] = field(default_factory=dict)


def single(path: Path) -> tuple[Path, ...]:
    """The one file that a path stands for."""
    return (path,)


@dataclass(frozen=True, kw_only=True)
class Format:
    """One exchange format.

    Args:
        name: Short, lower case; also the key under ``headers/``.
        suffixes: With the dot, lower case.
        description: One line for help texts.
        open: Check the file and return its ``Source``; raises ``IngestError`` naming the file when it is not
            what its suffix says, is truncated, or is empty where the format cannot be empty.
        export: Write the batches to a path that does not exist yet and return the number of vertices written;
            raises ``ExportError`` naming what the format cannot hold. The first batch is always there,
            possibly with no rows; it tells attributes and dtypes. Batches of connected kinds hold whole objects,
            with the object attributes and groups of these.
        kinds: Geometry types that a file of this format can hold; ``export`` gets values of these only.
        recognises: Whether a folder is one of this format; None where the format is a file.
        unpacked: Whether a folder holds what a file of this format has packed, so that ``open`` can read it too.
        parts: The files that a path stands for, where it is more than one; the first one opens them all.
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    open: Callable[[Path, ReadOptions], Source]
    export: Callable[[Path, Iterator[Any], ExportContext], int]
    kinds: tuple[str, ...] = (GEOM_POINT_CLOUD,)
    recognises: Callable[[Path], bool] | None = None
    unpacked: Callable[[Path], bool] | None = None
    parts: Callable[[Path], tuple[Path, ...]] = single
