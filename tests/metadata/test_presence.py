"""Presence lists that stay text until single keys are wanted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import DocumentParser, dump_json
from zarr_vectors.metadata.presence import PresenceText

KEYS = [f"{a}.{b}" for a in range(-2, 30) for b in range(9)]


def document(keys: list[str]) -> bytes:
    facts = ArrayDocument.build(
        shape=(40, 9), data_type="variable_length_bytes", chunk_shape=(1, 1), codecs=[{"name": "vlen-bytes"}],
        fill_value="", attributes={"first": 1, "nonempty_chunks": keys, "last": 2},
    )  # fmt: skip
    return dump_json(facts.to_json())


def test_a_text_is_the_list_that_it_stands_for() -> None:
    listed = PresenceText.of(json.dumps(KEYS, separators=(",", ":")).encode())
    assert listed is not None
    assert (len(listed), listed[3], listed[1:3], list(listed)) == (len(KEYS), KEYS[3], KEYS[1:3], KEYS)
    assert listed == KEYS
    assert listed == PresenceText.of(listed.text)
    assert listed != KEYS[:-1]
    assert listed != {}
    assert "3.4" in listed
    assert "3.40" not in listed
    assert repr(listed).startswith("PresenceText(b'[")


@given(st.text(alphabet='0123456789.-",[]\\ a', max_size=30))
def test_what_is_taken_for_a_list_is_json(text: str) -> None:
    listed = PresenceText.of(text.encode())
    if listed is not None:
        assert json.loads(text) == listed.items
        assert len(listed) == len(listed.items)


@pytest.mark.parametrize("text", ["[]", '[""]x', '["a.b"]', '["1.2", "3.4"]', '["1.2",3]', '["1\\u002e2"]', "null"])
def test_other_texts_are_left_to_a_parser(text: str) -> None:
    assert PresenceText.of(text.encode()) is None


def test_documents_with_a_text_are_written_as_they_were() -> None:
    data = document(KEYS)
    parsed = DocumentParser("memory://", as_text=True).parse(data, path="a")
    assert isinstance(parsed["attributes"]["nonempty_chunks"], PresenceText)
    assert dump_json(parsed) == data
    array = ArrayDocument.parse(parsed, where="a")
    assert dump_json(array.to_json()) == data
    assert dump_json(array.with_attributes(last=3).to_json()) == data.replace(b'"last":2', b'"last":3')


def test_nothing_else_is_written_as_json() -> None:
    with pytest.raises(TypeError, match="set"):
        dump_json({"a": {1}})
