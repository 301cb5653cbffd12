"""The light S3 server answers as moto's does, and refuses what it does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from tests.storage import s3
from zarr_vectors.exceptions import ConcurrentEditError
from zarr_vectors.storage.backend import Get, Versioned
from zarr_vectors.storage.objects import ObstoreBackend
from zarr_vectors.storage.urls import open_backend

pytest.importorskip("obstore")
_SIGNED = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
"""moto's server wants to know who asks, and believes everybody."""
KEYS = ["a/1", "a/2/x", "a/2/y", "a/3", "a+b c/é%41&.json", "a-", "b"]


@pytest.fixture(params=sorted(s3.SERVERS))
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with s3.serving(server=request.param) as found:
        yield found


@pytest.fixture
def backend(endpoint: str) -> ObstoreBackend:
    opened = open_backend(f"s3://{s3.BUCKET}/store", storage_options=s3.for_obstore(endpoint))
    assert isinstance(opened, ObstoreBackend)
    return opened


def test_objects_and_parts_of_them(backend: ObstoreBackend) -> None:
    data = bytes(range(100))
    backend.put_all((key, data + key.encode()) for key in KEYS)
    gets = [*map(Get, KEYS), Get("b", 10, 5), Get("b", 90), Get("b", -4), Get("b", 95, 50), Get("none"), Get("a")]
    found = backend.fetch(gets)
    whole = [data + key.encode() for key in KEYS]
    assert found == [*whole, data[10:15], data[90:] + b"b", data[97:] + b"b", data[95:] + b"b", None, None]
    assert backend.exists("b")
    assert not backend.exists("a")
    backend.copy_all([("b", "copy of b"), ("a+b c/é%41&.json", "copy")])
    assert backend.get_bytes("copy of b") == whole[-1]
    assert backend.get_bytes("copy") == whole[4]
    backend.delete_all(["b", "never there", "copy", "a+b c/é%41&.json"])
    backend.delete("a/1")
    left = ["a-", "a/2/x", "a/2/y", "a/3", "copy of b"]
    assert list(backend.list_prefix("", recursive=True)) == left
    assert list(backend.list_prefix("")) == ["a-", "a/", "copy of b"]
    assert backend.list_children(["a", "a/2", "nothing"]) == [["a/2/", "a/3"], ["a/2/x", "a/2/y"], []]
    assert backend.size("a/2") == 2 * len(data) + 10


def test_conditions_of_puts(backend: ObstoreBackend) -> None:
    first = backend.swap("x", b"1", None)
    with pytest.raises(ConcurrentEditError):
        backend.swap("x", b"2", None)
    second = backend.swap("x", b"2", first)
    with pytest.raises(ConcurrentEditError):
        backend.swap("x", b"3", first)
    assert backend.read_versioned("x") == second
    backend.delete("x")
    with pytest.raises(ConcurrentEditError):
        backend.swap("x", b"3", second)
    assert backend.read_versioned("x") is None


def test_one_of_many_wins(backend: ObstoreBackend) -> None:
    def tries(number: int) -> Versioned | None:
        try:
            return backend.swap("x", b"%d" % number, held)
        except ConcurrentEditError:
            return None

    held: Versioned | None = None
    with ThreadPoolExecutor(6) as pool:
        for turn in range(5):
            won = [found for found in pool.map(tries, range(10 * turn, 10 * turn + 6)) if found]
            assert len(won) == 1
            assert backend.read_versioned("x") == won[0]
            held = won[0]


def ask(endpoint: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers of an answer."""
    named = {"Authorization": _SIGNED, "Content-Type": "application/octet-stream"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"{endpoint}/{s3.BUCKET}{path}", data=body or None, headers=named, method=method)
    try:
        with urlopen(request) as answer:
            return answer.status, answer.read(), answer.headers
    except HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def told(endpoint: str) -> list[tuple[object, ...]]:
    """What a server answers to requests that are not all good."""
    found: list[tuple[object, ...]] = []

    def note(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        status, got, said = ask(endpoint, method, path, body, **headers)
        bad = re.findall(rb"<Code>(\w+)</Code>", got)
        size = said["Content-Length"] if method == "HEAD" and status < 300 else None
        sound = said["ETag"], size, said["Content-Range"], got if method == "GET" and "?" not in path else b""
        # Servers go on with lists in ways of their own.
        found.append((method, path.partition("&continuation-token")[0], headers, status, bad or sound))
        return got

    for key in KEYS:
        note("PUT", "/" + quote(key), key.encode() * 3)
    for wanted in ("bytes=0-1", "bytes=1-", "bytes=-2", "bytes=-99", "bytes=2-99", "bytes=7-9", "bytes=9-"):
        note("GET", "/b", Range=wanted)
    note("GET", "/none")
    note("HEAD", "/none")
    note("HEAD", "/b")
    etag = ask(endpoint, "HEAD", "/b")[2]["ETag"]
    for name, value in (("If_Match", etag), ("If_Match", '"x"'), ("If_None_Match", etag), ("If_None_Match", '"x"')):
        note("GET", "/b", b"", **{name: value})
    note("PUT", "/b", b"no", If_None_Match="*")
    note("PUT", "/b", b"no", If_Match='"x"')
    note("PUT", "/none", b"no", If_Match=etag)
    note("GET", "/none")
    note("PUT", "/b", b"yes", If_Match=etag)
    note("PUT", "/c", b"yes", If_None_Match="*")
    note("GET", "/b")
    note("DELETE", "/c")
    note("DELETE", "/c")
    for query in ("", "&prefix=a/", "&prefix=a/&delimiter=/", "&delimiter=/", "&prefix=z", "&prefix=a/2&delimiter=/"):
        token, pages = "", 0
        while pages < 9:
            page = note("GET", f"?list-type=2&max-keys=2{query}{token and '&continuation-token=' + quote(token)}")
            pages += 1
            rows = re.findall(rb"<Key>([^<]*)<|<Size>([^<]*)<|<CommonPrefixes>\s*<Prefix>([^<]*)<", page)
            found.append((query, *sorted(rows)))
            again = re.search(rb"<NextContinuationToken>([^<]*)<", page)
            if again is None:
                break
            token = again[1].decode()
        found.append((query, pages))
    return found


def test_the_light_server_answers_as_motos() -> None:
    with s3.serving() as moto, s3.serving(server="light") as light:
        expected, got = told(moto), told(light)
    for one, other in zip(expected, got, strict=True):
        assert other == one


def test_the_light_server_refuses_what_it_does_not_know() -> None:
    with s3.serving(server="light") as endpoint:
        ask(endpoint, "PUT", "/x", b"1")
        for method, path, headers in (
            ("GET", "/x", {"If_Modified_Since": "Fri, 02 Jan 2026 10:00:00 GMT"}),
            ("PUT", "/x", {"If_None_Match": '"x"'}),
            ("PUT", "/y", {"x_amz_copy_source": "bucket/x", "x_amz_copy_source_if_match": '"x"'}),
            ("DELETE", "/x", {"If_Match": '"x"'}),
            ("POST", "/x?uploads", {}),
            ("GET", "/x?versionId=1", {}),
            ("GET", "?list-type=1", {}),
            ("GET", "?list-type=2&fetch-owner=true", {}),
        ):
            status, body, _ = ask(endpoint, method, path, b"", **headers)
            assert status == 400, (method, path)
            assert b"does not know" in body
        assert ask(endpoint, "GET", "/x")[1] == b"1"
        assert ask(endpoint, "GET", "/y")[0] == 404
