"""A small S3 server in memory, for thousands of commits: what plain stores ask of S3, and exact about conditions.

Usage: python -m tests.storage.light_s3 [SECONDS]; prints its endpoint and serves until its input ends. Every request
takes so many seconds more.

One event loop answers one request after another, so that each sees all that were answered before, as S3 promises.
Whoever asks is let in. What it does not know is refused rather than passed over.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from itertools import islice
from urllib.parse import parse_qsl, quote, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

LOG = "/.log"
RESET = "/moto-api/reset"
"""As moto's server calls it."""
_MOST_LISTED = 1000
_LISTING = frozenset(
    {"list-type", "prefix", "delimiter", "continuation-token", "start-after", "max-keys", "encoding-type"}
)
_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})


class RefusedError(Exception):
    """An answer that is an error.

    Args:
        status: Of HTTP.
        code: What S3 calls it.
        told: What it is about.
    """

    def __init__(self, status: int, code: str, told: str = "") -> None:
        super().__init__(status, code, told)
        self.status, self.code, self.told = status, code, told


@dataclass(frozen=True)
class Stored:
    """An object."""

    data: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True)
class Request:
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Buckets:
    """Everything that is stored, and what is done to it."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {}

    def answer(self, request: Request) -> Answer:
        if not request.bucket:
            raise unknown("request", "for no bucket")
        if request.method == "PUT" and not request.key:
            self.buckets.setdefault(request.bucket, {})
            return Answer()
        objects = self.buckets.get(request.bucket)
        if objects is None:
            raise RefusedError(404, "NoSuchBucket", request.bucket)
        known = {"GET": _get, "HEAD": _get, "PUT": _put, "DELETE": _delete} if request.key else {"GET": _list}
        if request.method == "POST" and not request.key and "delete" in request.query:
            return _delete_many(objects, request)
        if request.method not in known:
            raise unknown("request", f"{request.method} {request.key} {dict(request.query)}")
        if request.key and request.query:
            raise unknown("query", str(dict(request.query)))
        if request.method == "PUT" and "x-amz-copy-source" in request.headers:
            return self._copy(objects, request)
        return known[request.method](objects, request)

    def _copy(self, objects: dict[str, Stored], request: Request) -> Answer:
        _refuse_conditions(request)
        if any(name.startswith("x-amz-copy-source-") for name in request.headers):
            raise unknown("condition", "of a copy")
        bucket, _, key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        found = self.buckets.get(bucket, {}).get(key)
        if found is None:
            raise RefusedError(404, "NoSuchKey", key)
        made = objects[request.key] = Stored(found.data, _now())
        told = f"<ETag>{made.etag}</ETag><LastModified>{_iso(made.modified)}</LastModified>"
        return _xml("CopyObjectResult", told)


def _get(objects: dict[str, Stored], request: Request) -> Answer:
    if "if-modified-since" in request.headers or "if-unmodified-since" in request.headers:
        raise unknown("condition", "about times")
    found = objects.get(request.key)
    if found is None:
        raise RefusedError(404, "NoSuchKey", request.key)
    etag = found.etag
    if not _fits(request.headers.get("if-match"), etag, otherwise=True):
        raise RefusedError(412, "PreconditionFailed", request.key)
    if _fits(request.headers.get("if-none-match"), etag, otherwise=False):
        return Answer(304, headers={"ETag": etag})
    headers = {
        "ETag": etag,
        "Last-Modified": format_datetime(found.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    size = len(found.data)
    part = _part(request.headers.get("range"), size)
    if part is None:
        return Answer(200, found.data, headers)
    start, end = part
    return Answer(206, found.data[start:end], {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"})


def _part(wanted: str | None, size: int) -> tuple[int, int] | None:
    """Where a range begins and ends; one that is malformed is none."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
    if asked is None or not any(asked.groups()):
        return None
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise RefusedError(416, "InvalidRange", wanted or "")
    return None if end <= start else (start, end)


def _put(objects: dict[str, Stored], request: Request) -> Answer:
    expected, none = request.headers.get("if-match"), request.headers.get("if-none-match")
    if _CONDITIONS & request.headers.keys() - {"if-match", "if-none-match"} or none not in (None, "*"):
        raise unknown("condition", "of a put")
    found = objects.get(request.key)
    if expected is not None and found is None:
        raise RefusedError(404, "NoSuchKey", request.key)
    if (found is not None and none) or (found is not None and not _fits(expected, found.etag, otherwise=True)):
        raise RefusedError(412, "PreconditionFailed", request.key)
    made = objects[request.key] = Stored(request.body, _now())
    return Answer(200, headers={"ETag": made.etag})


def _delete(objects: dict[str, Stored], request: Request) -> Answer:
    _refuse_conditions(request)
    objects.pop(request.key, None)
    return Answer(204)


def _delete_many(objects: dict[str, Stored], request: Request) -> Answer:
    document = ElementTree.fromstring(request.body)
    keys = [item.text or "" for item in document.iter() if item.tag.rpartition("}")[2] == "Key"]
    if not 0 < len(keys) <= _MOST_LISTED:
        raise RefusedError(400, "MalformedXML", f"{len(keys)} keys")
    for key in keys:
        objects.pop(key, None)
    return _xml("DeleteResult", "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys))


def _list(objects: dict[str, Stored], request: Request) -> Answer:
    query = request.query
    if query.get("list-type") != "2" or not query.keys() <= _LISTING:
        raise unknown("query", str(dict(query)))
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = query.get("continuation-token") or query.get("start-after", "")
    most = min(int(query.get("max-keys", _MOST_LISTED)), _MOST_LISTED)
    rows = _rows(sorted(objects), prefix, delimiter, after)
    page = list(islice(rows, most))
    cut = next(rows, None) is not None
    shown: Callable[[str], str] = quote if query.get("encoding-type") == "url" else escape
    told = [f"<Name>{request.bucket}</Name><Prefix>{shown(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"]
    told.append(f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(cut).lower()}</IsTruncated>")
    if cut:
        told.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
    for key in page:
        found = objects.get(key)
        if found is None or (delimiter and delimiter in key[len(prefix) :]):
            told.append(f"<CommonPrefixes><Prefix>{shown(key)}</Prefix></CommonPrefixes>")
        else:
            facts = f"<LastModified>{_iso(found.modified)}</LastModified><ETag>{escape(found.etag)}</ETag>"
            told.append(f"<Contents><Key>{shown(key)}</Key>{facts}<Size>{len(found.data)}</Size></Contents>")
    return _xml("ListBucketResult", "".join(told))


def _rows(keys: list[str], prefix: str, delimiter: str, after: str) -> Iterator[str]:
    """Keys below a prefix, those with a delimiter behind it as one common prefix."""
    told = ""
    for key in keys[bisect_left(keys, prefix) :]:
        if not key.startswith(prefix):
            return
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        row = prefix + head + delimiter if found else key
        if row > after and row != told:
            told = row
            yield row


def unknown(what: str, told: str) -> RefusedError:
    return RefusedError(400, "InvalidRequest", f"this server does not know this {what}: {told}")


def _refuse_conditions(request: Request) -> None:
    if _CONDITIONS & request.headers.keys():
        raise unknown("condition", request.method)


def _fits(asked: str | None, etag: str, *, otherwise: bool) -> bool:
    """Whether a condition names an object; ``otherwise`` where there is none."""
    if asked is None:
        return otherwise
    return asked.strip() == "*" or etag in [name.strip() for name in asked.split(",")]


def _xml(name: str, inner: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inner}</{name}>'
    return Answer(200, text.encode(), {"Content-Type": "application/xml"})


def _now() -> datetime:
    return datetime.now(UTC)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Connection(asyncio.Protocol):
    """HTTP/1.1, one request at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take()

    def _take(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if self._busy or end < 0:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        size = int(headers.get("content-length", 0))
        if "transfer-encoding" in headers:
            self._transport.close()
            return
        if len(self._buffer) < end + 4 + size:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        self._busy = True
        self._server.begin(Request(method, bucket, key, asked, headers, body), unquote(path), self._tell)

    def _tell(self, method: str, answer: Answer) -> None:
        # Several answers have no body, and may not tell of one.
        sized = answer.status not in (204, 304)
        length = {"Content-Length": str(len(answer.body))} if sized else {}
        headers = {**answer.headers, **length, "Date": format_datetime(_now(), usegmt=True)}
        head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self._transport.write(head.encode() + (b"" if method == "HEAD" or not sized else answer.body))
        self._busy = False
        self._take()


class Server:
    """Answers, in the order in which requests are complete, and keeps a list of them."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._buckets = Buckets()
        self._requests: list[str] = []
        self._in_flight = self._most = 0

    def begin(self, request: Request, path: str, tell: Callable[[str, Answer], None]) -> None:
        if path == LOG:
            told = {"requests": self._requests, "most_in_flight": self._most}
            self._requests, self._most = [], 0
            tell("GET", Answer(200, json.dumps(told).encode()))
            return
        if path == RESET:
            self._buckets = Buckets()
            tell("POST", Answer())
            return
        self._requests.append(f"{request.method} {path.removeprefix(f'/{request.bucket}/')}")
        self._in_flight += 1
        self._most = max(self._most, self._in_flight)
        asyncio.get_running_loop().call_later(self._latency, self._end, request, tell)

    def _end(self, request: Request, tell: Callable[[str, Answer], None]) -> None:
        self._in_flight -= 1
        try:
            answer = self._buckets.answer(request)
        except RefusedError as refused:
            told = f"<Error><Code>{refused.code}</Code><Message>{escape(refused.told)}</Message></Error>"
            answer = Answer(refused.status, told.encode(), {"Content-Type": "application/xml"})
        tell(request.method, answer)


async def serve(latency: float) -> None:
    server = Server(latency)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
