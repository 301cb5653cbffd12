"""From a specification to bins: which coordinate each object, or each vertex, gets on the new axis."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import InputError, StoreError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.metadata.root import ChunkAxis
from zarr_vectors.query.rows import attribute_names, iter_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.tables import LevelTables
from zarr_vectors.rechunk.spec import GROUP, OBJECT_ID, SPATIAL, RechunkSpec
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, IntArray, Json

__all__ = ["Binning", "plan_bins"]

_MOST_SINGLE = 10
"""Distinct numbers of an attribute up to which each is a bin of its own without being asked for."""
_SAMPLE_VALUES = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Binning:
    """Bins on the axis before the spatial ones.

    Args:
        count: Bins; what belongs to none of them gets one more, number ``count``.
        has_axis: Whether there is such an axis at all.
        ids: ``(O,)`` ascending object ids.
        of_objects: ``(O,)`` bin of each.
        cuts: For a vertex attribute, its distinct values or the lower ends of its bins, ascending.
        attribute: The attribute, where bins are those of one.
        of: Whose attribute it is, ``"object"`` or ``"vertex"``.
        values: The value of each bin, where each has one.
        edges: The lower ends of bins, where they have some.
        in_several: Objects that belong to several bins and are in the first.
        in_none: Objects that belong to none.
        stays: Whether rows keep the coordinate that their chunks have on the axis, whatever it stands for.
    """

    count: int
    has_axis: bool = True
    ids: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    of_objects: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    cuts: AnyArray | None = None
    attribute: str | None = None
    of: str | None = None
    values: tuple[Json, ...] | None = None
    edges: tuple[Json, ...] | None = None
    in_several: int = 0
    in_none: int = 0
    stays: bool = False

    @classmethod
    def as_it_is(cls, level: LevelState) -> Binning:
        """The bins that a level has, each where it is."""
        if not level.metadata.leading_axes:
            return cls(count=0, has_axis=False)
        return cls(count=level.vertices.grid.shape[0], stays=True)

    @property
    def by_vertex(self) -> bool:
        """Whether vertices are told apart by an attribute of their own."""
        return self.of == "vertex"

    def of_owners(self, owners: IntArray) -> IntArray:
        """Bin of each object id; the one behind the last for ids that are not known."""
        if not len(self.ids):
            return np.full(len(owners), self.count, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.ids, owners), len(self.ids) - 1)
        return np.where(self.ids[place] == owners, self.of_objects[place], self.count)

    def of_values(self, column: Column) -> IntArray:
        """Bin of each value of the vertex attribute; the one behind the last for what is missing."""
        assert self.cuts is not None
        return _bins_of(column, self.cuts, exact=self.values is not None)

    def axis(self, by: str, *, extra: bool, array: Any) -> ChunkAxis:
        """What the level says of the axis.

        Args:
            extra: Whether the bin behind the last is used.
            array: Array attributes of a vertex attribute that only the chunk keys say.
        """
        said = {"by": by, "of": self.of, "edges": self.edges, "extra": extra or None, "array": array}
        return ChunkAxis.parse({key: value for key, value in said.items() if value is not None}, where="chunk_axis")


def plan_bins(storage: Storage, level: LevelState, tables: LevelTables, spec: RechunkSpec) -> Binning:
    """The bins of a level.

    Raises:
        InputError: There is no attribute of that name, or none that could be chunked by.
        StoreError: The level has no objects or no groups.
    """
    if spec.by == SPATIAL:
        return Binning(count=0, has_axis=False)
    if spec.attribute is not None:
        return _by_attribute(storage, level, tables, spec.attribute, spec)
    if not level.has_objects and constants.FRAGMENT_OWNER not in level.cells:
        raise StoreError(f"the level has no objects, so that it cannot be chunked by {spec.by}", store=level.store)
    if spec.by == GROUP:
        return _by_group(level, tables)
    assert spec.by == OBJECT_ID
    ids = np.sort(tables.ids)
    if spec.bins is None:
        return Binning(count=len(ids), ids=ids, of_objects=np.arange(len(ids), dtype=np.int64))
    edges = np.asarray(spec.bins)
    of_objects = _bins_of(ids, edges, exact=False)
    return Binning(count=len(edges), ids=ids, of_objects=of_objects, edges=tuple(edges.tolist()))


def _by_group(level: LevelState, tables: LevelTables) -> Binning:
    members = tables.groups.members
    if not members:
        raise StoreError("the level has no groups to be chunked by", store=level.store)
    ids = np.sort(tables.ids)
    group = np.repeat(np.arange(len(members)), [len(one) for one in members])
    # Sorted by object and group, each pair once: the first of an object is its first group.
    pairs = np.unique(np.stack([np.concatenate(members), group], axis=1), axis=0)
    pairs = pairs[np.isin(pairs[:, 0], ids)]
    grouped, first, times = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    of_objects = np.full(len(ids), len(members), dtype=np.int64)
    of_objects[np.searchsorted(ids, grouped)] = pairs[first, 1]
    return Binning(
        count=len(members),
        ids=ids,
        of_objects=of_objects,
        in_several=int((times > 1).sum()),
        in_none=len(ids) - len(grouped),
    )


def _by_attribute(storage: Storage, level: LevelState, tables: LevelTables, name: str, spec: RechunkSpec) -> Binning:
    if name in tables.attributes:
        column = tables.attributes[name]
        _check_column(name, column)
        cuts, exact = _cuts(name, _known_values(column), spec)
        order = np.argsort(tables.ids, kind="stable")
        of_objects = _bins_of(column, cuts, exact=exact)
        none = int((of_objects == len(cuts)).sum())
        facts: dict[str, Any] = {"ids": tables.ids[order], "of_objects": of_objects[order], "in_none": none}
        of = "object"
    elif name in attribute_names(level):
        cuts, exact = _vertex_cuts(storage, level, name, spec)
        facts, of = {"cuts": cuts}, "vertex"
    else:
        raise _unknown(level, tables, name)
    said = tuple(cuts.tolist())
    return Binning(
        count=len(cuts),
        attribute=name,
        of=of,
        values=said if exact else None,
        edges=None if exact else said,
        **facts,
    )


def _unknown(level: LevelState, tables: LevelTables, name: str) -> InputError:
    known = sorted({*tables.attributes, *attribute_names(level)})
    near = get_close_matches(name, known, n=1)
    return InputError(
        f"the level has no object or vertex attribute {name!r}",
        store=level.store,
        expected=f"one of {known}",
        hint=f"did you mean {near[0]!r}?" if near else None,
    )


def _cuts(name: str, values: AnyArray, spec: RechunkSpec) -> tuple[AnyArray, bool]:
    """Distinct values, or lower ends of bins, and which of both they are.

    Args:
        values: Of the attribute, distinct ones where it is text.
    """
    text = values.dtype.kind == "O"
    if spec.bins is not None:
        if text:
            raise InputError(f"attribute {name!r} is text, which bins cannot divide", hint="leave bins out")
        return np.asarray(spec.bins), False
    distinct = np.unique(values)
    if spec.categorical or text or len(distinct) <= _MOST_SINGLE:
        _check_finite(name, distinct)
        return distinct, True
    ends = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75]))
    _check_finite(name, ends)
    return ends, False


def _vertex_cuts(storage: Storage, level: LevelState, name: str, spec: RechunkSpec) -> tuple[AnyArray, bool]:
    """The same for a vertex attribute, of which no more than the distinct values and a sample are held."""
    step = max(1, level.metadata.vertex_count // _SAMPLE_VALUES)
    distinct: AnyArray | None = None
    sample: list[AnyArray] = []
    seen = 0
    selection = Selection(attributes=(name,), owners=False)
    for rows in iter_rows(storage, level, selection, batch_rows=_SAMPLE_VALUES):
        column = rows.columns[name]
        _check_column(name, column)
        values = _known_values(column)
        if spec.bins is not None:
            return _cuts(name, values, spec)
        distinct = np.unique(values) if distinct is None else np.union1d(distinct, values)
        if not spec.categorical and values.dtype.kind != "O":
            # One more than may be bins of their own tells as much as all of them.
            distinct = distinct[: _MOST_SINGLE + 1]
            sample.append(values[-seen % step :: step].copy())
        seen += len(values)
    assert distinct is not None
    few = len(distinct) <= _MOST_SINGLE or not sample
    return _cuts(name, distinct if few else np.concatenate(sample), spec)


def _check_column(name: str, column: Column) -> None:
    """Refuse an attribute that cannot be chunked by.

    Raises:
        InputError: Several channels, times, complex numbers, or categories of several types.
    """
    what = f"{column.dtype} of shape {column.shape}"
    if isinstance(column, Categorical):
        fits = len({str if isinstance(value, str) else float for value in column.categories}) <= 1
        what = f"categories {list(column.categories[:5])}"
    else:
        fits = len(column.shape) == 1 and column.dtype.kind in "biuf"
    if not fits:
        raise InputError(
            f"attribute {name!r} cannot be chunked by", got=what, expected="one number, boolean or text per row"
        )


def _check_finite(name: str, cuts: AnyArray) -> None:
    if cuts.dtype.kind == "f" and not np.isfinite(cuts).all():
        raise InputError(f"attribute {name!r} has infinite values, which no bin can be named by", hint="give bins")


def _known_values(column: Column) -> AnyArray:
    """The values that are not missing; of categories those that occur, each once."""
    if isinstance(column, Categorical):
        return _table(column).take(np.unique(column.codes[column.codes >= 0]))
    values: AnyArray = np.ma.getdata(column)[~np.ma.getmaskarray(column)]
    return values[~np.isnan(values)] if values.dtype.kind == "f" else values


def _table(column: Categorical) -> AnyArray:
    """The categories: text as objects, numbers as an array of them."""
    text = any(isinstance(value, str) for value in column.categories)
    table: AnyArray = np.array(column.categories, dtype=object if text or not column.categories else None)
    return table


def _bins_of(column: Column, cuts: AnyArray, *, exact: bool) -> IntArray:
    """Bins of values: of equal ones, or of those from one lower end to the next; ``len(cuts)`` for missing ones."""
    if isinstance(column, Categorical):
        of_codes = np.append(_bins_of_known(_table(column), cuts, exact=exact), len(cuts))
        return np.asarray(of_codes[column.codes], dtype=np.int64)
    values = np.ma.getdata(column)
    missing = np.ma.getmaskarray(column)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    bins = _bins_of_known(values, cuts, exact=exact)
    bins[missing] = len(cuts)
    return bins


def _bins_of_known(values: AnyArray, cuts: AnyArray, *, exact: bool) -> IntArray:
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    side: Any = "left" if exact else "right"
    found = np.searchsorted(cuts, values, side=side)
    return np.asarray(found if exact else np.maximum(found - 1, 0), dtype=np.int64)
