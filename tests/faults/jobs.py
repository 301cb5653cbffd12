"""Everything that changes a store, each on one that is made for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from zarr_vectors.core.store import add_resolution_level, open_store, remove_resolution_level, set_bounds
from zarr_vectors.formats.registry import ingest
from zarr_vectors.multiresolution.coarsen import coarsen_level
from zarr_vectors.pyramid import PyramidOptions, build_levels, coarsen_one, refresh_levels
from zarr_vectors.storage.storage import Storage

__all__ = ["JOBS", "Job"]

LAYOUT = zv.Layout(chunk_shape=10, shard_shape=None)
SHARDED = zv.Layout(chunk_shape=10, shard_shape=2)
LEVELS = [(2, 1), (2, 2), (2, 1)]
OTHER_LEVELS = [(4, 1), (4, 1)]
LINKED = PyramidOptions(factors=[(2.0, 1.0)], cross_level_storage="explicit", cross_level_depth=-1)


def cloud(seed: int, low: float = 0.0) -> zv.Points:
    """Points of two objects in about seven chunks."""
    rng = np.random.default_rng(seed)
    return zv.Points(
        rng.uniform(low, low + 25, (12, 2)),
        attributes={"weight": rng.uniform(size=12)},
        object_ids=np.repeat([10 * seed, 10 * seed + 1], 6),
        object_attributes={"size": rng.uniform(size=2)},
    )


def create(target: Any, layout: zv.Layout = LAYOUT) -> None:
    zv.write(target, cloud(1), layout=layout)


def row(target: Any, number: int, mode: Any = "append") -> None:
    """A store of few files: each change of an S3 server takes its time."""
    value = zv.Points([[25.0 * number, 1.0]], object_ids=[number])
    zv.write(target, value, mode=mode, out_of_bounds="expand", layout=LAYOUT)


def append(target: Any, low: float = -30.0) -> None:
    """From below the grid, so that stored objects get other names."""
    zv.write(target, cloud(2, low), mode="append", out_of_bounds="expand")


def replace(target: Any) -> None:
    """Another rank and another cut, so that files stand where folders stood."""
    other = cloud(3)
    wide = zv.Points(np.hstack([other.positions] * 2), attributes={"weight": other.attributes["weight"]})
    zv.write(target, wide, mode="replace", layout=SHARDED)


def stream(target: Any) -> None:
    """A value after another."""
    zv.write(target, (cloud(seed) for seed in (4, 5, 6)), layout=LAYOUT, bounds=([0, 0], [30, 30]))


def convert(target: Any) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        table = folder / "points.csv"
        np.savetxt(table, cloud(1).positions, delimiter=",", header="x,y", comments="")
        ingest(table, target)
    finally:
        # A disk that refuses this too is no failure of the conversion.
        shutil.rmtree(folder, ignore_errors=True)


def rechunk(target: Any) -> None:
    zv.rechunk(target, zv.RechunkSpec("object_id", spatial_chunk_shape=(15, 15)))


def bounds(target: Any, low: float, high: float) -> None:
    set_bounds(open_store(target, mode="r+"), ([low, low], [high, high]), force=True)


def amend(target: Any) -> None:
    with zv.open(target, "r+")[0].writer(out_of_bounds="expand") as writer:
        writer.add_attribute_sync("number", np.arange(12.0))
        writer.append_vertices_sync(cloud(2, -30.0))
        writer.add_object_attribute_sync("name", ["a", "b", "c", "d"])


def edit(target: Any) -> None:
    """All of the level anew: objects go, others come and take other places."""
    with zv.open(target, "r+").edit(out_of_bounds="expand") as e:
        e.remove(object_ids=[10])
        e.add(cloud(2, -30.0))
        e.rename("weight", "mass")
        e.move(11, by=[-7.0, 3.0])


def create_crowd(target: Any) -> None:
    """Points of two objects, several in each of nine chunks, and a coarser level."""
    rng = np.random.default_rng(9)
    value = zv.Points(rng.uniform(0, 30, (90, 2)), {"weight": rng.uniform(size=90)}, np.arange(90) // 45)
    zv.write(target, value, layout=zv.Layout(chunk_shape=10, shard_shape=2, keep_order=True))
    build(target)


def edit_a_part(target: Any, *, refresh: bool = False) -> None:
    """A few points, with the chunks that they leave and enter, one of which is new."""
    with zv.open(target, "r+").edit(out_of_bounds="expand", refresh=refresh) as e:
        e.update([(0, 1)], positions=[[-14.0, 8.0]], attributes={"weight": 7.5})
        e.set_attribute("weight", 0.5, row_ids=[60])
        e.remove(row_ids=[3])
        e.add([[15.0, 15.0]], object_ids=[7])


def edit_and_refresh(target: Any) -> None:
    """An edit and, as a commit of its own, the level that is stale after it."""
    with zv.open(target, "r+").edit(out_of_bounds="expand", refresh=True) as e:
        e.remove(object_ids=[10])
        e.add(cloud(2, -30.0))


def edit_or_refresh(target: Any, edit_it: Callable[[Any], None]) -> None:
    """What is left to be done of that."""
    store = zv.open(target, "r+")
    if store[1].is_stale:
        store.refresh_pyramid()
    else:
        edit_it(target)


edit_a_part_and_refresh = partial(edit_a_part, refresh=True)


def create_network(target: Any) -> None:
    """A graph of two objects, whose edges lead from chunk to chunk."""
    ends = np.stack([np.arange(5), np.arange(1, 6)], axis=1)
    value = zv.Graph(
        cloud(8).positions,
        np.concatenate([ends, ends + 6]),
        attributes={"weight": np.arange(12.0)},
        edge_attributes={"length": np.arange(10.0)},
        object_ids=np.repeat([3, 7], 6),
        object_attributes={"size": np.arange(2.0)},
    )
    zv.write(target, value, layout=zv.Layout(chunk_shape=10, shard_shape=2, keep_order=True))


def edit_network(target: Any) -> None:
    """Everything that is about connected vertices, in one block."""
    with zv.open(target, "r+").edit() as e:
        e.remove_links(row_ids=[[1, 2]])
        e.add_links(row_ids=[[0, 11]], attributes={"length": [9.0]})
        e.split(7, at=3)
        e.merge([3, 8])
        e.add_attribute("mark", 1)
        e.update(row_ids=[4], positions=[[9.0, 9.0]])


def edit_in_place(target: Any) -> None:
    """Values alone, of vertices that stay where they are and of their objects."""
    with zv.open(target, "r+").edit() as e:
        e.update(row_ids=[4, 9], attributes={"weight": [0.25, 0.75]})
        e.set_object_attribute("size", {7: 9.5})


def edit_columns(target: Any) -> None:
    """Attributes of vertices that come and go under the eyes of all others; one is copied as it is stored."""
    with zv.open(target, "r+").edit() as e:
        e.rename("weight", "mass")
        e.add_attribute("mark", 1)


def edit_without_an_object(target: Any) -> None:
    """An object goes with its edges, and those behind it in its chunks move up."""
    with zv.open(target, "r+").edit() as e:
        e.remove(object_ids=[3])


def edit_moved_object(target: Any) -> None:
    """A connected object leaves its chunks for others, some of which are new."""
    with zv.open(target, "r+").edit(out_of_bounds="expand") as e:
        e.move(7, by=[-17.0, 4.0])


def create_with_litter(target: Any) -> None:
    """A store with a file that belongs to nothing."""
    create(target)
    target.put_bytes("0/vertices/c/7/7", b"litter")


def create_with_dead_rows(target: Any) -> None:
    """Two levels with links between them, and rows that no fragment names, as other writers leave them."""
    create_linked_level(target)
    level = open_store(target, mode="r+")["0"]
    facts = dict(level.attrs["zarr_vectors_level"])
    facts.pop("fragments_tile")
    level.attrs["zarr_vectors_level"] = facts
    chunk = level.list_chunks("vertices")[0]
    for name, row_bytes in (("vertices", 16), ("vertex_attributes/weight", 8)):
        cell = level.read_bytes(name, chunk)
        level.write_bytes(name, chunk, cell + cell[:row_bytes] * 3)


def vacuum(target: Any) -> None:
    zv.open(target, "r+").vacuum()


def add_level(target: Any) -> None:
    add_resolution_level(open_store(target, mode="r+"), 1, 2)


def create_two_levels(target: Any) -> None:
    create(target)
    add_level(target)


def build(target: Any, *, replaced: bool = False) -> None:
    zv.open(target, "r+").build_pyramid([(2, 1)], replace=replaced)


def create_stale(target: Any) -> None:
    create(target)
    build(target)
    append(target)


def refresh(target: Any) -> None:
    zv.open(target, "r+").refresh_pyramid()


def build_levels_of(target: Any, factors: Any = LEVELS, *, replaced: bool = False) -> None:
    """Several levels, each a commit of its own."""
    zv.open(target, "r+").build_pyramid(factors, replace=replaced)


def create_level(target: Any) -> None:
    create(target)
    build(target)


def create_levels(target: Any) -> None:
    create(target)
    build_levels_of(target)


def create_stale_levels(target: Any) -> None:
    create_levels(target)
    append(target)


def coarsen(target: Any) -> None:
    coarsen_level(target, 1, 2, coarsen_factor=2)


def remove_level(target: Any) -> None:
    remove_resolution_level(open_store(target, mode="r+"), 1)


def create_linked_level(target: Any) -> None:
    """A store with a coarser level that links lead to."""
    create(target)
    build_levels(Storage(target), LINKED)


def add_linked_level(target: Any) -> None:
    """One more, with links over two levels, which other levels hold."""
    coarsen_one(Storage(target), 1, 2, LINKED)


def refresh_linked_level(target: Any) -> None:
    refresh_levels(Storage(target), PyramidOptions(), force=True)


def batched(target: Any) -> None:
    level = open_store(target, mode="r+")["0"]
    with level.batched_writes():
        for chunk in level.list_chunks("vertices"):
            level.write_bytes(
                "vertex_attributes/weight", chunk, level.read_bytes("vertex_attributes/weight", chunk)[::-1]
            )
        level.write_array("object_attributes/more", np.arange(6).reshape(2, 3))


@dataclass(frozen=True)
class Job:
    """A change of a store.

    Args:
        run: Makes it.
        before: Makes the store that it needs; None for none.
        again: What is run after the job was cut short; None for the job.
        several: Whether it is several commits, of which each leaves a whole store.
    """

    run: Callable[[Any], None]
    before: Callable[[Any], None] | None = create
    again: Callable[[Any], None] | None = None
    several: bool = False


JOBS = {
    "create": Job(create, None),
    "create from a stream": Job(stream, None),
    "convert": Job(convert, None),
    "append": Job(append),
    "append a row": Job(partial(row, number=-1), partial(row, number=0, mode="create")),
    "append into the same shards": Job(partial(append, low=5.0), partial(create, layout=SHARDED)),
    "replace": Job(replace),
    "rechunk": Job(rechunk),
    "grow the bounds": Job(partial(bounds, low=-30.0, high=60.0)),
    "shrink the bounds": Job(partial(bounds, low=3.0, high=18.0)),
    "amend": Job(amend),
    "edit": Job(edit),
    "edit a part": Job(edit_a_part, create_crowd),
    "edit and refresh": Job(
        edit_and_refresh, create_level, partial(edit_or_refresh, edit_it=edit_and_refresh), several=True
    ),
    "edit a part and refresh": Job(
        edit_a_part_and_refresh, create_crowd, partial(edit_or_refresh, edit_it=edit_a_part_and_refresh), several=True
    ),
    "edit a network": Job(edit_network, create_network),
    "edit in place": Job(edit_in_place, create_network),
    "edit columns": Job(edit_columns, create_network),
    "edit without an object": Job(edit_without_an_object, create_network),
    "edit a moved object": Job(edit_moved_object, create_network),
    "vacuum": Job(vacuum, create_with_litter),
    "vacuum linked levels": Job(vacuum, create_with_dead_rows),
    "add a level": Job(add_level),
    "build a pyramid": Job(build),
    "refresh a pyramid": Job(refresh, create_stale),
    "build levels": Job(build_levels_of, again=partial(build_levels_of, replaced=True), several=True),
    "build other levels": Job(
        partial(build_levels_of, factors=OTHER_LEVELS, replaced=True), create_levels, several=True
    ),
    "refresh levels": Job(refresh, create_stale_levels, several=True),
    "coarsen a level": Job(coarsen, create_level),
    "remove a level": Job(remove_level, create_two_levels),
    "add a linked level": Job(add_linked_level, create_linked_level),
    "build a linked level anew": Job(refresh_linked_level, create_linked_level),
    "batched writes": Job(batched),
}
