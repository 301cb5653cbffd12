"""The way of a validation: documents first, then cells, then what they mean together."""

from __future__ import annotations

from functools import partial
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend
from zarr_vectors.storage.whole import check_current
from zarr_vectors.validate.array_rules import open_level
from zarr_vectors.validate.cell_rules import check_cells
from zarr_vectors.validate.header_rules import check_headers
from zarr_vectors.validate.index_rules import check_index
from zarr_vectors.validate.kind_rules import check_kind, check_kind_names
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.level_rules import check_level
from zarr_vectors.validate.link_rules import LevelLinks, check_links
from zarr_vectors.validate.nodes import Nodes, check_nodes, read_nodes
from zarr_vectors.validate.object_rules import LevelObjects, check_objects
from zarr_vectors.validate.problems import Findings, ValidationResult
from zarr_vectors.validate.pyramid_rules import check_pyramid
from zarr_vectors.validate.root_rules import check_root
from zarr_vectors.validate.stored_rules import check_stored

__all__ = ["Examination", "storage_of", "validate_store"]

LEVELS = range(1, 6)


def validate_store(target: Any, level: int, storage_options: Any = None) -> ValidationResult:
    """See ``zarr_vectors.validate``."""
    if isinstance(level, bool) or level not in LEVELS:
        raise InputError("there is no such level of validation", got=repr(level), expected="1 to 5")
    storage = storage_of(target, storage_options)
    found = Examination(storage, level)
    if found.nodes is not None and not storage.is_current(storage.seen):
        # What was found means nothing: the documents are of one state, and the cells of another.
        found = Examination(storage, level)
        if found.nodes is not None:
            check_current(storage, storage.seen)
    return found.findings.result()


def storage_of(target: Any, options: Any, *, read_only: bool = True) -> Storage:
    """A store of its own, so that an open one keeps what it has read."""
    inner = target.storage if isinstance(target, Group) else getattr(target, "storage", None)
    if isinstance(inner, Storage):
        return Storage(inner.backend)
    return Storage(open_backend(target, read_only=read_only, storage_options=options))


class Examination:
    """Everything that a validation looks at, and what it finds.

    Args:
        storage: The store.
        level: How far to look.
        nodes: Its nodes, where they are known; read by default.

    Attributes:
        nodes: None where there is no store.
        root: None where the root's documents cannot be used.
        levels: Those that can be read, by number; so are ``cells``, ``objects`` and ``links``.
    """

    def __init__(self, storage: Storage, level: int, nodes: Nodes | None = None) -> None:
        self.storage = storage
        self.findings = Findings(storage.url, level)
        self.nodes = read_nodes(storage, self.findings) if nodes is None else nodes
        self.root: RootState | None = None
        self.levels: dict[int, LevelState] = {}
        self.cells: dict[int, LevelCells] = {}
        self.objects: dict[int, LevelObjects] = {}
        self.links: dict[int, LevelLinks] = {}
        if self.nodes is not None:
            self._check(self.nodes)

    def _check(self, nodes: Nodes) -> None:
        """Check everything; a check that cannot be made leaves the others as they are."""
        findings = self.findings
        findings.attempt("", partial(check_nodes, nodes, findings), "document_corrupt")
        if findings.level > 1:
            findings.attempt("", partial(self._open_root, nodes), "root_metadata")
        if self.root is None:
            return
        for number in nodes.levels:
            findings.attempt(str(number), partial(self._open_level, self.root, nodes, number), "level_metadata")
        if findings.level > 2:
            self._check_contents(self.root, nodes)
        if findings.level > 3:
            self._check_kinds(self.root)
        if findings.level > 4:
            findings.attempt(
                "",
                partial(check_pyramid, self.root, nodes, self.levels, self.cells, self.objects, self.links, findings),
            )

    def _open_root(self, nodes: Nodes) -> None:
        self.root = check_root(nodes, self.findings)

    def _open_level(self, root: RootState, nodes: Nodes, number: int) -> None:
        metadata = check_level(root, nodes, number, self.findings)
        level = None if metadata is None else open_level(root, nodes, number, metadata, self.findings)
        if level is not None:
            self.levels[number] = level

    def _check_contents(self, root: RootState, nodes: Nodes) -> None:
        for number, level in self.levels.items():
            self.findings.attempt(str(number), partial(self._read, root, level))
        for number, level in self.levels.items():
            if number in self.cells:
                self.findings.attempt(str(number), partial(self._relate, root, nodes, level))
        self.findings.attempt("", lambda: check_headers(self.storage, nodes, self.findings))

    def _read(self, root: RootState, level: LevelState) -> None:
        self.cells[level.number] = check_cells(self.storage, root, level, self.findings)
        check_stored(self.storage, level, self.findings)
        index = partial(check_index, self.storage, level, self.findings)
        self.findings.attempt(f"{level.number}/{constants.CELL_INDEX}", index, "index_corrupt")

    def _relate(self, root: RootState, nodes: Nodes, level: LevelState) -> None:
        number, ids = level.number, f"{level.number}/{constants.OBJECT_IDS}"
        has_ids = ids in nodes.documents or ids in nodes.corrupt
        cells = self.cells[number]
        self.objects[number] = check_objects(self.storage, level, cells, self.findings, has_ids=has_ids)
        self.links[number] = check_links(self.storage, root, level, self.cells, self.findings)

    def _check_kinds(self, root: RootState) -> None:
        composite = any(level.is_composite for level in self.levels.values())
        check_kind_names(root, composite, self.findings)
        for number, level in self.levels.items():
            self.findings.attempt(str(number), partial(self._check_kind, root, level))

    def _check_kind(self, root: RootState, level: LevelState) -> None:
        number = level.number
        if number in self.links and number in self.objects:
            check_kind(root, level, self.cells[number], self.objects[number], self.links[number], self.findings)
