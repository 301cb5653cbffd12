"""Cells of the pure layers: the same bytes as 0.9.2 encodes, and the same content out of its bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.fragments import decode_fragments, encode_fragments, encode_ranges
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests

BLOBS = json.loads((Path(__file__).resolve().parents[1] / "golden" / "blobs.json").read_text(encoding="utf-8"))
FRAGMENTS = pytest.mark.parametrize("entry", BLOBS["fragment_indexes"], ids=lambda entry: str(entry["name"]))
MANIFESTS = pytest.mark.parametrize("entry", BLOBS["manifests"], ids=lambda entry: str(entry["name"]))


def as_int64(values: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def rows_of(fragment: dict[str, list[int]]) -> list[int]:
    if "rows" in fragment:
        return fragment["rows"]
    start, count = fragment["range"]
    return list(range(start, start + count))


@FRAGMENTS
def test_fragment_index_encodes_to_the_same_bytes(entry: dict[str, Any]) -> None:
    fragments = [
        tuple(fragment["range"]) if "range" in fragment else as_int64(fragment["rows"])
        for fragment in entry["fragments"]
    ]
    assert encode_fragments(fragments).hex() == entry["hex"]
    if all("range" in fragment for fragment in entry["fragments"]):
        table = as_int64([fragment["range"] for fragment in entry["fragments"]]).reshape(-1, 2)
        assert encode_ranges(as_int64([len(table)]), table[:, 0], table[:, 1]).to_list()[0].hex() == entry["hex"]


@FRAGMENTS
def test_fragment_index_decodes_to_the_same_rows(entry: dict[str, Any]) -> None:
    table, errors = decode_fragments(Blobs.from_list([bytes.fromhex(entry["hex"])]))
    expected = [rows_of(fragment) for fragment in entry["fragments"]]
    assert errors == {}
    assert table.per_cell.tolist() == [len(expected)]
    assert table.counts.tolist() == [len(rows) for rows in expected]
    assert table.rows().tolist() == [row for rows in expected for row in rows]


def test_fragment_indexes_decode_together() -> None:
    blobs = Blobs.from_list([bytes.fromhex(entry["hex"]) for entry in BLOBS["fragment_indexes"]])
    table, errors = decode_fragments(blobs)
    expected = [rows_of(fragment) for entry in BLOBS["fragment_indexes"] for fragment in entry["fragments"]]
    assert errors == {}
    assert table.rows().tolist() == [row for rows in expected for row in rows]


def references_of(entry: dict[str, Any]) -> list[tuple[list[int], int]]:
    """Every (chunk, fragment) that a manifest names, in its order."""
    found = []
    for block in entry["blocks"]:
        if "fragment" in block:
            fragments = [block["fragment"]]
        else:
            fragments = rows_of({"rows": block["fragments"]} if "fragments" in block else block)
        found += [(block["chunk"], fragment) for fragment in fragments]
    return found


@MANIFESTS
def test_manifest_decodes_to_the_same_references(entry: dict[str, Any]) -> None:
    table, errors = decode_manifests(Blobs.from_list([bytes.fromhex(entry["hex"])]), entry["ndim"])
    expected = references_of(entry)
    assert errors == {}
    assert table.objects.tolist() == [0] * len(expected)
    assert table.chunks.tolist() == [chunk for chunk, _ in expected]
    assert table.fragments.tolist() == [fragment for _, fragment in expected]


@pytest.mark.parametrize("name", ["absent", "mode_0", "mode_0_many"])
def test_manifest_encodes_to_the_same_bytes(name: str) -> None:
    entry = next(entry for entry in BLOBS["manifests"] if entry["name"] == name)
    references = references_of(entry)
    table = ManifestTable(
        np.zeros(len(references), dtype=np.int64),
        as_int64([chunk for chunk, _ in references]).reshape(-1, entry["ndim"]),
        as_int64([fragment for _, fragment in references]),
    )
    assert encode_manifests(table, 1).to_list()[0].hex() == entry["hex"]


def test_manifests_of_all_modes_decode_together() -> None:
    entries = [entry for entry in BLOBS["manifests"] if entry["ndim"] == 3]
    table, errors = decode_manifests(Blobs.from_list([bytes.fromhex(entry["hex"]) for entry in entries]), 3)
    expected = [(number, *reference) for number, entry in enumerate(entries) for reference in references_of(entry)]
    assert errors == {}
    assert list(zip(table.objects.tolist(), table.chunks.tolist(), table.fragments.tolist(), strict=True)) == expected
