"""The part of ``peer_server`` that knows lines, graphs, skeletons and meshes, and pyramids and families of links.

It runs inside the environment of the published package, like ``peer_server``, which loads it by its file.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["VERBS"]

Array = np.ndarray[Any, Any]
WRITERS = {
    "lines": "types.lines.write_lines",
    "polylines": "types.polylines.write_polylines",
    "graph": "types.graphs.write_graph",
    "mesh": "types.meshes.write_mesh",
}
READERS = {
    "lines": "types.lines.read_lines",
    "polylines": "types.polylines.read_polylines",
    "graph": "types.graphs.read_graph",
    "mesh": "types.meshes.read_mesh",
    "skeleton": "types.skeletons.read_skeleton_by_segment_id",
}


def _peer(path: str) -> Any:
    module, _, name = f"zarr_vectors.{path}".rpartition(".")
    return getattr(importlib.import_module(module), name)


def _level(path: str, level: int, mode: str = "r") -> Any:
    store = importlib.import_module("zarr_vectors.core.store")
    return store.get_resolution_level(store.open_store(path, mode), level)


def write(path: str, writer: str, kwargs: dict[str, Any]) -> Any:
    """Write a store with one of ``WRITERS``, ``"links"`` or ``"chunked"``."""
    if writer == "links":
        return _write_family(path, **kwargs)
    if writer == "chunked":
        return _write_chunked(path, **kwargs)
    return _peer(WRITERS[writer])(path, **kwargs)


def read(path: str, reader: str, kwargs: dict[str, Any]) -> Any:
    """Read a store with one of ``READERS``; masked and ragged results as plain lists of arrays."""
    return _peer(READERS[reader])(path, **kwargs)


def _write_family(path: str, *, base: str, vertices: Mapping[str, Any], family: Mapping[str, Any]) -> Any:
    """The vertices of a graph or mesh without links, with a family of links of its own.

    Args:
        base: ``"graph"`` or ``"mesh"``.
        vertices: Keywords of ``write_graph``, without ``edges``.
        family: ``links`` (``(E, L)`` rows of the positions), ``attributes`` and the policy of ``write_links``.
    """
    arrays = importlib.import_module("zarr_vectors.core.arrays")
    links, given = np.asarray(family["links"]), dict(vertices)
    if base == "graph":
        _peer(WRITERS[base])(path, edges=np.zeros((0, 2), dtype=np.int64), **given)
    else:
        given["vertices"] = given.pop("positions")
        _peer(WRITERS[base])(path, faces=np.zeros((0, links.shape[1]), dtype=np.int64), **given)
    # The writers leave a family without links, of a policy that is not the one wanted.
    for name in ("links", "link_fragments"):
        shutil.rmtree(Path(path) / "0" / name, ignore_errors=True)
    level, positions = _level(path, 0, "r+"), np.asarray(vertices["positions"])
    chunks, rows = _places(level, positions)
    records = [[(chunks[end], rows[end]) for end in link] for link in links.tolist()]
    policy = {name: family[name] for name in ("directed", "store") if name in family}
    partition = arrays.write_links(level, records, positions.shape[1], link_width=links.shape[1], **policy)
    for name, values in family["attributes"].items():
        arrays.write_link_attributes(level, name, values, num_links=len(links), partition=partition)
    return {"link_count": len(links)}


def _places(level: Any, positions: Array) -> tuple[list[tuple[int, ...]], list[int]]:
    """Chunk and row of each position, found by its bytes."""
    arrays = importlib.import_module("zarr_vectors.core.arrays")
    found: dict[bytes, tuple[tuple[int, ...], int]] = {}
    for chunk in arrays.list_chunk_keys(level):
        buffer = np.concatenate(
            arrays.read_chunk_vertices(level, chunk, dtype=positions.dtype, ndim=positions.shape[1])
        )
        found |= {row.tobytes(): (chunk, number) for number, row in enumerate(buffer)}
    places = [found[row.tobytes()] for row in positions]
    return [place[0] for place in places], [place[1] for place in places]


def _write_chunked(
    path: str, *, init: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]], crossings: Sequence[Any], told: Any
) -> Any:
    """A skeleton store by the writer that goes chunk by chunk.

    Args:
        init: Keywords of ``init_skeleton_store``.
        chunks: ``{"chunk", "pieces"}``; every piece has the anchors ``{tag: row}`` that crossings name.
        crossings: Pairs of tags, parent first.
        told: The whole trees, for those who compare.
    """
    del told
    skeletons = importlib.import_module("zarr_vectors.types.skeletons")
    arrays = importlib.import_module("zarr_vectors.core.arrays")
    ndim = init["ndim"]
    root, level = skeletons.init_skeleton_store(path, **init)
    dtypes = {name: np.dtype(text) for name, text in init["attribute_dtypes"].items()}
    records: list[Any] = []
    places: dict[Any, Any] = {}
    for part in chunks:
        pieces = [dict(piece) for piece in part["pieces"]]
        written, anchors = skeletons.write_skeleton_chunk(level, tuple(part["chunk"]), pieces, attr_dtypes=dtypes)
        records += written
        places |= anchors
    if crossings:
        ends = [(places[parent], places[child]) for parent, child in crossings]
        skeletons.write_skeleton_cross_chunk_links(level, ends, ndim=ndim)
    segments = sorted({record[0] for record in records})
    manifests: dict[int, list[Any]] = {}
    for segment, chunk, fragment in records:
        manifests.setdefault(segments.index(segment), []).append((chunk, fragment))
    arrays.write_object_index(level, manifests, ndim)
    arrays.write_object_attributes(level, "segment_id", np.array(segments, dtype=np.uint64))
    skeletons.finalize_skeleton_store(root)
    return {"object_count": len(segments)}


def add_geometry(path: str, geometry_type: str, kwargs: dict[str, Any]) -> Any:
    """``add_geometry`` of 0.9.2, which makes a composite store."""
    return _peer("composite.add_geometry")(path, geometry_type, **kwargs)


def content(path: str, level: int) -> Any:
    """Everything in the arrays of a level, by the low-level functions of 0.9.2.

    Positions and attributes by chunk in numeric order, buffer row by buffer row; links as rows of them, each copy of a
    duplicate family; manifests as they are.
    """
    arrays, group = importlib.import_module("zarr_vectors.core.arrays"), _level(path, level)
    store = importlib.import_module("zarr_vectors.core.store")
    ndim = len(store.read_root_metadata(store.open_store(path)).spatial_index_dims)
    keys = sorted(arrays.list_chunk_keys(group))
    dtype = arrays.vertices_dtype(group)
    buffers = {key: arrays.read_chunk_vertex_buffer(group, key, dtype=dtype, ndim=ndim) for key in keys}
    starts = dict(zip(keys, np.cumsum([0, *(len(rows) for rows in buffers.values())]).tolist(), strict=False))
    found: dict[str, Any] = {
        "chunks": keys,
        "positions": np.concatenate([*buffers.values(), np.zeros((0, ndim), dtype=dtype)]),
        "attributes": {name: _attribute(group, name, keys) for name in _names(group, "vertex_attributes")},
        "object_ids": _owners(group, keys) if "object_index" in group else None,
        "links": None,
        "link_attributes": {},
        "manifests": arrays.read_all_object_manifests(group) if "object_index" in group else None,
        "deltas": arrays.list_link_deltas(group) if "links" in group else [],
    }
    if 0 in found["deltas"]:
        chunks, rows = arrays.read_link_arrays(group)
        found["links"] = arrays.link_endpoints_to_rows(chunks, rows, starts) if len(rows) else rows
        names = _names(group, "link_attributes")
        found["link_attributes"] = {name: arrays.read_link_attributes(group, name) for name in names}
    return found


def _owners(group: Any, keys: list[Any]) -> Array:
    """Object of each buffer row, by the manifests; fragments lie one after another in all that is written here."""
    arrays = importlib.import_module("zarr_vectors.core.arrays")
    column, found = arrays.build_fragment_owner_column(group), [np.zeros(0, dtype=np.int64)]
    for key in keys:
        index = arrays.read_vertex_fragment_index(group, key)
        found.append(np.repeat(column[key], [len(index.indices(number)) for number in range(len(column[key]))]))
    return np.concatenate(found)


def _names(group: Any, family: str) -> list[str]:
    return sorted(group[family].children()) if family in group else []


def _attribute(group: Any, name: str, keys: list[Any]) -> Array:
    arrays = importlib.import_module("zarr_vectors.core.arrays")
    return np.concatenate([np.concatenate(arrays.read_chunk_attributes(group, name, key)) for key in keys])


VERBS: dict[str, Callable[..., Any]] = {
    "write": write,
    "read": read,
    "add_geometry": add_geometry,
    "content": content,
}
