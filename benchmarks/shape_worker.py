"""One measurement of connected geometry, in a process of its own.

Started as ``python shape_worker.py JSON``; answers with one line of JSON. It runs in the environment of the contestant,
so that nothing but numpy and the contestant's own library may be imported here.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.shapes import make

LEAST_TIMES = 3
SHORT_SECONDS = 1.0
SHORT_TIMES = 5


def main() -> None:
    task = json.loads(sys.argv[1])
    if task["do"] == "make":
        print(json.dumps(make(task["kind"], task["size"], Path(task["data"]))))
        return
    contestant = CONTESTANTS[task["contestant"]](task["kind"])
    print(json.dumps(measure(contestant, task["operation"], Path(task["data"]), task["path"])))


def measure(contestant: Any, operation: str, data: Path, path: str) -> dict[str, Any]:
    """Time one operation; a question is asked three times, a short one more often, and the median counts.

    The first time, a process pays for memory that it has not used before, which is no part of the question.
    """
    arrays = dict(np.load(data))
    os.sync()
    if operation == "write":
        value = contestant.prepared(arrays)
        return _timed(lambda: contestant.write(value, path))
    questions: dict[str, Callable[[], int]] = {
        "read": lambda: contestant.read(path),
        "box": lambda: contestant.box(path, arrays["lo"], arrays["hi"]),
        "objects": lambda: contestant.objects(path, arrays["ids"]),
    }
    samples = [_timed(questions[operation])]
    while len(samples) < LEAST_TIMES or (
        len(samples) < SHORT_TIMES and sum(sample["wall"] for sample in samples) < SHORT_SECONDS
    ):
        samples.append(_timed(questions[operation]))
    middle = {name: statistics.median(sample[name] for sample in samples) for name in ("wall", "cpu")}
    return {**samples[0], **middle}


def _timed(operation: Callable[[], int | None]) -> dict[str, Any]:
    gc.collect()
    cpu, wall = process_time(), perf_counter()
    result = operation()
    wall, cpu = perf_counter() - wall, process_time() - cpu
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"wall": wall, "cpu": cpu, "peak": peak, "digest": result}


class Ours:
    """This library, at its defaults but for the chunk shape; boxes select what 0.9.2's select."""

    def __init__(self, kind: str) -> None:
        self.zv = importlib.import_module("zarr_vectors")
        # What is imported on first use is imported now, as that of the others is.
        for name in self.zv.__all__:
            getattr(self.zv, name)
        self.kind = kind

    def prepared(self, arrays: dict[str, Any]) -> Any:
        if self.kind == "streamlines":
            value = self.zv.Polylines(arrays["positions"], arrays["offsets"], kind="streamline")
        elif self.kind == "skeletons":
            value = self.zv.Skeleton(arrays["positions"], arrays["parents"], object_ids=arrays["object_ids"])
        else:
            value = self.zv.Mesh(arrays["positions"], arrays["faces"])
        return value, tuple(arrays["chunk"].tolist())

    def write(self, value: Any, path: str) -> None:
        self.zv.write(path, value[0], layout=self.zv.Layout(chunk_shape=value[1]))

    def read(self, path: str) -> int:
        return int(self.zv.open(path)[0].read().vertex_count)

    def box(self, path: str, lo: Any, hi: Any) -> int:
        mode = "objects" if self.kind == "streamlines" else "vertices"
        return int(self.zv.open(path)[0].read((lo, hi), mode=mode).vertex_count)

    def objects(self, path: str, ids: Any) -> int:
        return int(self.zv.open(path)[0].read(object_ids=ids).vertex_count)


class Peer:
    """The published package 0.9.2, unsharded."""

    shard_shape: tuple[int, ...] | None = None

    def __init__(self, kind: str) -> None:
        names = {"streamlines": "polylines", "skeletons": "graphs", "mesh": "meshes"}
        self.module: Any = importlib.import_module(f"zarr_vectors.types.{names[kind]}")
        self.kind = kind

    def prepared(self, arrays: dict[str, Any]) -> Any:
        common = {"chunk_shape": tuple(arrays["chunk"].tolist()), "compressor": "zstd", "shard_shape": self.shard_shape}
        positions = arrays["positions"]
        if self.kind == "streamlines":
            return [np.split(positions, arrays["offsets"][1:-1])], common
        if self.kind == "skeletons":
            child = np.flatnonzero(arrays["parents"] >= 0)
            edges = np.stack([child, arrays["parents"][child]], axis=1)
            return [positions, edges], {**common, "kind": "skeleton", "object_ids": arrays["object_ids"]}
        return [positions, arrays["faces"]], common

    def write(self, value: Any, path: str) -> None:
        names = {"streamlines": "write_polylines", "skeletons": "write_graph", "mesh": "write_mesh"}
        getattr(self.module, names[self.kind])(path, *value[0], **value[1])

    def _ask(self, path: str, **question: Any) -> int:
        names = {"streamlines": "read_polylines", "skeletons": "read_graph", "mesh": "read_mesh"}
        found = getattr(self.module, names[self.kind])(path, **question)
        return int(found["node_count"] if self.kind == "skeletons" else found["vertex_count"])

    def read(self, path: str) -> int:
        return self._ask(path)

    def box(self, path: str, lo: Any, hi: Any) -> int:
        return self._ask(path, bbox=(lo, hi))

    def objects(self, path: str, ids: Any) -> int:
        return self._ask(path, object_ids=ids.tolist())


class PeerSharded(Peer):
    """The same, sharded."""

    shard_shape = (8, 8, 8)


class MemoryMap:
    """The arrays of the field's own format as they lie in a TRX file, memory-mapped, searched by brute force."""

    def __init__(self, kind: str) -> None:
        self.names = {"streamlines": ("positions", "offsets"), "skeletons": ("positions", "parents", "object_ids")}.get(
            kind, ("positions", "faces")
        )
        self.kind = kind

    def prepared(self, arrays: dict[str, Any]) -> Any:
        return {name: arrays[name] for name in self.names}

    def write(self, value: Any, path: str) -> None:
        Path(path).mkdir()
        for name, array in value.items():
            np.save(f"{path}/{name}.npy", array)

    def _open(self, path: str) -> dict[str, Any]:
        return {name: np.load(f"{path}/{name}.npy", mmap_mode="r") for name in self.names}

    def read(self, path: str) -> int:
        arrays = [np.array(array) for array in self._open(path).values()]
        return len(arrays[0])

    def box(self, path: str, lo: Any, hi: Any) -> int:
        arrays = self._open(path)
        positions = arrays["positions"]
        inside = ((positions >= lo) & (positions <= hi)).all(axis=1)
        if self.kind != "streamlines":
            return int(inside.sum())
        offsets = np.array(arrays["offsets"])
        line = np.unique(np.searchsorted(offsets, np.flatnonzero(inside), side="right") - 1)
        return sum(len(np.array(positions[offsets[k] : offsets[k + 1]])) for k in line.tolist())

    def objects(self, path: str, ids: Any) -> int:
        arrays = self._open(path)
        if self.kind == "skeletons":
            return len(np.array(arrays["positions"][np.isin(arrays["object_ids"], ids)]))
        offsets = arrays["offsets"]
        return sum(len(np.array(arrays["positions"][offsets[k] : offsets[k + 1]])) for k in ids.tolist())


CONTESTANTS = {"ours": Ours, "peer": Peer, "peer_sharded": PeerSharded, "memmap": MemoryMap}

if __name__ == "__main__":
    main()
