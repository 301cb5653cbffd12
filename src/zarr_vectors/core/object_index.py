"""Writing the manifests of a level, and beside them the same by column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import vlen_table_document
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import decode_manifests
from zarr_vectors.encoding.references import SEAL_BYTES, encode_references
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.storage import Put
from zarr_vectors.storage.tables import TableArray

__all__ = ["manifest_puts"]


def manifest_puts(table: TableArray, manifests: Blobs, ndim: int, *, with_refs: bool) -> Iterator[Put]:
    """The stored objects and documents of manifests.

    Args:
        table: Their array.
        manifests: One for each row.
        ndim: Components of a chunk coordinate.
        with_refs: Whether to write their references by column as well.
    """
    blocks: list[bytes] = []
    for start, put in zip(range(0, len(manifests), table.chunk_rows), table.encode(manifests), strict=True):
        if with_refs:
            rows = np.arange(start, min(start + table.chunk_rows, len(manifests)))
            # What cannot be decoded is as the store had it before; its block stays empty, and is never used.
            decoded, errors = decode_manifests(manifests.take(rows), ndim)
            blocks.append(b"" if errors else encode_references(decoded, len(rows), put[1][-SEAL_BYTES:]))
        yield put
    yield f"{table.path}/zarr.json", dump_json(table.document.to_json())
    if with_refs:
        path = table.path.removesuffix(constants.OBJECT_MANIFESTS) + constants.FRAGMENT_REFS
        document = vlen_table_document(len(blocks), 1, table.document.codecs, {"zv_array": "fragment_refs"})
        yield from TableArray(path, document).encode(Blobs.from_list(blocks))
        yield f"{path}/zarr.json", dump_json(document.to_json())
