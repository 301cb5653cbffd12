"""Codec chains that the fast path does not know: let zarr-python encode and decode a stored chunk.

A stored chunk is put, alone, into an array in memory with the same codecs; only zarr's public interface is used.
"""

from __future__ import annotations

import sys
from math import prod
from typing import Any

import numpy as np
import zarr
from zarr.buffer.cpu import Buffer as CpuBuffer
from zarr.storage import MemoryStore

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.encoding.unwrap import unwrapped
from zarr_vectors.metadata.array import ArrayDocument, numpy_dtype
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.typing import AnyArray

__all__ = ["MOST_PER_BYTE", "check_text", "decode_chunk", "encode_chunk"]

_FEW_ELEMENTS = 2**20
MOST_PER_BYTE = 2**15
"""No codec packs more bytes into one."""


def decode_chunk(document: ArrayDocument, data: Buffer) -> AnyArray:
    """The elements of one stored chunk, in the chunk's shape; bytes objects for a vlen-bytes array.

    Raises:
        ValueError: It cannot be decoded, or holds more than is believed of its bytes.
    """
    # zarr-python makes room for what the document says before it looks at the chunk.
    if prod(document.chunk_shape) > _FEW_ELEMENTS + MOST_PER_BYTE * len(data):
        raise ValueError(f"{len(data)} bytes for {prod(document.chunk_shape)} elements")
    try:
        codecs, data = unwrapped(document.codecs, document.chunk_shape, data, _promised(document))
        array, _ = _lone_chunk(document.replace(codecs=codecs), data)
        values: Any = array[...]
    except MemoryError:
        raise
    except Exception as error:
        # Each codec has errors of its own: zlib.error, EOFError, even SystemError.
        raise ValueError(f"it cannot be decoded: {error!r}") from error
    elements = np.asarray(values).reshape(document.chunk_shape)
    check_text(elements)
    return elements


def _promised(document: ArrayDocument) -> int:
    """Bytes of a chunk by its document; 0 where elements differ in size."""
    if document.codecs[0].get("name") == "vlen-bytes" or document.is_sharded:
        return 0
    return prod(document.chunk_shape) * numpy_dtype(document.data_type).itemsize


def check_text(values: AnyArray) -> None:
    """Refuse what numpy takes for text and Python does not.

    Raises:
        ValueError: A character is none of Unicode.
    """
    if values.dtype.kind == "U" and values.size:
        codes = np.ascontiguousarray(values).view(f"{values.dtype.byteorder}u4")
        if int(codes.max()) > sys.maxunicode:
            raise ValueError(f"{int(codes.max()):#x} is no character of Unicode")


def encode_chunk(document: ArrayDocument, values: AnyArray, *, with_fill: bool = True) -> bytes:
    """One stored chunk of these elements, given in the chunk's shape.

    Args:
        with_fill: Store fill values like any others. Without it a shard leaves out the cells that are empty.
    """
    array, store = _lone_chunk(document, None)
    # By its own default zarr-python stores no chunk of fill values; the config of a given array is set by making it.
    config: Any = {"write_empty_chunks": with_fill}
    array = zarr.Array(zarr.AsyncArray(array.metadata, array.store_path, config))
    array[...] = values
    data: bytes = store[document.chunk_path((0,) * len(document.chunk_shape))].to_bytes()
    return data


def _lone_chunk(document: ArrayDocument, data: Buffer | None) -> tuple[Any, dict[str, Any]]:
    lone = document.replace(shape=document.chunk_shape, attributes={})
    content: dict[str, Any] = {"zarr.json": CpuBuffer.from_bytes(dump_json(lone.to_json()))}
    if data is not None:
        content[lone.chunk_path((0,) * len(lone.chunk_shape))] = CpuBuffer.from_bytes(bytes(data))
    return zarr.open_array(MemoryStore(content), mode="r+"), content
