"""Segment properties of Neuroglancer precomputed folders: object attributes, and groups as tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.precomputed_bytes import DTYPES
from zarr_vectors.geometry import Categorical, Column, Geometry
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["FOLDER", "Gathered", "Properties", "read_properties"]

FOLDER = "segment_properties"
"""Where the properties are written, below the folder of the segments."""

_TYPE = "neuroglancer_segment_properties"
_TEXTS = ("label", "description", "string")
_LABEL = "name"
_UNUSABLE = {"", ".", "..", "zarr.json"}
_DROP = "precomputed properties are text and numbers of up to 32 bits"


@dataclass(frozen=True)
class Properties:
    """What is known of segments.

    Args:
        ids: ``(O,)`` segments, ascending.
        attributes: A row for each of ``ids``, and one more without values.
        groups: Tag number to segments.
        tags: The tags.
    """

    ids: IntArray
    attributes: Mapping[str, Column] = field(default_factory=dict)
    groups: Mapping[int, IntArray] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    def of(self, ids: IntArray) -> dict[str, Any]:
        """The tables of a value that holds these objects."""
        rows = np.searchsorted(self.ids, ids)
        known = np.isin(ids, self.ids)
        rows = np.where(known, rows, len(self.ids))
        tables: dict[str, Any] = {
            "objects": ids,
            "object_attributes": {name: column[rows] for name, column in self.attributes.items()},
        }
        if self.tags:
            tables["groups"] = {tag: members[np.isin(members, ids)] for tag, members in self.groups.items()}
            tables["group_attributes"] = {_LABEL: Categorical(np.arange(len(self.tags)), self.tags)}
        return tables


def read_properties(folder: Path) -> Properties:
    """Read the inline properties of a folder.

    Raises:
        IngestError: They are not as the format says.
    """
    path = folder / "info"
    try:
        info = json.loads(path.read_bytes())
        if info["@type"] != _TYPE:
            raise IngestError(f"{path} does not hold segment properties", expected=_TYPE, got=repr(info["@type"]))
        inline = info["inline"]
        ids = np.array([int(text) for text in inline["ids"]], dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        found = Properties(ids[order])
        attributes: dict[str, Column] = {}
        for entry in inline["properties"]:
            if len(entry["values"]) != len(ids):
                raise IngestError(
                    f"{path}: property {entry['id']!r} must have a value for each id",
                    expected=len(ids),
                    got=len(entry["values"]),
                )
            if entry["type"] == "tags":
                found = _with_tags(found, entry, order)
                continue
            name = str(entry["id"])
            if "/" in name or name in _UNUSABLE or name in attributes:
                raise IngestError(f"{path}: a property cannot have this name", got=repr(name))
            attributes[name] = _column(entry, order)
    except IngestError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise IngestError(
            f"{path} does not hold segment properties",
            expected=f"{_TYPE} with inline ids and properties",
            got=repr(error),
        ) from error
    if (np.diff(found.ids) == 0).any():
        raise IngestError(f"{path} names a segment twice", got=int(found.ids[:-1][np.diff(found.ids) == 0][0]))
    return Properties(found.ids, attributes, found.groups, found.tags)


def _column(entry: Mapping[str, Any], order: IntArray) -> Column:
    """The values of a property in another order, and one row without a value."""
    if entry["type"] in _TEXTS:
        texts = [entry["values"][row] for row in order]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"property {entry['id']!r} holds other things than text")
        return Categorical.from_values([*texts, None])
    if entry["type"] != "number":
        raise ValueError(f"property {entry['id']!r} is of type {entry['type']!r}")
    dtype = DTYPES[entry["data_type"]].newbyteorder("=")
    values = np.array(entry["values"], dtype=np.float64)
    column: AnyArray = np.append(values[order], 0).astype(dtype)
    if values.ndim != 1 or (dtype.kind != "f" and (column[:-1] != values[order]).any()):
        raise ValueError(f"property {entry['id']!r} holds other things than {dtype}")
    if dtype.kind == "f":
        column[-1] = np.nan
        return column
    masked: AnyArray = np.ma.MaskedArray(column, mask=np.arange(len(column)) == len(column) - 1)
    return masked


def _with_tags(found: Properties, entry: Mapping[str, Any], order: IntArray) -> Properties:
    tags = tuple(str(tag) for tag in entry["tags"])
    owned = [entry["values"][row] for row in order]
    owners = np.repeat(np.arange(len(order)), [len(numbers) for numbers in owned])
    numbers = np.array([number for some in owned for number in some], dtype=np.int64)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(tags):
        raise ValueError(f"a number of a tag is not below {len(tags)}")
    groups = {tag: found.ids[owners[numbers == tag]] for tag in range(len(tags))}
    return Properties(found.ids, found.attributes, groups, tags)


@dataclass
class Gathered:
    """Object attributes and groups of all batches, as they come."""

    ids: list[int] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    numbers: dict[str, np.dtype[Any]] = field(default_factory=dict)
    tags: list[list[int]] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)

    def add(self, batch: Geometry) -> None:
        """Take in the tables of a batch.

        Raises:
            ExportError: A value that properties cannot hold.
        """
        if batch.objects is None:
            return
        first = not self.ids
        self.ids += batch.objects.tolist()
        if first:
            self.columns = {name: [] for name in batch.object_attributes}
        elif self.columns.keys() != batch.object_attributes.keys():
            raise ExportError("all batches must have the same object attributes", got=sorted(batch.object_attributes))
        for name, column in batch.object_attributes.items():
            self.columns[name] += self._values(name, column)
        places = {key: place for place, key in enumerate(batch.objects.tolist(), len(self.tags))}
        self.tags += [[] for _ in places]
        labels = batch.group_attributes.get(_LABEL)
        if len(batch.group_attributes) > (labels is not None):
            raise ExportError(
                "precomputed tags have a name and no other attributes", got=sorted(batch.group_attributes)
            )
        for group, members in batch.groups.items():
            text = None if labels is None else labels[group]
            self.names[group] = str(group if text is None else text)
            for key in members.tolist():
                self.tags[places[key]].append(group)

    def _values(self, name: str, column: Column) -> list[Any]:
        what = f"object attribute {name!r}"
        if isinstance(column, Categorical):
            if (column.codes < 0).any():
                raise ExportError(f"precomputed properties cannot hold missing text in {what}")
            return [str(text) for text in np.asarray(column).tolist()]
        if column.ndim != 1 or column.dtype.kind not in "biuf" or column.dtype.itemsize > 8:
            raise ExportError(f"{_DROP}, not {what}", got=f"{column.dtype} of shape {column.shape}")
        if np.ma.is_masked(column) or not np.isfinite(np.asarray(column)).all():
            raise ExportError(f"precomputed properties cannot hold missing numbers in {what}")
        dtype = _number_type(what, np.asarray(column))
        self.numbers[name] = np.result_type(self.numbers.get(name, dtype), dtype)
        values: list[Any] = column.astype(dtype).tolist()
        return values

    def write(self, folder: Path) -> bool:
        """Write the properties to a folder that does not exist yet, if there are any."""
        if not self.columns and not any(self.tags):
            return False
        entries: list[dict[str, Any]] = []
        for name, values in self.columns.items():
            entry: dict[str, Any] = {"id": name, "type": "label" if name == _LABEL else "string", "values": values}
            if name in self.numbers:
                dtype = _checked(name, self.numbers[name])
                entry |= {"type": "number", "data_type": dtype.name}
            entries.append(entry)
        if any(self.tags):
            entries.append(self._tags())
        inline = {"ids": [str(key) for key in self.ids], "properties": entries}
        folder.mkdir()
        (folder / "info").write_text(json.dumps({"@type": _TYPE, "inline": inline}, allow_nan=False))
        return True

    def _tags(self) -> dict[str, Any]:
        groups = sorted(self.names)
        names = [self.names[group] for group in groups]
        if len(set(names)) < len(names) or any(name.split() != [name] or name.startswith("#") for name in names):
            raise ExportError("precomputed tags must be distinct words", got=names[:9])
        place = {group: number for number, group in enumerate(groups)}
        values = [sorted(place[group] for group in owned) for owned in self.tags]
        return {"id": "tags", "type": "tags", "tags": names, "values": values}


def _number_type(what: str, values: AnyArray) -> np.dtype[Any]:
    if values.dtype.kind == "b":
        return np.dtype(np.uint8)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            if not np.isfinite(values.astype(np.float32)).all():
                raise ExportError(f"precomputed properties are float32 at most, and {what} has larger numbers")
        return np.dtype(np.float32)
    if values.dtype.itemsize < 8:
        return values.dtype.newbyteorder("=")
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for dtype in (np.dtype(np.int32), np.dtype(np.uint32)):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    raise ExportError(f"{_DROP}, and {what} has larger ones", got=f"{low} to {high}")


def _checked(name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.name not in DTYPES:
        raise ExportError(f"{_DROP}, and object attribute {name!r} has larger ones", got=dtype.name)
    return dtype
