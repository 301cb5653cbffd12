"""Backends that fail at a chosen change, and commits to try them on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from zarr.storage import MemoryStore

from tests.storage.stores import as_buffer
from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.backend import Backend, Get
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.loop import Change
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.storage import ROOT, Batch, Storage
from zarr_vectors.typing import JsonObject


class DiskError(Exception):
    """What a failing backend raises."""


@dataclass
class Bomb:
    """Goes off at a change, counted from 0.

    Args:
        at: Which; None for never.
        kind: What to raise.
        late: Let the change happen first.
        stays: Fail at every later change too.
    """

    at: int | None = None
    kind: type[BaseException] = DiskError
    late: bool = False
    stays: bool = False
    changes: int = 0
    went_off: bool = False

    def around(self, change: Callable[[], None]) -> None:
        number = self.changes
        self.changes += 1
        hit = self.at is not None and (number >= self.at if self.stays else number == self.at)
        if not hit or self.late:
            change()
        if hit:
            self.went_off = True
            raise self.kind(f"at change {number}")


class FailingLocal(LocalBackend):
    """A local folder with a bomb."""

    def __init__(self, root: Path, bomb: Bomb) -> None:
        super().__init__(root)
        self.bomb = bomb

    def put_bytes(self, key: str, data: Buffer) -> None:
        self.bomb.around(lambda: super(FailingLocal, self).put_bytes(key, data))

    def replace(self, key: str, data: Buffer) -> None:
        self.bomb.around(lambda: super(FailingLocal, self).replace(key, data))

    def move_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        for pair in pairs:
            self.bomb.around(partial(super().move_all, [pair]))

    def copy_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        for pair in pairs:
            self.bomb.around(partial(super().copy_all, [pair]))

    def delete(self, key: str) -> None:
        self.bomb.around(lambda: super(FailingLocal, self).delete(key))

    def delete_prefix(self, prefix: str) -> None:
        self.bomb.around(lambda: super(FailingLocal, self).delete_prefix(prefix))


class FailingMemory(ZarrBackend):
    """A zarr store in memory with a bomb."""

    def __init__(self, store: MemoryStore, bomb: Bomb) -> None:
        super().__init__(store, url="memory://failing")
        self.bomb = bomb

    def _change_all(self, changes: Iterable[Change], at_once: int = 1) -> None:
        for change in changes:
            self.bomb.around(partial(super()._change_all, [change], at_once))


@dataclass
class Place:
    """Where a store is put, before and after a failure: a folder, or memory."""

    folder: Path | None = None
    memory: MemoryStore = field(default_factory=MemoryStore)

    def failing(self, bomb: Bomb) -> FailingLocal | FailingMemory:
        return FailingMemory(self.memory, bomb) if self.folder is None else FailingLocal(self.folder, bomb)

    def sound(self, *, read_only: bool = False) -> Backend:
        if self.folder is None:
            return ZarrBackend(self.memory, url="memory://sound", read_only=read_only)
        return LocalBackend(self.folder, read_only=read_only)

    def fill(self, content: dict[str, bytes]) -> None:
        if self.folder is None:
            self.memory._store_dict.update({key: as_buffer(data) for key, data in content.items()})
            return
        for key, data in content.items():
            path = self.folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def content(self) -> dict[str, bytes]:
        """Everything that is there, staged or not; also what folders are empty."""
        if self.folder is None:
            return {key: value.to_bytes() for key, value in self.memory._store_dict.items()}
        found: dict[str, bytes] = {}
        for path in self.folder.rglob("*") if self.folder.exists() else ():
            if path.is_file():
                found[path.relative_to(self.folder).as_posix()] = path.read_bytes()
            elif not any(path.iterdir()):
                found[path.relative_to(self.folder).as_posix() + "/"] = b""
        return found

    def leftovers(self) -> list[str]:
        """What a commit should not leave behind."""
        return [key for key in self.content() if key.startswith(".zv") or key.endswith(("/", ".tmp"))]

    def visible(self) -> dict[str, bytes] | None:
        """What a reader sees; None where there is no store."""
        storage = Storage(self.sound(read_only=True))
        root, _ = storage.read_root()
        if root is None:
            return None
        keys = storage.list_keys("", recursive=True)
        found = storage.fetch(Get(key) for key in keys)
        assert None not in found.values()
        return {get.path: bytes(data) for get, data in found.items() if data is not None}


def root_of(number: int, generation: int | None = None) -> JsonObject:
    said = {} if generation is None else {"zarr_vectors_generation": generation}
    return {"zarr_format": 3, "node_type": "group", "attributes": {"number": number, **said}}


@dataclass(frozen=True)
class Scenario:
    """A commit: what is there before, what the batch is, what must be there after."""

    before: dict[str, bytes]
    batch: Callable[[], Batch]
    after: dict[str, bytes]


def _puts(content: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    yield from content.items()


OLD = {
    ROOT: dump_json(root_of(1)),
    "a/zarr.json": b'{"array": 1}',
    "a/c/0/0": b"cell 0 0",
    "a/c/0/1": b"cell 0 1",
    "a/c/1/0": b"cell 1 0",
    "b/c/0": b"a file",
    "b/c/1/2": b"below a folder",
}
CREATED = {"a/zarr.json": b"array", "a/c/0/0": b"cell", "a/c/0/1": b"", "b/deep/er/c/0": b"other"}
CHANGED = {"a/zarr.json": b'{"array": 2}', "a/c/2/1": b"fresh"}
REPLACED = {
    "a/zarr.json": b'{"array": 3}',
    "a/c/0/0/5": b"below what was a file",
    "b/c/0/7": b"x",
    "b/c/1": b"file now",
}

SCENARIOS = {
    "create": Scenario({}, lambda: Batch(puts=_puts(CREATED), root=lambda: root_of(2)),
                       {**CREATED, ROOT: dump_json(root_of(2))}),
    "change": Scenario(
        OLD,
        lambda: Batch(
            puts=_puts(CHANGED),
            root=lambda: root_of(2),
            copies=[("a/c/0/0", "a/c/1/0"), ("a/c/0/1", "a/c/1/1"), ("a/c/1/0", "a/c/2/0")],
            deletes=["a/c/0/0", "a/c/0/1", "b/c/0", "not/there"],
        ),
        {
            **CHANGED,
            ROOT: dump_json(root_of(2, 1)),
            "a/c/1/0": b"cell 0 0",
            "a/c/1/1": b"cell 0 1",
            "a/c/2/0": b"cell 1 0",
            "b/c/1/2": b"below a folder",
        },
    ),
    "replace": Scenario(
        OLD,
        lambda: Batch(puts=_puts(REPLACED), root=lambda: root_of(2), replace_all=True),
        {**REPLACED, ROOT: dump_json(root_of(2, 1))},
    ),
    "attributes": Scenario(
        OLD, lambda: Batch(puts=(), root=lambda: root_of(2)), {**OLD, ROOT: dump_json(root_of(2, 1))}
    ),
}  # fmt: skip


def is_recorded(place: Place) -> bool:
    """Whether the root names a commit that is being published."""
    root: Any = json.loads(place.content()[ROOT])
    return "zarr_vectors_commit" in root["attributes"]
