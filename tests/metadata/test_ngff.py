"""The OME-NGFF blocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.ngff import (
    axes_of,
    dataset_entry,
    level_transform,
    multiscales_block,
    ome_node,
    upsert_dataset,
)

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*/zarr.json"))
AXES = (Axis("x", "micrometer"), Axis("y"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.parent.name)
def test_blocks_are_those_that_0_9_2_writes(path: Path) -> None:
    attributes = json.loads(path.read_text())["attributes"]
    axes = axes_of(attributes["multiscales"])
    facts = attributes["zarr_vectors"]
    datasets = attributes["multiscales"][0]["datasets"]
    block = multiscales_block(axes, facts.get("base_bin_shape") or facts["chunk_shape"])
    assert {**block[0], "datasets": [*block[0]["datasets"], *datasets[1:]]} == attributes["multiscales"][0]
    assert ome_node(path.parent.name, axes, range(len(datasets))) == attributes["ome"]


def test_levels_are_kept_in_order() -> None:
    block = multiscales_block(AXES, (4, 2))
    for level in (10, 2, 1):
        block = upsert_dataset(block, dataset_entry(level, [level, level], [level * 2.0, level * 1.0]))
    assert [entry["path"] for entry in block[0]["datasets"]] == ["0", "1", "2", "10"]
    assert level_transform(block, 0) == ([1.0, 1.0], [2.0, 1.0])
    assert level_transform(block, 10) == ([10.0, 10.0], [20.0, 10.0])
    block = upsert_dataset(block, dataset_entry(2, [3, 3], [0, 0]))
    assert [entry["path"] for entry in block[0]["datasets"]] == ["0", "1", "2", "10"]
    assert level_transform(block, 2) == ([3.0, 3.0], None)


@pytest.mark.parametrize("block", [None, [], [{}], [{"datasets": None}], [{"datasets": [{"path": "0"}]}]])
def test_a_level_without_a_transform_has_none(block: Any) -> None:
    assert level_transform(block, 0) == (None, None)


@pytest.mark.parametrize(
    "block", [None, [], {}, "x", [{}], [{"axes": None}], [{"axes": []}], [{"axes": [{}]}], [{"axes": [5]}]]
)
def test_without_named_axes_the_metadata_is_malformed(block: Any) -> None:
    with pytest.raises(MetadataError, match="axes"):
        axes_of(block)


def test_foreign_nodes_and_keys_of_the_collection_are_kept() -> None:
    old = ome_node("scan", AXES, [0])
    old |= {"later": 1, "nodes": [{"type": "image", "name": "raw"}, *old["nodes"]]}
    fresh = ome_node("renamed", AXES, [0, 1], old)
    assert (fresh["name"], fresh["later"]) == ("scan", 1)
    assert [node["name"] for node in fresh["nodes"]] == ["0", "1", "raw"]
