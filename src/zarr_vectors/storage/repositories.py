"""Finding and opening Icechunk repositories: from what a user names one by to ``icechunk.Repository``.

Icechunk is an optional package, and is imported only where a repository is wanted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from zarr_vectors.exceptions import (
    ConcurrentEditError,
    InputError,
    OptionError,
    StoreError,
    StoreExistsError,
)
from zarr_vectors.optional import require

__all__ = [
    "REPOSITORY_MARKS",
    "Place",
    "holds_repository",
    "icechunk",
    "is_icechunk_value",
    "is_session_store",
    "place_of",
    "told",
]

REPOSITORY_MARKS = ("refs/branch.main/ref.json", "repo")
"""Objects that a repository of Icechunk 1 and one of Icechunk 2 have, and no zarr store does."""
REBASE = "rebase onto the branch and try again, or open the store again"
_memory: dict[str, Any] = {}


def icechunk() -> Any:
    """The package; where this library is the first to import it, it logs errors only.

    Its log goes to standard output, where programs expect results. Who imports it, or sets ``ICECHUNK_LOG``, decides.

    Raises:
        MissingDependencyError: It is not installed.
    """
    known = sys.modules.get("icechunk")
    if known is not None:
        return known
    package = require("icechunk", "backend='icechunk' needs")
    if "ICECHUNK_LOG" not in os.environ:
        package.set_logs_filter("error")
    return package


@contextmanager
def told(url: str, what: str) -> Iterator[None]:
    """Turn what Icechunk says against an operation into an error that names the store.

    Raises:
        ConcurrentEditError: The branch is not where this writer left it.
        StoreError: Anything else.
    """
    package = icechunk()
    try:
        yield
    except package.ConflictError as error:
        raise ConcurrentEditError(
            f"{what}: another writer has changed the branch",
            store=url,
            got=_first_line(error),
            hint=REBASE,
        ) from error
    except (package.IcechunkError, KeyError, ValueError) as error:
        raise StoreError(what, store=url, got=_first_line(error)) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip(" x|") for line in str(error).splitlines()]
    return next((line for line in lines if line), type(error).__name__)


@dataclass(frozen=True)
class Place:
    """Where a repository is, or may come to be.

    Args:
        url: For messages.
        storage: Makes the ``icechunk.Storage``; None for a repository that is open already.
        repository: That repository.
        folder: The local folder, for its lock.
        config: ``icechunk.RepositoryConfig``, or None.
    """

    url: str
    storage: Callable[[], Any] | None
    repository: Any = None
    folder: str | None = None
    config: Any = field(default=None, compare=False)

    def open(self) -> Any | None:
        """The repository; None where there is none.

        Raises:
            StoreError: The place cannot be reached, or what lies there cannot be read.
        """
        if self.storage is None:
            return self.repository
        if self.folder is not None and not holds_repository("", self.folder):
            # Icechunk would make the folder to look into it.
            return None
        repository = icechunk().Repository
        with told(self.url, "the Icechunk repository cannot be opened"):
            storage = self.storage()
            return repository.open(storage, config=self.config) if repository.exists(storage) else None

    def create(self, branch: str) -> Any:
        """A new repository with a branch, beside ``main``.

        Raises:
            StoreExistsError: There is something else at this place.
            StoreError: The place cannot be reached.
        """
        assert self.storage is not None
        if self.folder is not None and os.path.isdir(self.folder) and os.listdir(self.folder):
            raise StoreExistsError(
                "the folder is not empty and not an Icechunk repository",
                store=self.url,
                hint="choose another place, or empty it",
            )
        with told(self.url, "the Icechunk repository cannot be created"):
            made = icechunk().Repository.create(self.storage(), config=self.config)
            if branch not in made.list_branches():
                made.create_branch(branch, made.lookup_branch("main"))
            return made


def is_icechunk_value(target: object) -> bool:
    """Whether something is a ``Repository`` or ``Storage`` of Icechunk, told without importing it."""
    package = sys.modules.get("icechunk")
    return package is not None and isinstance(target, (package.Repository, package.Storage))


def is_session_store(target: object) -> bool:
    """Whether something is the zarr store of an Icechunk session, which knows nothing of its repository."""
    package = sys.modules.get("icechunk")
    return package is not None and isinstance(target, package.IcechunkStore)


def holds_repository(scheme: str, path: str) -> bool:
    """Whether a local folder or a place in memory is an Icechunk repository, told by its layout.

    Object stores are not asked: ``backend="icechunk"`` says it.
    """
    if scheme == "memory":
        return path in _memory
    return scheme in {"", "file"} and any(os.path.isfile(os.path.join(path, mark)) for mark in REPOSITORY_MARKS)


def place_of(target: Any, scheme: str, path: str, options: Mapping[str, Any]) -> Place:
    """The place that a ``Repository``, a ``Storage``, a path or a URL names.

    Args:
        scheme: Of the URL; empty for a path.
        path: The URL, or a local path.
        options: For the constructor of the storage, ``config`` apart.

    Raises:
        InputError: The scheme is not one that Icechunk is offered for.
        OptionError: An option that the storage does not know.
    """
    options = dict(options)
    config = options.pop("config", None)
    if is_icechunk_value(target):
        _refuse(options, "an open repository")
        if isinstance(target, icechunk().Repository):
            return Place(str(target.storage).strip() or "icechunk", None, target)
        return Place(str(target).strip() or "icechunk", lambda: target, config=config)
    if scheme in {"", "file"}:
        _refuse(options, "a local path")
        folder = os.path.abspath(os.path.expanduser(path))
        return Place(Path(folder).as_uri(), lambda: icechunk().local_filesystem_storage(folder), None, folder, config)
    if scheme == "memory":
        _refuse(options, "memory://")
        return Place(path, lambda: _memory.setdefault(path, icechunk().in_memory_storage()), config=config)
    return Place(path, _remote(scheme, path, options), config=config)


def _remote(scheme: str, url: str, options: dict[str, Any]) -> Callable[[], Any]:
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    options = {**dict(parse_qsl(parts.query)), **options}
    names = {"s3": "s3_storage", "s3a": "s3_storage", "gs": "gcs_storage", "gcs": "gcs_storage"}
    if scheme in names:
        name, place = names[scheme], {"bucket": parts.netloc, "prefix": prefix}
    elif scheme in {"az", "azure", "abfs", "abfss"}:
        name, place = "azure_storage", {"container": parts.netloc, "prefix": prefix}
    else:
        raise InputError(
            "Icechunk is not offered for this URL",
            got=url,
            expected="a path, memory://, s3://, gs:// or az://, or an icechunk.Repository or icechunk.Storage",
        )

    def storage() -> Any:
        try:
            return cast("Callable[..., Any]", getattr(icechunk(), name))(**place, **options)
        except TypeError as error:
            raise OptionError(f"{name} of icechunk does not take these options", got=str(error)) from error

    return storage


def _refuse(options: Mapping[str, Any], what: str) -> None:
    if options:
        raise OptionError(f"these options do not apply to {what}", got=sorted(options))
