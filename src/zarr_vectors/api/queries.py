"""Reads that do not bring all that meets a selection: the first, some by chance, the nearest; and what a read costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from zarr_vectors.api.asked import Asked
from zarr_vectors.api.plan import QueryPlan
from zarr_vectors.api.reading import LevelReading
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry, Points
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.nearest import nearest_of, nearest_rows
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.sample import sample_objects, sample_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows
from zarr_vectors.storage.rehearsal import Reached, Rehearsal
from zarr_vectors.typing import FloatArray

__all__ = ["LevelQueries", "Nearest", "as_count"]


class Nearest(NamedTuple):
    """The points nearest to a place.

    Args:
        points: Nearest first.
        distances: ``(n,)`` float64, how far each is.
    """

    points: Points
    distances: FloatArray


class LevelQueries(LevelReading):
    """Reads of a part of a selection. They take what ``read`` takes: ``bbox``, ``where``, ``object_ids`` ..."""

    read: Callable[..., Any]

    def _asked(self, asked: Asked) -> tuple[Selection, ReadPlan]:
        """What to read, and how."""
        return self._selected(asked), asked.plan(self._root, self.kind)

    def head(self, count: int = 5, **selected: Any) -> Any:
        """What ``read(limit=count)`` brings: the first points, or the first objects of other kinds.

        Example:
            >>> import zarr_vectors as zv
            >>> _ = zv.write("memory://head-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> len(zv.open("memory://head-doc")[0].head(1).positions)
            1
        """
        return self.read(limit=count, **selected)

    def sample(self, count: int, seed: int | None = None, *, strict: bool = True, **selected: Any) -> Any:
        """So many points by chance, or objects of other kinds, in the order of ``read``.

        Each set of them is as likely as any other.

        Args:
            count: How many; all that are selected where there are fewer.
            seed: The same sample for the same seed, of a store that is the same; None for another each time.
            strict: As in ``read``.
            selected: What to choose from, as in ``read``.

        Raises:
            InputError: ``count`` is not a whole number from 0.

        Example:
            >>> import zarr_vectors as zv
            >>> _ = zv.write("memory://sample-doc", zv.Points([[float(x), 0.0] for x in range(100)]))
            >>> level = zv.open("memory://sample-doc")[0]
            >>> len(level.sample(10, seed=1).positions), len(level.sample(10, bbox=([0, 0], [4, 0])).positions)
            (10, 5)
        """
        count, asked = as_count("count", count, least=0), Asked(strict=strict, **selected)

        def sample() -> Geometry:
            selection, plan = self._asked(asked)
            chance = np.random.default_rng(seed)
            if plan.connects == "nothing":
                return self._as_value(Shape(self._sampled(selection, plan, count, chance)))
            return self._of(sample_objects(self._storage, self._state, selection, plan, count, chance), selection, plan)

        return self._whole(sample)

    def _sampled(self, selection: Selection, plan: ReadPlan, count: int, chance: np.random.Generator) -> Rows:
        if plan.is_by_row(selection):
            return sample_rows(self._storage, self._state, selection, count, chance, strict=plan.strict)
        rows = read_shape(self._storage, self._state, selection, plan).rows
        known = len(rows.positions)
        return rows.take(np.sort(chance.choice(known, min(count, known), replace=False)))

    def near(self, point: Any, k: int = 1, *, strict: bool = True, **selected: Any) -> Nearest:
        """The ``k`` points nearest to a place, of those that are selected; cells are read from the nearest outward.

        Args:
            point: ``(D,)`` coordinates.
            k: How many; fewer come where fewer are selected.
            strict: As in ``read``.
            selected: What to choose from, as in ``read``.

        Returns:
            ``points``, nearest first, and ``distances``, ``(n,)`` float64. Which of points that are equally far come
            first is not said.

        Raises:
            InputError: The level does not hold points, or the place is none.

        Example:
            >>> import zarr_vectors as zv
            >>> _ = zv.write("memory://near-doc", zv.Points([[0.0, 1.0], [3.0, 5.0], [9.0, 9.0]]))
            >>> found = zv.open("memory://near-doc")[0].near([0, 1], k=2)
            >>> found.points.positions.tolist(), found.distances.tolist()
            ([[0.0, 1.0], [3.0, 5.0]], [0.0, 5.0])
        """
        count, asked = as_count("k", k), Asked(strict=strict, **selected)
        place = self._as_place(point)

        def near() -> Nearest:
            selection, plan = self._asked(asked)
            if plan.connects != "nothing":
                raise InputError(
                    "near finds points", got=self.kind.geometry_type, hint="near=(centre, radius) selects of all kinds"
                )
            if plan.is_by_row(selection):
                rows, distances = nearest_rows(self._storage, self._state, selection, place, count, strict=strict)
            else:
                every = read_shape(self._storage, self._state, selection, plan).rows
                rows, distances = nearest_of(every, place, count)
            return Nearest(self._as_value(Shape(rows)), distances)  # type: ignore[arg-type]

        return self._whole(near)

    def _as_place(self, point: Any) -> FloatArray:
        try:
            place = np.asarray(point, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError("point must be coordinates", got=repr(point)) from error
        if place.shape != (len(self.axes),) or not np.isfinite(place).all():
            raise InputError(
                "point must have a finite coordinate for each axis",
                got=repr(point),
                expected=", ".join(axis.name for axis in self.axes),
            )
        return place

    def plan(self, bbox: Any = None, *, strict: bool = True, **selected: Any) -> QueryPlan:
        """What ``read`` with the same arguments will cost: rounds, requests, bytes and cells.

        All that leads to the last round is read: shard indexes, manifests of objects asked for, and, where whole
        objects are selected by where they lie, the cells that tell which these are.

        Args:
            bbox: As in ``read``.
            strict: As in ``read``.
            selected: As in ``read``, but for ``limit``, with which reading stops when there is enough.

        Returns:
            A plan; ``print`` shows it as a table.

        Raises:
            InputError: ``limit`` is given, or what ``read`` would refuse.
        """
        asked = Asked(bbox=bbox, strict=strict, **selected)
        if asked.limit is not None:
            raise InputError("with a limit reading stops when there is enough, which cannot be planned")

        def plan() -> QueryPlan:
            selection, how = self._asked(asked)
            # Each place tells objects, by a round of its own; of objects that are asked for all is read at once.
            finds = how.mode == "objects" and not (selection.by_object and how.connects != "nothing")
            rehearsal = Rehearsal.of(self._storage, len(selection.places_asked) if finds else 0)
            state = replace(self._state, index=self._state.index.on(rehearsal))
            twin = type(self)(rehearsal, self._root, state)
            try:
                twin.read(bbox, strict=strict, **selected)
            except Reached:
                # What follows the cells: tables, where they come along, and whether the store is the same.
                if selection.is_everything and twin.has_objects:
                    _ = twin.objects
                else:
                    rehearsal.is_current(self._root.seen)
            return QueryPlan(tuple(rehearsal.rounds), len(self._state.vertices.present))

        return self._whole(plan)

    def explain(self, bbox: Any = None, **selected: Any) -> str:
        """The ``plan`` of a read as text.

        Example:
            >>> import zarr_vectors as zv
            >>> _ = zv.write("memory://explain-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
            >>> print(zv.open("memory://explain-doc")[0].explain().splitlines()[0].partition(",")[0])
            3 rounds
        """
        return str(self.plan(bbox, **selected))


def as_count(name: str, value: Any, *, least: int = 1) -> int:
    """Check a number that a user gave.

    Raises:
        InputError: It is not whole, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number from {least}", got=repr(value))
    return int(value)
