"""The typed arrays and arrays of byte strings of a group, each as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import typed_array_document, vlen_table_document
from zarr_vectors.core.node import Node, plain_attributes, whole_numbers
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.compression import cell_codecs, typed_codecs
from zarr_vectors.exceptions import CorruptionError, InputError, StoreError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.storage.tables import TableArray, read_tables
from zarr_vectors.storage.typed import TypedArray
from zarr_vectors.typing import AnyArray

__all__ = ["TablesOfGroup"]


class TablesOfGroup(Node):
    """The part of ``Group`` that has to do with arrays that are not cut by space."""

    def write_array(
        self,
        path: str,
        data: Any,
        *,
        chunks: Sequence[int] | None = None,
        fill_value: Any = None,
        attributes: Mapping[str, Any] | None = None,
        compressors: Any = None,
    ) -> None:
        """Write a typed array, replacing one that is there.

        Args:
            path: Path below the group.
            data: What numpy makes an array of: numbers, booleans, text or dates, of any shape.
            chunks: Chunk shape; the whole array by default.
            fill_value: What a reader takes for chunks that are not there; 0 or no text by default. All are stored. For
                floats also ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
            attributes: Of the array.
            compressors: As ``compressor`` in ``Layout``; that of ``batched_writes`` by default.

        Raises:
            InputError: Data, chunks, fill value, attributes or codecs that cannot be meant.
            StoreError: A group or an array with cells is there, or an array of which only one has axes.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://write-array-doc")["0"]
            >>> level.write_array("object_attributes/length", [1.5, 2.5], attributes={"unit": "mm"})
            >>> level.read_array("object_attributes/length").tolist()
            [1.5, 2.5]
        """
        self._session.check_writable()
        values = _as_values(data)
        whole = tuple(max(1, length) for length in values.shape)
        chunk = whole if chunks is None else whole_numbers("chunks", chunks, least=1) if values.ndim else ()
        if len(chunk) != values.ndim:
            raise InputError("chunks must have one number per axis", expected=f"{values.ndim} axes", got=repr(chunks))
        codecs = typed_codecs(self._session.compressor if compressors is None else compressors)
        fill = _as_fill(fill_value, values.dtype)
        document = typed_array_document(values, chunk, codecs, plain_attributes(attributes or {}), fill)
        self._write(path, document, values)

    def write_vlen_array(
        self,
        path: str,
        blobs: Sequence[bytes],
        *,
        chunks: int | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a one-dimensional array of byte strings, replacing one that is there; of no strings there is none.

        Args:
            path: Path below the group.
            blobs: The strings.
            chunks: Strings per chunk; all in one by default.
            attributes: Of the array.

        Raises:
            InputError: A blob is not bytes, or an argument that cannot be meant.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://write-vlen-doc")["0"]
            >>> level.write_vlen_array("groups", [b"", b"abc"])
            >>> level.read_vlen_array("groups")
            [b'', b'abc']
        """
        self._session.check_writable()
        items: list[Any] = list(blobs)
        bad = [type(item).__name__ for item in items if not isinstance(item, (bytes, bytearray, memoryview))]
        if bad:
            raise InputError("blobs must be bytes", got=bad[0])
        (rows,) = whole_numbers("chunks", [max(1, len(items)) if chunks is None else chunks], least=1)
        said = plain_attributes(attributes or {})
        if not items:
            with self._session.changes() as waiting:
                waiting.delete(self._below(path))
            return
        document = vlen_table_document(len(items), rows, cell_codecs(self._session.compressor), said)
        self._write(path, document, Blobs.from_list(items))

    def _write(self, path: str, document: ArrayDocument, rows: Any) -> None:
        full = self._below(path)
        self._check_place(full, bool(document.shape))
        with self._session.changes() as waiting:
            waiting.delete(f"{full}/c")
            waiting.declare(full, document.to_json())
            waiting.objects |= dict(_codec_of(full, document, self.storage.url).encode(rows))

    def _check_place(self, full: str, has_axes: bool) -> None:
        """Refuse to put an array where a group with something in it may be, or where cells are."""
        old = self._session.document(full)
        if old is None:
            return
        if old.get("node_type") == "group":
            raise StoreError("a group is there", store=self.url, array=full, hint="delete it first")
        if (old.get("attributes") or {}).get(constants.NONEMPTY_CHUNKS):
            raise StoreError("an array with cells is there", store=self.url, array=full, hint="delete it first")
        if bool(old.get("shape")) != has_axes:
            # The chunk of the one would have to lie where the other has a folder of chunks.
            raise StoreError(
                "an array takes the place of one with axes, or without, only when that is deleted",
                store=self.url,
                array=full,
                hint="delete it first",
            )

    def read_array(self, path: str) -> AnyArray:
        """A typed array as a whole; inside ``batched_writes`` as it was before.

        Raises:
            StoreError: There is no such array, or its data type cannot be read.
            CorruptionError: It cannot be decoded.
        """
        full, document = self._committed_array(path)
        if document.data_type == "variable_length_bytes":
            raise StoreError(
                "this is an array of byte strings", store=self.url, array=path, hint="use read_vlen_array or read_bytes"
            )
        array = _codec_of(full, document, self.storage.url)
        if isinstance(array, TypedArray):
            return array.read(self.storage)
        values: AnyArray = self._table(array, path)
        return values

    def read_vlen_array(self, path: str) -> list[bytes]:
        """A one-dimensional array of byte strings as a whole; inside ``batched_writes`` as it was before.

        Raises:
            StoreError: There is no such array.
            CorruptionError: It cannot be decoded.
        """
        full, document = self._committed_array(path)
        if document.data_type != "variable_length_bytes" or len(document.shape) != 1:
            raise StoreError("this is no one-dimensional array of byte strings", store=self.url, array=path)
        blobs: Blobs = self._table(TableArray(full, document, self.storage.url), path)
        return blobs.to_list()

    def _committed_array(self, path: str) -> tuple[str, ArrayDocument]:
        full = self._below(path)
        document = self._session.committed(full)
        if document is None or document.get("node_type") != "array":
            raise StoreError("there is no such array", store=self.url, array=path)
        return full, ArrayDocument.parse(document, where=path)

    def _table(self, table: TableArray, path: str) -> Any:
        try:
            return read_tables(self.storage, [(table, None)])[0]
        except CorruptionError:
            raise
        except ValueError as error:
            raise StoreError("the array cannot be read", store=self.url, array=path, got=str(error)) from error


def _codec_of(full: str, document: ArrayDocument, store: str) -> TableArray | TypedArray:
    """The array as a table where it is one, which is faster, else as an array of any shape."""
    rank = len(document.shape)
    is_table = rank > 0 and document.shape[1:] == document.chunk_shape[1:]
    return TableArray(full, document, store) if is_table else TypedArray(full, document, store)


def _as_values(data: Any) -> AnyArray:
    try:
        values: AnyArray = np.asarray(data)
    except ValueError as error:
        raise InputError("data must be what numpy makes an array of", got=str(error)) from error
    return values


def _as_fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """A fill value of the array's type.

    Raises:
        InputError: The type cannot hold it.
    """
    try:
        fill = np.zeros(1, dtype=dtype)[0] if value is None else np.asarray(value).astype(dtype)[()]
        named = isinstance(value, str) and dtype.kind == "f" and value in ("NaN", "Infinity", "-Infinity")
        fits = value is None or named or fill != fill or bool(fill == value) or dtype.kind in "mM"
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("fill_value is not of the array's type", expected=str(dtype), got=repr(value)) from error
    if not fits and not (dtype.kind == "f" and isinstance(value, float)):
        raise InputError("fill_value is not of the array's type", expected=str(dtype), got=repr(value))
    return fill
