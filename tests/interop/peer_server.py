"""The side of the harness that runs inside the environment of the published package.

Started as ``python -I peer_server.py FOLDER`` it answers one JSON request a line on stdin with one JSON reply a line on
stdout; arrays travel in ``.npz`` files inside FOLDER. It needs numpy and zarr-vectors 0.9.2 and nothing else, and
imports 0.9.2 by name at run time, because the same name means this project everywhere else. What it does with lines,
graphs, skeletons and meshes is in ``peer_kinds.py`` beside it.

The client imports ``pack`` and ``unpack`` from here. A new geometry kind is a new entry of ``VERBS``.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

__all__ = ["VERBS", "main", "pack", "save_arrays", "unpack"]

Arrays = dict[str, np.ndarray[Any, Any]]


def pack(value: Any, arrays: Arrays | None) -> Any:
    """Turn a value into what ``json.dumps`` takes.

    Arrays go into ``arrays`` under new names, or inline when it is None; those of objects always go inline.

    Raises:
        TypeError: The value has no representation.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return pack(np.asarray(value), arrays) if value.dtype.kind in "mMc" else value.item()
    if isinstance(value, np.ndarray):
        return _pack_array(value, arrays)
    if isinstance(value, range):
        return {"$range": [value.start, value.stop]}
    if isinstance(value, tuple):
        return {"$tuple": [pack(item, arrays) for item in value]}
    if isinstance(value, (list, set, frozenset)):
        return [pack(item, arrays) for item in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: pack(item, arrays) for key, item in value.items()}
        return {"$pairs": [[pack(key, arrays), pack(item, arrays)] for key, item in value.items()]}
    raise TypeError(f"cannot pack a {type(value).__name__}")


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write an ``.npz`` file."""
    np.savez(path, **arrays)  # type: ignore[arg-type]  # no name of ours is "allow_pickle"


def _pack_array(array: np.ndarray[Any, Any], arrays: Arrays | None) -> Any:
    if array.dtype.kind == "O":
        return {"$objects": array.tolist()}
    if arrays is not None:
        name = f"a{len(arrays)}"
        arrays[name] = array
        return {"$array": name}
    if array.dtype.kind == "S":
        data = [item.decode("latin-1") for item in array.ravel().tolist()]
    elif array.dtype.kind in "mM":
        data = array.view(np.int64).ravel().tolist()
    elif array.dtype.kind == "c":
        data = [[item.real, item.imag] for item in array.ravel().tolist()]
    else:
        data = array.ravel().tolist()
    return {"$inline": {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}}


def unpack(tree: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """The inverse of ``pack``."""
    if isinstance(tree, list):
        return [unpack(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    tag = next(iter(tree), "")
    if not tag.startswith("$"):
        return {key: unpack(item, arrays) for key, item in tree.items()}
    content = tree[tag]
    if tag == "$tuple":
        return tuple(unpack(item, arrays) for item in content)
    if tag == "$pairs":
        return {unpack(key, arrays): unpack(item, arrays) for key, item in content}
    if tag == "$range":
        return range(*content)
    return arrays[content] if tag == "$array" else _unpack_inline(tag, content)


def _unpack_inline(tag: str, content: Any) -> np.ndarray[Any, Any]:
    if tag == "$objects":
        objects = np.empty(len(content), dtype=object)
        objects[:] = content
        return objects
    dtype, data = np.dtype(content["dtype"]), content["data"]
    if dtype.kind == "S":
        flat = np.array([item.encode("latin-1") for item in data], dtype=dtype)
    elif dtype.kind in "mM":
        flat = np.array(data, dtype=np.int64).view(dtype)
    elif dtype.kind == "c":
        flat = np.array([complex(*pair) for pair in data], dtype=dtype)
    else:
        flat = np.array(data, dtype=dtype)
    return flat.reshape(content["shape"])


def _peer(module: str) -> Any:
    return importlib.import_module(f"zarr_vectors.{module}")


def _level_group(path: str, level: int, mode: str = "r") -> Any:
    store = _peer("core.store")
    return store.get_resolution_level(store.open_store(path, mode), level)


def info() -> dict[str, Any]:
    """Versions of the environment."""
    metadata = importlib.import_module("importlib.metadata")
    names = ("zarr-vectors", "zarr", "numpy", "numcodecs")
    return {name: metadata.version(name) for name in names} | {"python": platform.python_version()}


def write_points(path: str, kwargs: dict[str, Any]) -> Any:
    """``write_points`` of 0.9.2."""
    return _peer("types.points").write_points(path, **kwargs)


def read_points(path: str, kwargs: dict[str, Any]) -> Any:
    """``read_points`` of 0.9.2; attributes come back only when named."""
    return _peer("types.points").read_points(path, **kwargs)


def validate(path: str, level: int) -> Any:
    """The validator of 0.9.2 at one of its levels, 1 to 5."""
    result = _peer("validate").validate(path, level=level)
    return {"ok": bool(result.ok), "errors": list(result.errors), "warnings": list(result.warnings)}


def build_pyramid(path: str, kwargs: dict[str, Any]) -> Any:
    """``build_pyramid`` of 0.9.2."""
    _peer("multiresolution.coarsen").build_pyramid(path, **kwargs)


def write_owners(path: str) -> Any:
    """Store the object id of every fragment as ``fragment_attributes/object_id``."""
    return _peer("core.arrays").write_fragment_owner_column(_level_group(path, 0, "r+"))


def owners(path: str, level: int) -> Any:
    """``{chunk: object id of each fragment}``, once as stored and once as the manifests say."""
    arrays, group = _peer("core.arrays"), _level_group(path, level)
    derived = arrays.build_fragment_owner_column(group)
    stored = {
        chunk: arrays.read_chunk_fragment_attributes(group, "object_id", chunk, dtype=np.int64).reshape(-1)
        for chunk in derived
    }
    return {"stored": stored, "derived": derived}


def fragments(path: str, ndim: int) -> Any:
    """``{chunk: {"positions": [of each fragment], "values": {name: of each fragment, or None}}}`` of level 0."""
    arrays, group = _peer("core.arrays"), _level_group(path, 0)
    names = sorted(group["fragment_attributes"].children()) if "fragment_attributes" in group else []
    return {
        chunk: {
            "positions": [np.asarray(rows) for rows in arrays.read_chunk_vertices(group, chunk, ndim=ndim)],
            "values": {name: arrays.read_chunk_fragment_attributes(group, name, chunk, default=None) for name in names},
        }
        for chunk in arrays.list_chunk_keys(group)
    }


def describe(path: str, level: int) -> Any:
    """What 0.9.2 says about a level apart from its rows: metadata, names, and the tables of objects and groups."""
    store, arrays = _peer("core.store"), _peer("core.arrays")
    root = store.open_store(path)
    meta = store.read_root_metadata(root)
    group = store.get_resolution_level(root, level)

    def names(family: str) -> list[str]:
        return sorted(group[family].children()) if family in group else []

    ids = arrays.read_object_id_table(group) if "object_index" in group else None
    return {
        "levels": store.list_resolution_levels(root),
        "zv_version": meta.zv_version,
        "axes": list(meta.spatial_index_dims),
        "bounds": meta.bounds,
        "crs": meta.crs,
        "geometry_types": list(meta.geometry_types),
        "chunk_shape": list(meta.chunk_shape),
        "vertex_count": store.read_level_metadata(root, level).vertex_count,
        "chunks": arrays.list_chunk_keys(group),
        "attributes": names("vertex_attributes"),
        "object_ids": ids,
        "object_attributes": {name: arrays.read_object_attributes(group, name) for name in names("object_attributes")},
        "groups": [list(members) for members in arrays.read_all_groupings(group)] if "groups" in group else [],
        "group_attributes": {name: arrays.read_groupings_attributes(group, name) for name in names("group_attributes")},
    }


def levels(path: str) -> Any:
    """The levels of a store as 0.9.2 has them: numbers, bin ratios, transforms and metadata."""
    store, multiscale = _peer("core.store"), _peer("core.multiscale")
    root = store.open_store(path)
    numbers = store.list_resolution_levels(root)
    names = ("bin_shape", "bin_ratio", "chunk_shape", "object_sparsity", "parent_level", "coarsening_method")

    def facts(number: int) -> list[Any]:
        metadata = store.read_level_metadata(root, number)
        values = [getattr(metadata, name) for name in names]
        return [list(value) if isinstance(value, (list, tuple)) else value for value in values]

    return {
        "numbers": numbers,
        "ratios": [[float(factor) for factor in ratio] for ratio in store.list_available_ratios(root)],
        "metadata": [facts(number) for number in numbers],
        "transforms": [list(multiscale.read_level_transform(root, number)) for number in numbers],
        "entries": [entry["path"] for entry in multiscale.read_multiscale_metadata(root)[0]["datasets"]],
    }


def links_across(path: str, level: int, delta: int) -> Any:
    """Links of a level to another, as 0.9.2 reads them: chunk and row of each end."""
    links = _peer("core.arrays").read_links(_level_group(path, level), delta=delta)
    return [[[[int(part) for part in chunk], int(row)] for chunk, row in link] for link in links]


def group_calls(path: str, level: int, array: str) -> Any:
    """What the low-level group of 0.9.2 says of an array of cells: keys, payloads, attributes, and a typed array."""
    group = _level_group(path, level)
    keys = group.list_chunks(array)
    return {
        "keys": keys,
        "cells": [np.frombuffer(group.read_bytes(array, key), dtype=np.uint8) for key in keys],
        "attributes": group.read_array_attrs(array),
        "children": sorted(group.children()),
        "typed": np.asarray(group.read_array("extra/typed")),
        "fill": float(group.read_array_fill_value("extra/typed")),
        "blobs": [np.frombuffer(item, dtype=np.uint8) for item in group.read_vlen_array("extra/blobs")],
    }


def edit_vertices(path: str, edits: list[Any]) -> Any:
    """Move vertices of level 0, or give one of their attributes another value, in place.

    Args:
        edits: ``(chunk, fragment, number in the fragment, what, value)``; what is ``"position"`` or an attribute.
    """
    store, ops = _peer("core.store"), _peer("ops")
    root = store.open_store(path, mode="r+")
    for chunk, fragment, local, what, value in edits:
        vertex = ops.VertexRef(0, tuple(chunk), fragment, local)
        if what == "position":
            ops.edit_vertex(root, vertex, new_pos=np.asarray(value), atomic=False)
        else:
            ops.edit_attribute(root, ops.AttributeRef("vertex", what, vertex), np.asarray(value))


def edit_store(path: str, steps: list[Any], atomic: bool) -> Any:
    """Edit level 0 as 0.9.2 does, which leaves behind what it replaces.

    Args:
        steps: Names of functions of ``ops`` and what they are about: an object's id; or chunk, fragment and, of a
            vertex, its number in there, and then the new positions of those that get some. ``swap_objects`` stands for
            two edits that give two objects the manifests of each other.
        atomic: What 0.9.2 is to be told: whether it adds what is new and shifts no rows.
    """
    store, ops = _peer("core.store"), _peer("ops")
    root = store.open_store(path, mode="r+")
    for verb, *about in steps:
        named, place = {"atomic": atomic}, tuple(about[0]) if len(about) > 1 else ()
        if verb == "remove_object":
            ops.remove_object(root, *about, **named)
        elif verb == "vacuum":
            ops.vacuum(root)
        elif verb == "add_object":
            ops.add_object(root, level=0, vertices=np.asarray(*about))
        elif verb == "swap_objects":
            arrays = _peer("core.arrays")
            group, rows = _level_group(path, 0), arrays.read_object_id_table(_level_group(path, 0)).tolist()
            manifests = [arrays.read_all_object_manifests(group)[rows.index(one)] for one in about[0]]
            for one, manifest in zip(about[0], reversed(manifests), strict=True):
                ops.edit_object(root, one, new_manifest=manifest, **named)
        elif verb in ("edit_fragment", "remove_fragment"):
            moved = {"new_vertices": np.asarray(about[2])} if len(about) > 2 else {}
            getattr(ops, verb)(root, ops.FragmentRef(0, place, about[1]), **moved, **named)
        elif verb in ("edit_vertex", "remove_vertex"):
            moved = {"new_pos": np.asarray(about[3])} if len(about) > 3 else {}
            getattr(ops, verb)(root, ops.VertexRef(0, place, *about[1:3]), **moved, **named)
        else:
            raise ValueError(f"{verb} is not known here")


def _verbs_of(name: str) -> dict[str, Callable[..., Any]]:
    """The verbs of a file beside this one, which is loaded by its place: this one may not be in a package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.VERBS)


VERBS: dict[str, Callable[..., Any]] = {
    "info": info,
    "write_points": write_points,
    "read_points": read_points,
    "validate": validate,
    "build_pyramid": build_pyramid,
    "write_owners": write_owners,
    "owners": owners,
    "fragments": fragments,
    "describe": describe,
    "levels": levels,
    "links_across": links_across,
    "group_calls": group_calls,
    "edit_vertices": edit_vertices,
    "edit_store": edit_store,
    **_verbs_of("peer_kinds"),
}
"""What can be asked for: name to function; arguments go by keyword."""


def _answer(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    number = request["id"]
    try:
        arrays: Mapping[str, np.ndarray[Any, Any]] = {}
        if request["arrays"]:
            with np.load(folder / request["arrays"], allow_pickle=False) as stored:
                arrays = dict(stored)
        result = VERBS[request["verb"]](**unpack(request["args"], arrays))
        sent: Arrays = {}
        tree = pack(result, sent)
        name = f"reply{number}.npz" if sent else None
        if name:
            save_arrays(folder / name, sent)
    except Exception as error:  # noqa: BLE001 - whatever 0.9.2 raises is an answer, not the end of the server
        return {"id": number, "error": type(error).__name__, "message": str(error)}
    return {"id": number, "result": tree, "arrays": name}


def main(folder: str) -> None:
    """Answer requests until stdin ends."""
    replies: TextIO = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Anything that 0.9.2 prints must not end up between two replies.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        replies.write(json.dumps(_answer(json.loads(line), Path(folder))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1])
