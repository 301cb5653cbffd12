"""The ``zarr.json`` of an array, as this format uses Zarr v3.

Source: Zarr v3 core specification, array metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from zarr_vectors.exceptions import InputError
from zarr_vectors.metadata.base import Document
from zarr_vectors.typing import JsonObject

__all__ = ["ArrayDocument", "ShardingChain", "fill_value_json", "numpy_dtype", "zarr_data_type"]

_LONGEST_TEXT = 2**24
"""Characters of the rows of a text column."""
_LONGEST = 2**60
"""Of an axis, and of all elements of a chunk: what comes of them still fits 64 bits."""
_KEY_ENCODING: JsonObject = {"name": "default", "configuration": {"separator": "/"}}
_INDEX_CODECS: list[JsonObject] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
_PLAIN_TYPES = frozenset(
    {
        "bool",
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *("float16", "float32", "float64", "complex64", "complex128"),
    }
)


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

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if any(not 0 <= length < _LONGEST for length in self.shape):
            raise ValueError(f"shape must be from 0 to {_LONGEST - 1} along every axis")
        if self.chunk_grid.get("name") != "regular":
            raise ValueError("chunk_grid must be regular")
        _check_lengths("chunk_grid", self.chunk_grid, len(self.shape))
        if self.chunk_key_encoding.get("name") not in ("default", "v2"):
            raise ValueError("chunk_key_encoding must be default or v2")
        _check_separator(self.chunk_key_encoding)
        _check_codecs(self.codecs)
        for codec in self.codecs:
            if codec["name"] == "sharding_indexed":
                _check_lengths("sharding_indexed", codec, len(self.shape))
                for chain in ("codecs", "index_codecs"):
                    _check_codecs(codec["configuration"].get(chain, _INDEX_CODECS if chain == "index_codecs" else None))
        return self

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
        """A new document; with ``cell_shape`` the chunks are shards of cells of that shape.

        Raises:
            MetadataError: The shapes contradict each other.
        """
        if cell_shape is not None:
            sharding = {
                "chunk_shape": list(cell_shape),
                "codecs": list(codecs),
                "index_codecs": _INDEX_CODECS,
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        facts = {
            "shape": list(shape),
            "data_type": data_type,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [int(n) for n in chunk_shape]}},
            "chunk_key_encoding": _KEY_ENCODING,
            "fill_value": fill_value,
            "codecs": list(codecs),
            "attributes": attributes,
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
        }
        return cls.parse(facts, where="a new array")

    def to_json(self) -> JsonObject:
        """The JSON object, without keys that were never set."""
        bare = self.model_copy(update={"attributes": {}}) if self.attributes else self
        return super(ArrayDocument, bare).to_json() | ({"attributes": dict(self.attributes)} if self.attributes else {})

    @cached_property
    def chunk_shape(self) -> tuple[int, ...]:
        """Elements of a stored chunk (of a shard, where sharded) along each axis."""
        return tuple(int(n) for n in self.chunk_grid["configuration"]["chunk_shape"])

    @cached_property
    def sharding(self) -> ShardingChain | None:
        """The sharding, where it is the only codec and its index is plain; None otherwise."""
        inner = self.inner_shape
        return None if inner is None or any(n != 1 for n in inner) else self.any_sharding

    @property
    def inner_shape(self) -> tuple[int, ...] | None:
        """Elements of a chunk inside a shard along each axis; None where sharding is not the only codec."""
        if len(self.codecs) != 1 or self.codecs[0].get("name") != "sharding_indexed":
            return None
        return tuple(self.codecs[0]["configuration"]["chunk_shape"])

    @cached_property
    def any_sharding(self) -> ShardingChain | None:
        """The sharding into chunks of any shape, where it is the only codec and its index is plain; None otherwise."""
        if self.inner_shape is None:
            return None
        options = self.codecs[0]["configuration"]
        index_codecs = options.get("index_codecs", _INDEX_CODECS)
        names = [codec["name"] for codec in index_codecs]
        if names not in (["bytes"], ["bytes", "crc32c"]):
            return None
        if (index_codecs[0].get("configuration") or {}).get("endian", "little") != "little":
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
    if isinstance(data_type, str) and data_type in _PLAIN_TYPES:
        return np.dtype(data_type)
    try:
        name, options = data_type["name"], data_type.get("configuration") or {}
        if name == "fixed_length_utf32":
            length = int(options["length_bytes"]) // 4
            if not 0 <= length <= _LONGEST_TEXT:
                raise ValueError(f"text of {length} characters")
            return np.dtype(f"<U{length}")
        if name in {"numpy.datetime64", "numpy.timedelta64"}:
            scale = int(options.get("scale_factor", 1))
            unit = options["unit"] if scale == 1 else f"{scale}{options['unit']}"
            return np.dtype(f"<{'M8' if name == 'numpy.datetime64' else 'm8'}[{unit}]")
    except (KeyError, TypeError, AttributeError, OverflowError, IndexError) as error:
        raise ValueError(f"unknown data type {data_type!r}") from error
    raise ValueError(f"unknown data type {name!r}")


def zarr_data_type(dtype: np.dtype[Any]) -> Any:
    """The Zarr v3 data type of a numpy dtype.

    Raises:
        InputError: There is none that this format uses.

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
    if dtype.name not in _PLAIN_TYPES:
        raise InputError("an array of this dtype cannot be stored", got=str(dtype))
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
    """The fill value as a numpy scalar of the array's dtype.

    Raises:
        ValueError: The data type is not known, or the value is not one of it.
    """
    dtype = numpy_dtype(document.data_type)
    value = document.fill_value
    try:
        if dtype.kind == "f":
            return _float_of(value, dtype)
        if dtype.kind == "c":
            part = np.dtype(f"f{dtype.itemsize // 2}")
            real, imaginary = (float(_float_of(number, part)) for number in value)
            return dtype.type(complex(real, imaginary))
        if dtype.kind in "mM":
            return np.array(-(2**63) if value == "NaT" else value, dtype=np.int64).view(dtype)[()]
        return dtype.type(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"fill value {value!r} is not {dtype}") from error


def _float_of(value: Any, dtype: np.dtype[Any]) -> Any:
    """A float as Zarr v3 writes it in JSON: a number, a word, or its bits in hexadecimal."""
    if isinstance(value, str) and value.startswith("0x"):
        return np.array(int(value, 16), dtype=f"u{dtype.itemsize}").view(dtype)[()]
    return dtype.type(float(value))


def _check_lengths(what: str, node: JsonObject, rank: int) -> None:
    configuration = node.get("configuration")
    lengths = configuration.get("chunk_shape") if isinstance(configuration, dict) else None
    if not isinstance(lengths, (list, tuple)) or not all(type(n) is int and n > 0 for n in lengths):
        raise ValueError(f"chunk_shape of {what} must be whole numbers from 1")
    if len(lengths) != rank:
        raise ValueError(f"chunk_shape of {what} must have {rank} numbers, as shape has")
    if prod(lengths) >= _LONGEST:
        raise ValueError(f"chunk_shape of {what} is too large")


def _check_separator(encoding: JsonObject) -> None:
    options = encoding.get("configuration") or {}
    if not isinstance(options, dict) or options.get("separator", "/") not in ("/", "."):
        raise ValueError("the separator of chunk_key_encoding must be '/' or '.'")


def _check_codecs(codecs: Any) -> None:
    if not isinstance(codecs, (list, tuple)) or not codecs:
        raise ValueError("codecs must be a list of codecs")
    for codec in codecs:
        if not isinstance(codec, dict) or not isinstance(codec.get("name"), str):
            raise ValueError("a codec must have a name")
        if not isinstance(codec.get("configuration") or {}, dict):
            raise ValueError(f"the configuration of codec {codec['name']!r} must be an object")
