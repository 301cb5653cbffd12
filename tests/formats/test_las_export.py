"""What becomes of any cloud in LAS: point formats, scales, extra bytes, and refusals that leave no file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.formats.las_tools import DATA, context_of, read_las, write_las, xyz
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.las import LAS
from zarr_vectors.geometry import Points

XYZ = np.array([[0.0, 1.0, 2.0], [10.5, -3.25, 7.125], [1e3, 2e3, 3e3]])


def cloud_of(**attributes: Any) -> Points:
    return Points(XYZ, attributes=attributes)


@pytest.mark.parametrize(
    ("names", "point_format"),
    [
        ((), 0),
        (("intensity", "other"), 0),
        (("gps_time",), 1),
        (("red", "green", "blue"), 2),
        (("red", "green", "blue", "gps_time"), 3),
        (("scan_angle_rank", "classification", "gps_time"), 1),
        (("classification",), 6),
        (("return_number", "red", "green", "blue"), 7),
        (("scanner_channel",), 6),
        (("nir",), 8),
        (("nir", "x_t"), 10),
        (("wavepacket_index",), 4),
    ],
)
def test_the_smallest_point_format_that_holds_the_standard_dimensions(
    tmp_path: Path, names: tuple[str, ...], point_format: int
) -> None:
    columns: dict[str, Any] = {name: np.array([0, 1, 2], np.uint8) for name in names}
    las = write_las(tmp_path / "out.las", cloud_of(**columns))
    assert las.header.point_format.id == point_format
    assert str(las.header.version) == "1.4"
    assert las.header.global_encoding.wkt == (point_format >= 6)
    for name in names:
        np.testing.assert_array_equal(las[name], [0, 1, 2])


def test_a_kept_point_format_grows_for_new_dimensions(tmp_path: Path) -> None:
    source, cloud = read_las(DATA / "vegetation_cut.las")
    more: dict[str, Any] = {
        "red": np.arange(cloud.vertex_count, dtype=np.uint16),
        "nir": np.ones(cloud.vertex_count, np.uint8),
    }
    cloud = Points(cloud.positions, attributes=dict(cloud.attributes) | more)
    las = write_las(tmp_path / "out.laz", cloud, **context_of(source, cloud))
    assert las.header.point_format.id == 3
    assert list(las.point_format.extra_dimension_names) == ["nir"]
    for name, column in cloud.attributes.items():
        np.testing.assert_array_equal(las[name], np.asarray(column))


def test_an_attribute_left_out_is_zero_or_gone(tmp_path: Path) -> None:
    source, cloud = read_las(DATA / "extra_bytes.laz", attributes=("intensity", "Time", "Flags"))
    las = write_las(tmp_path / "out.las", cloud, **context_of(source, cloud))
    assert list(las.point_format.extra_dimension_names) == ["Time", "Flags"]
    np.testing.assert_array_equal(las["Time"], cloud.attributes["Time"])
    assert not np.asarray(las.red).any()


DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "?", ">i4", ">f8"]


@pytest.mark.parametrize("channels", [None, 1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_other_attributes_become_extra_bytes(tmp_path: Path, dtype: str, channels: int | None) -> None:
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = np.array([limits.min, 1, limits.max], kind)
    else:
        values = np.array([0, 1, 0] if kind.kind == "b" else [np.nan, -0.1, np.inf], kind)
    column = values if channels is None else np.stack([values] * channels, axis=1)
    las = write_las(tmp_path / "out.laz", cloud_of(value=column))
    stored = las["value"]
    assert stored.dtype == {"b": np.dtype("u1"), "f": np.dtype(f"f{max(4, kind.itemsize)}")}.get(
        kind.kind, kind.newbyteorder("<")
    )
    np.testing.assert_array_equal(stored, column[:, 0] if channels == 1 else column)


def test_many_channels_of_bytes(tmp_path: Path) -> None:
    column = np.arange(21, dtype=np.uint8).reshape(3, 7)
    las = write_las(tmp_path / "out.las", cloud_of(descriptor=column))
    np.testing.assert_array_equal(las["descriptor"], column)


def test_extra_bytes_claim_no_extremes(tmp_path: Path) -> None:
    las = write_las(tmp_path / "out.las", cloud_of(value=np.array([3, 1, 2]), raw=np.zeros((3, 5), np.uint8)))
    value, raw = las.header.vlrs.get("ExtraBytesVlr")[0].extra_bytes_structs
    assert not value.min_is_relevant()
    assert not value.max_is_relevant()
    assert (raw.data_type, raw.options) == (0, 5)


def test_object_ids_become_extra_bytes(tmp_path: Path) -> None:
    ids = np.array([-(2**63), 0, 2**63 - 1])
    las = write_las(tmp_path / "out.laz", Points(XYZ, object_ids=ids))
    np.testing.assert_array_equal(las["object_id"], ids)
    source, cloud = read_las(tmp_path / "out.laz", object_ids="object_id")
    np.testing.assert_array_equal(cloud.object_ids, ids)
    assert not {"object_id"} & set(cloud.attributes)
    again = write_las(tmp_path / "again.las", cloud, **context_of(source, cloud))
    np.testing.assert_array_equal(again["object_id"], ids)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"label": ["a", "b", None]}, "'label'.*text.*pass attributes without it"),
    ({"value": np.ones(3, complex)}, "'value'.*complex"),
    ({"when": np.array(["2020", "2021", "2022"], "M8[D]")}, "'when'.*datetime64"),
    ({"value": np.ones((3, 2, 2))}, "'value'"),
    ({"value": np.ones((3, 4))}, "'value'.*at most 3 channels, got 4"),
    ({"value": np.ones((3, 256), np.uint8)}, "'value'.*got 256"),
    ({"v" * 33: np.ones(3)}, "v{33}.*1 to 32 bytes"),
    ({"X": np.ones(3)}, "'X'"),
    ({"z": np.ones(3)}, "'z'"),
    ({"bit_fields": np.ones(3)}, "'bit_fields'"),
    ({"intensity": np.array([0, 70_000, 1])}, r"'intensity'.*0 to 65535, got 70000 in row 1.*rename"),
    ({"intensity": np.array([0, 0, -1])}, "got -1 in row 2"),
    ({"intensity": np.array([0, 0.5, 1])}, "got 0.5 in row 1"),
    ({"intensity": np.array([np.nan, 0.5, 1])}, "got nan in row 0"),
    ({"intensity": np.array([65536.0, 0.5, 1])}, "got 65536.0 in row 0"),
    ({"intensity": np.ones((3, 2), np.uint8)}, "'intensity'.*one channel"),
    ({"classification": np.array([0, 256, 1])}, "'classification'.*0 to 255, got 256"),
    ({"classification": np.array([0, 32, 1]), "scan_angle_rank": np.zeros(3)}, "0 to 31, got 32"),
    ({"return_number": np.array([0, 16, 1])}, "0 to 15, got 16"),
    ({"withheld": np.array([0, 1, 2])}, "'withheld'.*0 to 1, got 2"),
    ({"scan_angle_rank": np.array([0, 1, -129])}, "got -129"),
    ({"gps_time": np.array([0, 1, 2**53 + 1])}, "'gps_time'.*float64"),
    ({"x_t": np.array([0, 1, 0.1])}, "'x_t'.*float32, got 0.1 in row 2"),
    ({"wavepacket_offset": np.array([0, 1, 2.0**64])}, "'wavepacket_offset'"),
]


@pytest.mark.parametrize(("columns", "message"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_las_cannot_hold_is_refused_and_no_file_left(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        write_las(tmp_path / "out.las", cloud_of(**columns), parts=1)
    assert not list(tmp_path.iterdir())


def test_whole_numbers_in_other_dtypes_are_taken(tmp_path: Path) -> None:
    las = write_las(
        tmp_path / "out.las", cloud_of(intensity=np.array([0.0, 1.0, 65535.0]), user_data=np.array([True] * 3))
    )
    np.testing.assert_array_equal(las.intensity, [0, 1, 65535])
    np.testing.assert_array_equal(las.user_data, [1, 1, 1])


def test_a_late_refusal_leaves_no_file_and_names_the_row(tmp_path: Path) -> None:
    cloud = cloud_of(intensity=np.array([1, 2, 70_000]))
    for suffix in LAS.suffixes:
        with pytest.raises(ExportError, match="row 2"):
            write_las(tmp_path / f"out{suffix}", cloud, parts=3)
    assert not list(tmp_path.iterdir())


def test_a_failing_source_leaves_no_file(tmp_path: Path) -> None:
    def batches() -> Iterator[Points]:
        yield cloud_of()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        LAS.export(tmp_path / "out.laz", batches(), ExportContext(axes=as_axes(None, 3), bounds=([0] * 3, [1e4] * 3)))
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out.las").write_text("mine")
    with pytest.raises(FileExistsError):
        write_las(tmp_path / "out.las", cloud_of())
    assert (tmp_path / "out.las").read_text() == "mine"


def test_a_cloud_with_two_owners_of_a_name_is_refused(tmp_path: Path) -> None:
    cloud = Points(XYZ, attributes={"object_id": np.ones(3)}, object_ids=np.arange(3))
    with pytest.raises(ExportError, match="collides with the object ids"):
        write_las(tmp_path / "out.las", cloud)


# --- coordinates


@given(
    values=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30),
    margin=st.floats(0, 1e3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_coordinates_are_off_by_half_a_scale_at_most(values: list[float], margin: float, dtype: Any) -> None:
    positions = np.array(values, dtype)[:, np.newaxis].repeat(3, axis=1)
    cloud = Points(positions)
    bounds = (positions.min(axis=0) - margin).tolist(), (positions.max(axis=0) + margin).tolist()
    with TemporaryDirectory() as folder:
        las = write_las(Path(folder) / "out.las", cloud, bounds=bounds)
    rounding = 4 * np.spacing(np.abs(positions.astype(np.float64)) + np.abs(las.header.offsets))
    assert (np.abs(xyz(las) - positions) <= las.header.scales / 2 + rounding).all()
    # The next finer power of ten would not fit, unless there is nothing to hold.
    half = max(np.abs(np.array(bounds)[:, 0] - las.header.offsets[0]))
    assert half <= 1e-290 or half / (las.header.scales[0] / 10) >= 2**31 - 1


@given(st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=20), st.sampled_from([1, 2**20]))
def test_integer_coordinates_are_exact_or_refused(values: list[int], factor: int) -> None:
    positions = np.array([[value // factor, 1, 2] for value in values])
    span = int(np.ptp(positions[:, 0]))
    assume(span != 2**32 - 1)  # fits or not, by where its middle lies
    fits = span < 2**32 - 1
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.las"
        if fits:
            np.testing.assert_array_equal(xyz(write_las(path, Points(positions))), positions)
        else:
            with pytest.raises(ExportError, match="x coordinate"):
                write_las(path, Points(positions))
            assert not path.exists()


def test_integer_coordinates_ignore_the_scale_of_the_header(tmp_path: Path) -> None:
    source, _ = read_las(DATA / "autzen_cut.laz")
    whole = Points(np.arange(3000).reshape(1000, 3).astype(np.uint16))
    las = write_las(tmp_path / "out.las", whole, headers=dict(source.headers))
    np.testing.assert_array_equal(xyz(las), whole.positions)
    assert las.header.scales.tolist() == [1, 1, 1]


def test_unsigned_64_bit_coordinates_beyond_floats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="LAS cannot hold this y coordinate"):
        write_las(tmp_path / "out.las", Points(np.array([[0, 0, 0], [0, 2**64 - 1, 0]], np.uint64)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    positions = XYZ.copy()
    positions[1, 2] = bad
    with pytest.raises(ExportError, match=r"z coordinate.*row 1"):
        write_las(tmp_path / "out.las", Points(positions), bounds=([0.0] * 3, [1e4] * 3))
    assert not list(tmp_path.iterdir())


def test_a_header_whose_grid_does_not_hold_the_points(tmp_path: Path) -> None:
    source, cloud = read_las(DATA / "autzen_cut.laz")
    context = context_of(source, cloud)
    moved = Points(cloud.positions + 1e9)
    las = write_las(tmp_path / "moved.las", moved, **(context | {"bounds": moved.bounds}))
    assert las.header.scales.tolist() == [0.01] * 3
    assert np.abs(xyz(las) - moved.positions).max() <= 0.005001
    wide = Points(cloud.positions * 1e6)
    las = write_las(tmp_path / "wide.las", wide, **(context | {"bounds": wide.bounds}))
    assert las.header.scales.tolist() == [1.0, 1.0, 0.1]
    assert (np.abs(xyz(las) - wide.positions) <= las.header.scales / 2).all()
    # The bounds promise less than comes.
    with pytest.raises(ExportError, match=r"coordinate.*row 0.*smaller box"):
        write_las(tmp_path / "lie.las", wide, **context)
    assert not (tmp_path / "lie.las").exists()


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ("zyx", [[2, 1, 0]]),
        ("xz", [[0, 0, 1]]),
        ("yx", [[1, 0, 0]]),
        ("x", [[0, 0, 0]]),
        (["row", "column"], [[0, 1, 0]]),
        (["z", "row", "x"], [[0, 1, 2]]),
        (["X", "Y"], [[0, 1, 0]]),
    ],
)
def test_axes_find_their_place(tmp_path: Path, axes: Any, expected: list[list[float]]) -> None:
    cloud = Points(np.arange(float(len(axes)))[np.newaxis], axes=axes)
    np.testing.assert_array_equal(xyz(write_las(tmp_path / "out.las", cloud, parts=1)), expected)


def test_four_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"x, y and z only.*4 axes"):
        write_las(tmp_path / "out.las", Points(np.zeros((1, 4))))


def test_bounds_may_be_unknown(tmp_path: Path) -> None:
    las = write_las(tmp_path / "out.las", cloud_of(), bounds=None, parts=1)
    np.testing.assert_allclose(xyz(las), XYZ, atol=1e-6)


def test_the_header_of_the_file_agrees_with_its_points(tmp_path: Path) -> None:
    source, cloud = read_las(DATA / "evlr.laz")
    las = write_las(tmp_path / "out.laz", cloud, parts=7, **context_of(source, cloud))
    np.testing.assert_array_equal(las.header.mins, xyz(las).min(axis=0))
    np.testing.assert_array_equal(las.header.maxs, xyz(las).max(axis=0))
    returns = np.bincount(np.asarray(cloud.attributes["return_number"]), minlength=16)[1:16]
    np.testing.assert_array_equal(las.header.number_of_points_by_return, returns)
    raw = (tmp_path / "out.laz").read_bytes()
    assert struct.unpack_from("<Q", raw, 247) == (cloud.vertex_count,)
    assert [vlr.record_id for vlr in las.evlrs] == [42]
