"""Damage by number: the same seed always spoils the same input in the same way."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

__all__ = ["dumped", "spoiled", "spoiled_json", "spoiled_text"]

_NUMBERS = (0, 1, 2, -1, 7, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**33, 2**53, 2**62, 2**63 - 1)
_WIDTHS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
_NAMES = (
    "",
    ".",
    "..",
    "../..",
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "%2e%2e/x",
    "a/../../b",
    "x" * 300,
    "zarr.json",
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63), 10**18, 10**9),
    *(0.0, -0.0, 0.5, 1e-300, 5e-324, 1e300, float("inf"), float("-inf"), float("nan"), -1.5),
    *([], {}, [[]], [0], [-1], [2**62], [2**62] * 3, [0, 0, 0], [1, 1, 1], ["a"], {"a": 1}, [None], [1e999], ""),
    *(
        "int8",
        "float64",
        "object",
        "O",
        "V8",
        "S0",
        "<U0",
        "<U999999999",
        "datetime64[ns]",
        "O,O",
        "f4,f4",
        "vlen-bytes",
    ),
    *("bytes", "zstd", "gzip", "blosc", "sharding_indexed", "transpose", "crc32c", "dictionary", "draco", "self"),
    *("0.0.0", "1.1.1", "-1.0.0", "999999999999999999.0.0", "9" * 30, "1.5", "0x10", "nan", "1e5", "\u0663"),
    *_NAMES,
)
_WORDS = (
    *(b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"1", b"99999999999999999999", b"1e-320", b"2147483648"),
    *(b"4294967295", b"9223372036854775807", b"-9223372036854775808", b"1/0", b"0x10", b"1_0", b"\xd9\xa3", b""),
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b"\t", b" ", b",", b";", b'"', b"'", b"#", b"\\"),
    *(b"[" * 3000, b"{", b"}", b"]", b"<a>" * 3000, b"&x;", b"<!DOCTYPE a [", b"../../x", b"a" * 5000, b"9" * 5000),
)


def spoiled(data: bytes, seed: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Bytes with one to four things wrong with them."""
    out = bytearray(data)
    for _ in range(seed.choice((1, 1, 1, 2, 4))):
        out = _spoil_once(out, seed, others)
    return bytes(out)


def _spoil_once(out: bytearray, seed: random.Random, others: Sequence[bytes]) -> bytearray:
    size = len(out)
    way = seed.randrange(10) if size else 6
    at = seed.randrange(size) if size else 0
    # Headers lie at the beginning, and indexes at the end.
    at = min(at, seed.choice((8, 64, size))) if seed.random() < 0.7 else max(at, size - seed.choice((8, 64, size + 1)))
    at = min(max(at, 0), max(0, size - 1))
    if way == 0:
        out[at] ^= 1 << seed.randrange(8)
    elif way == 1:
        out[at] = seed.choice((0, 1, 0x7F, 0x80, 0xFF, seed.randrange(256)))
    elif way in (2, 3, 4):
        width = seed.choice((1, 2, 4, 4, 8, 8))
        at -= at % seed.choice((1, width))
        if at + width <= size:
            value = seed.choice((*_NUMBERS, size, size - 1, size + 1))
            if seed.random() < 0.3:
                value = struct.unpack_from(_WIDTHS[width], out, at)[0] + seed.choice((-1, 1, 8))
            struct.pack_into(
                seed.choice((_WIDTHS[width], _WIDTHS[width].replace("<", ">"))), out, at, value % 2 ** (8 * width)
            )
    elif way == 5:
        del out[at : seed.choice((size, at + 1, at + 4, at + seed.randrange(1 + size - at)))]
    elif way == 6:
        out[at:at] = seed.choice((b"\0" * 4, b"\xff" * 8, seed.randbytes(seed.randrange(1, 40)), bytes(out[:at])))
    elif way == 7:
        end = min(size, at + seed.randrange(1, 65))
        out[at:at] = out[at:end]
    elif way == 8 and others:
        other = seed.choice(others)
        start = seed.randrange(len(other) + 1)
        out[at : at + seed.randrange(64)] = other[start : start + seed.randrange(1, 256)]
    else:
        out[at : at + seed.choice((1, 4, 8, 16))] = seed.randbytes(seed.choice((1, 4, 8, 16)))
    return out


def spoiled_text(data: bytes, seed: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Text with a few words, lines or bytes wrong."""
    out = data
    for _ in range(seed.choice((1, 1, 2, 3))):
        way = seed.randrange(6)
        if way == 0:
            out = spoiled(out, seed, others)
            continue
        lines = out.split(b"\n")
        row = seed.randrange(len(lines))
        words = lines[row].split(seed.choice((b" ", b",", b'"', b">", b"\t", b"/")))
        if way in (1, 2):
            joint = b" " if b" " in lines[row] else b","
            words = lines[row].split(joint)
            words[seed.randrange(len(words))] = seed.choice(_WORDS)
            lines[row] = joint.join(words)
        elif way == 3:
            lines.insert(row, lines[seed.randrange(len(lines))])
        elif way == 4:
            del lines[row]
        else:
            at = seed.randrange(len(lines[row]) + 1)
            lines[row] = lines[row][:at] + seed.choice(_WORDS) + lines[row][at + seed.randrange(3) :]
        out = b"\n".join(lines)
    return out


def spoiled_json(value: Any, seed: random.Random) -> Any:
    """A copy of a JSON value with one to three things wrong with it."""
    copy = json.loads(json.dumps(value))
    for _ in range(seed.choice((1, 1, 1, 2, 3))):
        copy = _spoil_node(copy, seed)
    return copy


def _spoil_node(value: Any, seed: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        keys: Any = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        # A long list of numbers or keys must not hide all the rest.
        keys = seed.sample(list(keys), 20) if len(keys) > 20 else keys
        places += [(node, key) for key in keys]
        waiting += [node[key] for key in keys]
    if not places or seed.random() < 0.01:
        return deepcopy(seed.choice(_VALUES))
    node, key = seed.choice(places)
    way = seed.randrange(10)
    if way == 0:
        del node[key]
    elif way == 1:
        node[key] = [json.loads(json.dumps(node[key])) for _ in range(seed.choice((1, 2, 5)))]
    elif way == 2:
        other, name = seed.choice(places)
        with_other = other.get(name) if isinstance(other, dict) else other[name] if name < len(other) else None
        node[key] = json.loads(json.dumps(with_other))
    elif way == 3 and isinstance(node, dict):
        node[seed.choice(_NAMES)] = node.pop(key)
    elif way == 4 and type(node[key]) in (int, float):
        node[key] = seed.choice(
            (-node[key], node[key] + 1, node[key] - 1, node[key] * 2**40, node[key] * 0.5, str(node[key]))
        )
    elif way == 5 and isinstance(node, list):
        node.insert(key, deepcopy(seed.choice(_VALUES)))
    else:
        node[key] = deepcopy(seed.choice(_VALUES))
    return value


def dumped(value: Any, seed: random.Random) -> bytes:
    """A JSON text, at times with what is not JSON in it, or far too deep."""
    text = json.dumps(value, separators=(",", ":")).encode()
    if b"Infinity" in text and seed.random() < 0.8:
        text = text.replace(b"Infinity", b"1e999")
    if seed.random() < 0.01:
        text = text.replace(b"null", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 1)
    return spoiled_text(text, seed) if seed.random() < 0.05 else text
