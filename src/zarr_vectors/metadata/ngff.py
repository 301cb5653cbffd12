"""The OME-NGFF blocks of the root: ``multiscales`` (shaped like 0.4) and the ``ome`` collection node.

``multiscales`` is the only record of the axes and of the bin shape of coarser levels:
``scale`` is the level's bin shape over the root's, ``translation`` is half the level's bin shape.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.typing import JsonObject

__all__ = [
    "axes_of",
    "dataset_entry",
    "level_names",
    "level_transform",
    "multiscales_block",
    "ome_node",
    "upsert_dataset",
    "without_dataset",
]


def multiscales_block(axes: Sequence[Axis], bin_shape: Sequence[float]) -> list[JsonObject]:
    """The block of a store with level 0 only.

    Example:
        >>> block = multiscales_block([Axis("x")], [10])
        >>> block[0]["datasets"][0]["coordinateTransformations"][1]
        {'type': 'translation', 'translation': [5.0]}
    """
    return [
        {
            "version": "0.4",
            "name": "default",
            "axes": [axis.to_json() for axis in axes],
            "datasets": [dataset_entry(0, [1.0] * len(axes), [float(edge) / 2 for edge in bin_shape])],
            "metadata": {"format": "zarr_vectors"},
        }
    ]


def dataset_entry(level: int, scale: Sequence[float], translation: Sequence[float] | None) -> JsonObject:
    """One level's entry; an all-zero translation is left out."""
    transforms: list[JsonObject] = [{"type": "scale", "scale": [float(v) for v in scale]}]
    if translation is not None and any(translation):
        transforms.append({"type": "translation", "translation": [float(v) for v in translation]})
    return {"path": str(level), "coordinateTransformations": transforms}


def upsert_dataset(block: list[JsonObject], entry: JsonObject) -> list[JsonObject]:
    """The block with a level's entry put in, sorted by level."""
    first = dict(block[0])
    others = [old for old in _datasets(block) if str(old.get("path")) != entry["path"]]
    first["datasets"] = sorted([*others, entry], key=_place)
    return [first, *block[1:]]


def _place(entry: JsonObject) -> tuple[bool, int, str]:
    """Levels by number, before entries that others have added."""
    path = str(entry.get("path"))
    return not path.isdecimal(), int(path) if path.isdecimal() else 0, path


def without_dataset(block: list[JsonObject], level: int) -> list[JsonObject]:
    """The block without a level's entry."""
    first = dict(block[0])
    first["datasets"] = [entry for entry in _datasets(block) if str(entry.get("path")) != str(level)]
    return [first, *block[1:]]


def axes_of(block: Any) -> tuple[Axis, ...]:
    """The axes that a ``multiscales`` block states.

    Raises:
        MetadataError: There is no such block, or it has no named axes.
    """
    try:
        entries = block[0]["axes"]
        axes = tuple(Axis(str(entry["name"]), entry.get("unit"), entry.get("type") or "space") for entry in entries)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise MetadataError("root metadata has no multiscales block with named axes") from error
    if not all(_is_text(axis.type) and _is_text(axis.unit or "") for axis in axes):
        raise MetadataError("an axis of the multiscales block has a type or unit that is not text")
    if not axes:
        raise MetadataError("root metadata has a multiscales block without axes")
    return axes


def level_transform(block: Any, level: int) -> tuple[list[float] | None, list[float] | None]:
    """``(scale, translation)`` of a level, a finite number for each axis; each None where not stated.

    Raises:
        MetadataError: The block is malformed.
    """
    for entry in _datasets(block):
        if str(entry.get("path")) == str(level):
            parts = _objects(entry.get("coordinateTransformations"), "coordinateTransformations")
            found = {str(part.get("type")): part for part in parts}
            return _per_axis(found, "scale", block), _per_axis(found, "translation", block)
    return None, None


def level_names(ome: Any, block: Any) -> list[str]:
    """The names of the levels: those of the ``ome`` node, or else those that the ``multiscales`` block has.

    Raises:
        MetadataError: A block is malformed.
    """
    nodes = _objects(ome.get("nodes") if isinstance(ome, dict) else None, "nodes")
    names = [str(node.get("name")) for node in nodes if node.get("type") == "zv:level"]
    return names or [str(entry.get("path")) for entry in _datasets(block)]


def _datasets(block: Any) -> list[JsonObject]:
    """The entries of the levels.

    Raises:
        MetadataError: The block is malformed.
    """
    return _objects(_objects(block, "multiscales")[0].get("datasets"), "datasets") if block else []


def _objects(value: Any, name: str) -> list[JsonObject]:
    if not isinstance(value or [], list) or not all(isinstance(item, dict) for item in value or []):
        raise MetadataError("the NGFF blocks of the root are malformed", got=f"{name} is not a list of objects")
    return value or []


def _per_axis(found: Mapping[str, JsonObject], name: str, block: Any) -> list[float] | None:
    values = found.get(name, {}).get(name)
    if values is None:
        return None
    rank = len(axes_of(block))
    if not isinstance(values, list) or len(values) != rank or not all(map(_is_finite, values)):
        raise MetadataError(f"a {name} of the multiscales block is not {rank} finite numbers", got=repr(values)[:200])
    return values


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max


def ome_node(name: str, axes: Sequence[Axis], levels: Sequence[int], old: JsonObject | None = None) -> JsonObject:
    """The ``ome`` node; foreign keys of an old one are kept.

    Example:
        >>> ome_node("scan", [Axis("x")], [0])["nodes"]
        [{'type': 'zv:level', 'name': '0'}]
    """
    world = {"name": "world", "axes": [axis.to_json() for axis in axes]}
    fresh = {
        "version": "0.6",
        "type": "collection",
        "name": name,
        "attributes": {"scene": {"coordinateSystems": [world], "coordinateTransformations": []}},
    }
    kept = [node for node in _objects((old or {}).get("nodes"), "nodes") if node.get("type") != "zv:level"]
    nodes = [{"type": "zv:level", "name": str(level)} for level in levels]
    return {**fresh, **(old or {}), "nodes": nodes + kept}
