"""What is to be done to a store, one thing after another, and doing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.edit.checks import check_editable, check_fewer, check_unchanged
from zarr_vectors.edit.load import load_draft
from zarr_vectors.edit.operations import Operation
from zarr_vectors.edit.partial import edit_in_part
from zarr_vectors.edit.rewrite import rewrite
from zarr_vectors.edit.which import Opened
from zarr_vectors.exceptions import InputError

__all__ = ["EditOptions", "apply_edits"]

POLICIES = ("raise", "expand")


@dataclass(frozen=True, kw_only=True)
class EditOptions:
    """How to edit.

    Args:
        out_of_bounds: Positions outside the bounds of the store: ``"raise"``, or ``"expand"`` the bounds.
        refresh: Whether coarser levels are made anew after the commit.
        fill: ``{attribute: value}`` for attributes that added vertices, links and objects lack.
    """

    out_of_bounds: str = "raise"
    fill: Mapping[str, Any] = field(default_factory=dict)
    refresh: bool = False

    def __post_init__(self) -> None:
        if self.out_of_bounds not in POLICIES:
            raise InputError(
                "out_of_bounds is not known", got=repr(self.out_of_bounds), expected=f"one of {', '.join(POLICIES)}"
            )
        if not isinstance(self.fill, Mapping):
            raise InputError("fill must be {attribute: value}", got=type(self.fill).__name__)


def apply_edits(opened: Opened, operations: list[Operation], options: EditOptions) -> None:
    """Do all of it as one commit, or nothing.

    Args:
        opened: The store as it was when editing began.

    Raises:
        ConcurrentEditError: Another writer has changed the store since.
        InputError, ObjectNotFoundError: An operation cannot be done; nothing is written.
    """
    if not operations:
        return
    storage, number = opened.storage, opened.level.number
    with storage.lock():
        root, documents = open_root(storage, [f"{number}/zarr.json"])
        level = open_level(storage, root, number, documents[f"{number}/zarr.json"])
        check_unchanged(storage, opened.root, opened.level, level)
        check_editable(storage, root, level, opened.kind)
        now = Opened(storage, root, level, opened.kind)
        if edit_in_part(now, operations, options.out_of_bounds, refresh=options.refresh):
            return
        draft = load_draft(storage, root, level, opened.kind)
        for operation in operations:
            operation.apply(draft, now)
        check_fewer(storage, root, level, len(draft), refresh=options.refresh)
        rewrite(storage, now, draft)
