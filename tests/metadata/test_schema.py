"""The shipped JSON Schemas are those of the models, and say what documents of stores look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.storage.stores import GOLDEN
from zarr_vectors.metadata.schema import SCHEMA_NAMES, json_schema, shipped_schema

HINT = "run `make schemas`"
DOCUMENTS = [json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*/**/zarr.json"))]


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_a_shipped_schema_is_that_of_its_model(name: str) -> None:
    assert shipped_schema(name) == json.loads(json.dumps(json_schema(name))), HINT


def documents(name: str) -> Iterator[Any]:
    """The documents of all golden stores that a schema is for."""
    for document in DOCUMENTS:
        attributes = document.get("attributes", {})
        if name == "array" and document["node_type"] == "array":
            yield document
        elif name != "array":
            key = {"root": "zarr_vectors", "level": "zarr_vectors_level"}[name]
            if key in attributes:
                yield attributes[key]


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_keys_of_golden_stores_are_known_and_required_ones_are_there(name: str) -> None:
    schema = shipped_schema(name)
    found = list(documents(name))
    assert found
    assert schema["additionalProperties"] is True
    for document in found:
        assert set(document) <= set(schema["properties"])
        assert set(schema.get("required", ())) <= set(document)
