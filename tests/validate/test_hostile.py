"""Whatever a store holds: a validation ends and returns what is wrong, and raises nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.stores import as_buffer, fewer_examples
from tests.validate.spoiling import build
from zarr_vectors.validate.problems import ValidationResult

BASES = ["points", "sharded", "graph", "skeleton", "lines", "parametric", "pyramid"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 7, 2**31, 2**53, 2**62, 2**64, 10**30, 0.5, -0.5, 1e308])


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("sound")
    found = {}
    for base in BASES:
        store = build(base, folder / base)
        files = sorted(path for path in store.rglob("*") if path.is_file())
        found[base] = {path.relative_to(store).as_posix(): path.read_bytes() for path in files}
    return found


def validated(content: dict[str, bytes]) -> ValidationResult:
    """Validated, after which text and JSON can be made of the result."""
    store = MemoryStore({path: as_buffer(data) for path, data in content.items()})
    result = zv.validate(store)
    assert result.summary()
    assert json.loads(json.dumps(result.to_json()))
    return result


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON document."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(place for key, part in inner for place in places(part, (*above, key)))]


@pytest.mark.parametrize("base", BASES)
@fewer_examples(5)
@given(data=st.data())
def test_any_value_in_any_document(contents: dict[str, dict[str, bytes]], base: str, data: st.DataObject) -> None:
    content = dict(contents[base])
    path = data.draw(st.sampled_from([path for path in content if path.endswith("zarr.json")]))
    document = json.loads(content[path])
    way = data.draw(st.sampled_from(places(document)[1:]))
    holder = document
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = data.draw(JSON | NUMBERS | st.lists(NUMBERS, min_size=1, max_size=4))
    content[path] = json.dumps(document).encode()
    validated(content)


@pytest.mark.parametrize("base", BASES)
@fewer_examples(6)
@given(data=st.data())
def test_any_bytes_in_any_object(contents: dict[str, dict[str, bytes]], base: str, data: st.DataObject) -> None:
    content = dict(contents[base])
    path = data.draw(st.sampled_from(sorted(content)))
    old = content[path]
    at = data.draw(st.integers(0, max(0, len(old) - 1)))
    new = data.draw(st.binary(max_size=12))
    content[path] = data.draw(st.sampled_from([old[:at], old[:at] + new, old[:at] + new + old[at + len(new) :], new]))
    changed = content[path] != old
    result = validated(content)
    # What lies in a shard between cells, and what ends a JSON document, may change without a difference.
    if changed and not path.endswith("zarr.json") and base not in ("sharded", "pyramid"):
        assert not result.ok


def test_a_shard_of_very_many_cells(contents: dict[str, dict[str, bytes]]) -> None:
    content = dict(contents["sharded"])
    document = json.loads(content["0/vertices/zarr.json"])
    document["chunk_grid"]["configuration"]["chunk_shape"] = [2**20, 2**20, 2**20]
    content["0/vertices/zarr.json"] = json.dumps(document).encode()
    assert not validated(content).ok
