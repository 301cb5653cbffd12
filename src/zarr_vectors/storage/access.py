"""How a place is reached: one set of words for what every driver of object stores calls something else.

``anon`` for access without credentials, ``endpoint_url``, ``region``, and for S3 ``key``, ``secret`` and ``token``.
Whatever else is given goes to the driver as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr_vectors.exceptions import OptionError

__all__ = ["fsspec_options", "obstore_options"]

_S3 = frozenset({"s3", "s3a"})
_WEB = frozenset({"http", "https"})
_GOOGLE = frozenset({"gs", "gcs"})
_ANONYMOUS = ("anon", "anonymous", "skip_signature")
_SAME = (("endpoint", "endpoint_url"), ("access_key_id", "key"), ("secret_access_key", "secret"))
_SAME_TOKEN = ("session_token", "token")


def obstore_options(scheme: str, url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options in the words of obstore.

    Args:
        scheme: Of the URL.
        url: The URL; one that begins with ``http://`` may be reached without encryption.
        options: As they were given.

    Raises:
        OptionError: One thing is said in two words.

    Example:
        >>> obstore_options("s3", "s3://bucket/a", {"anon": True, "endpoint_url": "http://localhost:9000"})
        {'skip_signature': True, 'endpoint': 'http://localhost:9000', 'client_options': {'allow_http': True}}
        >>> obstore_options("https", "https://x.org/a", {"anon": True})
        {}
    """
    given = dict(options)
    client = dict(given.pop("client_options", None) or {})
    if _takes_anonymous(given) and scheme not in _WEB:
        given["skip_signature"] = True
    if scheme in _S3:
        for theirs, ours in (*_SAME, _SAME_TOKEN):
            _rename(given, ours, theirs)
    if "allow_http" in given:
        client["allow_http"] = given.pop("allow_http")
    if url.startswith("http://") or str(given.get("endpoint", "")).startswith("http://"):
        client.setdefault("allow_http", True)
    return {**given, "client_options": client} if client else given


def fsspec_options(scheme: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options in the words of fsspec's file systems.

    Raises:
        OptionError: One thing is said in two words.

    Example:
        >>> fsspec_options("s3", {"skip_signature": True, "region": "eu-west-1"})
        {'anon': True, 'client_kwargs': {'region_name': 'eu-west-1'}}
        >>> fsspec_options("gs", {"anon": True})
        {'token': 'anon'}
    """
    given = dict(options)
    if _takes_anonymous(given) and scheme not in _WEB:
        given.update({"token": "anon"} if scheme in _GOOGLE else {"anon": True})
    if scheme in _S3:
        for theirs, ours in (*_SAME, _SAME_TOKEN):
            _rename(given, theirs, ours)
        if "region" in given:
            given["client_kwargs"] = {"region_name": given.pop("region"), **(given.get("client_kwargs") or {})}
    return given


def _takes_anonymous(given: dict[str, Any]) -> bool:
    """Whether access without credentials is asked for; the words for it are taken out."""
    said = [bool(given.pop(word)) for word in _ANONYMOUS if word in given]
    return any(said)


def _rename(given: dict[str, Any], old: str, new: str) -> None:
    if old not in given:
        return
    if new in given:
        raise OptionError("storage_options say one thing in two words", got=f"{old} and {new}", hint="leave one out")
    given[new] = given.pop(old)
