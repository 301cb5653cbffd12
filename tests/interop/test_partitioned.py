"""What partitioned writers have made is a store like any other: 0.9.2 validates and reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zarr_vectors as zv
from tests.interop.peer import Peer
from tests.interop.test_kinds_ours_to_peer import check, ours, told
from tests.types.test_connected_append import value_of
from zarr_vectors.types.join import concatenate


def ids_of(value: Any) -> list[int]:
    ids: list[int] = value.line_ids.tolist()
    return ids


@pytest.mark.parametrize(("kind", "shard"), [("graph", 2), ("skeleton", None), ("polyline", 2), ("mesh", None)])
def test_0_9_2_reads_what_was_written_in_parts(kind: str, shard: int | None, peer: Peer, tmp_path: Path) -> None:
    values = [value_of(kind, 20, first, low=low, high=low + 19) for first, low in ((1, 0), (11, 20), (21, 40))]
    links = {"weight": "f8"} if kind in ("graph", "mesh") else {}
    layout = zv.Layout(chunk_shape=10, shard_shape=shard)
    made = {"attributes": {"row": "i8"}, "link_attributes": links, "layout": layout}
    zv.create(tmp_path / "store", kind, bounds=([0] * 3, [59] * 3), **made)  # type: ignore[arg-type]
    job = zv.distributed.begin(tmp_path / "store")
    job.finish([job.write(str(number), value) for number, value in enumerate(values)])
    whole = concatenate(values)
    if kind != "polyline":
        check(peer, tmp_path / "store", whole)
        return
    # Without being asked for, 0.9.2 finds lines only whose ids begin with 0.
    assert peer.validate(tmp_path / "store")["errors"] == []
    assert told(peer, tmp_path / "store", whole, object_ids=ids_of(whole)) == ours(whole)
