"""PLY point clouds and meshes: ascii and binary of both byte orders are read, binary little endian is written.

A file with faces is a mesh; any other is a point cloud. Other elements than vertices and faces, such as edges and
materials, are named under ``headers["ply"]["ignored_elements"]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zarr_vectors.axes import Axis
from zarr_vectors.constants import GEOM_MESH, GEOM_POINT_CLOUD
from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import Format, ReadOptions, Source
from zarr_vectors.formats.ply_export import export_ply
from zarr_vectors.formats.ply_faces import faces_of, mesh_reader_of
from zarr_vectors.formats.ply_header import VERTEX, Element, Header, check_size, read_header
from zarr_vectors.formats.ply_reader import reader_of
from zarr_vectors.geometry import Geometry
from zarr_vectors.typing import JsonObject

__all__ = ["PLY"]


def _open(path: Path, options: ReadOptions) -> Source:
    """Read the header of a PLY file and describe its vertices; read the whole file where it is a mesh.

    Positions are the properties x, y and, where it is there, z, or those of ``options.positions``; all other
    properties are attributes. Every dtype is the one in the file; positions of several dtypes get their common one.
    A file with faces that list their vertices as ``vertex_indices`` or ``vertex_index`` is a mesh: their other
    properties are face attributes, lists of one length as channels. Lists of several lengths are named in
    ``headers["ply"]["dropped"]``.

    Raises:
        IngestError: Not PLY, truncated, without vertices, with a list per vertex, without a wanted property, a face
            without its vertices, or faces of several widths and not ``options.triangulate``.
    """
    with path.open("rb") as file:
        header = read_header(path, file)
    vertices = next((element for element in header.elements if element.name == VERTEX), None)
    if vertices is None:
        got = [element.name for element in header.elements]
        raise IngestError(f"{path} has no vertices", expected=f"an element {VERTEX!r}", got=got)
    if lists := [prop.name for prop in vertices.properties if prop.count is not None]:
        raise IngestError(f"{path} has a list property per vertex", expected="one value per vertex", got=lists)
    check_size(path, header)
    faces = faces_of(header)
    facts = _facts(header, [element for element in header.elements if element not in (vertices, faces)])
    batches: Iterable[Geometry]
    if faces is None:
        reader = reader_of(path, header, vertices, options)
        batches = reader.batches()
    else:
        mesh_reader = mesh_reader_of(path, header, vertices, faces, options)
        reader = mesh_reader.vertices
        mesh, dropped = mesh_reader.read()
        batches = [mesh]
        facts["dropped"] = [f"{faces.name} property {name}" for name in dropped]
    return Source(
        batches=batches,
        rows=vertices.rows,
        axes=tuple(map(Axis, reader.positions)),
        headers={"ply": facts},
    )


def _facts(header: Header, others: list[Element]) -> JsonObject:
    ignored = {e.name: {"count": e.rows, "properties": [prop.name for prop in e.properties]} for e in others}
    facts: JsonObject = {"format": header.encoding, "comments": header.comments, "obj_info": header.obj_info}
    return facts | {"ignored_elements": ignored}


PLY = Format(
    name="ply",
    suffixes=(".ply",),
    description="PLY point clouds and meshes",
    open=_open,
    export=export_ply,
    kinds=(GEOM_POINT_CLOUD, GEOM_MESH),
)
