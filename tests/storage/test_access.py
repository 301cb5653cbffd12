"""The words by which places are reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from zarr_vectors.exceptions import OptionError, StoreError, StoreNotFoundError
from zarr_vectors.storage.access import fsspec_options, obstore_options

KEYS = {"key": "a", "secret": "b", "token": "c", "endpoint_url": "https://x", "region": "r"}


def test_the_same_words_reach_the_same_place() -> None:
    assert obstore_options("s3", "s3://b", KEYS) == {
        "access_key_id": "a",
        "secret_access_key": "b",
        "session_token": "c",
        "endpoint": "https://x",
        "region": "r",
    }
    words = {**KEYS}
    region = words.pop("region")
    assert fsspec_options("s3", KEYS) == {**words, "client_kwargs": {"region_name": region}}
    assert fsspec_options("s3", obstore_options("s3", "s3://b", KEYS)) == fsspec_options("s3", KEYS)
    assert obstore_options("s3", "s3://b", obstore_options("s3", "s3://b", KEYS)) == obstore_options(
        "s3", "s3://b", KEYS
    )


@pytest.mark.parametrize("word", ["anon", "anonymous", "skip_signature"])
@pytest.mark.parametrize(
    ("scheme", "theirs", "others"),
    [
        ("s3", {"skip_signature": True}, {"anon": True}),
        ("gs", {"skip_signature": True}, {"token": "anon"}),
        ("az", {"skip_signature": True}, {"anon": True}),
        ("https", {}, {}),
    ],
)
def test_access_without_credentials(word: str, scheme: str, theirs: dict[str, Any], others: dict[str, Any]) -> None:
    assert obstore_options(scheme, f"{scheme}://x/y", {word: True}) == theirs
    assert fsspec_options(scheme, {word: True}) == others
    assert obstore_options(scheme, f"{scheme}://x/y", {word: False}) == fsspec_options(scheme, {word: False}) == {}


def test_what_is_not_encrypted_is_allowed_where_it_is_said() -> None:
    allowed = {"client_options": {"allow_http": True}}
    assert obstore_options("http", "http://x/y", {}) == allowed
    assert obstore_options("s3", "s3://b", {"allow_http": True}) == allowed
    assert obstore_options("https", "https://x/y", {}) == {}
    timeout = {"client_options": {"timeout": "3s"}}
    assert obstore_options("http", "http://x/y", timeout) == {"client_options": {"timeout": "3s", "allow_http": True}}
    refused = {"client_options": {"allow_http": False}}
    assert obstore_options("http", "http://x/y", refused) == refused


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("s3://b/x", {"key": "a", "access_key_id": "b"}, "key and access_key_id"),
        ("s3://b/x", {"anan": True}, "anan"),
        ("https://x.org/y", {"region": "a"}, "HTTPStore"),
    ],
)
def test_options_that_mean_nothing_are_refused(url: str, options: dict[str, Any], said: str) -> None:
    pytest.importorskip("obstore")
    with pytest.raises((OptionError, StoreError), match=said):
        zv.open(url, storage_options=options)


def test_fsspec_on_request(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    points = zv.Points([[0.0, 1.0], [5.0, 2.0]])
    zv.write(tmp_path / "a", points)
    assert zv.open(tmp_path.as_uri() + "/a", backend="fsspec")[0].read().positions.tolist() == [[0, 1], [5, 2]]
    zv.write("memory://access-fsspec", points, backend="fsspec")
    assert zv.open("memory://access-fsspec", backend="fsspec")[0].vertex_count == 2
    with pytest.raises(StoreNotFoundError):
        zv.open("memory://access-fsspec")
    with pytest.raises(StoreError, match="fsspec cannot reach"):
        zv.open("nowhere://x", backend="fsspec")
    with pytest.raises(StoreError, match="for URLs"):
        zv.open(MemoryStore(), backend="fsspec")
    with pytest.raises(StoreError, match="not offered"):
        zv.open(tmp_path / "a", backend="disk")
