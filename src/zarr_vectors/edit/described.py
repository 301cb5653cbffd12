"""What documents of arrays say that does not follow from what is written, carried on to those that take their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from zarr_vectors.core.state import LevelState
from zarr_vectors.edit.draft import Draft
from zarr_vectors.edit.rewrite import renamed_paths
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.kept import array_attributes, with_kept

__all__ = ["Descriptions", "described", "descriptions_of"]

Descriptions: TypeAlias = Mapping[str, Mapping[str, Any]]


def descriptions_of(level: LevelState, draft: Draft) -> Descriptions:
    """What the arrays of a level say, by path; those of attributes that have another name now, by that."""
    known = array_attributes(level)
    moved = {f"{level.number}/{new}": f"{level.number}/{old}" for new, old in renamed_paths(draft).items()}
    return known | {new: known[old] for new, old in moved.items() if old in known}


def described(puts: Iterable[Put], descriptions: Descriptions) -> Iterator[Put]:
    """The same objects, documents of arrays with what has been said in those of before."""
    for path, data in puts:
        old = descriptions.get(path.removesuffix("/zarr.json")) if path.endswith("/zarr.json") else None
        yield path, data if old is None else with_kept(bytes(data), old)
