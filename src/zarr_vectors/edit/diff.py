"""What two stores, or two states of one, hold differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.constants import OWNER_NONE
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.edit.draft import Draft, find_numbers
from zarr_vectors.edit.load import load_draft
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.geometry import Column, same_values, take_column
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.typing import AnyArray, BoolArray, IntArray, JsonObject

__all__ = ["Diff", "diff_levels"]


@dataclass(frozen=True, eq=False)
class Diff:
    """How the second of two stores differs from the first.

    Args:
        by: What ids are: ``"object"``, ``"row_id"``, or ``"position"`` where neither is there and numbers count
            points.
        added: Ids that only the second has; with ``"position"``, rows of its ``read()``.
        removed: Ids that only the first has; with ``"position"``, rows of its ``read()``.
        moved: Ids of those whose vertices lie elsewhere, or are others; -1 for vertices of no object.
        changed: Ids of those of which an attribute, an edge or a face differs; -1 as well.
        attributes: Attributes that only one has, or of which a value differs, as ``vertices/name`` and so on.
    """

    by: str
    added: IntArray
    removed: IntArray
    moved: IntArray
    changed: IntArray
    attributes: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both hold the same."""
        return not (len(self.added) + len(self.removed) + len(self.moved) + len(self.changed) + len(self.attributes))

    def summary(self) -> str:
        """One line."""
        noun = {"object": "objects", "row_id": "points", "position": "points"}[self.by]
        counts = ", ".join(f"{len(getattr(self, what))} {what}" for what in ("added", "removed", "moved", "changed"))
        names = f"; attributes {', '.join(self.attributes)}" if self.attributes else ""
        return f"{noun}: {counts}{names}"

    def to_json(self) -> JsonObject:
        """The same as plain values."""
        ids = {what: getattr(self, what).tolist() for what in ("added", "removed", "moved", "changed")}
        return {"by": self.by, **ids, "attributes": list(self.attributes)}


def diff_levels(one: tuple[Storage, RootState, LevelState], other: tuple[Storage, RootState, LevelState]) -> Diff:
    """Compare level 0 of two stores.

    Raises:
        ConventionError: They are of different kinds, or of another number of axes.
    """
    drafts = []
    for storage, root, level in (one, other):
        kind = kind_of_types(root.metadata.geometry_types, storage.url)
        drafts.append(load_draft(storage, root, level, kind, checked=False))
    first, second = drafts
    if first.kind.family != second.kind.family or first.positions.shape[1] != second.positions.shape[1]:
        raise ConventionError(
            "the stores hold different kinds of geometry",
            got=f"{first.positions.shape[1]}-D {first.kind.geometry_type} and "
            f"{second.positions.shape[1]}-D {second.kind.geometry_type}",
        )
    if first.owners is not None and second.owners is not None:
        return _by_object(first, second)
    if first.row_ids is not None and second.row_ids is not None:
        return _by_row(first, second, first.row_ids, second.row_ids, "row_id")
    return _by_position(first, second)


def _by_row(first: Draft, second: Draft, one: IntArray, other: IntArray, by: str) -> Diff:
    at = find_numbers(other, np.argsort(other, kind="stable"), one)
    there = at >= 0
    left, right = np.flatnonzero(there), at[there]
    moved = (first.positions[left] != second.positions[right]).any(axis=1)
    names, differ = _columns("vertices", first.columns, second.columns, left, right)
    return Diff(
        by=by,
        added=np.sort(other[~np.isin(other, one)]),
        removed=np.sort(one[~there]),
        moved=np.sort(one[left][moved]),
        changed=np.sort(one[left][differ]),
        attributes=names,
    )


def _by_position(first: Draft, second: Draft) -> Diff:
    """Points without ids are told by their positions: of equal ones, each is paired with one of the other store."""
    both = np.concatenate([first.positions.astype("f8"), second.positions.astype("f8")])
    codes = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    keys = [_numbered(part) for part in (codes[: len(first)], codes[len(first) :])]
    one, other = ((key[:, 0] * (len(codes) + 1) + key[:, 1]) for key in keys)
    at = find_numbers(other, np.argsort(other, kind="stable"), one)
    left = np.flatnonzero(at >= 0)
    names, differ = _columns("vertices", first.columns, second.columns, left, at[left])
    return Diff(
        by="position",
        added=np.flatnonzero(~np.isin(other, one)),
        removed=np.flatnonzero(at < 0),
        moved=np.zeros(0, dtype=np.int64),
        changed=left[differ],
        attributes=names,
    )


def _numbered(codes: IntArray) -> IntArray:
    """``(n, 2)`` each code, and how many there were of it before."""
    order = np.argsort(codes, kind="stable")
    _, first, counts = np.unique(codes[order], return_index=True, return_counts=True)
    times = np.empty(len(codes), dtype=np.int64)
    times[order] = np.arange(len(codes)) - np.repeat(first, counts)
    return np.stack([codes, times], axis=1)


def _columns(
    of: str, first: dict[str, Column], second: dict[str, Column], left: IntArray, right: IntArray
) -> tuple[tuple[str, ...], BoolArray]:
    """Names of attributes that differ, and which of the rows that both have differ in one."""
    names = [f"{of}/{name}" for name in first.keys() ^ second.keys()]
    differ = np.zeros(len(left), dtype=bool)
    for name in first.keys() & second.keys():
        apart = _apart(take_column(first[name], left), take_column(second[name], right))
        if apart.any():
            names.append(f"{of}/{name}")
            differ |= apart
    return tuple(sorted(names)), differ


def _apart(one: Column, other: Column) -> BoolArray:
    """Which rows of two columns differ; NaN equals NaN, missing equals missing."""
    if same_values(one, other):
        return np.zeros(len(one), dtype=bool)
    left, right = (np.asarray(np.ma.filled(side, 0) if np.ma.isMaskedArray(side) else side) for side in (one, other))
    if left.shape != right.shape:
        return np.ones(len(left), dtype=bool)
    apart = np.asarray(left != right)
    if left.dtype.kind in "fcmM" and right.dtype.kind == left.dtype.kind:
        nothing: Any = np.isnan if left.dtype.kind in "fc" else np.isnat
        apart &= ~(nothing(left) & nothing(right))
    masks = [np.ma.getmaskarray(np.ma.asarray(side)) for side in (one, other) if isinstance(side, np.ndarray)]
    if len(masks) == 2 and masks[0].shape == apart.shape:
        apart |= masks[0] != masks[1]
    return np.asarray(apart.reshape(len(left), -1).any(axis=1))


def _by_object(first: Draft, second: Draft) -> Diff:
    """Objects by id: their vertices in any order, unless it is that of a line."""
    common = np.intersect1d(first.ids, second.ids)
    slots = [draft.slots_of(common) for draft in (first, second)]
    of_objects, differ = _columns("objects", first.object_columns, second.object_columns, slots[0], slots[1])
    codes = _shared_codes(first, second, positions=True)
    # Vertices of no object are compared as one that has the id of none, and is in no table.
    loose = [draft.owners is not None and bool((draft.owners == OWNER_NONE).any()) for draft in (first, second)]
    if any(loose) and OWNER_NONE not in common and first.kind.connects != "sequence":
        at = np.searchsorted(common, OWNER_NONE)
        common, differ = np.insert(common, at, OWNER_NONE), np.insert(differ, at, False)
    moved = _unequal(common, first, second, codes)
    shared = sorted(first.columns.keys() & second.columns.keys())
    of_vertices = [f"vertices/{name}" for name in first.columns.keys() ^ second.columns.keys()]
    for name in shared:
        values = _shared_codes(first, second, positions=True, name=name)
        other = _unequal(common, first, second, values) & ~moved
        if other.any():
            of_vertices.append(f"vertices/{name}")
            differ |= other
    linked, of_links = _links_apart(first, second, codes, common)
    names = tuple(sorted([*of_objects, *of_vertices, *of_links]))
    return Diff(
        by="object",
        added=np.setdiff1d(second.ids, first.ids),
        removed=np.setdiff1d(first.ids, second.ids),
        moved=common[moved],
        changed=common[differ | linked],
        attributes=names,
    )


def _shared_codes(first: Draft, second: Draft, *, positions: bool, name: str | None = None) -> IntArray:
    """``(n,)`` one number for each distinct vertex of both, first those of the one and then of the other."""
    parts: list[IntArray] = []
    if positions:
        both = np.concatenate([first.positions.astype("f8"), second.positions.astype("f8")])
        parts.append(np.unique(both, axis=0, return_inverse=True)[1].reshape(-1))
    if name is not None:
        parts.append(_value_codes(first.columns[name], second.columns[name]))
    stacked = np.stack(parts, axis=1)
    return np.unique(stacked, axis=0, return_inverse=True)[1].reshape(-1)


def _value_codes(one: Column, other: Column) -> IntArray:
    """``(n,)`` one number for each distinct value of two columns."""
    texts: list[AnyArray] = [
        np.asarray(np.ma.filled(side, 0) if np.ma.isMaskedArray(side) else side) for side in (one, other)
    ]
    if any(text.dtype.kind == "O" for text in texts):
        known: dict[Any, int] = {}
        return np.array([known.setdefault(value, len(known)) for text in texts for value in text.tolist()])
    flat = [text.reshape(len(text), -1) for text in texts]
    if flat[0].shape[1] != flat[1].shape[1]:
        return np.arange(len(flat[0]) + len(flat[1]))
    both = np.ascontiguousarray(np.concatenate(flat))
    return np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)


def _unequal(common: IntArray, first: Draft, second: Draft, codes: IntArray) -> BoolArray:
    """Which of the objects have not the same vertices, by their numbers."""
    apart = np.zeros(len(common), dtype=bool)
    found = []
    for draft, part in ((first, codes[: len(first)]), (second, codes[len(first) :])):
        assert draft.owners is not None
        slot = find_numbers(common, np.arange(len(common)), draft.owners)
        along = draft.along if draft.kind.connects == "sequence" else part
        rows = np.flatnonzero(slot >= 0)
        rows = rows[np.lexsort([along[rows], slot[rows]])]
        found.append((slot[rows], part[rows]))
    counts = [np.bincount(slot, minlength=len(common)) for slot, _ in found]
    apart |= counts[0] != counts[1]
    kept = [~apart[slot] for slot, _ in found]
    left, right = ((slot[keep], part[keep]) for (slot, part), keep in zip(found, kept, strict=True))
    apart[left[0][left[1] != right[1]]] = True
    return apart


def _links_apart(first: Draft, second: Draft, codes: IntArray, common: IntArray) -> tuple[BoolArray, list[str]]:
    """Objects in which an edge or face is not in the other store, and attributes of links that only one has."""
    apart = np.zeros(len(common), dtype=bool)
    if first.links is None or second.links is None:
        return apart, []
    names = [f"links/{name}" for name in first.link_columns.keys() ^ second.link_columns.keys()]
    sides = []
    for draft, part in ((first, codes[: len(first)]), (second, codes[len(first) :])):
        assert draft.owners is not None
        assert draft.links is not None
        ends = part[draft.links]
        sides.append(
            (ends if draft.kind.connects == "tree" else np.sort(ends, axis=1), draft.owners[draft.links[:, 0]])
        )
    if sides[0][0].shape[1] != sides[1][0].shape[1]:
        return ~apart, names
    shared = first.link_columns.keys() & second.link_columns.keys()
    values = {name: _value_codes(first.link_columns[name], second.link_columns[name]) for name in sorted(shared)}
    ends = np.concatenate([side[0] for side in sides])
    owners = np.concatenate([side[1] for side in sides])
    for name, column in [(None, np.zeros(len(ends), dtype=np.int64)), *values.items()]:
        keys = np.unique(np.column_stack([owners, ends, column]), axis=0, return_inverse=True)[1].reshape(-1)
        counts = [
            np.bincount(part, minlength=len(keys)) for part in (keys[: len(sides[0][0])], keys[len(sides[0][0]) :])
        ]
        odd = owners[(counts[0] != counts[1])[keys]]
        if name is not None and len(odd):
            names.append(f"links/{name}")
        apart |= np.isin(common, odd)
    return apart, names
