"""Stores that are written, appended to, edited, rechunked and so on, against a model in memory, after each step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import zarr_vectors as zv
from tests.edit.model import KINDS, LINKED, World, snapshot, value_of
from zarr_vectors.core.store import open_store

LABELS = st.sampled_from(["a", "b", "c", None])
SPOT = st.tuples(*[st.integers(0, 39).map(lambda n: n / 2)] * 2)
CUTS = st.sampled_from([5.0, 7.5, 40.0])
NUMBERS = itertools.count()


class Machine(RuleBasedStateMachine):
    """One store of one kind."""

    kind = "points"

    @initialize(data=st.data(), shards=st.sampled_from([None, 2]), keep_order=st.booleans(), cut=CUTS)
    def write(self, data: st.DataObject, shards: int | None, keep_order: bool, cut: float) -> None:
        self.world = World(self.kind)
        self.tags, self.ids = itertools.count(), itertools.count(3, 4)
        for _ in range(data.draw(st.integers(2, 4)) if self.kind != "cloud" else 1):
            self.more(data, self.world)
        self.world.groups = {} if self.kind == "cloud" else {0: {3, 7}, 1: set()}
        self.url = f"memory://edited-{next(NUMBERS)}"
        self.keep_order = keep_order
        layout = zv.Layout(chunk_shape=cut, shard_shape=shards, keep_order=keep_order, compressor="none")
        zv.write(self.url, value_of(self.world), layout=layout, bounds=([0, 0], [20, 20]))
        self.store = zv.open(self.url, "r+")
        self.row_ids: dict[int, int] = self.read_row_ids()

    def more(self, data: st.DataObject, world: World, owner: int | None = None) -> list[int]:
        """Vertices of a new object, or more of one; their tags."""
        count = data.draw(st.integers(2, 6))
        new = [next(self.tags) for _ in range(count)]
        if self.kind != "cloud":
            owner = next(self.ids) if owner is None else owner
            world.order.setdefault(owner, []).extend(new)
            world.size.setdefault(owner, float(data.draw(st.integers(0, 9))))
            world.owner |= dict.fromkeys(new, owner)
        spots = data.draw(st.lists(SPOT, min_size=count, max_size=count))
        labels = data.draw(st.lists(LABELS, min_size=count, max_size=count))
        world.place |= dict(zip(new, spots, strict=True))
        world.label |= dict(zip(new, labels, strict=True))
        if world.extra_name is not None:
            world.extra |= dict.fromkeys(new, 5)
        for number in range(1, count):
            above = data.draw(st.integers(0, number - 1))
            if self.kind in ("graph", "skeleton"):
                world.links[world.key((new[number], new[above]))] = float(number)
            elif self.kind == "mesh" and number > 1:
                world.links[world.key((new[number], new[number - 1], new[number - 2]))] = float(number)
        return new

    def read_row_ids(self) -> dict[int, int]:
        value = self.store[0].read(attributes=["tag"])
        if value.row_ids is None:
            return {}
        return dict(zip(value.attributes["tag"].tolist(), value.row_ids.tolist(), strict=True))

    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        if self.world.extra_name is not None:
            return
        tags = self.more(data, self.world)
        value = value_of(self.world, tags)
        if self.kind != "cloud":
            value = zv_without_groups(value)
        zv.write(self.url, value, mode="append")
        self.store = zv.open(self.url, "r+")

    @rule(cut=CUTS)
    def rechunk(self, cut: float) -> None:
        # Coarser levels tie chunks to their bins.
        if self.world.place and len(self.store) == 1:
            zv.rechunk(self.url, zv.RechunkSpec("spatial", spatial_chunk_shape=(cut, cut)))
            self.store = zv.open(self.url, "r+")

    @rule()
    def pyramid(self) -> None:
        if len(self.world.place) > 2 and all(map(self.world.order.get, self.world.order)):
            self.store.build_pyramid([(2, 1)], replace=True)

    @rule(data=st.data())
    def leave_dead_rows(self, data: st.DataObject) -> None:
        """Add rows to a chunk that no fragment names, as other writers do."""
        state = self.store[0].state
        present = state.vertices.present.tolist()
        if not present:
            return
        chunk, more = tuple(data.draw(st.sampled_from(present))), data.draw(st.integers(1, 3))
        rows, level = self.stored_rows([chunk]), open_store(self.url, mode="r+")["0"]
        said = dict(level.attrs["zarr_vectors_level"])
        said.pop("fragments_tile", None)
        level.attrs["zarr_vectors_level"] = said
        for name in state.cells:
            if name.partition("/")[0] in ("vertices", "vertex_attributes"):
                cell = level.read_bytes(name, chunk)
                level.write_bytes(name, chunk, cell + cell[: len(cell) // rows] * more)
        assert self.stored_rows([chunk]) == rows + more
        self.store = zv.open(self.url, "r+")

    @rule()
    def vacuum(self) -> None:
        present = self.store[0].state.vertices.present.tolist()
        dead = self.stored_rows(present) - len(self.world.place)
        assert self.store.vacuum().rows_dropped == dead
        assert self.stored_rows(self.store[0].state.vertices.present.tolist()) == len(self.world.place)

    def stored_rows(self, chunks: list[Any]) -> int:
        """Rows in the cells of positions, whether or not anything names them."""
        level, row = open_store(self.url)["0"], 2 * self.store[0].state.position_dtype.itemsize
        return sum(len(level.read_bytes("vertices", tuple(chunk))) // row for chunk in chunks)

    @rule(data=st.data(), fails=st.sampled_from([False, False, False, True]))
    def edit(self, data: st.DataObject, fails: bool) -> None:
        """Several changes in one block; now and then the block raises, and nothing may have changed."""
        work = Block(self, data)
        coarse = [level.vertex_count for level in self.store][1:]
        try:
            with self.store.edit(fill={"tag": -1, "extra": 5, "more": 5}) as e:
                for _ in range(data.draw(st.integers(1, 4))):
                    work.one(e)
                if fails:
                    raise RuntimeError("the block raises")
        except RuntimeError:
            assert fails
        except zv.exceptions.ConventionError:
            assert any(len(work.world.place) < count for count in coarse)
        else:
            self.world = work.world
            if len(self.store) > 1:
                assert self.store[1].is_stale or not work.changed

    @invariant()
    def is_as_the_model(self) -> None:
        level = zv.open(self.url)[0]
        assert snapshot(level, self.world) == self.world.snapshot()
        if self.keep_order:
            now = self.read_row_ids()
            assert len(set(now.values())) == len(now)
            assert all(self.row_ids.get(tag, row_id) == row_id for tag, row_id in now.items())
            seen = set(self.row_ids.values())
            assert all(row_id not in seen for tag, row_id in now.items() if tag not in self.row_ids)
            self.row_ids |= now

    def teardown(self) -> None:
        if hasattr(self, "store"):
            result = zv.validate(self.url)
            assert result.ok, result.summary()
            # A cut copy answers boxes as a mask does.
            box = ([4.0, 0.0], [11.0, 12.5])
            found = zv.open(self.url)[0].read(bbox=box, mode="vertices").attributes["tag"].tolist()
            inside = {t for t, p in self.world.place.items() if 4 <= p[0] <= 11 and 0 <= p[1] <= 12.5}
            assert sorted(found) == sorted(inside)


def zv_without_groups(value: Any) -> Any:
    """The value alone: groups are those of the store."""
    return replace(value, groups={})


class Block:
    """One block of edits, and what the model makes of it."""

    def __init__(self, machine: Machine, data: st.DataObject) -> None:
        self.machine, self.data, self.changed = machine, data, False
        self.world, self.before = deepcopy(machine.world), machine.world
        level = machine.store[0]
        self.level = level
        self.address: dict[int, tuple[int, int]] = {}
        self.read_order: dict[int, list[int]] = {}
        for one in self.before.order:
            tags = level.read(object_ids=[one], attributes=["tag"]).attributes["tag"].tolist()
            self.read_order[one] = tags
            self.address |= {tag: (one, place) for place, tag in enumerate(tags)}
        self.structural: set[int] = set()

    def one(self, e: zv.Edit) -> None:
        kind = self.machine.kind
        ways: list[Callable[[zv.Edit], None]] = [self.remove_where, self.remove_box, self.set_label, self.attribute]
        if kind == "cloud":
            ways += [self.add]
        else:
            ways += [self.move, self.update, self.remove, self.remove_objects, self.add, self.sizes]
            ways += [self.split, self.merge, self.extend]
        if self.machine.keep_order:
            ways += [self.by_row_id]
        if kind in LINKED:
            ways += [self.link, self.unlink]
        self.data.draw(st.sampled_from(ways))(e)

    def draw(self, strategy: Any) -> Any:
        return self.data.draw(strategy)

    def some(self, among: Any, most: int = 4) -> list[Any]:
        """Some of these, in any order; none where there are none."""
        known = sorted(among)
        return (
            list(self.draw(st.lists(st.sampled_from(known), min_size=1, max_size=most, unique=True))) if known else []
        )

    def whole(self) -> list[int]:
        """Objects of which nothing has changed in the block."""
        return [one for one in self.before.order if one in self.world.order and one not in self.structural]

    def known(self) -> list[int]:
        """Vertices that have an address and are there."""
        return [tag for tag in self.address if tag in self.world.place]

    def move(self, e: zv.Edit) -> None:
        for one in self.some(self.whole(), 1):
            tags = self.read_order[one]
            if all(tag in self.world.place for tag in tags) and tags:
                spots = self.draw(st.lists(SPOT, min_size=len(tags), max_size=len(tags)))
                e.move(one, spots)
                self.world.place |= dict(zip(tags, spots, strict=True))
                self.changed = True

    def update(self, e: zv.Edit) -> None:
        tags = self.some(self.known())
        if tags:
            spots = self.draw(st.lists(SPOT, min_size=len(tags), max_size=len(tags)))
            label = self.draw(LABELS)
            e.update([self.address[tag] for tag in tags], positions=spots, attributes={"label": label})
            self.world.place |= dict(zip(tags, spots, strict=True))
            self.world.label |= dict.fromkeys(tags, label)
            self.changed = True

    def by_row_id(self, e: zv.Edit) -> None:
        tags = self.some(tag for tag in self.machine.row_ids if tag in self.world.place and tag in self.before.place)
        if tags:
            label = self.draw(LABELS)
            e.update(row_ids=[self.machine.row_ids[tag] for tag in tags], attributes={"label": label})
            self.world.label |= dict.fromkeys(tags, label)
            self.changed = True

    def remove(self, e: zv.Edit) -> None:
        tags = self.some(self.known())
        if tags:
            e.remove([self.address[tag] for tag in tags])
            self.world.remove(set(tags))
            self.changed = True

    def remove_objects(self, e: zv.Edit) -> None:
        ids = self.some(self.world.order, 1)
        if ids:
            e.remove(object_ids=ids)
            self.world.remove_objects(set(ids))
            self.changed = True

    def remove_where(self, e: zv.Edit) -> None:
        label = self.draw(st.sampled_from(["a", "b"]))
        if label in (self.level.attributes["label"].categories or ()):
            e.remove(where={"label": label})
            gone = {tag for tag, known in self.before.label.items() if known == label}
            self.world.remove(gone & self.world.place.keys())
            self.changed = True

    def remove_box(self, e: zv.Edit) -> None:
        low, high = self.draw(SPOT), self.draw(st.sampled_from([2.0, 6.0]))
        box = (list(low), [low[0] + high, low[1] + high])
        whole = self.machine.kind not in ("cloud", "points") and self.draw(st.booleans())
        e.remove(bbox=box, mode="objects" if whole else "vertices")
        met = self.level.read(bbox=box, mode="objects" if whole else "vertices", attributes=["tag"])
        if whole:
            self.world.remove_objects(set(np.unique(met.vertex_objects).tolist()) & self.world.order.keys())
        else:
            self.world.remove(set(met.attributes["tag"].tolist()) & self.world.place.keys())
        self.changed = True

    def set_label(self, e: zv.Edit) -> None:
        label = self.draw(LABELS)
        ids = self.some(self.whole(), 2)
        if ids and self.draw(st.booleans()):
            e.set_attribute("label", label, object_ids=ids)
            tags = {tag for tag, owner in self.world.owner.items() if owner in ids}
        else:
            e.set_attribute("label", label)
            tags = set(self.world.place)
        self.world.label |= dict.fromkeys(tags, label)
        self.changed = True

    def sizes(self, e: zv.Edit) -> None:
        ids = self.some(self.world.order)
        if ids:
            e.set_object_attribute("size", dict.fromkeys(ids, 77.5))
            self.world.size |= dict.fromkeys(ids, 77.5)
            self.changed = True

    def attribute(self, e: zv.Edit) -> None:
        """Make an attribute, give it another name, or drop it."""
        world, name = self.world, self.world.extra_name
        if name is None:
            order = self.level.read(attributes=["tag"]).attributes["tag"].tolist()
            e.add_attribute("extra", np.arange(len(order)) if order else None, fill=5)
            world.extra = dict.fromkeys(world.place, 5) | {t: n for n, t in enumerate(order) if t in world.place}
            world.extra_name = "extra"
        elif name == "extra":
            e.rename("extra", "more")
            world.extra_name = "more"
        else:
            e.drop_attribute("more")
            world.extra, world.extra_name = {}, None
        self.changed = True

    def add(self, e: zv.Edit) -> None:
        tags = self.machine.more(self.data, self.world)
        value = value_of(self.world, tags)
        e.add(value if self.machine.kind == "cloud" else zv_without_groups(value))
        self.changed = True

    def extend(self, e: zv.Edit) -> None:
        for one in self.some(self.whole(), 1):
            tags = self.machine.more(self.data, self.world, one)
            self.structural.add(one)
            e.add(zv_without_groups(value_of(self.world, tags)), extend=True)
            self.changed = True

    def split(self, e: zv.Edit) -> None:
        for one in self.some(self.whole(), 1):
            tags = self.read_order[one]
            if len(tags) < 2 or not all(tag in self.world.place for tag in tags):
                return
            place = self.draw(st.integers(1, len(tags) - 1))
            if self.machine.kind == "skeleton":
                moved = below(self.world.links, tags[place])
                if len(moved) == len(tags):
                    return
                self.world.links = {k: w for k, w in self.world.links.items() if k[0] != tags[place]}
            else:
                moved = set(tags[place:])
            (new,) = e.split(one, at=place).tolist()
            self.machine.ids = itertools.count(max(new, *self.world.order) + 4)
            self.structural |= {one, new}
            self.world.order[new] = [tag for tag in self.world.order[one] if tag in moved]
            self.world.order[one] = [tag for tag in self.world.order[one] if tag not in moved]
            self.world.owner |= dict.fromkeys(moved, new)
            self.world.size[new] = self.world.size[one]
            for members in self.world.groups.values():
                members.update({new} if one in members else ())
            self.changed = True

    def merge(self, e: zv.Edit) -> None:
        ids = self.some(self.world.order, 3)
        if len(ids) > 1:
            into = self.draw(st.sampled_from(ids))
            assert e.merge(ids, into=into) == into
            world = self.world
            joined = [tag for one in ids for tag in world.order[one]]
            world.owner |= dict.fromkeys(joined, into)
            for members in world.groups.values():
                if members & set(ids):
                    members -= set(ids)
                    members.add(into)
            for one in ids:
                if one != into:
                    del world.order[one]
                    del world.size[one]
            world.order[into] = joined
            self.structural |= set(ids)
            self.changed = True

    def link(self, e: zv.Edit) -> None:
        kind, world = self.machine.kind, self.world
        tags = self.some(self.known(), 3)
        if len(tags) < (3 if kind == "mesh" else 2):
            return
        ends = tuple(tags[: 3 if kind == "mesh" else 2])
        if kind == "skeleton":
            child, parent = ends
            owned = world.owner[child] == world.owner[parent]
            if not owned or any(key[0] == child for key in world.links) or parent in below(world.links, child):
                return
        if world.key(ends) in world.links:
            return
        e.add_links([[self.address[tag] for tag in ends]], attributes={"weight": 9.0})
        world.links[world.key(ends)] = 9.0
        self.changed = True

    def unlink(self, e: zv.Edit) -> None:
        known = set(self.known())
        for ends in self.some((k for k in self.world.links if set(k) <= known), 1):
            e.remove_links([[self.address[tag] for tag in ends]])
            del self.world.links[ends]
            self.changed = True


def below(links: Any, top: int) -> set[int]:
    """A vertex of a tree and all that is below it."""
    found, fresh = set(), {top}
    while fresh:
        found |= fresh
        fresh = {child for child, parent in links if parent in fresh} - found
    return found


def machine_of(kind: str) -> type[Machine]:
    return type(f"Machine_{kind}", (Machine,), {"kind": kind})


@pytest.mark.parametrize("kind", KINDS)
def test_stores_stay_as_the_model_says(kind: str) -> None:
    run(machine_of(kind), settings(max_examples=4, stateful_step_count=6, phases=[Phase.generate]))


@pytest.mark.long
@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", KINDS)
def test_many_stores_stay_as_the_model_says(kind: str) -> None:
    run(machine_of(kind), settings(stateful_step_count=20))


def run(machine: type[Machine], how: settings) -> None:
    run_state_machine_as_test(machine, settings=how)
