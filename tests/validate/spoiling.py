"""Stores to be spoiled, and ways to spoil one thing in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.query.damage import POINTS, flip, stored
from tests.storage.stores import GOLDEN
from zarr_vectors.core.documents import with_presence
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import parse_keys
from zarr_vectors.storage.cells import CellArray, read_cells
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray, read_tables
from zarr_vectors.types.parametric import write_parametric_objects

Spoil = Callable[[Path], object]
FLAT = zv.Layout(chunk_shape=4, shard_shape=None)
_RANDOM = np.random.default_rng(5)
_XYZ = _RANDOM.uniform(0, 12, (60, 3)).astype("f4")


def _lines() -> zv.Polylines:
    paths = [[[1, 1, 1], [3, 1, 1], [5, 1, 1], [9, 1, 1]], [[1, 5, 1], [1, 3, 1], [5, 3, 1]], [[2, 2, 2], [2, 3, 2]]]
    return zv.Polylines([np.array(path, "f4") for path in paths], attributes={"s": np.arange(9)})


def _skeleton() -> zv.Skeleton:
    xyz = np.array([[1, 1, 1], [2, 1, 1], [3, 1, 1], [5, 1, 1], [6, 1, 1], [2, 2, 1], [2, 3, 1]], "f4")
    return zv.Skeleton(xyz, [-1, 0, 1, 2, 3, 1, 5], object_ids=[4] * 7)


_NEAR = np.array([[1, 1, 1], [2, 1, 1], [3, 1, 1], [5, 1, 1], [6, 1, 1], [5, 2, 1]], "f4")


def _graph() -> zv.Graph:
    edges = [[0, 1], [2, 1], [2, 3], [4, 1], [4, 5]]
    return zv.Graph(_NEAR, edges, edge_attributes={"w": np.arange(5)}, object_ids=[1, 1, 1, 1, 2, 2])


def _parametric(place: Path) -> None:
    zv.write(place, zv.Points(_XYZ), layout=FLAT)
    sphere = {"type": "sphere", "coefficients": [0.0, 0.0, 0.0, 1.0], "name": "ball"}
    write_parametric_objects(place, [sphere, sphere])


def _our_pyramid(place: Path) -> None:
    zv.write(place, POINTS, layout=zv.Layout(chunk_shape=8, shard_shape=None))
    zv.open(place, "r+").build_pyramid([(2, 1), (2, 1)])


def _our_sparse_pyramid(place: Path) -> None:
    """Of a graph, of which one object of two is kept, and one of two of these."""
    zv.write(place, replace(_graph(), object_ids=np.array([1, 1, 2, 2, 3, 4])), layout=FLAT)
    zv.open(place, "r+").build_pyramid([(2, 2), (2, 2)])


BASES: dict[str, Callable[[Path], object]] = {
    "points": lambda place: zv.write(place, POINTS, layout=zv.Layout(chunk_shape=8, shard_shape=None)),
    "numbered": lambda place: zv.write(
        place, zv.Points(_XYZ), layout=zv.Layout(chunk_shape=4, shard_shape=None, keep_order=True)
    ),
    "sharded": lambda place: zv.write(place, POINTS, layout=zv.Layout(chunk_shape=4, shard_shape=2)),
    "refs": lambda place: zv.write(
        place, zv.Points(np.tile(_XYZ, (700, 1)), object_ids=np.arange(42_000)), layout=zv.Layout(chunk_shape=4)
    ),
    "binned": lambda place: zv.write(
        place, zv.Points(_XYZ), layout=zv.Layout(chunk_shape=4, bin_shape=2, shard_shape=None)
    ),
    "lines": lambda place: zv.write(place, _lines(), layout=FLAT),
    "segments": lambda place: zv.write(place, zv.Lines(_XYZ.reshape(30, 2, 3)), layout=FLAT),
    "skeleton": lambda place: zv.write(place, _skeleton(), layout=FLAT),
    "graph": lambda place: zv.write(place, _graph(), layout=FLAT),
    "mesh": lambda place: zv.write(place, zv.Mesh(_NEAR, [[0, 1, 2], [1, 2, 3], [5, 4, 0]]), layout=FLAT),
    "parametric": _parametric,
    "our pyramid": _our_pyramid,
    "our sparse pyramid": _our_sparse_pyramid,
    "pyramid": lambda place: shutil.copytree(GOLDEN / "kinds" / "pyramid", place, dirs_exist_ok=True),
    "objects pyramid": lambda place: shutil.copytree(GOLDEN / "pyramid", place, dirs_exist_ok=True),
}


def build(base: str, place: Path) -> Path:
    """A sound store."""
    BASES[base](place)
    return place


def document(node: str, change: Callable[[Any], object]) -> Spoil:
    """Change the ``zarr.json`` of a node."""

    def spoil(place: Path) -> None:
        path = place / node / "zarr.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(json.dumps(found))

    return spoil


def attributes(node: str, key: str | None = None, **changes: Any) -> Spoil:
    """Change attributes of a node, or entries of one of them; a value of None removes an entry."""

    def change(found: Any) -> None:
        held = found["attributes"] if key is None else found["attributes"][key]
        for name, value in changes.items():
            if value is None:
                held.pop(name, None)
            else:
                held[name] = value(held[name]) if callable(value) else value

    return document(node, change)


def text(path: str, content: str) -> Spoil:
    return lambda place: (place / path).write_text(content)


def truncated(path: str) -> Spoil:
    return lambda place: (place / path).write_bytes((place / path).read_bytes()[:-20])


def drop(path: str) -> Spoil:
    """Remove a file, or a folder with everything in it."""

    def spoil(place: Path) -> None:
        where = place / path
        shutil.rmtree(where) if where.is_dir() else where.unlink()

    return spoil


def gone(array: str, number: int = 0) -> Spoil:
    """Remove a stored object of an array of level 0."""
    return lambda place: stored(place, array)[number].unlink()


def flipped(array: str, at: int = -9) -> Spoil:
    return lambda place: flip(stored(place, array)[0], at)


def _array(place: Path, name: str) -> tuple[Storage, ArrayDocument, str]:
    found = json.loads((place / name / "zarr.json").read_text())
    return Storage(LocalBackend(place)), ArrayDocument.parse(found, where=name), str(place)


def cell(name: str, change: Callable[[bytes], bytes], *, key: str | None = None, other: bool = False) -> Spoil:
    """Change what a cell holds, the first one by default; with ``other``, put what the first holds into another."""

    def spoil(place: Path) -> None:
        storage, said, url = _array(place, name)
        array = CellArray(name, said, url)
        keys = said.attributes["nonempty_chunks"]
        coords = parse_keys([key or keys[0]], array.ndim)
        source = parse_keys([keys[0]], array.ndim) if other else coords
        (read,) = read_cells(storage, [(array, source)])
        for path, data in array.encode(coords, Blobs.from_list([change(bytes(read.check().cells[0]))])):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)
        if other:
            listed = sorted({*keys, key or ""})
            (place / name / "zarr.json").write_bytes(dump_json(with_presence(said, listed).to_json()))

    return spoil


def numbers(dtype: str, change: Callable[[Any], object], skip: int = 0) -> Callable[[bytes], bytes]:
    """A change of the numbers of a cell, after so many bytes."""

    def spoil(data: bytes) -> bytes:
        end = len(data) - (len(data) - skip) % np.dtype(dtype).itemsize
        values = np.frombuffer(data[skip:end], dtype).copy()
        changed = change(values)
        return data[:skip] + (values if changed is None else np.asarray(changed, dtype)).tobytes() + data[end:]

    return spoil


def put(*places: tuple[int, float]) -> Callable[[Any], None]:
    """Put values at places of an array."""

    def change(values: Any) -> None:
        for at, value in places:
            values[at] = value

    return change


def table(name: str, change: Callable[[Any], Any], rows: int | None = None) -> Spoil:
    """Change the rows of a table, given as a list of bytes or as an array; with another number of rows."""

    def spoil(place: Path) -> None:
        storage, said, url = _array(place, name)
        (values,) = read_tables(storage, [(TableArray(name, said, url), None)])
        given: Any = values.to_list() if isinstance(values, Blobs) else np.array(values)
        changed = change(given)
        changed = given if changed is None else changed
        said = said.replace(shape=(len(changed) if rows is None else rows, *said.shape[1:]))
        (place / name / "zarr.json").write_bytes(dump_json(said.to_json()))
        new: Any = Blobs.from_list(changed) if isinstance(values, Blobs) else changed
        for path, data in TableArray(name, said, url).encode(new):
            (place / path).write_bytes(data)

    return spoil


def links(name: str, change: Callable[[Any], object]) -> Spoil:
    """Change the numbers of the first cell of a segment that crosses chunks, after its header."""
    return cell(name, numbers("<i8", change, skip=16))


def both(*spoils: Spoil) -> Spoil:
    def spoil(place: Path) -> None:
        for each in spoils:
            each(place)

    return spoil


def listed(node: str, change: Callable[[list[str]], Sequence[Any] | None]) -> Spoil:
    """Change a presence list."""

    def spoil(found: Any) -> None:
        keys = found["attributes"]["nonempty_chunks"]
        changed = change(keys)
        if changed is not None:
            found["attributes"]["nonempty_chunks"] = list(changed)

    return document(node, spoil)
