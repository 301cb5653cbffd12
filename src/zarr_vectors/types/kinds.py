"""What sets one geometry kind apart from another when it is written."""

from __future__ import annotations

from dataclasses import dataclass

from zarr_vectors import constants

__all__ = ["KINDS", "POINT_CLOUD", "Kind"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A geometry kind.

    Args:
        geometry_type: The name in the root's ``geometry_types``.
        links_convention: How links are said.
    """

    geometry_type: str
    links_convention: str


POINT_CLOUD = Kind(geometry_type=constants.GEOM_POINT_CLOUD, links_convention=constants.LINKS_IMPLICIT_SEQUENTIAL)

KINDS = {kind.geometry_type: kind for kind in (POINT_CLOUD,)}
