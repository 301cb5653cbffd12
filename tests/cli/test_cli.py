"""The program as its users meet it: commands, output, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

import zarr_vectors as zv
from tests.cli.running import RUN, Result, fails, misused, zvrun
from zarr_vectors.cli import plot as plot_command
from zarr_vectors.cli.console import bar_columns, error_text
from zarr_vectors.exceptions import CorruptionError

pytest.importorskip("pyarrow")

COUNT = 400


def spots(count: int = COUNT, seed: int = 3) -> zv.Points:
    random = np.random.default_rng(seed)
    return zv.Points(
        random.uniform(0, 100, (count, 3)).astype(np.float32),
        attributes={
            "area": np.where(random.random(count) < 0.1, np.nan, random.random(count)).astype(np.float32),
            "kind": np.array([None if row % 7 == 0 else ("soma", "axon")[row % 2] for row in range(count)]),
            "rgb": random.integers(0, 255, (count, 3)).astype(np.uint8),
        },
        object_ids=np.arange(count) // 10,
        axes=(zv.Axis("x", "micrometer"), zv.Axis("y", "micrometer"), zv.Axis("z", "micrometer")),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    target = tmp_path / "spots.zarrvectors"
    zv.write(target, spots(), layout=zv.Layout(chunk_shape=50))
    return target


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "cells.csv"
    lines = [f"{row % 10},{row % 7},{row},{row // 5},{row / 4 + 0.1}" for row in range(50)]
    path.write_text("x,y,z,cell,size\n" + "\n".join(lines) + "\n")
    return path


def read(store: Path, **selection: Any) -> zv.Points:
    with zv.open(store) as opened:
        points: zv.Points = opened[0].read(**selection)
        return points


# --- the program ------------------------------------------------------------------------------------------------------


def test_version() -> None:
    assert zvrun("--version").out == f"zarr-vectors {zv.__version__}\n"


def test_help_lists_the_commands() -> None:
    shown = zvrun("--help").out
    for command in ("convert", "info", "query", "plot", "rechunk"):
        assert command in shown
        assert "--help" in zvrun(command, "--help").out


def test_no_command_shows_help() -> None:
    result = Result([])
    assert result.code in {0, 2}  # click 8.2 made it 2
    assert "convert" in result.out + result.err


@pytest.mark.parametrize("args", [["fly"], ["info"], ["info", "a", "b"], ["query", "a", "--bogus"], ["--bogus"]])
def test_wrong_usage(args: list[str]) -> None:
    assert "--help" in misused(*args)


def test_help_loads_nothing_optional() -> None:
    code = """if True:
        import sys
        from zarr_vectors.cli.main import app
        try:
            app(["--help"])
        except SystemExit:
            pass
        print({"pyarrow", "matplotlib", "laspy", "pandas", "obstore"} & set(sys.modules), file=sys.stderr)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stderr == "set()\n"


def test_an_error_is_one_line_and_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere.zarrvectors"
    assert len(fails("info", nowhere).splitlines()) == 1
    for args in (["--debug", "info", nowhere], ["info", nowhere, "--debug"], ["info", "--debug", nowhere]):
        result = Result(args)
        assert result.code == 1
        assert "Traceback" in result.err
        assert "StoreNotFoundError" in result.err
        assert result.err.splitlines()[-1].startswith("zarr-vectors: error: ")
    monkeypatch.setenv("ZV_DEBUG", "1")
    assert "Traceback" in Result(["info", nowhere]).err


def test_problems_are_listed_below_the_error(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise CorruptionError("two cells are gone", store="s", problems=["0.0.0 is gone", "0.0.1 is gone"])

    monkeypatch.setattr("zarr_vectors.cli.info.describe", fail)
    assert fails("info", store) == "two cells are gone (store s)\n  - 0.0.0 is gone\n  - 0.0.1 is gone"


def test_an_unexpected_error_is_a_line_too(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("zarr_vectors.cli.info.describe", fail)
    assert fails("info", store) == "unexpected ZeroDivisionError: division by zero; --debug shows where it comes from"


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zarr_vectors.cli.info.describe", interrupt)
    result = Result(["info", store])
    assert (result.code, result.err) == (130, "zarr-vectors: interrupted\n")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "a.csv: no such file or directory"),
        (OSError("disk on fire"), "disk on fire"),
        (OSError(), "OSError"),
        (MemoryError(), "not enough memory; select less with --bbox or --attributes"),
    ],
)
def test_errors_of_the_system(error: Exception, text: str) -> None:
    assert error_text(error) == text


# --- convert ----------------------------------------------------------------------------------------------------------


def test_convert_a_table_and_back(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "cells.zarrvectors"
    told = zvrun("convert", table, target).out.splitlines()
    assert told[0] == f"{table} -> {target}"
    assert told[1].startswith("50 points in ")
    assert told[2].startswith("store: 50 points, ")
    back = tmp_path / "back.csv"
    told = zvrun("convert", target, back).out.splitlines()
    assert told[0] == f"{target} -> {back}"
    assert told[1].startswith("50 points, ")
    assert sorted(back.read_text().splitlines()[1:]) == sorted(table.read_text().splitlines()[1:])


def test_quiet(table: Path, tmp_path: Path) -> None:
    assert zvrun("convert", table, tmp_path / "cells.zarrvectors", "--quiet").out == ""


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".ply"])
def test_convert_to_a_file_and_back(store: Path, tmp_path: Path, suffix: str) -> None:
    file, again = tmp_path / f"spots{suffix}", tmp_path / "again.zarrvectors"
    zvrun("convert", store, file, "--attributes", "area")
    zvrun("convert", file, again)
    before, after = read(store, attributes=["area"]), read(again, attributes=["area"])
    assert after.vertex_count == COUNT
    assert sorted(map(tuple, after.positions.astype("f4"))) == sorted(map(tuple, before.positions))


def test_selections_of_a_store(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "part.csv"
    zvrun("convert", store, file, "--bbox", "x=20:60,y=:50", "--object-ids", "3-20", "--attributes", "area")
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    expected = read(store, bbox={"x": (20, 60), "y": (None, 50)}, object_ids=list(range(3, 21)))
    assert len(rows) == expected.vertex_count > 0
    assert set(rows[0]) == {"x", "y", "z", "object_id", "area"}


def test_selections_of_a_file(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "part.zarrvectors"
    box = ["--bbox", "2,1,0,5,4,40"]
    zvrun("convert", table, target, *box, "--attributes", "size", "--object-id-column", "cell", "--object-ids", "0-4,6")
    points = read(target)
    rows = [row for row in range(50) if 2 <= row % 10 <= 5 and 1 <= row % 7 <= 4 and row <= 40]
    rows = [row for row in rows if row // 5 in (0, 1, 2, 3, 4, 6)]
    assert sorted(points.positions[:, 2].tolist()) == rows
    assert list(points.attributes) == ["size"]
    assert points.object_ids is not None
    assert sorted(points.object_ids.tolist()) == [row // 5 for row in rows]


def test_object_ids_of_a_file_without_any(table: Path, tmp_path: Path) -> None:
    assert "--object-id-column" in fails("convert", table, tmp_path / "a.zarrvectors", "--object-ids", "1")
    assert not (tmp_path / "a.zarrvectors").exists()


def test_columns_of_a_table_by_name(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("lon,lat,who\n1,2,5\n3,4,6\n")
    target = tmp_path / "odd.zarrvectors"
    assert "--positions" in fails("convert", path, target)
    zvrun("convert", path, target, "--positions", "lon,lat", "--object-id-column", "who")
    points = read(target)
    assert points.positions.tolist() == [[1, 2], [3, 4]]
    assert points.object_ids is not None
    assert points.object_ids.tolist() == [5, 6]


def test_the_way_out_is_told_in_options(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "cells.zarrvectors"
    assert fails("convert", table, target, "--append").endswith("check the path, or leave out --append")
    zvrun("convert", table, target, "--object-id-column", "cell")
    assert "or --extend to add these" in fails("convert", table, target, "--append", "--object-id-column", "cell")
    more = tmp_path / "more.csv"
    more.write_text("x,y,z,size\n1,1,1,1.5\n900,1,1,1.5\n")
    assert "use --out-of-bounds expand to grow the bounds" in fails("convert", more, target, "--append")
    more.write_text("lon,lat\n1,2\n")
    assert fails("convert", more, tmp_path / "none.zarrvectors").endswith("name them with --positions")
    more.write_text("x,y,z\n1,1,1\n")
    zvrun("convert", table, tmp_path / "flags.zarrvectors", "--attributes", "cell")
    assert "or pass --fill cell=VALUE" in fails("convert", more, tmp_path / "flags.zarrvectors", "--append")


def test_an_existing_store_is_kept_unless_told(table: Path, store: Path) -> None:
    before = read(store)
    assert "choose --append or --replace" in fails("convert", table, store)
    assert read(store) == before
    zvrun("convert", table, store, "--replace")
    assert read(store).vertex_count == 50
    told = zvrun("convert", table, store, "--append").out
    assert "50 points added in" in told
    assert "store: 100 points" in told
    assert "--append" in misused("convert", table, store, "--append", "--replace")


def test_an_existing_file_is_kept_unless_told(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "spots.csv"
    file.write_text("mine")
    assert "choose --replace" in fails("convert", store, file)
    assert file.read_text() == "mine"
    zvrun("convert", store, file, "--replace")
    assert len(file.read_text().splitlines()) == COUNT + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spots.csv", "spots.zarrvectors"]


def test_append_with_fill_and_out_of_bounds(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "cells.zarrvectors"
    zvrun("convert", table, target, "--attributes", "cell")
    more = tmp_path / "more.csv"
    more.write_text("x,y,z\n1,1,1\n500,1,1\n")
    assert fails("convert", more, target, "--append")
    assert fails("convert", more, target, "--append", "--fill", "cell=9")
    told = zvrun("convert", more, target, "--append", "--fill", "cell=9", "--out-of-bounds", "ignore").out
    assert "1 point outside the bounds left out" in told
    assert "1 point added" in told
    told = zvrun("convert", more, target, "--append", "--fill", "cell=9", "--out-of-bounds", "expand").out
    assert "bounds grown to 0..500" in told
    assert read(target).vertex_count == 53


def test_layout(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "cells.zarrvectors"
    options = ["--chunk-shape", "5,5,10", "--shard-shape", "2", "--compressor", "gzip:3", "--bin-shape", "5,5,5"]
    zvrun("convert", table, target, *options, "--keep-order")
    with zv.open(target) as opened:
        level = opened.info()["levels"][0]
    assert list(level["chunk_shape"]) == [5, 5, 10]
    assert list(level["shard_shape"]) == [2, 2, 2]
    row_ids = read(target).row_ids
    assert row_ids is not None
    assert sorted(row_ids.tolist()) == list(range(50))


def test_attributes_are_kept_per_fragment(table: Path, tmp_path: Path) -> None:
    target, again = tmp_path / "cells.zarrvectors", tmp_path / "again.zarrvectors"
    zvrun("convert", table, target, "--object-id-column", "cell", "--chunk-shape", "5")
    cell = read(target).object_ids
    assert cell is not None
    with zv.open(target, "r+")[0].writer() as writer:
        writer.add_attribute_sync("colour", cell % 3)
        writer.add_attribute_sync("shape", cell % 2)
    zvrun("convert", target, again, "--per-fragment", "colour,shape", "--chunk-shape", "5")
    found = zv.open(again)[0].attributes
    assert {name for name, info in found.items() if info.per_fragment} == {"colour", "shape"}
    value = read(again)
    assert value.object_ids is not None
    assert (value.attributes["colour"] == value.object_ids % 3).all()
    assert "'x'" in fails("convert", target, tmp_path / "other", "--per-fragment", "x")
    assert "no effect" in misused("convert", target, tmp_path / "out.csv", "--per-fragment", "colour")


def test_a_table_is_ingested_per_fragment(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y,bundle,cell\n1,1,7,0\n2,2,7,0\n8,8,9,1\n")
    zvrun("convert", table, tmp_path / "store", "--object-id-column", "cell", "--per-fragment", "bundle")
    level = zv.open(tmp_path / "store")[0]
    assert level.attributes["bundle"].per_fragment
    assert sorted(level.read().attributes["bundle"].tolist()) == [7, 7, 9]


def test_draco(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "packed.zarrvectors"
    assert "pass --dtype float32 to" in fails("convert", table, target, "--draco-bits", "12")
    zvrun("convert", table, target, "--draco-bits", "12", "--dtype", "float32")
    assert re.search(r"positions +float32, draco: 12 bits, off by [0-9.e-]+ at most", zvrun("info", target).out)
    assert "has no effect" in misused("convert", target, tmp_path / "out.csv", "--draco-bits", "12")
    zvrun("convert", target, tmp_path / "raw.zarrvectors")
    assert sorted(read(tmp_path / "raw.zarrvectors").positions.tolist()) == sorted(read(target).positions.tolist())
    assert "draco:" not in zvrun("info", tmp_path / "raw.zarrvectors").out


def test_dtype(store: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text("x,y,z,object_id\n50.1,50.2,50.3,900\n")
    zvrun("convert", store, tmp_path / "bare.zarrvectors", "--attributes", "")
    assert "float32" in fails("convert", more, tmp_path / "bare.zarrvectors", "--append")
    zvrun("convert", more, tmp_path / "bare.zarrvectors", "--append", "--dtype", "float32")
    assert read(tmp_path / "bare.zarrvectors").vertex_count == COUNT + 1
    assert "one of numpy's (got 'float33')" in misused("convert", more, tmp_path / "new", "--dtype", "float33")


def test_a_store_to_a_store(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "cut.zarrvectors"
    zvrun("convert", store, target, "--chunk-shape", "25", "--shard-shape", "none", "--bbox", "z=:50")
    before, after = read(store, bbox={"z": (None, 50)}), read(target)
    assert after.vertex_count == before.vertex_count > 100
    order, other = (np.lexsort(points.positions.T) for points in (before, after))
    assert after.take(other).positions.tolist() == before.take(order).positions.tolist()
    for name in ("area", "kind", "rgb"):
        np.testing.assert_array_equal(
            np.asarray(after.attributes[name])[other], np.asarray(before.attributes[name])[order]
        )
    assert before.object_ids is not None
    assert after.object_ids is not None
    assert after.object_ids[other].tolist() == before.object_ids[order].tolist()
    assert after.axes == before.axes


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["cells.csv", "out.zv", "--bbox", "1,2,3"], "--bbox"),
        (["cells.csv", "out.zv", "--object-ids", "a"], "--object-ids"),
        (["cells.csv", "out.zv", "--chunk-shape", "-1"], "--chunk-shape"),
        (["cells.csv", "out.zv", "--shard-shape", "x"], "--shard-shape"),
        (["cells.csv", "out.zv", "--compressor", "zip"], "--compressor"),
        (["cells.csv", "out.zv", "--fill", "a"], "--fill"),
        (["cells.csv", "out.zv", "--out-of-bounds", "maybe"], "--out-of-bounds"),
        (["cells.csv", "out.zv", "--group-ids", "1"], "no effect on converting a file to a store"),
        (["cells.csv", "out.zv", "--fill", "size=1"], "--fill: has no effect without --append"),
        (["cells.csv", "out.zv", "--extend"], "--extend: has no effect without --append"),
        (
            ["cells.csv", "spots.zarrvectors", "--append", "--chunk-shape", "5"],
            "--chunk-shape: has no effect on a",
        ),
        (["cells.csv", "spots.zarrvectors", "--append", "--compressor", "none"], "--compressor: has no effect on a"),
        (["cells.csv", "spots.zarrvectors", "--append", "--keep-order"], "--keep-order: has no effect on a store that"),
        (["cells.csv", "out.zv", "--dtype", "foat32"], "--dtype: dtype is not one of numpy's (got 'foat32')"),
        (["cells.csv", "out.zv", "--dtype", "complex64"], "--dtype: dtype must be a real number"),
        (["spots.zarrvectors", "out.cvs"], "did you mean out.csv? A store could be called out.zarrvectors"),
        (["cells.cvs", "out.zv"], "did you mean cells.csv?"),
        (["", "out.zv"], "IN: must be a path or URL"),
        (["cells.csv", ""], "OUT: must be a path or URL"),
        (["cells.csv", "out.parquet"], "one of IN and OUT must be a store"),
        (["spots.zarrvectors", "out.csv", "--append"], "no effect on converting a store to a file"),
        (["spots.zarrvectors", "out.csv", "--chunk-shape", "5"], "no effect"),
        (["spots.zarrvectors", "out.zv", "--positions", "x,y"], "no effect on converting a store to a store"),
        (["notes.doc", "out.zv"], "none of the suffixes"),
    ],
)
def test_wrong_options(
    table: Path, store: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:
    monkeypatch.chdir(table.parent)
    Path("notes.doc").write_text("text")
    assert message in misused("convert", *args)
    assert sorted(path.name for path in table.parent.iterdir()) == ["cells.csv", "notes.doc", store.name]


def test_what_is_not_there(tmp_path: Path, store: Path) -> None:
    assert fails("convert", tmp_path / "none.csv", tmp_path / "a.zv").endswith("none.csv: no such file or directory")
    assert "none.zv" in fails("convert", tmp_path / "none.zv", tmp_path / "a.csv")
    for command in (
        ["convert", store, tmp_path / "none" / "a.csv"],
        ["query", store, "-o", tmp_path / "none" / "a.csv"],
    ):
        told = f"the folder to write to does not exist (got {tmp_path / 'none'}); make it first"
        assert fails(*command) == told


def test_errors_name_the_wanted_file(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", zv.Points(np.ones((2, 3)), {"a": np.ones(2, complex)}))
    for command in (
        ["convert", tmp_path / "s", tmp_path / "a.parquet"],
        ["query", tmp_path / "s", "-o", tmp_path / "a.parquet"],
    ):
        assert fails(*command).startswith(f"{tmp_path / 'a.parquet'}: attribute 'a' cannot be written")


def test_a_file_of_several_batches_loses_nothing(tmp_path: Path) -> None:
    count = 1_300_000
    positions = np.arange(count, dtype=np.int32)[:, None] % np.array([1000, 1301], dtype=np.int32)
    np.savez(tmp_path / "many.npz", positions=positions)
    zvrun("convert", tmp_path / "many.npz", tmp_path / "many.zarrvectors")
    assert zvrun("query", tmp_path / "many.zarrvectors").out == f"{count}\n"


def test_a_bad_file_leaves_nothing_behind(tmp_path: Path) -> None:
    for name in ("bad.csv", "bad.las", "bad.ply", "bad.parquet", "bad.npz"):
        path = tmp_path / name
        path.write_bytes(b"\x00garbage\xff" * 20)
        assert name in fails("convert", path, tmp_path / "out.zv")
    assert not (tmp_path / "out.zv").exists()


# --- info -------------------------------------------------------------------------------------------------------------


def test_info_is_plain_in_a_pipe(store: Path) -> None:
    lines = zvrun("info", store).out.splitlines()
    assert lines[0].endswith("spots.zarrvectors")
    words = [line.split() for line in lines]
    assert ["geometry", "point_cloud"] in words
    assert ["vertices", "400"] in words
    assert ["objects", "40"] in words
    assert any(line[:3] == ["x", "micrometer", "space"] for line in words)
    assert ["area", "float32", "-", "-"] in words
    assert ["rgb", "uint8", "3", "-"] in words
    assert next(line for line in words if line[:1] == ["kind"])[-1] == "2"
    assert all(line.isascii() or not line for line in lines)


def test_info_as_json(store: Path) -> None:
    facts = json.loads(zvrun("info", store, "--json").out)
    assert facts["levels"][0]["vertex_count"] == COUNT
    assert [axis["name"] for axis in facts["axes"]] == ["x", "y", "z"]


# --- query ------------------------------------------------------------------------------------------------------------


def test_query_counts(store: Path) -> None:
    assert zvrun("query", store).out == f"{COUNT}\n"
    assert zvrun("query", store, "--count", "--object-ids", "3,5-6").out == "30\n"
    box = ([10, None, 20], [40.5, None, 80])
    expected = read(store, bbox=box).vertex_count
    assert zvrun("query", store, "--bbox", "10,,20,40.5,,80").out == f"{expected}\n"
    assert zvrun("query", store, "--bbox", "x=1000:").out == "0\n"


def test_query_csv(store: Path) -> None:
    found = zvrun("query", store, "--format", "csv", "--bbox", "x=:50")
    points = read(store, bbox={"x": (None, 50)})
    assert list(found.rows[0]) == ["x", "y", "z", "object_id", "area", "kind", "rgb_0", "rgb_1", "rgb_2"]
    assert [np.float32(row["x"]) for row in found.rows] == points.positions[:, 0].tolist()
    assert [row["kind"] or None for row in found.rows] == np.asarray(points.attributes["kind"]).tolist()
    areas = [np.float32(row["area"]) for row in found.rows]
    np.testing.assert_array_equal(np.array(areas), np.asarray(points.attributes["area"]))


def test_query_csv_is_what_convert_exports(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "spots.csv"
    zvrun("convert", store, file)
    with file.open() as lines:
        assert zvrun("query", store, "--format", "csv").rows == list(csv.DictReader(lines))


def test_letters_that_the_output_has_no_encoding_for(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", zv.Points([[1.0, 2.0]], {"größe": ["µm"]}))
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    commands = (["query", "--format", "csv"], ["query", "--where", "höhe > 1"], ["info"])
    done = [
        subprocess.run([*RUN, *command, str(tmp_path / "s")], env=env, capture_output=True, check=False)
        for command in commands
    ]
    assert [run.returncode for run in done] == [0, 1, 0]
    assert done[0].stdout.decode("utf-8") == "x,y,größe\n1.0,2.0,µm\n"
    assert "no attribute 'höhe'" in done[1].stderr.decode("utf-8")
    assert "größe" in done[2].stdout.decode("utf-8")


def test_query_json_lines(store: Path) -> None:
    lines = [json.loads(line) for line in zvrun("query", store, "--format", "jsonl").out.splitlines()]
    points = read(store)
    assert [line["rgb"] for line in lines] == np.asarray(points.attributes["rgb"]).tolist()
    assert [line["kind"] for line in lines] == np.asarray(points.attributes["kind"]).tolist()
    missing = np.isnan(np.asarray(points.attributes["area"]))
    assert [line["area"] is None for line in lines] == missing.tolist()
    assert [np.float32(line["x"]) for line in lines] == points.positions[:, 0].tolist()


def test_query_limit_and_attributes(store: Path) -> None:
    assert len(zvrun("query", store, "--format", "csv", "--limit", 7).rows) == 7
    assert zvrun("query", store, "--format", "csv", "--limit", 0, "--attributes", "").out == "x,y,z,object_id\n"
    assert len(zvrun("query", store, "--format", "csv", "--limit", 10**6).rows) == COUNT


def test_query_that_finds_nothing_still_names_columns(store: Path) -> None:
    found = zvrun("query", store, "--format", "csv", "--bbox", "x=1000:", "--attributes", "kind,area").out
    assert found == "x,y,z,object_id,kind,area\n"
    assert zvrun("query", store, "--format", "jsonl", "--bbox", "x=1000:").out == ""


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet", "rows.ndjson"])
def test_query_to_a_file(store: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    assert zvrun("query", store, "--output", file, "--limit", 20).out == ""
    if name == "rows.parquet":
        again = tmp_path / "again.zarrvectors"
        zvrun("convert", file, again)
        assert read(again).vertex_count == 20
    else:
        assert len(file.read_text().splitlines()) == 20 + (name == "rows.csv")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--format", "parquet"], "name it with --output"),
        (["--format", "xml"], "--format"),
        (["--limit", "5"], "--limit"),
        (["--limit", "-5", "--format", "csv"], "--limit"),
        (["--count", "--format", "csv"], "--count"),
        (["--output", "rows.txt"], "--output"),
        (["--bbox", "5,1"], "--bbox"),
        (["--level", "-1"], "--level"),
    ],
)
def test_query_wrong_options(store: Path, args: list[str], message: str) -> None:
    assert message in misused("query", store, *args)


def test_query_for_what_the_store_does_not_have(store: Path, tmp_path: Path) -> None:
    assert "height" in fails("query", store, "--format", "csv", "--attributes", "height")
    assert "12345" in fails("query", store, "--object-ids", "12345")
    assert fails("query", store, "--level", "3")
    assert fails("query", store, "--bbox", "0,0,1,1")
    assert fails("query", store, "--bbox", "q=0:1")
    missing = tmp_path / "rows.csv"
    fails("query", store, "--attributes", "height", "--output", missing)
    assert not missing.exists()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    store = tmp_path / "many.zarrvectors"
    zv.write(store, spots(60_000))
    command = " ".join(f"'{part}'" for part in [*RUN, "query", str(store), "--format", "csv"])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 2; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert len(done.stdout.splitlines()) == 2
    assert (done.returncode, done.stderr) == (141, "")


# --- plot -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--color", "area", "--cmap", "magma", "--size", "4x3", "--dpi", "60", "--point-size", "3"],
        ["--color", "kind", "--bbox", "x=10:60", "--axes", "x,z"],
        ["--color", "rgb", "--object-ids", "1-5", "--title", "five objects"],
        ["--color", "rgb[1]"],
        ["--color", "object_id"],
        ["--color", "z", "--bbox", "x=1000:"],
    ],
)
def test_plot(store: Path, tmp_path: Path, options: list[str]) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "spots.png"
    assert zvrun("plot", store, picture, *options).out.startswith(f"{picture}: ")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_of_a_sample(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(plot_command, "MOST_DRAWN", 150)
    picture = tmp_path / "spots.png"
    for color in ("area", "kind", "object_id", "rgb"):
        assert zvrun("plot", store, picture, "--color", color).out == f"{picture}: 134 of 400 points\n"


def test_plot_wrong_options(store: Path, tmp_path: Path) -> None:
    assert "png" in misused("plot", store, tmp_path / "spots.pdf")
    assert "--size" in misused("plot", store, tmp_path / "spots.png", "--size", "big")
    assert "choose one of area, kind, rgb, x, y, z, object_id" in fails(
        "plot", store, tmp_path / "spots.png", "--color", "height"
    )
    assert "axes must name" in fails("plot", store, tmp_path / "spots.png", "--axes", "x,q")
    assert not (tmp_path / "spots.png").exists()


# --- on a terminal ----------------------------------------------------------------------------------------------------


def on_terminal(*args: Any) -> tuple[int, str]:
    """Run the program with a terminal as its output; the exit code and what the terminal got."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        env.pop(name, None)
    process = subprocess.Popen([*RUN, *map(str, args)], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    got = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        got += block
    os.close(ours)
    return process.wait(10), got.decode()


def test_info_on_a_terminal_is_styled(store: Path) -> None:
    code, text = on_terminal("info", store)
    assert code == 0
    assert "\x1b[" in text
    assert "micrometer" in text


def test_progress_on_a_terminal(table: Path, tmp_path: Path) -> None:
    code, text = on_terminal("convert", table, tmp_path / "cells.zarrvectors")
    assert code == 0
    assert "converting" in text
    code, text = on_terminal("convert", table, tmp_path / "quiet.zarrvectors", "--quiet")
    assert (code, text) == (0, "")


def test_a_progress_bar_shows_rate_and_remaining_time_on_one_line() -> None:
    now, shown = [0.0], io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, color_system=None)
    progress = Progress(*bar_columns(), console=console, get_time=lambda: now[0], auto_refresh=False)
    task = progress.add_task("converting", total=1_000_000_000)
    for second in range(1, 6):
        now[0] = float(second)
        progress.update(task, completed=26_900_000 * second)
    console.print(progress.get_renderable())
    (line,) = shown.getvalue().splitlines()
    assert re.fullmatch(r"converting \S+ +13% 134,500,000, 26\.9 M vertices/s 0:00:33", line.strip())


def test_the_console_script_is_installed() -> None:
    programs = [shutil.which(name, path=str(Path(sys.executable).parent)) for name in ("zarr-vectors", "zv")]
    if None in programs:
        pytest.skip("the package is not installed in this environment")
    for found in programs:
        done = subprocess.run([str(found), "--version"], capture_output=True, check=True, text=True)
        assert done.stdout == f"zarr-vectors {zv.__version__}\n"
