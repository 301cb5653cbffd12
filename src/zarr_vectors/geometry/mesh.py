"""Meshes: surfaces of polygons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import GEOM_MESH
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.base import Put, as_columns, as_mapping
from zarr_vectors.geometry.columns import Column
from zarr_vectors.geometry.interchange.plain import plain_column
from zarr_vectors.geometry.interchange.scenes import in_space, surface
from zarr_vectors.geometry.interchange.tables import FACES, OBJECT_ID, ROW_ID, axes_of
from zarr_vectors.geometry.links import Linked, as_links, kept_links
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Mesh"]


@dataclass(frozen=True, eq=False, repr=False)
class Mesh(Linked):
    """A surface of polygons, all with the same number of corners.

    Args:
        positions: ``(N, D)`` vertices, D from 2.
        faces: ``(F, W)`` integer rows of ``positions``, W from 3; their order is the winding.
        face_attributes: ``{name: (F,) or (F, C) array}``.
        object_ids: ``(N,)`` int64 owner of each vertex; None where the mesh is one object.
        attributes, object_attributes, objects, groups, group_attributes, axes, row_ids, errors: As in ``Geometry``.

    Raises:
        InputError: Shapes or lengths contradict each other, or a face names a vertex that there is not.

    Example:
        >>> mesh = Mesh([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])
        >>> mesh.vertex_count, mesh.face_count
        (3, 1)
    """

    faces: IntArray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    face_attributes: Mapping[str, Column] = field(default_factory=dict, kw_only=True)

    geometry_type: ClassVar[str] = GEOM_MESH
    link_noun: ClassVar[str] = FACES
    link_ends: ClassVar[tuple[str, ...]] = ("vertices",)
    counted: ClassVar[tuple[str, ...]] = ("vertices", "vertex_count", "face_count")

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913 (one for each field)
            self,
            positions: npt.ArrayLike,
            faces: npt.ArrayLike = ...,
            *,
            face_attributes: Mapping[str, Any] = ...,
            object_ids: npt.ArrayLike | None = ...,
            attributes: Mapping[str, Any] = ...,
            object_attributes: Mapping[str, Any] = ...,
            objects: npt.ArrayLike | None = ...,
            groups: Mapping[int, Any] = ...,
            group_attributes: Mapping[str, Any] = ...,
            axes: Sequence[Any] | str | None = ...,
            row_ids: npt.ArrayLike | None = ...,
            errors: tuple[str, ...] = ...,
        ) -> None: ...

    def _connect(self, put: Put) -> None:
        super()._connect(put)
        put(self, "faces", as_links("faces", self.faces, len(self.positions)))
        given = as_mapping("face_attributes", self.face_attributes)
        put(self, "face_attributes", as_columns("face attribute", given, len(self.faces)))

    def to_trimesh(self) -> Any:
        """A ``trimesh.Trimesh``, in which nothing is merged, dropped or turned.

        Positions become float64 in the order x, y, z; polygons fans of triangles, which have the polygon's attributes.
        Attributes, ``object_id`` and ``row_id`` are ``vertex_attributes``, those of faces ``face_attributes``.

        Raises:
            InputError: There are other axes than two or three of space, or values are missing where a dtype has no
                room for that.
            MissingDependencyError: trimesh is not installed.

        Example:
            >>> float(Mesh([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]).to_trimesh().area)
            0.5
        """
        points = in_space(self.positions, axes_of(self.axes, self.positions))
        of_faces = {name: plain_column(name, column) for name, column in self.face_attributes.items()}
        return surface(points, self.faces, self._vertex_data(), of_faces)

    @classmethod
    def from_trimesh(cls, mesh: Any) -> Mesh:
        """A mesh from a ``trimesh.Trimesh``, with its vertex and face attributes.

        Raises:
            InputError: It is none, or an attribute makes no column.

        Example:
            >>> import trimesh
            >>> Mesh.from_trimesh(trimesh.creation.box()).face_count
            12
        """
        if not all(hasattr(mesh, name) for name in ("vertices", "faces", "vertex_attributes")):
            raise InputError("this is no Trimesh of trimesh", got=type(mesh).__name__)
        attributes = dict(mesh.vertex_attributes)
        owners, row_ids = attributes.pop(OBJECT_ID, None), attributes.pop(ROW_ID, None)
        return cls(
            np.asarray(mesh.vertices),
            np.asarray(mesh.faces),
            attributes=attributes,
            face_attributes=dict(mesh.face_attributes),
            object_ids=owners,
            row_ids=row_ids,
        )

    @classmethod
    def _of_links(
        cls, fields: dict[str, Any], links: AnyArray, attributes: Mapping[str, Column], _note: Mapping[str, Any]
    ) -> Self:
        return cls(**fields, faces=links, face_attributes=attributes)

    @property
    def vertices(self) -> AnyArray:
        """``positions`` under the name that meshes give them."""
        return self.positions

    @property
    def face_count(self) -> int:
        """Number of faces."""
        return len(self.faces)

    @property
    def links(self) -> IntArray:
        """``faces``."""
        return self.faces

    @property
    def link_attributes(self) -> Mapping[str, Column]:
        """``face_attributes``."""
        return self.face_attributes

    def within(self, mask: BoolArray) -> Mesh:
        """The vertices of a mask, and the faces all of whose corners are among them."""
        kept, new = self._of_rows(mask)
        faces, attributes = kept_links(self.faces, self.face_attributes, new)
        return replace(self, **kept, faces=faces, face_attributes=attributes)
