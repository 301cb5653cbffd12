"""Names in conditions: what of a level each of them means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import AttributeNotFoundError
from zarr_vectors.query.wording import OWNERS

__all__ = ["LINKS", "OBJECTS", "ROWS", "Meant", "meanings"]

ROWS, OBJECTS, LINKS = "rows", "objects", "links"


@dataclass(frozen=True)
class Meant:
    """What a name means.

    Args:
        of: What has the attribute: ``ROWS``, ``OBJECTS`` or ``LINKS``.
        name: Under which it is read there.
    """

    of: str
    name: str


def meanings(level: LevelState, names: Iterable[str]) -> dict[str, Meant]:
    """What each name means.

    An attribute that is called just so is meant before any other; ``vertex.x``, ``fragment.x``, ``object.x``,
    ``edge.x`` and ``face.x`` say whose ``x`` is meant.

    Raises:
        AttributeNotFoundError: There is no such attribute.
    """
    links = {} if level.links is None else level.links.columns
    rows = {*level.row_columns, *level.chunk_columns}
    plain = {name: Meant(LINKS, name) for name in links}
    plain |= {name: Meant(ROWS, name) for name in rows}
    plain |= {name: Meant(OBJECTS, name) for name in level.object_columns}
    found = {}
    for name in names:
        meant = plain.get(name) or _of_owner(level, name)
        if meant is None:
            raise _not_found(level, name, plain)
        found[name] = meant
    return found


def _of_owner(level: LevelState, name: str) -> Meant | None:
    """What a name with its owner in front means; None where there is no such attribute."""
    owner, dot, bare = name.partition(".")
    if not dot or owner not in OWNERS:
        return None
    links = level.links
    width = 0 if links is None else links.width
    beside = f"{constants.FRAGMENT_ATTRIBUTES}/{bare}"
    known: dict[str, tuple[str, str, Iterable[str]]] = {
        "vertex": (ROWS, bare, {*level.vertex_columns, *level.chunk_columns}),
        "fragment": (ROWS, beside if beside in level.fragment_columns else bare, level.fragment_columns),
        "object": (OBJECTS, bare, level.object_columns),
        "edge": (LINKS, bare, () if links is None or width != 2 else links.columns),
        "face": (LINKS, bare, () if links is None or width <= 2 else links.columns),
    }
    of, there, columns = known[owner]
    return Meant(of, there) if there in columns else None


def _not_found(level: LevelState, name: str, known: Mapping[str, Meant]) -> AttributeNotFoundError:
    near = get_close_matches(name, sorted(known), n=1)
    return AttributeNotFoundError(
        f"the level has no attribute {name!r}",
        store=level.store,
        expected=f"one of {sorted(known)}",
        hint=f"did you mean {near[0]!r}?" if near else None,
    )
