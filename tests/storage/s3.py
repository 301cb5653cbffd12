"""An S3 server on loopback: moto's, made exact about conditional puts, with latency on demand.

Usage as a program: python -m tests.storage.s3; prints its endpoint and serves until its input ends.
"""

from __future__ import annotations

import atexit
import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from tests.storage.running import environment

BUCKET = "bucket"
_KEYS = {"region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}


def for_obstore(endpoint: str) -> dict[str, Any]:
    """``storage_options`` of plain stores."""
    return {**_KEYS, "endpoint": endpoint, "client_options": {"allow_http": True}}


def for_icechunk(endpoint: str) -> dict[str, Any]:
    """Options of ``backend="icechunk"``."""
    return {**_KEYS, "endpoint_url": endpoint, "allow_http": True, "force_path_style": True}


@contextmanager
def serving() -> Iterator[str]:
    """The endpoint of a server in another process, with an empty bucket; tests are skipped where moto is missing."""
    pytest.importorskip("moto.server")
    endpoint = _server()
    for method, path in (("POST", "moto-api/reset"), ("PUT", BUCKET)):
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{path}", method=method)).close()
    yield endpoint


@cache
def _server() -> str:
    """Of this process: it takes longer to start than most tests take."""
    program = [sys.executable, "-m", "tests.storage.s3"]
    child = subprocess.Popen(program, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end() -> None:
        child.kill()
        child.communicate()

    atexit.register(end)
    assert child.stdout is not None
    endpoint = child.stdout.readline().strip()
    assert endpoint, "the server did not start"
    return endpoint


class _OneChangeAtOnce:
    """moto looks at the condition of a put and then puts, and another thread may come between."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self._turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._application(environ, start_response)
        with self._turn:
            return self._application(environ, start_response)


def main() -> None:
    moto, serving_of = import_module("moto.server"), import_module("werkzeug.serving")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = _OneChangeAtOnce(moto.DomainDispatcherApplication(moto.create_backend_app))
    server = serving_of.make_server("127.0.0.1", 0, application, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
