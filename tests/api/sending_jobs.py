"""What the process of ``test_sending`` does; in a file of its own, so that it need not import the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

import zarr_vectors as zv

__all__ = ["use"]


def use(group: zv.Group, store: zv.ZVStore, rows: list[Any], index: Any) -> dict[str, Any]:
    """What a process makes of what it is sent."""
    group.attrs["written elsewhere"] = True
    return {
        "chunks": group["0"].list_chunks("vertices"),
        "positions": store[0].read().positions,
        "rows": [np.asarray(part.compute()) for part in rows],
        "index": index.compute(),
    }
