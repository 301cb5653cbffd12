"""What many writers have appended at once is a store like any other: 0.9.2 validates and reads it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.faults.harness import Where
from tests.faults.writers import check, run
from tests.interop.peer import Peer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_0_9_2_reads_what_many_writers_have_appended(tmp_path: Path, peer: Peer) -> None:
    place = tmp_path / "store"
    run(Where(str(place), {}), 3, 4, "same")
    check(Where(str(place), {}), 3, 4, "same")
    assert peer.validate(place)["errors"] == []
    theirs = peer.read_points(place, attribute_names=["mark"])
    ours = zv.open(place)[0].read()
    assert np.asarray(theirs["positions"]).tolist() == ours.positions.tolist()
    assert np.ravel(theirs["vertex_attributes"]["mark"]).tolist() == np.asarray(ours.attributes["mark"]).tolist()
