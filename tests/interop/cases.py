"""The matrix of point clouds: each case builds the keywords of 0.9.2's ``write_points``.

Used at two sizes: small by ``scripts/make_golden.py``, larger by the live tests. numpy only, because the first runs in
the environment of 0.9.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["CASES", "Case", "Size"]

Array = np.ndarray[Any, Any]
Keywords = dict[str, Any]

GZIP = [{"name": "gzip", "configuration": {"level": 5}}]
CRC32C = [{"name": "crc32c"}]
CHECKED_ZSTD = [{"name": "zstd", "configuration": {"level": 3, "checksum": True}}, {"name": "crc32c"}]
SPARSE_IDS = (7, 3, 2**40, -5, 2**62 + 1, 0)
NUMERIC = ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", ">i2", ">f4")


@dataclass(frozen=True)
class Size:
    """How much a case builds.

    Args:
        rows: Number of points.
        chunks: Occupied chunks per axis on the first two axes; every further axis has one.
    """

    rows: int
    chunks: int


@dataclass(frozen=True)
class Case:
    """One store.

    Args:
        name: Also the folder under ``tests/golden``.
        build: Makes the keywords for a size from a generator.
        pyramid: Keywords of 0.9.2's ``build_pyramid``, run after the write.
        owners: Whether 0.9.2 stores the object of every fragment as well.
        live: Whether the live tests use it; the others differ from a live case only in their size.
        peer_boxes: Whether 0.9.2 finds all rows of a box in its own store. It cannot filter positions of one axis, and
            where it stamps bins beside objects it takes the fragments of objects for bins.
        size: Of the golden store.
    """

    name: str
    build: Callable[[Size, np.random.Generator], Keywords]
    pyramid: Keywords | None = None
    owners: bool = False
    live: bool = True
    peer_boxes: bool = True
    size: Size = field(default=Size(24, 2))

    def golden(self) -> Keywords:
        """The keywords at golden size; the same on every machine."""
        return self.build(self.size, np.random.default_rng(92))

    def large(self, rows: int = 400, chunks: int = 3) -> Keywords:
        """The keywords at the size of the live tests: chunks with neighbours on all sides, more than 256 rows."""
        return self.build(Size(rows, chunks), np.random.default_rng(920))


def cloud(size: Size, rng: np.random.Generator, ndim: int = 3, dtype: str = "float32", low: float = 0.0) -> Keywords:
    """Positions in chunks of 10, some of them exactly on chunk faces, and the keywords they need."""
    span = np.array([10.0 * size.chunks if axis < 2 else 9.0 for axis in range(ndim)])
    positions = np.full(ndim, low) + rng.random((size.rows, ndim)) * span
    corners = np.floor(positions[: size.rows // 4] / 10.0) * 10.0
    positions[: len(corners)] = np.maximum(corners, low)
    kind = np.dtype(dtype)
    positions = np.floor(positions) if kind.kind in "iu" else positions
    return {"positions": positions.astype(kind), "chunk_shape": (10.0,) * ndim, "dtype": dtype}


def numbers(rng: np.random.Generator, rows: int, dtype: str) -> Array:
    """Values over the whole range of a dtype; floats have NaN and infinities among them."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(rows) < 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = rng.integers(limits.min, limits.max, rows, dtype=kind.newbyteorder("="), endpoint=True)
        values[:2] = limits.min, limits.max
        return values.astype(kind)
    if kind.kind == "c":
        return (rng.standard_normal(rows) + 1j * rng.standard_normal(rows)).astype(kind)
    real = rng.standard_normal(rows)
    real[1:4] = np.nan, np.inf, -np.inf
    return real.astype(kind)


def scalar_attributes(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    """One attribute of each numeric dtype."""
    return {f"v_{dtype.replace('>', 'big_')}": numbers(rng, rows, dtype) for dtype in NUMERIC}


def channel_attributes(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    """Attributes of several channels."""
    return {
        "normal": rng.standard_normal((rows, 3)).astype("f4"),
        "rgba": rng.integers(0, 256, (rows, 4), dtype="u1"),
        "flags": rng.random((rows, 2)) < 0.5,
        "time_and_weight": rng.standard_normal((rows, 2)),
    }


def time_attributes(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    """Times and durations, some of them missing."""
    ticks = rng.integers(-(10**9), 10**9, rows)
    stamps = ticks.astype("M8[ns]")
    stamps[0] = np.datetime64("NaT")
    return {"stamp": stamps, "second": ticks.astype("M8[s]"), "lag": ticks.astype("m8[ms]")}


def text_attributes(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    """Text of every kind that 0.9.2 encodes, with and without missing values."""
    words = np.array(["soma", "axon", "dendrite", "Zelle", "größe", "細胞", ""])
    picked = rng.integers(0, len(words), rows)
    gaps = words[picked].astype(object)
    gaps[picked < 2] = None
    return {
        "unicode": words[picked],
        "bytes": np.array([b"left", b"right"])[picked % 2],
        "objects": words[picked].astype(object),
        "gaps": gaps,
        "all_missing": np.full(rows, None, dtype=object),
    }


def many_categories(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    """More categories than one byte counts, where there are rows enough."""
    names = np.array([f"gene{i:04d}" for i in range(rows)])
    gaps = names.astype(object)
    gaps[:3] = None
    return {"gene": rng.permutation(names), "gappy": gaps}


def object_tables(rng: np.random.Generator, count: int) -> dict[str, Array]:
    """Object attributes of every kind that 0.9.2 takes; ``weight`` and ``code`` mark one object as absent."""
    weight = rng.standard_normal(count)
    code = rng.integers(0, 100, count).astype("i4")
    weight[0], code[count // 2] = np.nan, np.iinfo("i4").min
    return {
        "weight": weight,
        "half": rng.standard_normal(count).astype("f2"),
        "code": code,
        "small": rng.integers(0, 200, count).astype("u1"),
        "big": rng.integers(0, 2**63, count, dtype="u8") + np.uint64(2**62),
        "centre": rng.standard_normal((count, 3)).astype("f4"),
        "name": np.array([f"cell {i}" for i in range(count)]),
    }


def with_objects(size: Size, rng: np.random.Generator, **more: Any) -> Keywords:
    """A cloud below and above zero whose points belong to objects with sparse ids; one attribute to keep in step."""
    keywords = cloud(size, rng, low=-10.0)
    ids = np.array(SPARSE_IDS, dtype=np.int64)[rng.integers(0, len(SPARSE_IDS), size.rows)]
    ids[: len(SPARSE_IDS)] = SPARSE_IDS
    row = np.arange(size.rows, dtype="i4")
    return keywords | {"object_ids": ids, "vertex_attributes": {"row": row}} | more


def plain(size: Size, rng: np.random.Generator) -> Keywords:
    return cloud(size, rng)


def in_space(ndim: int, dtype: str, low: float) -> Callable[[Size, np.random.Generator], Keywords]:
    """A cloud of another dimension, dtype or place, with an attribute to keep in step."""

    def build(size: Size, rng: np.random.Generator) -> Keywords:
        row = np.arange(size.rows, dtype="i4")
        return cloud(size, rng, ndim, dtype, low) | {"vertex_attributes": {"row": row}}

    return build


def with_attributes(
    make: Callable[[np.random.Generator, int], dict[str, Array]], **more: Any
) -> Callable[[Size, np.random.Generator], Keywords]:
    """A cloud with some family of attributes."""

    def build(size: Size, rng: np.random.Generator) -> Keywords:
        return cloud(size, rng, low=-10.0) | {"vertex_attributes": make(rng, size.rows)} | more

    return build


def stored_as(ndim: int = 2, **more: Any) -> Callable[[Size, np.random.Generator], Keywords]:
    """A cloud with one attribute, stored with some codec, bins or shards."""

    def build(size: Size, rng: np.random.Generator) -> Keywords:
        row = np.arange(size.rows, dtype="i4")
        return cloud(size, rng, ndim, low=-10.0) | {"vertex_attributes": {"row": row}} | more

    return build


def objects_only(**more: Any) -> Callable[[Size, np.random.Generator], Keywords]:
    """A cloud of objects without tables."""

    def build(size: Size, rng: np.random.Generator) -> Keywords:
        return with_objects(size, rng, **more)

    return build


def objects_with_tables(size: Size, rng: np.random.Generator) -> Keywords:
    return with_objects(size, rng, object_attributes=object_tables(rng, len(SPARSE_IDS)))


def objects_in_groups(size: Size, rng: np.random.Generator) -> Keywords:
    """Groups 1 and 3 are holes, group 4 is a range most of whose ids do not exist; all three kinds of storage."""
    groups = {0: [3, 7, 2**40], 2: [-5], 4: range(3, 8), 5: [7, 2**62 + 1]}
    attributes = {
        "score": rng.standard_normal(6),
        "rank": np.arange(6, dtype="i2"),
        "kept": np.array([True, False] * 3),
        "colour": rng.integers(0, 256, (6, 3), dtype="u1"),
        "label": np.array(["a", "", "bb", "", "ccc", "d"]),
    }
    return with_objects(size, rng, groups=groups, group_attributes=attributes)


def one_object(size: Size, rng: np.random.Generator) -> Keywords:
    """A single object with id 0: Zarr stores no chunk of an id table that is all zeros."""
    return with_objects(size, rng) | {"object_ids": np.zeros(size.rows, dtype=np.int64)}


def object_per_point(size: Size, rng: np.random.Generator) -> Keywords:
    return with_objects(size, rng) | {"object_ids": np.arange(size.rows, dtype=np.int64)}


def empty(size: Size, rng: np.random.Generator) -> Keywords:
    del size, rng
    return {
        "positions": np.empty((0, 3), dtype="f4"),
        "chunk_shape": (10.0,) * 3,
        "bounds": ([0.0, 0.0, 0.0], [20.0, 20.0, 20.0]),
        "dtype": "float32",
        "vertex_attributes": {"row": np.empty(0, dtype="i4")},
    }


def wide_bounds(size: Size, rng: np.random.Generator) -> Keywords:
    """Bounds, and so a grid, larger than the data."""
    return cloud(size, rng, ndim=2) | {"bounds": ([-35.0, -5.0], [10.0 * size.chunks + 25.0] * 2)}


SEVEN = np.array([[-5, 1, 1], [1, 1, 1], [2, 7, 2], [9, 9, 9], [15, 3, 3], [16, 4, 4], [-0.5, -0.5, 0.5]], dtype="f4")


def seven_points(size: Size, rng: np.random.Generator) -> Keywords:
    """Seven points with everything at once."""
    del size, rng
    unsigned = np.arange(7, dtype="u8")
    unsigned[0] = 2**63 + 5
    return {
        "positions": SEVEN,
        "chunk_shape": (10, 10, 10),
        "dtype": "float32",
        "object_ids": np.array([7, 3, 7, 3, 3, 2**40, 7]),
        "vertex_attributes": {
            "intensity": np.arange(7, dtype="f4") / 2,
            "rgb": np.arange(21, dtype="u1").reshape(7, 3),
            "u64": unsigned,
            "label": np.array(["soma", None, "axon", "axon", "soma", None, "soma"], dtype=object),
        },
        "object_attributes": {
            "weight": np.array([0.5, 1.5, 2.5]),
            "code": np.array([1, -1, 3], dtype="i4"),
            "txt": np.array(["a", "bb", "ccc"]),
        },
        "groups": {0: [3, 7], 2: range(3, 8)},
        "group_attributes": {"g": np.array([1.0, 2.0, 3.0])},
    }


def seven_points_binned(size: Size, rng: np.random.Generator) -> Keywords:
    """The same seven points in eight bins a chunk, most of them empty."""
    del size, rng
    return {
        "positions": SEVEN,
        "chunk_shape": (10, 10, 10),
        "bin_shape": (5, 5, 5),
        "dtype": "float32",
        "compressor": "zstd",
        "vertex_attributes": {"i": np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])},
    }


ONE_CHUNK = Size(24, 1)

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("points", seven_points, live=False),
        Case("points_binned", seven_points_binned, live=False),
        Case("plain", plain),
        Case("negative", in_space(3, "float32", -30.0)),
        Case("one_d", in_space(1, "float32", -10.0), peer_boxes=False),
        Case("two_d", in_space(2, "float32", -10.0)),
        Case("four_d", in_space(4, "float32", -10.0)),
        Case("float64", in_space(3, "float64", 4.0e6)),
        Case("int32", in_space(3, "int32", -10.0), size=ONE_CHUNK),
        Case("uint16", in_space(2, "uint16", 0.0), size=ONE_CHUNK),
        Case("one_point", plain, size=Size(1, 1), live=False),
        Case("empty", empty),
        Case("wide_bounds", wide_bounds),
        Case("numeric_attributes", with_attributes(scalar_attributes), size=ONE_CHUNK),
        Case("channel_attributes", with_attributes(channel_attributes), size=ONE_CHUNK),
        Case("time_attributes", with_attributes(time_attributes), size=ONE_CHUNK),
        Case("text_attributes", with_attributes(text_attributes), size=ONE_CHUNK),
        Case("many_categories", with_attributes(many_categories), size=Size(40, 1)),
        Case("objects", objects_only()),
        Case("object_tables", objects_with_tables, size=ONE_CHUNK),
        Case("groups", objects_in_groups, size=ONE_CHUNK),
        Case("one_object", one_object, size=Size(8, 1)),
        Case("object_per_point", object_per_point, size=Size(12, 1)),
        Case("owners", objects_only(), owners=True, live=False, size=ONE_CHUNK),
        Case("binned", stored_as(bin_shape=(5.0, 2.5), compressor="zstd")),
        Case("binned_objects", objects_only(bin_shape=(5.0, 5.0, 2.5)), peer_boxes=False, size=ONE_CHUNK),
        Case("compressed_zstd", stored_as(compressor="zstd"), size=ONE_CHUNK),
        Case("compressed_blosc", stored_as(compressor="blosc"), size=ONE_CHUNK),
        Case("compressed_gzip", stored_as(compressor=GZIP), size=ONE_CHUNK),
        Case("checked_crc32c", stored_as(compressor=CRC32C), size=ONE_CHUNK),
        Case("checked_zstd_crc32c", stored_as(compressor=CHECKED_ZSTD), size=ONE_CHUNK),
        Case("sharded_even", stored_as(shard_shape=(1, 3)), size=Size(30, 3)),
        Case("sharded_uneven", stored_as(shard_shape=(2, 2), compressor="zstd"), size=Size(30, 3)),
        Case("sharded_one", stored_as(shard_shape=(8, 8), compressor=CRC32C), size=Size(30, 3)),
        Case("sharded_binned", stored_as(shard_shape=2, bin_shape=(5.0, 5.0), compressor="zstd"), size=Size(30, 3)),
        Case("sharded_objects", objects_only(shard_shape=(2, 2, 1), compressor="zstd"), size=Size(30, 3)),
        Case("pyramid", objects_only(), pyramid={"factors": [(2.0, 2.0)], "sparsity_seed": 1}, size=ONE_CHUNK),
    )
}
