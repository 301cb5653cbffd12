"""What a repair changes, and what it tells."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.typing import JsonObject
from zarr_vectors.validate.nodes import LOST_AND_FOUND, Nodes
from zarr_vectors.validate.problems import Problem, told

__all__ = ["Action", "Changes", "Repair", "RepairResult"]

Action: TypeAlias = Literal["fixed", "moved", "given up", "finished", "rebuilt"]


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that is repaired.

    Args:
        kind: The rule that was broken; a key of ``zarr_vectors.validate.rules.RULES``.
        path: Node below the store's root; empty for the root.
        cell: Chunk key of the cell, or None.
        action: ``"fixed"`` from what else the store says; ``"moved"`` to ``lost+found``; ``"given up"`` for values that
            are gone, of which nothing is left to be read; ``"finished"`` for what a writer left; ``"rebuilt"`` for a
            level that is made anew.
        message: What is done.
    """

    kind: str
    path: str
    cell: str | None
    action: Action
    message: str

    def __str__(self) -> str:
        return told(self.kind, self.path, self.cell, self.message)

    def to_json(self) -> JsonObject:
        """As a JSON object."""
        return {
            "kind": self.kind,
            "action": self.action,
            "path": self.path,
            "cell": self.cell,
            "message": self.message,
        }


@dataclass(frozen=True)
class RepairResult:
    """What a repair does, or would do.

    Args:
        store: URL.
        applied: Whether it has been done.
        repairs: What is repaired.
        left: The problems that there are afterwards.
        unchecked: What could not be looked for, and why, as sentences.
    """

    store: str
    applied: bool
    repairs: tuple[Repair, ...] = ()
    left: tuple[Problem, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no errors are left."""
        return all(problem.severity != "error" for problem in self.left)

    @property
    def counts(self) -> dict[str, int]:
        """Number of repairs of each kind."""
        return dict(Counter(repair.kind for repair in self.repairs))

    def summary(self) -> str:
        """Lines for people."""
        done = "repaired" if self.applied else "to be repaired; nothing was changed"
        errors = sum(problem.severity == "error" for problem in self.left)
        lines = [
            f"{self.store}: {len(self.repairs)} {done}; {errors} errors and {len(self.left) - errors} warnings are left"
        ]
        lines += [f"{repair.action:<8} {repair}" for repair in self.repairs]
        lines += [f"left     {problem.severity} {problem}" for problem in self.left]
        lines += [f"not looked for: {what}" for what in self.unchecked]
        return "\n".join(lines)

    def to_json(self) -> JsonObject:
        """As a JSON object: ``store``, ``applied``, ``ok``, ``repairs``, ``left`` and ``unchecked``."""
        return {
            "store": self.store,
            "applied": self.applied,
            "ok": self.ok,
            "repairs": [repair.to_json() for repair in self.repairs],
            "left": [problem.to_json() for problem in self.left],
            "unchecked": list(self.unchecked),
        }


@dataclass
class Changes:
    """What a repair is going to change; documents are changed in ``nodes`` too, to be examined again.

    Args:
        nodes: The nodes of the store.
        before: Documents as they were, of those that may have been changed; None for those that were not there.
    """

    nodes: Nodes
    before: dict[str, JsonObject | None] = field(default_factory=dict)
    puts: dict[str, Buffer] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    drops: set[str] = field(default_factory=set)
    repairs: list[Repair] = field(default_factory=list)

    def tell(self, kind: str, path: str, message: str, *, cell: str | None = None, action: Action = "fixed") -> None:
        """Add to what is told."""
        repair = Repair(kind, path, cell, action, message)
        if repair not in self.repairs:
            self.repairs.append(repair)

    def edit(self, path: str) -> JsonObject:
        """The attributes of a node, to be changed."""
        document = self.nodes.root if not path else self.nodes.documents[path]
        if path not in self.before:
            self.before[path] = document
            document = copy.deepcopy(document)
            document["attributes"] = document.get("attributes") or {}
            if path:
                self.nodes.documents[path] = document
            else:
                self.nodes.root = document
        attributes: JsonObject = document["attributes"]
        return attributes

    def add_node(self, path: str, document: JsonObject) -> None:
        """Put a document where there is none."""
        self.nodes.documents[path] = document
        self.before[path] = None

    def remove_array(self, path: str, objects: Iterable[str]) -> None:
        """Remove an array that others say everything of."""
        del self.nodes.documents[path]
        self.before.pop(path, None)
        self.drops |= {f"{path}/zarr.json", *objects}

    def move(self, path: str) -> str:
        """Move a stored object to where it can be found again."""
        self.moves[path] = f"{LOST_AND_FOUND}/{path}"
        return self.moves[path]

    def keep_copy(self, path: str) -> str:
        """Keep a stored object as it is, before it is changed."""
        self.copies[path] = f"{LOST_AND_FOUND}/{path}"
        return self.copies[path]

    @property
    def documents(self) -> dict[str, Buffer]:
        """Documents to be put, but for the root's."""
        known = self.nodes.documents
        # The order of keys tells who has written a document.
        changed = [path for path, old in self.before.items() if path and repr(old) != repr(known[path])]
        return {f"{path}/zarr.json": dump_json(known[path]) for path in sorted(changed)}

    def __bool__(self) -> bool:
        root = "" in self.before and self.before[""] != self.nodes.root
        return bool(root or self.documents or self.puts or self.moves or self.drops)
