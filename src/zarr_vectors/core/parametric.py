"""Types of parametric objects: shapes told by a few numbers, such as planes, lines and spheres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.exceptions import InputError, MetadataError
from zarr_vectors.typing import JsonObject

__all__ = [
    "BUILTIN_TYPES",
    "ParametricTypeDef",
    "get_parametric_group",
    "parse_types",
    "read_parametric_types",
    "types_json",
    "write_parametric_types",
]

TYPES_KEY = "parametric_types"


@dataclass(frozen=True)
class ParametricTypeDef:
    """A type of parametric objects.

    Args:
        type_id: Unique in a store, from 0.
        name: Unique in a store.
        coefficients: What each number of an object means.

    Example:
        >>> ParametricTypeDef(3, "circle", ["x", "y", "r"]).coefficients
        ('x', 'y', 'r')
    """

    type_id: int
    name: str
    coefficients: Iterable[str]

    def __post_init__(self) -> None:
        given: Any = self.coefficients
        number: Any = self.type_id
        name: Any = self.name
        names = (given,) if isinstance(given, str) else tuple(given)
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise InputError("type_id must be a whole number from 0", got=repr(number))
        if not isinstance(name, str) or not name:
            raise InputError("the name of a type must be text", got=repr(name))
        if not names or not all(isinstance(part, str) and part for part in names) or len(set(names)) != len(names):
            raise InputError(f"coefficients of type {name!r} must be distinct names", got=repr(given))
        object.__setattr__(self, "coefficients", names)

    @property
    def names(self) -> tuple[str, ...]:
        """``coefficients``, as the tuple that it is."""
        return tuple(self.coefficients)


BUILTIN_TYPES = (
    ParametricTypeDef(0, "plane", ("A", "B", "C", "D")),
    ParametricTypeDef(1, "line", ("x0", "y0", "z0", "dx", "dy", "dz")),
    ParametricTypeDef(2, "sphere", ("cx", "cy", "cz", "r")),
)
"""Types that every store knows; source: format 0.9.2."""


def parse_types(attributes: Mapping[str, Any], store: str | None = None) -> list[ParametricTypeDef]:
    """The types that the attributes of ``/parametric`` name, by type id.

    Raises:
        MetadataError: They are malformed.
    """
    listed = attributes.get(TYPES_KEY) or {}
    try:
        return [
            ParametricTypeDef(int(key), entry["name"], tuple(entry["coefficients"]))
            for key, entry in sorted(listed.items(), key=lambda item: int(item[0]))
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataError(
            "the types of parametric objects are malformed", store=store, array=constants.PARAMETRIC, got=str(error)
        ) from error


def types_json(types: Iterable[ParametricTypeDef]) -> JsonObject:
    """The same as the attribute says it.

    Raises:
        InputError: Two types share an id or a name, or one is not a ``ParametricTypeDef``.
    """
    given: list[Any] = list(types)
    odd = [type(entry).__name__ for entry in given if not isinstance(entry, ParametricTypeDef)]
    if odd:
        raise InputError("types must be values of ParametricTypeDef", got=odd[0])
    types = sorted(given, key=lambda entry: entry.type_id)
    for what, values in (("type_id", [t.type_id for t in types]), ("name", [t.name for t in types])):
        if len(set(values)) != len(values):
            raise InputError(f"types of parametric objects must differ in {what}", got=values)
    return {str(entry.type_id): {"name": entry.name, "coefficients": list(entry.names)} for entry in types}


def get_parametric_group(root: Group) -> Group:
    """The group ``/parametric`` of a store, made if it is not there.

    In a store that was opened for reading nothing is made: the group is then one without attributes and members.

    Args:
        root: The root group of a store.

    Returns:
        The group.

    Raises:
        StoreError: An array lies there.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> get_parametric_group(create_store("memory://parametric-group-doc")).prefix
        'parametric'
    """
    if constants.PARAMETRIC in root:
        return root[constants.PARAMETRIC]
    if root.storage.read_only:
        return Group.of(root.session, constants.PARAMETRIC)
    return root.create_group(constants.PARAMETRIC)


def read_parametric_types(root: Group) -> list[ParametricTypeDef]:
    """The types of parametric objects that a store knows.

    Args:
        root: The root group of a store.

    Returns:
        ``ParametricTypeDef`` values by ascending id; none where the store has no parametric objects.

    Raises:
        MetadataError: The types are malformed.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> read_parametric_types(create_store("memory://parametric-types-doc"))
        []
    """
    if constants.PARAMETRIC not in root:
        return []
    return parse_types(root[constants.PARAMETRIC].attrs, root.url)


def write_parametric_types(root: Group, types: Iterable[ParametricTypeDef]) -> None:
    """Make these the types that a store knows, in the place of those that it knew.

    Args:
        root: The root group of a store.
        types: ``ParametricTypeDef`` values.

    Raises:
        InputError: Two types share an id or a name, or one is not a ``ParametricTypeDef``.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> root = create_store("memory://parametric-types-doc-2")
        >>> write_parametric_types(root, BUILTIN_TYPES)
        >>> [entry.name for entry in read_parametric_types(root)]
        ['plane', 'line', 'sphere']
    """
    root.write_array_meta(constants.PARAMETRIC, {TYPES_KEY: types_json(types)})
