"""Families of links: the documents of their arrays and groups, and an opened level's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec, group_document
from zarr_vectors.encoding.links import format_delta, parse_segment
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.typing import IntArray, JsonObject

__all__ = [
    "LinkFamily",
    "Segment",
    "attribute_family_document",
    "attribute_segment_attributes",
    "family_document",
    "parse_family",
    "segment_attributes",
]

LINK_DTYPE = "int64"


def family_document(width: int, ndim: int, *, directed: bool, links: int, delta: int = 0) -> JsonObject:
    """The group of a family."""
    return group_document(
        {
            "zv_array": "links_family",
            "level_delta": delta,
            "link_width": width,
            "directed": directed,
            "store": "canonical",
            "sid_ndim": ndim,
            "num_links": links,
            "num_physical_records": links,
        }
    )


def segment_attributes(offsets: IntArray, *, directed: bool, delta: int = 0) -> JsonObject:
    """What the array of a segment says."""
    return {
        "zv_array": "links",
        "dtype": LINK_DTYPE,
        "offsets": offsets.tolist(),
        "has_perm": bool(offsets.any()) and not directed and delta == 0,
        "link_width": len(offsets) + 1,
        "level_delta": delta,
    }


def attribute_family_document(name: str, links: int, delta: int = 0) -> JsonObject:
    """The group of an attribute's values for a family."""
    said = {"zv_array": "link_attribute_family", "name": name, "level_delta": delta, "num_links": links}
    return group_document(said)


def attribute_segment_attributes(name: str, spec: ColumnSpec, offsets: IntArray, delta: int = 0) -> JsonObject:
    """What the array of an attribute's values for a segment says."""
    place = {"offsets": offsets.tolist(), "level_delta": delta}
    return {"zv_array": "link_attribute", "name": name, **place, **spec.attributes()}


@dataclass(frozen=True)
class Segment:
    """Links whose ends lie at the same offsets from their chunk.

    Args:
        name: The offsets as text.
        offsets: ``(L - 1, K)`` chunk offset of each end but the first.
        array: The records.
        has_perm: Whether a record begins with the rank of its permutation.
        dtype: Of the records.
        attributes: Values by attribute name; arrays aligned with ``array``.
        delta: How much coarser the level of all ends but the first is.
    """

    name: str
    offsets: IntArray
    array: CellArray
    has_perm: bool
    dtype: np.dtype[Any]
    attributes: Mapping[str, CellArray] = field(default_factory=dict)
    delta: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether cells hold rows without a header."""
        return not self.delta and not self.offsets.any()


@dataclass(frozen=True)
class LinkFamily:
    """The links of a level, between vertices of the level itself or to those of another one.

    Args:
        width: Ends of each link.
        directed: Whether ends are stored in the order in which they were given.
        duplicate: Whether a link is stored once for every chunk that it touches.
        segments: By name.
        columns: Types of the attributes.
        links: Number of links, where stated.
    """

    width: int
    directed: bool
    duplicate: bool
    segments: Mapping[str, Segment]
    columns: Mapping[str, ColumnSpec]
    links: int | None = None


def parse_family(
    level: int, documents: Mapping[str, JsonObject], ndim: int, store: str | None, delta: int = 0
) -> LinkFamily | None:
    """The family within a level, or to a level that is so much coarser; None where it has none.

    Args:
        documents: ``zarr.json`` of every array and group below ``links`` and ``link_attributes``, by name.
        ndim: Components of a chunk key.
        delta: Name of the family: the difference of levels that its links lead over.

    Raises:
        MetadataError: A name or document is malformed.
    """
    prefix = f"{constants.LINKS}/{format_delta(delta)}"
    names = [name for name in documents if name.startswith(prefix + "/")]
    if prefix not in documents and not names:
        return None
    said = (documents.get(prefix) or {}).get("attributes") or {}
    duplicate = said.get("store") == "duplicate"
    directed = bool(said.get("directed", False))
    try:
        attributes = _attribute_arrays(level, documents, store, format_delta(delta))
        segments = {}
        for name in sorted(names):
            last = name.rpartition("/")[2]
            array = CellArray(f"{level}/{name}", ArrayDocument.parse(documents[name], where=f"{level}/{name}"), store)
            perm = not delta and (duplicate or not directed)
            segment = _segment(last, array, ndim, perm=perm, attributes=attributes.get(last, {}))
            segments[last] = replace(segment, delta=delta) if delta else segment
        stated = [int(said["link_width"])] if "link_width" in said else []
        widths = {*stated, *(len(segment.offsets) + 1 for segment in segments.values())}
        if len(widths) > 1:
            raise ValueError(f"links of several widths: {sorted(widths)}")
        width = next(iter(widths), 2)
        columns = _columns(documents, format_delta(delta))
    except (KeyError, TypeError, ValueError) as error:
        raise MetadataError(
            "the documents of the links are malformed", store=store, array=f"{level}/{prefix}", got=str(error)
        ) from error
    return LinkFamily(width, directed, duplicate, segments, columns, said.get("num_links"))


def _segment(name: str, array: CellArray, ndim: int, *, perm: bool, attributes: Mapping[str, CellArray]) -> Segment:
    """A segment; where it does not say whether records have a permutation, the family's policy does (``perm``)."""
    offsets = parse_segment(name, ndim)
    said = array.document.attributes
    has_perm = bool(said.get("has_perm", perm and bool(offsets.any())))
    return Segment(name, offsets, array, has_perm, np.dtype(said.get("dtype", LINK_DTYPE)), attributes)


def _attribute_arrays(
    level: int, documents: Mapping[str, JsonObject], store: str | None, wanted: str
) -> dict[str, dict[str, CellArray]]:
    """Arrays of attributes by segment and attribute name."""
    found: dict[str, dict[str, CellArray]] = {}
    for name, document in documents.items():
        attribute, delta, segment = _attribute_parts(name)
        if delta == wanted and segment:
            path = f"{level}/{name}"
            array = CellArray(path, ArrayDocument.parse(document, where=path), store)
            found.setdefault(segment, {})[attribute] = array
    return found


def _attribute_parts(name: str) -> tuple[str, str, str]:
    """Attribute, delta and segment that a name below ``link_attributes`` tells; empty where it does not."""
    family, _, rest = name.partition("/")
    parts = rest.split("/")
    return (parts[0], parts[1], parts[2]) if family == constants.LINK_ATTRIBUTES and len(parts) == 3 else ("", "", "")


def _columns(documents: Mapping[str, JsonObject], wanted: str) -> dict[str, ColumnSpec]:
    found: dict[str, ColumnSpec] = {}
    for name, document in documents.items():
        attribute, delta, _ = _attribute_parts(name)
        if delta == wanted and attribute not in found:
            found[attribute] = ColumnSpec.from_attributes(document.get("attributes") or {})
    return found
