"""Taking down what is to be done, checked as far as it can be without reading vertices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.edit.checks import check_editable, has_owners
from zarr_vectors.edit.draft import NONE
from zarr_vectors.edit.log import EditOptions, apply_edits
from zarr_vectors.edit.operations import AddRows, Operation, Remove, SetObjectAttribute, Update
from zarr_vectors.edit.structure import AddAttribute, AddLinks, Drop, Ends, Merge, Of, RemoveLinks, Rename, Split
from zarr_vectors.edit.values import as_given, in_bounds, rounded
from zarr_vectors.edit.which import Opened, Which
from zarr_vectors.exceptions import ConventionError, InputError
from zarr_vectors.geometry import Column, Geometry, Lines, as_ids
from zarr_vectors.geometry.arrays import as_array, as_positions
from zarr_vectors.query.objects import read_ids
from zarr_vectors.query.selection import Selection, choose_names
from zarr_vectors.query.where import conditions_of, resolve
from zarr_vectors.spatial.area import areas_of
from zarr_vectors.types.appended import as_value, ids_of, with_owner
from zarr_vectors.types.check import check_value, check_vertex_attribute_name
from zarr_vectors.types.conventions import check_ids
from zarr_vectors.types.kinds import kind_of_value
from zarr_vectors.types.objects import as_stored_column
from zarr_vectors.types.options import WriteOptions, as_bounds
from zarr_vectors.types.table import check_attribute_name, check_column
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Recorder"]

_WHAT = {"vertices": "vertex attribute", "objects": "object attribute", "links": "link attribute"}


@dataclass
class Recorder:
    """Operations in the order in which they are to be done.

    Args:
        opened: The store.
        options: How to edit.
    """

    opened: Opened
    options: EditOptions
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.level.refuse_composite()
        check_editable(self.opened.storage, self.opened.root, self.level, self.opened.kind)
        links = {} if self.level.links is None else self.level.links.columns
        self._names: dict[str, list[str]] = {
            "vertices": [name for name in self.level.row_columns if name not in self.level.own_columns],
            "objects": list(self.level.object_columns),
            "links": list(links),
        }
        self._added_ids, self._removed_ids = NONE, NONE

    @property
    def level(self) -> LevelState:
        """The level that is edited."""
        return self.opened.level

    @property
    def ids(self) -> IntArray:
        """Ids of the objects, as the operations so far leave them."""
        known = np.concatenate([self._stored_ids, self._added_ids])
        return known[~np.isin(known, self._removed_ids)]

    @cached_property
    def _stored_ids(self) -> IntArray:
        return read_ids(self.opened.storage, self.level) if self.level.has_objects else NONE

    def commit(self) -> None:
        """Do all of it, or nothing."""
        if self.level.has_objects:
            check_ids(self.opened.root.metadata, self.ids, self.opened.storage.url)
        apply_edits(self.opened, self.operations, self.options)

    def update(self, which: Which, positions: Any, shift: Any, attributes: Any) -> None:
        """Note other positions, or values of attributes."""
        columns = self._given("vertices", attributes)
        placed = None if positions is None else self._positions(positions)
        if which.vertices is not None or which.row_ids is not None:
            named = which.vertices if which.vertices is not None else which.row_ids
            assert named is not None
            if placed is not None and len(placed) != len(named):
                raise InputError("positions must have a row for each vertex", expected=len(named), got=len(placed))
        moved = None if shift is None else self._shift(shift)
        if placed is None and moved is None and not columns:
            raise InputError("nothing is to be changed", hint="give positions or attributes")
        policy = self.options.out_of_bounds
        self.operations.append(
            Update(which=which, positions=placed, shift=moved, attributes=columns, out_of_bounds=policy)
        )

    def remove(self, which: Which, *, whole: bool) -> None:
        """Note vertices or objects that are to go."""
        if not whole and self.opened.kind.value is Lines:
            raise InputError("a straight line cannot lose an end", hint="remove whole lines, by object_ids")
        self.operations.append(Remove(which=which, whole=whole))
        if whole and which.objects is not None:
            self._removed_ids = np.concatenate([self._removed_ids, which.objects])
            self._added_ids = self._added_ids[~np.isin(self._added_ids, which.objects)]

    def add(self, value: Any, object_ids: Any, *, extend: bool) -> IntArray:
        """Note vertices that are to be added; ids of their objects."""
        value = self._value(value, object_ids)
        kind = kind_of_value(value)
        if kind.family != self.opened.kind.family:
            raise ConventionError(
                f"a {kind.geometry_type} cannot be added to this store",
                store=self.level.store,
                got=f"it holds {self.opened.kind.geometry_type}",
            )
        self._check_columns("vertices", value.attributes)
        self._check_columns("objects", value.object_attributes)
        links = getattr(value, "link_attributes", None)
        self._check_columns("links", {} if links is None else links)
        check_value(value, kind, WriteOptions(mode="append"), takes_row_id=self.level.takes_row_id)
        value = replace(value, positions=self._positions(value.positions), axes=None)
        ids = ids_of(value) if value.has_objects else NONE
        known = np.isin(ids, self.ids)
        if known.any() and not extend:
            raise InputError(
                "object_ids exist already",
                got=int(ids[known][0]),
                hint="use other ids, or extend=True to add vertices to these objects",
            )
        self._added_ids = np.concatenate([self._added_ids, ids[~known]])
        self._removed_ids = self._removed_ids[~np.isin(self._removed_ids, ids)]
        self.operations.append(AddRows(value=value, fill=dict(self.options.fill), extend=extend))
        return ids

    def _value(self, value: Any, object_ids: Any) -> Geometry:
        first = int(self._every_id.max(initial=-1)) + 1 if has_owners(self.level) else None
        if not isinstance(value, Geometry):
            value = as_value(value, object_ids, self.level, self.opened.kind, first)
        elif object_ids is not None:
            raise InputError("object_ids go with bare positions; a value has its own")
        if first is None and value.has_objects:
            raise InputError("the level has no objects", hint="leave object_ids out")
        return value if first is None else with_owner(value, first)

    @property
    def _every_id(self) -> IntArray:
        return np.concatenate([self._stored_ids, self._added_ids])

    def set_object_attribute(self, name: Any, values: Any, object_ids: Any) -> None:
        """Note values of an attribute of objects."""
        self._check_name("objects", name)
        ids: IntArray | None = None
        if isinstance(values, Mapping):
            if object_ids is not None:
                raise InputError("object_ids are the keys of values already")
            ids, values = as_ids("object ids", list(values)), list(values.values())
        elif object_ids is not None:
            ids = as_ids("object_ids", np.atleast_1d(object_ids))
        column = as_given("object attribute", name, values)
        if ids is not None:
            Which(objects=ids).check(self.ids)
        count = len(self.ids) if ids is None else len(ids)
        if len(column) not in (1, count) and column.shape != self.level.object_columns[name].row_shape:
            raise InputError(f"object attribute {name!r} must have a value for each", expected=count, got=len(column))
        self.operations.append(SetObjectAttribute(name=name, column=column, ids=ids))

    def add_attribute(self, of: Of, name: Any, values: Any, fill: Any) -> None:
        """Note a new attribute."""
        what = self._of(of)
        check_attribute_name(name, what)
        if name in self._names[of]:
            raise InputError(f"{what} {name!r} exists already", hint="set_attribute changes its values")
        _check_free(of, name)
        ids: IntArray | None = None
        if isinstance(values, Mapping) and of == "objects":
            ids, values = as_ids("object ids", list(values)), list(values.values())
            Which(objects=ids).check(self.ids)
        if values is None and fill is None:
            raise InputError(f"{what} {name!r} needs values, or a fill")
        column = as_given(what, name, fill if values is None else values)
        if of == "objects":
            as_stored_column(name, column)
        else:
            check_column(name, column)
        filled = dict(self.options.fill) if fill is None else {**self.options.fill, name: fill}
        self.operations.append(AddAttribute(of=of, name=name, column=column, ids=ids, fill=filled))
        self._names[of].append(name)

    def drop_attribute(self, of: Of, name: Any) -> None:
        """Note an attribute that is to go."""
        self._check_name(of, name)
        self.operations.append(Drop(of, name))
        self._names[of].remove(name)

    def rename(self, of: Of, old: Any, new: Any) -> None:
        """Note another name."""
        self._check_name(of, old)
        check_attribute_name(new, self._of(of))
        if new in self._names[of]:
            raise InputError(f"{self._of(of)} {new!r} exists already")
        _check_free(of, new)
        self.operations.append(Rename(of, old, new))
        self._names[of][self._names[of].index(old)] = new

    def add_links(self, ends: Ends, attributes: Any) -> None:
        """Note links that are to be added."""
        self._check_ends(ends)
        given = self._given("links", attributes)
        count = len(ends.row_ids if ends.vertices is None else ends.vertices)  # type: ignore[arg-type]
        for name, column in given.items():
            if len(column) != count:
                raise InputError(f"link attribute {name!r} must have a value for each", expected=count, got=len(column))
        self.operations.append(AddLinks(ends=ends, attributes=given, fill=dict(self.options.fill)))

    def remove_links(self, ends: Ends) -> None:
        """Note links that are to go."""
        self._check_ends(ends)
        self.operations.append(RemoveLinks(ends=ends))

    def split(self, source: Any, at: Any, new_ids: Any) -> IntArray:
        """Note an object that becomes several; the new ids."""
        source = int(self._named_objects([source])[0])
        self._refuse_straight("split")
        places = np.unique(as_ids("at", np.atleast_1d(at)))
        if not len(places) or int(places[0]) < 0:
            raise InputError("at must name vertices of the object, from 0", got=repr(at))
        if new_ids is None:
            new = int(self._every_id.max(initial=-1)) + 1 + np.arange(len(places), dtype=np.int64)
        else:
            new = as_ids("new_ids", np.atleast_1d(new_ids), len(places))
        taken = new[np.isin(new, self._every_id)]
        if len(taken) or len(np.unique(new)) != len(new):
            raise InputError("new_ids must be ids that no object has", got=new.tolist())
        self.operations.append(Split(source=source, at=places, ids=new))
        self._added_ids = np.concatenate([self._added_ids, new])
        return new

    def merge(self, objects: Any, into: Any) -> int:
        """Note objects that become one; its id."""
        ids = self._named_objects(objects)
        self._refuse_straight("merge")
        if len(ids) < 2 or len(np.unique(ids)) != len(ids):
            raise InputError("objects must be ids of at least two different objects", got=ids.tolist())
        stays = int(ids[0]) if into is None else into
        if stays not in ids.tolist():
            raise InputError("into must be one of the objects", got=repr(into), expected=f"one of {ids.tolist()}")
        self.operations.append(Merge(ids=ids, into=int(stays)))
        gone = ids[ids != int(stays)]
        self._removed_ids = np.concatenate([self._removed_ids, gone])
        self._added_ids = self._added_ids[~np.isin(self._added_ids, gone)]
        return int(stays)

    def which(self, *, vertices: Any = None, row_ids: Any = None, **select: Any) -> tuple[Which, bool]:
        """Vertices by what a user named them, and whether whole objects are meant.

        Args:
            vertices: ``(n, 2)`` objects and places, or ids of whole objects.
            row_ids: Row ids.
            select: What ``level.read`` takes: object_ids, group_ids, bbox, where, near, within and mode.
        """
        asked = {name: given for name, given in select.items() if given is not None and name != "mode"}
        ways = [vertices is not None, row_ids is not None, bool(asked)]
        if sum(ways) > 1:
            raise InputError("vertices are named in two ways", hint="give ids, row_ids or a selection")
        if vertices is not None:
            return self._by_address(vertices)
        if row_ids is not None:
            return Which(row_ids=self._row_ids(row_ids)), False
        if asked.keys() == {"object_ids"}:
            return Which(objects=self._named_objects(asked["object_ids"])), True
        if asked:
            return self._selected(asked, select.get("mode"))
        return Which(), False

    def _by_address(self, given: Any) -> tuple[Which, bool]:
        array = as_array("ids", given)
        if array.ndim < 2:
            return Which(objects=self._named_objects(given)), True
        if array.ndim != 2 or array.shape[1] != 2:
            raise InputError("ids must be object ids, or (n, 2) objects and places in them", got=f"shape {array.shape}")
        which = Which(vertices=as_ids("ids", array.reshape(-1)).reshape(-1, 2))
        which.check(np.concatenate([self._every_id, self._removed_ids]))
        return which, False

    def _row_ids(self, given: Any) -> IntArray:
        ids = as_ids("row_ids", np.atleast_1d(given))
        if not self.level.keeps_row_ids:
            raise InputError(
                "the store keeps no row ids",
                store=self.level.store,
                hint="write it with Layout(keep_order=True), or name objects and places in them",
            )
        return ids

    def _selected(self, asked: dict[str, Any], mode: str | None) -> tuple[Which, bool]:
        opened, conditions = self.opened, conditions_of(asked.pop("where", None))
        if mode == "clip":
            raise InputError("mode must be 'vertices' or 'objects' here", got=repr(mode))
        axes = [axis.name for axis in opened.root.axes]
        areas = areas_of(asked.pop("near", None), asked.pop("within", None), axes)
        selection = Selection.of(axes, areas=areas, attributes=(), **asked)
        if conditions is not None:
            selection = resolve(opened.storage, self.level, replace(selection, where=conditions))
        used = opened.kind.mode if mode is None else mode
        whole = used == "objects" if selection.places_asked else selection.by_object
        whole = whole and has_owners(self.level) and selection.rows_meet is None and selection.link_condition is None
        return Which(selection=selection, mode=mode), whole

    def _named_objects(self, given: Any) -> IntArray:
        ids = as_ids("object ids", np.atleast_1d(given))
        if not has_owners(self.level):
            raise InputError("the level has no objects", store=self.level.store)
        Which(objects=ids).check(self.ids)
        return ids

    def _positions(self, given: Any) -> AnyArray:
        root = self.opened.root
        positions = rounded(as_positions(given), self.level.position_dtype, root.metadata.ndim)
        in_bounds(
            positions, as_bounds(root.metadata.bounds, root.metadata.ndim), self.options.out_of_bounds, self.level.store
        )
        return positions

    def _shift(self, given: Any) -> AnyArray:
        shift = np.atleast_1d(as_array("by", given))
        ndim = self.opened.root.metadata.ndim
        if shift.shape != (ndim,) or shift.dtype.kind not in "fiu" or not np.isfinite(shift).all():
            raise InputError(f"by must be {ndim} finite numbers", got=repr(given))
        return shift

    def _given(self, of: Of, attributes: Any) -> dict[str, Column]:
        if attributes is None:
            return {}
        if not isinstance(attributes, Mapping):
            raise InputError("attributes must be {name: values}", got=type(attributes).__name__)
        for name in attributes:
            self._check_name(of, name)
        return {name: as_given(_WHAT[of], name, values) for name, values in attributes.items()}

    def _check_columns(self, of: Of, columns: Mapping[str, Column]) -> None:
        for name in columns:
            self._check_name(of, name)

    def _check_name(self, of: Of, name: Any) -> None:
        choose_names(
            [name], self._names[of if of in self._names else "vertices"], store=self.level.store, what=self._of(of)
        )

    @staticmethod
    def _of(of: str) -> str:
        if of not in _WHAT:
            raise InputError("of is not known", got=repr(of), expected=f"one of {', '.join(_WHAT)}")
        return _WHAT[of]

    def _check_ends(self, ends: Ends) -> None:
        kind = self.opened.kind
        if kind.connects not in ("tree", "links"):
            raise InputError(f"a {kind.geometry_type} has no edges or faces", store=self.level.store)
        family = self.level.links
        width = 2 if kind.connects == "tree" or family is None else family.width
        if family is not None and ends.width != width:
            raise InputError("links must name as many vertices as those of the store", expected=width, got=ends.width)
        if ends.vertices is not None:
            Which(vertices=ends.vertices.reshape(-1, 2)).check(np.concatenate([self._every_id, self._removed_ids]))

    def ends(self, given: Any, row_ids: Any) -> Ends:
        """Ends of links by what a user named them."""
        if (given is None) == (row_ids is None):
            raise InputError("links are named by (object, place) of their ends, or by row_ids")
        if given is None:
            array = as_array("row_ids", row_ids)
            if array.ndim != 2:
                raise InputError("row_ids must be an (n, L) array", got=f"shape {array.shape}")
            return Ends(row_ids=self._row_ids(array.reshape(-1)).reshape(array.shape))
        array = as_array("links", given)
        if array.ndim != 3 or array.shape[2] != 2:
            raise InputError("links must be an (n, L, 2) array of objects and places", got=f"shape {array.shape}")
        return Ends(vertices=as_ids("links", array.reshape(-1)).reshape(array.shape))

    def _refuse_straight(self, verb: str) -> None:
        if self.opened.kind.value is Lines:
            raise InputError(f"straight lines cannot be {verb}", hint="they have two ends each")


def _check_free(of: Of, name: str) -> None:
    """Refuse a new name that the library keeps for itself."""
    if of == "vertices":
        check_vertex_attribute_name(name)
