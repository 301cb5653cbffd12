"""The metadata of the root and of a level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zarr_vectors.exceptions import FormatError, MetadataError
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata, check_version, divides

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*/zarr.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.parent.name)
def test_metadata_of_0_9_2_survives(path: Path) -> None:
    block = json.loads(path.read_text())["attributes"]["zarr_vectors"]
    assert RootMetadata.parse(block, where="zarr.json").to_json() == block
    for level in path.parent.glob("[0-9]/zarr.json"):
        block = json.loads(level.read_text())["attributes"]["zarr_vectors_level"]
        assert LevelMetadata.parse(block, where="0/zarr.json").to_json() == block


@pytest.mark.parametrize(
    "version", ["0.9", "0.9.0", "0.9.1", "0.9.2", "0.9.17", "0.9.2rc1", "0.9.3.dev1", "0.9.2+local"]
)
def test_every_0_9_is_read(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize("version", ["0.8.1", "0.10.0", "1.0.0", "9.0", "0.90", "0.9x", "abc", "", None, 0.9, [0, 9]])
def test_other_versions_are_refused_with_the_version_found(version: Any) -> None:
    with pytest.raises(FormatError) as caught:
        check_version(version, store="s3://x")
    assert repr(version) in str(caught.value)
    assert caught.value.store == "s3://x"


GOOD: dict[str, Any] = {"chunk_shape": [10, 5.5], "bounds": [[0, 0], [9, 9]]}


def test_numbers_stay_what_they_are() -> None:
    root = RootMetadata.parse({**GOOD, "base_bin_shape": [5, 5.5]}, where="x")
    assert [type(edge) for edge in root.chunk_shape] == [int, float]
    assert (root.ndim, root.bin_shape, root.bins_per_chunk) == (2, (5, 5.5), (2, 1))
    assert RootMetadata.parse(GOOD, where="x").bin_shape == (10, 5.5)


@pytest.mark.parametrize(
    "change",
    [
        {"chunk_shape": []},
        {"chunk_shape": [1, -1]},
        {"chunk_shape": [1, float("inf")]},
        {"chunk_shape": [1, float("nan")]},
        {"chunk_shape": [1, "a"]},
        {"chunk_shape": None},
        {"bounds": [[0], [1]]},
        {"bounds": [[0, 0]]},
        {"bounds": {"lo": [0, 0]}},
        {"base_bin_shape": [1]},
        {"base_bin_shape": [0, 1]},
        {"format_capabilities": "all"},
    ],
    ids=str,
)
def test_a_root_that_contradicts_itself_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MetadataError):
        RootMetadata.parse({**GOOD, **change}, where="zarr.json")


@pytest.mark.parametrize(
    ("chunk", "bins", "fits"),
    [((10,), (10,), True), ((10, 10), (5, 2.5), True), ((0.3,), (0.1,), True), ((1e9,), (1e-3,), True),
     ((10,), (3,), False), ((1,), (2,), False), ((10,), (10.5,), False)],
)  # fmt: skip
def test_bins_divide_a_chunk_within_rounding(chunk: tuple[float, ...], bins: tuple[float, ...], fits: bool) -> None:
    assert divides(chunk, bins) is fits


def test_a_level_tells_of_leading_axes() -> None:
    assert LevelMetadata.parse({}, where="x").leading_axes == 0
    assert LevelMetadata.parse({"chunk_dims": ["gene", "x"]}, where="x").leading_axes == 1
