"""TRX, the streamlines of the tractography community: a zip archive of arrays, stored or deflated."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import Format, ReadOptions, Source
from zarr_vectors.formats.streamlines import AXES, KINDS, check_options, to_json, wanted_of
from zarr_vectors.formats.trx_archive import COMPRESSIONS, Archive, Member, Rows, dtype_name, opened, read_archive
from zarr_vectors.formats.trx_export import GROUP_NAME, export_trx
from zarr_vectors.formats.trx_folder import Packed, is_unpacked_trx
from zarr_vectors.geometry import Categorical, Column, Polylines
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["TRX"]

OFFSETS_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """The groups of a file: sorted streamlines of each, and a row of attributes for each."""

    members: list[IntArray]
    attributes: dict[str, Column]

    def of_lines(self, start: int, stop: int) -> dict[int, IntArray]:
        """The members among some streamlines; every group is there, if empty."""
        spans = ((lines, np.searchsorted(lines, [start, stop])) for lines in self.members)
        return {number: lines[low:high] for number, (lines, (low, high)) in enumerate(spans)}


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """The streamlines of a file, batch by batch."""

    archive: Archive
    groups: _Groups
    wanted: set[str]
    batch_rows: int

    def batches(self) -> Iterator[Polylines]:
        """All streamlines; one batch without any where there are none."""
        archive = self.archive
        positions = archive.find("positions")
        members = [positions, *self._wanted("dpv"), *self._wanted("dps")]
        with opened(archive.path) as file, ExitStack() as stack:
            streams = {
                member.info.filename: stack.enter_context(Rows(archive.path, file, member))
                for member in members
                if member
            }

            def take(member: Member, rows: int) -> AnyArray:
                values = streams[member.info.filename].take(rows)
                return values if member.columns > 1 else values[:, 0]

            for start, offsets in stack.enter_context(closing(self._lines(file))):
                lines, rows = len(offsets) - 1, int(offsets[-1] - offsets[0])
                yield Polylines(
                    take(positions, rows) if positions else np.empty((0, 3), np.float32),
                    offsets - offsets[0],
                    ids=np.arange(start, start + lines),
                    kind="streamline",
                    attributes={member.name: take(member, rows) for member in self._wanted("dpv")},
                    object_attributes={member.name: take(member, lines) for member in self._wanted("dps")},
                    groups=self.groups.of_lines(start, start + lines),
                    group_attributes=self.groups.attributes,
                    axes=AXES,
                )
            for stream in streams.values():
                stream.finish()

    def _wanted(self, folder: str) -> list[Member]:
        return [member for member in self.archive.members[folder] if member.name in self.wanted]

    def _lines(self, file: Packed) -> Generator[tuple[int, IntArray], None, None]:
        """The number of the first streamline of each batch, and the offsets of its streamlines and of their end."""
        if not self.archive.streamlines:
            yield 0, np.zeros(1, np.int64)
        for first, offsets in self._offsets(file):
            at, count = 0, len(offsets) - 1
            while at < count:
                fitting = int(np.searchsorted(offsets, offsets[at] + self.batch_rows, side="right")) - 1
                stop = min(max(fitting, at + 1), at + self.batch_rows)
                yield first + at, offsets[at : stop + 1]
                at = stop

    def _offsets(self, file: Packed) -> Iterator[tuple[int, IntArray]]:
        """The offsets of some streamlines and of their end; raises ``IngestError`` where they do not ascend."""
        archive, member = self.archive, self.archive.find("offsets")
        if member is None or not archive.streamlines:
            return
        with Rows(archive.path, file, member) as stream:
            last = stream.take(1)[:, 0]
            if last[0] != 0:
                raise self._bad_offset("0 for streamline 0", last[0])
            for first in range(0, archive.streamlines, OFFSETS_BLOCK):
                stop = min(first + OFFSETS_BLOCK, archive.streamlines)
                read = stream.take(min(stop, member.rows - 1) - first)[:, 0]
                if len(read) < stop - first:
                    read = np.append(read, np.array([archive.vertices], dtype=np.uint64).astype(read.dtype))
                offsets = np.concatenate([last, read])
                bad = (offsets[1:] < offsets[:-1]) | (offsets[1:] > archive.vertices)
                if bad.any():
                    at = int(np.argmax(bad))
                    expected = f"{offsets[at]} to {archive.vertices} at the end of streamline {first + at}"
                    raise self._bad_offset(expected, offsets[at + 1])
                last = offsets[-1:]
                yield first, offsets.astype(np.int64)
            stream.finish()
        if last[0] != archive.vertices:
            raise self._bad_offset(f"{archive.vertices} at the end", last[0])

    def _bad_offset(self, expected: str, got: Any) -> IngestError:
        return IngestError(f"{self.archive.path} has offsets that cannot be used", expected=expected, got=int(got))


def _groups_of(archive: Archive, file: Packed) -> tuple[_Groups, JsonObject]:
    """The groups, and the data of groups that are no attributes as not every group has them in one shape."""
    members: list[IntArray] = []
    names: list[str] = []
    for member in archive.members["groups"]:
        lines = archive.read(file, member)[:, 0]
        bad = (lines < 0) | (lines >= archive.streamlines)
        if bad.any():
            expected = f"streamlines 0 to {archive.streamlines - 1} in {member.info.filename}"
            raise IngestError(f"{archive.path} has a group with unknown members", expected=expected, got=lines[bad][0])
        members.append(np.unique(lines).astype(np.int64))
        names.append(member.name)
    data = {(member.group, member.name): member for member in archive.members["dpg"]}
    values = {key: archive.read(file, member) for key, member in data.items()}
    attributes: dict[str, Column] = {GROUP_NAME: Categorical.from_values(names)} if names else {}
    left: JsonObject = {}
    for name in dict.fromkeys(name for _, name in values):
        rows = [values[group, name] for group in names if (group, name) in values]
        alike = len({(row.dtype, row.shape) for row in rows}) == 1
        if len(rows) == len(names) and alike and name != GROUP_NAME:
            table = np.concatenate(rows)
            attributes[name] = table if table.shape[1] > 1 else table[:, 0]
            continue
        for group in names:
            if (row := values.get((group, name))) is not None:
                entry = {"dtype": dtype_name(row.dtype), "values": to_json(row[0])}
                left.setdefault(group, {})[name] = entry
    return _Groups(members=members, attributes=attributes), left


def _open(path: Path, options: ReadOptions) -> Source:
    """Check a TRX file, or the folder that one has been unpacked to, and describe its streamlines.

    Positions are those of the file, in RAS+ millimetres, of 16, 32 or 64 bits. Data per vertex are attributes, data
    per streamline are object attributes, with their dtypes. Groups keep their order in the archive, and are ordered by
    name in a folder; their names are the group attribute ``name``, and data per group are group attributes where all
    groups have them alike, else they are in the header. Ids count from 0. ``options.attributes`` picks among data per
    vertex and per streamline.

    Raises:
        IngestError: No zip archive, damaged, contradicting itself, or without a wanted attribute.
    """
    check_options(path, options)
    with opened(path) as file:
        archive = read_archive(path, file)
        groups, left = _groups_of(archive, file)
    names = [member.name for folder in ("dpv", "dps") for member in archive.members[folder]]
    wanted = wanted_of(path, options, names)
    reader = _Reader(archive=archive, groups=groups, wanted=wanted, batch_rows=options.batch_rows)
    offsets = archive.find("offsets")
    document: JsonObject = {
        "header": archive.header,
        "offsets": None if offsets is None else dtype_name(offsets.dtype),
        "compression": _compression_of(archive),
        "data_per_group": left,
        "ignored_members": archive.ignored,
    }
    return Source(batches=reader.batches(), rows=archive.vertices, axes=AXES, headers={"trx": document})


def _compression_of(archive: Archive) -> str:
    positions = archive.find("positions")
    return "stored" if positions is None else COMPRESSIONS[positions.info.compress_type]


TRX = Format(
    name="trx",
    suffixes=(".trx",),
    description="TRX streamlines",
    open=_open,
    export=export_trx,
    kinds=KINDS,
    unpacked=is_unpacked_trx,
)
