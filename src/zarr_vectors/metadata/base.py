"""What all documents share: frozen, keeping unknown keys, errors that list every problem."""

from __future__ import annotations

import json
from typing import Any, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from zarr_vectors import constants
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.metadata.presence import PresenceText
from zarr_vectors.typing import JsonObject

__all__ = ["Document", "DocumentParser", "dump_json", "parse_json"]

_PRESENCE_KEY = f'"{constants.NONEMPTY_CHUNKS}":'.encode()
_LEAST_SHARED = 1 << 10
"""Bytes of a list that is worth looking for."""
_NO_LIST = b"no list begins so"
_STANDS_FOR_LIST = uuid4().hex
"""Text that no document holds."""
_STAND_IN = json.dumps(_STANDS_FOR_LIST).encode()


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
        value = from_json(data)
    except ValueError as error:
        raise CorruptionError(
            "metadata document is not valid JSON", store=store, array=path, got=f"{len(data)} bytes: {error}"
        ) from error
    if not isinstance(value, dict):
        raise CorruptionError("metadata document is not a JSON object", store=store, array=path)
    if not isinstance(value.get("attributes") or {}, dict):
        raise CorruptionError("attributes of a metadata document are not a JSON object", store=store, array=path)
    return value


class DocumentParser:
    """Parses documents that belong together.

    Arrays of a level repeat one presence list, which is most of their text: the same text is parsed once, and the
    documents then share one list, which nobody may change.

    Args:
        store: URL, for messages.
        as_text: Whether to leave plain presence lists as they are written, a :class:`PresenceText`.

    Example:
        >>> text = dump_json({"attributes": {"nonempty_chunks": [f"0.{number}" for number in range(200)]}})
        >>> parser = DocumentParser("memory://")
        >>> first, second = (parser.parse(text, path=path)["attributes"] for path in ("a", "b"))
        >>> len(second["nonempty_chunks"]), first["nonempty_chunks"] is second["nonempty_chunks"]
        (200, True)
    """

    def __init__(self, store: str, *, as_text: bool = False) -> None:
        self._store = store
        self._as_text = as_text
        self._lists: dict[bytes, Any] = {}
        self._latest = _NO_LIST

    def parse(self, data: bytes, *, path: str) -> JsonObject:
        """Parse a document.

        Raises:
            CorruptionError: It is not a JSON object.
        """
        key = data.find(_PRESENCE_KEY)
        start = key + len(_PRESENCE_KEY)
        # Most often it is the same list again: comparing costs much less than looking it up.
        text = self._latest if data.startswith(self._latest, start) else data[start : data.find(b"]", start) + 1]
        if key < 0 or len(text) < _LEAST_SHARED:
            return parse_json(data, store=self._store, path=path)
        try:
            value = from_json(data[:start] + _STAND_IN + data[start + len(text) :])
            listed = self._lists.get(text)
            listed = self._list_of(text) if listed is None else listed
        except ValueError:
            return parse_json(data, store=self._store, path=path)
        attributes = value.get("attributes") if isinstance(value, dict) else None
        if not isinstance(attributes, dict) or attributes.get(constants.NONEMPTY_CHUNKS) != _STANDS_FOR_LIST:
            # The list stands elsewhere.
            return parse_json(data, store=self._store, path=path)
        attributes[constants.NONEMPTY_CHUNKS] = self._lists[text] = listed
        self._latest = text
        return dict(value)

    def _list_of(self, text: bytes) -> Any:
        """The JSON list that a text is."""
        listed = PresenceText.of(text)
        if listed is None:
            return from_json(text)
        return listed if self._as_text else listed.items


def dump_json(value: Any) -> bytes:
    """Serialise a document. NaN is refused: it is not JSON."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    """What JSON has, of what documents hold beside it."""
    if isinstance(value, PresenceText):
        return value.items
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
