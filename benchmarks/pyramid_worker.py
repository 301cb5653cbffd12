"""One pyramid, in a process of its own; started as ``python pyramid_worker.py JSON``, answers with one line of JSON.

It runs in the environment of the contestant, so that nothing but numpy and its own library may be imported here.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.shapes import mesh, streamlines

CHUNKS = 16
"""Along each axis: 4096 in all."""
BINS = 4
"""Of a chunk along each axis."""


def main() -> None:
    task = json.loads(sys.argv[1])
    done = globals()[f"{task['who']}_{task['what']}"](task["path"], task.get("size"))
    print(json.dumps(done or {}))


def timed(operation: Any) -> dict[str, Any]:
    """What it took, and what came out."""
    cpu, wall = process_time(), perf_counter()
    found = operation()
    wall, cpu = perf_counter() - wall, process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"wall": wall, "cpu": cpu, "peak": peak, "rows": found}


def points(size: int) -> Any:
    """``(size, 3)`` points, with a chunk shape that makes 4096 chunks."""
    random = np.random.default_rng(0)
    return np.concatenate(
        [random.uniform(0, 160, (min(10**6, size - k), 3)).astype("f4") for k in range(0, size, 10**6)]
    )


def ours_make_points(path: str, size: int) -> None:
    """A store of points, for a pyramid."""
    zv = importlib.import_module("zarr_vectors")
    edge = 160 / CHUNKS
    cloud = zv.Points(points(size), {"value": np.arange(size, dtype="f4")})
    zv.write(path, cloud, layout=zv.Layout(chunk_shape=edge, bin_shape=edge / BINS))


def ours_make_streamlines(path: str, size: int) -> None:
    """The same of streamlines."""
    zv = importlib.import_module("zarr_vectors")
    arrays = streamlines(np.random.default_rng(0), size)
    lines = zv.Polylines(arrays["positions"], arrays["offsets"], kind="streamline")
    zv.write(path, lines, layout=zv.Layout(chunk_shape=tuple(arrays["chunk"].tolist())))


def ours_make_mesh(path: str, size: int) -> None:
    """The same of a mesh."""
    zv = importlib.import_module("zarr_vectors")
    arrays = mesh(np.random.default_rng(0), size)
    zv.write(path, zv.Mesh(arrays["positions"], arrays["faces"]))


def peer_make_points(path: str, size: int) -> None:
    """A store of 0.9.2, of the same points in the same chunks and bins."""
    edge = 160 / CHUNKS
    module = importlib.import_module("zarr_vectors.types.points")
    attributes = {"value": np.arange(size, dtype="f4")}
    shapes = {"chunk_shape": (edge,) * 3, "bin_shape": (edge / BINS,) * 3}
    module.write_points(path, points(size), vertex_attributes=attributes, **shapes)


def peer_make_streamlines(path: str, size: int) -> None:
    """The same of streamlines, with bins, without which 0.9.2 makes no level."""
    arrays = streamlines(np.random.default_rng(0), size)
    chunk = tuple(arrays["chunk"].tolist())
    module = importlib.import_module("zarr_vectors.types.polylines")
    lines = np.split(arrays["positions"], arrays["offsets"][1:-1])
    module.write_polylines(path, lines, chunk_shape=chunk)
    document = json.loads((Path(path) / "zarr.json").read_text())
    document["attributes"]["zarr_vectors"]["base_bin_shape"] = [edge / 16 for edge in chunk]
    (Path(path) / "zarr.json").write_text(json.dumps(document))


def ours_build(path: str, size: int) -> dict[str, Any]:
    """So many levels, each of bins twice as large."""
    zv = importlib.import_module("zarr_vectors")
    importlib.import_module("zarr_vectors.pyramid.run")
    store = zv.open(path, "r+")

    def build() -> list[int]:
        return [level.vertex_count for level in store.build_pyramid([(2, 1)] * size).levels]

    return timed(build)


def ours_automatic(path: str, size: int) -> dict[str, Any]:  # noqa: ARG001 (as all)
    """All levels that there are by default."""
    zv = importlib.import_module("zarr_vectors")
    store = zv.open(path, "r+")
    return timed(lambda: [level.vertex_count for level in store.build_pyramid().levels])


def ours_tenth(path: str, size: int) -> dict[str, Any]:  # noqa: ARG001 (as all)
    """A mesh of about a tenth of the faces."""
    zv = importlib.import_module("zarr_vectors")
    importlib.import_module("zarr_vectors.pyramid.run")
    store = zv.open(path, "r+")
    return timed(lambda: [level.link_count for level in store.build_pyramid([(3, 1)]).levels])


def peer_build(path: str, size: int) -> dict[str, Any]:
    """The levels of 0.9.2, without links between them."""
    module = importlib.import_module("zarr_vectors.multiresolution.coarsen")

    def build() -> int:
        found = module.build_pyramid(path, factors=[(2.0, 1.0)] * size, cross_level_storage="none")
        return len(found.get("levels", found))

    return timed(build)


def simplification_tenth(path: str, size: int) -> dict[str, Any]:  # noqa: ARG001 (as all)
    """fast-simplification, of a mesh in memory."""
    arrays = mesh(np.random.default_rng(0), size)
    module = importlib.import_module("fast_simplification")
    return timed(lambda: len(module.simplify(arrays["positions"], arrays["faces"], target_reduction=0.9)[1]))


if __name__ == "__main__":
    main()
