"""glTF 2.0 meshes, as GLB and as JSON, read and written in plain numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.constants import GEOM_MESH
from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import Format, ReadOptions, Source
from zarr_vectors.formats.gltf_document import Document, at, document_errors, read_document
from zarr_vectors.formats.gltf_export import OURS, SEMANTICS, export_gltf
from zarr_vectors.formats.meshes import NAME, Polygons, keep_wanted, name_column
from zarr_vectors.geometry import Column, Mesh
from zarr_vectors.typing import AnyArray, FloatArray, IntArray, JsonObject

__all__ = ["GLTF"]

POINTS, LINES, LINE_LOOP, LINE_STRIP, TRIANGLES, STRIP, FAN = range(7)
NOT_FACES = {POINTS: "points", LINES: "lines", LINE_LOOP: "line loop", LINE_STRIP: "line strip"}
LEFT_OUT = ("materials", "skins", "animations", "cameras")
MOST_PLACES = 1_000_000
INSTANCES = "EXT_mesh_gpu_instancing"
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class _Instance:
    """A primitive at a place of the scene.

    Args:
        primitive: Its entry in the document.
        matrix: ``(4, 4)`` from its coordinates to those of the world.
        name: Of its node or its mesh.
    """

    primitive: JsonObject
    matrix: FloatArray
    name: str | None


def _open(path: Path, options: ReadOptions) -> Source:
    """Read the scene of a GLB or glTF file.

    Every primitive of triangles at a node is an object, with the name of its node, or else its mesh, as object
    attribute ``name``. Node transforms are applied, after which positions are float64; without any they are float32 as
    in the file. Normals, colours, texture coordinates and custom attributes (``_NAME``) that all primitives have alike
    are the attributes ``normal``, ``color``, ``texcoord`` and ``NAME``; ``headers["gltf"]`` names the others and what
    else is left out: materials, skins, animations, morph targets, points and lines. glTF is in metres.

    Raises:
        IngestError: No glTF 2.0, truncated, contradicting itself, or compressed, as with Draco.
    """
    document = read_document(path)
    with document_errors(path):
        ignored: Counter[str] = Counter()
        instances = list(_instances(document, ignored))
        kept, dropped = _common_attributes(document, instances)
        dropped += [name for name in LEFT_OUT if document.json.get(name)]
        if any("targets" in instance.primitive for instance in instances):
            dropped.append("morph targets")
        unit = document.json["asset"].get("extras", {}).get(OURS, {"unit": "meter"})["unit"]
        if unit is not None and not isinstance(unit, str):
            raise TypeError(f"the unit is {unit!r}")
    axes = tuple(Axis(name, unit=unit) for name in AXES)
    reader = _Reader(document, instances, kept, axes, options)
    if options.attributes is not None or options.positions is not None or options.object_ids is not None:
        keep_wanted(path, reader.empty(), options)
    return Source(
        batches=reader.batches(),
        axes=axes,
        headers={"gltf": {"ignored_elements": dict(ignored), "dropped": dropped}},
    )


def _instances(document: Document, ignored: Counter[str]) -> Iterator[_Instance]:
    """The primitives of triangles in the scene; counts the others."""
    nodes, meshes = document.json.get("nodes", []), document.json.get("meshes", [])
    stack = [(index, np.eye(4), 1) for index in reversed(_roots(document.json, nodes))]
    places = 0
    while stack:
        index, above, depth = stack.pop()
        with document_errors(document.path, f"node {index!r}"):
            node = at(nodes, index)
        # glTF wants a tree; files with a node in two places exist, but not in a circle.
        places += 1
        if depth > len(nodes) or places > MOST_PLACES:
            raise IngestError(f"{document.path} has nodes that are no tree", got=f"node {index}, {places} places")
        with document_errors(document.path, f"node {index!r}"):
            if INSTANCES in node.get("extensions", {}):
                raise IngestError(f"{document.path} needs glTF extensions that are not read", got=[INSTANCES])
            matrix = above @ _matrix(node)
            stack += [(child, matrix, depth + 1) for child in reversed(node.get("children", []))]
            mesh = at(meshes, node["mesh"]) if "mesh" in node else None
        if mesh is None:
            continue
        name = node.get("name", mesh.get("name"))
        for primitive in mesh["primitives"]:
            mode = primitive.get("mode", TRIANGLES)
            if mode in NOT_FACES:
                ignored[NOT_FACES[mode]] += 1
            elif mode in {TRIANGLES, STRIP, FAN}:
                yield _Instance(primitive, matrix, None if name is None else str(name))
            else:
                raise ValueError(f"a primitive has the mode {mode!r}")


def _roots(document: JsonObject, nodes: list[Any]) -> list[Any]:
    if document.get("scenes"):
        return list(at(document["scenes"], document.get("scene", 0)).get("nodes", []))
    below = {child for node in nodes for child in node.get("children", [])}
    return [index for index in range(len(nodes)) if index not in below]


def _matrix(node: JsonObject) -> FloatArray:
    """The transform of a node: a matrix, column by column, or translation, rotation (x, y, z, w) and scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = (float(part) for part in node.get("rotation", (0, 0, 0, 1)))
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] = np.array(rotation) * np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix


def _common_attributes(document: Document, instances: list[_Instance]) -> tuple[dict[str, str], list[str]]:
    """Names of the attributes that all have alike, by their names in the document; and the others, said why."""
    shapes = [
        {name: document.shape_of(index) for name, index in instance.primitive["attributes"].items()}
        for instance in instances
    ]
    kept: dict[str, str] = {}
    dropped: list[str] = []
    for name in dict.fromkeys(name for shape in shapes for name in shape if name != "POSITION"):
        wanted = SEMANTICS.get(name, name[1:] if len(name) > 1 and name.startswith("_") else None)
        if wanted is None or wanted in kept.values():
            dropped.append(f"attribute {name}")
        elif any(shape.get(name) != shapes[0].get(name) for shape in shapes):
            dropped.append(f"attribute {name}: not alike in all primitives")
        else:
            kept[name] = wanted
    return kept, dropped


@dataclass(frozen=True)
class _Reader:
    """Turns the instances of a scene into batches of objects."""

    document: Document
    instances: list[_Instance]
    kept: dict[str, str]
    axes: tuple[Axis, ...]
    options: ReadOptions

    @property
    def moved(self) -> bool:
        return any(not np.array_equal(instance.matrix, np.eye(4)) for instance in self.instances)

    @property
    def has_objects(self) -> bool:
        return len(self.instances) > 1 or any(instance.name is not None for instance in self.instances)

    def empty(self) -> Mesh:
        """A mesh without vertices, with all attributes."""
        first = self.instances[0].primitive["attributes"] if self.instances else {}
        attributes: dict[str, Column] = {}
        for name, kept in self.kept.items():
            dtype, channels, _ = self.document.shape_of(first[name])
            attributes[kept] = np.empty((0, channels) if channels > 1 else 0, dtype)
        return Mesh(np.empty((0, 3), np.float64 if self.moved else np.float32), attributes=attributes, axes=self.axes)

    def batches(self) -> Iterator[Mesh]:
        """Whole objects until they have ``batch_rows`` vertices."""
        if not self.instances:
            yield keep_wanted(self.document.path, self.empty(), self.options)
        pending: list[Mesh] = []
        for number, instance in enumerate(self.instances):
            with document_errors(self.document.path):
                pending.append(self._mesh(number, instance))
            if sum(mesh.vertex_count for mesh in pending) >= self.options.batch_rows:
                yield self._batch(number + 1 - len(pending), pending)
                pending = []
        if pending:
            yield self._batch(len(self.instances) - len(pending), pending)

    def _batch(self, first: int, parts: list[Mesh]) -> Mesh:
        starts = np.cumsum([0, *(part.vertex_count for part in parts)])
        ids = np.arange(first, first + len(parts))
        faces = [part.faces + start for part, start in zip(parts, starts, strict=False)]
        mesh = Mesh(
            np.concatenate([part.positions for part in parts]),
            np.concatenate(faces),
            attributes={
                name: np.concatenate([np.asarray(part.attributes[name]) for part in parts])
                for name in parts[0].attributes
            },
            axes=self.axes,
        )
        if self.has_objects:
            names = name_column([self.instances[number].name for number in ids])
            named = any(instance.name is not None for instance in self.instances)
            owners = np.repeat(ids, np.diff(starts))
            mesh = replace(mesh, object_ids=owners, objects=ids, object_attributes={NAME: names} if named else {})
        return keep_wanted(self.document.path, mesh, self.options)

    def _mesh(self, number: int, instance: _Instance) -> Mesh:
        primitive, matrix = instance.primitive, instance.matrix
        given = primitive["attributes"]
        positions = _real(self.document, given["POSITION"])
        rows = len(positions)
        if positions.shape[1] != 3:
            raise ValueError(f"positions have {positions.shape[1]} channels")
        if self.moved:
            positions = positions.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        faces = self._faces(number, primitive, rows)
        if np.linalg.det(matrix[:3, :3]) < 0:
            faces = faces[:, [0, 2, 1]]
        attributes: dict[str, Column] = {}
        for name, kept in self.kept.items():
            values = self.document.values(given[name])
            if len(values) != rows:
                raise ValueError(f"{name} has {len(values)} entries for {rows} vertices")
            if name == "NORMAL" and self.moved:
                values = _turned(values, matrix)
            attributes[kept] = values if values.shape[1] > 1 else values[:, 0]
        return Mesh(positions, faces, attributes=attributes)

    def _faces(self, number: int, primitive: JsonObject, rows: int) -> IntArray:
        corners = np.arange(rows)
        if "indices" in primitive:
            corners = self.document.values(primitive["indices"]).astype(np.int64)[:, 0]
        mode = primitive.get("mode", TRIANGLES)
        if mode == TRIANGLES:
            if len(corners) % 3:
                raise ValueError(f"primitive {number} has {len(corners)} corners of triangles")
            faces = corners.reshape(-1, 3)
        elif mode == FAN:
            turns = np.arange(max(len(corners) - 2, 0))
            faces = corners[np.stack([turns + 1, turns + 2, np.zeros_like(turns)], axis=1)]
        else:
            turns = np.arange(max(len(corners) - 2, 0))
            odd = turns % 2
            faces = corners[np.stack([turns, turns + 1 + odd, turns + 2 - odd], axis=1)]
        counts = np.full(len(faces), 3, np.int64)
        polygons = Polygons(
            self.document.path, counts, faces.reshape(-1), lambda face: f"face {face} of object {number}"
        )
        polygons.check(rows)
        return faces


def _real(document: Document, index: Any) -> AnyArray:
    """Values as float32; integers that stand for parts of their greatest value become these parts."""
    values = document.values(index)
    dtype, _, normalized = document.shape_of(index)
    if dtype.kind == "f" or not normalized:
        return values.astype(np.float32)
    return np.maximum(values / np.float32(np.iinfo(dtype).max), -1).astype(np.float32)


def _turned(normals: AnyArray, matrix: FloatArray) -> AnyArray:
    """Normals of a surface that a matrix moves, of length 1; where that makes no sense they stay as they are."""
    if normals.dtype.kind != "f" or np.linalg.det(matrix[:3, :3]) == 0:
        return normals
    turned = normals.astype(np.float64) @ np.linalg.inv(matrix[:3, :3])
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, turned / length, normals).astype(np.float32)


GLTF = Format(
    name="gltf",
    suffixes=(".glb", ".gltf"),
    description="glTF 2.0 meshes",
    open=_open,
    export=export_gltf,
    kinds=(GEOM_MESH,),
)
