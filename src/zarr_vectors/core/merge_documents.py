"""Merging the documents of two states of a store that come from one: what each key means decides how.

Sets (presence lists, names of arrays, kinds of geometry) keep what either side added and lose what either removed,
counts add what both sides added, bounds cover both. Anything else may have changed on one side only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.headers import HEADER_NAMES
from zarr_vectors.exceptions import ConcurrentEditError
from zarr_vectors.typing import Json, JsonObject

__all__ = ["CATEGORIES", "conflict", "merge_documents", "merge_sets"]

CATEGORIES = "categories"
_ABSENT = object()
_SETS = frozenset(
    {
        constants.NONEMPTY_CHUNKS,
        constants.ARRAYS_KEY,
        HEADER_NAMES,
        "arrays_present",
        "geometry_types",
        "format_capabilities",
        "required_capabilities",
    }
)
_COUNTS = frozenset({"vertex_count", "num_links", "num_physical_records", "num_objects", "num_present"})
_NUMBERING = frozenset({constants.NEXT_ROW_ID})
"""Where numbers for new things begin: if both sides have gone on from one, the same numbers stand for two things."""


def conflict(what: str, *, array: str | None = None, cell: str | None = None, got: Any = None) -> ConcurrentEditError:
    """The error of two changes that cannot both be kept."""
    return ConcurrentEditError(
        what,
        array=array,
        cell=cell,
        got=got,
        hint="nothing was merged: make one of the changes again on top of the other",
    )


def merge_documents(
    base: JsonObject | None, ours: JsonObject, theirs: JsonObject, *, path: str, leave: Sequence[str] = ()
) -> JsonObject:
    """Both sides' changes to a document.

    Args:
        base: As it was before either; None where it did not exist.
        path: Of the document, for messages.
        leave: Keys, at any depth, that are not merged and stay ours.

    Raises:
        ConcurrentEditError: Both sides changed a value in a way that cannot be put together.

    Example:
        >>> merge_documents({"vertex_count": 5}, {"vertex_count": 7}, {"vertex_count": 6, "a": 1}, path="0/zarr.json")
        {'vertex_count': 8, 'a': 1}
    """
    return _Merge(path, frozenset(leave)).objects(base or {}, ours, theirs, "")


class _Merge:
    def __init__(self, path: str, leave: frozenset[str]) -> None:
        self._path = path
        self._leave = leave

    def objects(
        self, base: Mapping[str, Json], ours: Mapping[str, Json], theirs: Mapping[str, Json], where: str
    ) -> JsonObject:
        merged: JsonObject = {}
        for key in dict.fromkeys((*ours, *theirs)):
            was, mine, other = (side.get(key, _ABSENT) for side in (base, ours, theirs))
            inside = f"{where}.{key}".lstrip(".")
            value = mine if key in self._leave else self._value(key, was, mine, other, inside)
            if value is not _ABSENT:
                merged[key] = value
        return merged

    def _value(self, key: str, base: Json, ours: Json, theirs: Json, where: str) -> Json:
        rule = self._rule(key)
        if rule is not None and base not in (ours, theirs) and _ABSENT not in (ours, theirs):
            return rule(None if base is _ABSENT else base, ours, theirs, where)
        if theirs == base:
            return ours
        if ours == base:
            return theirs
        if isinstance(ours, dict) and isinstance(theirs, dict):
            # Even if they are equal: both may have counted the same number of new things.
            return self.objects(base if isinstance(base, dict) else {}, ours, theirs, where)
        if ours == theirs:
            return ours
        if isinstance(ours, list) and isinstance(theirs, list):
            return self._lists(base if isinstance(base, list) else [], ours, theirs, where)
        raise self._conflict(where, ours, theirs)

    def _rule(self, key: str) -> Callable[[Json, Json, Json, str], Json] | None:
        if key in _SETS:
            return lambda base, ours, theirs, _: merge_sets(base or [], ours or [], theirs or [])
        if key in _COUNTS:
            return self._counts
        if key in _NUMBERING:
            return self._numbering
        return {"bounds": self._bounds, "max_error": lambda _, ours, theirs, __: max(ours, theirs)}.get(key)

    def _counts(self, base: Json, ours: Json, theirs: Json, where: str) -> Json:
        if not isinstance(ours, int) or not isinstance(theirs, int):
            raise self._conflict(where, ours, theirs)
        return ours + theirs - (base or 0)

    def _numbering(self, base: Json, ours: Json, theirs: Json, where: str) -> Json:
        if base is None and ours == theirs:
            return ours
        raise self._conflict(where, ours, theirs)

    def _bounds(self, base: Json, ours: Json, theirs: Json, where: str) -> Json:
        try:
            low = [min(a, b) for a, b in zip(ours[0], theirs[0], strict=True)]
            high = [max(a, b) for a, b in zip(ours[1], theirs[1], strict=True)]
            kept = base is None or (_all_below(low, base[0]) and _all_below(base[1], high))
            grown = base is None or all(
                _all_below(side[0], base[0]) and _all_below(base[1], side[1]) for side in (ours, theirs)
            )
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise self._conflict(where, ours, theirs) from error
        if not (kept and grown):
            raise self._conflict(where, ours, theirs)
        return [low, high]

    def _lists(self, base: Sequence[Json], ours: Sequence[Json], theirs: Sequence[Json], where: str) -> Json:
        """Lists of things that have names, such as the levels of a pyramid; or of one nameless thing."""
        keyed = [_by_name(side) for side in (base, ours, theirs)]
        if all(side is not None for side in keyed):
            named = [side or {} for side in keyed]
            return list(self.objects(named[0], named[1], named[2], where).values())
        if len(ours) == len(theirs) == len(base) and all(isinstance(item, dict) for item in (*base, *ours, *theirs)):
            rows = zip(base, ours, theirs, strict=True)
            return [self.objects(*row, f"{where}[{number}]") for number, row in enumerate(rows)]
        raise self._conflict(where, ours, theirs)

    def _conflict(self, where: str, ours: Json, theirs: Json) -> ConcurrentEditError:
        return conflict(
            f"both sides have changed {where!r}", array=self._path, got=f"{_short(ours)} and {_short(theirs)}"
        )


def merge_sets(base: Sequence[Json], ours: Sequence[Json], theirs: Sequence[Json]) -> list[Json]:
    """What is ours, without what they removed, and with what they added; sorted if both sides are.

    Example:
        >>> merge_sets(["a", "b"], ["a", "b", "d"], ["b", "c"])
        ['b', 'c', 'd']
    """
    gone, known = set(base) - set(theirs), {*ours, *base}
    merged = [item for item in ours if item not in gone]
    merged += [item for item in theirs if item not in known]
    is_sorted = list(ours) == sorted(ours) and list(theirs) == sorted(theirs)
    return sorted(merged) if is_sorted else merged


def _by_name(items: Sequence[Json]) -> dict[str, Json] | None:
    """Items by their path or name; None where they have none, or share one."""
    if not all(isinstance(item, dict) for item in items):
        return None
    names = [item.get("path", item.get("name")) for item in items]
    if any(not isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return None
    return dict(zip(map(str, names), items, strict=True))


def _all_below(lower: Sequence[float], upper: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(lower, upper, strict=True))


def _short(value: Json) -> str:
    text = "nothing" if value is _ABSENT else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
