"""What the conditions on rows and on links leave of connected geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import AttributeNotFoundError
from zarr_vectors.query.selection import Selection, choose_names
from zarr_vectors.query.shape import Shape, links_within
from zarr_vectors.query.where import met_by

__all__ = ["filtered", "link_names_for"]


def link_names_for(
    level: LevelState, selection: Selection, connects: str, wanted: Sequence[str] | None
) -> Sequence[str] | None:
    """The attributes of links that must be read: those wanted, and those that a condition asks for.

    Raises:
        AttributeNotFoundError: There is no such attribute.
    """
    condition = selection.link_condition
    if condition is None:
        return wanted
    if level.links is None or connects == "sequence":
        raise AttributeNotFoundError("geometry of this kind has no edges or faces", store=level.store)
    names = choose_names(wanted, list(level.links.columns), store=level.store, what="edge or face attribute")
    return list(dict.fromkeys([*names, *condition.names]))


def filtered(shape: Shape, selection: Selection, beside: Sequence[str], wanted: Sequence[str] | None) -> Shape:
    """What meets the conditions on rows, then what meets those on links.

    Args:
        shape: What was read, with the attributes that conditions ask for.
        selection: The conditions.
        beside: Attributes of rows that nobody else wants.
        wanted: Attributes of links that someone wants; None for all.
    """
    wanted_of_rows = selection.rows_meet
    owners = None if wanted_of_rows is None or not wanted_of_rows.needs_owners else shape.owners
    left, met = shape.links_left, met_by(shape.rows, owners, selection)
    if met is not None:
        shape = shape.within(met)
        shape = replace(shape, rows=shape.rows.without(beside))
    if selection.link_condition is not None:
        shape = _by_links(shape, selection, wanted)
    return replace(shape, links_left=left)


def _by_links(shape: Shape, selection: Selection, wanted: Sequence[str] | None) -> Shape:
    """The links that meet the condition on links, and the vertices at their ends."""
    assert shape.links is not None
    assert selection.link_condition is not None
    links = shape.links.where(selection.link_condition.mask(shape.links.columns))
    if wanted is not None:
        links = replace(links, columns={name: column for name, column in links.columns.items() if name in wanted})
    connected = np.zeros(len(shape.rows.positions), dtype=bool)
    connected[links.ends.ravel()] = True
    return links_within(replace(shape, links=links), connected)
