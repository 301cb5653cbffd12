"""Adding and removing resolution levels, with everything in a store that tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.level_shell import empty_level
from zarr_vectors.core.levels import as_level, bin_of, get_resolution_level, level_blocks, root_facts
from zarr_vectors.exceptions import InputError, MetadataError, StoreError, StoreExistsError, StoreNotFoundError
from zarr_vectors.metadata.ngff import axes_of, dataset_entry, ome_node, upsert_dataset, without_dataset
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata, divides
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import check_edges
from zarr_vectors.typing import JsonObject

__all__ = ["add_resolution_level", "create_resolution_level", "remove_resolution_level"]

_MOST_CHUNKS = 4096
"""Chunks of level 0 along an axis that a chunk of a coarser level may span."""


def add_resolution_level(
    root: Group,
    level_index: int,
    bin_ratio: Any,
    *,
    object_sparsity: float = 1.0,
    coarsening_method: str = constants.COARSEN_MANUAL,
    parent_level: int | None = None,
) -> Group:
    """Make an empty level whose bins are so many times those of level 0.

    Where bins of that size do not fill chunks of level 0, the level's chunks are enlarged to the smallest multiple of
    those that they do fill.

    Args:
        root: The root group of a store.
        level_index: Number of the level, from 1.
        bin_ratio: Factor along each axis from 1, or one for all.
        object_sparsity: Share of the parent's objects that the level keeps, above 0 and at most 1.
        coarsening_method: How it is made from its parent: ``"manual"``, ``"per_object"``, or the name of another way.
        parent_level: The level that it is made from; the next finer one by default.

    Returns:
        The level's group.

    Raises:
        StoreError: The level exists.
        MetadataError: Numbers that cannot be meant, or a parent that there is not.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> import zarr_vectors as zv
        >>> from zarr_vectors.core.store import read_level_metadata
        >>> root = zv.create_store("memory://add-level-doc", ndim=2)
        >>> _ = add_resolution_level(root, 1, 2)
        >>> read_level_metadata(root, 1).chunk_shape, read_level_metadata(root, 1).bin_shape
        ((256.0, 256.0), [256.0, 256.0])
    """
    number = as_level(level_index)
    facts = {
        "level": number,
        "object_sparsity": object_sparsity,
        "vertex_count": 0,
        "coarsening_method": coarsening_method,
        "parent_level": parent_level,
        "arrays_present": [constants.VERTICES],
        "bin_ratio": bin_ratio,
    }
    return _add(root, number, facts, takes_parent=True)


def create_resolution_level(root: Group, level: int, level_metadata: LevelMetadata | Mapping[str, Any]) -> Group:
    """Make an empty level with these metadata.

    Its bins are written to the NGFF block, from ``bin_shape`` or ``bin_ratio``, and not to the level's own attributes.

    Args:
        root: The root group of a store.
        level: Number of the level, from 1.
        level_metadata: ``LevelMetadata`` or the same as a mapping; ``parent_level`` must be given.

    Returns:
        The level's group.

    Raises:
        StoreError: The level exists.
        MetadataError: Metadata that contradict each other or the store.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> import zarr_vectors as zv
        >>> root = zv.create_store("memory://create-level-doc", ndim=2)
        >>> level = create_resolution_level(root, 1, {"level": 1, "parent_level": 0, "bin_shape": [256, 256]})
        >>> sorted(level.attrs["zarr_vectors_level"])[:3]
        ['arrays_present', 'chunk_shape', 'coarsening_method']
    """
    number = as_level(level)
    given: Any = level_metadata
    facts = given.to_json() if isinstance(given, LevelMetadata) else dict(given) if isinstance(given, Mapping) else None
    if facts is None:
        raise InputError("level_metadata must be LevelMetadata or a mapping", got=type(given).__name__)
    if facts.setdefault("level", number) != number:
        raise MetadataError("level_metadata are those of another level", expected=number, got=facts["level"])
    defaults = {
        "object_sparsity": 1.0,
        "vertex_count": 0,
        "coarsening_method": constants.COARSEN_MANUAL,
        "arrays_present": [constants.VERTICES],
    }
    return _add(root, number, {**defaults, **facts}, takes_parent=False)


def _add(root: Group, number: int, facts: JsonObject, *, takes_parent: bool) -> Group:
    session = root.session
    session.check_writable()
    with session.storage.lock():
        attributes, metadata = root_facts(root)
        levels = level_blocks(root)
        if number in levels:
            raise StoreExistsError(f"the store has a level {number} already", store=root.url)
        parent = facts["parent_level"] if facts.get("parent_level") is not None else None
        if parent is None and takes_parent:
            parent = max((known for known in levels if known < number), default=None)
        level = _checked(metadata, levels, {**facts, "parent_level": parent})
        bins = _bins(metadata, level)
        chunk = _chunks(metadata, level, bins)
        scale = [a / b for a, b in zip(bins, metadata.bin_shape, strict=True)]
        entry = dataset_entry(number, scale, [edge / 2 for edge in bins])
        kept = {key: value for key, value in level.to_json().items() if key not in ("bin_shape", "bin_ratio")}
        if chunk != tuple(metadata.chunk_shape):
            kept["chunk_shape"] = list(chunk)
        named = sorted([*levels, number])
        multiscales = upsert_dataset(attributes["multiscales"], entry)
        node = ome_node(session.storage.name, axes_of(multiscales), named, attributes.get("ome"))
        documents = _documents(root, metadata, LevelMetadata.parse(kept, where=f"{number}/zarr.json"), chunk)
        with session.changes() as waiting:
            for path, document in documents.items():
                waiting.declare(path, document)
            waiting.merge("", {"multiscales": multiscales, "ome": node})
    return Group.of(session, str(number))


def _checked(root: RootMetadata, levels: Mapping[int, LevelMetadata], facts: JsonObject) -> LevelMetadata:
    """Metadata of a new level.

    Raises:
        MetadataError: They cannot be meant.
    """
    parent, sparsity = facts["parent_level"], facts["object_sparsity"]
    is_number = isinstance(sparsity, (int, float)) and not isinstance(sparsity, bool)
    if not is_number or not 0 < sparsity <= 1:
        raise MetadataError("object_sparsity must be above 0 and at most 1", got=repr(sparsity))
    if not isinstance(facts["coarsening_method"], str) or not facts["coarsening_method"]:
        raise MetadataError("coarsening_method must be a text", got=repr(facts["coarsening_method"]))
    if parent is None:
        raise MetadataError(f"level {facts['level']} must have a parent_level", hint="name the level it is made from")
    if isinstance(parent, bool) or parent not in levels or parent >= facts["level"]:
        raise MetadataError(
            "parent_level must be a finer level of the store", got=repr(parent), expected=f"one of {list(levels)}"
        )
    for name in ("bin_shape", "bin_ratio"):
        if facts.get(name) is not None:
            facts[name] = list(_edges(name, facts[name], root.ndim))
    if facts.get("bin_ratio") is not None and min(facts["bin_ratio"]) < 1:
        raise MetadataError("bin_ratio must be from 1", got=repr(facts["bin_ratio"]))
    return LevelMetadata.parse(facts, where=f"level {facts['level']}")


def _edges(name: str, value: Any, rank: int) -> tuple[float, ...]:
    try:
        return check_edges(name, value, rank)
    except InputError as error:
        raise MetadataError(str(error)) from error


def _bins(root: RootMetadata, level: LevelMetadata) -> tuple[float, ...]:
    """Edges of a new level's bins."""
    bins = bin_of(root, None, level, level.level)
    if level.bin_ratio is not None:
        told = [float(a * b) for a, b in zip(root.bin_shape, level.bin_ratio, strict=True)]
        if not np.allclose(told, bins, rtol=1e-9, atol=0):
            raise MetadataError("bin_shape and bin_ratio contradict each other", got=f"{bins} and {level.bin_ratio}")
    return tuple(float(edge) for edge in bins)


def _chunks(root: RootMetadata, level: LevelMetadata, bins: tuple[float, ...]) -> tuple[float, ...]:
    """Edges of a new level's chunks: the least multiple of the root's that bins fill, or those that are stated."""
    if level.chunk_shape is not None:
        chunk = _edges("chunk_shape", level.chunk_shape, root.ndim)
        if not divides(chunk, root.chunk_shape) or not divides(chunk, bins):
            raise MetadataError(
                "chunk_shape of a level must be filled by chunks of level 0 and by the level's bins",
                got=f"{chunk}, with chunks of {tuple(root.chunk_shape)} and bins of {bins}",
            )
        return chunk
    return tuple(edge * _multiple(edge, inner) for edge, inner in zip(root.chunk_shape, bins, strict=True))


def _multiple(edge: float, inner: float) -> int:
    """The least whole number of edges that is a whole number of inner edges.

    Raises:
        MetadataError: There is none that is small.
    """
    ratio = Fraction(edge / inner).limit_denominator(_MOST_CHUNKS)
    times = ratio.denominator
    if ratio == 0 or not divides([edge * times], [inner]):
        raise MetadataError(
            "bins of this bin_ratio do not fill any number of chunks", got=f"{inner} in chunks of {edge}"
        )
    return times


def _documents(
    root: Group, metadata: RootMetadata, level: LevelMetadata, chunk: tuple[float, ...]
) -> dict[str, JsonObject]:
    """A new level's documents: its arrays are stored as those of level 0 are."""
    array = root.session.array(f"0/{constants.VERTICES}")
    sharding = array.document.sharding
    codecs = array.document.codecs if sharding is None else sharding.inner
    try:
        dtype = np.dtype(array.document.attributes.get("dtype", "float32"))
    except TypeError as error:
        raise MetadataError("the dtype of the positions is not one of numpy's", store=root.url) from error
    grid = Grid.of_bounds(metadata.bounds[0], metadata.bounds[1], chunk)
    shard = array.block if sharding is not None and array.ndim == metadata.ndim else None
    return empty_level(level, grid, dtype, constants.ENCODING_RAW, codecs, shard)


def remove_resolution_level(root: Group, level_index: int) -> None:
    """Remove a level, its entries in the NGFF block and the ``ome`` node, and the links of other levels to it.

    Levels that were made from it say afterwards that they were made from its own parent.

    Args:
        root: The root group of a store.
        level_index: Number of the level; level 0 cannot be removed.

    Raises:
        StoreError: It is level 0, or does not exist.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> import zarr_vectors as zv
        >>> from zarr_vectors.core.store import list_resolution_levels
        >>> root = zv.create_store("memory://remove-level-doc", ndim=2)
        >>> _ = add_resolution_level(root, 1, 2)
        >>> remove_resolution_level(root, 1)
        >>> list_resolution_levels(root)
        [0]
    """
    number = as_level(level_index)
    session = root.session
    session.check_writable()
    if number == 0:
        raise StoreError("level 0 cannot be removed", store=root.url)
    with session.storage.lock():
        attributes, metadata = root_facts(root)
        levels = level_blocks(root)
        if number not in levels:
            raise StoreNotFoundError(f"the store has no level {number}", store=root.url)
        gone = levels.pop(number)
        families = _families(root, levels)
        dead = [path for path, target in families.items() if target == number]
        changes: JsonObject = {"multiscales": without_dataset(attributes["multiscales"], number)}
        axes = axes_of(changes["multiscales"])
        changes["ome"] = ome_node(session.storage.name, axes, list(levels), attributes.get("ome"))
        if len(dead) == len(families) and constants.CAP_MULTISCALE_LINKS in metadata.format_capabilities:
            left = [token for token in metadata.format_capabilities if token != constants.CAP_MULTISCALE_LINKS]
            changes[constants.ROOT_KEY] = metadata.replace(format_capabilities=left).to_json()
        with session.changes() as waiting:
            for path in (str(number), *dead):
                waiting.delete(path)
            for other, level in levels.items():
                if level.parent_level == number:
                    waiting.merge(str(other), {constants.LEVEL_KEY: _adopted(level, gone)})
            waiting.merge("", changes)


def _adopted(level: LevelMetadata, parent: LevelMetadata) -> JsonObject:
    """A level's metadata, after its parent has been replaced by the parent's own."""
    share = level.object_sparsity * parent.object_sparsity
    facts, before = level.pyramid, parent.pyramid
    if facts is not None and before is not None and len(facts.factor) == len(before.factor):
        factor = tuple(a * b for a, b in zip(facts.factor, before.factor, strict=True))
        facts = facts.replace(factor=factor, sparsity=facts.sparsity * before.sparsity)
        strategy = facts.sparsity_strategy or before.sparsity_strategy
        facts = facts.replace(
            sparsity_strategy=strategy, sparsity_attribute=facts.sparsity_attribute or before.sparsity_attribute
        )
    return level.replace(parent_level=parent.parent_level, object_sparsity=share, pyramid=facts).to_json()


def _families(root: Group, levels: Mapping[int, LevelMetadata]) -> dict[str, int]:
    """Groups of links, and of their attributes, that lead from these levels to another, with that level."""
    places: list[str] = []
    for number in levels:
        level = get_resolution_level(root, number)
        for family in (constants.LINKS, constants.LINK_ATTRIBUTES):
            if family in level:
                below = level[family]
                places += [below.prefix] if family == constants.LINKS else [below[name].prefix for name in below]
    found: dict[str, int] = {}
    for place in places:
        for name in Group.of(root.session, place):
            if name.lstrip("+-").isdecimal() and int(name) != 0:
                found[f"{place}/{name}"] = int(place.partition("/")[0]) + int(name)
    return found
