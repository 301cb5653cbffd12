"""The group of parametric objects: there when asked for, and nothing written where nothing may be."""

from __future__ import annotations

from typing import Any

import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from zarr_vectors.core.parametric import BUILTIN_TYPES, ParametricTypeDef
from zarr_vectors.core.store import get_parametric_group, read_parametric_types, write_parametric_types
from zarr_vectors.exceptions import InputError, ReadOnlyError


def test_a_read_only_store_answers_without_writing() -> None:
    store = MemoryStore()
    zv.create_store(store)
    before = dict(store._store_dict)
    root = zv.open_store(store)
    group = get_parametric_group(root)
    assert (group.prefix, dict(group.attrs), list(group), group.children()) == ("parametric", {}, [], [])
    assert read_parametric_types(root) == []
    assert store._store_dict == before
    with pytest.raises(ReadOnlyError):
        write_parametric_types(root, BUILTIN_TYPES)
    with pytest.raises(ReadOnlyError):
        group.attrs["a"] = 1
    assert store._store_dict == before


@pytest.mark.parametrize("bad", [[5], {"7": {"name": "cone", "coefficients": ["a"]}}, [{"name": "cone"}]])
def test_what_is_no_type_is_refused(bad: Any) -> None:
    root = zv.create_store(MemoryStore())
    with pytest.raises(InputError, match="values of ParametricTypeDef"):
        write_parametric_types(root, bad)
    assert "parametric" not in root


def test_types_come_back_in_order_of_their_ids() -> None:
    store = MemoryStore()
    root = zv.create_store(store)
    assert "parametric" not in root
    circle = ParametricTypeDef(7, "circle", ("x", "y", "r"))
    write_parametric_types(root, [circle, *BUILTIN_TYPES])
    assert read_parametric_types(zv.open_store(store)) == [*BUILTIN_TYPES, circle]
    assert get_parametric_group(root).attrs["parametric_types"]["7"]["name"] == "circle"
    with pytest.raises(InputError, match="differ in type_id"):
        write_parametric_types(root, [circle, ParametricTypeDef(7, "disc", ("x",))])
    assert len(read_parametric_types(root)) == 4
