"""The attribute that a level is chunked by: its type, and its values from the chunk keys."""

from __future__ import annotations

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["chunk_column", "chunk_values"]


def chunk_column(metadata: LevelMetadata, store: str | None = None) -> ColumnSpec:
    """The type of the attribute that a level is chunked by: as stated, or as its values are.

    Raises:
        MetadataError: The values are of several types, or the stated type is malformed.

    Example:
        >>> facts = {"chunk_attribute_name": "gene", "chunk_attribute_values": ["ACTB", "GAPDH", None]}
        >>> chunk_column(LevelMetadata.parse(facts, where="doc")).categories
        ('ACTB', 'GAPDH')
    """
    values = metadata.chunk_attribute_values or ()
    known = tuple(value for value in values if value is not None)
    array = None if metadata.chunk_axis is None else metadata.chunk_axis.array
    try:
        if array is not None:
            return ColumnSpec.from_attributes(array)
        if any(isinstance(value, str) for value in known):
            return ColumnSpec(dtype=np.dtype(np.int32), categories=known)
        plain = np.asarray(known) if known else np.zeros(0)
    except (KeyError, TypeError, ValueError) as error:
        raise MetadataError(
            "the type of the attribute that the level is chunked by is malformed", store=store, got=str(error)
        ) from error
    if plain.dtype.kind not in "biuf" or plain.ndim != 1:
        raise MetadataError("the values that the level is chunked by are malformed", store=store, got=list(values))
    return ColumnSpec(dtype=plain.dtype)


def chunk_values(
    metadata: LevelMetadata, spec: ColumnSpec, lead: IntArray, *, store: str | None = None, array: str | None = None
) -> Column:
    """Values of the attribute for rows with these leading coordinates; missing ones are NaN, no category, or masked.

    Raises:
        CorruptionError: A coordinate has no value.
    """
    values = metadata.chunk_attribute_values or ()
    if len(lead) and (int(lead.min()) < 0 or int(lead.max()) >= len(values)):
        raise CorruptionError(
            "a chunk has no value of the attribute that the store is chunked by",
            store=store,
            array=array,
            got=f"{len(values)} values, leading coordinate {lead.max()}",
        )
    if spec.categories is not None:
        code_of = {None: -1} | {category: code for code, category in enumerate(spec.categories)}
        codes = np.array([code_of.get(value, -1) for value in values], dtype=np.int64)
        return Categorical(codes.take(lead), spec.categories, spec.ordered)
    missing = np.array([value is None for value in values], dtype=bool)
    table = np.zeros(len(values), dtype=spec.dtype)
    table[~missing] = [value for value in values if value is not None]
    if not missing.any():
        return table.take(lead)
    if spec.dtype.kind == "f":
        table[missing] = np.nan
        return table.take(lead)
    masked: AnyArray = np.ma.MaskedArray(table.take(lead), mask=missing.take(lead))
    return masked
