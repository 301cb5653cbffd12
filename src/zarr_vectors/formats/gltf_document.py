"""How glTF documents are read: JSON, buffers and accessors, checked before anything is allocated."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from zarr_vectors.exceptions import IngestError, ZVError
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["CHANNELS", "COMPONENTS", "Document", "at", "document_errors", "read_document"]

MAGIC = b"glTF"
HEADER_BYTES = 12
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
COMPONENTS = {
    code: np.dtype(name)
    for code, name in ((5120, "<i1"), (5121, "<u1"), (5122, "<i2"), (5123, "<u2"), (5125, "<u4"), (5126, "<f4"))
}
CHANNELS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
HARMLESS = ("KHR_materials_", "KHR_texture_", "KHR_lights_", "KHR_xmp", "EXT_texture_", "KHR_mesh_quantization")
"""Extensions that do not change which triangles a file holds, or that are understood here."""
MOST_ZEROS = 1 << 30


@contextmanager
def document_errors(path: Path, where: str = "") -> Iterator[None]:
    """Turn what a document of another structure than glTF's raises into an ``IngestError`` that says where it is."""
    try:
        yield
    except ZVError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        got = f"{f'in {where}, ' if where else ''}{type(error).__name__}: {error}"
        raise IngestError(f"{path} has a document that is not glTF", expected="glTF 2.0", got=got) from error


def at(items: Any, index: Any) -> Any:
    """An entry of a list of the document; a number that is none, or below 0, is an error like one beyond the end."""
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise TypeError(f"an index of the document is {index!r}")
    return items[index]


@dataclass(frozen=True)
class Document:
    """A glTF file.

    Args:
        path: The file.
        json: Its document.
        binary: The binary chunk of a GLB file.
        known: Buffers that have been read.
    """

    path: Path
    json: JsonObject
    binary: bytes | None
    known: dict[int, bytes] = field(default_factory=dict)

    def buffer(self, index: Any) -> bytes:
        """The bytes of a buffer, which may lie in the file, in the document or in a file beside it."""
        with document_errors(self.path, f"buffer {index!r}"):
            return self._buffer(index)

    def _buffer(self, index: Any) -> bytes:
        entry = at(self.json["buffers"], index)
        if index in self.known:
            return self.known[index]
        length, uri = entry["byteLength"], entry.get("uri")
        if uri is None:
            data = self.binary
        elif uri.startswith("data:"):
            data = base64.b64decode(uri.partition(",")[2], validate=True)
        else:
            data = self._file_beside(unquote(uri)).read_bytes()
        if data is None or len(data) < length:
            got = "none" if data is None else f"{len(data)} bytes"
            raise IngestError(f"{self.path} lacks a part of buffer {index}", expected=f"{length} bytes", got=got)
        self.known[index] = data
        return data

    def _file_beside(self, uri: str) -> Path:
        """A file in the folder of this one, or below: a document must not name any other."""
        file = self.path.parent / uri
        folder = self.path.parent.resolve()
        if "://" in uri or "\0" in uri or not file.resolve().is_relative_to(folder):
            raise IngestError(f"{self.path} names a buffer outside of its folder", got=repr(uri[:80]))
        if not file.is_file():
            raise IngestError(f"{self.path} names a buffer that is not there", got=repr(uri[:80]))
        return file

    def shape_of(self, index: Any) -> tuple[np.dtype[Any], int, bool]:
        """Dtype of the components, channels, and whether integers stand for parts of their greatest value."""
        with document_errors(self.path, f"accessor {index!r}"):
            entry = at(self.json["accessors"], index)
            return COMPONENTS[entry["componentType"]], CHANNELS[entry["type"]], bool(entry.get("normalized"))

    def values(self, index: Any) -> AnyArray:
        """``(count, channels)`` values of an accessor, as they are stored, in native byte order."""
        with document_errors(self.path, f"accessor {index!r}"):
            return self._values(index)

    def _values(self, index: Any) -> AnyArray:
        entry = at(self.json["accessors"], index)
        dtype, channels, _ = self.shape_of(index)
        count, sparse = entry["count"], entry.get("sparse")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise TypeError(f"accessor {index} has the count {count!r}")
        if "bufferView" in entry:
            values = self._view(entry["bufferView"], entry.get("byteOffset", 0), count, (dtype, channels))
        elif sparse is not None and count * channels * dtype.itemsize <= MOST_ZEROS:
            values = np.zeros((count, channels), dtype)
        else:
            raise IngestError(f"{self.path} has an accessor without data", expected="a bufferView", got=index)
        if sparse is not None:
            values = values.copy()
            kind, where, given = COMPONENTS[sparse["indices"]["componentType"]], sparse["indices"], sparse["values"]
            rows = self._view(where["bufferView"], where.get("byteOffset", 0), sparse["count"], (kind, 1))[:, 0]
            replaced = self._view(given["bufferView"], given.get("byteOffset", 0), len(rows), (dtype, channels))
            values[rows.astype(np.int64)] = replaced
        return values.astype(dtype.newbyteorder("="))

    def _view(self, index: Any, offset: int, count: int, item: tuple[np.dtype[Any], int]) -> AnyArray:
        """Values of a part of a buffer, which must hold all of them."""
        dtype, channels = item
        view = at(self.json["bufferViews"], index)
        data, begin, length = self.buffer(view["buffer"]), view.get("byteOffset", 0), view["byteLength"]
        size = dtype.itemsize * channels
        stride = view.get("byteStride", size)
        needed = offset + (count - 1) * stride + size if count else 0
        if min(begin, length, offset) < 0 or stride < size or begin + length > len(data) or needed > length:
            expected = f"{needed} bytes from byte {begin}"
            got = f"{length} bytes of a buffer of {len(data)}"
            raise IngestError(f"{self.path} has a bufferView {index} that is too short", expected=expected, got=got)
        if not count:
            return np.empty((0, channels), dtype)
        strides = (stride, dtype.itemsize)
        return np.ndarray((count, channels), dtype, buffer=data, offset=begin + offset, strides=strides)


def read_document(path: Path) -> Document:
    """Read a GLB or glTF file and refuse what cannot be understood.

    Raises:
        IngestError: Empty, no glTF 2.0, truncated, or compressed with Draco or another extension that is not known.
    """
    raw = path.read_bytes()
    if not raw:
        raise IngestError(f"{path} is empty", expected="glTF")
    text, binary = _chunks(path, raw) if raw.startswith(MAGIC) else (raw, None)
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise IngestError(f"{path} is not a glTF file", expected="a JSON document", got=str(error)[:120]) from error
    with document_errors(path):
        version = document["asset"]["version"]
        if not isinstance(version, str) or version.partition(".")[0] != "2":
            raise IngestError(f"{path} has a version of glTF that is not read", expected="2.0", got=repr(version))
        unknown = [name for name in document.get("extensionsRequired", []) if not name.startswith(HARMLESS)]
        if unknown:
            hint = "decompress it first, for example with gltf-transform" if "draco" in str(unknown) else None
            raise IngestError(f"{path} needs glTF extensions that are not read", got=unknown, hint=hint)
    return Document(path, document, binary)


def _chunks(path: Path, raw: bytes) -> tuple[bytes, bytes | None]:
    """The document and the binary chunk of a GLB file."""
    version, length = (int.from_bytes(raw[place : place + 4], "little") for place in (4, 8))
    if len(raw) < HEADER_BYTES or version != 2:
        raise IngestError(f"{path} is no GLB file of version 2, or is truncated", got=f"{raw[:HEADER_BYTES]!r}")
    if length != len(raw):
        raise IngestError(f"{path} is truncated or its header is wrong", expected=f"{length} bytes", got=len(raw))
    chunks: list[tuple[int, bytes]] = []
    place = HEADER_BYTES
    while place < length:
        size, kind = (int.from_bytes(raw[word : word + 4], "little") for word in (place, place + 4))
        place += 8
        if place + size > length:
            raise IngestError(f"{path} has a chunk beyond its end", expected=f"{place + size} bytes", got=length)
        chunks.append((kind, raw[place : place + size]))
        place += size
    if not chunks or chunks[0][0] != JSON_CHUNK:
        raise IngestError(f"{path} is not a GLB file", expected="a JSON chunk first", got=f"{len(chunks)} chunks")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == BINARY_CHUNK else None
    return chunks[0][1], binary
