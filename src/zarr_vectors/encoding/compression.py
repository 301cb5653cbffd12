"""The ``compressor`` argument: one value to a list of Zarr v3 codecs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from zarr_vectors.exceptions import InputError
from zarr_vectors.typing import JsonObject

__all__ = ["cell_codecs", "resolve_compressor", "typed_codecs"]


@runtime_checkable
class Codec(Protocol):
    """A codec as zarr-python has it."""

    def to_dict(self) -> JsonObject:
        """As ``zarr.json`` has it."""
        ...


ZSTD: JsonObject = {"name": "zstd", "configuration": {"level": 0, "checksum": True}}
CRC32C: JsonObject = {"name": "crc32c"}
BLOSC: JsonObject = {
    "name": "blosc",
    "configuration": {"typesize": 4, "cname": "zstd", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0},
}
BYTES: JsonObject = {"name": "bytes", "configuration": {"endian": "little"}}
VLEN_BYTES: JsonObject = {"name": "vlen-bytes", "configuration": {}}
_DEFAULTS: dict[str, JsonObject] = {
    "zstd": ZSTD["configuration"],
    "gzip": {"level": 5},
    "blosc": BLOSC["configuration"],
    "crc32c": {},
}
"""What a codec's configuration is where a mapping does not say; zarr-python insists on one."""
_LEVELS = {"zstd": ("level", -131072, 22), "gzip": ("level", 0, 9), "blosc": ("clevel", 0, 9)}
_CHOICES = {
    "cname": ("lz4", "lz4hc", "blosclz", "snappy", "zlib", "zstd"),
    "shuffle": ("noshuffle", "shuffle", "bitshuffle"),
    "checksum": (True, False),
}


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
    if isinstance(compressor, (Mapping, Codec)):
        compressor = [compressor]
    if isinstance(compressor, (list, tuple)):
        compressor = [entry.to_dict() if isinstance(entry, Codec) else entry for entry in compressor]
    if isinstance(compressor, list) and all(isinstance(entry, Mapping) for entry in compressor):
        codecs = [dict(entry) for entry in compressor]
        if codecs and codecs[0].get("name") in {"bytes", "vlen-bytes"}:
            codecs = codecs[1:]
        unknown = [entry.get("name") for entry in codecs if entry.get("name") not in _DEFAULTS]
        if not unknown:
            return [_complete(entry) for entry in codecs]
        raise InputError(
            "compressor names a codec that is not bytes-to-bytes or not known",
            got=unknown,
            expected=f"some of {', '.join(sorted(_DEFAULTS))}",
        )
    raise InputError(
        "compressor is not known", got=repr(compressor), hint="use None, 'zstd', 'blosc', 'none' or a list of codecs"
    )


def _complete(codec: JsonObject) -> JsonObject:
    """A codec with every option that it needs.

    Raises:
        InputError: An option is out of range.
    """
    name = codec["name"]
    given = codec.get("configuration") or {}
    if not _DEFAULTS[name]:
        return codec
    if not isinstance(given, Mapping):
        raise InputError(f"the configuration of codec {name!r} must be a mapping", got=repr(given))
    options = {**_DEFAULTS[name], **given}
    key, least, most = _LEVELS[name]
    level = options[key]
    if isinstance(level, bool) or not isinstance(level, int) or not least <= level <= most:
        raise InputError(f"{key} of codec {name!r} must be a whole number from {least} to {most}", got=repr(level))
    for key, allowed in _CHOICES.items():
        if key in options and options[key] not in allowed:
            raise InputError(
                f"{key} of codec {name!r} is not known", got=repr(options[key]), expected=f"one of {allowed}"
            )
    return {**codec, "configuration": options}


def resolve_compressor(compressor: Any = None) -> list[JsonObject]:
    """The codec chain of a plain array: ``bytes`` and what ``compressor`` stands for.

    Args:
        compressor: None or ``"zstd"`` (zstd with frame checksum), ``"blosc"``, ``"none"`` or False (CRC32C only),
            or a list of codecs: mappings, in which options that are left out are filled in, or objects of zarr.

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
