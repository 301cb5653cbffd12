"""Coarser levels when a finer one changes: told that they lack something, or in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zarr_vectors import constants
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.typing import JsonObject

__all__ = ["check_coarser", "coarser_counts", "descendants_stale", "stale_puts"]


def check_coarser(storage: Storage, root: RootState, level: LevelState, verb: str = "append") -> None:
    """Refuse to change a level under coarser ones that could not say that they lack something.

    Args:
        verb: What is to be done to the level.

    Raises:
        ConventionError: There are such levels.
    """
    coarser = _coarser(storage, root, level.number)
    silent = [number for number, (_, metadata) in coarser.items() if metadata.pyramid is None]
    if silent:
        raise ConventionError(
            "the store has coarser levels, which would not show the change and do not say how they were made",
            store=storage.url,
            got=f"levels {silent}",
            hint=f"remove them, {verb}, and build them again",
        )
    if coarser and constants.CAP_MULTISCALE_LINKS in root.metadata.format_capabilities:
        raise ConventionError(
            "the store has links between levels, which name rows that would move",
            store=storage.url,
            got=f"levels {sorted(coarser)}",
            hint=f"remove the coarser levels, {verb}, and build them again",
        )


def coarser_counts(storage: Storage, root: RootState, level: LevelState) -> dict[int, int]:
    """Vertices that the coarser levels state, by their numbers."""
    return {number: facts.vertex_count for number, (_, facts) in _coarser(storage, root, level.number).items()}


def stale_puts(storage: Storage, root: RootState, level: LevelState) -> Iterator[Put]:
    """The documents of all coarser levels, which say that a finer one has changed."""
    yield from _marked(_coarser(storage, root, level.number))


def descendants_stale(storage: Storage, root: RootState, number: int) -> Iterator[Put]:
    """The documents of the levels that were made from a level, at whatever remove, which say that it has changed."""
    coarser, made = _coarser(storage, root, number), {number}
    for other, (_, metadata) in coarser.items():
        if metadata.parent_level in made:
            made.add(other)
    yield from _marked({other: known for other, known in coarser.items() if other in made})


def _marked(levels: Mapping[int, tuple[JsonObject, LevelMetadata]]) -> Iterator[Put]:
    for number, (document, metadata) in levels.items():
        if metadata.pyramid is None or metadata.pyramid.stale:
            continue
        told = metadata.replace(pyramid=metadata.pyramid.replace(stale=True))
        attributes = {**document["attributes"], constants.LEVEL_KEY: told.to_json()}
        yield f"{number}/zarr.json", dump_json({**document, "attributes": attributes})


def _coarser(storage: Storage, root: RootState, finer: int) -> dict[int, tuple[JsonObject, LevelMetadata]]:
    numbers = [number for number in level_numbers(storage, root.attributes) if number > finer]
    paths = {number: f"{number}/zarr.json" for number in numbers}
    documents = storage.read_documents(list(paths.values())) if paths else {}
    found: dict[int, tuple[JsonObject, LevelMetadata]] = {}
    for number, path in paths.items():
        document = documents[path]
        block = None if document is None else (document.get("attributes") or {}).get(constants.LEVEL_KEY)
        if document is not None and block is not None:
            found[number] = (document, LevelMetadata.parse(block, where=path))
    return found
