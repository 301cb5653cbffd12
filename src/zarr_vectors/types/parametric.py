"""Parametric objects: shapes told by a few numbers, kept under ``/parametric`` beside whatever else a store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.opening import store_shell
from zarr_vectors.core.parametric import BUILTIN_TYPES, ParametricTypeDef, types_json
from zarr_vectors.core.state import open_root
from zarr_vectors.exceptions import InputError, StoreExistsError
from zarr_vectors.geometry import as_column
from zarr_vectors.geometry.arrays import as_ids
from zarr_vectors.storage.storage import Batch, Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.types.facade import read_alone, refuse
from zarr_vectors.types.objects import as_stored_column
from zarr_vectors.types.parametric_tables import ParametricTables, parametric_puts, read_tables_of
from zarr_vectors.types.table import check_attribute_name

__all__ = [
    "ParametricTables",
    "ParametricTypeDef",
    "read_parametric_objects",
    "read_parametric_tables",
    "write_parametric_objects",
]

_MODES = ("create", "append", "replace")
_DEFAULT_STORE = {"bounds": ([0, 0, 0], [1000, 1000, 1000]), "geometry_types": ["point_cloud"]}


def write_parametric_objects(
    store_path: StoreLike,
    objects: Sequence[Mapping[str, Any]],
    *,
    object_attributes: Mapping[str, Any] | None = None,
    groups: Mapping[int, Any] | None = None,
    group_attributes: Mapping[str, Any] | None = None,
    custom_types: Sequence[ParametricTypeDef] | None = None,
    create_new_store: bool = False,
    store_kwargs: Mapping[str, Any] | None = None,
    backend: str | None = None,
    mode: str = "create",
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write parametric objects into a store of any kind, as one commit.

    Args:
        store_path: A path, a URL, or an open zarr store.
        objects: Mappings with ``type``, ``coefficients`` and, if wanted, ``name``.
        object_attributes: A row for each object.
        groups: ``{group id: rows of objects}``.
        group_attributes: A row for each group id from 0.
        custom_types: Types besides plane, line and sphere.
        create_new_store: Make the store, which must not exist.
        store_kwargs: For ``create_store``, with ``create_new_store``.
        mode: What to do where the store has parametric objects: ``"create"`` refuses, ``"append"`` adds these,
            ``"replace"`` puts these in their place.

    Returns:
        ``object_count`` and ``type_counts``.

    Raises:
        InputError: An object, a type or a table cannot be used; nothing was written.
        StoreExistsError: There are parametric objects, and ``mode`` does not say what to do with them.
        StoreNotFoundError: There is no store, and none is to be made.

    Example:
        >>> floor = {"type": "plane", "coefficients": [0, 0, 1, -5], "name": "floor"}
        >>> write_parametric_objects("memory://parametric-doc", [floor], create_new_store=True)
        {'object_count': 1, 'type_counts': {'plane': 1}}
        >>> read_parametric_objects("memory://parametric-doc")[0]["coefficients"]
        [0.0, 0.0, 1.0, -5.0]
    """
    refuse("backend", None if backend == "local" else backend, "the URL's scheme, or storage_options, decides")
    if mode not in _MODES:
        raise InputError("mode is not known", got=repr(mode), expected=f"one of {', '.join(_MODES)}")
    storage = Storage(open_backend(store_path, storage_options=storage_options))
    given = {"attributes": object_attributes, "groups": groups, "group_attributes": group_attributes}
    if create_new_store:
        fresh = _checked(objects, _types((), custom_types), given)
        puts, root = store_shell(storage.name, {**_DEFAULT_STORE, **(store_kwargs or {})})
        storage.commit(Batch(puts=[*puts, *parametric_puts(fresh)], root=lambda: root, must_be_new=True))
        return _counts(fresh)
    with storage.lock():
        document = open_root(storage)[0].document
        old = read_tables_of(storage)
        fresh = _checked(objects, _types(old.types, custom_types), given)
        if len(old) and mode == "create":
            raise StoreExistsError(
                "the store has parametric objects", store=storage.url, hint="use mode='append' or mode='replace'"
            )
        tables = _joined(old, fresh) if len(old) and mode == "append" else fresh
        puts = list(parametric_puts(tables))
        kept = {path for path, _ in puts}
        gone = [key for key in storage.list_keys(constants.PARAMETRIC, recursive=True) if key not in kept]
        storage.commit(Batch(puts=puts, root=lambda: document, deletes=gone))
    return _counts(fresh)


def read_parametric_objects(
    store_path: StoreLike, *, backend: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The parametric objects of a store; an empty list where it has none.

    Returns:
        For each object ``type``, ``type_id``, ``coefficients``, ``coefficient_names`` and ``name``.

    Example:
        >>> ball = {"type": "sphere", "coefficients": [1, 2, 3, 4]}
        >>> _ = write_parametric_objects("memory://parametric-doc-2", [ball], create_new_store=True)
        >>> read_parametric_objects("memory://parametric-doc-2")[0]["name"]
        'sphere_0'
    """
    refuse("backend", None if backend == "local" else backend, "the URL's scheme, or storage_options, decides")
    return read_parametric_tables(store_path, storage_options=storage_options).as_dicts()


def read_parametric_tables(
    store_path: StoreLike, *, storage_options: Mapping[str, Any] | None = None
) -> ParametricTables:
    """The parametric objects of a store with their attributes and groups.

    Raises:
        CorruptionError: A table cannot be read, or tables differ in length.
        ConcurrentEditError: Others have changed the store while it was read, and again while it was read once more.

    Example:
        >>> ball = {"type": "sphere", "coefficients": [1, 2, 3, 4]}
        >>> _ = write_parametric_objects("memory://parametric-doc-3", [ball], groups={0: [0]}, create_new_store=True)
        >>> read_parametric_tables("memory://parametric-doc-3").groups[0].tolist()
        [0]
    """
    storage = Storage(open_backend(store_path, read_only=True, storage_options=storage_options))

    def read() -> ParametricTables:
        open_root(storage)
        return read_tables_of(storage)

    return read_alone(storage, read)


def _types(
    old: Sequence[ParametricTypeDef], custom: Sequence[ParametricTypeDef] | None
) -> tuple[ParametricTypeDef, ...]:
    """Known types: those of the store, or else the built-in ones, and new ones."""
    types = {entry.type_id: entry for entry in (old or BUILTIN_TYPES)}
    given: Sequence[Any] = custom or ()
    for entry in given:
        if not isinstance(entry, ParametricTypeDef):
            raise InputError("custom_types must be ParametricTypeDef values", got=type(entry).__name__)
        known = types.setdefault(entry.type_id, entry)
        if known != entry:
            raise InputError(f"type id {entry.type_id} is taken by {known.name!r}", hint="choose another id")
    types_json(types.values())
    return tuple(types.values())


def _checked(
    objects: Sequence[Mapping[str, Any]], types: tuple[ParametricTypeDef, ...], given: Mapping[str, Any]
) -> ParametricTables:
    by_name = {entry.name: entry for entry in types}
    ids, numbers, names = [], [], []
    listed: Sequence[Any] = objects
    for row, entry in enumerate(listed):
        if not isinstance(entry, Mapping) or not {"type", "coefficients"} <= set(entry):
            raise InputError("a parametric object must have a type and coefficients", got=f"{entry!r} in row {row}")
        if entry["type"] not in by_name:
            raise InputError(
                "the type of a parametric object is not known",
                got=f"{entry['type']!r} in row {row}",
                expected=f"one of {', '.join(by_name)}",
                hint="give custom_types",
            )
        definition = by_name[entry["type"]]
        ids.append(definition.type_id)
        numbers.append(_coefficients(entry["coefficients"], definition, row))
        name = entry.get("name", f"{definition.name}_{row}")
        if not isinstance(name, str):
            raise InputError("the name of a parametric object must be text", got=f"{name!r} in row {row}")
        names.append(name)
    rows = len(ids)
    attributes = {
        name: as_column(name, values, rows, what="object attribute")
        for name, values in (given["attributes"] or {}).items()
    }
    groups = {int(group): as_ids(f"groups[{group!r}]", members) for group, members in (given["groups"] or {}).items()}
    for group, members in groups.items():
        if group < 0 or ((members < 0) | (members >= rows)).any():
            raise InputError(f"group {group} names a parametric object that there is not", got=members.tolist()[:5])
    count = max(groups, default=-1) + 1
    group_attributes = {
        name: as_column(name, values, count, what="group attribute")
        for name, values in (given["group_attributes"] or {}).items()
    }
    for name, column in {**attributes, **group_attributes}.items():
        check_attribute_name(name)
        as_stored_column(name, column)
    return ParametricTables(
        types=types,
        type_ids=np.array(ids, dtype=np.int64),
        coefficients=tuple(numbers),
        names=tuple(names),
        attributes=attributes,
        groups=groups,
        group_attributes=group_attributes,
    )


def _coefficients(value: Any, definition: ParametricTypeDef, row: int) -> tuple[float, ...]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.shape != (len(definition.names),):
        raise InputError(
            f"a {definition.name} must have {len(definition.names)} numbers {list(definition.names)}",
            got=f"{value!r} in row {row}",
        )
    if not np.isfinite(array).all():
        raise InputError("coefficients must be finite", got=f"{value!r} in row {row}")
    return tuple(array.astype(np.float64).tolist())


def _joined(old: ParametricTables, new: ParametricTables) -> ParametricTables:
    """Objects of a store and further ones; both must have the same attributes, and groups are united."""
    if set(old.attributes) != set(new.attributes) or set(old.group_attributes) - set(new.group_attributes):
        raise InputError(
            "appended parametric objects must have the attributes of those that are there",
            expected=sorted({*old.attributes, *old.group_attributes}),
            got=sorted({*new.attributes, *new.group_attributes}),
        )
    groups = dict(old.groups)
    for group, members in new.groups.items():
        groups[group] = np.concatenate([groups.get(group, members[:0]), members + len(old)])
    attributes: dict[str, Any] = {}
    for name, column in old.attributes.items():
        both = [np.asarray(column), np.asarray(new.attributes[name])]
        attributes[name] = as_column(name, np.concatenate(both))
    return ParametricTables(
        types=new.types,
        type_ids=np.concatenate([old.type_ids, new.type_ids]),
        coefficients=(*old.coefficients, *new.coefficients),
        names=(*old.names, *new.names),
        attributes=attributes,
        groups=groups,
        group_attributes=new.group_attributes,
    )


def _counts(tables: ParametricTables) -> dict[str, Any]:
    named = {entry.type_id: entry.name for entry in tables.types}
    counts = Counter(named[type_id] for type_id in tables.type_ids.tolist())
    return {"object_count": len(tables), "type_counts": dict(counts)}
