"""Numbers that are drawn at random do not depend on the tests that ran before."""

from __future__ import annotations

import numpy as np
import pytest

DRAWN = np.random.default_rng(1)


@pytest.mark.parametrize("time", range(2))
def test_every_test_draws_the_same_numbers(time: int) -> None:
    expected = np.random.default_rng(1).random(3)
    assert (DRAWN.random(3) == expected).all(), f"draw {time}"
