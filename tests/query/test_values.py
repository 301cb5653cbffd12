"""Finding coordinates and ids in lists of them."""

from __future__ import annotations

import numpy as np
import pytest

from zarr_vectors.query.values import find_rows

FAR = [-(2**63), -1, 0, 7, 2**63 - 1]


@pytest.mark.parametrize("width", [1, 2])
def test_numbers_as_far_apart_as_there_are(width: int) -> None:
    known = np.array(FAR, dtype=np.int64)[:, None].repeat(width, axis=1)
    wanted = np.array([7, 2**63 - 1, 5, -(2**63)], dtype=np.int64)[:, None].repeat(width, axis=1)
    assert find_rows(known, wanted).tolist() == [3, 4, -1, 0]
