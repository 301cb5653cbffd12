"""A web server of files, which notes what it is asked for and serves byte ranges."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class WebFolder(ThreadingHTTPServer):
    """The files below a folder.

    Attributes:
        asked: Paths of the requests, in order.
        failures: How many of the next requests are answered with an error of the server.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: list[str] = []
        self.failures = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def served(folder: Path) -> Iterator[WebFolder]:
    with WebFolder(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: WebFolder

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (named by the library)
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path.lstrip("/"))
        path = self.server.folder / self.path.lstrip("/")
        if self.server.failures:
            self.server.failures -= 1
            self._answer(503, b"")
        elif not path.is_file():
            self._answer(404, b"")
        else:
            self._serve(path.read_bytes(), self.headers.get("Range"))

    def _serve(self, data: bytes, wanted: str | None) -> None:
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
        if asked is None:
            self._answer(200, data)
            return
        first, last = asked.groups()
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last) + 1, len(data)) if first and last else len(data)
        self._answer(206, data[start:end], f"bytes {start}-{end - 1}/{len(data)}")

    def _answer(self, code: int, data: bytes, part: str | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 10:00:00 GMT")
        if part is not None:
            self.send_header("Content-Range", part)
        self.end_headers()
        self.wfile.write(data)
