"""Readers of exchange formats, fed with files of ours that have been spoiled."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np

import zarr_vectors as zv
from tests.fuzz.mutate import dumped, spoiled, spoiled_json, spoiled_text
from tests.fuzz.targets import Target
from tests.storage.stores import REPOSITORY
from zarr_vectors.exceptions import ZVError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions
from zarr_vectors.formats.registry import FORMATS
from zarr_vectors.geometry import Geometry

__all__ = ["file_targets"]

_TEXT = frozenset({"csv", "xyz", "obj", "off", "swc", "edgelist", "edge_list", "graphml"})
_LARGEST = 100_000
_ROOM = TemporaryDirectory(prefix="zv-fuzz-")


def file_targets() -> list[Target]:
    """One for each format."""
    return [Target(name=f"file {fmt.name}", run=_run(fmt, _samples(fmt))) for fmt in FORMATS]


def _values() -> list[Geometry]:
    rows = np.random.default_rng(1).uniform(0, 12, (24, 3)).astype(np.float32)
    offsets = np.arange(0, 25, 6)
    edges = np.stack([np.arange(0, 23), np.arange(1, 24)], axis=1)
    faces = np.stack([np.arange(0, 22), np.arange(1, 23), np.arange(2, 24)], axis=1)
    weights = np.linspace(0, 1, 24, dtype=np.float32)
    return [
        zv.Points(rows, attributes={"w": weights, "n": np.arange(24, dtype=np.int32)}),
        zv.Polylines(rows, offsets, kind="streamline", attributes={"w": weights}),
        zv.Graph(rows, edges),
        zv.Mesh(rows, faces),
        zv.Skeleton(rows, np.concatenate([[-1], np.arange(23)]), attributes={"radius": weights}),
    ]


def _samples(fmt: Format) -> list[Path]:
    found = []
    for value in _values():
        if value.geometry_type not in fmt.kinds:
            continue
        for suffix in fmt.suffixes:
            path = _own_folder(fmt) / f"{value.geometry_type}{suffix}"
            box = (value.positions.min(axis=0).tolist(), value.positions.max(axis=0).tolist())
            axes = tuple(zv.Axis(name) for name in "xyz")
            try:
                fmt.export(path, iter([value]), ExportContext(axes=axes, bounds=box))
            except ZVError:
                continue
            found.append(path)
    real = sorted((REPOSITORY / "tests" / "data").iterdir())
    fitting = [path for path in real if path.suffix.lower() in fmt.suffixes and path.stat().st_size < _LARGEST]
    return [*found, *(Path(shutil.copy(path, _own_folder(fmt) / path.name)) for path in fitting)]


def _own_folder(fmt: Format) -> Path:
    """A file may consist of several: each sample has a folder."""
    folder = Path(_ROOM.name) / "samples" / fmt.name
    folder.mkdir(parents=True, exist_ok=True)
    return Path(mkdtemp(dir=folder))


def _run(fmt: Format, samples: list[Path]) -> Callable[[random.Random], None]:
    room = Path(_ROOM.name) / "spoiled" / fmt.name
    room.mkdir(parents=True)
    files = {path: sorted(file for file in path.parent.rglob("*") if file.is_file()) for path in samples}

    def run(seed: random.Random) -> None:
        sample = seed.choice(samples)
        path = room / sample.name
        if len(files[sample]) > 1:
            shutil.rmtree(room)
            shutil.copytree(sample.parent, room)
        inner = seed.choice(files[sample])
        content = _spoiled_file(inner.read_bytes(), seed, text=fmt.name in _TEXT)
        (room / inner.relative_to(sample.parent)).write_bytes(content)
        options = ReadOptions(
            batch_rows=seed.choice((7, 1000)), triangulate=seed.random() < 0.5, wide=seed.random() < 0.3
        )
        source = fmt.open(fmt.parts(path)[0], options)
        count = 0
        for batch in source.batches:
            count += len(batch.positions)
            if count > 10**7:
                raise MemoryError("a small file brings millions of rows")

    return run


def _spoiled_file(data: bytes, seed: random.Random, *, text: bool) -> bytes:
    if data[:4] == b"PK\3\4" and seed.random() < 0.8:
        return _spoiled_zip(data, seed)
    if data[:4] == b"glTF" and seed.random() < 0.7:
        return _spoiled_glb(data, seed)
    if data.lstrip()[:1] == b"{" and seed.random() < 0.8:
        try:
            return dumped(spoiled_json(json.loads(data), seed), seed)
        except ValueError:
            return spoiled(data, seed)
    if text or (b"\0" not in data[:200] and seed.random() < 0.7):
        return spoiled_text(data, seed)
    if seed.random() < 0.3:
        # The head alone, which is text in many formats of binary data.
        end = seed.choice((200, 600, 1200))
        return spoiled_text(data[:end], seed) + data[end:]
    return spoiled(data, seed)


def _spoiled_zip(data: bytes, seed: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as made:
        names = archive.namelist()
        original = target = seed.choice(names)
        for name in names:
            content = archive.read(name)
            if name == original:
                way = seed.randrange(6)
                if way == 0:
                    continue
                if way == 1:
                    target = seed.choice(
                        ("../" + name, "/" + name, name + "x", name.replace(".", "..", 1), "a/" + name)
                    )
                else:
                    content = _spoiled_file(content, seed, text=False)
            made.writestr(
                target if name == original else name,
                content,
                compress_type=seed.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)),
            )
    return out.getvalue()


def _spoiled_glb(data: bytes, seed: random.Random) -> bytes:
    (size,) = struct.unpack_from("<I", data, 12)
    text = dumped(spoiled_json(json.loads(data[20 : 20 + size]), seed), seed)
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    return (
        b"glTF"
        + struct.pack("<II", 2, 20 + len(text) + len(rest))
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + rest
    )
