"""Parsing and writing documents."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.metadata import base
from zarr_vectors.metadata.base import dump_json, parse_json
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"null", b"[]", b'"x"', b"7", b'{"attributes": [1]}', b"{}{}"]
)
def test_what_is_no_document_is_corruption_with_its_place(data: bytes) -> None:
    with pytest.raises(CorruptionError) as caught:
        parse_json(data, store="s3://bucket/store", path="0/zarr.json")
    assert (caught.value.store, caught.value.array) == ("s3://bucket/store", "0/zarr.json")


@pytest.mark.parametrize("data", [b"{}", b'{"attributes": null}', b'{"attributes": {}, "other": 1}'])
def test_documents_without_attributes_are_documents(data: bytes) -> None:
    assert isinstance(parse_json(data, store="s", path="p"), dict)


def test_json_is_written_short_and_without_nan() -> None:
    assert dump_json({"a": [1, 2.5], "b": None}) == b'{"a":[1,2.5],"b":null}'
    with pytest.raises(ValueError, match="JSON"):
        dump_json({"a": math.nan})


def test_unknown_keys_survive_and_values_that_were_not_set_are_not_written() -> None:
    facts: dict[str, Any] = {"level": 2, "vertex_count": 5, "later": {"deep": [1, None]}}
    level = LevelMetadata.parse(facts, where="2/zarr.json")
    assert level.to_json() == facts
    assert level.replace(vertex_count=6).to_json() == {**facts, "vertex_count": 6}


def test_documents_cannot_be_changed_in_place() -> None:
    level = LevelMetadata.parse({}, where="x")
    with pytest.raises(ValueError, match="frozen"):
        setattr(level, "vertex_count", 3)  # noqa: B010


def test_every_problem_of_a_document_is_listed() -> None:
    facts = {"chunk_shape": [1, 0], "bounds": 5, "geometry_types": 7}
    with pytest.raises(MetadataError) as caught:
        RootMetadata.parse(facts, where="zarr.json")
    assert [problem.split(":")[0].split(".")[0] for problem in caught.value.problems] == [
        "chunk_shape",
        "bounds",
        "geometry_types",
    ]
    assert caught.value.array == "zarr.json"


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_what_is_no_object_is_malformed(data: Any) -> None:
    with pytest.raises(MetadataError, match=r"zarr\.json"):
        RootMetadata.parse(data, where="zarr.json")


LISTS = st.lists(st.sampled_from(["0.0", "1.2", "a]b", 'q"x', '],"nonempty_chunks":[', "ü"]), max_size=4)
TRAPS: list[Any] = [{}, {"nonempty_chunks": ["0.0"]}, {"x": {"nonempty_chunks": []}}, {"nonempty_chunks": 7}]


@given(st.lists(st.tuples(LISTS, st.integers(0, 3), st.sampled_from(TRAPS), st.booleans()), max_size=6))
def test_documents_with_the_same_presence_list_parse_as_each_alone(
    cases: list[tuple[list[str], int, Any, bool]],
) -> None:
    parser = base.DocumentParser("memory://")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "_LEAST_SHARED", 0)
        for keys, number, trap, spaced in cases:
            attributes = {"number": number, "nonempty_chunks": keys, "last": True}
            document = {"before": trap, "attributes": attributes, "after": trap}
            separators = (", ", ": ") if spaced else (",", ":")
            text = json.dumps(document, separators=separators).encode()
            assert parser.parse(text, path="a") == document


@pytest.mark.parametrize("rest", [b"", b"]", b"]]}}", b"}}"])
def test_a_document_that_is_cut_is_told_as_such(monkeypatch: pytest.MonkeyPatch, rest: bytes) -> None:
    monkeypatch.setattr(base, "_LEAST_SHARED", 0)
    parser = base.DocumentParser("memory://")
    assert parser.parse(b'{"attributes":{"nonempty_chunks":["0.0"]}}', path="a")
    with pytest.raises(CorruptionError, match="not valid JSON"):
        parser.parse(b'{"attributes":{"nonempty_chunks":["0.0"' + rest, path="b")
