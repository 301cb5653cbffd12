"""Where partitioned writers stage their parts: in the stage of the store, or in another place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarr_vectors.exceptions import InputError, StoreError
from zarr_vectors.storage.backend import JOBS, Backend
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import detect_scheme, open_backend

__all__ = ["JobPlace", "job_place"]


@dataclass(frozen=True)
class JobPlace:
    """Where a store is, and where the parts of its jobs are: in the stage of the store, or elsewhere."""

    url: str
    options: Mapping[str, Any] = field(repr=False)
    driver: str | None
    scratch: str | None
    scratch_options: Mapping[str, Any] = field(repr=False)

    def storage(self, *, read_only: bool = False) -> Storage:
        """The store."""
        return Storage(open_backend(self.url, storage_options=self.options, backend=self.driver, read_only=read_only))

    def part(self, job: str, name: str, *, read_only: bool = False) -> Storage:
        """The store of a part."""
        return Storage(self._beside(f"{job}/{name}", read_only))

    def _beside(self, path: str, read_only: bool = False) -> Backend:
        if self.scratch is not None:
            return open_backend(f"{self.scratch}/{path}", storage_options=self.scratch_options, read_only=read_only)
        url = f"{self.url.rstrip('/')}/{JOBS}/{path}"
        return open_backend(url, storage_options=self.options, backend=self.driver, read_only=read_only)

    def inside(self, job: str, name: str) -> str | None:
        """Where the store of a part lies in the store; None where it does not."""
        # Each URL of memory is a place of its own.
        return None if self.scratch is not None or self._in_memory else f"{JOBS}/{job}/{name}"

    @property
    def _in_memory(self) -> bool:
        return detect_scheme(self.url) == "memory"

    def names(self, job: str) -> list[str]:
        """Names of parts that have been begun."""
        if self.scratch is None and self._in_memory:
            raise StoreError("parts in memory are known only to those who hold their receipts", store=self.url)
        listed = self._beside(job, read_only=True).list_prefix("")
        return [key.rstrip("/") for key in listed if key.endswith("/")]

    def sweep(self, job: str) -> None:
        """Remove what a job that has ended has staged, where the end itself has not done so."""
        if self.scratch is not None:
            self._beside(job).delete_prefix("")
        elif not self._in_memory:
            backend = self.storage().backend
            if not backend.locks_everyone:
                backend.delete_prefix(f"{JOBS}/{job}")


def job_place(
    target: Any, driver: str | None, options: Mapping[str, Any] | None, scratch: Any, scratch_options: Any
) -> JobPlace:
    """Where a store and the parts of its jobs are.

    Raises:
        InputError: The store is not named by a path or a URL.
    """
    if not isinstance(target, (str, os.PathLike)):
        raise InputError(
            "workers reach a store by a path or a URL", got=type(target).__name__, hint="pass that, and storage_options"
        )
    place = None if scratch is None else _anywhere(scratch)
    return JobPlace(_anywhere(target), dict(options or {}), driver, place, dict(scratch_options or {}))


def _anywhere(place: str | os.PathLike[str]) -> str:
    """A path that means the same in every working folder."""
    text = os.fspath(place)
    return text if detect_scheme(text) else str(Path(text).resolve())
