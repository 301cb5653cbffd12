"""Creating and opening stores as groups, and reading their metadata: the low-level interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import as_axes
from zarr_vectors.core.documents import cell_array_document, dtype_name
from zarr_vectors.core.group import FsGroup, Group
from zarr_vectors.core.headers import level_document, new_root_document
from zarr_vectors.core.parametric import get_parametric_group, read_parametric_types, write_parametric_types
from zarr_vectors.core.session import Session
from zarr_vectors.core.state import level_numbers, open_root
from zarr_vectors.core.versions import (
    branch,
    commit,
    discard_changes,
    fork,
    merge_branch,
    merge_forks,
    rebase,
    session_for,
    switch_branch,
)
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.exceptions import InputError, MetadataError, OptionError, StoreError, StoreNotFoundError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.metadata.ngff import level_transform
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata, divides
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import check_edges
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.storage.urls import StoreLike, detect_scheme, open_backend
from zarr_vectors.typing import JsonObject

__all__ = [
    "FsGroup",
    "branch",
    "commit",
    "create_store",
    "detect_scheme",
    "discard_changes",
    "fork",
    "get_parametric_group",
    "get_resolution_level",
    "list_resolution_levels",
    "merge_branch",
    "merge_forks",
    "open_store",
    "read_level_metadata",
    "read_parametric_types",
    "read_root_metadata",
    "rebase",
    "session_for",
    "store_shell",
    "switch_branch",
    "write_parametric_types",
]

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
_ENUMS = {
    "links_convention": constants.VALID_LINKS_CONVENTIONS,
    "object_index_convention": constants.VALID_OBJIDX_CONVENTIONS,
    "cross_chunk_strategy": constants.VALID_CROSS_CHUNK_STRATEGIES,
    "cross_level_storage": constants.VALID_XLEVEL_STORAGE,
    "vertex_encoding": constants.VALID_ENCODINGS,
}


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
        bounds: ``(min corner, max corner)``; 0 to 128 on every axis by default.
        chunk_shape: Edge lengths of a chunk; one chunk of the bounds by default.
        axes: Names, ``Axis`` values or mappings.
        geometry_types: Kinds that the store will hold.
        crs: Coordinate reference system, any JSON.
        ndim: Number of axes, where nothing else tells it; 3 by default.
        vertex_dtype: Of the positions.
        vertex_encoding: ``"raw"``, or ``"draco"`` for 3-D float32 positions, as in ``Layout``.
        base_bin_shape: Bin of level 0; must divide the chunk.
        backend: ``"local"``, ``"icechunk"``, or None to go by the URL and by what is there.
        **backend_kwargs: ``compressor`` for the cells, ``storage_options`` for object stores, ``name`` of the store.
            For Icechunk: ``branch``, ``config``, and what the constructor of its storage takes (``region``,
            ``endpoint_url``, ...). Changes are kept in a session until ``commit``.

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
    ranked = {key: given[key] for key in ("axes", "chunk_shape", "bounds", "base_bin_shape")}
    rank = _rank(given["ndim"], **ranked)
    lo, hi = _bounds(given["bounds"], rank)
    whole = given["chunk_shape"] if given["chunk_shape"] is not None else _whole(lo, hi)
    chunk = check_edges("chunk_shape", whole, rank)
    enums = {key: given[key] for key in _ENUMS if key != "vertex_encoding"}
    _check_enums({**enums, "vertex_encoding": given["vertex_encoding"]}, given["geometry_types"] or ())
    dtype = _dtype(given["vertex_dtype"])
    if given["vertex_encoding"] == constants.ENCODING_DRACO and (rank != 3 or dtype != np.float32):
        raise MetadataError("Draco encoding is for 3-D float32 positions", got=f"{rank}-D {dtype}")
    bins = given["base_bin_shape"]
    facts: JsonObject = {
        "zv_version": constants.FORMAT_VERSION,
        "format_capabilities": list(given["format_capabilities"] or []),
        "chunk_shape": list(chunk),
        "bounds": [lo, hi],
        "geometry_types": list(given["geometry_types"] or []),
        "crs": given["crs"],
        **enums,
        "cross_level_depth": given["cross_level_depth"],
        "reduction_factor": given["reduction_factor"],
        "base_bin_shape": None if bins is None else list(_bins(bins, chunk)),
    }
    always = {"format_capabilities", "geometry_types"}
    kept = {key: value for key, value in facts.items() if value is not None or key in always}
    metadata = RootMetadata.parse(kept, where="zarr.json")
    document = new_root_document(metadata, _axes(given["axes"], rank), given["name"] or name)
    grid = Grid.of_bounds(lo, hi, chunk)
    return _shell(grid, dtype, given["vertex_encoding"], given["compressor"]), document


def open_store(path: StoreLike | Group, mode: str = "r", *, backend: str | None = None, **backend_kwargs: Any) -> Group:
    """Open a store as its root group.

    Args:
        path: A path, a URL, an open zarr store, or a group, which is returned.
        mode: ``"r"``, ``"r+"`` or ``"a"``; the store must exist in each.
        backend: ``"local"``, ``"icechunk"``, or None to go by the URL and by what is there.
        **backend_kwargs: ``storage_options`` for object stores; for Icechunk as in ``create_store``, and ``tag`` or
            ``snapshot_id`` to read what was.

    Raises:
        StoreError: There is no store.
        MetadataError: Its root cannot be parsed.

    Example:
        >>> _ = create_store("memory://open-store-doc")
        >>> list(open_store("memory://open-store-doc"))
        ['0']
    """
    if isinstance(path, Group):
        return path
    if mode not in {"r", "r+", "a"}:
        raise InputError("mode is not known", got=repr(mode), expected="one of r, r+, a")
    place, said = _place_options(backend_kwargs, backend)
    if said:
        raise OptionError("open_store does not know this keyword", got=sorted(said))
    storage = Storage(
        open_backend(path, read_only=mode == "r", storage_options=place, backend=backend, autocommit=False)
    )
    open_root(storage)
    return Group.of(Session(storage), "")


def _place_options(given: Mapping[str, Any], backend: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords that say how to reach a place, and those that say what the store is."""
    rest = dict(given)
    place = dict(rest.pop("storage_options", None) or {})
    named = [key for key in rest if key in _VIEW or (backend == "icechunk" and key not in _SHELL)]
    return {**place, **{key: rest.pop(key) for key in named}}, rest


def read_root_metadata(root: Group) -> RootMetadata:
    """The root's metadata."""
    return open_root(root.storage)[0].metadata


def read_level_metadata(root: Group, level: int) -> LevelMetadata:
    """A level's metadata; ``bin_shape`` and ``bin_ratio`` come from the NGFF block.

    Raises:
        StoreError: The level does not exist.

    Example:
        >>> read_level_metadata(create_store("memory://level-metadata-doc"), 0).vertex_count
        0
    """
    group = get_resolution_level(root, level)
    state, _ = open_root(root.storage)
    metadata = LevelMetadata.parse(group.attrs.get(constants.LEVEL_KEY) or {}, where=f"{level}/zarr.json")
    scale, _ = level_transform(state.attributes.get("multiscales"), level)
    return metadata.replace(bin_shape=list(state.level_bin_shape(level)), bin_ratio=scale)


def get_resolution_level(root: Group, level: int) -> Group:
    """The group of a level.

    Raises:
        StoreError: The level does not exist.
    """
    if str(level) not in root:
        raise StoreNotFoundError(f"the store has no level {level}", store=root.url)
    return root[str(level)]


def list_resolution_levels(root: Group) -> list[int]:
    """Numbers of the levels.

    Example:
        >>> list_resolution_levels(create_store("memory://levels-doc"))
        [0]
    """
    return level_numbers(root.storage, open_root(root.storage)[0])


def _rank(ndim: int | None, **given: Any) -> int:
    ranks = {} if ndim is None else {"ndim": ndim}
    for name, value in given.items():
        sized = value[0] if name == "bounds" and value is not None else value
        if sized is not None and not isinstance(sized, (int, float)):
            ranks[name] = len(sized)
    if len(set(ranks.values())) > 1:
        raise MetadataError("arguments differ in the number of axes", got=ranks)
    rank = next(iter(ranks.values()), 3)
    if rank < 1:
        raise MetadataError("ndim must be a whole number from 1", got=rank)
    return rank


def _bounds(bounds: Any, rank: int) -> tuple[list[float], list[float]]:
    if bounds is None:
        return [0.0] * rank, [constants.DEFAULT_BOUNDS_SIDE] * rank
    try:
        lo, hi = (np.asarray(corner, dtype=np.float64) for corner in bounds)
    except (TypeError, ValueError) as error:
        raise MetadataError("bounds must be (min corner, max corner)", got=repr(bounds)) from error
    if lo.shape != (rank,) or hi.shape != (rank,) or not np.isfinite([lo, hi]).all() or (lo > hi).any():
        raise MetadataError("bounds must be finite, of the store's rank, and not inverted", got=repr(bounds))
    return list(bounds[0]), list(bounds[1])


def _whole(lo: Sequence[float], hi: Sequence[float]) -> list[float]:
    return [float(b) - float(a) or 1.0 for a, b in zip(lo, hi, strict=True)]


def _bins(value: Any, chunk: tuple[float, ...]) -> tuple[float, ...]:
    bins = check_edges("base_bin_shape", value, len(chunk))
    if not divides(chunk, bins):
        raise MetadataError("base_bin_shape must divide chunk_shape", got=f"{bins} in {chunk}")
    return bins


def _axes(axes: Any, rank: int) -> Any:
    try:
        return as_axes(axes, rank)
    except InputError as error:
        raise MetadataError(str(error)) from error


def _dtype(value: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError as error:
        raise MetadataError("vertex_dtype is not one of numpy's", got=repr(value)) from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise MetadataError("vertex_dtype must be a real number of at most 64 bits", got=str(dtype))
    return dtype


def _check_enums(values: Mapping[str, Any], kinds: Sequence[str]) -> None:
    problems = [
        f"{name} is {value!r}, not one of {sorted(_ENUMS[name])}"
        for name, value in values.items()
        if value is not None and value not in _ENUMS[name]
    ]
    problems += [f"geometry type {kind!r} is not known" for kind in kinds if kind not in constants.VALID_GEOMETRY_TYPES]
    if problems:
        raise MetadataError(problems[0], problems=problems)


def _shell(grid: Grid, dtype: np.dtype[Any], encoding: str, compressor: Any) -> list[Put]:
    codecs = cell_codecs(compressor)
    arrays = {
        constants.VERTICES: {"zv_array": "vertices", "dtype": dtype_name(dtype), "encoding": encoding},
        constants.VERTEX_FRAGMENTS: {
            "zv_array": "vertex_fragments",
            "encoding": constants.FRAGMENT_INDEX_ENCODING,
        },
    }
    puts: list[Put] = [
        (f"0/{name}/zarr.json", dump_json(cell_array_document(grid, None, codecs, said).to_json()))
        for name, said in arrays.items()
    ]
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
    puts.append(("0/zarr.json", dump_json(level_document(level, list(arrays)))))
    return puts
