"""All levels of a store on their way into other chunks, with the links between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.query.across import CrossFamily, cross_families
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.rechunk.binning import Binning
from zarr_vectors.rechunk.cross import cross_puts
from zarr_vectors.rechunk.level import LevelJob, check_level
from zarr_vectors.rechunk.root import with_capability
from zarr_vectors.rechunk.scan_plan import Cut
from zarr_vectors.rechunk.write import Rewrite
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.types.cell_facts import can_index
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.typing import JsonObject

__all__ = ["LevelsJob"]


@dataclass
class LevelsJob:
    """Levels that are read, and then written as one.

    Args:
        source: The store as it is.
        levels: Its levels by number; those that are not among them get no links.
        folder: For temporary files.
    """

    source: Storage
    levels: dict[int, LevelJob]
    folder: Path
    rewrites: dict[int, Rewrite] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _families: list[CrossFamily] = field(default_factory=list)
    _across: dict[int, list[str]] = field(default_factory=dict)

    @classmethod
    def as_they_are(
        cls,
        storage: Storage,
        root: RootState,
        levels: Iterable[LevelState],
        folder: Path,
        *,
        cut: Cut | None = None,
        by_manifests: bool = False,
    ) -> LevelsJob:
        """Levels of a store that stay in the chunks and bins that they are in.

        Args:
            root: The root as it is to be.
            cut: What is taken away; None for nothing.
            by_manifests: Whether manifests alone tell whose fragments are.

        Raises:
            ConventionError, StoreError: A level is stored in a way in which it cannot be written anew.
            CorruptionError: A table of objects is gone or corrupt.
        """
        kind = kind_of_types(root.metadata.geometry_types, storage.url)
        levels = list(levels)
        for level in levels:
            check_level(storage, level, kind)
        jobs = {
            level.number: LevelJob(
                source=storage,
                root=root,
                level=level,
                kind=kind,
                tables=read_level_tables(storage, level),
                binning=Binning.as_it_is(level),
                chunk_shape=level.chunk_shape,
                folder=folder / str(level.number),
                cut=cut,
                by_manifests=by_manifests,
            )
            for level in levels
        }
        return cls(storage, jobs, folder)

    def read(self) -> None:
        """Read all levels.

        Raises:
            ZVError: Whatever a level cannot be read or told anew for.
        """
        for number, job in self.levels.items():
            found, groups, nowhere = cross_families(self.source, job.level, self._linked(job))
            self._families += found
            self._across[number] = groups
            self.left_out += [f"{number}/{name}" if number else name for name in nowhere]
        named = {number for one in self._families for number in (one.level.number, one.target)}
        for number, job in self.levels.items():
            job.numbered = number in named
            job.folder.mkdir()
            job.read()

    @property
    def has_links(self) -> bool:
        """Whether there are links between levels."""
        return bool(self._families)

    def root_document(self, document: JsonObject) -> JsonObject:
        """The root document with what the levels need it to say."""
        shares = any(job.plan.shared is not None for job in self.levels.values())
        return with_capability(document, constants.CAP_SHARED_FRAGMENTS, is_used=shares)

    def commit(self, document: JsonObject) -> None:
        """Write all levels, once they are read, in the place of those that there are.

        Args:
            document: The root document as it is to be.

        Raises:
            ZVError: As ``plan`` does.
        """
        self.plan()
        document, last = self.root_document(document), self.index_of(self.source)
        self.source.commit(Batch(puts=self.puts(), root=lambda: document, deletes=self.deletes(), last=last))

    def _linked(self, job: LevelJob) -> Sequence[int]:
        """Levels whose chunks have, and had, as many axes as those of this one: only between such can links be told."""
        axes = job.binning.has_axis, job.level.vertices.ndim
        return [n for n, other in self.levels.items() if (other.binning.has_axis, other.level.vertices.ndim) == axes]

    def plan(self) -> None:
        """Decide what is written of every level.

        Raises:
            ChunkingError: There would be too many chunks.
            InputError: An attribute that is stored per bin differs within a new one.
        """
        self.rewrites = {number: job.rewrite(self._across[number]) for number, job in self.levels.items()}

    def deletes(self) -> Iterator[str]:
        """Paths that are gone afterwards, unless they are written again."""
        for rewrite in self.rewrites.values():
            yield from rewrite.deletes()

    def index_of(self, storage: Storage) -> Callable[[Stamps], Iterator[Put]] | None:
        """What makes the cell indexes of all levels when they have been written there; None where there are none."""
        if not can_index(storage):
            return None
        for rewrite in self.rewrites.values():
            rewrite.begin_facts()
        return self._index_puts

    def _index_puts(self, stamps: Stamps) -> Iterator[Put]:
        for rewrite in self.rewrites.values():
            yield from rewrite.index_puts(stamps)

    def puts(self) -> Iterator[Put]:
        """Everything but the root document."""
        for rewrite in self.rewrites.values():
            yield from rewrite.puts()
        for number, family in enumerate(self._families):
            ends = (family.level.number, family.target)
            own, other = (self.rewrites[end] for end in ends)
            scans = (self.levels[ends[0]].found, self.levels[ends[1]].found)
            yield from cross_puts(self.source, family, own, other, scans, self.folder / f"across-{number}")
