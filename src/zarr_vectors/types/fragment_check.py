"""Whether rows and fragment attributes fit each other, decided before anything is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.fragment_values import GivenFragments, first_change
from zarr_vectors.types.intake import Intake
from zarr_vectors.types.sort import SortedRows, sort_table
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["check_fragments", "check_part", "not_constant"]

_WAY_OUT = "leave it out of per_fragment, so that it is stored per vertex"


def check_fragments(plan: CellPlan, intake: Intake, owners: GivenFragments | None = None) -> None:
    """Cut all rows into fragments, and compare them with what is said of fragments.

    Args:
        owners: Objects of fragments as the caller knows them; they must be those that are stored.

    Raises:
        InputError: An attribute is not constant within a fragment, or values are given for chunks that do not exist
            or for another number of fragments.
    """
    given = [*plan.given.values(), *([] if owners is None else [owners])]
    if not plan.per_fragment and not given:
        return
    seen = [np.zeros(len(one.chunks), dtype=bool) for one in given]
    for table in intake.blocks(plan):
        columns = {name: table.columns[name] for name in plan.per_fragment}
        for part in sort_table(plan, replace(table, columns=columns)):
            check_part(plan, part)
            for one, known in zip(given, seen, strict=True):
                _check_counts(one, part, known)
            if owners is not None:
                _check_owners(owners, part)
    for one, known in zip(given, seen, strict=True):
        if not known.all():
            raise InputError(
                f"fragment_attributes[{one.name!r}] names a chunk that has no vertices",
                got=_chunk_text(one.chunks[~known][0]),
                hint="leave it out",
            )


def check_part(plan: CellPlan, part: SortedRows) -> None:
    """Refuse attributes that are not constant within a fragment of these rows.

    Raises:
        InputError: With the attribute, the object and the chunk.
    """
    for name in plan.per_fragment:
        column = part.table.columns[name]
        row = first_change(column, part.counts)
        if row is None:
            continue
        fragment = int(np.searchsorted(offsets_of(part.counts), row, side="right")) - 1
        cell = int(np.searchsorted(offsets_of(part.per_cell), fragment, side="right")) - 1
        where = f"chunk {_chunk_text(part.coords[cell])}"
        if part.owners is not None:
            where = f"object {part.owners[fragment]} in {where}"
        raise not_constant(plan, name, column[row - 1 : row + 1], where)


def not_constant(plan: CellPlan, name: str, values: AnyArray, where: str, hint: str = _WAY_OUT) -> InputError:
    """The error about two values in one fragment."""
    spec = plan.per_fragment[name]
    shown: list[Any] = values.tolist()
    if spec.categories is not None:
        shown = [None if code < 0 else spec.categories[code] for code in shown]
    return InputError(
        f"attribute {name!r} is not constant within a fragment, and cannot be stored per fragment",
        got=f"{shown[0]!r} and {shown[1]!r} of {where}",
        hint=hint,
    )


def _check_counts(given: GivenFragments, part: SortedRows, seen: AnyArray) -> None:
    place = given.places(part.coords)
    here = np.flatnonzero(place >= 0)
    seen[place[here]] = True
    wrong = here[given.counts[place[here]] != part.per_cell[here]]
    if len(wrong):
        cell = int(wrong[0])
        raise InputError(
            f"fragment_attributes[{given.name!r}] has another number of values than a chunk has fragments",
            expected=f"{part.per_cell[cell]} for chunk {_chunk_text(part.coords[cell])}",
            got=int(given.counts[place[cell]]),
        )


def _check_owners(owners: GivenFragments, part: SortedRows) -> None:
    place = owners.places(part.coords)
    here = place >= 0
    told = owners.values_of(place[here])
    stored: IntArray | None = None if part.owners is None else part.owners[np.repeat(here, part.per_cell)]
    if stored is None or not np.array_equal(told, stored):
        raise InputError(
            f"fragment_attributes[{owners.name!r}] differs from the objects that own the fragments",
            hint="leave it out: it is stored from object_ids",
        )


def _chunk_text(chunk: IntArray) -> str:
    return format_keys(chunk[None])[0]
