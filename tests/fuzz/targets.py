"""What is fuzzed: a name, inputs that are sound, and what must only ever succeed or say what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from zarr_vectors.exceptions import ZVError

__all__ = ["Target"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing to fuzz.

    Args:
        name: Of the target.
        run: Takes the source of all chance, spoils an input with it, and uses it.
        allowed: Errors that it may raise.
        weight: How many executions it gets, relative to the others.
        seconds: Of computing that an execution may take.
    """

    name: str
    run: Callable[[random.Random], object]
    allowed: tuple[type[BaseException], ...] = (ZVError,)
    weight: float = 1.0
    seconds: float = 5.0
