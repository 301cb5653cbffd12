"""The documents of a level: what each array's ``zarr.json`` says when this library writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.metadata.array import ArrayDocument, fill_value_json, zarr_data_type
from zarr_vectors.spatial.grid import Grid, format_keys
from zarr_vectors.storage.tables import STORED_WHOLE
from zarr_vectors.typing import AnyArray, IntArray, Json, JsonObject

__all__ = [
    "EVERY_ROW_PRESENT",
    "ID_RUN",
    "OWNERS_OF",
    "ColumnSpec",
    "absent_value",
    "cell_array_document",
    "group_document",
    "index_header",
    "manifests_document",
    "own_header",
    "owners_agree",
    "presence_list",
    "stored_dtype",
    "typed_array_document",
    "typed_table_document",
    "vlen_table_document",
    "with_presence",
]

EVERY_ROW_PRESENT = "every_row_present"
"""Array attribute (additive): no row of the table is absent, so that a value equal to the fill value is a value."""
ID_RUN = "object_ids_run"
"""Attribute of ``object_index`` (additive): ``[first id, count]`` where row ``r`` has the id ``first + r``."""
OWNERS_OF = "zv_owners_of"
"""Attribute of ``object_index`` (additive): ``[num_objects, num_present]`` of the manifests that fragments agree with.

Where it is missing or says something else, the objects that fragments state may not be those of the manifests.
"""

_MOST_CHANNELS = 2**24
_MOST_BYTES = 2**24
"""Of an element."""


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """The type of an attribute column.

    Args:
        dtype: Of the stored elements; of the codes, for categories.
        row_shape: Elements of a row; ``()`` for one.
        categories: The values that codes stand for, or None.
        ordered: Whether the order of categories means something.
        unit: Physical unit, or None.
    """

    dtype: np.dtype[Any]
    row_shape: tuple[int, ...] = ()
    categories: tuple[Json, ...] | None = None
    ordered: bool = False
    unit: str | None = None

    @property
    def channels(self) -> int:
        """Elements of a row."""
        return int(np.prod(self.row_shape, dtype=np.int64))

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * self.channels

    def attributes(self) -> JsonObject:
        """The array attributes that say so."""
        said: JsonObject = {"dtype": dtype_name(self.dtype), "row_shape": list(self.row_shape)}
        if len(self.row_shape) == 1:
            said["channel_names"] = [f"ch{number}" for number in range(self.channels)]
        if self.categories is not None:
            said |= {"encoding": "dictionary", "categories": list(self.categories), "ordered": self.ordered}
            if self.dtype.kind == "i":
                said["_FillValue"] = -1
        if self.unit:
            said["unit"] = self.unit
        return said

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> ColumnSpec:
        """Read the array attributes of a column.

        Raises:
            TypeError, KeyError: ``dtype`` is missing or unknown, or something else is not what it must be.
        """
        row_shape = attributes.get("row_shape")
        if row_shape is None:
            names = attributes.get("channel_names") or []
            row_shape = [len(names)] if names else []
        if not isinstance(row_shape, (list, tuple)) or not all(type(n) is int and n > 0 for n in row_shape):
            raise TypeError(f"row_shape {row_shape!r}")
        if prod(row_shape) > _MOST_CHANNELS:
            raise TypeError(f"rows of {prod(row_shape)} elements")
        dtype = stored_dtype(attributes["dtype"])
        categories = _categories(attributes, dtype) if attributes.get("encoding") == "dictionary" else None
        unit = attributes.get("unit")
        return cls(
            dtype=dtype,
            row_shape=tuple(row_shape),
            categories=categories,
            ordered=bool(attributes.get("ordered", False)),
            unit=unit if isinstance(unit, str) else None,
        )


def _categories(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[Json, ...]:
    categories = attributes.get("categories") or []
    if not isinstance(categories, (list, tuple)) or any(isinstance(item, (list, dict)) for item in categories):
        raise TypeError("categories are not a list of plain values")
    if dtype.kind not in "iu":
        raise TypeError(f"codes of categories of {dtype}")
    return tuple(categories)


def stored_dtype(name: Any) -> np.dtype[Any]:
    """The dtype that a ``dtype`` attribute states.

    Raises:
        TypeError: It is none of plain values.

    Example:
        >>> stored_dtype(">f4")
        dtype('>f4')
    """
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except (ValueError, SyntaxError, OverflowError, MemoryError) as error:
        raise TypeError(f"{name!r} is not a dtype") from error
    if dtype is None or dtype.kind not in "biufcmMUS" or not 0 < dtype.itemsize <= _MOST_BYTES:
        raise TypeError(f"{name!r} is not a dtype of plain values")
    return dtype


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The dtype as the ``dtype`` attribute states it: a name, with its byte order where that is not little.

    Example:
        >>> dtype_name(np.dtype("f4")), dtype_name(np.dtype(">f4")), dtype_name(np.dtype("M8[ns]"))
        ('float32', '>f4', 'datetime64[ns]')
    """
    return dtype.str if dtype.byteorder == ">" else dtype.name


def cell_array_document(
    grid: Grid, shard_shape: Sequence[int] | None, codecs: Sequence[JsonObject], attributes: JsonObject
) -> ArrayDocument:
    """A chunk-grid array without any cell yet."""
    place: JsonObject = {constants.NONEMPTY_CHUNKS: []}
    if any(grid.origin):
        place[constants.CHUNK_GRID_ORIGIN] = list(grid.origin)
    ones = [1] * len(grid.shape)
    return ArrayDocument.build(
        shape=grid.shape,
        data_type="variable_length_bytes",
        chunk_shape=ones if shard_shape is None else shard_shape,
        cell_shape=None if shard_shape is None else ones,
        codecs=codecs,
        fill_value="",
        attributes={**place, **attributes},
    )


def presence_list(coords: IntArray) -> list[str]:
    """The keys of cells, sorted as text as the format has them."""
    return sorted(format_keys(coords))


def with_presence(document: ArrayDocument, keys: list[str]) -> ArrayDocument:
    """The document with this presence list."""
    return document.with_attributes(**{constants.NONEMPTY_CHUNKS: keys})


def typed_table_document(
    values: AnyArray, chunk_rows: int, codecs: Sequence[JsonObject], attributes: JsonObject, fill: Any
) -> ArrayDocument:
    """A typed array of all chunks stored, cut along its first axis."""
    return typed_array_document(values, [max(1, chunk_rows), *values.shape[1:]], codecs, attributes, fill)


def typed_array_document(
    values: AnyArray, chunk_shape: Sequence[int], codecs: Sequence[JsonObject], attributes: JsonObject, fill: Any
) -> ArrayDocument:
    """A typed array of all chunks stored."""
    return ArrayDocument.build(
        shape=values.shape,
        data_type=zarr_data_type(values.dtype),
        chunk_shape=chunk_shape,
        codecs=codecs,
        fill_value=fill_value_json(fill, values.dtype),
        attributes={**attributes, STORED_WHOLE: True},
    )


def vlen_table_document(
    rows: int, chunk_rows: int, codecs: Sequence[JsonObject], attributes: JsonObject
) -> ArrayDocument:
    """A one-dimensional vlen-bytes array of all chunks stored."""
    return ArrayDocument.build(
        shape=[rows],
        data_type="variable_length_bytes",
        chunk_shape=[max(1, chunk_rows)],
        codecs=codecs,
        fill_value="",
        attributes={**attributes, STORED_WHOLE: True},
    )


def manifests_document(rows: int, codecs: Sequence[JsonObject]) -> ArrayDocument:
    """``object_index/manifests``."""
    return vlen_table_document(rows, min(constants.MANIFEST_CHUNK, rows), codecs, {})


def group_document(attributes: JsonObject | None = None) -> JsonObject:
    """The ``zarr.json`` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes or {}}


def index_header(ids: IntArray, manifest_sizes: IntArray, ndim: int, *, owners_agree: bool) -> JsonObject:
    """Attributes of ``object_index``.

    Args:
        ids: ``(O,)`` id of each row.
        manifest_sizes: ``(O,)`` bytes of the manifest of each.
        ndim: Components of a chunk coordinate.
        owners_agree: Whether all fragments that state an object state that of the manifests.
    """
    header: JsonObject = {
        "zv_array": "object_index",
        "num_objects": len(ids),
        "num_present": int((manifest_sizes > 4).sum()),
        "sid_ndim": ndim,
        "layout": constants.MANIFEST_LAYOUT_V2,
        "object_ids_sorted": bool((ids[1:] > ids[:-1]).all()),
    }
    # Below the greatest int64, so that the end of the run is one too.
    if len(ids) and int(ids[0]) + len(ids) == int(ids[-1]) + 1 < 2**63 and (np.diff(ids) == 1).all():
        header[ID_RUN] = [int(ids[0]), len(ids)]
    if owners_agree:
        header[OWNERS_OF] = [header["num_objects"], header["num_present"]]
    return header


def own_header(document: JsonObject) -> JsonObject:
    """Attributes of ``object_index``, without those of ours where another writer has changed manifests since.

    Other writers keep what they do not know and state the counts anew, which may come out as they were. But they
    change attributes through zarr-python, which puts them before all else in the document; here they come last.

    Args:
        document: The whole ``zarr.json``, its keys in the order in which they are stored.

    Example:
        >>> header = {"num_objects": 1, "num_present": 1, OWNERS_OF: [1, 1]}
        >>> own_header(group_document(header)) == header
        True
        >>> own_header({"attributes": header, "zarr_format": 3, "node_type": "group"})
        {'num_objects': 1, 'num_present': 1}
    """
    attributes: JsonObject = document.get("attributes") or {}
    if list(document) == list(group_document()):
        return attributes
    return {name: value for name, value in attributes.items() if name not in (ID_RUN, OWNERS_OF)}


def owners_agree(header: JsonObject) -> bool:
    """Whether fragments that state their objects state those of the manifests, by what ``own_header`` gave."""
    return OWNERS_OF in header and header[OWNERS_OF] == [header.get("num_objects"), header.get("num_present")]


def absent_value(dtype: np.dtype[Any]) -> Any:
    """What marks a row of an object attribute as absent: NaN, the least int, the greatest uint, or no text."""
    if dtype.kind in "fc":
        return dtype.type(np.nan)
    if dtype.kind == "i":
        return np.iinfo(dtype).min
    if dtype.kind == "u":
        return np.iinfo(dtype).max
    if dtype.kind in "mM":
        return np.array("NaT", dtype=dtype)[()]
    return ""
