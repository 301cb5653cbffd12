"""A server on this machine that plays S3."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["for_icechunk", "for_obstore", "serving"]

_KEYS = {"region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}


@contextmanager
def serving() -> Iterator[str]:
    """The URL of a server that has a bucket named ``bucket``; tests are skipped where moto is not installed."""
    playing = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    playing.start()
    try:
        host, port = playing.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT")).close()
        yield endpoint
    finally:
        playing.stop()


def for_icechunk(endpoint: str) -> dict[str, Any]:
    """Options of ``backend="icechunk"``."""
    return {**_KEYS, "endpoint_url": endpoint, "allow_http": True, "force_path_style": True}


def for_obstore(endpoint: str) -> dict[str, Any]:
    """``storage_options`` of plain stores."""
    return {**_KEYS, "endpoint": endpoint, "client_options": {"allow_http": True}}
