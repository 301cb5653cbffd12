"""Icechunk stores for tests: on disk and in memory, and what the low-level interface lacks to change them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

import zarr_vectors as zv
from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import commit, open_store, switch_branch
from zarr_vectors.geometry import Geometry
from zarr_vectors.storage.icechunk import IcechunkBackend

PLACES = ("memory", "local")
places = pytest.mark.parametrize("where", PLACES)


def place(where: str, tmp_path: Path) -> str:
    return f"memory://{uuid4().hex}" if where == "memory" else str(tmp_path / f"repository {uuid4().hex[:6]}")


def opened(target: str, mode: str = "r+", **options: object) -> Group:
    return open_store(target, mode, backend="icechunk", **options)


def stored(target: str, value: Geometry, layout: zv.Layout | None = None, **options: object) -> Group:
    """A repository with one commit."""
    zv.write(target, value, layout=layout, backend="icechunk", **options)  # type: ignore[arg-type]
    return opened(target)


def session_of(root: Group) -> IcechunkBackend:
    """The place to pass to what works on stores, to work in the group's session."""
    backend = root.backend
    assert isinstance(backend, IcechunkBackend)
    return backend


def append(root: Group, value: Geometry, **options: object) -> None:
    zv.write(session_of(root), value, mode="append", **options)  # type: ignore[arg-type]


@contextmanager
def on_branch(root: Group, name: str, message: str = "on a branch") -> Iterator[Group]:
    """Commit to another branch what is done inside, and come back."""
    back = session_of(root).view.branch
    switch_branch(root, name)
    yield root
    commit(root, message)
    switch_branch(root, back)


def points(*rows: tuple[float, ...], ids: list[int] | None = None, **attributes: list[float]) -> zv.Points:
    return zv.Points(np.array(rows, dtype="f8"), attributes=attributes, object_ids=ids)


def rows_of(root: Group) -> list[list[float]]:
    return sorted(zv.open(session_of(root))[0].read().positions.tolist())


def add_attribute(root: Group, name: str, value: float, dtype: str = "float64") -> None:
    """Give every vertex that there is a value, as a writer of attributes does."""
    level = root["0"]
    said, document = level.read_array_meta("vertices"), level.storage.read_documents(["0/vertices/zarr.json"])
    vertices = document["0/vertices/zarr.json"]
    assert vertices is not None
    block = vertices["chunk_grid"]["configuration"]["chunk_shape"]
    path = f"{constants.VERTEX_ATTRIBUTES}/{name}"
    row_bytes = np.dtype(said["dtype"]).itemsize * len(vertices["shape"])
    with level.batched_writes():
        level.create_sharded_chunk_array(
            path,
            vertices["shape"],
            shard_shape=block if vertices["codecs"][0]["name"] == "sharding_indexed" else None,
            origin=said.get("chunk_grid_origin"),
            attributes={"zv_array": "attribute", "name": name, "dtype": dtype, "row_shape": []},
        )
        for key in level.list_chunks("vertices"):
            count = len(level.read_bytes("vertices", key)) // row_bytes
            level.write_bytes(path, key, np.full(count, value, dtype).tobytes())
        names = sorted({*level.attrs[constants.ARRAYS_KEY], path})
        level.write_array_meta("", {constants.ARRAYS_KEY: names})
