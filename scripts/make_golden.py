"""Make ``tests/golden``: small stores written by the published package zarr-vectors 0.9.2, and what they must read as.

For each case of ``tests/interop/cases.py`` there is a folder, the store, and ``<name>.expected.json``: the keywords
that it was written with, what 0.9.2 itself reads back, and its validator's verdict. ``blobs.json`` holds cells of the
pure layers. ``kinds`` is the same for ``tests/interop/kind_cases.py``: lines, graphs, skeletons and meshes; ``draco``
holds meshes of ``tests/interop/draco_cases.py``, which 0.9.2 itself cannot read back, with what went in. Two runs
give the same bytes, but for the time stamps that gzip puts into its cells.

Usage: python scripts/make_golden.py [NAME ...]

Without names everything is made anew; those of connected geometry begin with ``kinds/`` or ``draco/``. Any Python
starts it: it runs itself again in the environment of 0.9.2, which ``scripts/peer_env.py`` builds when it is missing.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
INTEROP = REPOSITORY / "tests" / "interop"
GOLDEN = REPOSITORY / "tests" / "golden"
IN_PEER = "--in-peer-environment"


def load(name: str) -> ModuleType:
    """A module of the harness by its file: its package cannot be imported where only 0.9.2 is installed."""
    spec = importlib.util.spec_from_file_location(name, INTEROP / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def save(path: Path, document: dict[str, Any]) -> None:
    """Write JSON with one line for each entry of the top two levels, so that a change shows where it is."""
    lines = []
    for key, value in document.items():
        text = json.dumps(value)
        if isinstance(value, (dict, list)) and value and len(text) > 100:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            prefix = isinstance(value, dict)
            body = ",\n".join(f"  {json.dumps(str(k)) + ': ' if prefix else ''}{json.dumps(v)}" for k, v in items)
            text = f"{'{' if prefix else '['}\n{body}\n {'}' if prefix else ']'}"
        lines.append(f" {json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_level(server: ModuleType, store: str, level: int) -> dict[str, Any]:
    """Everything that 0.9.2 reads from one level."""
    described = server.describe(store, level)
    names = described["attributes"]
    content = {"describe": described, "read": server.read_points(store, {"level": level, "attribute_names": names})}
    if described["object_ids"] is not None:
        ids = described["object_ids"].tolist()
        content["read_objects"] = server.read_points(
            store, {"level": level, "attribute_names": names, "object_ids": ids}
        )
    return content


def make_store(server: ModuleType, case: Any) -> None:
    """Write one case and what is expected of it."""
    folder = GOLDEN / case.name
    shutil.rmtree(folder, ignore_errors=True)
    store, keywords = str(folder), case.golden()
    summary = server.write_points(store, keywords)
    if case.owners:
        server.write_owners(store)
    if case.pyramid is not None:
        server.build_pyramid(store, case.pyramid)
    levels = [read_level(server, store, level) for level in server.describe(store, 0)["levels"]]
    expected = {
        "made_with": server.info(),
        "input": keywords,
        "summary": summary,
        "levels": levels,
        "validate": server.validate(store, 5),
    }
    if case.owners:
        expected["owners"] = server.owners(store, 0)["stored"]
    save(GOLDEN / f"{case.name}.expected.json", server.pack(expected, None))


def make_kind(server: ModuleType, case: Any) -> None:
    """Write one case of connected geometry and what is expected of it."""
    folder = GOLDEN / "kinds" / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    store, keywords, verbs = str(folder), case.golden(), server.VERBS
    expected: dict[str, Any] = {"made_with": server.info(), "input": keywords}
    expected["summary"] = verbs["write"](store, case.writer, keywords)
    for verb, more in case.steps:
        verbs[verb](store, **more)
    expected["levels"] = [
        {
            "describe": server.describe(store, level),
            "content": verbs["content"](store, level),
            "read": verbs["read"](store, case.reader, {"level": level}),
            "boxes": [
                {"bbox": box, "read": verbs["read"](store, case.reader, {"level": level, "bbox": box})}
                for box in case.boxes()
            ],
        }
        for level in server.describe(store, 0)["levels"]
    ]
    expected["validate"] = server.validate(store, 5)
    save(folder.parent / f"{case.name}.expected.json", server.pack(expected, None))


def make_draco(server: ModuleType, name: str, keywords: dict[str, Any]) -> None:
    """Write one mesh in Draco encoding, and what it was made of."""
    folder = GOLDEN / "draco" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    expected = {"made_with": server.info(), "input": keywords}
    expected["summary"] = server.VERBS["write"](str(folder), "mesh", keywords)
    save(folder.parent / f"{name}.expected.json", server.pack(expected, None))


def fragment_blobs() -> list[dict[str, Any]]:
    """Fragment indexes: ranges are pairs under "range", row lists are under "rows"."""
    encode = importlib.import_module("zarr_vectors.encoding.fragments").encode_fragments
    numpy = importlib.import_module("numpy")
    inputs: dict[str, list[Any]] = {
        "empty": [],
        "one_range": [(0, 7)],
        "two_ranges": [(0, 2), (2, 1)],
        "empty_ranges": [(0, 0), (0, 3), (3, 0), (3, 2)],
        "nine_ranges": [(2 * i, 2) for i in range(9)],
        "mixed": [(0, 5), [4, 0, 2], [1, 2, 3], [], (0, 0)],
        "only_explicit": [[3, 1], [1, 1, 0]],
        "only_empty_explicit": [[], []],
        "sixty_five": [(i, 1) if i % 3 else [i, 0] for i in range(65)],
        "large_rows": [(2**40, 3), [2**33, 2**32 + 1]],
    }
    blobs = []
    for name, fragments in inputs.items():
        given = [f if isinstance(f, tuple) else numpy.array(f, dtype=numpy.int64) for f in fragments]
        decoded = [{"range": list(f)} if isinstance(f, tuple) else {"rows": f} for f in fragments]
        blobs.append({"name": name, "hex": encode(given).hex(), "fragments": decoded})
    return blobs


def manifest_blobs() -> list[dict[str, Any]]:
    """Manifests: a block names a chunk and one "fragment", a "range" of them, or a list of "fragments"."""
    encode = importlib.import_module("zarr_vectors.encoding.fragments").encode_object_manifest_blocks
    numpy = importlib.import_module("numpy")
    inputs: dict[str, tuple[int, list[tuple[tuple[int, ...], Any]]]] = {
        "absent": (3, []),
        "mode_0": (3, [((0, 0, 0), 5)]),
        "mode_0_many": (3, [((-1, 2, 3), 5), ((0, 0, 0), 0), ((-1, 2, 3), 6)]),
        "mode_1": (3, [((0, 0, 0), (2, 3))]),
        "mode_2": (3, [((0, 0, 1), [4, 1, 9])]),
        "mixed": (3, [((-1, 2, 3), 5), ((0, 0, 0), (2, 3)), ((0, 0, 1), [4, 1, 9])]),
        "one_axis": (1, [((-(2**40),), 1), ((7,), (0, 2))]),
        "two_axes": (2, [((1, -1), [9, 8]), ((0, 0), 2**40)]),
        "four_axes": (4, [((1, -1, 0, 2**31), 3)]),
    }
    blobs = []
    for name, (ndim, blocks) in inputs.items():
        given = [(chunk, numpy.array(ref) if isinstance(ref, list) else ref) for chunk, ref in blocks]
        decoded = [{"chunk": list(chunk)} | describe_reference(ref) for chunk, ref in blocks]
        blobs.append({"name": name, "ndim": ndim, "hex": encode(given, sid_ndim=ndim).hex(), "blocks": decoded})
    return blobs


def describe_reference(reference: Any) -> dict[str, Any]:
    """How ``blobs.json`` shows what a manifest block names."""
    if isinstance(reference, list):
        return {"fragments": reference}
    return {"range": list(reference)} if isinstance(reference, tuple) else {"fragment": reference}


def make(names: list[str]) -> None:
    """Make the cases of these names, or everything."""
    server, cases, kinds = load("peer_server"), load("cases").CASES, load("kind_cases").KIND_CASES
    makers: dict[str, Callable[[], None]] = {"blobs": make_blobs}
    makers |= {name: partial(make_store, server, case) for name, case in cases.items()}
    makers |= {f"kinds/{name}": partial(make_kind, server, case) for name, case in kinds.items()}
    draco = load("draco_cases").DRACO_CASES
    makers |= {f"draco/{name}": partial(make_draco, server, name, keywords) for name, keywords in draco.items()}
    unknown = [name for name in names if name not in makers]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(makers)}")
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name in names or makers:
        makers[name]()


def make_blobs() -> None:
    """Write cells of the pure layers."""
    save(GOLDEN / "blobs.json", {"fragment_indexes": fragment_blobs(), "manifests": manifest_blobs()})


def restart(names: list[str]) -> int:
    """Run this script in the environment of 0.9.2, kept apart from every PYTHONPATH."""
    search = [sys.executable, str(REPOSITORY / "scripts" / "peer_env.py")]
    found = subprocess.run(search, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        return found.returncode
    return subprocess.run([found.stdout.strip(), "-I", __file__, IN_PEER, *names], check=False).returncode


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == [IN_PEER]:
        make(arguments[1:])
    else:
        sys.exit(restart(arguments))
