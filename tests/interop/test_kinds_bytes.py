"""The same input and layout give the cells of 0.9.2, byte by byte; and zarr-python finds in them what we wrote.

What may differ from a golden store: additive arrays (``fragment_attributes``), compression, documents; links of lines,
whose rows 0.9.2 counts in fragments rather than vertices; links of a family with duplicates, or of directed faces,
which we never write; and of skeletons the order of siblings, and which implied edges are stored all the same: 0.9.2
leaves out the attributes of edges that it implies, we store those edges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_cases import KIND_CASES, KindCase, Space
from tests.interop.kind_compare import value_of
from tests.interop.peer_server import unpack
from tests.interop.zarr_cells import array_names, document_of, payloads, rows_in

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kinds"
OTHER_FAMILIES = {"graph_duplicate", "graph_directed_duplicate", "faces_directed", "faces_duplicate", "quads_duplicate"}
SAME = [
    name
    for name, case in KIND_CASES.items()
    if case.kind != "skeleton" and case.is_plain and name not in OTHER_FAMILIES
]
TREES = ["skeleton", "skeleton_flat", "skeleton_sharded"]
ADDED = {
    "0/fragment_attributes/object_id",
    "0/fragment_attributes/object_offset",
    "0/cell_index/cells",
    "0/cell_index/stamps",
}


def settings(case: KindCase, keywords: Mapping[str, Any], **changes: Any) -> zv.Layout:
    """The layout that the keywords of a case describe, without compression where 0.9.2 used none."""
    said = keywords["vertices"] if case.writer == "links" else keywords
    given = {"chunk_shape": said["chunk_shape"], "shard_shape": said.get("shard_shape")}
    return zv.Layout(**{**given, "compressor": said.get("compressor") or [], **changes})


def write_case(name: str, path: Path, **changes: Any) -> Path:
    case = KIND_CASES[name]
    keywords = case.golden()
    zv.write(str(path), value_of(case.kind, case.writer, keywords), layout=settings(case, keywords, **changes))
    return path


@pytest.mark.parametrize("name", SAME)
def test_every_cell_has_the_bytes_of_0_9_2(name: str, tmp_path: Path) -> None:
    ours, theirs = write_case(name, tmp_path / "ours"), GOLDEN / name
    names = array_names(theirs, "0")
    assert set(array_names(ours, "0")) - set(names) <= ADDED
    assert set(names) <= set(array_names(ours, "0"))
    counts_fragments = {array for array in names if KIND_CASES[name].kind == "lines" and "/links/" in array}
    different = [array for array in names if payloads(ours, array) != payloads(theirs, array)]
    assert set(different) <= counts_fragments


@pytest.mark.parametrize("name", SAME)
def test_arrays_and_families_say_what_those_of_0_9_2_say(name: str, tmp_path: Path) -> None:
    ours, theirs = write_case(name, tmp_path / "ours"), GOLDEN / name
    for place in (path.parent.relative_to(theirs).as_posix() for path in (theirs / "0").rglob("zarr.json")):
        told, said = document_of(theirs, place), document_of(ours, place)
        if "vertex_attributes" in place and told["node_type"] == "array":
            told["attributes"].pop("row_shape", None)  # 0.9.2 calls all attributes scalar
            told["attributes"].pop("channel_names", None)
        assert told["attributes"].items() <= said["attributes"].items() or place == "0", place
        assert told.get("shape") == said.get("shape"), place


@pytest.mark.parametrize("name", TREES)
def test_a_skeleton_has_the_rows_of_0_9_2(name: str, tmp_path: Path) -> None:
    """From the order in which 0.9.2 stored its vertices; attributes of edges would store all of these."""
    case, keywords = KIND_CASES[name], KIND_CASES[name].golden()
    level = unpack(json.loads((GOLDEN / f"{name}.expected.json").read_text(encoding="utf-8")), {})["levels"][0]
    content, edges = level["content"], level["read"]["edges"]
    value = zv.Skeleton.from_edges(
        content["positions"], edges, object_ids=content["object_ids"], attributes=content["attributes"]
    )
    ours, theirs = tmp_path / "ours", GOLDEN / name
    zv.write(str(ours), value, layout=settings(case, keywords))
    names = [array for array in array_names(theirs, "0") if "link_attributes" not in array]
    assert set(array_names(ours, "0")) - set(names) <= ADDED
    for array in names:
        left, right = payloads(ours, array), payloads(theirs, array)
        if "/links/" in array:  # in the order of children, and in the order of the input
            header = document_of(theirs, array)["attributes"]["has_perm"]
            width = 3 if header else 2
            left, right = (
                {key: sorted(rows_in(cell, width, header=header)) for key, cell in cells.items()}
                for cells in (left, right)
            )
        assert left == right, array


WAYS = ["polylines", "lines_flat", "graph", "graph_directed", "skeleton", "mesh", "quads_canonical"]


@pytest.mark.parametrize("name", WAYS)
def test_zarr_python_finds_the_same_in_every_way_of_storing(name: str, tmp_path: Path) -> None:
    case = KIND_CASES[name]
    large = replace(case, space=Space(case.space.objects, 3, case.space.ndim, case.space.low))
    keywords = large.golden()
    value = value_of(case.kind, case.writer, keywords)
    stores = []
    ways: list[dict[str, Any]] = [
        {"compressor": []},
        {"compressor": None, "shard_shape": 2},
        {"compressor": "none", "shard_shape": 3},
    ]
    for number, changes in enumerate(ways):
        stores.append(tmp_path / f"{number}.zarrvectors")
        zv.write(str(stores[-1]), value, layout=settings(case, keywords, **changes))
    names = [name for name in array_names(stores[0]) if "/cell_index/" not in name]
    plain = {array: payloads(stores[0], array) for array in names}
    assert any("/links/0/" in array and plain[array] for array in plain)
    for store in stores[1:]:
        assert set(array_names(store)) == set(array_names(stores[0]))
        assert {array: payloads(store, array) for array in names} == plain


def test_rows_of_links_decoded_by_hand(tmp_path: Path) -> None:
    """A triangle over three chunks and one in one chunk; the first is wound against the order of its chunks."""
    positions = np.array([[1, 1], [4, 4], [2, 5], [11, 1], [1, 12]], dtype="f4")
    zv.write(
        str(tmp_path / "mesh"),
        zv.Mesh(positions, [[3, 0, 4], [0, 1, 2]]),
        layout=zv.Layout(chunk_shape=(10, 10), shard_shape=2),
    )
    whole = payloads(tmp_path / "mesh", "0/links/0/0.0_0.0")
    assert {key: rows_in(cell, 3, header=False) for key, cell in whole.items()} == {"0.0": [[0, 1, 2]]}
    # Placed in the order 0, 4, 3 of the input 3, 0, 4: places 1, 2, 0, which is permutation 3 of 6.
    crossing = payloads(tmp_path / "mesh", "0/links/0/0.+1_+1.0")
    assert {key: rows_in(cell, 4, header=True) for key, cell in crossing.items()} == {"0.0": [[3, 0, 0, 0]]}
