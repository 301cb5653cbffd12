"""The arrays of a level, written and read chunk by chunk: the functions that other code calls by these names.

Each is one commit, or a part of one inside ``batched_writes``, and reads inside ``batched_reads`` cost no request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec, cell_array_document, dtype_name
from zarr_vectors.core.group import Group
from zarr_vectors.core.node import whole_numbers
from zarr_vectors.core.session import check_in_grid
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.encoding.fragments import decode_fragments, encode_fragments
from zarr_vectors.exceptions import ArrayError, CorruptionError, InputError, MetadataError, StoreError
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.spatial.grid import Grid, format_keys
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.typing import AnyArray, ChunkCoord, IntArray, JsonObject

__all__ = [
    "create_attribute_array",
    "create_vertices_array",
    "list_chunk_keys",
    "read_chunk_vertices",
    "write_chunk_attributes",
    "write_chunk_vertices",
]


def create_vertices_array(level: Group, dtype: Any = "float32", encoding: str = constants.ENCODING_RAW) -> None:
    """Make a level's arrays of positions and fragments; empty ones are made anew.

    Their grid is that of the store's bounds, or of ``native_sharded_arrays``.

    Args:
        level: The group of a level.
        dtype: Of the positions.
        encoding: ``"raw"``; positions in Draco encoding are written by ``zarr_vectors.write``.

    Raises:
        StoreError: Arrays with cells are there, or the group is not a level.
        ArrayError: Another dtype or encoding.

    Example:
        >>> import zarr_vectors as zv
        >>> level = zv.create_store("memory://vertices-array-doc", bounds=([0, 0], [9, 9]), chunk_shape=(5, 5))["0"]
        >>> create_vertices_array(level, dtype="float64")
        >>> level.read_array_meta("vertices")["dtype"]
        'float64'
    """
    if encoding != constants.ENCODING_RAW:
        raise ArrayError(
            "positions of this encoding are not written chunk by chunk",
            got=repr(encoding),
            hint="use zarr_vectors.write with Layout(vertex_encoding=...)",
        )
    stored = _dtype(dtype)
    if stored.kind not in "fiu":
        raise ArrayError("positions must be real numbers", got=str(stored))
    said: JsonObject = {"zv_array": "vertices", "dtype": dtype_name(stored), "encoding": encoding}
    fragments: JsonObject = {"zv_array": "vertex_fragments", "encoding": constants.FRAGMENT_INDEX_ENCODING}
    _create(level, {constants.VERTICES: said, constants.VERTEX_FRAGMENTS: fragments})


def create_attribute_array(level: Group, name: str, dtype: Any = "float32", *, channels: int = 1) -> None:
    """Make the array of a vertex attribute; an empty one is made anew.

    Args:
        level: The group of a level.
        name: Of the attribute.
        dtype: Of its values: numbers, booleans or dates.
        channels: Values per vertex.

    Raises:
        StoreError: An array with cells is there, or the group is not a level.
        InputError: A name that no array can have, or channels below 1.
        ArrayError: A dtype that attributes cannot have.

    Example:
        >>> import zarr_vectors as zv
        >>> level = zv.create_store("memory://attribute-array-doc", bounds=([0, 0], [9, 9]), chunk_shape=(5, 5))["0"]
        >>> create_attribute_array(level, "colour", "uint8", channels=3)
        >>> level.read_array_meta("vertex_attributes/colour")["row_shape"]
        [3]
    """
    stored = _dtype(dtype)
    if stored.kind not in "fiubcmM":
        raise ArrayError("attributes written chunk by chunk must be numbers, booleans or dates", got=str(stored))
    (width,) = whole_numbers("channels", [channels], least=1)
    if not name or "/" in name:
        raise InputError("this is not the name of an attribute", got=repr(name))
    spec = ColumnSpec(dtype=stored, row_shape=() if width == 1 else (width,))
    said = {"zv_array": "attribute", "name": name, **spec.attributes()}
    _create(level, {f"{constants.VERTEX_ATTRIBUTES}/{name}": said})


def list_chunk_keys(level: Group, array: str = constants.VERTICES) -> list[ChunkCoord]:
    """Coordinates of the chunks that an array of a level has cells for, in numeric order; none without the array.

    Example:
        >>> import zarr_vectors as zv
        >>> points = zv.Points([[1.0, 1.0], [8.0, 1.0]])
        >>> _ = zv.write("memory://chunk-keys-doc", points, layout=zv.Layout(chunk_shape=5))
        >>> list_chunk_keys(zv.open_store("memory://chunk-keys-doc")["0"])
        [(0, 0), (1, 0)]
    """
    return level.list_chunk_coords(array)


def write_chunk_vertices(
    level: Group, chunk_coords: Sequence[int], fragments: Iterable[Any], dtype: Any = None
) -> IntArray:
    """Write the positions of a chunk, and where its fragments are, in the place of what the chunk had.

    Counts in the level's metadata are those of whole writes and stay as they are.

    Args:
        level: The group of a level.
        chunk_coords: Which chunk.
        fragments: ``(n, D)`` positions of each fragment; all lie in the chunk.
        dtype: That of the array, if given.

    Returns:
        ``(F,)`` byte of the cell at which each fragment begins.

    Raises:
        InputError: Positions of another shape, not finite, outside the chunk, or that the dtype cannot hold.
        ArrayError: The array stores another dtype or encoding.
        StoreError: There is no such array, or the chunk is outside its grid.

    Example:
        >>> import zarr_vectors as zv
        >>> level = zv.create_store("memory://chunk-vertices-doc", bounds=([0, 0], [9, 9]), chunk_shape=(5, 5))["0"]
        >>> write_chunk_vertices(level, (1, 0), [[[6.0, 1.0], [7.0, 1.0]], [[8.0, 2.0]]]).tolist()
        [0, 16]
        >>> [fragment.tolist() for fragment in read_chunk_vertices(level, (1, 0))]
        [[[6.0, 1.0], [7.0, 1.0]], [[8.0, 2.0]]]
    """
    level.session.check_writable()
    array, stored = _stored_array(level, constants.VERTICES, dtype)
    _refuse_encoded(array)
    chunk = _chunk_shape(level)
    key = _key(array, chunk_coords)
    coords = np.array(key)
    check_in_grid(array, coords[None])
    parts = [_as_stored(f"fragment {number}", part, stored) for number, part in enumerate(fragments)]
    for number, part in enumerate(parts):
        if part.ndim != 2 or part.shape[1] != len(chunk):
            raise InputError(f"fragment {number} must be (n, {len(chunk)}) positions", got=f"shape {part.shape}")
        if not np.isfinite(part).all():
            raise InputError(f"fragment {number} has a coordinate that is not finite")
        if (np.floor(part.astype(np.float64) / np.asarray(chunk)) != coords[-len(chunk) :]).any():
            raise InputError(f"fragment {number} has a vertex outside the chunk", got=f"chunk {tuple(chunk_coords)}")
    sizes = np.array([len(part) for part in parts], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    ranges = list(zip(starts.tolist(), sizes.tolist(), strict=True))
    with level.session.changes() as waiting:
        waiting.cells.setdefault(array.path, {})[key] = b"".join(part.tobytes() for part in parts)
        waiting.cells.setdefault(f"{level.prefix}/{constants.VERTEX_FRAGMENTS}", {})[key] = encode_fragments(ranges)
    return np.asarray(starts * stored.itemsize * len(chunk), dtype=np.int64)


def write_chunk_attributes(
    level: Group, name: str, chunk_coords: Sequence[int], values: Iterable[Any], dtype: Any = None
) -> None:
    """Write the values of a vertex attribute for a chunk whose positions have been written.

    Args:
        level: The group of a level.
        name: Of the attribute.
        chunk_coords: Which chunk.
        values: ``(n,)`` or ``(n, C)`` values of each fragment.
        dtype: That of the array, if given.

    Raises:
        InputError: Another number of values than the chunk has vertices, or values that the dtype cannot hold.
        ArrayError: The array stores another dtype.
        StoreError: There is no such array, or the chunk has no vertices.

    Example:
        >>> import zarr_vectors as zv
        >>> level = zv.create_store("memory://chunk-attributes-doc", bounds=([0, 0], [9, 9]), chunk_shape=(5, 5))["0"]
        >>> with level.batched_writes():
        ...     create_attribute_array(level, "intensity")
        ...     _ = write_chunk_vertices(level, (0, 0), [[[1.0, 1.0], [2.0, 2.0]]])
        ...     write_chunk_attributes(level, "intensity", (0, 0), [[0.5, 1.5]])
        >>> zv.open("memory://chunk-attributes-doc")[0].read().attributes["intensity"].tolist()
        [0.5, 1.5]
    """
    array, stored = _stored_array(level, f"{constants.VERTEX_ATTRIBUTES}/{name}", dtype)
    shape = tuple(array.document.attributes.get("row_shape") or ())
    parts = [_as_stored(f"values of fragment {number}", part, stored) for number, part in enumerate(values)]
    for number, part in enumerate(parts):
        if part.shape[1:] != shape:
            raise InputError(f"values of fragment {number} must have rows of shape {shape}", got=f"shape {part.shape}")
    key = _key(array, chunk_coords)
    rows, wanted = sum(map(len, parts)), _rows_of(level, key)
    if rows != wanted:
        raise InputError(f"attribute {name!r} must have one value per vertex of the chunk", expected=wanted, got=rows)
    level.write_bytes(f"{constants.VERTEX_ATTRIBUTES}/{name}", key, b"".join(part.tobytes() for part in parts))


def read_chunk_vertices(level: Group, chunk_coords: Sequence[int], dtype: Any = None) -> list[AnyArray]:
    """The positions of a chunk, fragment by fragment.

    Args:
        level: The group of a level.
        chunk_coords: Which chunk.
        dtype: That of the array, if given.

    Returns:
        ``(n, D)`` positions of each fragment.

    Raises:
        MissingCellError: The chunk has no vertices.
        CorruptionError: A cell is gone, corrupt, or the two contradict each other.
        ArrayError: The array stores another dtype or encoding.
    """
    array, stored = _stored_array(level, constants.VERTICES, dtype)
    _refuse_encoded(array)
    key = _key(array, chunk_coords)
    rank = len(_chunk_shape(level))
    cell, index = level.read_bytes(constants.VERTICES, key), level.read_bytes(constants.VERTEX_FRAGMENTS, key)
    table, errors = decode_fragments(Blobs.from_list([index]))
    rows = table.rows()
    problem = errors.get(0)
    if len(cell) % (stored.itemsize * rank):
        problem = f"{len(cell)} bytes are no whole number of {rank}-D {stored} positions"
    elif problem is None and len(rows) and int(rows.max()) >= len(cell) // (stored.itemsize * rank):
        problem = "a fragment names a row that there is not"
    if problem is not None:
        where = format_keys(np.array([key]))[0]
        raise CorruptionError("a chunk cannot be read", store=level.url, array=array.path, cell=where, got=problem)
    positions = np.frombuffer(cell, dtype=stored).reshape(-1, rank)
    return np.split(positions[rows], np.cumsum(table.counts)[:-1]) if len(table.counts) else []


def _create(level: Group, arrays: dict[str, JsonObject]) -> None:
    session = level.session
    session.check_writable()
    grid, shards = _grid(level)
    codecs = cell_codecs(session.compressor)
    paths = {level.prefix + "/" + name: said for name, said in arrays.items()}
    waiting_cells = {} if session.pending is None else session.pending.cells
    for path, old in session.documents(list(paths)).items():
        if ((old or {}).get("attributes") or {}).get(constants.NONEMPTY_CHUNKS) or waiting_cells.get(path):
            raise StoreError("an array with cells is there", store=level.url, array=path, hint="delete it first")
    with session.changes() as waiting:
        for path, said in paths.items():
            waiting.declare(path, cell_array_document(grid, shards, codecs, said).to_json())


def _facts(level: Group) -> tuple[RootMetadata, LevelMetadata]:
    """Metadata of the store and of the level, in one round.

    Raises:
        StoreError: The group is not a level.
    """
    found = level.session.documents(["", level.prefix])
    root, own = ((found[path] or {}).get("attributes") or {} for path in ("", level.prefix))
    if not isinstance(own.get(constants.LEVEL_KEY), dict) or constants.ROOT_KEY not in root:
        raise StoreError("this group is not a level of a store", store=level.url)
    return (
        RootMetadata.parse(root[constants.ROOT_KEY], where="zarr.json"),
        LevelMetadata.parse(own[constants.LEVEL_KEY], where=level.prefix),
    )


def _chunk_shape(level: Group) -> tuple[float, ...]:
    root, own = _facts(level)
    return tuple(own.chunk_shape or root.chunk_shape)


def _grid(level: Group) -> tuple[Grid, tuple[int, ...] | None]:
    """The grid of a level's new arrays, and chunks per stored object."""
    root, own = _facts(level)
    grid = Grid.of_bounds(root.bounds[0], root.bounds[1], tuple(own.chunk_shape or root.chunk_shape))
    native = level.session.native
    if native is None:
        return grid, None
    if len(native.grid_shape) != len(grid.shape):
        raise StoreError(
            "grid_shape of native_sharded_arrays differs in rank from the store",
            store=level.url,
            expected=f"{len(grid.shape)} numbers",
            got=native.grid_shape,
        )
    return Grid(native.origin or grid.origin, native.grid_shape), native.shard_shape


def _dtype(value: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError as error:
        raise ArrayError("dtype is not one of numpy's", got=repr(value)) from error
    return dtype


def _stored_array(level: Group, name: str, dtype: Any) -> tuple[CellArray, np.dtype[Any]]:
    """An array of a level and the dtype that it stores, which must be the wanted one."""
    array = level.session.array(f"{level.prefix}/{name}")
    said = array.document.attributes.get("dtype", "float32")
    try:
        stored: np.dtype[Any] = np.dtype(said)
    except TypeError as error:
        raise MetadataError("the array's dtype is not one of numpy's", array=array.path, got=repr(said)) from error
    if dtype is not None and _dtype(dtype) != stored:
        raise ArrayError("the array stores another dtype", array=array.path, expected=str(stored), got=repr(dtype))
    return array, stored


def _key(array: CellArray, chunk_coords: Sequence[int]) -> ChunkCoord:
    """The coordinates of a chunk, one per axis of the array's grid.

    Raises:
        InputError: They are something else.
    """
    key = whole_numbers("chunk_coords", chunk_coords)
    if len(key) != array.ndim:
        raise InputError("chunk_coords must have one number per axis", expected=f"{array.ndim} numbers", got=key)
    return key


def _refuse_encoded(array: CellArray) -> None:
    encoding = array.document.attributes.get("encoding", constants.ENCODING_RAW)
    if encoding != constants.ENCODING_RAW:
        raise ArrayError(
            "positions of this encoding are not read or written chunk by chunk",
            array=array.path,
            got=repr(encoding),
            hint="use zarr_vectors.open and zarr_vectors.write",
        )


def _as_stored(what: str, values: Any, dtype: np.dtype[Any]) -> AnyArray:
    """Values in the stored dtype; floats may be rounded to it, nothing else may change.

    Raises:
        InputError: The dtype cannot hold them.
    """
    try:
        given = np.asarray(values)
        with np.errstate(all="ignore"):
            stored: AnyArray = np.ascontiguousarray(given.astype(dtype)).reshape(given.shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what} must be an array of {dtype}", got=str(error)) from error
    rounded = given.dtype.kind + dtype.kind in ("ff", "cc", "if", "uf")
    same = stored == given if not rounded else np.isfinite(stored) | ~np.isfinite(given)
    if given.size and not np.all(same | ((stored != stored) & (given != given))):
        raise InputError(f"{what} cannot be stored as {dtype}", got=str(given.dtype))
    return stored


def _rows_of(level: Group, key: ChunkCoord) -> int:
    """Vertices of a chunk, those that wait to be committed included."""
    array, stored = _stored_array(level, constants.VERTICES, None)
    waiting = level.session.pending
    cell = None if waiting is None else waiting.cells.get(array.path, {}).get(key)
    if cell is None:
        cell = level.read_bytes(constants.VERTICES, key)
    return len(cell) // (stored.itemsize * len(_chunk_shape(level)))
