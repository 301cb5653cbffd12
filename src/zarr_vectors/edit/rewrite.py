"""Level 0 written anew from a draft, as one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zarr_vectors import constants
from zarr_vectors.edit.draft import Draft
from zarr_vectors.edit.which import Opened
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.create import write_new
from zarr_vectors.types.intake import First, memory_intake
from zarr_vectors.types.options import WriteOptions, as_bounds
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.refill import Refill
from zarr_vectors.types.stale import stale_puts
from zarr_vectors.typing import FloatArray, JsonObject

__all__ = ["renamed_paths", "rewrite"]

_FAMILIES = {
    "vertices": (constants.VERTEX_ATTRIBUTES, constants.FRAGMENT_ATTRIBUTES),
    "objects": (constants.OBJECT_ATTRIBUTES,),
    "links": (constants.LINK_ATTRIBUTES,),
}
_SCOPES = {"vertices": "vertex", "objects": "object", "links": "link"}


def rewrite(storage: Storage, opened: Opened, draft: Draft, *, changes: bool = True) -> None:
    """Write the level, in which all stays as it is that the draft does not change.

    Args:
        changes: Whether coarser levels are stale afterwards.
    """
    root, level, kind = opened.root, opened.level, opened.kind
    draft.check_lines()
    value, row_ids = draft.value(root, level)
    refill = Refill(
        root=root,
        level=level,
        packing=Packing.of_level(root, level),
        also=tuple(stale_puts(storage, root, level)) if changes else (),
        keeps_groups=True,
        renamed=renamed_paths(draft),
        root_facts=_kept_facts(root.metadata.to_json(), draft),
    )
    # New positions have been held to the bounds; what lies outside already may stay.
    options = refill.options(WriteOptions(out_of_bounds="expand"), root.metadata.bounds)
    options = replace(options, per_fragment=tuple(sorted(draft.per_fragment)), axes=root.axes)

    def limits(ndim: int) -> tuple[FloatArray, FloatArray]:
        return as_bounds(root.metadata.bounds, ndim)

    intake = memory_intake(value, kind, options, limits, First(takes_row_id=level.takes_row_id))
    intake.keep_row_ids(row_ids, draft.next_row_id)
    if level.has_objects or constants.FRAGMENT_OWNER in level.cells:
        intake.tables = draft.tables()
        intake.has_objects = True
    write_new(storage, kind, intake, options, refill)


def renamed_paths(draft: Draft) -> dict[str, str]:
    """What arrays of attributes were called, by what they are called now; paths below the level."""
    now: dict[tuple[str, str], str] = {}
    for of, old, new in draft.renamed:
        first = now.pop((of, old), old)
        if new is not None:
            now[of, new] = first
    return {f"{family}/{new}": f"{family}/{old}" for (of, new), old in now.items() for family in _FAMILIES[of]}


def _kept_facts(root: Mapping[str, Any], draft: Draft) -> JsonObject:
    """What the root goes on to say: its bins, which coarser levels are multiples of, and of attributes by name."""
    kept: JsonObject = {"base_bin_shape": root.get("base_bin_shape")}
    specs = {scope: dict(named) for scope, named in (root.get("attribute_specs") or {}).items()}
    for of, old, new in draft.renamed:
        said = specs.get(_SCOPES[of], {}).pop(old, None)
        if said is not None and new is not None:
            specs[_SCOPES[of]][new] = said
    return kept | ({"attribute_specs": specs} if specs and draft.renamed else {})
