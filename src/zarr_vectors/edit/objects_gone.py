"""Objects that go as a whole, from levels of every kind: what stays in their chunks keeps its order.

Only the chunks in which such an object has vertices are read and written, and the links that lead into them. Rows and
fragments after those that go move up, so that links, and manifests of other objects, name them by other numbers.
"""

from __future__ import annotations

import numpy as np

from zarr_vectors.edit.checks import check_fewer
from zarr_vectors.edit.cut import cut_out, put_tables
from zarr_vectors.edit.draft import NONE
from zarr_vectors.edit.operations import Remove
from zarr_vectors.edit.scope import Scope
from zarr_vectors.edit.shrunk_links import ShrunkLinks

__all__ = ["remove_objects"]


def remove_objects(scope: Scope, *, refresh: bool) -> bool:
    """Do all operations by taking objects out of their chunks, where that is possible.

    Args:
        scope: Of operations that remove whole objects and change attributes of objects, and nothing else.
        refresh: Whether coarser levels are made anew right after.

    Returns:
        Whether it is done; nothing has been written otherwise.

    Raises:
        InputError, ConventionError: An operation cannot be done; nothing is written.
    """
    opened, level = scope.opened, scope.opened.level
    draft = scope.draft(level.vertices.present[:0], ())
    if draft is None:
        return False
    for operation in scope.operations:
        operation.apply(draft, opened)
    named = [one.which.objects for one in scope.operations if isinstance(one, Remove)]
    gone = np.unique(np.concatenate([NONE, *(ids for ids in named if ids is not None)]))
    cut = cut_out(opened, gone)
    if cut is None or not len(draft.ids):
        return False
    count = level.metadata.vertex_count - cut.rows_gone
    links = ShrunkLinks(opened.storage, level, cut.chunks)
    if not count or not links.fit or links.is_empty:
        return False
    check_fewer(opened.storage, opened.root, level, count, refresh=refresh)
    change = cut.change(opened, count, links)
    if not put_tables(change, scope, draft, cut, gone):
        return False
    change.commit()
    return True
