"""Arrays of any finite numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst


def finite_arrays(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Arrays of any bits, so that floats of every magnitude are as likely; those that are no numbers become 0."""
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return npst.arrays(kind, shape)
    bits = npst.arrays(np.dtype(f"u{kind.itemsize}").newbyteorder(kind.byteorder), shape)
    return bits.map(lambda drawn: np.where(np.isfinite(drawn.view(kind)), drawn.view(kind), 0).astype(kind))
