"""How glTF files are written: one mesh and node per object, all numbers in one buffer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.gltf_document import (
    BINARY_CHUNK,
    CHANNELS,
    COMPONENTS,
    HEADER_BYTES,
    JSON_CHUNK,
    MAGIC,
)
from zarr_vectors.formats.meshes import NAME, names_of, object_slices, refuse_others, xyz_positions
from zarr_vectors.geometry import Categorical, Mesh
from zarr_vectors.rowwise import extremes
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["OURS", "SEMANTICS", "export_gltf"]

OURS = "zarr_vectors"
"""Key of what this library adds to ``asset.extras``."""
SEMANTICS = {"NORMAL": "normal", "COLOR_0": "color", "TEXCOORD_0": "texcoord"}
ALLOWED = {"normal": ("float32", (3,)), "color": ("float32 uint8 uint16", (3, 4)), "texcoord": ("float32", (2,))}
CUSTOM = ("float32 int8 uint8 int16 uint16", (1, 2, 3, 4))
ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963
ALIGN = 4
CODES = {dtype: code for code, dtype in COMPONENTS.items()}
TYPES = {channels: name for name, channels in CHANNELS.items()}
MOST_BYTES = (1 << 32) - 1
COPY_BYTES = 3 << 20
DATA_URI = "data:application/octet-stream;base64,"


def export_gltf(path: Path, batches: Iterator[Mesh], context: ExportContext) -> int:
    """Write a GLB file, or by its suffix a glTF file that holds its buffer as text; returns the number of vertices.

    Every object is a node with a mesh of triangles, in order of its first vertex; ids are not said. As glTF asks,
    positions are rounded to float32. ``normal``, ``color`` and ``texcoord`` have places in glTF, other attributes
    become custom ones, ``_NAME``. Coordinates are written as they are, although glTF is in metres; their unit is kept
    under ``asset.extras``. A third axis that is missing is 0.

    Raises:
        ExportError: Faces that are no triangles, an object without any, attributes that are not of a type and width of
            glTF, face attributes, groups, or more than 4 GiB; no file is left.
    """
    rows, complete = 0, False
    file = path.open("xb")
    try:
        with file, TemporaryFile(dir=path.parent) as spool:
            first = next(batches)
            scene = _Scene(spool, context.axes[0].unit)
            for mesh in chain([first], batches):
                if _columns(mesh) != _columns(first):
                    raise ExportError("all batches must have the same columns", got=list(mesh.attributes))
                scene.add(mesh, xyz_positions("glTF", mesh, context.axes))
                rows += mesh.vertex_count
            spool.seek(0)
            if path.suffix.lower() == ".glb":
                _write_glb(file, scene.document(None), spool, scene.size)
            else:
                _write_json(file, scene.document(DATA_URI), spool)
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return rows


def _columns(mesh: Mesh) -> dict[str, Any]:
    return {name: (column.dtype, column.shape[1:]) for name, column in mesh.attributes.items()}


def _check(mesh: Mesh) -> None:
    refuse_others("glTF", mesh, vertex=tuple(mesh.attributes), objects=(NAME,))
    if mesh.face_count and mesh.faces.shape[1] != 3:
        got = f"faces of {mesh.faces.shape[1]} corners"
        raise ExportError("glTF holds triangles only", got=got, hint="export to OBJ, OFF or PLY")
    for name, column in mesh.attributes.items():
        dtypes, widths = ALLOWED.get(name, CUSTOM)
        width = 1 if len(column.shape) == 1 else column.shape[1] if len(column.shape) == 2 else 0
        lone = width == 1 and len(column.shape) == 2
        if isinstance(column, Categorical) or column.dtype.name not in dtypes.split() or width not in widths or lone:
            expected = f"{dtypes.replace(' ', ' or ')} in {' or '.join(map(str, widths))} channels"
            got = f"{column.dtype.name} of shape {column.shape}"
            hint = "cast it, or pass attributes without it"
            raise ExportError(f"glTF cannot hold attribute {name!r}", expected=expected, got=got, hint=hint)
        if not name:
            raise ExportError("glTF cannot have this attribute name", got=repr(name))


class _Scene:
    """Collects objects: their numbers in a spool, and what the document says of these."""

    def __init__(self, spool: IO[bytes], unit: str | None) -> None:
        self.spool, self.unit = spool, unit
        self.size = 0
        self.views: list[JsonObject] = []
        self.accessors: list[JsonObject] = []
        self.meshes: list[JsonObject] = []
        self.nodes: list[JsonObject] = []

    def add(self, mesh: Mesh, positions: AnyArray) -> None:
        """Append the objects of a batch."""
        _check(mesh)
        names = names_of(mesh)
        with np.errstate(over="ignore"):
            rounded = positions.astype(np.float32)
        if not np.isfinite(rounded).all():
            raise ExportError("glTF cannot hold these positions", expected="finite float32")
        new = np.empty(mesh.vertex_count, np.uint32)
        for owner, vertices, faces in object_slices(mesh):
            if not len(faces):
                raise ExportError("glTF cannot hold an object without faces", got=f"object {owner}")
            new[vertices] = np.arange(len(vertices), dtype=np.uint32)
            where = {"POSITION": self._accessor(rounded[vertices], ARRAY_BUFFER)}
            for name, column in mesh.attributes.items():
                semantic = next((key for key, value in SEMANTICS.items() if value == name), f"_{name}")
                normalized = semantic == "COLOR_0" and column.dtype.kind == "u"
                where[semantic] = self._accessor(np.asarray(column)[vertices], ARRAY_BUFFER, normalized=normalized)
            indices = self._accessor(new[mesh.faces[faces]].reshape(-1), ELEMENT_BUFFER)
            title = names.get(owner)
            called = {} if title is None else {"name": title}
            self.meshes.append({"primitives": [{"attributes": where, "indices": indices, "mode": 4}]} | called)
            self.nodes.append({"mesh": len(self.meshes) - 1} | called)

    def _accessor(self, values: AnyArray, target: int, *, normalized: bool = False) -> int:
        table = values.reshape(len(values), -1)
        dtype = table.dtype.newbyteorder("<")
        width = table.shape[1] * dtype.itemsize
        # What is said of vertices must begin at multiples of four bytes.
        stride = width if target == ELEMENT_BUFFER else -(-width // ALIGN) * ALIGN
        padded = np.zeros((len(table), stride), np.uint8)
        padded[:, :width] = np.ascontiguousarray(table.astype(dtype)).view(np.uint8).reshape(len(table), width)
        view: JsonObject = {"buffer": 0, "byteOffset": self.size, "byteLength": padded.size, "target": target}
        if target == ARRAY_BUFFER:
            view["byteStride"] = stride
        self.spool.write(padded.tobytes())
        self.size += padded.size
        entry: JsonObject = {
            "bufferView": len(self.views),
            "componentType": CODES[dtype],
            "count": len(table),
            "type": TYPES[table.shape[1]],
        }
        if normalized:
            entry["normalized"] = True
        if table.dtype == np.float32 and table.shape[1] == 3:
            low, high = extremes(table)
            entry |= {"min": low.tolist(), "max": high.tolist()}
        self.views.append(view)
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def document(self, uri: str | None) -> bytes:
        """The document, without spaces."""
        asset = {"version": "2.0", "generator": OURS, "extras": {OURS: {"unit": self.unit}}}
        scene: JsonObject = {"nodes": list(range(len(self.nodes)))} if self.nodes else {}
        document: JsonObject = {"asset": asset, "scene": 0, "scenes": [scene]}
        if self.nodes:
            buffer = {"byteLength": self.size} | ({} if uri is None else {"uri": uri})
            # Before all names, so that its uri is found first.
            document = {"buffers": [buffer]} | document | {"nodes": self.nodes, "meshes": self.meshes}
            document |= {"accessors": self.accessors, "bufferViews": self.views}
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _write_glb(file: IO[bytes], document: bytes, spool: IO[bytes], size: int) -> None:
    document += b" " * (-len(document) % ALIGN)
    length = HEADER_BYTES + 8 + len(document) + (8 + size if size else 0)
    if length > MOST_BYTES:
        raise ExportError("GLB cannot hold so much", expected=f"at most {MOST_BYTES} bytes", got=length)
    words = (2, length, len(document), JSON_CHUNK)
    file.write(MAGIC + b"".join(word.to_bytes(4, "little") for word in words) + document)
    if size:
        file.write(size.to_bytes(4, "little") + BINARY_CHUNK.to_bytes(4, "little"))
        while block := spool.read(COPY_BYTES):
            file.write(block)


def _write_json(file: IO[bytes], document: bytes, spool: IO[bytes]) -> None:
    before, found, after = document.partition(DATA_URI.encode())
    if not found:
        file.write(document)
        return
    file.write(before + found)
    # Three bytes are four characters, so that pieces of multiples of three can be joined.
    while block := spool.read(COPY_BYTES):
        file.write(base64.b64encode(block))
    file.write(after)
