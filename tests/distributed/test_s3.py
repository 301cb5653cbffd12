"""Parts that are written to an S3 server, and copied there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import zarr_vectors as zv
from tests.distributed.cases import BOUNDS, COLUMNS, LAYOUT, check_points, write_region
from tests.storage import s3

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3.serving() as found:
        yield found


def test_a_store_on_s3_is_written_in_parts(endpoint: str) -> None:
    target, options = f"s3://{s3.BUCKET}/parts.zarrvectors", s3.for_obstore(endpoint)
    zv.create(target, bounds=BOUNDS, attributes=COLUMNS, objects=True, layout=LAYOUT, storage_options=options)
    job = zv.distributed.begin(target, storage_options=options)
    assert "secret" not in repr(job)
    with ThreadPoolExecutor(2) as pool:
        receipts = list(pool.map(partial(write_region, job), job.regions(3)))
    assert sorted(job.receipts(), key=str) == sorted(receipts, key=str)
    s3.log_of(endpoint)
    job.finish(receipts)
    asked = s3.log_of(endpoint).requests
    moved = [request for request in asked if request.startswith("GET") and ".zv/jobs" in request and "/c/" in request]
    shards = [request for request in moved if "/vertices/" in request or "/vertex_fragments/" in request]
    assert shards == [], "cells are copied by the server"
    check_points(target, storage_options=options)
    keys = zv.open_store(target, storage_options=options).backend.list_prefix("", recursive=True)
    assert not any(".zv" in key for key in keys)


def test_what_a_job_on_s3_has_staged_stays_while_others_write_and_goes_when_it_is_cancelled(endpoint: str) -> None:
    target, options = f"s3://{s3.BUCKET}/cancelled.zarrvectors", s3.for_obstore(endpoint)
    zv.create(target, bounds=BOUNDS, attributes=COLUMNS, layout=LAYOUT, storage_options=options)
    job = zv.distributed.begin(target, storage_options=options)
    receipt = write_region(job, job.regions(3)[0])
    more: Any = zv.Points([[55.0, 15.0]], {"number": [-1], "gene": ["a"]})
    zv.write(target, more, mode="append", storage_options=options)
    assert job.receipts() == [receipt]
    job.cancel()
    keys = list(zv.open_store(target, storage_options=options).backend.list_prefix("", recursive=True))
    assert not any(".zv" in key for key in keys)
    assert zv.open(target, storage_options=options)[0].vertex_count == 1
