"""What merged branches and forks leave behind is a store like any other: 0.9.2 validates and reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.core.ice import append, on_branch, session_of, stored
from tests.interop.peer import Peer
from tests.interop.test_kinds_ours_to_peer import check
from tests.types.clouds import memory
from tests.types.test_connected_append import value_of
from zarr_vectors.core.store import branch, commit, fork, merge_branch, merge_forks
from zarr_vectors.types.join import concatenate

pytest.importorskip("icechunk")


@pytest.mark.parametrize(("kind", "shard"), [("graph", 2), ("skeleton", None)])
def test_0_9_2_reads_what_was_merged(kind: str, shard: int | None, peer: Peer, tmp_path: Path) -> None:
    boxes = ((1, 0, 9), (11, 40, 49), (21, -39, -30), (31, 80, 89))
    base, ours, theirs, forked = (value_of(kind, 20, first, low=low, high=high) for first, low, high in boxes)
    root = stored(memory(), base, zv.Layout(chunk_shape=10, shard_shape=shard))
    branch(root, "other")
    with on_branch(root, "other"):
        append(root, theirs, out_of_bounds="expand")
    append(root, ours, out_of_bounds="expand")
    commit(root)
    merge_branch(root, "other")
    place = fork(root)
    zv.write(place, forked, mode="append", out_of_bounds="expand")
    merge_forks(root, [place])
    for key in session_of(root).list_prefix("", recursive=True):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(session_of(root).get_bytes(key))
    check(peer, tmp_path, concatenate([base, ours, theirs, forked]))
