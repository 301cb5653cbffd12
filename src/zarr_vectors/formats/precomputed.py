"""Neuroglancer precomputed folders of skeletons and of legacy single-resolution meshes, unsharded.

A folder holds a file ``info`` and, by decimal segment id, a binary file per skeleton, or a JSON manifest ``<id>:0`` per
mesh that names its fragments. Positions are in nanometers. Segment ids become object ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.constants import GEOM_GRAPH, GEOM_MESH, GEOM_SKELETON
from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.forest import is_forest, root_at_first
from zarr_vectors.formats.precomputed_bytes import (
    DTYPES,
    Segment,
    VertexAttribute,
    decode_fragment,
    decode_skeleton,
    read_bytes,
)
from zarr_vectors.formats.precomputed_export import LEGACY_MESH, SKELETONS, as_transform, export_precomputed
from zarr_vectors.formats.precomputed_properties import Properties, read_properties
from zarr_vectors.geometry import Geometry, Graph, Mesh, Skeleton
from zarr_vectors.typing import AnyArray, FloatArray, IntArray, JsonObject

__all__ = ["PRECOMPUTED"]

_OTHERS = {
    "neuroglancer_multilod_draco": "multi-resolution meshes",
    "neuroglancer_multiscale_volume": "a volume",
    "neuroglancer_annotations_v1": "annotations",
    "neuroglancer_segment_properties": "segment properties alone",
}
_AXES = tuple(Axis(name, unit="nanometer") for name in "xyz")
_NAME = re.compile(r"(?P<id>0|[1-9][0-9]*)(?P<lod>:0)?(?:\.gz)?")
_UNUSABLE = {"", ".", "..", "zarr.json", "row_id"}


_Joined: TypeAlias = tuple[IntArray, IntArray, AnyArray, IntArray, dict[str, AnyArray]]
"""Ids, owners of vertices, positions, links and attributes of several segments; some may have no vertices."""


@dataclass(frozen=True)
class _Folder:
    """What ``info`` says.

    Args:
        path: The folder.
        info: The document.
        attributes: Of vertices.
        transform: ``(3, 4)`` from stored positions to nanometers; None where they are that.
        ids: Segments, ascending.
    """

    path: Path
    info: JsonObject
    attributes: tuple[VertexAttribute, ...]
    transform: FloatArray | None
    ids: tuple[int, ...]

    @property
    def is_mesh(self) -> bool:
        return bool(self.info["@type"] == LEGACY_MESH)

    def segment(self, key: int) -> Segment:
        """Read one segment."""
        if not self.is_mesh:
            name = str(key)
            return decode_skeleton(self.path / name, read_bytes(self.path, name), self.attributes)
        parts = [decode_fragment(self.path / name, read_bytes(self.path, name)) for name in self._fragments(key)]
        firsts = np.concatenate([[0], np.cumsum([len(part.positions) for part in parts])]).astype(np.int64)
        return Segment(
            np.concatenate([np.zeros((0, 3), np.float32), *(part.positions for part in parts)]),
            np.concatenate(
                [np.zeros((0, 3), np.int64), *(p.links + first for p, first in zip(parts, firsts, strict=False))]
            ),
            {},
        )

    def _fragments(self, key: int) -> list[str]:
        manifest = self.path / f"{key}:0"
        try:
            names = json.loads(read_bytes(self.path, manifest.name))["fragments"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise IngestError(f"{manifest} must be JSON with a list of fragments", got=repr(error)) from error
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise IngestError(f"{manifest} must be JSON with a list of fragments", got=repr(names)[:80])
        outside = [name for name in names if Path(name).name != name or name == ".."]
        if outside:
            raise IngestError(f"{manifest} must name fragments in its own folder", got=repr(outside[0]))
        return names


def _read_info(folder: Path) -> Any:
    """The document ``info``, or None where there is none."""
    try:
        return json.loads((folder / "info").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _recognises(folder: Path) -> bool:
    info = _read_info(folder)
    return isinstance(info, dict) and (info.get("@type") in (SKELETONS, LEGACY_MESH, *_OTHERS) or "scales" in info)


def _check_info(path: Path) -> _Folder:
    info = _read_info(path)
    if not isinstance(info, dict):
        raise IngestError(f"{path / 'info'} is no JSON document of a precomputed folder")
    kind = info.get("@type")
    if kind not in (SKELETONS, LEGACY_MESH):
        told = _OTHERS.get(str(kind), "a volume" if "scales" in info else None)
        inner = [str(info[key]) for key in ("skeletons", "mesh") if isinstance(info.get(key), str)]
        raise IngestError(
            f"{path} holds {told}, which is not read" if told else f"{path / 'info'} has an unknown @type",
            expected=f"@type {SKELETONS} or {LEGACY_MESH}",
            got=repr(kind),
            hint=f"open its folder {' or '.join(inner)}" if inner else None,
        )
    if info.get("sharding") is not None:
        raise IngestError(
            f"{path} holds sharded {'meshes' if kind == LEGACY_MESH else 'skeletons'}, which are not read",
            hint="copy them unsharded first, for example with CloudVolume or Igneous",
        )
    attributes = tuple(_attribute(path, entry) for entry in _listed(path, info, "vertex_attributes"))
    names = [entry.name for entry in attributes]
    if len(set(names)) < len(names):
        raise IngestError(f"{path / 'info'} has two vertex attributes of one name", got=names)
    transform = as_transform(info.get("transform")) if kind == SKELETONS else None
    if info.get("transform") is not None and kind == SKELETONS and transform is None:
        raise IngestError(f"{path / 'info'}: transform must be 12 finite numbers", got=repr(info["transform"])[:80])
    if transform is not None and np.array_equal(transform, np.eye(3, 4)):
        transform = None
    return _Folder(path, info, attributes if kind == SKELETONS else (), transform, _segments(path, kind))


def _listed(path: Path, info: JsonObject, key: str) -> Sequence[Any]:
    found = info.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise IngestError(f"{path / 'info'}: {key} must be a list", got=repr(found)[:80])
    return found


def _attribute(path: Path, entry: Any) -> VertexAttribute:
    given = entry if isinstance(entry, Mapping) else {}
    name, dtype, channels = (given.get(key) for key in ("id", "data_type", "num_components"))
    sound = isinstance(name, str) and isinstance(dtype, str) and dtype in DTYPES and type(channels) is int
    if not sound or not isinstance(channels, int) or channels < 1 or "/" in str(name) or name in _UNUSABLE:
        raise IngestError(
            f"{path / 'info'} has a vertex attribute that cannot be read",
            expected=f"an id, a data_type of {', '.join(DTYPES)}, and num_components from 1",
            got=json.dumps(entry)[:200],
        )
    return VertexAttribute(str(name), DTYPES[str(dtype)], channels)


def _segments(path: Path, kind: str) -> tuple[int, ...]:
    """The ids of the segments that are there."""
    found = (_NAME.fullmatch(file.name) for file in path.iterdir() if file.is_file())
    ids = sorted({int(match["id"]) for match in found if match and bool(match["lod"]) == (kind == LEGACY_MESH)})
    if ids and ids[-1] >= 2**63:
        raise IngestError(f"{path}: segment ids must fit in int64", got=ids[-1])
    return tuple(ids)


def _open(path: Path, options: ReadOptions) -> Source:
    """Describe a folder of skeletons or meshes.

    Skeletons are ``Skeleton`` where the edges of all of them make no circle, each tree rooted at its first vertex, as
    the format's edges have no direction; otherwise ``Graph``. For that all skeletons are read twice. Positions are
    float32, or float64 behind a transform. Segment properties, which ``info`` may point to, are object attributes and
    their tags groups; properties of segments that are not in the folder are left out.

    Raises:
        IngestError: The folder holds something else, is sharded, or a file is truncated or contradicts itself.
    """
    folder = _check_info(path)
    named = folder.info.get("segment_properties")
    if named is not None and not isinstance(named, str):
        raise IngestError(f"{path / 'info'}: segment_properties must be a path", got=repr(named))
    properties = read_properties(path / named) if named else Properties(np.zeros(0, dtype=np.int64))
    wanted = _wanted(folder, options)
    trees = not folder.is_mesh and all(
        is_forest(links, len(positions)) for _, _, positions, links, _ in _joined(folder, options.batch_rows, ())
    )
    return Source(
        batches=_batches(folder, properties, options.batch_rows, wanted, trees=trees),
        axes=_AXES,
        headers={"precomputed": folder.info},
    )


def _wanted(folder: _Folder, options: ReadOptions) -> tuple[str, ...]:
    names = tuple(entry.name for entry in folder.attributes)
    if options.attributes is None:
        return names
    unknown = [name for name in options.attributes if name not in names]
    if unknown:
        raise IngestError(f"{folder.path} has no vertex attributes of these names", expected=f"of {names}", got=unknown)
    return tuple(options.attributes)


def _joined(folder: _Folder, batch_rows: int, wanted: Sequence[str]) -> Iterator[_Joined]:
    """Segments one after another, about so many vertices at a time."""
    keys: list[int] = []
    parts: list[Segment] = []
    rows = 0
    for key in folder.ids:
        keys.append(key)
        parts.append(folder.segment(key))
        rows += len(parts[-1].positions)
        if rows >= batch_rows:
            yield _concatenated(folder, keys, parts, wanted)
            keys, parts, rows = [], [], 0
    if keys or not folder.ids:
        yield _concatenated(folder, keys, parts, wanted)


def _concatenated(folder: _Folder, keys: list[int], parts: list[Segment], wanted: Sequence[str]) -> _Joined:
    sizes = [len(part.positions) for part in parts]
    firsts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    width = 3 if folder.is_mesh else 2
    specs = {entry.name: entry for entry in folder.attributes}
    columns = {}
    for name in wanted:
        dtype, channels = specs[name].dtype.newbyteorder("="), specs[name].channels
        empty = np.zeros((0,) if channels == 1 else (0, channels), dtype)
        columns[name] = np.concatenate([empty, *(part.attributes[name] for part in parts)])
    links = [part.links + first for part, first in zip(parts, firsts, strict=False)]
    ids = np.array(keys, dtype=np.int64)
    return (
        ids,
        np.repeat(ids, sizes),
        np.concatenate([np.zeros((0, 3), np.float32), *(part.positions for part in parts)]),
        np.concatenate([np.zeros((0, width), dtype=np.int64), *links]),
        columns,
    )


def _batches(
    folder: _Folder, properties: Properties, batch_rows: int, wanted: Sequence[str], *, trees: bool
) -> Iterator[Geometry]:
    for ids, owners, positions, links, columns in _joined(folder, batch_rows, wanted):
        if folder.transform is not None:
            positions = positions.astype(np.float64) @ folder.transform[:, :3].T + folder.transform[:, 3]  # noqa: PLW2901
        fields: dict[str, Any] = {"attributes": columns, "object_ids": owners, "axes": _AXES, **properties.of(ids)}
        if folder.is_mesh:
            yield Mesh(positions, links, **fields)
        elif trees:
            yield Skeleton(positions, root_at_first(links, len(positions)), **fields)
        else:
            yield Graph(positions, links, **fields)


def _export(path: Path, batches: Iterator[Geometry], context: ExportContext) -> int:
    """Write a folder; see ``export_precomputed``."""
    first = next(batches)
    return export_precomputed(path, first, chain([first], batches), context)


PRECOMPUTED = Format(
    name="precomputed",
    suffixes=(".precomputed",),
    description="Neuroglancer precomputed folders of skeletons or legacy meshes",
    open=_open,
    export=_export,
    kinds=(GEOM_SKELETON, GEOM_GRAPH, GEOM_MESH),
    recognises=_recognises,
)
