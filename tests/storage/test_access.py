"""The words by which places are reached."""

from __future__ import annotations

from typing import Any

import pytest

import zarr_vectors as zv
from zarr_vectors.exceptions import OptionError
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
    with pytest.raises(OptionError, match=said):
        zv.open(url, storage_options=options)
