"""Level 2: what levels say about themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.chunk_axis import chunk_column
from zarr_vectors.core.state import RootState
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.root import LevelMetadata, divides
from zarr_vectors.validate.nodes import Nodes, attributes_of
from zarr_vectors.validate.problems import Findings

__all__ = ["check_level"]

_CLOSE = 1e-6


def check_level(root: RootState, nodes: Nodes, number: int, findings: Findings) -> LevelMetadata | None:
    """Check a level's own document; None where it cannot be parsed."""
    path = str(number)
    block = attributes_of(nodes.documents[path]).get(constants.LEVEL_KEY) or {}
    try:
        metadata = LevelMetadata.parse(block, where=f"{path}/zarr.json")
    except MetadataError as error:
        findings.add_error("level_metadata", path, error)
        return None
    for problem in [*_number_problems(metadata, number), *_shape_problems(root, metadata, number)]:
        findings.add("level_metadata", path, problem)
    if metadata.chunk_attribute_name is not None:
        findings.attempt(path, lambda: _check_axis(metadata), "level_metadata")
    below = nodes.below(path)
    for name in metadata.arrays_present:
        if name not in below and f"{path}/{name}" not in nodes.corrupt:
            findings.add("arrays_present", path, f"{name!r} is not there")
    return metadata


def _number_problems(metadata: LevelMetadata, number: int) -> list[str]:
    problems = []
    if "level" in metadata.model_fields_set and metadata.level != number:
        problems.append(f"it says that it is level {metadata.level}")
    if metadata.vertex_count < 0:
        problems.append(f"vertex_count is {metadata.vertex_count}")
    if not 0 < metadata.object_sparsity <= 1:
        problems.append(f"object_sparsity is {metadata.object_sparsity}, not above 0 and at most 1")
    if metadata.inherited_num_objects is not None and metadata.inherited_num_objects < 0:
        problems.append(f"inherited_num_objects is {metadata.inherited_num_objects}")
    if not metadata.coarsening_method:
        problems.append("coarsening_method is empty")
    if number == 0 and metadata.parent_level is not None:
        problems.append(f"level 0 has the parent {metadata.parent_level}")
    return problems


def _shape_problems(root: RootState, metadata: LevelMetadata, number: int) -> list[str]:
    ndim = root.metadata.ndim
    problems = []
    chunk = metadata.chunk_shape
    if chunk is not None:
        if len(chunk) != ndim or not all(0 < edge < float("inf") for edge in chunk):
            return [f"chunk_shape is {chunk}, not {ndim} finite numbers above 0"]
        if not divides(chunk, root.metadata.chunk_shape):
            problems.append(f"chunk_shape {chunk} is no whole multiple of the root's {root.metadata.chunk_shape}")
    problems += _bin_problems(metadata, ndim)
    problems += _pyramid_problems(metadata, ndim)
    if number and not problems:
        problems += _fill_problems(root, metadata, number)
    dims = metadata.chunk_dims
    if dims is not None and (len(dims) != ndim + 1 or len(set(dims)) != len(dims)):
        problems.append(f"chunk_dims is {dims}, not {ndim + 1} different names")
    if (metadata.chunk_attribute_name is None) != (metadata.chunk_attribute_values is None):
        problems.append("of chunk_attribute_name and chunk_attribute_values one is missing")
    if metadata.chunk_attribute_name is not None and dims is None:
        problems.append("there is a chunk_attribute_name, but no chunk_dims")
    return problems


def _fill_problems(root: RootState, metadata: LevelMetadata, number: int) -> list[str]:
    """Bins that lie in chunks must fill them."""
    try:
        bins = np.asarray(root.level_bin_shape(number), dtype=np.float64)
    except (TypeError, ValueError, AttributeError):
        # Told as a problem of the NGFF entry.
        return []
    edges = np.asarray(metadata.chunk_shape or root.metadata.chunk_shape, dtype=np.float64)
    if (
        len(bins) != len(edges)
        or not (bins > 0).all()
        or (bins > edges).any()
        or divides(edges.tolist(), bins.tolist())
    ):
        return []
    return [f"bins of {bins.tolist()} do not fill chunks of {edges.tolist()}"]


def _pyramid_problems(metadata: LevelMetadata, ndim: int) -> list[str]:
    """How the level says that it was made from its parent."""
    facts = metadata.pyramid
    if facts is None:
        return []
    problems = []
    if len(facts.factor) != ndim or not all(1 <= one < float("inf") for one in facts.factor):
        problems.append(f"pyramid.factor is {list(facts.factor)}, not {ndim} numbers from 1")
    if not 1 <= facts.sparsity < float("inf"):
        problems.append(f"pyramid.sparsity is {facts.sparsity}, not a number from 1")
    elif abs(facts.sparsity * metadata.object_sparsity - 1) > _CLOSE:
        problems.append(f"pyramid.sparsity is {facts.sparsity}, and object_sparsity {metadata.object_sparsity}")
    if not facts.method:
        problems.append("pyramid.method is empty")
    return problems


def _bin_problems(metadata: LevelMetadata, ndim: int) -> list[str]:
    """Bins that stand in the level itself, where other versions had them."""
    problems = []
    for name, least in (("bin_shape", 0.0), ("bin_ratio", 1.0)):
        value: Any = getattr(metadata, name)
        if value is None:
            continue
        try:
            edges = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            edges = np.zeros(0)
        if edges.shape != (ndim,) or not np.isfinite(edges).all() or not (edges >= least).all() or not edges.all():
            problems.append(f"{name} is {value!r}")
    return problems


def _check_axis(metadata: LevelMetadata) -> None:
    """Raises where the values that the level is chunked by are malformed."""
    chunk_column(metadata)
