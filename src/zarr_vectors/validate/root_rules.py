"""Level 2: the root's documents, and what NGFF says about the levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.shell_checks import fact_problems
from zarr_vectors.core.state import KNOWN_CAPABILITIES, RootState
from zarr_vectors.exceptions import FormatError, MetadataError
from zarr_vectors.metadata.ngff import axes_of, level_transform
from zarr_vectors.metadata.root import RootMetadata, check_version, divides
from zarr_vectors.typing import JsonObject
from zarr_vectors.validate.nodes import Nodes
from zarr_vectors.validate.problems import Findings

__all__ = ["check_root"]

_FACTS = (
    "links_convention",
    "object_index_convention",
    "cross_chunk_strategy",
    "cross_level_storage",
    "cross_level_depth",
    "reduction_factor",
)
_SCOPES = frozenset({"vertex", "object", "link", "fragment", "group"})
_CLOSE = 1e-6
"""Relative difference of bins that are the same: other software may state them as float32."""


def check_root(nodes: Nodes, findings: Findings) -> RootState | None:
    """Check the root; None where nothing can be read without it."""
    block = nodes.attributes[constants.ROOT_KEY]
    try:
        check_version(block.get("zv_version"))
    except FormatError as error:
        findings.add_error("version_unknown", "", error)
    try:
        metadata = RootMetadata.parse(block, where="zarr.json")
    except MetadataError as error:
        findings.add_error("root_metadata", "", error)
        return None
    unknown = sorted(set(metadata.required_capabilities) - KNOWN_CAPABILITIES)
    if unknown:
        findings.add("version_unknown", "", f"it requires {unknown}")
    try:
        axes = axes_of(nodes.attributes.get("multiscales"))
    except MetadataError as error:
        findings.add_error("ngff_axes", "", error)
        return None
    names = [axis.name for axis in axes]
    if len(axes) != metadata.ndim:
        findings.add("ngff_axes", "", f"{len(axes)} axes, but chunk_shape has {metadata.ndim} numbers")
        return None
    if len(set(names)) != len(names) or not all(names):
        findings.add("ngff_axes", "", f"the axes have the names {names}")
    _check_facts(metadata, findings)
    root = RootState(nodes.root, metadata, axes)
    findings.attempt("", lambda: _check_ngff(root, nodes.levels, findings), "ngff_scale")
    findings.attempt("", lambda: _check_ome(root, nodes.levels, findings), "ngff_axes")
    return root


def _check_facts(metadata: RootMetadata, findings: Findings) -> None:
    def wrong(message: str) -> None:
        findings.add("root_metadata", "", message)

    low, high = (np.asarray(corner, dtype=np.float64) for corner in metadata.bounds)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        wrong(f"bounds are not finite: {metadata.bounds}")
    elif (low > high).any():
        wrong(f"bounds end before they begin: {metadata.bounds}")
    if not divides(metadata.chunk_shape, metadata.bin_shape):
        wrong(f"bins of {metadata.bin_shape} do not fill chunks of {metadata.chunk_shape}")
    for problem in fact_problems({name: getattr(metadata, name) for name in _FACTS}):
        wrong(problem)
    offset = metadata.coordinate_offset
    if offset is not None and (len(offset) != metadata.ndim or not np.isfinite(offset).all()):
        wrong(f"coordinate_offset is {offset}, not {metadata.ndim} finite numbers")
    for problem in _specs_problems(metadata.attribute_specs or {}):
        wrong(problem)
    if not metadata.geometry_types:
        findings.add("no_geometry_types", "", "geometry_types is empty")


def _specs_problems(specs: JsonObject) -> Iterator[str]:
    for scope, named in specs.items():
        if scope not in _SCOPES or not isinstance(named, dict):
            yield f"attribute_specs has an entry {scope!r}"
            continue
        for name, spec in named.items():
            problem = _spec_problem(spec)
            if problem:
                yield f"attribute_specs of {scope} {name!r}: {problem}"


def _spec_problem(spec: Any) -> str | None:
    if not isinstance(spec, dict):
        return "it is no object"
    try:
        np.dtype(spec["dtype"])
    except (KeyError, TypeError) as error:
        # Text has no dtype of numpy's that is stored.
        return None if spec.get("dtype") in ("string", "str", "text") else f"its dtype is missing or unknown: {error}"
    return None


@dataclass(frozen=True)
class _Entry:
    """What ``multiscales`` says of a level."""

    scale: Any
    translation: Any

    def problem(self, ndim: int) -> str | None:
        for name, value in (("scale", self.scale), ("translation", self.translation)):
            if value is None and name == "translation":
                continue
            if not _is_numbers(value, ndim):
                return f"{name} is {value!r}, not {ndim} finite numbers"
        return "scale must be above 0" if min(self.scale) <= 0 else None


def _is_numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in value)
        and bool(np.isfinite(np.asarray(value, dtype=np.float64)).all())
    )


def _check_ngff(root: RootState, levels: Sequence[int], findings: Findings) -> None:
    block = root.attributes["multiscales"]
    paths = [str(entry.get("path")) for entry in block[0].get("datasets") or []]
    for level in levels:
        path = str(level)
        if path not in paths:
            findings.add("ngff_level", path, "multiscales has no entry of the level")
            continue
        findings.attempt(path, partial(_check_transform, root, level, findings), "ngff_scale")
    twice = sorted({path for path in paths if paths.count(path) > 1})
    gone = sorted(path for path in set(paths) if path.isdecimal() and int(path) not in levels)
    if twice:
        findings.add("ngff_scale", "", f"multiscales has several entries of levels {twice}")
    if gone:
        findings.add("ngff_stale", "", f"multiscales names levels that do not exist: {gone}")


def _check_transform(root: RootState, level: int, findings: Findings) -> None:
    entry = _Entry(*level_transform(root.attributes["multiscales"], level))
    problem = entry.problem(root.metadata.ndim) or _scale_problem(root, level, entry)
    if problem:
        findings.add("ngff_scale", str(level), problem)


def _scale_problem(root: RootState, level: int, entry: _Entry) -> str | None:
    """Whether scale and translation say one bin shape, that of level 0 as the root states it."""
    bins = np.asarray(root.metadata.bin_shape, dtype=np.float64)
    scale = np.asarray(entry.scale, dtype=np.float64)
    if level == 0:
        if not np.allclose(scale, 1, rtol=_CLOSE, atol=0):
            return f"scale of level 0 is {entry.scale}, not 1"
        half = bins / 2 if root.offset is None else np.asarray(root.offset)
    else:
        half = bins * scale / 2
    if entry.translation is None:
        return None if not half.any() else f"translation is missing, and must be {half.tolist()}"
    if not np.allclose(entry.translation, half, rtol=_CLOSE, atol=0):
        return f"translation is {entry.translation}, but scale {entry.scale} makes it {half.tolist()}"
    return None


def _check_ome(root: RootState, levels: Sequence[int], findings: Findings) -> None:
    node = root.attributes.get("ome")
    if node is None:
        return
    nodes = node["nodes"]
    named = [str(entry["name"]) for entry in nodes if entry.get("type") == "zv:level"]
    if sorted(named) != sorted(map(str, levels)):
        findings.add("ngff_stale", "", f"the ome node names levels {named}, there are {list(levels)}")
    for system in _systems(node):
        axes = [axis.get("name") for axis in system.get("axes") or []]
        if system.get("name") == "world" and axes != [axis.name for axis in root.axes]:
            findings.add(
                "ngff_axes", "", f"the ome node has the axes {axes}, multiscales {[a.name for a in root.axes]}"
            )


def _systems(node: JsonObject) -> list[JsonObject]:
    scene = (node.get("attributes") or {}).get("scene") or {}
    return list(scene.get("coordinateSystems") or [])
