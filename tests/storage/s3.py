"""S3 servers on loopback: moto's, made exact about conditional puts, or the light one, with latency on demand.

Usage as a program: python -m tests.storage.s3 [SECONDS]; prints the endpoint of moto's and serves until its input ends.
Every request takes so many seconds more.
"""

from __future__ import annotations

import atexit
import json
import logging
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from tests.storage.light_s3 import LOG, RESET
from tests.storage.running import environment

BUCKET = "bucket"
SERVERS = {"moto": "tests.storage.s3", "light": "tests.storage.light_s3"}
"""Programs that serve. moto's knows all of S3 and takes its time; the light one knows what plain stores need."""
_KEYS = {"region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}


def for_obstore(endpoint: str) -> dict[str, Any]:
    """``storage_options`` of plain stores."""
    # However slow the machine is, no request is given up and sent again.
    return {**_KEYS, "endpoint": endpoint, "client_options": {"allow_http": True, "timeout": "600s"}}


def for_icechunk(endpoint: str) -> dict[str, Any]:
    """Options of ``backend="icechunk"``."""
    return {**_KEYS, "endpoint_url": endpoint, "allow_http": True, "force_path_style": True}


@contextmanager
def serving(latency: float = 0.0, server: str = "moto") -> Iterator[str]:
    """The endpoint of a server in another process, with an empty bucket; tests are skipped where moto is missing."""
    if server == "moto":
        pytest.importorskip("moto.server")
    endpoint = _server(latency, server)
    for method, path in (("POST", RESET), ("PUT", f"/{BUCKET}")):
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}{path}", method=method)).close()
    yield endpoint


@cache
def _server(latency: float, server: str) -> str:
    """Of this process: it takes longer to start than most tests take."""
    program = [sys.executable, "-m", SERVERS[server], str(latency)]
    child = subprocess.Popen(program, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end() -> None:
        child.kill()
        child.communicate()

    atexit.register(end)
    assert child.stdout is not None
    endpoint = child.stdout.readline().strip()
    assert endpoint, "the server did not start"
    return endpoint


@dataclass(frozen=True)
class Log:
    """What a server was asked for.

    Args:
        requests: Method and key of each, in the order in which they came.
        most_in_flight: The most that were being answered at once.
    """

    requests: list[str]
    most_in_flight: int


def log_of(endpoint: str) -> Log:
    """What the server was asked for since this was called last."""
    with urllib.request.urlopen(f"{endpoint}{LOG}") as answer:
        return Log(**json.load(answer))


class _Counting:
    """Takes its time for each request, and keeps a list of them."""

    def __init__(self, application: Callable[..., Any], latency: float) -> None:
        self._application = application
        self._latency = latency
        self._turn = threading.Lock()
        self._requests: list[str] = []
        self._in_flight = self._most = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ["PATH_INFO"]
        if path == LOG:
            start_response("200 OK", [("Content-Type", "application/json")])
            with self._turn:
                told = {"requests": self._requests, "most_in_flight": self._most}
                self._requests, self._most = [], 0
            return [json.dumps(told).encode()]
        with self._turn:
            self._requests.append(f"{environ['REQUEST_METHOD']} {path.removeprefix(f'/{BUCKET}/')}")
            self._in_flight += 1
            self._most = max(self._most, self._in_flight)
        try:
            time.sleep(self._latency)
            return self._application(environ, start_response)
        finally:
            with self._turn:
                self._in_flight -= 1


class _OneAtOnce:
    """moto looks at the condition of a put and then puts, and another thread may come between.

    What it reads while another thread puts the same key, it cannot read either.
    """

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self._turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with self._turn:
            return self._application(environ, start_response)


def main() -> None:
    moto, serving_of = import_module("moto.server"), import_module("werkzeug.serving")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = _OneAtOnce(moto.DomainDispatcherApplication(moto.create_backend_app))
    latency = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    server = serving_of.make_server("127.0.0.1", 0, _Counting(application, latency), threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
