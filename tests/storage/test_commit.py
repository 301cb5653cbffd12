"""A commit is there as a whole or not at all, whatever fails."""

from __future__ import annotations

import _thread
import asyncio
import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zarr.storage import MemoryStore

from tests.storage.faults import OLD, SCENARIOS, Bomb, DiskError, FailingLocal, Place, Scenario, is_recorded, root_of
from zarr_vectors.exceptions import CorruptionError, ReadOnlyError, StoreError, StoreExistsError, UnfinishedCommitError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.record import read_record
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.storage import ROOT, Batch, Storage

places = pytest.mark.parametrize("where", ["local", "memory"])
scenarios = pytest.mark.parametrize("name", SCENARIOS)
MOST = 200
"""More changes than any commit here makes."""


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(number) / "store" for number in itertools.count())


def place_for(where: str, folders: Iterator[Path], scenario: Scenario) -> Place:
    place = Place(next(folders) if where == "local" else None)
    place.fill(scenario.before)
    return place


def commit(place: Place, scenario: Scenario, bomb: Bomb) -> bool:
    """Whether nothing has failed; what the writer is told of its commit must be true."""
    try:
        Storage(place.failing(bomb)).commit(scenario.batch())
    except KeyboardInterrupt as interrupt:
        happened = any("the commit has happened" in note for note in getattr(interrupt, "__notes__", []))
        assert place.visible() == (scenario.after if happened else scenario.before or None)
    except UnfinishedCommitError:
        assert place.visible() == scenario.after
    except DiskError:
        assert place.visible() == (scenario.before or None)
    else:
        assert place.content() == scenario.after
    return not bomb.went_off


def assert_whole(place: Place, scenario: Scenario) -> None:
    """A reader sees the old or the new content; the next writer leaves it so, and nothing else."""
    seen = place.visible()
    assert seen in ((scenario.before or None), scenario.after)
    with Storage(place.sound()).lock():
        pass
    assert place.visible() == seen
    assert place.content() == (seen or {})


@places
@scenarios
def test_a_commit_changes_what_it_says_and_leaves_nothing_behind(
    where: str, name: str, folders: Iterator[Path]
) -> None:
    scenario = SCENARIOS[name]
    place = place_for(where, folders, scenario)
    assert commit(place, scenario, Bomb())
    assert place.content() == place.visible() == scenario.after


@places
@scenarios
@pytest.mark.parametrize(
    ("kind", "late"), [(DiskError, False), (KeyboardInterrupt, True)], ids=["an error", "an interrupt"]
)
def test_a_failure_at_any_change_leaves_the_old_or_the_new(
    where: str, name: str, kind: type[BaseException], late: bool, folders: Iterator[Path]
) -> None:
    scenario = SCENARIOS[name]
    for at in range(MOST):
        place = place_for(where, folders, scenario)
        if commit(place, scenario, Bomb(at, kind, late)):
            break
        if place.visible() == (scenario.before or None):
            assert place.content() == scenario.before, f"what was staged is removed at once (change {at})"
        assert_whole(place, scenario)
    assert 2 < at < MOST - 1


@places
@scenarios
@pytest.mark.parametrize("late", [False, True], ids=["before a change", "after a change"])
def test_a_disk_that_fails_for_good_leaves_the_old_or_the_new(
    where: str, name: str, late: bool, folders: Iterator[Path]
) -> None:
    scenario = SCENARIOS[name]
    for at in range(MOST):
        place = place_for(where, folders, scenario)
        if commit(place, scenario, Bomb(at, late=late, stays=True)):
            break
        assert_whole(place, scenario)
    assert 2 < at < MOST - 1


@places
@scenarios
def test_recovery_that_fails_at_any_change_is_done_again(where: str, name: str, folders: Iterator[Path]) -> None:
    scenario = SCENARIOS[name]
    for first in range(MOST):
        place = place_for(where, folders, scenario)
        if commit(place, scenario, Bomb(first, stays=True)):
            break
        seen = place.visible()
        for second in range(MOST):
            try:
                with Storage(place.failing(Bomb(second, stays=True))).lock():
                    break
            except DiskError:
                assert place.visible() == seen
        assert place.content() == (seen or {})


@places
@pytest.mark.parametrize("name", ["create", "change", "replace"])
def test_input_that_ends_in_an_error_changes_nothing(where: str, name: str, folders: Iterator[Path]) -> None:
    scenario = SCENARIOS[name]
    whole = scenario.batch()
    puts = list(whole.puts)

    def broken(length: int) -> Iterator[tuple[str, Any]]:
        yield from puts[:length]
        raise DiskError("the input ends here")

    for length in range(len(puts) + 1):
        place = place_for(where, folders, scenario)
        batch = Batch(puts=broken(length), root=whole.root, deletes=whole.deletes, replace_all=whole.replace_all)
        with pytest.raises(DiskError):
            Storage(place.sound()).commit(batch)
        assert place.content() == scenario.before
    place = place_for(where, folders, scenario)

    def no_root() -> Any:
        raise DiskError("no root")

    with pytest.raises(DiskError):
        Storage(place.sound()).commit(Batch(puts=puts, root=no_root))
    assert place.content() == scenario.before


@places
def test_a_writer_is_told_that_its_commit_holds_although_it_could_not_be_published(
    where: str, folders: Iterator[Path]
) -> None:
    scenario = SCENARIOS["change"]
    place = place_for(where, folders, scenario)
    told: UnfinishedCommitError | None = None
    for at in range(MOST):
        place.fill(scenario.before)
        try:
            Storage(place.failing(Bomb(at, stays=True))).commit(scenario.batch())
        except DiskError:
            with Storage(place.sound()).lock():
                pass
        except UnfinishedCommitError as error:
            told = error
            break
    assert told is not None
    assert isinstance(told.__cause__, DiskError)
    assert "do not repeat the write" in str(told)
    assert is_recorded(place)
    assert place.visible() == scenario.after
    with Storage(place.sound()).lock():
        pass
    assert place.content() == scenario.after


@places
def test_a_hiccup_in_publication_is_no_error(where: str, folders: Iterator[Path]) -> None:
    """Whatever fails once behind the record is done again."""
    scenario = SCENARIOS["change"]
    survived = 0
    for at in range(MOST):
        place = place_for(where, folders, scenario)
        bomb = Bomb(at)
        try:
            Storage(place.failing(bomb)).commit(scenario.batch())
        except DiskError:
            assert survived == 0, f"change {at}"
            continue
        assert place.content() == scenario.after
        if not bomb.went_off:
            break
        survived += 1
    assert survived > 5


def test_a_server_that_falls_silent_at_the_record_leaves_it_open_whether_the_commit_has_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "store")
    place.fill(SCENARIOS["change"].before)
    backend = LocalBackend(tmp_path / "store")
    read = backend.read_versioned

    def silent(*_: Any) -> Any:
        raise StoreError("no answer")

    def swap(*_: Any) -> Any:
        monkeypatch.setattr(backend, "read_versioned", silent)
        raise StoreError("cut off")

    monkeypatch.setattr(backend, "swap", swap)
    with pytest.raises(StoreError, match="not known whether the commit has happened"):
        Storage(backend).commit(SCENARIOS["change"].batch())
    monkeypatch.setattr(backend, "read_versioned", read)
    assert place.visible() == SCENARIOS["change"].before


def recorded(place: Place, scenario: Scenario) -> None:
    """Commit up to the record, and not a change further."""
    for at in range(MOST):
        place.fill(scenario.before)
        assert not commit(place, scenario, Bomb(at, stays=True))
        if is_recorded(place):
            return
        with Storage(place.sound()).lock():
            pass
    raise AssertionError("the commit was never recorded")


@places
@pytest.mark.parametrize("name", ["change", "replace", "attributes"])
def test_a_reader_that_comes_before_publication_reads_through_the_record(
    where: str, name: str, folders: Iterator[Path]
) -> None:
    scenario = SCENARIOS[name]
    place = place_for(where, folders, scenario)
    recorded(place, scenario)
    assert {key: data for key, data in place.content().items() if key != ROOT and not key.startswith(".zv")} == {
        key: data for key, data in scenario.before.items() if key != ROOT
    }
    storage = Storage(place.sound(read_only=True))
    root, others = storage.read_root(["not-there.json"])
    assert (root, others) == (root_of(2, 1), {"not-there.json": None})
    paths = sorted({*scenario.before, *scenario.after} - {ROOT})
    found = storage.fetch([Get(path) for path in paths])
    assert {get.path: data for get, data in found.items() if data is not None} == {
        key: data for key, data in scenario.after.items() if key != ROOT
    }
    assert storage.list_keys("", recursive=True) == sorted(scenario.after)
    assert storage.list_keys("a") == sorted(
        {f"a/{key.split('/')[1]}{'/' if key.count('/') > 1 else ''}" for key in scenario.after if key.startswith("a/")}
    )
    assert place.visible() == scenario.after
    part = storage.fetch([Get("a/zarr.json", 1, 3)])
    assert list(part.values()) == [scenario.after["a/zarr.json"][1:4]]


@places
def test_a_reader_goes_on_while_and_after_the_commit_is_published(where: str, folders: Iterator[Path]) -> None:
    scenario = SCENARIOS["change"]
    before = place_for(where, folders, scenario)
    recorded(before, scenario)
    content = before.content()
    for at in range(MOST):
        place = Place(next(folders) if where == "local" else None)
        place.fill(content)
        storage = Storage(place.sound(read_only=True))
        storage.read_root()
        try:
            with Storage(place.failing(Bomb(at, stays=True))).lock():
                pass
        except DiskError:
            done = False
        else:
            done = True
        found = storage.fetch([Get(path) for path in scenario.after if path != ROOT])
        assert {get.path: data for get, data in found.items()} == {
            key: data for key, data in scenario.after.items() if key != ROOT
        }
        if done:
            return


@places
def test_a_reader_that_finds_the_record_just_removed_reads_the_root_again(
    where: str, folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = SCENARIOS["change"]
    place = place_for(where, folders, scenario)
    recorded(place, scenario)
    storage = Storage(place.sound(read_only=True))

    def publish_first(backend: Any, marker: Any) -> Any:
        monkeypatch.setattr("zarr_vectors.storage.storage.read_record", read_record)
        with Storage(place.sound()).lock():
            pass
        return read_record(backend, marker)

    monkeypatch.setattr("zarr_vectors.storage.storage.read_record", publish_first)
    root, others = storage.read_root(["a/zarr.json"])
    assert (root, others) == (root_of(2, 1), {"a/zarr.json": {"array": 2}})
    found = storage.fetch([Get("a/c/1/0"), Get("a/c/0/0")])
    assert list(found.values()) == [b"cell 0 0", None]


@places
@pytest.mark.parametrize("damage", ["record", "root", "marker"])
def test_a_record_that_is_damaged_is_corruption(where: str, damage: str, folders: Iterator[Path]) -> None:
    place = place_for(where, folders, SCENARIOS["change"])
    recorded(place, SCENARIOS["change"])
    content = place.content()
    record = next(key for key in content if key.endswith("/record.json"))
    if damage == "record":
        place.fill({record: content[record][:20]})
    elif damage == "root":
        place.sound().delete(record.replace("record.json", ROOT))
    else:
        root = json.loads(content[ROOT])
        root["attributes"]["zarr_vectors_commit"] = "yes"
        place.fill({ROOT: dump_json(root)})
    with pytest.raises(CorruptionError):
        Storage(place.sound()).lock().__enter__()
    if damage != "root":
        with pytest.raises(CorruptionError):
            Storage(place.sound(read_only=True)).read_root()


@pytest.mark.parametrize("path", ["../victim", "/victim", "a/../../victim"])
@pytest.mark.parametrize("what", ["deletes", "puts"])
def test_a_record_cannot_reach_beyond_the_store(tmp_path: Path, what: str, path: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    marker = {"id": "x", "state": "complete", "record": ".zv/x/record.json"}
    record = {"puts": [], "deletes": [], what: [path]}
    place = Place(tmp_path / "store")
    place.fill({
        ROOT: dump_json({"attributes": {"zarr_vectors_commit": marker}}),
        ".zv/x/record.json": dump_json(record),
        ".zv/x/zarr.json": dump_json(root_of(2)),
        ".zv/victim": b"planted",
    })  # fmt: skip
    with pytest.raises(CorruptionError):
        Storage(place.sound()).commit(SCENARIOS["attributes"].batch())
    assert victim.read_text() == "precious"


def test_a_record_that_is_nested_too_deeply_is_corrupt(tmp_path: Path) -> None:
    marker = {"id": "x", "state": "complete", "record": ".zv/x/record.json"}
    place = Place(tmp_path / "store")
    root = dump_json({"attributes": {"zarr_vectors_commit": marker}})
    place.fill({ROOT: root, ".zv/x/record.json": b"[" * 100_000})
    with pytest.raises(CorruptionError, match="the record of a commit"):
        Storage(place.sound(read_only=True)).read_root()


def test_a_folder_with_other_things_in_it_is_not_made_a_store(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("precious")
    with pytest.raises(StoreExistsError, match="photo"):
        Storage(LocalBackend(tmp_path)).commit(SCENARIOS["create"].batch())
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_folder_that_was_there_before_stays_when_a_creation_fails(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        Storage(FailingLocal(tmp_path, Bomb(2))).commit(SCENARIOS["create"].batch())
    assert list(tmp_path.iterdir()) == []


def test_a_batch_for_a_new_store_does_not_touch_an_old_one(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.fill(OLD)
    with pytest.raises(StoreExistsError):
        Storage(place.sound()).commit(Batch(puts=[("x", b"")], root=lambda: root_of(3), must_be_new=True))
    assert place.content() == OLD


@places
def test_a_read_only_store_takes_no_lock_and_no_commit(where: str, folders: Iterator[Path]) -> None:
    place = place_for(where, folders, SCENARIOS["change"])
    storage = Storage(place.sound(read_only=True))
    with pytest.raises(ReadOnlyError):
        storage.commit(SCENARIOS["change"].batch())
    with pytest.raises(ReadOnlyError), storage.lock():
        pass
    assert place.content() == OLD


@places
def test_a_copy_of_what_is_gone_is_an_error_and_changes_nothing(where: str, folders: Iterator[Path]) -> None:
    place = place_for(where, folders, SCENARIOS["change"])
    with pytest.raises(StoreError):
        Storage(place.sound()).commit(Batch(puts=[], root=lambda: root_of(2), copies=[("gone", "there")]))
    assert place.content() == OLD


def test_an_interrupt_waits_for_the_change_that_is_under_way() -> None:
    class Slow(MemoryStore):
        async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
            if key.startswith("a/"):
                _thread.interrupt_main()
                await asyncio.sleep(0.05)
            await super().set(key, value, byte_range)

    store = Slow()
    # A shell may have started the tests with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Storage(ZarrBackend(store)).commit(SCENARIOS["create"].batch())
    finally:
        signal.signal(signal.SIGINT, before)
    assert store._store_dict == {}
