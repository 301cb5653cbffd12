"""The ``compressor`` argument: one value to a list of Zarr v3 codecs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr_vectors.exceptions import InputError
from zarr_vectors.typing import JsonObject

__all__ = ["cell_codecs", "resolve_compressor", "typed_codecs"]

ZSTD: JsonObject = {"name": "zstd", "configuration": {"level": 0, "checksum": True}}
CRC32C: JsonObject = {"name": "crc32c"}
BLOSC: JsonObject = {
    "name": "blosc",
    "configuration": {"typesize": 4, "cname": "zstd", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0},
}
BYTES: JsonObject = {"name": "bytes", "configuration": {"endian": "little"}}
VLEN_BYTES: JsonObject = {"name": "vlen-bytes", "configuration": {}}
_KNOWN = frozenset({"zstd", "crc32c", "gzip", "blosc"})


def bytes_codecs(compressor: Any) -> list[JsonObject]:
    """The bytes-to-bytes codecs that a ``compressor`` argument stands for.

    Example:
        >>> bytes_codecs(None) == bytes_codecs("zstd") == [ZSTD]
        True
        >>> bytes_codecs("none")
        [{'name': 'crc32c'}]
    """
    if compressor is None or (isinstance(compressor, str) and compressor == "zstd"):
        return [ZSTD]
    if compressor is False or (isinstance(compressor, str) and compressor == "none"):
        return [CRC32C]
    if isinstance(compressor, str) and compressor == "blosc":
        return [BLOSC, CRC32C]
    if isinstance(compressor, Mapping):
        compressor = [compressor]
    if isinstance(compressor, (list, tuple)) and all(isinstance(entry, Mapping) for entry in compressor):
        codecs = [dict(entry) for entry in compressor]
        if codecs and codecs[0].get("name") in {"bytes", "vlen-bytes"}:
            codecs = codecs[1:]
        unknown = [entry.get("name") for entry in codecs if entry.get("name") not in _KNOWN]
        if not unknown:
            return codecs
        raise InputError("compressor names a codec that is not bytes-to-bytes or not known", got=unknown)
    raise InputError(
        "compressor is not known", got=repr(compressor), hint="use None, 'zstd', 'blosc', 'none' or a list of codecs"
    )


def resolve_compressor(compressor: Any = None) -> list[JsonObject]:
    """The codec chain of a plain array: ``bytes`` and what ``compressor`` stands for.

    Args:
        compressor: None or ``"zstd"`` (zstd with frame checksum), ``"blosc"``, ``"none"`` or False (CRC32C only),
            or a list of codec mappings, taken as they are.

    Raises:
        InputError: The value is none of these.

    Example:
        >>> [codec["name"] for codec in resolve_compressor()]
        ['bytes', 'zstd']
    """
    return [{"name": "bytes"}, *bytes_codecs(compressor)]


def cell_codecs(compressor: Any = None) -> list[JsonObject]:
    """The codec chain of a vlen-bytes array."""
    return [VLEN_BYTES, *bytes_codecs(compressor)]


def typed_codecs(compressor: Any = None) -> list[JsonObject]:
    """The codec chain of a typed array."""
    return [BYTES, *bytes_codecs(compressor)]
