"""Plain zarr groups of others, against zarr-python."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.foreign import open_foreign, write_foreign

FORMATS: list[Literal[2, 3]] = [2, 3]
ARRAYS: dict[str, Any] = {
    "a/b/values": np.arange(6, dtype=np.int16).reshape(2, 3),
    "empty": np.zeros((0, 2)),
    "text": np.array(["x", "long"]),
    "zeros": np.zeros(5),
}


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_what_is_written_is_read(zarr_format: Literal[2, 3], tmp_path: Path) -> None:
    write_foreign(tmp_path / "g", {"who": ["me"]}, ARRAYS, zarr_format=zarr_format)
    group = open_foreign(tmp_path / "g")
    assert group is not None
    assert group.attributes == {"who": ["me"]}
    assert group.arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert group.shape(name) == values.shape
        assert group.read(name).dtype == values.dtype
        np.testing.assert_array_equal(group.read(name), values)
        assert group.is_stored(name)
    theirs = zarr.open_group(tmp_path / "g", mode="r")
    np.testing.assert_array_equal(np.asarray(theirs["a/b/values"]), ARRAYS["a/b/values"])


def test_what_is_not_there_and_what_is_broken(tmp_path: Path) -> None:
    assert open_foreign(tmp_path) is None
    write_foreign(tmp_path / "g", {}, {"a": np.arange(10)})
    (tmp_path / "g" / "a" / "0").write_bytes(b"junk")
    group = open_foreign(tmp_path / "g")
    assert group is not None
    with pytest.raises(StoreError) as caught:
        group.read("a")
    assert caught.value.array == "a"
    (tmp_path / "g" / ".zattrs").write_bytes(b"{")
    with pytest.raises(StoreError, match="cannot be read"):
        open_foreign(tmp_path / "g")


@pytest.mark.parametrize("stated", [2**30, 17])
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_a_blosc_chunk_that_states_another_size_is_refused(
    zarr_format: Literal[2, 3], stated: int, tmp_path: Path
) -> None:
    blosc = numcodecs.Blosc() if zarr_format == 2 else BloscCodec()
    group = zarr.create_group(tmp_path / "g", zarr_format=zarr_format)
    group.create_array("a/b", shape=(100,), chunks=(50,), dtype="i8", compressors=[blosc])[:] = np.arange(100)
    found = open_foreign(tmp_path / "g")
    assert found is not None
    np.testing.assert_array_equal(found.read("a/b"), np.arange(100))
    chunk = tmp_path / "g" / "a" / "b" / ("1" if zarr_format == 2 else "c/1")
    data = bytearray(chunk.read_bytes())
    data[12:16] = stated.to_bytes(4, "little")
    chunk.write_bytes(data)
    with pytest.raises(StoreError, match=f"header states {stated}"):
        found.read("a/b")


def test_chunks_that_are_gone_are_noticed(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "g", zarr_format=2)
    group.create_array("a", shape=(100,), chunks=(10,), dtype="i8")[:30] = np.arange(1, 31)
    found = open_foreign(tmp_path / "g")
    assert found is not None
    assert not found.is_stored("a")
