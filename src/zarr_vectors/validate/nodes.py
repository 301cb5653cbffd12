"""Level 1: which nodes a store has, and whether their documents are there and can be parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from zarr_vectors import constants
from zarr_vectors.core.listing import is_named
from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import CorruptionError, StoreError
from zarr_vectors.metadata.base import DocumentParser, parse_json
from zarr_vectors.storage.backend import STAGE, Get
from zarr_vectors.storage.record import left_by_writers, open_jobs
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.typing import JsonObject
from zarr_vectors.validate.problems import Findings

__all__ = ["DELTA", "LOST_AND_FOUND", "Nodes", "check_nodes", "read_nodes"]

DELTA = re.compile(r"0|[+-][1-9][0-9]*")
"""Names of families of links: the difference of levels that they lead over."""
LOST_AND_FOUND = "lost+found"
"""Folder at the root to which repairs move what they cannot make anew."""
_Lister: TypeAlias = Callable[[Sequence[str]], dict[str, list[str]]]
"""Immediate children of several prefixes."""
_DEEPEST = 6
_USUAL = (
    constants.VERTICES,
    constants.VERTEX_FRAGMENTS,
    constants.OBJECT_MANIFESTS,
    constants.OBJECT_IDS,
    constants.GROUPS,
)
"""Looked for where a level names no arrays."""
_LEVEL = re.compile(r"0|[1-9][0-9]*")


@dataclass
class Nodes:
    """The nodes of a store.

    Args:
        root: The root's document.
        documents: Documents of all other nodes by path.
        parser: Parses documents, so that those of a level share their presence list.
        corrupt: Paths of nodes whose document is there and cannot be parsed.
    """

    root: JsonObject
    parser: DocumentParser
    documents: dict[str, JsonObject] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)

    @property
    def attributes(self) -> JsonObject:
        """The root's attributes."""
        return attributes_of(self.root)

    @property
    def levels(self) -> list[int]:
        """Numbers of the levels whose groups can be read."""
        return sorted(int(path) for path, found in self.documents.items() if _LEVEL.fullmatch(path) and is_group(found))

    def below(self, path: str) -> dict[str, JsonObject]:
        """Documents of the nodes below a group, by their name below it."""
        head = f"{path}/"
        return {name.removeprefix(head): found for name, found in self.documents.items() if name.startswith(head)}

    def is_array(self, path: str) -> bool:
        """Whether there is an array at this path."""
        return path in self.documents and not is_group(self.documents[path])


def is_group(document: JsonObject) -> bool:
    """Whether a document is that of a group."""
    return bool(document.get("node_type") == "group")


def attributes_of(document: JsonObject) -> JsonObject:
    """The attributes of a node."""
    attributes: JsonObject = document.get("attributes") or {}
    return attributes


def read_nodes(storage: Storage, findings: Findings) -> Nodes | None:
    """Read all documents, in as many rounds as the store is deep; None where there is no store."""
    root = _read_root(storage, findings)
    if root is None:
        return None
    nodes = Nodes(root, DocumentParser(storage.url))
    try:
        _list_nodes(storage, storage.list_stored, nodes, findings)
    except StoreError as error:
        findings.leave_out("nodes that no document names", error)
        if storage.is_published:
            _list_nodes(storage, storage.list_children, nodes, findings)
        else:
            _named_nodes(storage, nodes, findings)
    _check_copies(storage.copies, nodes, findings)
    return nodes


def check_nodes(nodes: Nodes, findings: Findings) -> None:
    """Check what must be there, and by which name."""
    _check_levels(nodes, findings)
    for number in nodes.levels:
        _check_level(nodes, number, findings)
    if "ome" not in nodes.attributes:
        findings.add("ome_missing", "", "other tools find no OME-NGFF node in the root")


def _read_root(storage: Storage, findings: Findings) -> JsonObject | None:
    _check_commit(storage, findings)
    try:
        root = storage.read_root()[0]
    except CorruptionError as error:
        if error.array == ROOT and "record" not in error.message:
            findings.add_error("document_corrupt", "", error)
            return None
        findings.add_error("commit_unreadable", "", error)
        return None
    except StoreError as error:
        findings.add_error("store_missing", "", error)
        return None
    if root is None:
        findings.add("store_missing", "", "there is no zarr.json here")
        return None
    if not is_group(root):
        findings.add("document_corrupt", "", f"the root is a {root.get('node_type')!r} node, not a group")
        return None
    if not isinstance(attributes_of(root).get(constants.ROOT_KEY), dict):
        findings.add("store_missing", "", f"the attributes of the root have no {constants.ROOT_KEY!r} object")
        return None
    return root


def _check_commit(storage: Storage, findings: Findings) -> None:
    """Tell of what writers have not finished. What a live writer stages is not known from what a dead one left."""
    stored = storage.backend.fetch([Get(ROOT)])[0]
    if stored is not None and f'"{constants.COMMIT_KEY}"'.encode() in bytes(stored):
        findings.add("commit_pending", "", "the store is read through the record of a commit")
        return
    try:
        left = sorted(
            key for key in left_by_writers(storage.backend, _jobs(storage, stored)) if not key.endswith(".lock")
        )
    except StoreError as error:
        findings.leave_out("what writers have left behind", error)
        return
    if left:
        findings.add("leftovers", STAGE, f"{len(left)} entries, the first is {left[0]}")


def _jobs(storage: Storage, stored: Buffer | None) -> JsonObject:
    """Jobs that are open; none where the root cannot be read, which is told elsewhere."""
    if stored is None or f'"{constants.JOBS_KEY}"'.encode() not in bytes(stored):
        return {}
    try:
        return open_jobs(parse_json(bytes(stored), store=storage.url, path=ROOT))
    except CorruptionError:
        return {}


def _list_nodes(storage: Storage, children: _Lister, nodes: Nodes, findings: Findings) -> None:
    """Go down from the root, one round for each depth, but not into arrays."""
    frontier = [""]
    for _ in range(_DEEPEST):
        if not frontier:
            return
        listed = children(frontier)
        found = [key.rstrip("/") for keys in listed.values() for key in keys if key.endswith("/")]
        folders = [path for path in found if path != LOST_AND_FOUND]
        missing = _read_documents(storage, folders, nodes, findings)
        # Below a folder without a document there may be nodes, and there may be chunks in a folder of this name.
        missing = {path for path in missing if path.rpartition("/")[2] != "c"}
        frontier = [path for path in folders if path in missing or is_group(nodes.documents.get(path, {}))]
        for path in missing:
            _tell_of_folder(nodes, path, findings)


def _read_documents(storage: Storage, paths: Iterable[str], nodes: Nodes, findings: Findings) -> set[str]:
    """Read and parse documents; the paths where there is none."""
    requests = {path: Get(f"{path}/zarr.json") for path in paths}
    found = storage.fetch(requests.values())
    missing: set[str] = set()
    for path, get in requests.items():
        data = found[get]
        if data is None:
            missing.add(path)
            continue
        try:
            document = nodes.parser.parse(bytes(data), path=get.path)
        except (CorruptionError, RecursionError) as error:
            nodes.corrupt.add(path)
            got = error.got or error.message if isinstance(error, CorruptionError) else "nested too deeply"
            findings.add("document_corrupt", path, f"its zarr.json is not that of a zarr node: {got}")
            continue
        kinds = (document.get("node_type"), document.get("zarr_format"))
        if kinds not in (("group", 3), ("array", 3)):
            nodes.corrupt.add(path)
            findings.add("document_corrupt", path, f"node_type and zarr_format are {kinds}")
            continue
        nodes.documents[path] = document
    return missing


def _tell_of_folder(nodes: Nodes, path: str, findings: Findings) -> None:
    parent = path.rpartition("/")[0]
    if _LEVEL.fullmatch(path):
        findings.add("level_missing", path, "the folder of the level has no zarr.json")
    elif parent in nodes.documents or not parent:
        findings.add("stray_folder", path, "it has no zarr.json")


def _check_copies(copies: Mapping[str, JsonObject], nodes: Nodes, findings: Findings) -> None:
    """Readers of a published store believe the copies; all others read the documents."""
    if not copies:
        return
    copied = {path.removesuffix("/zarr.json"): copy for path, copy in copies.items()}
    kept = {path for path in copied if path.partition("/")[0] != LOST_AND_FOUND}
    for path in sorted(kept | nodes.documents.keys()):
        copy, stored = copied.get(path), nodes.documents.get(path)
        if copy is None:
            findings.add("published_copy", path, "the root document has no copy of its document")
        elif stored is None and path not in nodes.corrupt:
            findings.add("published_copy", path, "the root document has a copy of its document, which is gone")
        elif stored is not None and not _is_same(copy, stored):
            findings.add("published_copy", path, "the copy in the root document differs from its document")


def _is_same(first: JsonObject, second: JsonObject) -> bool:
    # NaN is not equal to itself.
    return first == second or json.dumps(first) == json.dumps(second)


def _named_nodes(storage: Storage, nodes: Nodes, findings: Findings) -> None:
    """The nodes that documents name, and the groups above them."""
    levels = _named_levels(nodes.attributes)
    _read_documents(storage, levels, nodes, findings)
    names = []
    for level in levels:
        document = nodes.documents.get(level, {})
        if constants.ARRAYS_KEY not in attributes_of(document):
            findings.leave_out(f"arrays of level {level}", "its document names none of them")
        names += [f"{level}/{name}" for name in (_named_arrays(document) or _USUAL)]
    above = [f"{name.partition('/')[0]}/{part}" for name in names for part in _groups_above(name.partition("/")[2])]
    _read_documents(storage, dict.fromkeys([*names, *above]), nodes, findings)


def _named_levels(attributes: JsonObject) -> list[str]:
    """Levels that the NGFF blocks name, and level 0."""
    ome, blocks = attributes.get("ome"), attributes.get("multiscales")
    first = blocks[0] if isinstance(blocks, list) and blocks else {}
    entries = [*_entries(ome, "nodes"), *_entries(first, "datasets")]
    names = ["0", *(str(entry.get("name", entry.get("path"))) for entry in entries)]
    return [name for name in dict.fromkeys(names) if _LEVEL.fullmatch(name)]


def _entries(holder: object, key: str) -> list[JsonObject]:
    found = holder.get(key) if isinstance(holder, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _named_arrays(level: JsonObject) -> list[str]:
    named = attributes_of(level).get(constants.ARRAYS_KEY)
    return [name for name in named if _is_name(name)] if isinstance(named, list) else []


def _is_name(name: object) -> bool:
    """Whether this names a node below a level; other paths might lead out of the store."""
    return isinstance(name, str) and not {"", ".", ".."} & set(name.split("/"))


def _groups_above(name: str) -> Iterator[str]:
    parts = name.split("/")
    for end in range(1, len(parts)):
        yield "/".join(parts[:end])


def _check_levels(nodes: Nodes, findings: Findings) -> None:
    if not nodes.levels and not any(_LEVEL.fullmatch(path) for path in nodes.corrupt):
        findings.add("level_missing", "", "there is no level")
    for path, document in nodes.documents.items():
        if "/" in path:
            continue
        if _LEVEL.fullmatch(path) and not is_group(document):
            findings.add("level_missing", path, "the level is an array, not a group")
        elif path.isdecimal() and not _LEVEL.fullmatch(path):
            findings.add("bad_name", path, "a level is named by its number, without zeros before it")


def _check_level(nodes: Nodes, number: int, findings: Findings) -> None:
    below = nodes.below(str(number))
    attributes = attributes_of(nodes.documents[str(number)])
    if not isinstance(attributes.get(constants.LEVEL_KEY), dict):
        findings.add("level_undescribed", str(number), f"its attributes have no {constants.LEVEL_KEY!r} object")
    _check_names(nodes, number, below, findings)
    named = set(_named_arrays(nodes.documents[str(number)]))
    for name, document in below.items():
        for group in _groups_above(name):
            if group not in below and f"{number}/{group}" not in nodes.corrupt:
                findings.add("group_missing", f"{number}/{group}", f"there is no document, but one of {name}")
        if (
            constants.ARRAYS_KEY in attributes
            and not is_group(document)
            and name not in named
            and is_named(name, document)
        ):
            findings.add("array_unnamed", f"{number}/{name}", f"it is not in {constants.ARRAYS_KEY}")
    _check_families(number, below, findings)


def _check_names(nodes: Nodes, number: int, below: dict[str, JsonObject], findings: Findings) -> None:
    """Arrays that must be there, and those that the level names."""
    attributes = attributes_of(nodes.documents[str(number)])
    required = {constants.VERTICES, constants.VERTEX_FRAGMENTS}
    if constants.OBJECT_INDEX in below and attributes_of(below[constants.OBJECT_INDEX]).get("num_objects"):
        required.add(constants.OBJECT_MANIFESTS)
    named = set(_named_arrays(nodes.documents[str(number)]))
    listed = attributes.get(constants.ARRAYS_KEY)
    for name in listed if isinstance(listed, list) else ():
        if not _is_name(name):
            findings.add("bad_name", str(number), f"{constants.ARRAYS_KEY} names {name!r}")
    groups = {constants.OBJECT_INDEX, f"{constants.LINKS}/0"}
    for name in sorted(required | named - {constants.FRAGMENT_REFS}):
        path = f"{number}/{name}"
        if path in nodes.corrupt or (
            name in below and is_group(below[name]) == (name in groups or name not in required)
        ):
            continue
        if name not in below or name in required:
            findings.add("array_missing", path, "there is a group instead" if name in below else "it is not there")


def _check_families(number: int, below: dict[str, JsonObject], findings: Findings) -> None:
    """Names of families of links, and of those of their attributes."""
    for name in below:
        parts = name.split("/")
        place = {constants.LINKS: 1, constants.LINK_ATTRIBUTES: 2}.get(parts[0], -1)
        if len(parts) == place + 1 and not DELTA.fullmatch(parts[place]):
            findings.add(
                "bad_name", f"{number}/{name}", "a family of links is named by a difference of levels: 0, +1, -1"
            )
    deltas = [name for name in below if name.startswith(f"{constants.LINKS}/") and name.count("/") == 1]
    if constants.LINKS in below and not deltas:
        findings.add("family_empty", f"{number}/{constants.LINKS}", "there is no family in it")
