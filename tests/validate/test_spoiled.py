"""A sound store has no problems; one thing that is wrong is found, where it is and as what it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.query.damage import flip, stored
from tests.storage.stores import REPOSITORY
from tests.validate.cases import CASES, LEVEL
from tests.validate.spoiling import BASES, Spoil, attributes
from zarr_vectors.validate.problems import Problem
from zarr_vectors.validate.rules import RULES


def found(place: Path, level: int = 5) -> list[Problem]:
    return list(zv.validate(place, level).problems)


@pytest.mark.parametrize("base", BASES)
def test_a_sound_store_has_no_problems(sound: dict[str, Path], base: str) -> None:
    assert found(sound[base]) == []


@pytest.mark.parametrize(
    ("base", "spoil", "kind", "place"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_is_wrong_is_found(
    sound: dict[str, Path], tmp_path: Path, base: str, spoil: Spoil, kind: str, place: str
) -> None:
    store = tmp_path / "store"
    shutil.copytree(sound[base], store)
    spoil(store)
    path, _, key = place.partition(" [")
    problems = found(store)
    alike = [problem for problem in problems if problem.kind == kind and problem.path == path]
    assert alike, [str(problem) for problem in problems]
    assert not key or key.rstrip("]") in [problem.cell for problem in alike]
    below = RULES[kind].level - 1
    assert not below or kind not in zv.validate(store, below).counts


def test_the_table_has_a_case_for_every_rule() -> None:
    untested = {"commit_pending", "vertices_lost", "no_vertices", "check_failed", "level_presence"}
    assert set(RULES) - {case[3] for case in CASES} <= untested


def test_every_problem_is_found(sound: dict[str, Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(sound["points"], store)
    files = stored(store, "vertices")
    for path in files[::2]:
        flip(path, -9)
    for path in stored(store, "vertex_attributes/v")[1::2]:
        path.unlink()
    attributes("0", LEVEL, object_sparsity=7)(store)
    result = zv.validate(store)
    assert not result.ok
    assert result.counts["cell_corrupt"] == len(files[::2])
    assert result.counts["cell_missing"] == len(files[1::2])
    assert result.counts["level_metadata"] == 1


def test_every_rule_stands_in_the_documents() -> None:
    text = (REPOSITORY / "docs" / "validate.md").read_text(encoding="utf-8")
    rows = [f"| {rule.level} | `{kind}` | {rule.severity} | {rule.meaning} |" for kind, rule in RULES.items()]
    assert text.endswith("|---|---|---|---|\n" + "".join(f"{row}\n" for row in rows))
