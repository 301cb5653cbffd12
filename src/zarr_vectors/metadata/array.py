"""The ``zarr.json`` of an array, as this format uses Zarr v3.

Source: Zarr v3 core specification, array metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import Field

from zarr_vectors.metadata.base import Document
from zarr_vectors.typing import JsonObject

__all__ = ["ArrayDocument", "ShardingChain", "fill_value_json", "numpy_dtype", "zarr_data_type"]

_KEY_ENCODING: JsonObject = {"name": "default", "configuration": {"separator": "/"}}
_INDEX_CODECS: list[JsonObject] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


@dataclass(frozen=True, slots=True)
class ShardingChain:
    """A ``sharding_indexed`` codec whose index this library reads itself."""

    inner: tuple[JsonObject, ...]
    index_crc32c: bool
    index_at_end: bool


class ArrayDocument(Document):
    """Array metadata."""

    shape: tuple[int, ...]
    data_type: Any
    chunk_grid: JsonObject
    chunk_key_encoding: JsonObject = Field(default_factory=lambda: dict(_KEY_ENCODING))
    fill_value: Any = ""
    codecs: tuple[JsonObject, ...]
    attributes: JsonObject = Field(default_factory=dict)
    zarr_format: Literal[3] = 3
    node_type: Literal["array"] = "array"
    storage_transformers: tuple[JsonObject, ...] = ()

    @classmethod
    def build(
        cls,
        *,
        shape: Sequence[int],
        data_type: Any,
        chunk_shape: Sequence[int],
        codecs: Sequence[JsonObject],
        fill_value: Any,
        attributes: JsonObject,
        cell_shape: Sequence[int] | None = None,
    ) -> ArrayDocument:
        """A new document; with ``cell_shape`` the chunks are shards of cells of that shape."""
        if cell_shape is not None:
            sharding = {
                "chunk_shape": list(cell_shape),
                "codecs": list(codecs),
                "index_codecs": _INDEX_CODECS,
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        return cls(
            shape=tuple(shape),
            data_type=data_type,
            chunk_grid={"name": "regular", "configuration": {"chunk_shape": list(chunk_shape)}},
            chunk_key_encoding=_KEY_ENCODING,
            fill_value=fill_value,
            codecs=tuple(codecs),
            attributes=attributes,
            zarr_format=3,
            node_type="array",
            storage_transformers=(),
        )

    @cached_property
    def chunk_shape(self) -> tuple[int, ...]:
        """Elements of a stored chunk (of a shard, where sharded) along each axis."""
        return tuple(int(n) for n in self.chunk_grid["configuration"]["chunk_shape"])

    @cached_property
    def sharding(self) -> ShardingChain | None:
        """The sharding, where it is the only codec and its index is plain; None otherwise."""
        if len(self.codecs) != 1 or self.codecs[0].get("name") != "sharding_indexed":
            return None
        options = self.codecs[0]["configuration"]
        names = [codec.get("name") for codec in options.get("index_codecs", _INDEX_CODECS)]
        if names not in (["bytes"], ["bytes", "crc32c"]) or any(n != 1 for n in options["chunk_shape"]):
            return None
        return ShardingChain(
            tuple(options["codecs"]), names[-1] == "crc32c", options.get("index_location", "end") == "end"
        )

    @property
    def is_sharded(self) -> bool:
        """Whether stored chunks are shards."""
        return any(codec.get("name") == "sharding_indexed" for codec in self.codecs)

    def with_attributes(self, **changes: Any) -> ArrayDocument:
        """A copy with other attributes merged in; a value of None removes the key."""
        merged = {**self.attributes, **changes}
        return self.replace(attributes={key: value for key, value in merged.items() if value is not None})

    def chunk_path(self, index: Sequence[int]) -> str:
        """Path of a stored chunk below the array."""
        options = self.chunk_key_encoding.get("configuration") or {}
        if self.chunk_key_encoding.get("name") == "v2":
            return options.get("separator", ".").join(map(str, index)) or "0"
        separator: str = options.get("separator", "/")
        return separator.join(["c", *map(str, index)])


def numpy_dtype(data_type: Any) -> np.dtype[Any]:
    """The numpy dtype of a Zarr v3 data type that a typed array of this format uses.

    Raises:
        ValueError: The data type is not one of them.

    Example:
        >>> numpy_dtype({"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}})
        dtype('<U3')
    """
    if isinstance(data_type, str):
        if data_type == "bool" or data_type.rstrip("0123456789") in {"int", "uint", "float", "complex"}:
            return np.dtype(data_type)
        raise ValueError(f"unknown data type {data_type!r}")
    name, options = data_type.get("name"), data_type.get("configuration") or {}
    if name == "fixed_length_utf32":
        return np.dtype(f"<U{int(options['length_bytes']) // 4}")
    if name in {"numpy.datetime64", "numpy.timedelta64"}:
        scale = int(options.get("scale_factor", 1))
        unit = options["unit"] if scale == 1 else f"{scale}{options['unit']}"
        return np.dtype(f"<{'M8' if name == 'numpy.datetime64' else 'm8'}[{unit}]")
    raise ValueError(f"unknown data type {name!r}")


def zarr_data_type(dtype: np.dtype[Any]) -> Any:
    """The Zarr v3 data type of a numpy dtype.

    Example:
        >>> zarr_data_type(np.dtype("f4"))
        'float32'
    """
    if dtype.kind == "U":
        return {"name": "fixed_length_utf32", "configuration": {"length_bytes": dtype.itemsize}}
    if dtype.kind in "mM":
        unit, scale = np.datetime_data(dtype)
        name = "numpy.datetime64" if dtype.kind == "M" else "numpy.timedelta64"
        return {"name": name, "configuration": {"unit": unit, "scale_factor": scale}}
    return dtype.name


def fill_value_json(value: Any, dtype: np.dtype[Any]) -> Any:
    """A fill value as Zarr v3 writes it in JSON."""
    if dtype.kind == "f":
        number = float(value)
        if np.isnan(number):
            return "NaN"
        return number if np.isfinite(number) else ("Infinity" if number > 0 else "-Infinity")
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return [fill_value_json(np.real(value), part), fill_value_json(np.imag(value), part)]
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "U":
        return str(value)
    return int(np.asarray(value, dtype=dtype).astype(np.int64)) if dtype.kind in "mM" else int(value)


def fill_value_of(document: ArrayDocument) -> Any:
    """The fill value as a numpy scalar of the array's dtype."""
    dtype = numpy_dtype(document.data_type)
    value = document.fill_value
    if dtype.kind == "f" and isinstance(value, str):
        return dtype.type({"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}[value])
    if dtype.kind == "c":
        return dtype.type(complex(*(float(str(part).replace("Infinity", "inf")) for part in value)))
    if dtype.kind in "mM":
        return np.array(-(2**63) if value == "NaT" else value, dtype=np.int64).view(dtype)[()]
    return dtype.type(value)
