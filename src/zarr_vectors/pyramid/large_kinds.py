"""Which way of coarsening block by block a kind has."""

from __future__ import annotations

from pathlib import Path

from zarr_vectors.geometry import Mesh
from zarr_vectors.pyramid.coarse import Policy
from zarr_vectors.pyramid.large import Large
from zarr_vectors.pyramid.large_graph import LargeGraph
from zarr_vectors.pyramid.large_mesh import LargeMesh
from zarr_vectors.pyramid.source import Finer
from zarr_vectors.pyramid.tasks import Crew
from zarr_vectors.typing import IntArray

__all__ = ["large_of"]


def large_of(
    finer: Finer, policy: Policy, objects: IntArray | None, multiples: IntArray, folder: Path, crew: Crew
) -> Large:
    """A level of graphs or meshes that is coarsened block by block; the arguments are those of ``Large``."""
    made = LargeMesh if issubclass(finer.kind.value, Mesh) else LargeGraph
    return made(finer, policy, objects, multiples, folder, crew)
