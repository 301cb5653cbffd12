"""What every exchange format must do, whichever it is: this file is run over the registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from zarr_vectors.constants import GEOM_POINT_CLOUD
from zarr_vectors.exceptions import ExportError, IngestError, InputError
from zarr_vectors.formats import registry
from zarr_vectors.formats.base import OBJECT_ID, Format, ReadOptions
from zarr_vectors.formats.npy import NPZ
from zarr_vectors.formats.registry import FORMATS, export, format_of, has_format, ingest

EVERY = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
OF_POINTS = pytest.mark.parametrize(
    "fmt", [fmt for fmt in FORMATS if GEOM_POINT_CLOUD in fmt.kinds], ids=lambda fmt: fmt.name
)


def store_of(path: Path, rows: int) -> zv.ZVStore:
    positions = np.arange(3 * rows, dtype=np.float64).reshape(rows, 3) / 4 - 10
    weight = np.arange(rows, dtype=np.float64) / 8
    zv.write(path, zv.Points(positions, attributes={"weight": weight}), layout=zv.Layout(chunk_shape=20.0))
    return zv.open(path)


@EVERY
def test_suffixes_lead_to_the_format(fmt: Format) -> None:
    for suffix in fmt.suffixes:
        assert format_of(f"a/b{suffix.upper()}") is fmt
        assert has_format(f"b{suffix}")


@OF_POINTS
@pytest.mark.parametrize("rows", [1, 250])
def test_rows_go_out_and_come_back(fmt: Format, rows: int, tmp_path: Path) -> None:
    source = store_of(tmp_path / "a", rows)
    file = tmp_path / f"points{fmt.suffixes[0]}"
    assert export(source, file) == rows
    report = ingest(file, tmp_path / "b")
    assert report.vertex_count == rows
    there, back = source[0].read(), zv.open(tmp_path / "b")[0].read()
    named = "weight" in back.attributes
    want = np.column_stack([there.positions, there.attributes["weight"]] if named else [there.positions])
    got = np.column_stack([back.positions, back.attributes["weight"]] if named else [back.positions])
    np.testing.assert_allclose(got[np.lexsort(got.T)], want[np.lexsort(want.T)], rtol=0, atol=1e-6)


@OF_POINTS
def test_a_selection_goes_out(fmt: Format, tmp_path: Path) -> None:
    source = store_of(tmp_path / "a", 200)
    file = tmp_path / f"box{fmt.suffixes[0]}"
    box = ([0, 0, 0], [50, 60, 70])
    assert export(source, file, bbox=box) == source[0].count(box) > 0


@OF_POINTS
def test_an_existing_file_stays_unless_told(fmt: Format, tmp_path: Path) -> None:
    source = store_of(tmp_path / "a", 10)
    file = tmp_path / f"points{fmt.suffixes[0]}"
    file.write_bytes(b"precious")
    with pytest.raises(ExportError, match="exists"):
        export(source, file)
    assert file.read_bytes() == b"precious"
    assert export(source, file, overwrite=True) == 10


@EVERY
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\xffnot what it says\x00" * 9], ids=["empty", "garbage"])
def test_a_file_that_is_not_what_it_says_is_refused(fmt: Format, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"bad{fmt.suffixes[0]}"
    file.write_bytes(content)
    with pytest.raises(IngestError) as caught:
        ingest(file, tmp_path / "store")
    assert file.name in str(caught.value)
    assert not (tmp_path / "store").exists()


@OF_POINTS
def test_object_ids_go_out_and_come_back(fmt: Format, tmp_path: Path) -> None:
    owners = np.array([7, 7, -3, 0])
    zv.write(tmp_path / "a", zv.Points(np.arange(12.0).reshape(4, 3), object_ids=owners))
    file = tmp_path / f"points{fmt.suffixes[0]}"
    export(zv.open(tmp_path / "a"), file)
    assert ingest(file, tmp_path / "b").object_count == 3
    back = zv.open(tmp_path / "b")[0].read()
    assert back.object_ids is not None
    assert back.object_ids[np.argsort(back.positions[:, 0])].tolist() == owners.tolist()
    assert not {OBJECT_ID, "object_ids"} & set(back.attributes)
    if fmt is not NPZ:  # where they are called otherwise
        ingest(file, tmp_path / "c", options=ReadOptions(attributes=(OBJECT_ID,)))
        kept = zv.open(tmp_path / "c")[0].read()
        assert kept.object_ids is None
        assert sorted(kept.attributes[OBJECT_ID].tolist()) == sorted(owners.tolist())


def nowhere(path: Path) -> Path:
    """A file of three rows, of which the second is nowhere, and with a name that no attribute can have."""
    rows = np.array([[1, 2, 3], [1, np.nan, 3], [4, 5, 6]], dtype=np.float32)
    owners = np.array([1, 2, 2], dtype=np.int32)
    if path.suffix == ".ply":
        names = [f"property float {name}\n" for name in (*"xyz", "row_id")]
        head = f"ply\nformat ascii 1.0\nelement vertex 3\n{''.join(names)}end_header\n"
        path.write_text(head + "".join(" ".join(map(str, [*row, 7])) + "\n" for row in rows.tolist()))
    elif path.suffix == ".npz":
        np.savez(path, positions=rows, row_id=owners)
    else:
        table = pytest.importorskip("pyarrow").table({**dict(zip("xyz", rows.T, strict=True)), "row_id": owners})
        module = "csv" if path.suffix == ".csv" else "parquet"
        writer = pytest.importorskip(f"pyarrow.{module}")
        (writer.write_csv if module == "csv" else writer.write_table)(table, path)
    return path


@pytest.mark.parametrize("suffix", [".ply", ".npz", ".parquet", ".csv"])
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_rows_and_names_that_cannot_be_kept_are_told_with_the_file(
    tmp_path: Path, suffix: str, batch_rows: int
) -> None:
    file, target = nowhere(tmp_path / f"scan{suffix}"), tmp_path / "store"
    all_columns = ReadOptions(batch_rows=batch_rows)
    with pytest.raises(IngestError, match=rf"scan{suffix}: attribute 'row_id'.*--attributes"):
        ingest(file, target, options=all_columns)
    options = replace(all_columns, attributes=())
    told = rf"scan{suffix}: positions must be finite .got nan in row 1, column 1.*--bbox"
    with pytest.raises(IngestError, match=told):
        ingest(file, target, options=options)
    zv.write(target, zv.Points(np.ones((1, 3), np.float32)), bounds=([0] * 3, [9] * 3))
    with pytest.raises(IngestError, match=told):
        ingest(file, target, options=options, mode="append")
    assert zv.open(target)[0].vertex_count == 1
    ingest(file, target, options=options, mode="append", bbox=([0] * 3, [9] * 3))
    assert zv.open(target)[0].read().positions.tolist() == [[1, 1, 1], [1, 2, 3], [4, 5, 6]]


@OF_POINTS
def test_a_failed_export_leaves_no_file(fmt: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = store_of(tmp_path / "a", 10)
    file = tmp_path / f"points{fmt.suffixes[0]}"

    def failing(*_: object, **__: object) -> object:
        raise OSError("no space left")

    monkeypatch.setattr(zv.ZVLevel, "iter", failing)
    with pytest.raises(OSError, match="no space"):
        export(source, file)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@OF_POINTS
def test_errors_of_exports_name_the_wanted_file(fmt: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = zv.Points(np.ones((2, 3)), {"many": np.ones((2, 2), complex), "a\nb c": ["x", None]})
    zv.write(tmp_path / "a", points)
    file = tmp_path / f"points{fmt.suffixes[0]}"
    with pytest.raises(ExportError) as caught:
        export(zv.open(tmp_path / "a"), file)
    told = str(caught.value)
    assert str(file) in told or str(tmp_path) not in told

    def full(path: Path, *_: object) -> int:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(registry, "format_of", lambda _: replace(fmt, export=full))
    with pytest.raises(OSError, match="No space") as failed:
        export(zv.open(tmp_path / "a"), file)
    assert failed.value.filename == str(file)
    with pytest.raises(ExportError, match=f"folder to write to does not exist.*got {tmp_path / 'none'}.*make it"):
        export(zv.open(tmp_path / "a"), tmp_path / "none" / file.name)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@EVERY
def test_what_is_there_stays_whatever_the_kind(fmt: Format, tmp_path: Path) -> None:
    source = store_of(tmp_path / "a", 10)
    file = tmp_path / f"points{fmt.suffixes[0]}"
    file.write_bytes(b"precious")
    with pytest.raises(ExportError, match="exists"):
        export(source, file)
    assert file.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a", file.name])


def test_unknown_suffixes_are_refused() -> None:
    with pytest.raises(InputError, match=r"\.las"):
        format_of("scan.docx")
    with pytest.raises(InputError, match="no suffix"):
        format_of("scan")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"nothing\.csv"):
        ingest(tmp_path / "nothing.csv", tmp_path / "store")
