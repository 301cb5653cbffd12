"""What sets one geometry kind apart from another when it is written and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from zarr_vectors import constants
from zarr_vectors.exceptions import ConventionError, InputError
from zarr_vectors.geometry import Geometry, Graph, Lines, Mesh, Points, Polylines, Skeleton

__all__ = ["KINDS", "POINT_CLOUD", "Connects", "Kind", "kind_of_types", "kind_of_value"]

Connects: TypeAlias = Literal["nothing", "sequence", "tree", "links"]
"""How vertices are connected: not at all, each to the next, each to its parent, or by stored links."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A geometry kind.

    Args:
        geometry_type: The name in the root's ``geometry_types``.
        value: The class of its values.
        links_convention: How links are said.
        connects: What connects its vertices.
        family: Kinds of one family may share a level.
        mode: What a read by box returns by default.
    """

    geometry_type: str
    value: type[Geometry]
    links_convention: str
    connects: Connects
    family: str
    mode: str = "objects"

    @property
    def is_linked(self) -> bool:
        """Whether vertices always belong to objects."""
        return self.connects != "nothing"


def _line_kind(geometry_type: str, value: type[Geometry]) -> Kind:
    return Kind(
        geometry_type=geometry_type,
        value=value,
        links_convention=constants.LINKS_IMPLICIT_SEQUENTIAL,
        connects="sequence",
        family="lines",
    )


POINT_CLOUD = Kind(
    geometry_type=constants.GEOM_POINT_CLOUD,
    value=Points,
    links_convention=constants.LINKS_IMPLICIT_SEQUENTIAL,
    connects="nothing",
    family="points",
    mode="vertices",
)
_ALL = (
    POINT_CLOUD,
    _line_kind(constants.GEOM_LINE, Lines),
    _line_kind(constants.GEOM_POLYLINE, Polylines),
    _line_kind(constants.GEOM_STREAMLINE, Polylines),
    Kind(
        geometry_type=constants.GEOM_GRAPH,
        value=Graph,
        links_convention=constants.LINKS_EXPLICIT,
        connects="links",
        family="graph",
    ),
    Kind(
        geometry_type=constants.GEOM_SKELETON,
        value=Skeleton,
        links_convention=constants.LINKS_IMPLICIT_BRANCHES,
        connects="tree",
        family="skeleton",
    ),
    Kind(
        geometry_type=constants.GEOM_MESH,
        value=Mesh,
        links_convention=constants.LINKS_EXPLICIT,
        connects="links",
        family="mesh",
    ),
)
KINDS = {kind.geometry_type: kind for kind in _ALL}


def kind_of_value(value: Any) -> Kind:
    """The kind of a geometry value.

    Raises:
        InputError: It is not one.

    Example:
        >>> kind_of_value(Polylines([[[0.0, 0.0]]], kind="streamline")).geometry_type
        'streamline'
    """
    if isinstance(value, Polylines):
        return KINDS[value.kind]
    if isinstance(value, Geometry):
        return KINDS[value.geometry_type]
    raise InputError(
        "this is not a geometry value", got=type(value).__name__, hint="wrap positions in zv.Points(positions)"
    )


def kind_of_types(types: Sequence[str], store: str | None = None) -> Kind:
    """The kind of what a store holds, by its ``geometry_types``; points where they say nothing.

    Raises:
        ConventionError: Kinds that cannot share a level, or one that is not known.

    Example:
        >>> kind_of_types(["line", "polyline"]).geometry_type, kind_of_types([]).geometry_type
        ('polyline', 'point_cloud')
    """
    unknown = [name for name in types if name not in KINDS]
    if unknown:
        raise ConventionError("the store holds a geometry type that is not known", store=store, got=unknown)
    kinds = [KINDS[name] for name in types]
    if len({kind.family for kind in kinds}) > 1:
        raise ConventionError(
            "the store mixes kinds of geometry, and nothing in it says which vertices are of which kind",
            store=store,
            got=list(types),
            hint="write each kind to a store of its own",
        )
    # Lines are polylines of two vertices, so the later kinds can say what the earlier ones hold.
    ranked = [name for name in KINDS if name in types]
    return KINDS[ranked[-1]] if ranked else POINT_CLOUD
