"""TRK files: byte by byte there and back, nibabel as the judge of what they mean, and files that are broken."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nibabel.streamlines import Field, Tractogram, trk
from nibabel.streamlines import load as nib_load

from tests.formats.streamline_tools import (
    DATA,
    fetched,
    joined,
    read,
    write,
)
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError, InputError
from zarr_vectors.formats.base import ExportContext, ReadOptions
from zarr_vectors.formats.streamlines import Reference
from zarr_vectors.formats.trk import TRK
from zarr_vectors.formats.trk_header import DTYPE, affine_of, document_of, header_from, new_header
from zarr_vectors.geometry import Categorical, Points, Polylines
from zarr_vectors.typing import AnyArray

REAL = ["standard.trk", "standard.LPS.trk", "complex.trk", "complex_big_endian.trk"]
ORDERS = ["RAS", "LPS", "LAS", "RPI", "PSR", "SAL", "ARS", ""]


def encode(header: AnyArray, lines: list[tuple[AnyArray, AnyArray]]) -> bytes:
    """A file, written value by value: rows of x, y, z and scalars, then properties."""
    order = header.dtype["n_count"].str[0]
    parts = [header.tobytes()]
    for rows, properties in lines:
        parts.append(struct.pack(f"{order}i", len(rows)))
        parts += [np.asarray(rows, f"{order}f4").tobytes(), np.asarray(properties, f"{order}f4").tobytes()]
    return b"".join(parts)


def header_of(**fields: Any) -> AnyArray:
    order = fields.pop("order", "<")
    header: AnyArray = new_header(Reference(np.eye(4), (30, 40, 50))).reshape(1).astype(DTYPE.newbyteorder(order))[0]
    for name, value in fields.items():
        header[name] = value
    return header


def simple_file(path: Path, **fields: Any) -> Path:
    """Three streamlines of 2, 0 and 1 points, one scalar and one property."""
    fields = {"n_scalars": 1, "n_properties": 1, "n_count": 3} | fields
    lines = [(np.arange(8).reshape(2, 4), [0.5]), (np.empty((0, 4)), [1.5]), (np.ones((1, 4)), [2.5])]
    path.write_bytes(encode(header_of(**fields), [(rows, np.array(tail)) for rows, tail in lines]))
    return path


@st.composite
def affines(draw: st.DrawFn) -> AnyArray:
    """A rotation, zooms and a translation."""
    angles = draw(st.lists(st.sampled_from([0.0, 0.1, 0.7, 2.0, 3.1]), min_size=3, max_size=3))
    linear = np.diag(draw(st.lists(st.sampled_from([1.0, 1.25, 2.3, -1.5, 0.7]), min_size=3, max_size=3)))
    for axis, angle in enumerate(angles):
        one, other = [at for at in range(3) if at != axis]
        turn = np.eye(3)
        turn[[one, one, other, other], [one, other, one, other]] = [
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        ]  # fmt: skip
        linear = turn @ linear
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = draw(st.lists(st.floats(-200, 200, width=32), min_size=3, max_size=3))
    return affine


@st.composite
def headers(draw: st.DrawFn) -> AnyArray:
    return header_of(
        order=draw(st.sampled_from("<>")),
        voxel_size=draw(st.lists(st.sampled_from([0.7, 1.0, 1.25, 3.0]), min_size=3, max_size=3)),
        vox_to_ras=draw(affines()),
        voxel_order=draw(st.sampled_from(ORDERS)),
        dim=draw(st.lists(st.integers(1, 300), min_size=3, max_size=3)),
        version=draw(st.sampled_from([1, 2])),
        reserved=draw(st.binary(max_size=9)),
        image_orientation_patient=draw(hnp.arrays("f4", 6)),
    )


COORDINATES = st.just(0.0) | st.floats(0.125, 300, width=32)
FLOATS = st.floats(width=32)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    header = draw(headers())
    scalars, properties = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    name = st.sampled_from([b"fa", b"rgb\x003", b"md", b"fa\x002", b"name of 20 letters.."])
    names = draw(st.lists(name, max_size=4))
    header["n_scalars"], header["n_properties"] = scalars, properties
    header["scalar_name"] = names + [b""] * (10 - len(names))
    lines = []
    for rows in draw(st.lists(st.integers(0, 5), max_size=6)):
        points = draw(hnp.arrays("f4", (rows, 3), elements=COORDINATES))
        values = draw(hnp.arrays("f4", (rows, scalars), elements=FLOATS))
        lines.append((np.hstack([points, values]), draw(hnp.arrays("f4", properties, elements=FLOATS))))
    header["n_count"] = draw(st.sampled_from([0, len(lines)]))
    return encode(header, lines)


@given(files(), st.integers(1, 12))
def test_every_file_comes_back_byte_by_byte(tmp_path_factory: Any, content: bytes, batch_rows: int) -> None:
    folder = tmp_path_factory.mktemp("trk")
    file, again = folder / "a.trk", folder / "b.trk"
    file.write_bytes(content)
    source, batches = read(TRK, file, batch_rows=batch_rows)
    joined(batches)
    assert all(batch.vertex_count <= batch_rows or batch.line_count == 1 for batch in batches)
    assert write(TRK, again, batches, source.headers) == sum(batch.vertex_count for batch in batches)
    assert again.read_bytes() == content


@given(headers())
def test_the_affine_is_that_of_nibabel(header: AnyArray) -> None:
    fields = dict(zip(DTYPE.names or (), header.tolist(), strict=True))
    judged = {
        Field.VOXEL_SIZES: header["voxel_size"],
        Field.VOXEL_ORDER: fields["voxel_order"] or b"LPS",
        Field.VOXEL_TO_RASMM: np.eye(4, dtype="f4") if header["version"] == 1 else header["vox_to_ras"].astype("f4"),
        Field.DIMENSIONS: header["dim"],
    }
    expected = trk.get_affine_trackvis_to_rasmm(judged)
    np.testing.assert_allclose(affine_of(header, "it", IngestError), expected, rtol=3e-7, atol=1e-5)


@given(headers())
def test_a_header_is_json(header: AnyArray) -> None:
    document = json.loads(json.dumps(document_of(header), allow_nan=False))
    assert header_from(document).tobytes() == header.tobytes()


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("batch_rows", [7, 1_000_000])
def test_a_real_file_reads_as_in_nibabel_and_comes_back(name: str, batch_rows: int, tmp_path: Path) -> None:
    _compare(DATA / name, batch_rows, tmp_path)


def test_a_fetched_file_reads_as_in_nibabel_and_comes_back(tmp_path: Path) -> None:
    _compare(fetched("tracks300.trk"), 1000, tmp_path)


def test_fetched_bundles_read_as_in_nibabel_and_come_back(tmp_path: Path) -> None:
    with zipfile.ZipFile(fetched("minimal_bundles.zip")) as bundles:
        names = [name for name in bundles.namelist() if name.endswith(".trk")]
        bundles.extractall(tmp_path)
    assert len(names) == 15
    for name in names:
        _compare(tmp_path / name, 500, tmp_path)


def _compare(file: Path, batch_rows: int, folder: Path) -> None:
    source, batches = read(TRK, file, batch_rows=batch_rows)
    ours, theirs = joined(batches), nib_load(file)
    assert theirs.streamlines.get_data().dtype == np.float32
    assert np.array_equal(ours.positions.astype(np.float32), theirs.streamlines.get_data())
    assert ours.lengths.tolist() == [len(line) for line in theirs.streamlines]
    tables = theirs.tractogram.data_per_point, theirs.tractogram.data_per_streamline
    for table, columns in zip(tables, (ours.attributes, ours.object_attributes), strict=True):
        assert set(table) == set(columns)
        for name, column in columns.items():
            values = table[name].get_data() if hasattr(table[name], "get_data") else np.asarray(table[name])
            assert np.array_equal(values.reshape(column.shape), column)
            assert column.dtype == np.float32
    assert write(TRK, folder / "again.trk", batches, source.headers) == ours.vertex_count
    assert (folder / "again.trk").read_bytes() == file.read_bytes()


# nibabel cannot hold scalars where there is no streamline, or one without points.
PARTS = st.lists(
    hnp.arrays("f4", st.tuples(st.integers(1, 4), st.just(3)), elements=st.floats(-90, 90, width=32)), min_size=1
)


@given(affines(), PARTS)
def test_nibabel_reads_what_is_written(tmp_path_factory: Any, affine: AnyArray, parts: list[AnyArray]) -> None:
    file = tmp_path_factory.mktemp("trk") / "a.trk"
    rows = sum(map(len, parts))
    lines = Polylines(
        np.concatenate(parts),
        np.cumsum([0, *map(len, parts)]),
        attributes={"fa": np.arange(rows) / 4, "rgb": np.arange(3 * rows, dtype=np.uint8).reshape(rows, 3)},
        object_attributes={"length": np.arange(len(parts))},
    )
    header = {"header": {"VOXEL_TO_RASMM": affine.tolist(), "DIMENSIONS": [7, 8, 9]}}
    write(TRK, file, [lines], {"trx": header})
    theirs = nib_load(file)
    assert theirs.header[Field.NB_STREAMLINES] == len(parts)
    assert theirs.header[Field.DIMENSIONS].tolist() == [7, 8, 9]
    assert np.array_equal(theirs.header[Field.VOXEL_TO_RASMM], affine.astype("f4"))
    assert [len(line) for line in theirs.streamlines] == [len(part) for part in parts]
    np.testing.assert_allclose(theirs.streamlines.get_data(), lines.positions, rtol=0, atol=2e-4)
    assert (
        theirs.tractogram.data_per_point["fa"].get_data()[:, 0].tolist() == np.asarray(lines.attributes["fa"]).tolist()
    )
    assert theirs.tractogram.data_per_point["rgb"].get_data().tolist() == np.asarray(lines.attributes["rgb"]).tolist()
    assert theirs.tractogram.data_per_streamline["length"][:, 0].tolist() == list(range(len(parts)))


@pytest.mark.parametrize("order", ["LPS", "RAS"])
def test_what_nibabel_writes_is_read(order: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    streamlines = [rng.uniform(-60, 60, (n, 3)).astype("f4") for n in (3, 1, 20)]
    affine = np.array([[-1.2, 0.1, 0, 80], [0.1, 1.2, 0.2, -90], [0, -0.2, 1.3, -60], [0, 0, 0, 1]])
    given = Tractogram(
        streamlines,
        data_per_point={"fa": [rng.random((len(s), 1)) for s in streamlines]},
        data_per_streamline={"ends": rng.random((3, 6))},
        affine_to_rasmm=np.eye(4),
    )
    fields = {Field.VOXEL_TO_RASMM: affine, Field.VOXEL_SIZES: (1.2, 1.2, 1.3), Field.DIMENSIONS: (90, 91, 92)}
    trk.TrkFile(given, header=fields | {Field.VOXEL_ORDER: order.encode()}).save(tmp_path / "a.trk")
    source, batches = read(TRK, tmp_path / "a.trk")
    ours, theirs = joined(batches), nib_load(tmp_path / "a.trk")
    np.testing.assert_allclose(ours.positions, np.concatenate(streamlines), rtol=0, atol=3e-5)
    np.testing.assert_allclose(ours.positions, theirs.streamlines.get_data(), rtol=0, atol=3e-5)
    assert ours.attributes["fa"].shape == (24,)
    assert ours.object_attributes["ends"].shape == (3, 6)
    write(TRK, tmp_path / "b.trk", batches, source.headers)
    assert (tmp_path / "b.trk").read_bytes() == (tmp_path / "a.trk").read_bytes()


def test_names_and_what_is_left_over(tmp_path: Path) -> None:
    header = header_of(n_scalars=5, n_properties=2, n_count=1)
    header["scalar_name"][:2] = [b"fa", b"fa\x002"]
    file = tmp_path / "a.trk"
    file.write_bytes(encode(header, [(np.arange(8.0).reshape(1, 8), np.array([8.0, 9.0]))]))
    _, (lines,) = read(TRK, file)
    assert {name: np.asarray(column).tolist() for name, column in lines.attributes.items()} == {
        "fa": [3], "fa_1": [[4, 5]], "scalars": [[6, 7]]
    }  # fmt: skip
    assert np.asarray(lines.object_attributes["properties"]).tolist() == [[8, 9]]
    _, (some,) = read(TRK, file, attributes=("fa_1", "properties"))
    assert (list(some.attributes), list(some.object_attributes)) == (["fa_1"], ["properties"])


def test_streamlines_without_points_are_kept(tmp_path: Path) -> None:
    _, (lines,) = read(TRK, simple_file(tmp_path / "a.trk"))
    assert lines.lengths.tolist() == [2, 0, 1]
    assert lines.line_ids.tolist() == [0, 1, 2]
    assert np.asarray(lines.object_attributes["properties"]).tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_a_count_of_zero_means_all_that_there_are(batch_rows: int, tmp_path: Path) -> None:
    source, batches = read(TRK, simple_file(tmp_path / "a.trk", n_count=0), batch_rows=batch_rows)
    assert joined(batches).lengths.tolist() == [2, 0, 1]
    assert source.rows is None


def test_an_empty_file_gives_one_empty_batch(tmp_path: Path) -> None:
    file = tmp_path / "a.trk"
    file.write_bytes(encode(header_of(n_scalars=2, n_properties=1), []))
    source, (lines,) = read(TRK, file)
    assert (lines.line_count, lines.vertex_count, source.rows) == (0, 0, 0)
    assert lines.attributes["scalars"].shape == (0, 2)
    assert lines.object_attributes["properties"].shape == (0,)
    write(TRK, tmp_path / "b.trk", [lines], source.headers)
    assert (tmp_path / "b.trk").read_bytes() == file.read_bytes()


def test_a_selection_has_its_own_count_and_names(tmp_path: Path) -> None:
    source, (lines,) = read(TRK, DATA / "complex.trk")
    line = lines.line(1)
    some = Polylines([line], ids=[1], attributes={"w": np.arange(len(line))}, axes=lines.axes)
    write(TRK, tmp_path / "a.trk", [some], source.headers)
    theirs = nib_load(tmp_path / "a.trk")
    assert (len(theirs.streamlines), list(theirs.tractogram.data_per_point)) == (1, ["w"])
    assert not theirs.tractogram.data_per_streamline


def test_axes_are_found_by_name_and_brought_to_millimetres(tmp_path: Path) -> None:
    axes = (Axis("z", unit="micrometer"), Axis("y", unit="micrometer"), Axis("x", unit="meter"))
    lines = Polylines([[[3000.0, 2000.0, 0.001]]], axes=axes)
    TRK.export(tmp_path / "a.trk", iter([lines]), ExportContext(axes=axes, bounds=([0, 0, 0], [3000, 2000, 0.001])))
    _, (back,) = read(TRK, tmp_path / "a.trk")
    np.testing.assert_allclose(back.positions, [[1, 2, 3]], rtol=1e-6)
    assert nib_load(tmp_path / "a.trk").header[Field.DIMENSIONS].tolist() == [2, 3, 4]


def test_object_attributes_follow_their_ids(tmp_path: Path) -> None:
    lines = Polylines(
        [[[0.0, 0, 0]], [[1.0, 1, 1]]], ids=[9, 4], objects=[4, 7, 9], object_attributes={"w": [0.25, 0.5, 0.75]}
    )
    write(TRK, tmp_path / "a.trk", [lines])
    _, (back,) = read(TRK, tmp_path / "a.trk")
    assert np.asarray(back.object_attributes["w"]).tolist() == [0.75, 0.25]


ONE = [[[0.0, 0.0, 0.0]]]


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (Polylines(ONE, attributes={"n": ["a"]}), "'n'"),
        (Polylines(ONE, attributes={"t": np.array(["2020"], "M8[s]")}), "'t'"),
        (Polylines(ONE, attributes={"i": np.array([2**24 + 1])}), "16777217"),
        (Polylines(ONE, attributes={"i": np.array([2**63 + 1], np.uint64)}), "9223372036854775809"),
        (Polylines(ONE, attributes={"i": np.array([2**63 - 1])}), "9223372036854775807"),
        (Polylines(ONE, attributes={"f": np.array([1e300])}), "1e[+]300"),
        (Polylines(ONE, object_attributes={"f": np.array([[1.0, -1e300]])}), "e[+]300"),
        (Polylines([[[1e300, 0, 0]]]), "positions"),
        (Polylines(ONE, attributes={"a name of more than twenty letters": [1.0]}), "more than twenty"),
        (Polylines(ONE, attributes={"only eighteen letr": np.ones((1, 30))}), "only eighteen"),
        (Polylines(ONE, attributes={"Ω": [1.0]}), "Ω"),
        (Polylines(ONE, attributes={f"a{n}": [1.0] for n in range(11)}), "so many scalars"),
        (Polylines(ONE, attributes={"x": np.ones((1, 2, 2))}), "'x'"),
        (Polylines(ONE, groups={0: [0]}), "groups"),
        (Polylines([[[0.0] * 4]]), "three axes"),
        (Polylines(ONE, ids=[5], objects=[4], object_attributes={"w": [1.0]}), "object 5"),
    ],
)
def test_what_trk_cannot_hold_is_refused(lines: Polylines, word: str, tmp_path: Path) -> None:
    axes = tuple(Axis(name) for name in "xyzw"[: lines.ndim])
    with pytest.raises(ExportError, match=word):
        TRK.export(tmp_path / "a.trk", iter([lines]), ExportContext(axes=axes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("axis", [Axis("x", type="time"), Axis("x", unit="parsec")])
def test_axes_that_are_no_lengths_are_refused(axis: Axis, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="'x'"):
        TRK.export(tmp_path / "a.trk", iter([Polylines(ONE)]), ExportContext(axes=(axis, Axis("y"), Axis("z"))))


def test_points_and_unlike_batches_are_refused(tmp_path: Path) -> None:
    context = ExportContext(axes=(Axis("x"), Axis("y"), Axis("z")))
    with pytest.raises(ExportError, match="point_cloud"):
        TRK.export(tmp_path / "a.trk", iter([Points([[0.0, 0, 0]])]), context)
    with pytest.raises(ExportError, match="attribute w"):
        TRK.export(tmp_path / "a.trk", iter([Polylines(ONE), Polylines(ONE, attributes={"w": [1]})]), context)
    assert not list(tmp_path.iterdir())


def test_exact_integers_and_booleans_go_out(tmp_path: Path) -> None:
    values = {
        "i": np.array([-(2**62)]),
        "u": np.array([2**63], np.uint64),
        "b": np.array([True]),
        "s": np.array([-128], "i1"),
    }
    write(TRK, tmp_path / "a.trk", [Polylines(ONE, attributes=values)])
    _, (back,) = read(TRK, tmp_path / "a.trk")
    assert {name: float(np.asarray(column)[0]) for name, column in back.attributes.items()} == {
        "i": -(2.0**62), "u": 2.0**63, "b": 1.0, "s": -128.0
    }  # fmt: skip


@pytest.mark.parametrize("fields", [{"n_count": 3}, {"n_count": 0}, {"n_count": 3, "order": ">"}])
def test_truncation_is_found_wherever_it_is(fields: dict[str, Any], tmp_path: Path) -> None:
    content = simple_file(tmp_path / "whole.trk", **fields).read_bytes()
    ends = [1000 + 4 * words for words in (0, 1 + 8 + 1, 1 + 8 + 1 + 2)]
    file = tmp_path / "cut.trk"
    for size in range(len(content)):
        if fields["n_count"] == 0 and size in ends:
            continue
        file.write_bytes(content[:size])
        with pytest.raises(IngestError) as caught:
            read(TRK, file)
        assert str(file) in str(caught.value)
        if size >= 1000:
            place = next(at for at, end in reversed(list(enumerate(ends))) if size >= end)
            assert f"streamline {place} at byte {ends[place]}" in str(caught.value)


@pytest.mark.parametrize("count", [-1, -(2**31), 3, 10**6, 2**31 - 1])
@pytest.mark.parametrize("n_count", [0, 3])
def test_a_lying_count_of_points_is_found(count: int, n_count: int, tmp_path: Path) -> None:
    content = bytearray(simple_file(tmp_path / "a.trk", n_count=n_count).read_bytes())
    content[1000 + 4 * 12 : 1000 + 4 * 13] = struct.pack("<i", count)
    (tmp_path / "a.trk").write_bytes(content)
    with pytest.raises(IngestError, match=r"streamline 2 at byte 1048"):
        read(TRK, tmp_path / "a.trk")


@pytest.mark.parametrize("count", [1, 2, 4, 10**9, 2**31 - 1])
def test_a_lying_count_of_streamlines_is_found(count: int, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"streamline [0-9]"):
        read(TRK, simple_file(tmp_path / "a.trk", n_count=count))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"id_string": b"TRICK"}, "TRICK"),
        ({"hdr_size": 999}, "hdr_size"),
        ({"version": 9}, "version"),
        ({"n_scalars": -1}, "n_scalars"),
        ({"n_properties": -1}, "n_properties"),
        ({"n_count": -1}, "n_count"),
        ({"voxel_size": [1, 0, 1]}, "voxel sizes"),
        ({"voxel_size": [1, np.nan, 1]}, "voxel sizes"),
        ({"voxel_order": b"RAR"}, "voxel order"),
        ({"voxel_order": b"XYZ"}, "voxel order"),
        ({"voxel_order": b"RASL"}, "voxel order"),
        ({"vox_to_ras": np.ones((4, 4))}, "vox_to_ras"),
        ({"vox_to_ras": np.full((4, 4), np.inf)}, "vox_to_ras"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(fields: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=word):
        read(TRK, simple_file(tmp_path / "a.trk", **fields))


@given(st.binary(max_size=60), st.integers(0, 1060))
@example(bytes(14) + b"\x01", 469)
def test_garbage_raises_nothing_else(tmp_path_factory: Any, junk: bytes, at: int) -> None:
    file = tmp_path_factory.mktemp("trk") / "a.trk"
    content = bytearray(simple_file(file).read_bytes())
    content[at : at + len(junk)] = junk
    file.write_bytes(content)
    with np.errstate(all="ignore"), suppress(IngestError):
        read(TRK, file)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"positions": ("x", "y")}, "positions"), ({"object_ids": "id"}, "'id'"), ({"attributes": ("fa",)}, "fa")],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=word):
        TRK.open(simple_file(tmp_path / "a.trk"), ReadOptions(**options))


@pytest.mark.parametrize(
    "change",
    [{"byte_order": "middle"}, {"dim": [1, 2]}, {"dim": [1, 2, 70000]}, {"dim": None}, {"bytes": "zz"}, {"bytes": 7},
     {"voxel_order": "RASLPI"}, {"voxel_order": 3}, {"vox_to_ras": "identity"}, {"scalar_name": ["Ω"] * 10},
     {"voxel_size": [0, 0, 0]}],
)  # fmt: skip
def test_a_kept_header_that_was_changed_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    document = document_of(header_of()) | change
    with pytest.raises(ExportError, match="headers/trk"):
        write(TRK, tmp_path / "a.trk", [Polylines(ONE)], {"trk": document})
    assert not list(tmp_path.iterdir())
    with pytest.raises(ExportError, match="headers/trk"):
        write(TRK, tmp_path / "a.trk", [Polylines(ONE)], {"trk": []})


def test_a_failed_batch_leaves_no_file(tmp_path: Path) -> None:
    def batches() -> Any:
        yield Polylines(ONE)
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        TRK.export(tmp_path / "a.trk", batches(), ExportContext(axes=(Axis("x"), Axis("y"), Axis("z"))))
    assert not list(tmp_path.iterdir())


def test_memory_is_that_of_a_batch(tmp_path: Path) -> None:
    lines = [(np.ones((100, 3)), np.empty(0))] * 20_000
    file = tmp_path / "a.trk"
    file.write_bytes(encode(header_of(n_count=len(lines)), lines))
    tracemalloc.start()
    try:
        source = TRK.open(file, ReadOptions(batch_rows=10_000))
        assert sum(batch.vertex_count for batch in source.batches) == 2_000_000 == source.rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < file.stat().st_size / 8


def test_categories_are_refused_by_their_name(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="'bundle'"):
        write(TRK, tmp_path / "a.trk", [Polylines(ONE, object_attributes={"bundle": Categorical.from_values(["AF"])})])
