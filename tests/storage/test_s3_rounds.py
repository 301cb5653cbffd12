"""Rounds and requests of reads on an S3 server that takes its time, as it counts them itself.

A round is a call of ``fetch``; that its requests are under way together is what the server sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.storage import s3
from zarr_vectors.storage.objects import ObstoreBackend
from zarr_vectors.storage.urls import open_backend

pytest.importorskip("obstore")
LATENCY = 0.04
LAYOUT = zv.Layout(chunk_shape=10, shard_shape=4)
POINTS, OBJECTS, FEW, PUBLISHED = (
    f"s3://{s3.BUCKET}/{name}.zarrvectors" for name in ("points", "objects", "few", "published")
)
COUNT = 17_000
"""Objects: more than one chunk of the table of manifests holds."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3.serving(LATENCY) as found:
        rng = np.random.default_rng(0)
        points = zv.Points(rng.uniform(0, 80, (4000, 3)), {"weight": rng.random(4000), "other": rng.random(4000)})
        centres = rng.uniform(1, 159, (COUNT, 3))
        owned = zv.Points(centres, {"weight": rng.random(COUNT)}, object_ids=np.arange(COUNT) * 3 - 7)
        few = zv.Points(centres[:600], object_ids=np.arange(600) // 2 * 5)
        options = s3.for_obstore(found)
        for place, value in ((POINTS, points), (OBJECTS, owned), (FEW, few), (PUBLISHED, points)):
            zv.write(place, value, layout=LAYOUT, storage_options=options)
        with zv.open(PUBLISHED, "r+", storage_options=options) as store:
            store.publish()
        yield found


@dataclass
class Asked:
    """What a read has asked for: rounds, as the library sends them, and requests, as the server gets them."""

    rounds: int
    requests: list[str]
    most_in_flight: int
    result: Any


Ask = Callable[[Callable[[], Any]], Asked]


@pytest.fixture
def ask(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Ask:
    sent: list[int] = []
    fetch = ObstoreBackend.fetch

    def counted(self: ObstoreBackend, requests: Any) -> Any:
        sent.append(len(requests))
        return fetch(self, requests)

    monkeypatch.setattr(ObstoreBackend, "fetch", counted)

    def asked(read: Callable[[], Any]) -> Asked:
        s3.log_of(endpoint)
        sent.clear()
        result = read()
        log = s3.log_of(endpoint)
        assert len(log.requests) == sum(sent), "nothing but gets in rounds: no listing, and nothing is asked for again"
        assert all(request.startswith("GET ") for request in log.requests)
        return Asked(len(sent), log.requests, log.most_in_flight, result)

    return asked


def opened(endpoint: str, place: str) -> zv.ZVStore:
    return zv.open(open_backend(place, storage_options=s3.for_obstore(endpoint), read_only=True))


def test_opening_takes_two_rounds_and_one_when_published(endpoint: str, ask: Ask) -> None:
    found = ask(lambda: opened(endpoint, OBJECTS))
    assert found.rounds == 2
    assert found.most_in_flight > 1
    assert ask(lambda: opened(endpoint, PUBLISHED)).rounds == 1


def test_a_box_takes_two_rounds_and_one_with_known_indexes_and_forty_requests(endpoint: str, ask: Ask) -> None:
    """4x4x4 chunks in 8 shards, positions and one attribute; the last request asks whether the store has changed."""
    level = opened(endpoint, POINTS)[0]
    box = ([20.5] * 3, [59.5] * 3)
    found = ask(lambda: level.read(bbox=box, attributes=["weight"]))
    assert found.rounds == 2 + 1
    assert found.requests[-1] == "GET points.zarrvectors/zarr.json"
    shards = {request for request in found.requests if "/vertices/c/" in request}
    assert len(shards) == 8
    assert len(found.requests) <= 40
    assert found.most_in_flight > 4
    inside = len(found.result.positions)
    again = ask(lambda: level.read(bbox=box, attributes=["weight"]))
    assert again.rounds == 1 + 1
    assert len(again.result.positions) == inside > 100
    assert len(again.requests) <= 40


def test_a_published_store_is_not_asked_whether_it_has_changed(endpoint: str, ask: Ask) -> None:
    level = opened(endpoint, PUBLISHED)[0]
    box = ([20.5] * 3, [59.5] * 3)
    assert ask(lambda: level.read(bbox=box)).rounds == 2
    assert ask(lambda: level.read(bbox=box)).rounds == 1


def test_objects_by_id_take_three_rounds_and_four_where_ids_must_be_searched(endpoint: str, ask: Ask) -> None:
    level = opened(endpoint, FEW)[0]
    found = ask(lambda: level.read(object_ids=[0, 50, 1495]))
    assert found.rounds == 3 + 1
    assert len(found.result.positions) == 6
    assert found.most_in_flight > 1
    assert ask(lambda: level.read(object_ids=[0, 50])).rounds <= 3 + 1
    level = opened(endpoint, OBJECTS)[0]
    found = ask(lambda: level.read(object_ids=[-7, 3 * COUNT - 10]))
    assert found.rounds == 4 + 1
    assert len(found.result.positions) == 2


def test_a_hundred_compact_objects_take_a_hundred_and_fifty_requests(endpoint: str, ask: Ask) -> None:
    """Objects of one region, as a user picks them; they lie in a few shards."""
    level = opened(endpoint, OBJECTS)[0]
    near = level.read(bbox=([0] * 3, [80, 80, 60])).object_ids[:100].tolist()
    level = opened(endpoint, OBJECTS)[0]
    found = ask(lambda: level.read(object_ids=near, attributes=["weight"]))
    assert len(found.result.positions) == 100
    assert found.rounds <= 4 + 1
    assert len(found.requests) <= 150
