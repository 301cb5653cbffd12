"""The rows of one table in three states, and what becomes of each when two sides are merged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.core.merge_cells import common_rows
from zarr_vectors.core.merge_documents import conflict
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import decode_manifests
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["TableRows"]


@dataclass(frozen=True)
class _Compared:
    """Which rows are where, and which sides have put, changed or removed them.

    Args:
        keys: All keys, ascending.
        mine: Row of each key on our side, or -1.
        other: Row of each key on theirs, or -1.
        is_new: Whether the row was not there before.
        ours: Whether our side has changed it.
        theirs: Whether theirs has.
        both: Whether both have, and not to the same.
    """

    keys: IntArray
    mine: IntArray
    other: IntArray
    is_new: BoolArray
    ours: BoolArray
    theirs: BoolArray
    both: BoolArray


@dataclass(frozen=True)
class TableRows:
    """A table in the three states.

    Args:
        path: For messages.
        wanted: Keys of the merged rows.
        keys: Key of each row, before, ours and theirs.
        values: The rows, or None where a state has no such table.
    """

    path: str
    wanted: IntArray
    keys: list[IntArray]
    values: list[AnyArray | None]

    @cached_property
    def blank(self) -> AnyArray:
        """No rows, of the type that holds those of all states.

        Raises:
            ConcurrentEditError: There is none.
        """
        present = [values for values in self.values if values is not None]
        types = {values.dtype.kind if values.dtype.kind == "U" else values.dtype for values in present}
        shapes = {values.shape[1:] for values in present}
        if len(shapes) > 1 or len(types) > 1:
            raise conflict("the two sides store different types", array=self.path, got=f"{types}, rows of {shapes}")
        return np.zeros((0, *shapes.pop()), np.result_type(*present))

    @cached_property
    def compared(self) -> _Compared:
        """What has become of each row."""
        keys = np.unique(np.concatenate([self.wanted, *self.keys]))
        was, mine, other = (_places(of_side, keys) for of_side in self.keys)
        rows = [_comparable(self.blank if v is None else v, self.blank.dtype) for v in self.values]
        ours, theirs = _different(rows[0], was, rows[1], mine), _different(rows[0], was, rows[2], other)
        both = ours & theirs & _different(rows[1], mine, rows[2], other)
        return _Compared(keys, mine, other, was < 0, ours, theirs, both)

    def check_references(self, touched: tuple[IntArray, IntArray], ndim: int) -> None:
        """Refuse manifests of one side that name chunks which the other has changed.

        Raises:
            ConcurrentEditError: There is one.
        """
        compared = self.compared
        sides = ((1, compared.ours, compared.mine, touched[1]), (2, compared.theirs, compared.other, touched[0]))
        for side, changed, place, chunks in sides:
            values = self.values[side]
            if values is None:
                continue
            table, errors = decode_manifests(Blobs.from_list(values[place[changed & (place >= 0)]].tolist()), ndim)
            if errors:
                raise CorruptionError("an object manifest is corrupt", array=self.path, got=str(errors))
            bad = table.chunks[common_rows(table.chunks, chunks)]
            if len(bad):
                raise conflict(
                    "an object was changed on one side and lies in a chunk that the other side changed",
                    array=self.path,
                    cell=format_keys(bad[:1])[0],
                )

    def merged(self, *, members: bool = False) -> tuple[AnyArray, BoolArray]:
        """The merged rows, and which of them have no value on the side that made them.

        Args:
            members: Whether rows are lists of ids, of which both sides may add some.

        Raises:
            ConcurrentEditError: A row has changed on both sides.
        """
        compared = self.compared
        united = self._united(compared.keys[compared.both & ~compared.is_new]) if members else {}
        clash = compared.both & ~np.isin(compared.keys, list(united))
        if clash.any():
            raise conflict(
                "a row has changed on both sides", array=self.path, got=f"that of {int(compared.keys[clash][0])}"
            )
        at = np.searchsorted(compared.keys, self.wanted)
        mine, other = compared.mine[at], compared.other[at]
        use_theirs = (compared.theirs & ~compared.ours)[at] | (mine < 0)
        values = self._filled(len(self.wanted))
        for found, place, chosen in ((self.values[1], mine, ~use_theirs), (self.values[2], other, use_theirs)):
            if found is not None:
                fits = chosen & (place >= 0)
                values[fits] = found[place[fits]]
        for key, item in united.items():
            values[np.flatnonzero(self.wanted == key)[0]] = item
        return values, (mine < 0) & (other < 0)

    def _filled(self, rows: int) -> AnyArray:
        values = np.zeros((rows, *self.blank.shape[1:]), dtype=self.blank.dtype)
        if self.blank.dtype == object:
            values[:] = [b""] * rows
        return values

    def _united(self, keys: IntArray) -> dict[int, bytes]:
        """Groups that both sides have added members to."""
        united: dict[int, bytes] = {}
        for key in keys.tolist():
            before, mine, other = (self._members(side, key) for side in range(3))
            if np.isin(before, mine).all() and np.isin(before, other).all():
                united[key] = np.concatenate([mine, other[~np.isin(other, mine)]]).astype("<i8").tobytes()
        return united

    def _members(self, side: int, key: int) -> IntArray:
        values, place = self.values[side], _places(self.keys[side], np.array([key]))[0]
        data = b"" if values is None or place < 0 else values[place]
        return np.frombuffer(data, dtype="<i8").astype(np.int64)


def _places(keys: IntArray, wanted: IntArray) -> IntArray:
    """``(n,)`` the row of each wanted key, or -1."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    rows: IntArray = order[at]
    return np.where(keys[rows] == wanted, rows, -1)


def _comparable(values: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """One element for each row; bytes, so that NaN equals NaN."""
    if dtype.kind == "O":
        return values
    whole = np.dtype((np.void, max(1, dtype.itemsize * int(np.prod(values.shape[1:])))))
    if not values.size or not dtype.itemsize:
        return np.zeros(len(values), dtype=whole)
    return np.ascontiguousarray(values, dtype=dtype).reshape(len(values), -1).view(whole).reshape(len(values))


def _different(left: AnyArray, at: IntArray, right: AnyArray, other: IntArray) -> BoolArray:
    """``(n,)`` whether a row is there in one state only, or is not the same."""
    differs: BoolArray = (at < 0) != (other < 0)
    both = np.flatnonzero((at >= 0) & (other >= 0))
    differs[both] = np.asarray(left[at[both]] != right[other[both]], dtype=bool)
    return differs
