"""What is picked while cells are decompressed is what lies in them, and nothing where one is not sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding import payload_parts
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
from zarr_vectors.encoding.fragments import decode_fragments, encode_fragments, encode_ranges, pick_ranges
from zarr_vectors.encoding.pick import ItemRuns, pick_items
from zarr_vectors.typing import ByteArray

CHECKED = ByteCodec(zstd=(0, True))


def picked(payloads: list[bytes], runs: ItemRuns, *, order: Any = None, spoil: Any = None) -> ByteArray | None:
    cells = np.arange(len(payloads)) if order is None else np.asarray(order)
    blobs = Blobs.from_list(payloads)
    frames = [bytearray(frame) for frame in CHECKED.encode(vlen_frame(blobs)).take(cells).views()]
    if spoil is not None:
        spoil(frames)
    return pick_items(cells, [memoryview(frame) for frame in frames], blobs.sizes, runs)


def runs_of(runs: list[tuple[int, int, int]], width: int) -> ItemRuns:
    cells, starts, counts = np.array(runs, dtype=np.int64).reshape(-1, 3).T
    return ItemRuns(cells, starts, counts, width)


@given(st.data(), st.sampled_from([1, 4, 12]), st.booleans(), st.sampled_from([64, 1 << 20]))
def test_runs_of_items_are_those_bytes_of_their_cells(data: st.DataObject, width: int, rows: bool, part: int) -> None:
    sizes = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=6))
    random = np.random.default_rng(len(sizes))
    extra = 0 if rows else 3
    payloads = [random.bytes(size * width + extra) for size in sizes]
    runs = []
    for _ in range(data.draw(st.integers(0, 8))):
        cell = data.draw(st.integers(0, len(sizes) - 1))
        first = data.draw(st.integers(0, sizes[cell]))
        at = first * width + data.draw(st.integers(0, extra))
        runs.append((cell, at, data.draw(st.integers(0, sizes[cell] - first))))
    order = data.draw(st.permutations(range(len(sizes))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload_parts, "_PART_BYTES", part)
        found = picked(payloads, runs_of(runs, width), order=order)
    assert found is not None
    assert found.tobytes() == b"".join(payloads[cell][at : at + count * width] for cell, at, count in runs)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frames: frames[1].__setitem__(-1, frames[1][-1] ^ 1),
        lambda frames: frames[1].__delitem__(slice(-3, None)),
        lambda frames: frames[1].clear(),
        lambda frames: frames.__setitem__(1, bytearray(CHECKED.encode(Blobs.from_list([bytes(48)]))[0])),
        lambda frames: frames.__setitem__(1, bytearray(CHECKED.encode(vlen_frame(Blobs.from_list([b"x"])))[0])),
    ],
    ids=["flipped", "cut", "empty", "not a chunk of one item", "of another size"],
)
def test_nothing_is_picked_where_a_cell_is_not_sound(spoil: Any) -> None:
    payloads, runs = [b"a" * 40, b"b" * 40, b"c" * 40], runs_of([(0, 0, 10)], 4)
    assert picked(payloads, runs) is not None
    assert picked(payloads, runs, spoil=spoil) is None


def ranges(cells: list[bytes], cell: list[int], fragment: list[int], rows: list[int]) -> Any:
    blobs = Blobs.from_list(cells)

    def items(runs: ItemRuns) -> ByteArray | None:
        return picked(cells, runs)

    return pick_ranges(items, blobs.sizes, np.array(cell), np.array(fragment), np.array(rows))


@given(st.data())
def test_ranges_are_picked_as_they_are_decoded(data: st.DataObject) -> None:
    per_cell = data.draw(st.lists(st.integers(1, 140), min_size=1, max_size=4))
    total = sum(per_cell)
    counts = np.arange(total) % 5
    starts = np.arange(total) % 7
    cells = encode_ranges(np.array(per_cell), starts, counts).to_list()
    table, errors = decode_fragments(Blobs.from_list(cells))
    assert not errors
    wanted = [(cell, data.draw(st.integers(0, n - 1))) for cell, n in enumerate(per_cell) for _ in range(2)]
    cell, fragment = zip(*wanted, strict=True)
    found = ranges(cells, list(cell), list(fragment), [11] * len(per_cell))
    assert found is not None
    place = np.cumsum([0, *per_cell])[list(cell)] + np.array(fragment)
    assert found[0].tolist() == table.starts[place].tolist()
    assert found[1].tolist() == table.counts[place].tolist()


GOOD = encode_fragments([(0, 4), (4, 6)])


@pytest.mark.parametrize(
    ("blob", "fragment", "rows"),
    [
        (GOOD, 2, 10),
        (GOOD, -1, 10),
        (GOOD, 1, 9),
        (encode_fragments([(0, 4), np.array([2, 0])]), 0, 10),
        (b"\0" + GOOD[1:], 0, 10),
        (GOOD[:4] + b"\2" + GOOD[5:], 0, 10),
        (GOOD[:12] + b"\1" + GOOD[13:], 0, 10),
        (GOOD + b"\0\0\0\0", 0, 10),
        (GOOD[:-4], 0, 10),
        (encode_ranges(np.array([2]), np.array([-1, 0]), np.array([1, 1])).to_list()[0], 0, 10),
        (GOOD[:24] + np.array([2**63 - 1, 1], "<i8").tobytes() + GOOD[40:], 0, 10),
        (GOOD[:24] + np.array([1, -1], "<i8").tobytes() + GOOD[40:], 0, 10),
        (b"", 0, 10),
    ],
    ids=[
        "beyond the fragments",
        "before the fragments",
        "beyond the rows",
        "a list of rows",
        "other magic",
        "other version",
        "fewer ranges than fragments",
        "longer",
        "shorter",
        "start of 32 bits below 0",
        "overflowing",
        "count below 0",
        "nothing",
    ],
)
def test_ranges_that_are_not_plain_are_left_to_the_careful_way(blob: bytes, fragment: int, rows: int) -> None:
    assert ranges([GOOD], [0], [1], [10]) is not None
    assert ranges([GOOD, blob], [0, 1], [1, fragment], [10, rows]) is None


def test_one_fragment_does_not_stand_for_any_number_of_rows() -> None:
    whole = [encode_fragments([(0, 2**20)])]
    assert ranges(whole, [0] * 64, [0] * 64, [2**20]) is not None
    assert ranges(whole, [0] * 66, [0] * 66, [2**20]) is None
