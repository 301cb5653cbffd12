"""Imports of the package only run downward, and only ``storage`` knows zarr and the network.

Every folder or module at the top of the package is a *room*; rooms stand on the floors of ``FLOORS``. A file may
import from its own room and from rooms on lower floors. This is checked on the source text, without importing it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "zarr_vectors"
SOURCE = Path(__file__).parent.parent / "src" / PACKAGE

FLOORS: tuple[tuple[str, ...], ...] = (
    ("ground",),
    ("metadata", "encoding", "spatial", "geometry"),
    ("storage",),
    ("core",),
    ("query",),
    ("types",),
    ("pyramid", "edit", "rechunk", "validate"),
    ("api",),
    ("formats", "distributed", "multiresolution"),
    ("door",),
    ("cli", "view"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
GROUND = {"constants", "typing", "exceptions", "axes", "optional", "packages", "parallel", "rowwise"}
"""Modules that make up the room ``ground``."""
FACADES = {"core/store.py"}
"""Files that keep an import path of another library but do the work of ``api``, and count as part of it."""
ALLOWED = {("cli", "view")}
"""The one edge between rooms of a floor: the command line draws."""

OUTSIDE = {"zarr", "obstore", "fsspec", "icechunk", "socket", "ssl", "http", "urllib.request", "requests", "aiohttp"}
"""Modules that reach a store or a network."""
OUTSIDE_ALLOWED = {"core/group.py"}
"""Files apart from ``storage`` that may name them: ``Group`` takes a zarr group, as its signature says."""


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands and the dotted name it wants."""

    file: str
    line: int
    target: str
    inside_function: bool


def room_of(file: str) -> str:
    """The room of a file given relative to the package, such as ``core/group.py``."""
    if file in FACADES:
        return "api"
    top = file.split("/", maxsplit=1)[0].removesuffix(".py")
    return "door" if top == "__init__" else "ground" if top in GROUND else top


def imports_of(root: Path) -> Iterator[Import]:
    """Every import below ``root``, with relative ones made absolute."""
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        file, below = path.relative_to(root).as_posix(), path.relative_to(root.parent)
        for node, inside_function in _import_statements(tree):
            for target in _targets(node, below):
                yield Import(file, node.lineno, target, inside_function)


def _import_statements(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Each once, and whether it stands inside a function."""
    waiting = [(tree, False)]
    while waiting:
        node, inside = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, inside
        elif not isinstance(node, ast.expr):
            inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            waiting += [(child, inside) for child in reversed(list(ast.iter_child_nodes(node)))]


def _targets(node: ast.Import | ast.ImportFrom, path: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    above = path.parts[: -node.level] if node.level else ()
    base = ".".join((*above, *([node.module] if node.module else [])))
    return [f"{base}.{alias.name}" for alias in node.names]


@cache
def file_of(root: Path, target: str) -> str | None:
    """The file of the package that a dotted name leads to, or None for the name of another package.

    The last part may be a module or a name inside one.
    """
    parts = target.split(".")
    if parts[0] != root.name:
        return None
    for end in range(len(parts), 0, -1):
        place = root.joinpath(*parts[1:end])
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if candidate.is_file() and candidate.is_relative_to(root):
                return candidate.relative_to(root).as_posix()
    raise AssertionError(f"nothing in the package is called {target}")


def violations(root: Path) -> list[str]:
    """Everything that breaks a rule, one line each."""
    found = []
    graph: dict[str, set[str]] = {}
    for item in imports_of(root):
        where = f"{item.file}:{item.line}"
        own = file_of(root, item.target)
        if own is None:
            if _is_outside(item.target) and room_of(item.file) != "storage" and item.file not in OUTSIDE_ALLOWED:
                found.append(f"{where} imports {item.target}: only storage may")
            continue
        if item.inside_function:
            found.append(f"{where} imports {item.target} inside a function")
        graph.setdefault(item.file, set()).add(own)
        complaint = _complaint(room_of(item.file), room_of(own))
        if complaint:
            found.append(f"{where} imports {item.target}: {complaint}")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("a circle of imports: " + " -> ".join(error.args[1]))
    return found


def _is_outside(target: str) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in OUTSIDE)


def _complaint(source: str, target: str) -> str | None:
    for room in (source, target):
        if room not in FLOOR_OF:
            return f"{room} has no floor in FLOORS"
    if source in ("door", target) or (source, target) in ALLOWED or FLOOR_OF[target] < FLOOR_OF[source]:
        return None
    return f"{source} is not above {target}"


def test_imports_only_run_downward() -> None:
    assert violations(SOURCE) == []


def test_every_folder_is_a_package() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py")}
    assert [str(folder.relative_to(SOURCE)) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_every_exception_to_the_rules_exists() -> None:
    assert [file for file in FACADES | OUTSIDE_ALLOWED if not (SOURCE / file).is_file()] == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("exceptions.py", "from zarr_vectors.spatial import grid", "ground is not above spatial"),
        ("spatial/grid.py", "from zarr_vectors.encoding.cells import decode", "spatial is not above encoding"),
        ("spatial/grid.py", "from ..encoding import cells", "spatial is not above encoding"),
        ("spatial/grid.py", "import zarr_vectors", "spatial is not above door"),
        ("view/plot.py", "import zarr_vectors.cli.main", "view is not above cli"),
        ("query/read.py", "import typing\nif typing.TYPE_CHECKING:\n    from zarr_vectors import api", "not above api"),
        ("api/store.py", "def f():\n    from zarr_vectors import spatial", "inside a function"),
        ("api/store.py", "from zarr import open_group", "only storage may"),
        ("api/store.py", "def f():\n    import obstore.store", "only storage may"),
        ("misc/things.py", "from zarr_vectors import exceptions", "misc has no floor"),
        ("spatial/grid.py", "import zarr_vectors.spatial.bins", "a circle of imports"),
    ],
)
def test_a_violation_is_found(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    root = _sound_tree(tmp_path)
    assert violations(root) == []
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(text, encoding="utf-8")
    assert complaint in "\n".join(violations(root))


def _sound_tree(tmp_path: Path) -> Path:
    """A small package that keeps every rule."""
    files = {
        "__init__.py": "from zarr_vectors.api.store import open\nfrom zarr_vectors.view.plot import plot",
        "constants.py": "",
        "exceptions.py": "from zarr_vectors.constants import X",
        "encoding/__init__.py": "",
        "encoding/cells.py": "import numpy",
        "spatial/__init__.py": "",
        "spatial/grid.py": "from zarr_vectors import exceptions",
        "spatial/bins.py": "from zarr_vectors.spatial import grid\nfrom .grid import Grid",
        "storage/local.py": "import zarr\nfrom obstore.store import S3Store",
        "api/__init__.py": "",
        "api/store.py": "def f():\n    import pyarrow",
        "cli/main.py": "from zarr_vectors.view.plot import plot\nfrom zarr_vectors import __version__",
        "view/plot.py": "from zarr_vectors.api.store import open",
    }
    root = tmp_path / PACKAGE
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    return root
