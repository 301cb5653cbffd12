"""Icechunk on S3, where a server that plays it is installed (``pip install 'moto[server]'``)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import zarr_vectors as zv
from tests.core.ice import append, on_branch, opened, points, rows_of
from tests.storage.s3 import for_icechunk, for_obstore, serving
from zarr_vectors.core.store import branch, commit, create_store, merge_branch, rebase
from zarr_vectors.exceptions import ConcurrentEditError, StoreNotFoundError

pytest.importorskip("icechunk")
LAYOUT = zv.Layout(chunk_shape=10, shard_shape=None)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def options(endpoint: str) -> dict[str, Any]:
    return for_icechunk(endpoint)


def test_a_store_on_s3_has_versions(options: dict[str, Any]) -> None:
    url = "s3://bucket/some/store"
    root = create_store(url, bounds=([0, 0], [50, 50]), chunk_shape=(10, 10), backend="icechunk", **options)
    commit(root)
    said: Any = {"backend": "icechunk", "storage_options": options}
    zv.write(url, points((1, 1)), mode="replace", layout=LAYOUT, bounds=([0, 0], [50, 50]), **said)
    root = opened(url, **options)
    branch(root, "trial")
    with on_branch(root, "trial"):
        append(root, points((45, 45)))
    append(root, points((15, 15)))
    commit(root)
    merge_branch(root, "trial")
    assert sorted(zv.open(url, **said)[0].read().positions.tolist()) == [[1, 1], [15, 15], [45, 45]]
    other = opened(url, **options)
    append(root, points((25, 25)))
    append(other, points((35, 35)))
    commit(root)
    with pytest.raises(ConcurrentEditError):
        commit(other)
    rebase(other)
    commit(other)
    assert len(rows_of(opened(url, "r", **options))) == 5


def test_a_repository_that_is_opened_as_a_plain_store_is_recognised(endpoint: str, options: dict[str, Any]) -> None:
    pytest.importorskip("obstore")
    url = "s3://bucket/another"
    zv.write(url, points((1, 1)), backend="icechunk", storage_options=options)
    with pytest.raises(StoreNotFoundError, match="backend='icechunk'"):
        zv.open(url, storage_options=for_obstore(endpoint))


def test_what_is_read_of_it_can_be_sent(options: dict[str, Any]) -> None:
    url = "s3://bucket/sent"
    said: Any = {"backend": "icechunk", "storage_options": options}
    zv.write(url, points((1, 1), (2, 3)), **said)
    rows = pickle.loads(pickle.dumps(zv.open(url, **said)[0].vertices))
    assert sorted(rows.compute().tolist()) == [[1, 1], [2, 3]]
