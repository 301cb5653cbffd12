"""What all documents share: frozen, keeping unknown keys, errors that list every problem."""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.typing import JsonObject

__all__ = ["Document", "dump_json", "parse_json"]


class Document(BaseModel):
    """A JSON object with known keys; unknown keys are kept and written again."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    @classmethod
    def parse(cls, data: Any, *, where: str) -> Self:
        """Build from parsed JSON.

        Args:
            where: The document's place, named in errors.

        Raises:
            MetadataError: With every problem found.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}" for item in error.errors()]
            raise MetadataError(
                f"metadata of {where} is malformed: {problems[0]}", problems=problems, array=where
            ) from error

    def replace(self, **changes: Any) -> Self:
        """A checked copy with other values."""
        return type(self).parse({**self.model_dump(exclude_unset=True), **changes}, where=type(self).__name__)

    def to_json(self) -> JsonObject:
        """The JSON object, without keys that were never set."""
        return self.model_dump(mode="json", exclude_unset=True)


def parse_json(data: bytes, *, store: str, path: str) -> JsonObject:
    """Parse a document of a store.

    Raises:
        CorruptionError: It is not a JSON object.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise CorruptionError(
            "metadata document is not valid JSON", store=store, array=path, got=f"{len(data)} bytes: {error}"
        ) from error
    if not isinstance(value, dict):
        raise CorruptionError("metadata document is not a JSON object", store=store, array=path)
    if not isinstance(value.get("attributes") or {}, dict):
        raise CorruptionError("attributes of a metadata document are not a JSON object", store=store, array=path)
    return value


def dump_json(value: Any) -> bytes:
    """Serialise a document. NaN is refused: it is not JSON."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
