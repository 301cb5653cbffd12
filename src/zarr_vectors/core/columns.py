"""What attributes a level has, by the documents of their arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.tables import TableArray

__all__ = ["check_row_ids", "columns_of"]


def columns_of(
    family: str, arrays: Mapping[str, CellArray | TableArray], leave: frozenset[str], store: str | None
) -> dict[str, ColumnSpec]:
    """Types of the attributes of a family, by name.

    Args:
        arrays: By name below the level.
        leave: Names among these of what is no attribute.

    Raises:
        MetadataError: The document of one does not say its type.
    """
    found: dict[str, ColumnSpec] = {}
    for name, array in arrays.items():
        head, _, last = name.partition("/")
        if head == family and name not in leave:
            try:
                found[last] = ColumnSpec.from_attributes(array.document.attributes)
            except (KeyError, TypeError) as error:
                raise MetadataError(
                    "the array's dtype is missing or unknown", store=store, array=array.path, got=str(error)
                ) from error
    return found


def check_row_ids(number: int, spec: ColumnSpec | None, store: str | None) -> None:
    """Refuse what are no row ids, in a level that says where these continue.

    Args:
        spec: Of the vertex attribute of that name; None where there is none.

    Raises:
        CorruptionError: It is not there, or not one int64 for each vertex.
    """
    if spec is None or spec.dtype != np.int64 or spec.channels != 1 or spec.categories is not None:
        raise CorruptionError(
            "the level says where row ids continue, and does not hold any",
            store=store,
            array=f"{number}/{constants.VERTEX_ATTRIBUTES}/{constants.ROW_ID}",
            expected="int64, one for each vertex",
            got="no such array" if spec is None else f"{spec.dtype} of row shape {spec.row_shape}",
            hint=f"restore it, or delete {constants.NEXT_ROW_ID!r} from the level's metadata, which then keeps none",
        )
