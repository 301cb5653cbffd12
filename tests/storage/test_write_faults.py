"""What users write is there as a whole or not at all, whatever fails below."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.storage import jobs
from tests.storage.faults import Bomb, DiskError, Place
from zarr_vectors.exceptions import StoreNotFoundError, UnfinishedCommitError
from zarr_vectors.storage.storage import Storage

MOST = 500


def read(place: Place) -> Any:
    try:
        points = zv.open(place.sound(read_only=True))[0].read()
    except StoreNotFoundError:
        return None
    columns = [points.positions.tolist(), np.asarray(points.attributes["weight"]).tolist()]
    tables = {name: np.asarray(column).tolist() for name, column in points.object_attributes.items()}
    return [*sorted(zip(*columns, strict=True)), tables]


@pytest.mark.parametrize(("where", "base"), [("local", "create store"), ("memory", "create sharded store")])
@pytest.mark.parametrize("job", ["create", "append to store", "replace store"])
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 3])
def test_a_write_that_fails_at_any_change_leaves_the_old_or_the_new(
    tmp_path: Path, where: str, base: str, job: str, step: int
) -> None:
    """At every third one by default; what a commit does at each of its changes is held by those of commits."""
    numbers = itertools.count()

    def place(content: dict[str, bytes]) -> Place:
        made = Place(tmp_path / str(next(numbers)) / "store" if where == "local" else None)
        made.fill(content)
        return made

    write = jobs.JOBS[base if job == "create" else job]
    old = place({})
    if job != "create":
        jobs.JOBS[base](old.sound())
    new = place(old.content())
    write(new.sound())
    before, after = read(old), read(new)
    assert str(before) != str(after)
    assert new.leftovers() == []

    for at in range(0, MOST, step):
        kind, late = ((DiskError, False), (KeyboardInterrupt, True))[at % 2]
        target = place(old.content())
        bomb = Bomb(at, kind, late)
        try:
            write(target.failing(bomb))
        except (DiskError, KeyboardInterrupt, UnfinishedCommitError):
            seen = read(target)
            assert str(seen) in (str(before), str(after))
            if str(seen) == str(before):
                assert target.content() == old.content(), f"change {at}"
            with Storage(target.sound()).lock():
                pass
            assert str(read(target)) == str(seen)
            assert target.leftovers() == []
            if str(seen) == str(before) and at % 4 == 0:
                write(target.sound())
                assert str(read(target)) == str(after)
        else:
            assert str(read(target)) == str(after)
            assert target.leftovers() == []
            if not bomb.went_off:
                break
    assert 5 < at < MOST - step


@pytest.mark.parametrize("where", ["local", "memory"])
def test_a_stream_that_ends_in_an_error_changes_nothing(tmp_path: Path, where: str) -> None:
    place = Place(tmp_path / "store" if where == "local" else None)
    with pytest.raises(RuntimeError, match="ends here"):
        jobs.stream(place.sound())
    assert place.content() == {}
    jobs.create(place.sound())
    content = place.content()
    with pytest.raises(RuntimeError, match="ends here"):
        jobs.stream(place.sound())
    assert place.content() == content


def test_an_append_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        jobs.append(tmp_path / "deep" / "store")
    assert list(tmp_path.iterdir()) == []
