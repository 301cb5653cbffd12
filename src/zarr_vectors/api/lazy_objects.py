"""The objects and lines of a level, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.api.readable import (
    BLOCK_ROWS,
    ReadableLevel,
    block_begins,
    dask_array,
    dask_delayed,
    of_one_state,
    position_dtype,
)
from zarr_vectors.exceptions import InputError, ObjectNotFoundError
from zarr_vectors.geometry import Polylines, as_ids
from zarr_vectors.query.objects import ObjectRefs, all_refs, read_ids, refs_of
from zarr_vectors.query.sizes import object_sizes
from zarr_vectors.query.values import find_rows
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["LazyLine", "LazyLines", "LazyObjectIndex"]


class LazyObjectIndex(Mapping[int, "list[tuple[tuple[int, ...], int]]"]):
    """Which fragments each object consists of: object id to ``[(chunk, fragment), ...]``, in their order.

    Example:
        >>> import zarr_vectors as zv
        >>> lines = zv.Polylines([[[0.0, 1.0], [5.0, 2.0]], [[6.0, 2.5]]], ids=[7, 9])
        >>> _ = zv.write("memory://index-doc", lines, layout=zv.Layout(chunk_shape=4))
        >>> index = zv.open("memory://index-doc")[0].object_index
        >>> len(index), index[7]
        (2, [((0, 0), 0), ((1, 0), 0)])
    """

    def __init__(self, level: ReadableLevel) -> None:
        self._level = level

    @cached_property
    def object_ids(self) -> IntArray:
        """``(O,)`` object ids."""
        if not self._level.state.has_objects:
            return np.zeros(0, dtype=np.int64)
        return of_one_state(self._level, lambda: read_ids(self._level.storage, self._level.state))

    @property
    def object_count(self) -> int:
        """Number of objects."""
        return self._level.state.object_slots

    def __len__(self) -> int:
        return self.object_count

    def __iter__(self) -> Iterator[int]:
        return iter(self.object_ids.tolist())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, (int, np.integer)) and bool((self.object_ids == key).any())

    def __getitem__(self, key: int) -> list[tuple[tuple[int, ...], int]]:
        if not self._level.state.has_objects:
            raise ObjectNotFoundError("the level has no objects", store=self._level.storage.url)
        ids = as_ids("object id", [key])
        must_exist = np.ones(1, dtype=bool)
        found = of_one_state(self._level, lambda: refs_of(self._level.storage, self._level.state, ids, must_exist))
        return _references(found)[0]

    def compute(self) -> dict[int, list[tuple[tuple[int, ...], int]]]:
        """Read the fragments of all objects."""
        if not self._level.state.has_objects:
            return {}
        ids, refs = self._all()
        return dict(zip(ids.tolist(), _references(refs), strict=True))

    def _all(self) -> tuple[IntArray, ObjectRefs]:
        return of_one_state(self._level, lambda: all_refs(self._level.storage, self._level.state))

    def _table(self) -> AnyArray:
        """``(M, K + 2)`` object id, chunk and fragment of each reference."""
        if not self._level.state.has_objects:
            return np.zeros((0, self._level.state.vertices.ndim + 2), dtype=np.int64)
        _, refs = self._all()
        return np.concatenate([refs.ids[:, None], refs.chunks, refs.fragments[:, None]], axis=1)

    def to_dask(self) -> Any:
        """A dask array ``(M, K + 2)`` of int64: object id, chunk and fragment of each part; M is not known before.

        Raises:
            MissingDependencyError: dask is not installed.
        """
        array = dask_array()
        shape = (np.nan, self._level.state.vertices.ndim + 2)
        return array.from_delayed(dask_delayed(self._table)(), shape=shape, dtype=np.int64)

    def __repr__(self) -> str:
        return f"LazyObjectIndex({self.object_count} objects)"


def _references(refs: ObjectRefs) -> list[list[tuple[tuple[int, ...], int]]]:
    """Chunk and fragment of each reference, object by object."""
    pairs = list(zip(map(tuple, refs.chunks.tolist()), refs.fragments.tolist(), strict=True))
    ends = np.cumsum(np.bincount(refs.numbers, minlength=len(refs.asked))).tolist()
    return [pairs[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class LazyLines(Mapping[int, "LazyLine"]):
    """The lines of a level by object id; nothing is read until they are computed.

    Example:
        >>> import zarr_vectors as zv
        >>> lines = zv.Polylines([[[0.0, 1.0], [5.0, 2.0]], [[6.0, 2.5]]], ids=[7, 9])
        >>> _ = zv.write("memory://lazy-lines-doc", lines, layout=zv.Layout(chunk_shape=4))
        >>> found = zv.open("memory://lazy-lines-doc")[0].polylines
        >>> found.count, found[7].compute().tolist(), [len(line) for line in found.compute()]
        (2, [[0.0, 1.0], [5.0, 2.0]], [2, 1])
    """

    def __init__(self, level: ReadableLevel, ids: IntArray | None = None) -> None:
        if level.kind.connects != "sequence":
            raise InputError(
                f"the level holds a {level.kind.geometry_type}, which has no lines", store=level.storage.url
            )
        self._level = level
        self._ids = ids

    @cached_property
    def object_ids(self) -> IntArray:
        """``(P,)`` object id of each line, in the order in which ``compute`` brings them."""
        return LazyObjectIndex(self._level).object_ids if self._ids is None else self._ids

    @property
    def count(self) -> int:
        """Number of lines."""
        return self._level.state.object_slots if self._ids is None else len(self._ids)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(self.object_ids.tolist())

    def __getitem__(self, key: int) -> LazyLine:
        one = as_ids("object id", [key])
        if self._ids is not None and one[0] not in self._ids:
            raise ObjectNotFoundError(f"object {key} is not among these lines", store=self._level.storage.url)
        return LazyLine(self._level, int(one[0]))

    def filter(self, *, object_ids: Any) -> LazyLines:
        """These lines, in this order."""
        ids = as_ids("object_ids", np.atleast_1d(object_ids))
        if self._ids is not None:
            ids = ids[np.isin(ids, self._ids)]
        return LazyLines(self._level, ids)

    def compute(self) -> list[AnyArray]:
        """Read the ``(n, D)`` positions of all lines, in the order of ``object_ids``."""
        return _lines_of(self._level, self.object_ids)

    def to_dask(self, block_rows: int = BLOCK_ROWS) -> dict[int, Any]:
        """A dask array ``(n, D)`` for each object id; lines that lie in one block are read together.

        Raises:
            MissingDependencyError: dask is not installed.
        """
        array, read = dask_array(), dask_delayed(_lines_of)
        known, sizes = object_sizes(self._level.storage, self._level.state)
        ids = self.object_ids
        place = find_rows(known[:, None], ids[:, None])
        if (place < 0).any():
            raise ObjectNotFoundError(f"the level has no object {ids[place < 0][0]}", store=self._level.storage.url)
        lengths = sizes[place]
        dtype, ndim = position_dtype(self._level), len(self._level.root.axes)
        found: dict[int, Any] = {}
        for part in np.split(np.arange(len(ids)), block_begins(lengths, block_rows)[1:]):
            lines = read(self._level, ids[part])
            for number, at in enumerate(part.tolist()):
                shape = (int(lengths[at]), ndim)
                found[int(ids[at])] = array.from_delayed(lines[number], shape=shape, dtype=dtype)
        return found

    def __repr__(self) -> str:
        return f"LazyLines({self.count} lines)"


@dataclass(frozen=True)
class LazyLine:
    """One line.

    Args:
        level: The level.
        object_id: Which.
    """

    level: ReadableLevel
    object_id: int

    def compute(self) -> AnyArray:
        """Read its ``(n, D)`` positions."""
        return _lines_of(self.level, np.array([self.object_id]))[0]

    def to_dask(self) -> Any:
        """A dask array of its positions."""
        return LazyLines(self.level, np.array([self.object_id])).to_dask()[self.object_id]


def _lines_of(level: ReadableLevel, ids: IntArray) -> list[AnyArray]:
    if not len(ids):
        return []
    value = level.read(object_ids=ids, attributes=())
    assert isinstance(value, Polylines)
    return list(value.lines())
