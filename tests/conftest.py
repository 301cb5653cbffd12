"""Settings that all tests share, and numbers drawn at random that are the same in every order of tests.

Property tests run under the hypothesis profile named by ``HYPOTHESIS_PROFILE``: ``test`` (the default), which takes the
same examples in every run, so that a run says something about the change and not about the draw; ``long``, which
takes more of them; or ``fuzz``, which looks for new ones: 2000 a test, or as many as ``HYPOTHESIS_EXAMPLES`` says.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from _pytest.doctest import DoctestModule
from hypothesis import HealthCheck, settings

# No deadline and no check of pace: the first example of a test pays for imports, and shared machines stall.
SHARED = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", SHARED, max_examples=30, derandomize=True)
settings.register_profile("long", SHARED, max_examples=120, derandomize=True)
settings.register_profile("fuzz", SHARED, max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "2000")))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are kept to the end: the garbage collector need not go through them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """No file of tests has examples to be found."""
    found = yield
    return [one for one in found if not isinstance(one, DoctestModule)]


_STATES: dict[ModuleType, list[tuple[np.random.Generator, Any]]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        drawn = [value for value in vars(module).values() if isinstance(value, np.random.Generator)]
        _STATES[module] = [(generator, generator.bit_generator.state) for generator in drawn]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test draws the same numbers from the generators of its module, whichever tests ran before it."""
    if isinstance(item, pytest.Function):
        for generator, state in _STATES.get(item.module, []):
            generator.bit_generator.state = state
