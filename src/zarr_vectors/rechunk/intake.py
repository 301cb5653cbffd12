"""The rows and links of a level on their way into other chunks, as the writer takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zarr_vectors.rechunk.links import SourceLinks
from zarr_vectors.rechunk.parts import LineParts
from zarr_vectors.rechunk.scan_plan import Scan, ScanPlan
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.intake import Extent
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.spill import SpillIntake
from zarr_vectors.types.table import RowTable
from zarr_vectors.typing import IntArray

__all__ = ["LevelIntake", "level_intake"]


@dataclass
class LevelIntake(SpillIntake):
    """Rows of a level in temporary files."""

    stored_links: SourceLinks | None = None
    parts: LineParts | None = None

    def blocks(self, plan: CellPlan) -> Iterator[RowTable]:
        """The rows, group of shards after group of shards: of lines in their order, of trees with their roots."""
        for table in super().blocks(plan):
            if plan.connects == "sequence" and table.numbers is not None:
                if self.parts is not None and table.object_ids is not None:
                    table.object_ids, table.numbers = self.parts.of(table.object_ids, table.numbers)
                yield table.take(stable_order([table.numbers]))
            elif plan.connects == "tree" and table.numbers is not None and self.stored_links is not None:
                table.breaks = self.stored_links.roots(table.numbers)
                yield table
            else:
                yield table


def level_intake(
    source: ScanPlan, scan: Scan, links: SourceLinks | None, ids: IntArray, parts: LineParts | None = None
) -> LevelIntake:
    """What has been read of a level.

    Args:
        parts: What is left of its lines, by the ids that rows have; None where they are whole.
    """
    level = source.level
    return LevelIntake(
        rows=scan.rows,
        link_file=None,
        axes=(),
        dtype=level.position_dtype,
        columns=dict(source.columns),
        link_columns={} if links is None else dict(links.columns),
        link_width=2,
        directed=False,
        tables=ObjectTables(ids=ids),
        has_objects=source.has_objects,
        extent=Extent(scan.count, scan.low, scan.high, np.zeros((0, len(level.chunk_shape)))),
        dropped=0,
        numbered_lines=0,
        next_row_id=None,
        lookups={},
        link_lookups={},
        stored_links=links,
        parts=parts,
    )
