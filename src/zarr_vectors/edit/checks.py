"""What can be edited at all."""

from __future__ import annotations

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ConcurrentEditError, ConventionError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.conventions import check_conventions
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.stale import check_coarser, coarser_counts

__all__ = ["check_editable", "check_fewer", "check_unchanged", "has_owners"]


def check_editable(storage: Storage, root: RootState, level: LevelState, kind: Kind) -> None:
    """Refuse a store that is stored in a way in which it cannot be edited.

    Raises:
        ConventionError, StoreError: With the reason, and the way out.
    """
    level.refuse_composite()
    check_conventions(root.metadata, kind, storage.url)
    twice = [name for name in level.fragment_columns if "/" in name]
    reasons = {
        "keeps coordinates with an offset": bool(root.offset),
        "has chunks with an axis before the spatial ones": bool(level.metadata.leading_axes),
        "has a fragment attribute with the name of a vertex attribute": bool(twice),
        "has Draco cells that do not keep the order of their rows": level.is_unordered,
    }
    hints = {
        "has chunks with an axis before the spatial ones": "rechunk it with RechunkSpec('spatial'), edit it, and "
        "rechunk it again",
    }
    for reason, holds in reasons.items():
        if holds:
            raise ConventionError(
                f"the store {reason}, and cannot be edited",
                store=storage.url,
                hint=hints.get(reason, "read the store and write it anew"),
            )
    check_coarser(storage, root, level, verb="edit")


def check_unchanged(storage: Storage, before: RootState, opened: LevelState, now: LevelState) -> None:
    """Refuse to go on where another writer has changed the level since editing began.

    Raises:
        ConcurrentEditError: Another writer has.
    """
    same_arrays = all(
        {name: array.document for name, array in getattr(opened, arrays).items()}
        == {name: array.document for name, array in getattr(now, arrays).items()}
        for arrays in ("cells", "tables")
    )
    same = same_arrays and opened.document == now.document and opened.link_documents == now.link_documents
    if same and opened.object_index == now.object_index and storage.is_current(before.seen):
        return
    raise ConcurrentEditError(
        "another writer has changed the store since it was opened for this edit; nothing is written",
        store=storage.url,
        array=str(opened.number),
        hint="open the store again, and edit what is there now",
    )


def check_fewer(storage: Storage, root: RootState, level: LevelState, count: int, *, refresh: bool) -> None:
    """Refuse to leave a coarser level with more vertices than the level, unless it had so all along.

    Args:
        count: Vertices that the level will have.
        refresh: Whether coarser levels are made anew right after.

    Raises:
        ConventionError: It would have.
    """
    if refresh and count:
        return
    for number, known in coarser_counts(storage, root, level).items():
        if count < known <= level.metadata.vertex_count:
            raise ConventionError(
                f"level {number} would have more vertices than level {level.number}, which it is made from",
                store=storage.url,
                got=f"{known} and {count} vertices",
                hint="edit with store.edit(refresh=True), which makes coarser levels anew"
                if count
                else "remove the coarser levels first",
            )


def has_owners(level: LevelState) -> bool:
    """Whether vertices belong to objects, also where there are none yet."""
    return level.has_objects or constants.FRAGMENT_OWNER in level.cells
