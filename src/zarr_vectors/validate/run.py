"""The way of a validation: documents first, then cells, then what they mean together."""

from __future__ import annotations

from functools import partial
from typing import Any

from zarr_vectors.core.group import Group
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend
from zarr_vectors.validate.array_rules import open_level
from zarr_vectors.validate.cell_rules import check_cells
from zarr_vectors.validate.header_rules import check_headers
from zarr_vectors.validate.kind_rules import check_kind, check_kind_names
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.level_rules import check_level
from zarr_vectors.validate.link_rules import LevelLinks, check_links
from zarr_vectors.validate.nodes import Nodes, read_nodes
from zarr_vectors.validate.object_rules import LevelObjects, check_objects
from zarr_vectors.validate.problems import Findings, ValidationResult
from zarr_vectors.validate.pyramid_rules import check_pyramid
from zarr_vectors.validate.root_rules import check_root
from zarr_vectors.validate.stored_rules import check_stored

__all__ = ["validate_store"]

LEVELS = range(1, 6)


def validate_store(target: Any, level: int, storage_options: Any = None) -> ValidationResult:
    """See ``zarr_vectors.validate``."""
    if isinstance(level, bool) or level not in LEVELS:
        raise InputError("there is no such level of validation", got=repr(level), expected="1 to 5")
    storage = _storage_of(target, storage_options)
    findings = Findings(storage.url, level)
    nodes = read_nodes(storage, findings)
    root = check_root(nodes, findings) if nodes is not None and level > 1 else None
    if nodes is not None and root is not None:
        levels = _open_levels(root, nodes, findings)
        if level > 2:
            _Contents(storage, nodes, root, levels, findings).check()
    return findings.result()


def _storage_of(target: Any, options: Any) -> Storage:
    """A store of its own, so that an open one keeps what it has read."""
    if isinstance(target, Group):
        return Storage(target.storage.backend)
    inner = getattr(target, "storage", None)
    if isinstance(inner, Storage):
        return Storage(inner.backend)
    return Storage(open_backend(target, read_only=True, storage_options=options))


def _open_levels(root: RootState, nodes: Nodes, findings: Findings) -> dict[int, LevelState]:
    found: dict[int, LevelState] = {}
    for number in nodes.levels:
        metadata = check_level(root, nodes, number, findings)
        level = None if metadata is None else open_level(root, nodes, number, metadata, findings)
        if level is not None:
            found[number] = level
    return found


class _Contents:
    """Levels 3 to 5: what lies in the arrays."""

    def __init__(
        self, storage: Storage, nodes: Nodes, root: RootState, levels: dict[int, LevelState], findings: Findings
    ) -> None:
        self.storage = storage
        self.nodes = nodes
        self.root = root
        self.levels = levels
        self.findings = findings
        self.cells: dict[int, LevelCells] = {}
        self.objects: dict[int, LevelObjects] = {}
        self.links: dict[int, LevelLinks] = {}

    def check(self) -> None:
        """Check everything; a check that cannot be made leaves the others as they are."""
        for number, level in self.levels.items():
            self.findings.attempt(str(number), partial(self._read, level))
        for number, level in self.levels.items():
            if number in self.cells:
                self.findings.attempt(str(number), partial(self._relate, level))
        self.findings.attempt("", lambda: check_headers(self.storage, self.nodes, self.findings))
        if self.findings.level > 3:
            composite = any(level.is_composite for level in self.levels.values())
            check_kind_names(self.root, composite, self.findings)
            for number, level in self.levels.items():
                self.findings.attempt(str(number), partial(self._check_kind, level))
        if self.findings.level > 4:
            self.findings.attempt("", self._check_pyramid)

    def _read(self, level: LevelState) -> None:
        self.cells[level.number] = check_cells(self.storage, self.root, level, self.findings)
        check_stored(self.storage, level, self.findings)

    def _relate(self, level: LevelState) -> None:
        number = level.number
        self.objects[number] = check_objects(self.storage, level, self.cells[number], self.findings)
        self.links[number] = check_links(self.storage, self.root, level, self.cells, self.findings)

    def _check_kind(self, level: LevelState) -> None:
        number = level.number
        if number in self.links and number in self.objects:
            check_kind(self.root, level, self.cells[number], self.objects[number], self.links[number], self.findings)

    def _check_pyramid(self) -> None:
        check_pyramid(self.root, self.nodes, self.levels, self.cells, self.objects, self.links, self.findings)
