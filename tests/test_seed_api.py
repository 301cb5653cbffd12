"""The API that was asked for, name by name: ``seed_api.json`` holds the kind and the signature of each.

A signature here may say more than the one that was asked for, as long as every call of that one still means the same:
further keywords that may be left out, and defaults that were none.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import zarr_vectors

TABLE: dict[str, dict[str, list[str]]] = json.loads((Path(__file__).parent / "seed_api.json").read_text("utf-8"))
NAMES = [f"{module}:{name}" for module, names in TABLE.items() for name in names]


def found(name: str) -> Any:
    """What a name stands for.

    Raises:
        AttributeError: There is no such name.
    """
    module, _, path = name.partition(":")
    value: Any = importlib.import_module(module)
    for part in path.split("."):
        value = inspect.getattr_static(value, part) if inspect.isclass(value) else getattr(value, part)
    return value


def wanted_parameters(text: str) -> list[inspect.Parameter]:
    """The parameters of a signature that is given as text."""
    namespace: dict[str, Any] = {}
    exec(f"def wanted{text}: pass", namespace)
    return list(inspect.signature(namespace["wanted"]).parameters.values())


def own_parameters(value: Any) -> list[inspect.Parameter]:
    """The parameters of what a name stands for, without ``self``."""
    if inspect.isclass(value):
        return list(inspect.signature(value).parameters.values())
    return [entry for entry in inspect.signature(value).parameters.values() if entry.name != "self"]


def differences(wanted: list[inspect.Parameter], own: list[inspect.Parameter]) -> list[str]:
    """Why a call of the wanted signature could fail or mean something else."""
    by_name = {entry.name: entry for entry in own}
    problems = []
    positional = [entry.name for entry in wanted if entry.kind is entry.POSITIONAL_OR_KEYWORD]
    if [entry.name for entry in own if entry.kind is entry.POSITIONAL_OR_KEYWORD][: len(positional)] != positional:
        problems.append(f"positional parameters are not {positional}")
    for entry in wanted:
        there = by_name.get(entry.name)
        if there is None or there.kind is not entry.kind:
            problems.append(f"{entry.name} is missing, or of another kind")
        elif entry.default is not entry.empty and there.default != entry.default:
            problems.append(f"{entry.name} is {there.default!r} by default, not {entry.default!r}")
    names = {entry.name for entry in wanted}
    further = [entry for entry in own if entry.name not in names]
    problems += [
        f"{entry.name} is new and must be given"
        for entry in further
        if entry.default is entry.empty and entry.kind not in (entry.VAR_POSITIONAL, entry.VAR_KEYWORD)
    ]
    return problems


def test_the_table_is_whole() -> None:
    assert len(NAMES) == 62


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_is_what_was_asked_for(name: str) -> None:
    module, _, path = name.partition(":")
    kind, *signature = TABLE[module][path]
    value = found(name)
    if kind == "property":
        assert isinstance(value, property)
        return
    assert inspect.isclass(value) == (kind == "class")
    assert callable(value)
    if kind == "async method":
        assert inspect.iscoroutinefunction(value)
    assert differences(wanted_parameters(signature[0]), own_parameters(value)) == []
    assert inspect.getdoc(value)


@cache
def examples_that_run() -> dict[str, int]:
    """How many results ``--doctest-modules`` of pytest compares under each text, in the modules that hold the API."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found: dict[str, int] = {}
    for module in pkgutil.walk_packages(zarr_vectors.__path__, "zarr_vectors."):
        if module.name.split(".")[1] in {"core", "api", "storage", "rechunk"}:
            for test in finder.find(importlib.import_module(module.name)):
                found[(test.docstring or "").strip()] = sum(bool(example.want) for example in test.examples)
    return found


def text_of(name: str) -> str:
    """What is said of a name; ``__init__`` of a dataclass is described with its class."""
    value = found(name.removesuffix(".__init__"))
    return (value.fget if isinstance(value, property) else value).__doc__ or ""


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_shows_an_example_that_the_tests_run(name: str) -> None:
    assert examples_that_run()[text_of(name).strip()] > 0


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_says_what_it_takes_gives_and_refuses(name: str) -> None:
    text, value = text_of(name), found(name)
    if isinstance(value, property):
        return
    signature = inspect.signature(value)
    given = [entry.name for entry in own_parameters(value) if entry.name not in ("args", "kwargs")]
    section = re.split(r"\n\s+(?:Returns|Raises|Example):\n", text.partition("Args:")[2])[0]
    told = {word for line in re.findall(r"^ +([\w*, ]+):", section, re.MULTILINE) for word in re.findall(r"\w+", line)}
    assert set(given) <= told
    # A RechunkSpec is checked by the functions that take it.
    assert "Raises:" in text or ":RechunkSpec" in name
    if not inspect.isclass(value) and not name.endswith("__init__"):
        assert ("Returns:" in text) == (signature.return_annotation not in ("None", None))


@pytest.mark.parametrize(
    ("wanted", "own", "problem"),
    [
        ("(a, *, b=1)", "(a, *, b=1, c=None)", None),
        ("(a, *, b=1)", "(a, *, b=2)", "b is 2 by default"),
        ("(a, *, b=1)", "(a, b=1)", "b is missing, or of another kind"),
        ("(a, b)", "(b, a)", "positional parameters"),
        ("(a)", "(a, b)", "b is new and must be given"),
        ("(a, **kwargs)", "(a)", "kwargs is missing"),
    ],
)
def test_a_difference_is_found(wanted: str, own: str, problem: str | None) -> None:
    problems = differences(wanted_parameters(wanted), wanted_parameters(own))
    assert problems == [] if problem is None else problem in "\n".join(problems)
