"""Reads that do not bring all that meets a selection: the first, some by chance, the nearest; and what a read costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from zarr_vectors.api.facts import LevelFacts
from zarr_vectors.api.plan import QueryPlan
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry, Points
from zarr_vectors.query.geometry import ReadPlan, read_shape
from zarr_vectors.query.nearest import nearest_of, nearest_rows
from zarr_vectors.query.rows import first_rows
from zarr_vectors.query.sample import first_objects, sample_objects, sample_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows
from zarr_vectors.storage.rehearsal import Reached, Rehearsal
from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["LevelQueries", "Nearest", "as_count"]


class Nearest(NamedTuple):
    """The points nearest to a place.

    Args:
        points: Nearest first.
        distances: ``(n,)`` float64, how far each is.
    """

    points: Points
    distances: FloatArray


class LevelQueries(LevelFacts):
    """Reads of a part of a selection. They take what ``read`` takes: ``bbox``, ``where``, ``object_ids`` ..."""

    read: Callable[..., Any]
    _asked: Callable[..., tuple[Selection, ReadPlan]]
    _read: Callable[[Selection, ReadPlan], Geometry]
    _as_value: Callable[[Shape], Geometry]

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
        count = as_count("count", count, least=0)

        def sample() -> Geometry:
            selection, plan = self._asked(strict=strict, **selected)
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

    def _limited(self, selection: Selection, plan: ReadPlan, limit: int) -> Geometry:
        """The first points of a selection, or the first objects of other kinds."""
        if plan.is_by_row(selection):
            return self._as_value(Shape(first_rows(self._storage, self._state, selection, limit, strict=plan.strict)))
        if plan.connects == "nothing":
            rows = read_shape(self._storage, self._state, selection, plan).rows
            return self._as_value(Shape(rows.take(np.arange(min(limit, len(rows.positions))))))
        ids = first_objects(self._storage, self._state, selection, plan, limit)
        return self._of(ids, selection, plan)

    def _of(self, ids: IntArray, selection: Selection, plan: ReadPlan) -> Geometry:
        """What a selection has of these objects."""
        return self._read(replace(selection, object_ids=ids, group_ids=None, lenient=True), plan)

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
        count = as_count("k", k)
        place = self._as_place(point)

        def near() -> Nearest:
            selection, plan = self._asked(strict=strict, **selected)
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
        if selected.get("limit") is not None:
            raise InputError("with a limit reading stops when there is enough, which cannot be planned")

        def plan() -> QueryPlan:
            selection, how = self._asked(bbox, strict=strict, **selected)
            places = any(selected.get(name) is not None for name in ("near", "within")) or bbox is not None
            named = selected.get("object_ids") is not None or selected.get("group_ids") is not None
            finds = how.mode == "objects" and places and not (named and how.connects != "nothing")
            rehearsal = Rehearsal.of(self._storage, int(finds))
            twin = type(self)(rehearsal, self._root, replace(self._state))
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
