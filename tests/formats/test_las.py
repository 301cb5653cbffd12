"""LAS and LAZ against laspy, both ways."""

from __future__ import annotations

import base64
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from tests.formats.las_tools import (
    DATA,
    FILES,
    assert_same_points,
    context_of,
    random_las,
    read_las,
    write_las,
    xyz,
)
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError, MissingDependencyError
from zarr_vectors.formats.base import ExportContext, ReadOptions
from zarr_vectors.formats.las import LAS
from zarr_vectors.formats.las_header import units_of
from zarr_vectors.geometry import Points
from zarr_vectors.typing import JsonObject

# --- in


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("batch_rows", [700, 1_000_000])
def test_real_files_are_read_like_laspy(name: str, batch_rows: int) -> None:
    source, cloud = read_las(DATA / name, batch_rows=batch_rows)
    assert_same_points(cloud, laspy.read(DATA / name))
    assert source.bounds == cloud.bounds
    assert cloud.axes == source.axes


@pytest.mark.parametrize(
    ("point_format", "suffix"),
    [*((number, ".las") for number in range(11)), *((number, ".laz") for number in (0, 1, 2, 3, 6, 7, 8))],
)
def test_every_point_format_goes_in_and_out(tmp_path: Path, point_format: int, suffix: str) -> None:
    original = random_las(point_format, 257)
    original.write(tmp_path / f"in{suffix}")
    source, cloud = read_las(tmp_path / f"in{suffix}", batch_rows=100)
    assert_same_points(cloud, original)
    again = write_las(tmp_path / f"out{suffix}", cloud, **context_of(source, cloud))
    assert again.header.are_points_compressed == (suffix == ".laz")
    assert again.header.point_format.id == point_format
    np.testing.assert_array_equal(again.points.array, original.points.array)


@pytest.mark.parametrize(("point_format", "without"), [(4, 1), (5, 3), (9, 6), (10, 8)])
def test_waveforms_are_not_written_as_laz(tmp_path: Path, point_format: int, without: int) -> None:
    random_las(point_format, 50).write(tmp_path / "in.las")
    source, cloud = read_las(tmp_path / "in.las")
    with pytest.raises(ExportError, match=r"waveforms.*wavepacket_index.*\.las"):
        write_las(tmp_path / "out.laz", cloud, **context_of(source, cloud))
    assert not (tmp_path / "out.laz").exists()
    rest = tuple(name for name in cloud.attributes if not name.startswith(("wave", "return_point", "x_", "y_", "z_")))
    source, cloud = read_las(tmp_path / "in.las", attributes=rest)
    again = write_las(tmp_path / "out.laz", cloud, **context_of(source, cloud))
    assert again.header.point_format.id == without
    assert_same_points(cloud, again)


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.3", "1.4", "1.5"])
def test_every_version_goes_in_and_out(tmp_path: Path, version: str) -> None:
    original = random_las(6 if version == "1.5" else 1, 20, version=version)
    original.write(tmp_path / "in.las")
    source, cloud = read_las(tmp_path / "in.las")
    again = write_las(tmp_path / "out.las", cloud, **context_of(source, cloud))
    assert str(again.header.version) == version
    np.testing.assert_array_equal(again.points.array, original.points.array)


def test_version_1_0_is_read_and_written_as_1_1(tmp_path: Path) -> None:
    raw = bytearray((DATA / "vegetation_cut.las").read_bytes())
    raw[25] = 0
    (tmp_path / "in.las").write_bytes(raw)
    source, cloud = read_las(tmp_path / "in.las")
    again = write_las(tmp_path / "out.las", cloud, **context_of(source, cloud))
    assert str(again.header.version) == "1.1"
    assert_same_points(cloud, again)


@pytest.mark.parametrize("suffix", LAS.suffixes)
@pytest.mark.parametrize("rows", [0, 1])
def test_no_points_and_one_point(tmp_path: Path, rows: int, suffix: str) -> None:
    original = random_las(7, rows)
    original.write(tmp_path / f"in{suffix}")
    source, cloud = read_las(tmp_path / f"in{suffix}")
    assert cloud.vertex_count == rows
    assert (source.bounds is None) == (rows == 0)
    assert_same_points(cloud, original)
    context = context_of(source, cloud)
    again = write_las(tmp_path / f"out{suffix}", cloud, **context)
    np.testing.assert_array_equal(again.points.array, original.points.array)
    del context["headers"]
    assert len(write_las(tmp_path / f"bare{suffix}", cloud, **context)) == rows


def scaled_las(path: Path) -> Any:
    header = laspy.LasHeader(point_format=6)
    params = laspy.ExtraBytesParams
    header.add_extra_dims(
        [
            params("temperature", "int16", "in Celsius", offsets=[20.0], scales=[0.1], no_data=[-32768]),
            params("velocity", "3int32", offsets=[0.0, 1.0, 2.0], scales=[0.5, 0.25, 0.001]),
            params("weight", "float32"),
            params("pair", "2uint8"),
        ]
    )
    las = laspy.LasData(header)
    las.x, las.y, las.z = np.arange(3.0), np.arange(3.0), np.arange(3.0)
    las["temperature"] = [19.9, 20.0, 3296.7]
    las["velocity"] = [[0.5, 1.25, 2.001], [-1.0, 0.0, -3.0], [0.0, 1.0, 2.0]]
    las["weight"] = [0.1, np.nan, np.inf]
    las["pair"] = [[1, 2], [3, 4], [5, 255]]
    las.write(path)
    return laspy.read(path)


def test_scaled_extra_bytes(tmp_path: Path) -> None:
    original = scaled_las(tmp_path / "in.laz")
    source, cloud = read_las(tmp_path / "in.laz")
    assert_same_points(cloud, original)
    temperature = source.headers["las"]["extra_bytes"][0]
    assert temperature["no_data"] == [-32768]
    assert temperature["description"] == "in Celsius"
    again = write_las(tmp_path / "out.las", cloud, **context_of(source, cloud))
    assert again.points.array.tobytes() == original.points.array.tobytes()
    assert again.point_format == original.point_format
    assert read_las(tmp_path / "out.las")[0].headers == source.headers

    finer = Points(cloud.positions, attributes=dict(cloud.attributes) | {"temperature": np.array([20.0, 20.13, 20.0])})
    with pytest.raises(ExportError, match=r"'temperature'.*multiples of \[0.1\], got 20.13 in row 1"):
        write_las(tmp_path / "finer.las", finer, **context_of(source, finer))
    assert not (tmp_path / "finer.las").exists()


def test_scaled_floats_come_out_as_what_they_mean(tmp_path: Path) -> None:
    header = laspy.LasHeader(point_format=6)
    header.add_extra_dim(laspy.ExtraBytesParams("level", "float32", offsets=[1.0], scales=[0.1]))
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord.zeros(3, header=header)
    las.points.array["level"] = [0.1, 2.5, np.nan]
    las.write(tmp_path / "in.las")
    source, cloud = read_las(tmp_path / "in.las")
    assert_same_points(cloud, las)
    again = write_las(tmp_path / "out.las", cloud, **context_of(source, cloud))
    assert again["level"].dtype == np.float64
    assert_same_points(cloud, again)


def test_selecting_attributes_positions_and_object_ids() -> None:
    path = DATA / "autzen_cut.laz"
    las = laspy.read(path)
    _, cloud = read_las(path, attributes=("red", "gps_time"), object_ids="point_source_id", batch_rows=1000)
    assert list(cloud.attributes) == ["red", "gps_time"]
    np.testing.assert_array_equal(cloud.object_ids, las.point_source_id)
    assert cloud.object_ids is not None
    assert cloud.object_ids.dtype == np.int64

    source, flat = read_las(path, positions=("y", "x"))
    np.testing.assert_array_equal(flat.positions, xyz(las)[:, [1, 0]])
    np.testing.assert_array_equal(flat.attributes["z"], las.z)
    assert source.bounds == flat.bounds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attributes": ("red", "infrared")}, "infrared"),
        ({"object_ids": "owner"}, "'owner'"),
        ({"object_ids": "gps_time"}, "integer dimension 'gps_time'"),
        ({"object_ids": "withheld"}, "integer dimension 'withheld'"),
        ({"positions": ("x", "y", "gps_time")}, "gps_time"),
        ({"positions": ("x", "x")}, "positions"),
    ],
)
def test_what_the_file_does_not_have_is_refused(options: Any, message: str) -> None:
    with pytest.raises(IngestError, match=message) as caught:
        LAS.open(DATA / "autzen_cut.laz", ReadOptions(**options))
    assert "autzen_cut.laz" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"x,y,z\n1,2,3\n" * 50, "not a LAS file"),
        (b"LASF", "truncated"),
        (b"LASF" + bytes(20) + b"\x02\x00" + bytes(400), "version"),
    ],
)
def test_what_is_not_las_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "scan.las"
    path.write_bytes(content)
    with pytest.raises(IngestError, match=message) as caught:
        LAS.open(path, ReadOptions())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["vegetation_cut.las", "autzen_cut.laz", "simple.copc.laz", "evlr.laz"])
def test_truncation_is_found(tmp_path: Path, name: str) -> None:
    raw = (DATA / name).read_bytes()
    path = tmp_path / name
    for size in (*range(1, len(raw), len(raw) // 40), len(raw) - 1):
        path.write_bytes(raw[:size])
        with pytest.raises(IngestError, match=name):
            LAS.open(path, ReadOptions())


@pytest.mark.parametrize("name", ["vegetation_cut.las", "autzen_cut.laz", "simple.copc.laz"])
def test_more_points_claimed_than_held(tmp_path: Path, name: str) -> None:
    raw = bytearray((DATA / name).read_bytes())
    at = 247 if raw[25] >= 4 else 107
    count = struct.unpack_from("<I", raw, at)[0]
    path = tmp_path / name
    for claimed in (count + 1, 2 * count, 1_000_000, 0):
        struct.pack_into("<I", raw, at, claimed)
        path.write_bytes(raw)
        with pytest.raises(IngestError, match=name):
            list(LAS.open(path, ReadOptions()).batches)


@pytest.mark.parametrize(
    ("name", "at", "layout", "value"),
    [
        ("evlr.laz", 243, "<I", 2**32 - 1),  # number of extended records
        ("evlr.laz", 235, "<Q", 2**64 - 1),  # their place
        ("evlr.laz", 100, "<I", 2**32 - 1),  # number of records
        ("autzen_cut.laz", 96, "<I", 2**32 - 1),  # place of the points
        ("autzen_cut.laz", 105, "<H", 7),  # bytes per point
        ("autzen_cut.laz", 104, "<B", 0x80 | 50),  # point format
        ("autzen_cut.laz", 131, "<d", 0.0),  # scale
        ("autzen_cut.laz", 155, "<d", float("nan")),  # offset
    ],
)
def test_absurd_headers_are_refused(tmp_path: Path, name: str, at: int, layout: str, value: Any) -> None:
    raw = bytearray((DATA / name).read_bytes())
    struct.pack_into(layout, raw, at, value)
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(IngestError, match=name):
        LAS.open(tmp_path / name, ReadOptions())


def test_bounds_of_the_header_that_cannot_be_are_not_passed_on(tmp_path: Path) -> None:
    raw = bytearray((DATA / "vegetation_cut.las").read_bytes())
    struct.pack_into("<d", raw, 179, 1e300)
    (tmp_path / "scan.las").write_bytes(raw)
    assert read_las(tmp_path / "scan.las")[0].bounds is None


def test_reading_is_bounded_by_the_batch(tmp_path: Path) -> None:
    random_las(3, 300_000).write(tmp_path / "scan.las")
    tracemalloc.start()
    rows = sum(batch.vertex_count for batch in LAS.open(tmp_path / "scan.las", ReadOptions(batch_rows=5000)).batches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 300_000
    assert peak < 4e6


@pytest.mark.parametrize("package", ["laspy", "lazrs"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"need {package}.*zarr-vectors\[las\]"):
        LAS.open(DATA / "autzen_cut.laz", ReadOptions())
    cloud = Points(np.zeros((1, 3)))
    with pytest.raises(MissingDependencyError, match=package):
        LAS.export(tmp_path / "out.laz", iter([cloud]), ExportContext(axes=as_axes(None, 3)))
    assert not list(tmp_path.iterdir())


# --- CRS and headers

PROJCS = 'PROJCS["a ""b"" ]",GEOGCS["g",DATUM["d",SPHEROID["s",6378137,298.25]],UNIT["degree",0.0174532925199433]],%s]'
UTM2 = (
    'COMPOUNDCRS["c",PROJCRS["p",BASEGEOGCRS["b",DATUM["d",ELLIPSOID["e",1,2,LENGTHUNIT["metre",1]]]],'
    'CONVERSION["v",PARAMETER["q",3,ANGLEUNIT["degree",0.0174532925199433]]],CS[Cartesian,2],'
    'AXIS["E",east,LENGTHUNIT["foot",0.3048]],AXIS["N",north,LENGTHUNIT["foot",0.3048]]],'
    'VERTCRS["h",VDATUM["d"],CS[vertical,1],AXIS["H",up],LENGTHUNIT["metre",1]]]'
)


@pytest.mark.parametrize(
    ("crs", "units"),
    [
        (None, (None, None)),
        ({"wkt": "nonsense ]] [ UNIT["}, (None, None)),
        ({"wkt": PROJCS % 'UNIT["metre",1]'}, ("meter", None)),
        ({"wkt": PROJCS % 'UNIT["odd",0.7]'}, (None, None)),
        ({"wkt": PROJCS % 'PARAMETER["x",1]'}, (None, None)),
        ({"wkt": 'GEOGCS["g",UNIT["degree",0.0174532925199433]]'}, ("degree", None)),
        ({"wkt": UTM2}, ("foot", "meter")),
        ({"geotiff_keys": {"1024": 1, "3076": 9003, "4099": 9001}}, ("US_survey_foot", "meter")),
        ({"geotiff_keys": {"3072": 32633}}, (None, None)),
        ({"geotiff_keys": {"1024": 2, "2048": 4326}}, ("degree", None)),
        ({"wkt": PROJCS % 'UNIT["metre",1]', "geotiff_keys": {"3076": 9002, "4099": 9002}}, ("meter", "foot")),
    ],
)
def test_units_of_a_crs(crs: Any, units: tuple[str | None, str | None]) -> None:
    assert units_of(crs) == units


def test_crs_of_a_real_file() -> None:
    source, _ = read_las(DATA / "autzen_cut.laz")
    assert source.crs is not None
    assert source.crs["wkt"].startswith('PROJCS["NAD_1983_HARN_Lambert_Conformal_Conic"')
    assert source.crs["geotiff_keys"]["3076"] == 9002
    assert source.crs["geotiff_keys"]["2057"] == 6378137.0
    assert source.crs["geotiff_keys"]["1026"] == "NAD_1983_HARN_Lambert_Conformal_Conic"
    assert source.axes is not None
    assert [axis.unit for axis in source.axes] == ["foot", "foot", None]


@pytest.mark.parametrize("suffix", LAS.suffixes)
@pytest.mark.parametrize("name", FILES)
def test_real_files_come_out_as_they_went_in(tmp_path: Path, name: str, suffix: str) -> None:
    source, cloud = read_las(DATA / name)
    original = laspy.read(DATA / name)
    again = write_las(tmp_path / f"out{suffix}", cloud, **context_of(source, cloud))
    np.testing.assert_array_equal(again.points.array, original.points.array)
    for fact in ("version", "uuid", "creation_date", "system_identifier", "generating_software", "file_source_id"):
        assert getattr(again.header, fact) == getattr(original.header, fact)
    np.testing.assert_array_equal(again.header.scales, original.header.scales)
    np.testing.assert_array_equal(again.header.offsets, original.header.offsets)
    assert again.header.global_encoding.value == original.header.global_encoding.value
    ours, (theirs, _) = source.headers["las"], read_las(tmp_path / f"out{suffix}")
    assert theirs.headers["las"] == ours | {"omitted": []}
    assert theirs.crs == source.crs


def test_the_octree_of_a_copc_file_is_omitted_and_named(tmp_path: Path) -> None:
    source, cloud = read_las(DATA / "simple.copc.laz")
    kept = source.headers["las"]
    assert [(record["user_id"], record["record_id"]) for record in kept["omitted"]] == [("copc", 1), ("copc", 1000)]
    context = context_of(source, cloud)
    context["headers"]["las"]["vlrs"].append({"user_id": "copc", "record_id": 1, "description": "", "data": ""})
    write_las(tmp_path / "out.laz", cloud, **context)
    assert b"copc" not in (tmp_path / "out.laz").read_bytes()


def test_records_survive_byte_for_byte(tmp_path: Path) -> None:
    las = random_las(6, 5)
    lookup = bytes(range(256))
    las.header.vlrs.append(laspy.VLR("LASF_Spec", 0, "d\xe9j\xe0 vu".encode("latin-1"), lookup))
    with laspy.open(tmp_path / "in.las", mode="w", header=las.header, encoding_errors="ignore") as writer:
        writer.write_points(las.points)
        writer.write_evlrs(laspy.vlrs.vlrlist.VLRList([laspy.VLR("ours", 7, "a note", b"\x00\xff" * 40_000)]))
    source, cloud = read_las(tmp_path / "in.las")
    (vlr,), (evlr,) = source.headers["las"]["vlrs"], source.headers["las"]["evlrs"]
    assert (vlr["description"], base64.b64decode(vlr["data"])) == ("d\xe9j\xe0 vu", lookup)
    assert base64.b64decode(evlr["data"]) == b"\x00\xff" * 40_000
    write_las(tmp_path / "out.las", cloud, **context_of(source, cloud))
    assert read_las(tmp_path / "out.las")[0].headers == source.headers


def test_another_crs_replaces_the_one_of_the_header(tmp_path: Path) -> None:
    source, cloud = read_las(DATA / "autzen_cut.laz")
    crs = {
        "wkt": PROJCS % 'UNIT["metre",1]',
        "geotiff_keys": {"1024": 1, "1026": "name", "2057": 1.5, "2062": [1.0, 2.0]},
    }
    context = context_of(source, cloud) | {"crs": crs}
    for name in ("kept.las", "bare.las"):
        again = write_las(tmp_path / name, cloud, **context)
        assert again.header.global_encoding.wkt
        assert read_las(tmp_path / name)[0].crs == crs
        context.pop("headers", None)
    unknown = write_las(tmp_path / "unknown.las", cloud, **(context | {"crs": {"epsg": 2992}}))
    assert not unknown.header.vlrs


@pytest.mark.parametrize(
    "headers",
    [
        {"point_format": 99},
        {"scales": "abc"},
        {"vlrs": [{}]},
        {"extra_bytes": [3]},
        {"uuid": "?"},
        {"creation_date": "?"},
    ],
)
def test_headers_that_no_ingest_keeps_are_refused(tmp_path: Path, headers: JsonObject) -> None:
    with pytest.raises(ExportError, match="headers/las"):
        write_las(tmp_path / "out.las", Points(np.zeros((1, 3))), headers={"las": headers})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("point_format", [6, 7, 8])
def test_a_layer_that_is_larger_than_its_chunk_is_refused(point_format: int, tmp_path: Path) -> None:
    """Before lazrs allocates it."""
    las = random_las(point_format, 50)
    las.write(tmp_path / "a.laz")
    content = bytearray((tmp_path / "a.laz").read_bytes())
    start = int.from_bytes(content[96:100], "little") + 8 + las.point_format.size + 4
    for layer in range(9 + {6: 0, 7: 1, 8: 2}[point_format] + las.point_format.num_extra_bytes):
        damaged = content[: start + 4 * layer] + b"\0\0\0\x90" + content[start + 4 * layer + 4 :]
        (tmp_path / "b.laz").write_bytes(damaged)
        with pytest.raises(IngestError, match=r"layers of at most \d+ bytes in chunk 0"):
            read_las(tmp_path / "b.laz")
