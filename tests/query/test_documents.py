"""Documents that are cut, gone, of another version or contradict the data: told with their place, never taken."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import zarr_vectors as zv
from tests.query.damage import CELLS, TABLES, edit, touch_all
from tests.types.clouds import read
from zarr_vectors.exceptions import CorruptionError, FormatError, StoreNotFoundError, ZVError


@pytest.mark.parametrize("version", ["0.8.1", "0.10.0", "1.0.0", "", None, 0.9, "0.9x", "latest"])
def test_a_store_of_another_version_is_refused_with_the_version_found(unsharded: Path, version: Any) -> None:
    edit(unsharded / "zarr.json", lambda document: document["attributes"]["zarr_vectors"].update(zv_version=version))
    with pytest.raises(FormatError) as caught:
        zv.open(unsharded)
    assert repr(version) in str(caught.value)
    assert "0.9" in str(caught.value)
    edit(unsharded / "zarr.json", lambda document: document["attributes"]["zarr_vectors"].pop("zv_version"))
    with pytest.raises(FormatError, match="None"):
        zv.open(unsharded)


@pytest.mark.parametrize("version", ["0.9", "0.9.0", "0.9.1", "0.9.17", "0.9.2.dev1"])
def test_every_version_0_9_is_read(unsharded: Path, version: str) -> None:
    edit(unsharded / "zarr.json", lambda document: document["attributes"]["zarr_vectors"].update(zv_version=version))
    assert read(unsharded).vertex_count == 300
    assert zv.open(unsharded).zv_version == version


def test_a_capability_that_is_not_known_is_refused(unsharded: Path) -> None:
    edit(
        unsharded / "zarr.json",
        lambda document: document["attributes"]["zarr_vectors"].update(required_capabilities=["time_travel"]),
    )
    with pytest.raises(FormatError, match="time_travel"):
        zv.open(unsharded)


DOCUMENTS = ["zarr.json", "0/zarr.json", *[f"0/{array}/zarr.json" for array in [*CELLS, *TABLES]]]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_that_is_no_json_object_is_named(unsharded: Path, document: str) -> None:
    path = unsharded / document
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-1], b"", b"[]", b"3", b"\xff\xfe", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(CorruptionError) as caught:
            zv.open(unsharded)[0].read()
        assert caught.value.array == document
        assert caught.value.store == unsharded.as_uri()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_that_is_gone_is_named(unsharded: Path, document: str) -> None:
    (unsharded / document).unlink()
    error: type[Exception] = CorruptionError
    if document in {"zarr.json", "0/zarr.json"}:
        error = StoreNotFoundError
    with pytest.raises(error) as caught:
        touch_all(unsharded)
    if error is CorruptionError:
        assert f"0/{caught.value.array}/zarr.json".endswith(document)  # type: ignore[attr-defined]


@pytest.mark.parametrize("document", ["zarr.json", "0/zarr.json", "0/vertices/zarr.json", "0/object_index/zarr.json"])
def test_documents_damaged_at_random_never_raise_anything_else(unsharded: Path, document: str) -> None:
    draw = random.Random(document)
    path = unsharded / document
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(draw.choice([1, 1, 3])):
            data[draw.randrange(len(data))] = draw.choice(b'0123456789"{}[],:abcxyz ')
        path.write_bytes(data)
        try:
            touch_all(unsharded)
            outcomes.add("read")
        except ZVError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_an_id_table_shorter_than_the_manifests_is_told(unsharded: Path) -> None:
    edit(unsharded / "0/object_index/object_ids/zarr.json", lambda document: document.update(shape=[10]))
    with pytest.raises(CorruptionError, match=r"object_ids.*expected 11, got 10"):
        touch_all(unsharded)


def test_an_attribute_longer_than_the_index_is_told(unsharded: Path) -> None:
    edit(unsharded / "0/object_attributes/n/zarr.json", lambda document: document.update(shape=[12]))
    with pytest.raises(CorruptionError, match="object_attributes/n"):
        touch_all(unsharded)


def test_a_level_that_is_not_there_is_told(unsharded: Path) -> None:
    with zv.open(unsharded) as store:
        with pytest.raises(StoreNotFoundError, match="no level 3"):
            store[3]
        with pytest.raises(ZVError):
            store["0"]  # type: ignore[index]
