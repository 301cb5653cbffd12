"""JSON Schemas of the documents, generated from their models, for whoever checks them with other tools."""

from __future__ import annotations

from importlib import resources

from pydantic.json_schema import GenerateJsonSchema

from zarr_vectors.constants import FORMAT_VERSION
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import Document, parse_json
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.typing import JsonObject

__all__ = ["SCHEMA_NAMES", "json_schema", "shipped_schema"]

_MODELS: dict[str, tuple[type[Document], str]] = {
    "root": (RootMetadata, "The object `zarr_vectors` in the attributes of a store's root group"),
    "level": (LevelMetadata, "The object `zarr_vectors_level` in the attributes of a level's group"),
    "array": (ArrayDocument, "The zarr.json of an array of a store"),
}
SCHEMA_NAMES = tuple(_MODELS)
"""The documents that there is a schema of."""


def json_schema(name: str) -> JsonObject:
    """The JSON Schema of a document, made from its model.

    Args:
        name: One of ``SCHEMA_NAMES``.

    Example:
        >>> schema = json_schema("level")
        >>> schema["properties"]["vertex_count"]["type"], schema["additionalProperties"]
        ('integer', True)
    """
    model, title = _MODELS[name]
    schema = model.model_json_schema()
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": f"{title}, format {FORMAT_VERSION}"}
    return {**head, **{key: value for key, value in schema.items() if key != "title"}}


def shipped_schema(name: str) -> JsonObject:
    """The same as the package ships it, in ``zarr_vectors/metadata/schemas/<name>.json``.

    Example:
        >>> shipped_schema("root") == json_schema("root")
        True
    """
    data = resources.files("zarr_vectors.metadata").joinpath("schemas", f"{name}.json").read_bytes()
    return parse_json(data, store="zarr_vectors", path=f"{name}.json")
