"""Creating and opening stores as groups: the low-level interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.headers import new_root_document
from zarr_vectors.core.level_shell import empty_level
from zarr_vectors.core.session import Session, check_mode
from zarr_vectors.core.shell_checks import (
    axes_of_rank,
    bins_of,
    bounds_of,
    check_facts,
    dtype_of,
    grid_of,
    rank_of,
    whole_box,
)
from zarr_vectors.core.state import open_root
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.exceptions import InputError, MetadataError, OptionError, StoreError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import check_edges
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.typing import JsonObject

__all__ = ["create_store", "open_store", "read_root_metadata", "store_shell"]

_SHELL: dict[str, Any] = {
    "bounds": None,
    "chunk_shape": None,
    "axes": None,
    "geometry_types": None,
    "crs": None,
    "ndim": None,
    "vertex_dtype": "float32",
    "vertex_encoding": "raw",
    "links_convention": None,
    "object_index_convention": None,
    "cross_chunk_strategy": None,
    "cross_level_depth": None,
    "cross_level_storage": None,
    "reduction_factor": None,
    "base_bin_shape": None,
    "format_capabilities": None,
    "compressor": None,
    "name": None,
}
"""What ``create_store`` takes about a store, with its defaults."""
_VIEW = frozenset({"branch", "tag", "snapshot_id"})
"""What of an Icechunk repository to open."""
_OPTIONAL = (
    "crs",
    "links_convention",
    "object_index_convention",
    "cross_chunk_strategy",
    "cross_level_depth",
    "cross_level_storage",
    "reduction_factor",
)
"""Arguments that are stored as they are, where they are given."""


def create_store(
    path: StoreLike,
    *,
    bounds: Any = None,
    chunk_shape: Any = None,
    axes: Sequence[Any] | None = None,
    geometry_types: Sequence[str] | None = None,
    crs: Any = None,
    ndim: int | None = None,
    vertex_dtype: str = "float32",
    vertex_encoding: str = "raw",
    links_convention: str | None = None,
    object_index_convention: str | None = None,
    cross_chunk_strategy: str | None = None,
    cross_level_depth: int | None = None,
    cross_level_storage: str | None = None,
    reduction_factor: int | None = None,
    base_bin_shape: Any = None,
    format_capabilities: Sequence[str] | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> Group:
    """Make an empty store: the root, level 0, and its two empty arrays.

    Args:
        path: A path, a URL, or an open zarr store.
        bounds: ``(min corner, max corner)`` in data units, a closed box; 0 to 128 on every axis by default.
        chunk_shape: Edge lengths of a chunk in data units; one chunk of the bounds by default.
        axes: Names, ``Axis`` values or mappings.
        geometry_types: Kinds that the store will hold.
        crs: Coordinate reference system, any JSON.
        ndim: Number of axes, where nothing else tells it; 3 by default.
        vertex_dtype: Of the positions: a real number of at most 64 bits.
        vertex_encoding: ``"raw"``, or ``"draco"`` for 3-D float32 positions, as in ``Layout``.
        links_convention: ``"explicit"``, ``"implicit_sequential"`` or ``"implicit_sequential_with_branches"``, to which
            writers then keep; the first one decides where it is not given.
        object_index_convention: ``"standard"``, or ``"identity"``: object ids are then 0 to n-1, which writers hold to.
        cross_chunk_strategy: ``"explicit_links"``; ``"boundary_deduplication"`` and ``"both"`` are kept too, but no
            writer implements them, which the first one says.
        cross_level_depth: How many levels links may lead across in a pyramid; 0 for none, -1 for all.
        cross_level_storage: ``"none"``, ``"implicit"`` or ``"explicit"``.
        reduction_factor: By how much each level of a pyramid has fewer vertices than the one before, from 2.
        base_bin_shape: Bin of level 0 in data units; must divide the chunk.
        format_capabilities: Names of what readers may find, of ``zarr_vectors.constants``: ``CAP_*``.
        backend: ``"local"``, ``"icechunk"``, ``"obstore"``, ``"fsspec"``, or None to go by URL and content.
        **backend_kwargs: ``compressor`` for the cells, ``storage_options`` for object stores, ``name`` of the store.
            For Icechunk: ``branch``, ``config``, and what the constructor of its storage takes (``region``,
            ``endpoint_url``, ...). Changes are kept in a session until ``commit``.

    Returns:
        The root group.

    Raises:
        StoreError: Something is there.
        MetadataError: Arguments contradict each other or name what the format does not know.
        OptionError: An unknown keyword.

    Example:
        >>> root = create_store("memory://create-store-doc", bounds=([0, 0], [100, 50]), chunk_shape=(10, 10))
        >>> read_root_metadata(root).chunk_shape
        (10, 10)
    """
    given = locals()
    arguments = {name: given[name] for name in given if name not in ("path", "backend", "backend_kwargs")}
    place, said = _place_options(backend_kwargs, backend)
    storage = Storage(open_backend(path, storage_options=place, backend=backend, autocommit=False))
    puts, document = store_shell(storage.name, {**arguments, **said})
    if storage.backend.exists("zarr.json"):
        raise StoreError("there is already something here", store=storage.url, hint="choose another path")
    storage.commit(Batch(puts=puts, root=lambda: document, must_be_new=True))
    return Group.of(Session(storage), "")


def store_shell(name: str, arguments: Mapping[str, Any]) -> tuple[list[Put], JsonObject]:
    """The stored objects of an empty store but for its root document, and that document.

    Args:
        name: Of the store.
        arguments: Those of ``create_store`` that say what the store is.

    Raises:
        MetadataError: Arguments contradict each other or name what the format does not know.
        OptionError: An unknown keyword.
    """
    given = {**_SHELL, **arguments}
    unknown = sorted(set(given) - set(_SHELL))
    if unknown:
        raise OptionError("create_store does not know this keyword", got=unknown)
    check_facts(given)
    rank = rank_of(given)
    lo, hi = bounds_of(given["bounds"], rank)
    whole = given["chunk_shape"] if given["chunk_shape"] is not None else whole_box(lo, hi)
    chunk = check_edges("chunk_shape", whole, rank)
    dtype = dtype_of(given["vertex_dtype"])
    if given["vertex_encoding"] == constants.ENCODING_DRACO and (rank != 3 or dtype != np.float32):
        raise MetadataError("Draco encoding is for 3-D float32 positions", got=f"{rank}-D {dtype}")
    bins = given["base_bin_shape"]
    facts: JsonObject = {
        "zv_version": constants.FORMAT_VERSION,
        "format_capabilities": list(dict.fromkeys(given["format_capabilities"] or ())),
        "chunk_shape": list(chunk),
        "bounds": [lo, hi],
        "geometry_types": list(dict.fromkeys(given["geometry_types"] or ())),
        **{key: given[key] for key in _OPTIONAL},
        "base_bin_shape": None if bins is None else list(bins_of(bins, chunk)),
    }
    always = {"format_capabilities", "geometry_types"}
    kept = {key: value for key, value in facts.items() if value is not None or key in always}
    metadata = RootMetadata.parse(kept, where="zarr.json")
    document = new_root_document(metadata, axes_of_rank(given["axes"], rank), given["name"] or name)
    grid = grid_of(lo, hi, chunk)
    return _shell(grid, dtype, given["vertex_encoding"], given["compressor"]), document


def open_store(path: StoreLike | Group, mode: str = "r", *, backend: str | None = None, **backend_kwargs: Any) -> Group:
    """Open a store as its root group.

    Args:
        path: A path, a URL, an open zarr store, or a group, which is returned as it is.
        mode: ``"r"``, ``"r+"`` or ``"a"``; the store must exist in each.
        backend: ``"local"``, ``"icechunk"``, ``"obstore"``, ``"fsspec"``, or None to go by URL and content.
        **backend_kwargs: ``storage_options`` for object stores; for Icechunk as in ``create_store``, and ``tag`` or
            ``snapshot_id`` to read what was.

    Returns:
        The root group.

    Raises:
        StoreError: There is no store.
        ReadOnlyError: The path is something that is open for reading only, and ``mode`` asks for more.
        MetadataError: Its root cannot be parsed.

    Example:
        >>> _ = create_store("memory://open-store-doc")
        >>> list(open_store("memory://open-store-doc"))
        ['0']
    """
    if mode not in {"r", "r+", "a"}:
        raise InputError("mode is not known", got=repr(mode), expected="one of r, r+, a")
    if isinstance(path, Group):
        check_mode(path.storage, mode)
        return path
    place, said = _place_options(backend_kwargs, backend)
    if said:
        raise OptionError("open_store does not know this keyword", got=sorted(said))
    storage = Storage(
        open_backend(path, read_only=mode == "r", storage_options=place, backend=backend, autocommit=False)
    )
    check_mode(storage, mode)
    open_root(storage)
    return Group.of(Session(storage), "")


def _place_options(given: Mapping[str, Any], backend: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords that say how to reach a place, and those that say what the store is."""
    rest = dict(given)
    place = dict(rest.pop("storage_options", None) or {})
    named = [key for key in rest if key in _VIEW or (backend == "icechunk" and key not in _SHELL)]
    return {**place, **{key: rest.pop(key) for key in named}}, rest


def read_root_metadata(root: Group) -> RootMetadata:
    """The root's metadata: bounds and shapes in data units, kinds of geometry, conventions.

    Args:
        root: Any group of the store.

    Returns:
        A frozen value; what the store does not state is None.

    Raises:
        StoreError: There is no store any more.
        FormatError: Its version is not one that is read here.
        MetadataError: The root document is malformed.

    Example:
        >>> root = create_store("memory://root-metadata-doc", bounds=([0, 0], [9, 9]), geometry_types=["mesh"])
        >>> read_root_metadata(root).geometry_types, read_root_metadata(root["0"]).ndim
        (('mesh',), 2)
    """
    return open_root(root.storage)[0].metadata


def _shell(grid: Grid, dtype: np.dtype[Any], encoding: str, compressor: Any) -> list[Put]:
    level = LevelMetadata.parse(
        {
            "level": 0,
            "object_sparsity": 1.0,
            "vertex_count": 0,
            "coarsening_method": constants.COARSEN_NONE,
            "parent_level": None,
            "arrays_present": [constants.VERTICES],
        },
        where="0/zarr.json",
    )
    documents = empty_level(level, grid, dtype, encoding, cell_codecs(compressor))
    return [(f"{path}/zarr.json", dump_json(document)) for path, document in documents.items()]
