"""Which vertices of a coarser mesh stay, and which stand for those that do not."""

from __future__ import annotations

import numpy as np

from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["settle", "stand_ins", "staying"]

_MOST_ROUNDS = 64
"""How many links away another vertex is looked for before any of the object will do."""


def staying(corners: IntArray, bare: BoolArray, objects: IntArray) -> BoolArray:
    """Which vertices stay: those with a face, those that had none before, and all of an object that has none left.

    Args:
        corners: ``(E, 3)`` vertices of the faces that are left.
        bare: ``(M,)`` whether a vertex stands for one that had no face before.
        objects: ``(M,)`` number of the object of each vertex, ascending from 0.

    Example:
        >>> objects = np.array([0, 0, 0, 0, 1])
        >>> staying(np.array([[0, 1, 2]]), np.zeros(5, bool), objects).tolist()
        [True, True, True, False, True]
    """
    stay = bare.copy()
    stay[corners] = True
    faced = np.zeros(int(objects.max(initial=-1)) + 1, dtype=np.bool_)
    faced[objects[corners]] = True
    return stay | ~faced[objects]


def settle(stay: BoolArray, links: IntArray, objects: IntArray, numbers: IntArray) -> IntArray:
    """``(M,)`` the vertex that stands for each; vertices that nothing beside them would stand for stay, too.

    Args:
        stay: ``(M,)`` which vertices stay, at least one of each object.
        links: ``(E, 2)`` vertices that are near to each other.
        objects: ``(M,)`` number of the object of each vertex, ascending.
        numbers: ``(M, D)`` number of the bin of each vertex.
    """
    if stay.all():
        return np.arange(len(stay))
    stands = stand_ins(stay, links, objects)
    # What nothing in a bin beside it stands for stays as a vertex, so that small parts do not go without a trace.
    apart = (np.abs(numbers - numbers[stands]) > 1).any(axis=1)
    return stand_ins(stay | apart, links, objects) if apart.any() else stands


def stand_ins(stay: BoolArray, links: IntArray, objects: IntArray) -> IntArray:
    """``(M,)`` the vertex of the same object that stands for each: itself where it stays, else the nearest by links.

    Args:
        stay: ``(M,)`` which vertices stay, at least one of each object.
        links: ``(E, 2)`` vertices that are near to each other.
        objects: ``(M,)`` number of the object of each vertex, ascending.

    Example:
        >>> stay = np.array([True, False, False, True, True])
        >>> stand_ins(stay, np.array([[1, 2], [2, 3]]), np.zeros(5, int)).tolist()
        [0, 3, 3, 3, 4]
    """
    unknown = len(stay)
    found = np.where(stay, np.arange(unknown), unknown)
    links = links[objects[links[:, 0]] == objects[links[:, 1]]]
    links = np.concatenate([links, links[:, ::-1]])
    for _ in range(_MOST_ROUNDS):
        links = links[found[links[:, 0]] == unknown]
        near = found[links[:, 1]]
        ready = near < unknown
        if not ready.any():
            break
        # Of several as near as each other the one with the least number, in whichever order links come.
        np.minimum.at(found, links[ready, 0], near[ready])
    lost = np.flatnonzero(found == unknown)
    if len(lost):
        kept = np.flatnonzero(stay)
        before = kept[np.maximum(np.searchsorted(kept, lost) - 1, 0)]
        after = kept[np.minimum(np.searchsorted(kept, lost), len(kept) - 1)]
        found[lost] = np.where((before < lost) & (objects[before] == objects[lost]), before, after)
    return found
