"""What an append means for the tables of objects and groups: decided and checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests
from zarr_vectors.exceptions import CorruptionError, InputError
from zarr_vectors.geometry import Categorical, Column, same_values
from zarr_vectors.query.tables import LevelTables, read_level_tables
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.storage.tables import read_tables
from zarr_vectors.types.append_columns import fitting_value
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.encode import Tally
from zarr_vectors.types.intake import Intake, casts_exactly
from zarr_vectors.types.objects import ObjectTables, check_tables, manifests_of, table_names, table_puts, worth_refs
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.unite import concatenate_columns
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["TableMerge", "merge_object_tables", "missing_rows", "with_more_objects"]


@dataclass(frozen=True)
class TableMerge:
    """Object and group tables after an append.

    Args:
        level: Number of the level.
        tables: Old rows first, then new ones; as they will be written.
        manifests: Old manifests, one per old row.
        old_rows: Rows of the old index.
        new_objects: Rows added.
        extended_ids: Old objects that get more rows.
        assigned: First and last id that the library gave out, or None.
        compressor: As codecs for the tables.
        with_refs: Whether to write references by column.
        owners_agree: Whether the level's fragments state the objects of the manifests, where they state any.
    """

    level: int
    tables: ObjectTables
    manifests: Blobs
    old_rows: int
    new_objects: int
    extended_ids: IntArray
    assigned: tuple[int, int] | None
    compressor: Any
    with_refs: bool = False
    owners_agree: bool = True

    @property
    def extended(self) -> int:
        """Number of old objects that get more rows."""
        return len(self.extended_ids)

    @property
    def group_count(self) -> int:
        """Groups that have members."""
        return sum(len(members) > 0 for members in self.tables.groups.values())

    def names(self, level: LevelState) -> list[str]:
        """Names below the level of every table."""
        return [*level.tables, *(table_names(self.tables, with_refs=self.with_refs) if level.has_objects else [])]

    def puts(self, tally: Tally, plan: CellPlan) -> Iterator[Put]:
        """All tables with the new references."""
        ndim = plan.vertices.ndim
        manifests = self._extended_manifests(tally, plan)
        yield from table_puts(
            self.level,
            self.tables,
            manifests,
            ndim,
            self.compressor,
            with_refs=self.with_refs,
            owners_agree=self.owners_agree,
        )

    def _extended_manifests(self, tally: Tally, plan: CellPlan) -> Blobs:
        ndim = plan.vertices.ndim
        order = np.argsort(self.tables.ids, kind="stable")
        fresh = manifests_of(self.tables.ids[order], tally.fragments(), plan)
        rows = order[fresh.objects]
        is_old = rows < self.old_rows
        old = np.unique(rows[is_old])
        manifests = self.manifests
        if len(old):
            decoded, errors = decode_manifests(manifests.take(old), ndim)
            if errors:
                raise CorruptionError("an object manifest is corrupt", cell=int(old[min(errors)]), got=str(errors))
            both = ManifestTable(
                np.concatenate([decoded.objects, np.searchsorted(old, rows[is_old])]),
                np.concatenate([decoded.chunks, fresh.chunks[is_old]]),
                np.concatenate([decoded.fragments, fresh.fragments[is_old]]),
            )
            place = np.argsort(both.objects, kind="stable")
            extended = encode_manifests(
                ManifestTable(both.objects[place], both.chunks[place], both.fragments[place]), len(old)
            )
            items: list[Any] = list(manifests.views())
            for row, item in zip(old.tolist(), extended.views(), strict=True):
                items[row] = item
            manifests = Blobs.from_list(items)
        place = np.argsort(rows[~is_old], kind="stable")
        added = ManifestTable(
            (rows[~is_old] - self.old_rows)[place], fresh.chunks[~is_old][place], fresh.fragments[~is_old][place]
        )
        return Blobs.concatenate([manifests, encode_manifests(added, self.new_objects)])


def merge_object_tables(
    storage: Storage, level: LevelState, intake: Intake, options: WriteOptions, compressor: Any
) -> TableMerge:
    """Decide which objects are new, and unite the tables.

    Raises:
        InputError: An id exists and ``extend`` is not set, or the level has rows without objects.
    """
    if not level.has_objects:
        if intake.has_objects:
            raise InputError(
                "the store's points belong to no objects, so appended ones cannot have object_ids",
                hint="leave object_ids out, or keep them as a vertex attribute",
            )
        none = ObjectTables(ids=np.zeros(0, dtype=np.int64))
        return TableMerge(level.number, none, Blobs.from_list([]), 0, 0, none.ids, None, compressor)
    old = read_level_tables(storage, level)
    (manifests,) = read_tables(storage, [(level.tables[constants.OBJECT_MANIFESTS], None)])
    assigned: tuple[int, int] | None = None
    if not intake.has_objects and intake.extent.rows:
        value = int(old.ids.max(initial=-1)) + 1
        if value > np.iinfo(np.int64).max:
            raise InputError("there is no unused object id above the largest", hint="give object_ids")
        intake.set_object_id(value)
        assigned = (value, value)
    fresh = intake.tables
    known = np.isin(fresh.ids, old.ids)
    if known.any() and not options.extend:
        raise InputError(
            "object_ids exist in the store already",
            got=f"{int(known.sum())} of {len(fresh.ids)}, the first is {int(fresh.ids[known][0])}",
            hint="use other ids, or extend=True to add these points to the existing objects",
        )
    tables = with_more_objects(old, fresh, known, options.fill)
    return TableMerge(
        level.number,
        tables,
        manifests,
        len(old.ids),
        int((~known).sum()),
        fresh.ids[known],
        assigned,
        compressor,
        with_refs=constants.FRAGMENT_REFS in level.tables or worth_refs(manifests.total),
        owners_agree=level.owners_agree,
    )


def with_more_objects(old: LevelTables, fresh: ObjectTables, known: AnyArray, fill: Mapping[str, Any]) -> ObjectTables:
    """Old rows first, then those of new objects, which are all but the ``known`` ones."""
    attributes = {
        name: _append_rows(name, column, old.ids, fresh, known, fill) for name, column in old.attributes.items()
    }
    _refuse_unknown("object attribute", fresh.attributes, old.attributes)
    groups, group_attributes = _merge_groups(old, fresh)
    ids = np.concatenate([old.ids, fresh.ids[~known]])
    tables = ObjectTables(ids=ids, attributes=attributes, groups=groups, group_attributes=group_attributes)
    check_tables(tables, fresh.groups)
    return tables


def _refuse_unknown(what: str, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    unknown = [name for name in given if name not in stored]
    if unknown:
        raise InputError(f"the store has no {what} {unknown[0]!r}", expected=f"only {sorted(stored)}")


def _append_rows(
    name: str, old: Column, old_ids: IntArray, fresh: ObjectTables, known: AnyArray, fill: Mapping[str, Any]
) -> Column:
    """The old rows of an object attribute, and those of the new objects."""
    given = fresh.attributes.get(name)
    count = int((~known).sum())
    if given is None:
        tail = missing_rows(name, old, count, fill)
    else:
        order = np.argsort(old_ids, kind="stable")
        place = order[np.searchsorted(old_ids[order], fresh.ids[known])]
        if known.any() and not same_values(np.asarray(old[place]), np.asarray(given[known])):
            raise InputError(
                f"object attribute {name!r} has other values for objects that exist",
                hint="leave it out for objects that are extended, or give the stored values",
            )
        tail = given[~known]
    return _joined("object attribute", name, old, tail)


def _joined(what: str, name: str, old: Column, tail: Column) -> Column:
    """A stored column with more rows, in its type."""
    wanted = "text" if isinstance(old, Categorical) else f"{old.dtype} of shape {old.shape[1:]}"
    if isinstance(old, Categorical) or isinstance(tail, Categorical):
        fits = isinstance(old, Categorical) and isinstance(tail, Categorical)
    else:
        fits = old.shape[1:] == tail.shape[1:] and casts_exactly(tail, old.dtype)
    if not fits:
        got = "text" if isinstance(tail, Categorical) else f"{tail.dtype} of shape {tail.shape[1:]}"
        raise InputError(f"{what} {name!r} must be {wanted}, as in the store", got=got)
    return concatenate_columns(what, name, [old, tail if isinstance(tail, Categorical) else tail.astype(old.dtype)])


def missing_rows(name: str, old: Column, count: int, fill: Mapping[str, Any]) -> Column:
    """So many rows of an object attribute that new objects lack."""
    if name in fill and isinstance(old, Categorical):
        return Categorical.from_values([fill[name]] * count, name=name)
    if name in fill and not isinstance(old, Categorical):
        return np.full((count, *old.shape[1:]), fitting_value(name, fill[name], old.dtype, old.shape[1:]))
    if isinstance(old, Categorical):
        return Categorical(np.full(count, -1), ())
    if old.dtype.kind in "fc":
        return np.full((count, *old.shape[1:]), np.nan, dtype=old.dtype)
    if old.dtype.kind in "mM":
        return np.full((count, *old.shape[1:]), "NaT", dtype=old.dtype)
    if count == 0:
        return np.zeros((0, *old.shape[1:]), dtype=old.dtype)
    raise InputError(
        f"the new objects have no object attribute {name!r}", hint=f"give it, or pass fill={{{name!r}: value}}"
    )


def _merge_groups(old: LevelTables, fresh: ObjectTables) -> tuple[dict[int, IntArray], dict[str, Column]]:
    """Members of existing groups are kept; new groups need values for every group attribute."""
    groups = dict(enumerate(old.groups.members))
    for group, members in fresh.groups.items():
        before = groups.get(group, np.zeros(0, dtype=np.int64))
        groups[group] = np.concatenate([before, members[~np.isin(members, before)]])
    count = max(groups, default=-1) + 1
    _refuse_unknown("group attribute", fresh.group_attributes, old.group_attributes)
    attributes: dict[str, Column] = {}
    for name, column in old.group_attributes.items():
        new = fresh.group_attributes.get(name)
        if count > len(column) and (new is None or len(new) < count):
            raise InputError(
                f"the new groups have no group attribute {name!r}", expected=f"a value for each of {count} groups"
            )
        if new is not None:
            told = np.array([group for group in fresh.groups if group < len(column)], dtype=np.int64)
            if not same_values(new[told], column[told]):
                raise InputError(
                    f"group attribute {name!r} has other values for groups that exist",
                    hint="give the stored values for them",
                )
        more = None if new is None or count == len(column) else new[len(column) : count]
        attributes[name] = column if more is None else _joined("group attribute", name, column, more)
    return groups, attributes
