"""One-dimensional vlen-bytes arrays and typed arrays: the tables of objects and groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numcodecs.vlen import VLenBytes

from zarr_vectors.encoding.blobs import Blobs, Buffer, offsets_of
from zarr_vectors.encoding.codecs import ByteCodec, known_chain
from zarr_vectors.encoding.limits import UNBELIEVABLE, most_content
from zarr_vectors.exceptions import CorruptionError, InputError, MetadataError
from zarr_vectors.metadata.array import ArrayDocument, fill_value_of, numpy_dtype
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.fallback import check_text, decode_chunk, encode_chunk
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.whole import no_memory
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["MOST_CHUNKS", "MOST_FILL", "STORED_WHOLE", "TableArray", "read_tables"]

STORED_WHOLE = "zv_stored_whole"
"""Array attribute (additive): every chunk is stored, all-fill ones too, so that an absent one is corruption."""
MOST_CHUNKS = 2**19
"""Of a table; an index of 0.9.2 that has grown may be cut into a few rows each."""
MOST_FILL = 2**29
"""Bytes of fill values in the place of chunks that are not stored; a byte string counts as 8."""


@dataclass(frozen=True)
class TableArray:
    """A typed array chunked along its first axis, or a one-dimensional vlen-bytes array.

    Args:
        path: Below the store's root.
        document: Its ``zarr.json``.
        store: URL, for messages.
    """

    path: str
    document: ArrayDocument
    store: str | None = None

    @property
    def rows(self) -> int:
        """Length of the first axis."""
        return int(self.document.shape[0])

    @property
    def chunk_rows(self) -> int:
        """Rows of a stored chunk."""
        return self.document.chunk_shape[0]

    @property
    def is_vlen(self) -> bool:
        """Whether rows are byte strings."""
        return bool(self.document.data_type == "variable_length_bytes")

    def _codec(self) -> ByteCodec | None:
        chain = self.document.codecs
        head = chain[0] if chain else {}
        little = self.is_vlen or (head.get("configuration") or {}).get("endian", "little") == "little"
        known_head = head.get("name") == ("vlen-bytes" if self.is_vlen else "bytes")
        return known_chain(chain[1:]) if little and known_head else None

    @property
    def has_checksum(self) -> bool:
        """Whether stored chunks end in a checksum of what they hold."""
        codec = self._codec()
        return codec is not None and (codec.crc32c or (codec.zstd is not None and codec.zstd[1]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the elements of a typed array.

        Raises:
            MetadataError: The data type is not one that this format uses.
        """
        try:
            dtype = numpy_dtype(self.document.data_type)
        except ValueError as error:
            raise self._unusable("data type", error) from error
        if not dtype.itemsize:
            raise self._unusable("data type", "text of no characters")
        return dtype

    def _unusable(self, what: str, why: object) -> MetadataError:
        return MetadataError(f"the {what} of a table cannot be used", store=self.store, array=self.path, got=str(why))

    def requests(self, rows: IntArray | None = None) -> list[Get]:
        """The stored chunks of these rows, or of all."""
        return [Get(self._chunk_path(chunk)) for chunk in self._chunks(rows)]

    def _chunks(self, rows: IntArray | None) -> list[int]:
        shape, chunk = self.document.shape, self.document.chunk_shape
        if not shape or (self.is_vlen and len(shape) > 1) or shape[1:] != chunk[1:]:
            raise self._unusable("shape", f"{list(shape)} in chunks of {list(chunk)}")
        if rows is None:
            count = -(-self.rows // self.chunk_rows)
            if count > MOST_CHUNKS:
                raise self._unusable("shape", f"{self.rows} rows in chunks of {self.chunk_rows}")
            return list(range(count))
        return np.unique(np.asarray(rows) // self.chunk_rows).tolist() if len(rows) else []

    def _chunk_path(self, chunk: int) -> str:
        return f"{self.path}/{self.document.chunk_path([chunk] + [0] * (len(self.document.shape) - 1))}"

    def decode(self, found: dict[Get, Buffer | None], rows: IntArray | None = None) -> Any:
        """Rows from what a round brought: an array, or ``Blobs`` for byte strings.

        Raises:
            CorruptionError: A chunk is gone or cannot be decoded.
        """
        chunks = self._chunks(rows)
        stored = [found[Get(self._chunk_path(chunk))] for chunk in chunks]
        self._check_absent(chunks, stored)
        if self.is_vlen and rows is not None:
            return self._items(chunks, stored, np.asarray(rows))
        parts = [self._decode_chunk(chunk, data) for chunk, data in zip(chunks, stored, strict=True)]
        if self.is_vlen:
            return Blobs.concatenate(parts).take(np.arange(self.rows))
        shape = (0, *self.document.shape[1:])
        whole = np.concatenate([*parts, np.zeros(shape, self.dtype)])
        if rows is None:
            return whole[: self.rows]
        place = np.searchsorted(np.asarray(chunks), np.asarray(rows) // self.chunk_rows)
        return whole[place * self.chunk_rows + np.asarray(rows) % self.chunk_rows]

    def _check_absent(self, chunks: Sequence[int], stored: Sequence[Buffer | None]) -> None:
        """Refuse to make up more fill values than the format has rows: a document alone may claim any number."""
        absent = [chunk for chunk, data in zip(chunks, stored, strict=True) if data is None]
        elements = len(absent) * prod(self.document.chunk_shape)
        if absent and elements * (8 if self.is_vlen else self.dtype.itemsize) > MOST_FILL:
            raise self._corrupt(absent[0], f"{len(absent)} chunks of {self.chunk_rows} rows are not stored")

    def _items(self, chunks: Sequence[int], stored: Sequence[Buffer | None], rows: IntArray) -> Blobs:
        """Rows of chunks of byte strings; a chunk is let go before the next is decoded, but for the wanted rows."""
        of = rows // self.chunk_rows
        order = np.argsort(of, kind="stable")
        starts = np.searchsorted(of[order], np.asarray(chunks))
        wanted = []
        for chunk, data, at in zip(chunks, stored, np.split(order, starts[1:]), strict=False):
            part = self._decode_chunk(chunk, data).take(rows[at] % self.chunk_rows)
            wanted.append(Blobs.packed(part.joined(), part.sizes) if len(chunks) > 1 else part)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return Blobs.concatenate(wanted).take(back)

    def _decode_chunk(self, chunk: int, data: Buffer | None) -> Any:
        if data is None:
            return self._absent_chunk(chunk)
        codec = self._codec()
        if codec is None:
            return self._decode_foreign(chunk, data)
        promised = 0 if self.is_vlen else prod(self.document.chunk_shape) * self.dtype.itemsize
        (raw,), errors = codec.decode_each(Blobs.from_list([data]), promised)
        if errors:
            raise self._corrupt(chunk, errors[0])
        return self._unpack(chunk, raw)

    def _unpack(self, chunk: int, raw: memoryview) -> Any:
        """Rows of a chunk from its decoded bytes."""
        if self.is_vlen:
            return self._split_items(chunk, raw)
        shape, dtype = self.document.chunk_shape, self.dtype
        if len(raw) != prod(shape) * dtype.itemsize:
            raise self._corrupt(chunk, f"{len(raw)} bytes for a chunk of {shape} {dtype}")
        values = np.frombuffer(raw, dtype=dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
        try:
            check_text(values)
        except ValueError as error:
            raise self._corrupt(chunk, str(error)) from error
        return values

    def _decode_foreign(self, chunk: int, data: Buffer) -> Any:
        try:
            values = decode_chunk(self.document, data)
        except ValueError as error:
            raise self._corrupt(chunk, str(error)) from error
        return Blobs.from_list([bytes(item) for item in values.ravel()]) if self.is_vlen else values

    def _absent_chunk(self, chunk: int) -> Any:
        """An all-fill chunk need not be stored, unless the writer said that it stores them all."""
        if self.document.attributes.get(STORED_WHOLE):
            raise self._corrupt(chunk, "the chunk is gone")
        if self.is_vlen:
            return Blobs(b"", np.zeros(self.chunk_rows, dtype=np.int64), np.zeros(self.chunk_rows, dtype=np.int64))
        return self._blank()

    def _blank(self) -> AnyArray:
        """A chunk of fill values."""
        dtype = self.dtype
        try:
            return np.full(self.document.chunk_shape, fill_value_of(self.document), dtype)
        except ValueError as error:
            raise self._unusable("fill value", error) from error

    def _split_items(self, chunk: int, raw: memoryview) -> Blobs:
        """The items of a vlen-bytes chunk: u32 count, then u32 size and payload of each."""
        count = int.from_bytes(raw[:4], "little")
        if count != self.chunk_rows or count > len(raw) // 4:
            raise self._corrupt(chunk, f"{count} items in a chunk of {self.chunk_rows}")
        try:
            # Compiled, and so the fastest way to follow the sizes.
            items = VLenBytes().decode(raw)
        except ValueError as error:
            raise self._corrupt(chunk, str(error)) from error
        sizes = np.fromiter(map(len, items.tolist()), dtype=np.int64, count=count)
        ends = 4 + np.cumsum(sizes + 4)
        if count and ends[-1] != len(raw):
            raise self._corrupt(chunk, "its items do not fill it")
        return Blobs(raw, ends - sizes, sizes)

    def _corrupt(self, chunk: int, what: str) -> CorruptionError:
        return CorruptionError("a table chunk cannot be read", store=self.store, array=self.path, cell=chunk, got=what)

    def encode(self, rows: Any) -> Iterator[tuple[str, Buffer]]:
        """Every stored chunk of the table; ``rows`` is an array, or ``Blobs`` for byte strings."""
        codec = self._codec()
        for chunk in self._chunks(None):
            start, end = chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.rows)
            if self.is_vlen:
                raw = _join_items(rows.take(np.arange(start, end)), self.chunk_rows)
                values: AnyArray | None = None
            else:
                values = self._blank()
                values[: end - start] = rows[start:end]
                raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
            if codec is not None:
                data = codec.encode(Blobs.from_list([raw]))[0]
                if len(raw) > most_content(len(data), 0 if self.is_vlen else len(raw)) and codec.zstd is not None:
                    raise InputError(UNBELIEVABLE, store=self.store, array=self.path, cell=chunk, got=len(raw))
                yield self._chunk_path(chunk), data
            else:
                if values is None:
                    values = np.full(self.chunk_rows, b"", dtype=object)
                    values[: end - start] = rows.take(np.arange(start, end)).to_list()
                yield self._chunk_path(chunk), encode_chunk(self.document, values)


def _join_items(items: Blobs, count: int) -> bytes:
    """A vlen-bytes chunk of ``count`` items, empty ones at the end."""
    sizes = np.zeros(count, dtype="<u4")
    sizes[: len(items)] = items.sizes
    at = offsets_of(sizes.astype(np.int64) + 4)
    data = np.zeros(4 + int(at[-1]), dtype=np.uint8)
    data[:4] = np.array([count], dtype="<u4").view(np.uint8)
    heads = 4 + at[:-1, None] + np.arange(4)
    data[heads] = sizes.view(np.uint8).reshape(-1, 4)
    payload = np.ones(len(data), dtype=bool)
    payload[:4] = False
    payload[heads.ravel()] = False
    data[payload] = items.to_array()
    return data.tobytes()


def read_tables(storage: Storage, wanted: Sequence[tuple[TableArray, IntArray | None]]) -> list[Any]:
    """Read rows of several tables in one round; None for all rows."""
    try:
        found = storage.fetch(get for table, rows in wanted for get in table.requests(rows))
        return [table.decode(found, rows) for table, rows in wanted]
    except MemoryError as error:
        raise no_memory(", ".join(table.path for table, _ in wanted), storage.url, error) from error
