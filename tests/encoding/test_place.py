"""Items come to their places, and to none where a cell is not sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoding.test_pick import CHECKED
from zarr_vectors.encoding import payload_parts
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import vlen_frame
from zarr_vectors.encoding.place import ItemPlaces, place_items
from zarr_vectors.typing import ByteArray


def placed(payloads: list[bytes], places: ItemPlaces, order: Any, spoil: Any = None) -> ByteArray | None:
    blobs = Blobs.from_list(payloads)
    frames = [bytearray(frame) for frame in CHECKED.encode(vlen_frame(blobs)).take(np.asarray(order)).views()]
    if spoil is not None:
        spoil(frames)
    return place_items(np.asarray(order), [memoryview(frame) for frame in frames], blobs.sizes, places)


@given(st.data(), st.sampled_from([1, 4, 12]), st.sampled_from([16, 1 << 20]))
def test_every_item_comes_to_its_place(data: st.DataObject, width: int, part: int) -> None:
    runs = data.draw(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=6))
    counts = np.array([count for cell in runs for count in cell], dtype=np.int64)
    random = np.random.default_rng(len(counts))
    items = random.integers(0, 256, (int(counts.sum()), width), dtype=np.uint8)
    cuts = np.cumsum([sum(cell) for cell in runs])[:-1]
    payloads = [rows.tobytes() for rows in np.split(items, cuts)]
    # Runs change places as wholes.
    to = np.array(data.draw(st.permutations(range(len(counts)))), dtype=np.int64)
    starts = np.zeros(len(counts), dtype=np.int64)
    starts[to] = np.cumsum(counts[to]) - counts[to]
    order = data.draw(st.permutations(range(len(runs))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload_parts, "_PART_BYTES", part)
        per_cell = np.array([len(cell) for cell in runs])
        found = placed(payloads, ItemPlaces(per_cell, starts, counts, width), order)
    assert found is not None
    own = np.split(items, np.cumsum(counts)[:-1]) if len(counts) else []
    assert found.tolist() == [item for run in to for item in own[run].tolist()]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frames: frames[1].__setitem__(-1, frames[1][-1] ^ 1),
        lambda frames: frames[1].__delitem__(slice(-3, None)),
        lambda frames: frames[1].clear(),
        lambda frames: frames.__setitem__(1, bytearray(CHECKED.encode(vlen_frame(Blobs.from_list([b"x"])))[0])),
    ],
    ids=["flipped", "cut", "empty", "of another size"],
)
def test_nothing_is_placed_where_a_cell_is_not_sound(spoil: Any) -> None:
    places = ItemPlaces(np.ones(3, dtype=np.int64), np.array([20, 0, 10]), np.array([10, 10, 10]), 4)
    payloads = [b"a" * 40, b"b" * 40, b"c" * 40]
    found = placed(payloads, places, range(3))
    assert found is not None
    assert found.tobytes() == b"b" * 40 + b"c" * 40 + b"a" * 40
    assert placed(payloads, places, range(3), spoil) is None
