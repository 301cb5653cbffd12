"""The ``compressor`` argument."""

from __future__ import annotations

from typing import Any

import pytest
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from zarr_vectors.encoding.compression import cell_codecs, resolve_compressor, typed_codecs
from zarr_vectors.exceptions import InputError

ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": True}}
BLOSC = {
    "name": "blosc",
    "configuration": {"typesize": 4, "cname": "zstd", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0},
}
GZIP = {"name": "gzip", "configuration": {"level": 5}}
CRC32C = {"name": "crc32c"}


@pytest.mark.parametrize(
    ("compressor", "codecs"),
    [
        (None, [ZSTD]),
        ("zstd", [ZSTD]),
        ("blosc", [BLOSC, CRC32C]),
        ("none", [CRC32C]),
        (False, [CRC32C]),
        ([], []),
        ([{"name": "bytes"}, ZSTD], [ZSTD]),
        ([{"name": "vlen-bytes"}, CRC32C], [CRC32C]),
        ({"name": "gzip", "configuration": {"level": 9}}, [{"name": "gzip", "configuration": {"level": 9}}]),
        ([{"name": "zstd"}], [ZSTD]),
        (
            [{"name": "zstd", "configuration": {"level": 7}}],
            [{**ZSTD, "configuration": {"level": 7, "checksum": True}}],
        ),
        ([{"name": "gzip"}, {"name": "crc32c"}], [GZIP, CRC32C]),
        ([{"name": "blosc", "configuration": None}], [BLOSC]),
        (ZstdCodec(level=3), [{"name": "zstd", "configuration": {"level": 3, "checksum": False}}]),
        ([BytesCodec(), GzipCodec(level=5), Crc32cCodec()], [GZIP, CRC32C]),
    ],
)
def test_every_value_stands_for_a_chain(compressor: Any, codecs: list[dict[str, Any]]) -> None:
    assert cell_codecs(compressor)[1:] == typed_codecs(compressor)[1:] == resolve_compressor(compressor)[1:] == codecs


def test_each_kind_of_array_has_its_own_first_codec() -> None:
    assert cell_codecs()[0] == {"name": "vlen-bytes", "configuration": {}}
    assert typed_codecs()[0] == {"name": "bytes", "configuration": {"endian": "little"}}
    assert resolve_compressor()[0] == {"name": "bytes"}


@pytest.mark.parametrize(
    "compressor",
    [
        "lz4",
        7,
        True,
        ["zstd"],
        TransposeCodec(order=(0,)),
        [{"name": "transpose"}],
        [{}],
        [{"name": "zstd", "configuration": {"level": 23}}],
        [{"name": "zstd", "configuration": {"level": "high"}}],
        [{"name": "zstd", "configuration": {"level": True}}],
        [{"name": "zstd", "configuration": {"checksum": "yes"}}],
        [{"name": "zstd", "configuration": 5}],
        [{"name": "gzip", "configuration": {"level": -1}}],
        [{"name": "blosc", "configuration": {"clevel": 10}}],
        [{"name": "blosc", "configuration": {"cname": "best"}}],
        [{"name": "blosc", "configuration": {"shuffle": "yes"}}],
    ],
    ids=str,
)
def test_what_no_codec_can_be_made_of_is_refused(compressor: Any) -> None:
    with pytest.raises(InputError):
        cell_codecs(compressor)
