"""Draco bitstreams: order and error of what is encoded, and bytes that make no sense."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from zarr_vectors.encoding.draco import decode_draco, encode_draco
from zarr_vectors.exceptions import DracoError, MissingDependencyError
from zarr_vectors.spatial.lattice import Lattice
from zarr_vectors.typing import AnyArray

ROWS = np.random.default_rng(3).random((200, 3)).astype("f4")


def encoded(rows: AnyArray = ROWS, bits: int = 11) -> bytes:
    return encode_draco(rows, origin=np.zeros(3, "f4"), reach=1.0, bits=bits)


@given(
    rows=arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(0, 1, width=32)),
    bits=st.integers(1, 22),
)
def test_rows_come_back_in_their_order_within_half_a_step(rows: AnyArray, bits: int) -> None:
    cell = decode_draco(encoded(rows, bits), len(rows))
    assert cell.in_order
    assert not len(cell.faces)
    np.testing.assert_allclose(cell.positions, rows, rtol=0, atol=0.5 / (2**bits - 1) + 2e-7)


@given(rows=arrays.arrays(np.float32, (9, 3), elements=st.floats(0, 1, width=32)), bits=st.integers(1, 20))
def test_what_has_been_rounded_stays_where_it_is(rows: AnyArray, bits: int) -> None:
    once = decode_draco(encoded(rows, bits), 9).positions
    np.testing.assert_array_equal(decode_draco(encoded(once, bits), 9).positions, once)


def test_equal_rows_are_kept_apart() -> None:
    rows = np.repeat(ROWS[:2], 50, axis=0)
    assert len(decode_draco(encoded(rows), 100).positions) == 100


@given(cut=st.integers(0, len(encoded()) - 1))
def test_a_truncated_cell_is_an_error(cut: int) -> None:
    with pytest.raises(DracoError, match="cannot be decoded"):
        decode_draco(encoded()[:cut], len(ROWS))


@given(at=st.integers(0, 60), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_error_or_as_many_finite_rows(at: int, bit: int) -> None:
    data = bytearray(encoded())
    data[at] ^= 1 << bit
    try:
        cell = decode_draco(bytes(data), len(ROWS))
    except DracoError:
        return
    assert np.isfinite(cell.positions).all()


@given(data=st.binary(max_size=200))
def test_noise_is_an_error(data: bytes) -> None:
    for cell in (data, b"DRACO\x02\x03\x00\x00" + data):
        with pytest.raises(DracoError, match="cannot be decoded"):
            decode_draco(cell, 7)


def test_another_number_of_rows_is_an_error() -> None:
    with pytest.raises(DracoError, match="200 points for 201 rows"):
        decode_draco(encoded(), 201)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(MissingDependencyError, match=r"zarr-vectors\[draco\]"):
        encoded()


@given(
    chunk=st.tuples(*[st.floats(1e-3, 1e6)] * 3),
    coords=arrays.arrays(np.int64, (5, 3), elements=st.integers(-1000, 1000)),
    bits=st.integers(1, 30),
)
def test_a_lattice_covers_its_chunk(chunk: Any, coords: AnyArray, bits: int) -> None:
    lattice = Lattice.of(bits, chunk, ([-1.0] * 3, [1.0] * 3))
    origins, corners = lattice.origins(coords).astype(np.float64), coords * np.asarray(chunk)
    assert (origins <= corners).all()
    slack = np.abs(corners) * 2.0**-22
    assert (origins + lattice.reach + slack >= corners + max(chunk)).all()
    assert 1 <= lattice.bits <= 30
