"""What the root document says of a commit that has happened and may not be published yet."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from zarr_vectors.constants import COMMIT_KEY, JOBS_KEY
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.backend import JOBS, STAGE, Backend
from zarr_vectors.typing import JsonObject

__all__ = ["ROOT", "Record", "left_by_writers", "marker_of", "open_jobs", "read_record"]

ROOT = "zarr.json"


@dataclass(frozen=True, slots=True)
class Record:
    """A commit.

    Args:
        id: Its name, and that of the folder of what is staged.
        puts: Paths that it writes, the root document among them.
        deletes: Paths that it removes.
    """

    id: str
    puts: frozenset[str]
    deletes: frozenset[str]

    @property
    def folder(self) -> str:
        """Where everything is staged."""
        return f"{STAGE}/{self.id}"

    @property
    def path(self) -> str:
        """Where the record itself is."""
        return f"{self.folder}/record.json"

    def staged(self, path: str) -> str:
        """Where an object waits until it is published."""
        return f"{self.folder}/{path}"

    def to_bytes(self) -> bytes:
        """The record as it is stored."""
        return dump_json({"puts": sorted(self.puts), "deletes": sorted(self.deletes)})

    def marked(self, root: JsonObject) -> bytes:
        """A root document that names the record."""
        marker = {"id": self.id, "state": "complete", "record": self.path}
        return dump_json({**root, "attributes": {**(root.get("attributes") or {}), COMMIT_KEY: marker}})


def marker_of(root: JsonObject | None) -> Any:
    """What a root document says about a commit that is being published; None where there is none."""
    attributes = (root or {}).get("attributes")
    return attributes.get(COMMIT_KEY) if isinstance(attributes, dict) else None


def open_jobs(root: JsonObject | None) -> JsonObject:
    """What a root document says about jobs of partitioned writers that have not come to their end, by id."""
    jobs = ((root or {}).get("attributes") or {}).get(JOBS_KEY)
    return dict(jobs) if isinstance(jobs, dict) else {}


def left_by_writers(backend: Backend, jobs: Collection[str]) -> list[str]:
    """What lies in the stage, containers as a whole, but for what belongs to jobs that are open."""
    left = [key for key in backend.list_prefix(STAGE) if key != f"{JOBS}/" or not jobs]
    if jobs:
        left += [key for key in backend.list_prefix(JOBS) if key.removeprefix(f"{JOBS}/").rstrip("/") not in jobs]
    return left


def read_record(backend: Backend, marker: Any) -> Record:
    """The record that a root document names.

    Raises:
        CorruptionError: It is gone, malformed, or names what does not lie in the store.
    """
    try:
        document = json.loads(backend.get_bytes(marker["record"]))
        record = Record(marker["id"], frozenset(document["puts"]), frozenset(document["deletes"]))
        for path in record.puts | record.deletes | {record.id}:
            # Publishing moves and deletes what the record names: it must not reach beyond the store.
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path!r} leads out of the store")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CorruptionError(
            "the record of a commit cannot be read", store=backend.url, array=ROOT, got=repr(error)
        ) from error
    return record
