"""What the functions under the names of 0.9.2 share: from their keywords to a write or a read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from zarr_vectors.core.state import LevelState, open_level, open_root
from zarr_vectors.exceptions import ConventionError, InputError, OptionError
from zarr_vectors.geometry import Column, Geometry
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.where import only_chunks_of
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.storage.whole import read_whole
from zarr_vectors.types.bare import for_a_bare_store
from zarr_vectors.types.fragment_values import GivenFragments
from zarr_vectors.types.given import given_fragments
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.report import WriteReport
from zarr_vectors.types.value import plan_for, value_of
from zarr_vectors.types.writer import write_value

__all__ = [
    "Query",
    "plain_columns",
    "read_alone",
    "read_facade",
    "refuse",
    "same_as",
    "split_columns",
    "write_facade",
]

T = TypeVar("T")

_LAYOUT = {entry.name for entry in fields(Layout)}
_OPTIONS = ("mode", "bounds", "out_of_bounds", "axes", "crs", "extend", "dtype")


def refuse(name: str, value: Any, way_out: str) -> None:
    """Refuse an option of 0.9.2 that is not offered, if it is given.

    Raises:
        OptionError: With the way out.
    """
    if value is not None:
        raise OptionError(f"{name} is not offered", got=repr(value), hint=way_out)


def same_as(first: str, value: Any, second: str, other: Any) -> Any:
    """The value of two keywords that mean the same.

    Raises:
        OptionError: Both are given.
    """
    if value is not None and other is not None:
        raise OptionError(f"{first} and {second} are the same; give one of them")
    return value if other is None else other


def write_facade(store_path: StoreLike, value: Geometry, keywords: Mapping[str, Any]) -> WriteReport:
    """Write a value as the keywords say that all writers share.

    With ``mode="create"``, a store that ``create_store`` or ``zarr_vectors.create`` has made and that nothing has been
    written to is filled; one that holds anything is refused.

    Args:
        keywords: The arguments of a writer by name; those that say what is written are left aside.
    """
    backend = keywords["backend"]
    refuse("backend", None if backend == "local" else backend, "the URL's scheme, or storage_options, decides")
    refuse("chunk_by_attribute", keywords["chunk_by_attribute"], "rechunk the written store by the attribute")
    layout = Layout(**{name: keywords[name] for name in _LAYOUT if name in keywords})
    options = WriteOptions(
        layout=layout,
        fill=keywords["fill"] or {},
        fragment_values=_fragment_values(value, keywords),
        **{name: keywords[name] for name in _OPTIONS},
    )
    storage = Storage(open_backend(store_path, storage_options=keywords["storage_options"]))
    if options.mode != "create" or not storage.backend.exists(ROOT):
        return write_value(storage, value, options)
    # Seen and filled under one lock, so that no two writers take the store for their own.
    with storage.lock():
        return write_value(storage, value, for_a_bare_store(storage, options))


def counts_of(report: WriteReport, keywords: Mapping[str, Any], **counts: Any) -> dict[str, Any]:
    """What a writer returns: its counts, and how many rows were left out where that was asked for."""
    return counts | ({"dropped": report.dropped} if keywords["out_of_bounds"] == "ignore" else {})


def _fragment_values(value: Geometry, keywords: Mapping[str, Any]) -> dict[str, GivenFragments]:
    given = given_fragments(keywords.get("fragment_attributes"), value.ndim)
    if given and keywords["mode"] == "append":
        raise InputError(
            "fragment_attributes cannot be given when appending",
            hint="give vertex_attributes of these names: the store keeps them per fragment",
        )
    return given


@dataclass(frozen=True, kw_only=True)
class Query:
    """The keywords that all readers share.

    Args:
        level: Resolution level.
        bbox: Closed box, as in ``ZVLevel.read``.
        mode: What the box selects; the kind's default where None.
        object_ids, group_ids: These objects, and those of these groups.
        chunks: Only vertices of these chunks, and what connects them with each other.
        attribute_filter: ``{attribute: value}``; vertices that have exactly these values.
        strict: Whether what cannot be read raises.
        backend: Of 0.9.2; only None and ``"local"``.
        storage_options: For object stores.
    """

    level: int = 0
    bbox: Any = None
    mode: str | None = None
    object_ids: Any = None
    group_ids: Any = None
    chunks: Sequence[tuple[int, ...]] | None = None
    attribute_filter: Mapping[str, Any] | None = None
    strict: bool = True
    backend: str | None = None
    storage_options: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Query:
        """From the arguments of a reader by name; others are left aside."""
        known = {entry.name for entry in fields(cls)}
        return cls(**{name: value for name, value in keywords.items() if name in known})


def read_facade(
    store_path: StoreLike, families: tuple[str, ...], query: Query
) -> tuple[Geometry, dict[str, dict[str, Any]]]:
    """Read a value of a kind of one of these families.

    Returns:
        The value; and its attributes as ``vertex_attributes`` and ``fragment_attributes``, a row for each vertex.

    Raises:
        ConventionError: The store holds another kind.
    """
    backend = None if query.backend == "local" else query.backend
    refuse("backend", backend, "the URL's scheme, or storage_options, decides")
    storage = Storage(open_backend(store_path, read_only=True, storage_options=query.storage_options))
    return read_alone(storage, lambda: _read(storage, families, query))


def read_alone(storage: Storage, work: Callable[[], T]) -> T:
    """What a reader brings that opens the store by itself, of one state of it."""
    return read_whole(storage, work, seen=lambda: storage.seen, again=lambda: None)


def _read(storage: Storage, families: tuple[str, ...], query: Query) -> tuple[Geometry, dict[str, dict[str, Any]]]:
    first = "0/zarr.json"
    root, documents = open_root(storage, [first])
    kind = kind_of_types(root.metadata.geometry_types, storage.url)
    if kind.family not in families:
        raise ConventionError(
            f"the store holds a {kind.geometry_type}, which this function does not read",
            store=storage.url,
            hint="zarr_vectors.open(...)[0].read() reads every kind",
        )
    level = open_level(storage, root, query.level, documents[first] if query.level == 0 else None)
    selection = Selection.of(
        [axis.name for axis in root.axes],
        bbox=query.bbox,
        object_ids=query.object_ids,
        group_ids=query.group_ids,
        chunks=query.chunks,
    )
    selection = only_chunks_of(level, selection, query.attribute_filter or {})
    plan = plan_for(root, kind, query.mode, None, strict=query.strict)
    shape = read_shape(storage, level, selection, plan)
    value = value_of(shape, kind, root.axes, level.links if kind.connects == "links" else None)
    for name, wanted in (query.attribute_filter or {}).items():
        if name not in value.attributes:
            raise InputError("attribute_filter names an attribute that the level does not have", got=repr(name))
        same = np.asarray(value.attributes[name] == wanted)
        value = value.within(np.asarray(same.all(axis=tuple(range(1, same.ndim)))))
    return value, split_columns(level, value.attributes)


def split_columns(level: LevelState, columns: Mapping[str, Column]) -> dict[str, dict[str, Any]]:
    """``vertex_attributes`` and ``fragment_attributes`` of a read, by the names that they are stored under."""
    whole = {name: column for name, column in columns.items() if name in level.fragment_columns}
    return {
        "vertex_attributes": plain_columns({name: column for name, column in columns.items() if name not in whole}),
        "fragment_attributes": plain_columns(
            {level.column_path(name).partition("/")[2]: column for name, column in whole.items()}
        ),
    }


def plain_columns(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Columns as plain arrays, text as objects."""
    return {name: np.asarray(column) for name, column in columns.items()}
