"""Boxes, objects, groups and attributes, alone and together; batches; and what is not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.types.clouds import (
    assert_same_cloud,
    cloud,
    column_values,
    inside,
    joined,
    memory,
    rows_of,
    same_rows,
    short,
    uniform,
)
from zarr_vectors.exceptions import AttributeNotFoundError, InputError, ObjectNotFoundError

ROWS = 1500
IDS = np.random.default_rng(5).choice(np.array([-9, -1, 0, 3, 2**40, 77]), ROWS)
GROUPS: dict[int, Any] = {0: [3, -9], 2: [77], 3: [], 4: [3, 77, 0]}
POINTS = uniform(
    ROWS,
    seed=5,
    low=-20,
    high=20,
    attributes={"v": np.arange(ROWS), "w": np.ones((ROWS, 2), "u1"), "t": ["a", "b", "c"] * 500},
    object_ids=IDS,
    objects=[-9, -1, 0, 3, 2**40, 77, 1000],
    groups=GROUPS,
)
PLAIN = cloud(POINTS.positions, POINTS.attributes)
BOX = ([-15, -10, -20], [3, 12, 20])
SMALL = zv.Layout(chunk_shape=8)


@pytest.fixture(scope="module")
def level() -> zv.ZVLevel:
    place = memory()
    zv.write(place, POINTS, layout=SMALL)
    return zv.open(place)[0]


@pytest.fixture(scope="module")
def plain() -> zv.ZVLevel:
    place = memory()
    zv.write(place, PLAIN, layout=SMALL)
    return zv.open(place)[0]


def wanted(ids: Any = None, groups: Any = None, box: Any = None) -> Any:
    mask = np.ones(ROWS, dtype=bool) if box is None else inside(POINTS.positions, *box)
    if ids is None and groups is None:
        return mask
    members = [
        one
        for group in np.atleast_1d(groups if groups is not None else []).astype(int)
        for one in GROUPS.get(group, [])
    ]
    return mask & np.isin(IDS, [*np.atleast_1d(ids if ids is not None else []).astype(int), *members])


@pytest.mark.parametrize("box", [None, BOX, ([100] * 3, [101] * 3)])
@pytest.mark.parametrize("ids", [None, 3, [3], [77, -9], [1000], [], np.array([0, -1], dtype=">i4")])
@pytest.mark.parametrize("groups", [None, 0, [2, 0], [3], [1], [4, 0]])
def test_all_conditions_hold_at_once(level: zv.ZVLevel, box: Any, ids: Any, groups: Any) -> None:
    expected = POINTS.take(wanted(ids, groups, box))
    got = level.read(box, object_ids=ids, group_ids=groups)
    assert same_rows(got, expected)
    assert level.count(box, object_ids=ids, group_ids=groups) == expected.vertex_count
    batches = list(level.iter(box, object_ids=ids, group_ids=groups, batch_rows=70))
    assert_same_cloud(joined(batches), cloud(got.positions, got.attributes, got.object_ids))


def test_objects_come_in_the_order_asked_for(level: zv.ZVLevel) -> None:
    got = level.read(object_ids=[77, -9, 2**40])
    assert got.object_ids is not None
    assert list(dict.fromkeys(got.object_ids.tolist())) == [77, -9, 2**40]
    assert (np.diff([[77, -9, 2**40].index(one) for one in got.object_ids.tolist()]) >= 0).all()


def test_an_object_asked_for_twice_comes_once(level: zv.ZVLevel) -> None:
    assert same_rows(level.read(object_ids=[3, 77, 3]), level.read(object_ids=[3, 77]))
    assert same_rows(level.read(object_ids=[3], group_ids=[0, 0, 4]), level.read(object_ids=[3, -9, 77, 0]))


def test_a_read_of_everything_brings_the_tables(level: zv.ZVLevel) -> None:
    got = level.read()
    assert got.objects is not None
    assert got.objects.tolist() == [-9, -1, 0, 3, 77, 1000, 2**40]
    assert {group: members.tolist() for group, members in got.groups.items()} == {
        0: [3, -9], 1: [], 2: [77], 3: [], 4: [3, 77, 0],
    }  # fmt: skip


@pytest.mark.parametrize("names", [[], ["v"], "v", ["t", "v"], ["v", "v"], ("w",), np.array(["t"]), None])
def test_attributes_are_those_named(level: zv.ZVLevel, names: Any) -> None:
    expected = {"v", "w", "t"} if names is None else set(np.atleast_1d(names).tolist())
    for got in (level.read(attributes=names), level.read(BOX, attributes=names), *level.iter(attributes=names)):
        assert set(got.attributes) == expected
    rows = level.read(attributes=names)
    assert rows_of(rows) == rows_of(
        cloud(POINTS.positions, {name: POINTS.attributes[name] for name in expected}, POINTS.object_ids)
    )


@covering("batch_rows, box, which", [1, 7, 100, 499, 1500, 10**9], {"all": None, "box": BOX}, ["level", "plain"])
def test_batches_make_up_the_read(request: pytest.FixtureRequest, which: str, box: Any, batch_rows: int) -> None:
    level: zv.ZVLevel = request.getfixturevalue(which)
    batches = list(level.iter(box, batch_rows=batch_rows))
    whole = level.read(box)
    assert all(0 < batch.vertex_count <= batch_rows for batch in batches)
    assert column_values(joined(batches).positions) == column_values(whole.positions)
    assert same_rows(joined(batches), whole)


def test_there_is_always_a_batch(level: zv.ZVLevel) -> None:
    batches = list(level.iter(([100] * 3, [101] * 3)))
    assert [batch.vertex_count for batch in batches] == [0]
    assert set(batches[0].attributes) == {"v", "w", "t"}


@pytest.mark.parametrize("batch_rows", [0, -1, 2.5, "many", None, True])
def test_a_batch_size_that_cannot_be_meant_is_refused(level: zv.ZVLevel, batch_rows: Any) -> None:
    with pytest.raises(InputError, match="batch_rows"):
        list(level.iter(batch_rows=batch_rows))


def test_arguments_of_a_batched_read_are_checked_when_it_is_asked_for(level: zv.ZVLevel) -> None:
    with pytest.raises(InputError, match="bbox"):
        level.iter(([1], [0]))


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"object_ids": [5]}, ObjectNotFoundError, "no object 5"),
        ({"object_ids": [3, 5, 6]}, ObjectNotFoundError, "2 unknown of 3"),
        ({"group_ids": [9]}, ObjectNotFoundError, "0 to 4"),
        ({"group_ids": [-1]}, ObjectNotFoundError, "group"),
        ({"attributes": ["intensity"]}, AttributeNotFoundError, "'intensity'"),
        ({"attributes": ["vv"]}, AttributeNotFoundError, "did you mean"),
        ({"attributes": [3]}, AttributeNotFoundError, "3"),
        ({"object_ids": [1.5]}, InputError, "object_ids must be integers"),
        ({"object_ids": ["3"]}, InputError, "object_ids must be integers"),
        ({"object_ids": [True]}, InputError, "object_ids must be integers"),
        ({"object_ids": [[1]]}, InputError, "object_ids must be 1-D"),
        ({"object_ids": [2**63]}, InputError, "fit in int64"),
        ({"group_ids": 1.0}, InputError, "group_ids must be integers"),
        ({"attributes": 5}, InputError, "attributes"),
    ],
    ids=short,
)
def test_what_is_not_there_or_cannot_be_meant_is_named(
    level: zv.ZVLevel, options: dict[str, Any], error: type[Exception], told: str
) -> None:
    for ask in (level.read, lambda **given: list(level.iter(**given))):
        with pytest.raises(error, match=told):
            ask(**options)


def test_a_store_without_objects_says_so(plain: zv.ZVLevel) -> None:
    assert plain.read().object_ids is None
    assert not plain.has_objects
    assert plain.object_count == plain.group_count == 0
    assert len(plain.objects) == 0
    with pytest.raises(ObjectNotFoundError, match="no objects"):
        plain.read(object_ids=[1])
    with pytest.raises(ObjectNotFoundError, match="no objects"):
        plain.count(group_ids=[1])


def test_a_store_without_groups_says_so() -> None:
    place = memory()
    zv.write(place, cloud([[0.0]], object_ids=[1]))
    with pytest.raises(ObjectNotFoundError, match="no groups"):
        zv.open(place)[0].read(group_ids=[0])


def test_unknown_ids_are_key_errors_and_unknown_options_are_type_errors(level: zv.ZVLevel) -> None:
    with pytest.raises(KeyError):
        level.read(object_ids=[5])
    with pytest.raises(KeyError):
        level.read(attributes=["nothing"])
    with pytest.raises(TypeError):
        level.read(objects=[5])  # type: ignore[call-arg]


def test_row_ids_come_with_every_selection() -> None:
    place = memory()
    zv.write(place, POINTS, layout=zv.Layout(chunk_shape=8, keep_order=True))
    level = zv.open(place)[0]
    for got in (level.read(), level.read(BOX), level.read(object_ids=[3]), level.read(attributes=[]), *level.iter()):
        assert got.row_ids is not None
        np.testing.assert_array_equal(got.positions, POINTS.positions[got.row_ids])
    assert "row_id" not in level.attributes
