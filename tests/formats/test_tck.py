"""TCK files: byte by byte there and back, nibabel as the judge, and files that are broken."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nibabel.streamlines import Tractogram, tck
from nibabel.streamlines import load as nib_load

from tests.formats.streamline_tools import DATA, assert_same_lines, joined, read, write
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, ReadOptions
from zarr_vectors.formats.tck import TCK
from zarr_vectors.formats.tck_header import DATATYPES, new_header
from zarr_vectors.formats.trk import TRK
from zarr_vectors.geometry import Points, Polylines
from zarr_vectors.typing import AnyArray

ONE = [[[1.0, 2.0, 3.0]]]
KEPT_EXACTLY = ["standard.tck", "simple_big_endian.tck"]


def encode(
    lines: list[Any], datatype: str = "Float32LE", extra: str = "", gap: int = 0, count: int | None = None
) -> bytes:
    """A file, written line by line."""
    dtype = DATATYPES[datatype]
    number = len(lines) if count is None else count
    start = f"mrtrix tracks\ndatatype: {datatype}\n{extra}count: {number}\nfile: . "
    offset = len(start.encode()) + len("\nEND\n") + 3 + gap
    parts = [f"{start}{offset:03d}\nEND\n".encode().ljust(offset, b"\0")]
    for line in lines:
        parts += [np.asarray(line, dtype).tobytes(), np.full(3, np.nan, dtype).tobytes()]
    return b"".join([*parts, np.full(3, np.inf, dtype).tobytes()])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    width = DATATYPES[datatype].itemsize * 8
    numbers = st.floats(width=64 if width == 64 else 32, allow_nan=False, allow_infinity=False)
    lines = draw(st.lists(hnp.arrays(f"f{width // 8}", st.tuples(st.integers(0, 5), st.just(3)), elements=numbers)))
    extra = draw(st.sampled_from(["", "roi: seed Ω.mif\ncommand_history: tckgen\n  -select 5\n", "a:b:c\r\n"]))
    return encode(lines, datatype, extra, draw(st.sampled_from([0, 1, 37])))


@given(files(), st.integers(1, 12))
def test_every_file_comes_back_byte_by_byte(tmp_path_factory: Any, content: bytes, batch_rows: int) -> None:
    folder = tmp_path_factory.mktemp("tck")
    file, again = folder / "a.tck", folder / "b.tck"
    file.write_bytes(content)
    source, batches = read(TCK, file, batch_rows=batch_rows)
    whole = joined(batches)
    assert_same_lines(whole, joined(read(TCK, file)[1]))
    assert write(TCK, again, batches, source.headers) == whole.vertex_count
    assert again.read_bytes() == content


@pytest.mark.parametrize("batch_rows", [2, 1_000_000])
@pytest.mark.parametrize("name", [*KEPT_EXACTLY, "matlab_nan.tck"])
def test_a_real_file_reads_as_in_nibabel(name: str, batch_rows: int, tmp_path: Path) -> None:
    source, batches = read(TCK, DATA / name, batch_rows=batch_rows)
    ours, theirs = joined(batches), nib_load(DATA / name)
    assert ours.positions.dtype == np.float32
    assert np.array_equal(ours.positions, theirs.streamlines.get_data())
    assert ours.lengths.tolist() == [len(line) for line in theirs.streamlines]
    write(TCK, tmp_path / "again.tck", batches, source.headers)
    if name in KEPT_EXACTLY:
        assert (tmp_path / "again.tck").read_bytes() == (DATA / name).read_bytes()


def test_a_wrong_count_is_put_right_and_all_else_stays(tmp_path: Path) -> None:
    file = DATA / "matlab_nan.tck"
    source, batches = read(TCK, file)
    write(TCK, tmp_path / "again.tck", batches, source.headers)
    given = file.read_bytes()
    assert b"count: 615000\n" in given
    assert (tmp_path / "again.tck").read_bytes() == given.replace(b"count: 615000\n", b"count: 000001\n")


@pytest.mark.parametrize("gap", [0, 1, 2, 9])
@pytest.mark.parametrize("number", [10, 12_345])
def test_a_count_that_needs_more_digits_moves_the_data(number: int, gap: int, tmp_path: Path) -> None:
    file = tmp_path / "a.tck"
    file.write_bytes(encode([ONE[0]] * 9, gap=gap))
    source, (lines,) = read(TCK, file)
    many = Polylines(np.tile(lines.line(0), (number, 1)), np.arange(number + 1), axes=lines.axes)
    write(TCK, tmp_path / "b.tck", [many], source.headers)
    theirs = nib_load(tmp_path / "b.tck")
    assert theirs.header["count"] == str(number)
    assert len(theirs.streamlines) == number
    assert np.array_equal(theirs.streamlines.get_data(), many.positions)
    assert joined(read(TCK, tmp_path / "b.tck")[1]).line_count == number


NUMBERS = st.floats(-(2.0**99), 2.0**99, width=32)
LINES = st.lists(hnp.arrays("f4", st.tuples(st.integers(1, 5), st.just(3)), elements=NUMBERS), min_size=1)


@given(LINES)
def test_nibabel_reads_what_is_written_and_the_other_way_round(tmp_path_factory: Any, parts: list[AnyArray]) -> None:
    folder = tmp_path_factory.mktemp("tck")
    lines = Polylines(parts)
    assert write(TCK, folder / "a.tck", [lines]) == lines.vertex_count
    theirs = nib_load(folder / "a.tck")
    assert [line.tolist() for line in theirs.streamlines] == [part.tolist() for part in parts]
    tck.TckFile(Tractogram(parts, affine_to_rasmm=np.eye(4))).save(folder / "b.tck")
    assert (folder / "b.tck").read_bytes() == (folder / "a.tck").read_bytes()
    assert [line.tolist() for line in joined(read(TCK, folder / "b.tck")[1]).lines()] == [p.tolist() for p in parts]


def test_streamlines_without_points_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.tck"
    file.write_bytes(encode([np.empty((0, 3)), np.ones((2, 3)), np.empty((0, 3)), np.empty((0, 3))]))
    for batch_rows in (1, 2, 100):
        assert joined(read(TCK, file, batch_rows=batch_rows)[1]).lengths.tolist() == [0, 2, 0, 0]


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
def test_an_empty_file_gives_one_empty_batch(datatype: str, tmp_path: Path) -> None:
    file = tmp_path / "a.tck"
    file.write_bytes(encode([], datatype))
    source, (lines,) = read(TCK, file)
    assert (lines.line_count, lines.positions.dtype) == (0, DATATYPES[datatype].newbyteorder("="))
    write(TCK, tmp_path / "b.tck", [lines], source.headers)
    assert (tmp_path / "b.tck").read_bytes() == file.read_bytes()


def test_datatype_and_place_may_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "a.tck"
    data = np.array([*ONE[0], [np.nan] * 3, [np.inf] * 3], "<f4").tobytes()
    file.write_bytes(b"mrtrix tracks    \ncount: 1\nEND\n" + data)
    source, (lines,) = read(TCK, file)
    assert lines.positions.tolist() == ONE[0]
    write(TCK, tmp_path / "b.tck", [lines] * 12, source.headers)
    assert joined([*read(TCK, tmp_path / "b.tck")[1]]).line_count == 12


def test_text_that_is_not_utf8_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.tck"
    file.write_bytes(encode([ONE[0]], extra="roi: XX\n").replace(b"XX", b"\xe4\x85"))
    source, batches = read(TCK, file)
    write(TCK, tmp_path / "b.tck", batches, source.headers)
    assert (tmp_path / "b.tck").read_bytes() == file.read_bytes()


def test_float64_is_rounded_where_no_header_is_kept(tmp_path: Path) -> None:
    source, batches = read(TRK, DATA / "standard.LPS.trk")
    TCK.export(tmp_path / "a.tck", iter(batches), ExportContext(axes=source.axes or (), headers=source.headers))
    assert np.array_equal(
        nib_load(tmp_path / "a.tck").streamlines.get_data(), nib_load(DATA / "standard.LPS.trk").streamlines.get_data()
    )


def test_truncation_is_found_wherever_it_is(tmp_path: Path) -> None:
    content = encode([np.ones((2, 3)), np.ones((1, 3))])
    file = tmp_path / "cut.tck"
    for size in range(len(content)):
        file.write_bytes(content[:size])
        with pytest.raises(IngestError) as caught:
            read(TCK, file)
        assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (b"mrtrix tracks", b"mrtrix image ", "mrtrix tracks"),
        (b"Float32LE", b"Float16LE", "Float16LE"),
        (b"file: . ", b"file: a ", "another file"),
        (b"file: . 0", b"file: . 9", "truncated"),
        (b"file: . 0", b"file: . -", "where its data begin"),
        (b"file: . 05", b"file: . 00", "where its data begin"),
        (b"END", b"AND", "'END'"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(old: bytes, new: bytes, word: str, tmp_path: Path) -> None:
    content = encode([ONE[0]], count=1)
    assert old in content
    (tmp_path / "a.tck").write_bytes(content.replace(old, new, 1))
    with pytest.raises(IngestError, match=word):
        read(TCK, tmp_path / "a.tck")


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([[1, np.nan, 2]], r"at byte 59"),
        ([[1, 2, 3], [np.nan, 1, 2]], r"at byte 71"),
        ([[1, np.inf, 2]], r"at byte 59"),
        ([[np.inf] * 3], r"at byte 59"),
        ([[np.nan, np.inf, np.nan]], r"at byte 59"),
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_points_that_are_not_finite_are_named(rows: Any, word: str, batch_rows: int, tmp_path: Path) -> None:
    (tmp_path / "a.tck").write_bytes(encode([rows]))
    with pytest.raises(IngestError, match=word):
        read(TCK, tmp_path / "a.tck", batch_rows=batch_rows)


def test_a_streamline_without_its_end_is_found(tmp_path: Path) -> None:
    content = encode([ONE[0], ONE[0]])
    (tmp_path / "a.tck").write_bytes(content[:-24] + content[-12:])
    with pytest.raises(IngestError, match="1 points without one after streamline 0"):
        read(TCK, tmp_path / "a.tck")


@given(st.binary(max_size=60), st.integers(0, 110))
def test_garbage_raises_nothing_else(tmp_path_factory: Any, junk: bytes, at: int) -> None:
    file = tmp_path_factory.mktemp("tck") / "a.tck"
    content = bytearray(encode([ONE[0], ONE[0]]))
    content[at : at + len(junk)] = junk
    file.write_bytes(content)
    with suppress(IngestError):
        read(TCK, file)


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (Polylines(ONE, attributes={"fa": [1.0]}), "fa"),
        (Polylines(ONE, object_attributes={"length": [1.0]}), "length"),
        (Polylines(ONE, groups={0: [0]}), "groups"),
        (Polylines([[[1.0, np.nan, 2.0]]]), "finite"),
        (Polylines([[[1.0, 1e300, 2.0]]]), "finite"),
        (Points([[0.0, 0.0, 0.0]]), "point_cloud"),
    ],
)
def test_what_tck_cannot_hold_is_refused(lines: Any, word: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=word):
        write(TCK, tmp_path / "a.tck", [lines])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [{"text": 7}, {"text": "mrtrix tracks\nEND"[:13]}, {"offset": 3}, {"offset": 1 << 40}, {"offset": None},
     {"encoding": "klingon"}, {"separator": "zz"}, {"text": "mrtrix tracks\ndatatype: Int8\nEND\n"}],
)  # fmt: skip
def test_a_kept_header_that_was_changed_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="headers/tck"):
        write(TCK, tmp_path / "a.tck", [Polylines(ONE)], {"tck": new_header(1).to_json() | change})
    assert not list(tmp_path.iterdir())


def test_two_axes_and_their_units(tmp_path: Path) -> None:
    axes = (Axis("y", unit="centimeter"), Axis("x"))
    lines = Polylines([np.array([[1, 2]], np.int16)])
    TCK.export(tmp_path / "a.tck", iter([lines]), ExportContext(axes=axes))
    assert read(TCK, tmp_path / "a.tck")[1][0].positions.tolist() == [[2, 10, 0]]


def test_memory_is_that_of_a_batch(tmp_path: Path) -> None:
    file = tmp_path / "a.tck"
    file.write_bytes(encode([np.ones((100, 3))] * 20_000))
    tracemalloc.start()
    try:
        source = TCK.open(file, ReadOptions(batch_rows=10_000))
        assert sum(batch.vertex_count for batch in source.batches) == 2_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < file.stat().st_size / 8
