"""Typed arrays of any rank, cut along any axis: whole reads and writes, chunk by chunk through zarr-python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import CorruptionError, StoreError
from zarr_vectors.metadata.array import ArrayDocument, fill_value_of, numpy_dtype
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.fallback import MOST_PER_BYTE, decode_chunk, encode_chunk
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import MOST_CHUNKS, MOST_FILL, STORED_WHOLE
from zarr_vectors.typing import AnyArray

__all__ = ["TypedArray"]


@dataclass(frozen=True)
class TypedArray:
    """A typed array.

    Args:
        path: Below the store's root.
        document: Its ``zarr.json``.
        store: URL, for messages.
    """

    path: str
    document: ArrayDocument
    store: str | None = None

    def _counts(self) -> list[int]:
        """Stored chunks along each axis."""
        return [-(-length // step) for length, step in zip(self.document.shape, self.document.chunk_shape, strict=True)]

    def _chunks(self) -> Iterator[tuple[str, tuple[slice, ...]]]:
        """Path and place of every stored chunk; at the upper faces a place is smaller than the chunk."""
        shape, chunk = self.document.shape, self.document.chunk_shape
        for index in product(*map(range, self._counts())):
            place = tuple(
                slice(number * step, min((number + 1) * step, length))
                for number, step, length in zip(index, chunk, shape, strict=True)
            )
            yield f"{self.path}/{self.document.chunk_path(index)}", place

    def encode(self, values: AnyArray) -> Iterator[tuple[str, Buffer]]:
        """Every stored chunk of these values, which have the array's shape."""
        for path, place in self._chunks():
            block = np.full(self.document.chunk_shape, fill_value_of(self.document), values.dtype.newbyteorder("="))
            block[tuple(slice(part.stop - part.start) for part in place)] = values[place]
            yield path, encode_chunk(self.document, block)

    def read(self, storage: Storage) -> AnyArray:
        """The whole array, in one round.

        Raises:
            StoreError: Its data type cannot be read.
            CorruptionError: A chunk is gone or cannot be decoded.
        """
        if prod(max(1, count) for count in self._counts()) > MOST_CHUNKS:
            raise StoreError("the array is cut into too many chunks", store=self.store, array=self.path)
        chunks = list(self._chunks())
        found = storage.fetch(Get(path) for path, _ in chunks)
        stored = sum(len(data) for data in found.values() if data is not None)
        try:
            size = prod(self.document.shape) * numpy_dtype(self.document.data_type).itemsize
            if size > MOST_FILL + MOST_PER_BYTE * stored:
                raise ValueError(f"{stored} bytes for {size}")
            values = np.full(self.document.shape, fill_value_of(self.document), numpy_dtype(self.document.data_type))
        except ValueError as error:
            raise StoreError(
                "the array's shape or data type cannot be read", store=self.store, array=self.path, got=str(error)
            ) from error
        for path, place in chunks:
            data = found[Get(path)]
            if data is not None:
                values[place] = self._decoded(path, data)[tuple(slice(part.stop - part.start) for part in place)]
            elif self.document.attributes.get(STORED_WHOLE):
                raise self._corrupt(path, "the chunk is gone")
        return values

    def _decoded(self, path: str, data: Buffer) -> AnyArray:
        try:
            return decode_chunk(self.document, data)
        except ValueError as error:
            raise self._corrupt(path, str(error)) from error

    def _corrupt(self, path: str, what: str) -> CorruptionError:
        cell = path.removeprefix(f"{self.path}/")
        return CorruptionError("a chunk cannot be read", store=self.store, array=self.path, cell=cell, got=what)
