"""Which combinations of parameters run by default."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

__all__ = ["covering"]


def covering(
    names: str, *lists: Sequence[Any] | Mapping[str, Any], indirect: Sequence[str] = ()
) -> pytest.MarkDecorator:
    """Parametrise with all combinations; those that are not needed to see every pair of values are long.

    Of two lists, every value comes at least once. The last list must be the shortest.

    Args:
        names: As ``pytest.mark.parametrize`` takes them.
        lists: The values of each parameter, or values by the names that the tests get.
        indirect: Parameters of fixtures.
    """
    named = [_named(values) for values in lists]
    last = len(named[-1])
    assert all(len(values) >= last for values in named), "pairs would be missed"
    cases = []
    for at in itertools.product(*map(range, map(len, named))):
        keys, values = zip(*(one[number] for one, number in zip(named, at, strict=True)), strict=True)
        marks = [] if (sum(at[:-1]) - at[-1]) % last == 0 else [pytest.mark.long]
        cases.append(pytest.param(*values, id="-".join(keys), marks=marks))
    return pytest.mark.parametrize(names, cases, indirect=indirect)


def _named(values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(values.items()) if isinstance(values, Mapping) else [(str(value), value) for value in values]
