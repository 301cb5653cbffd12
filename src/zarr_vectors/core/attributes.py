"""The attributes of a group as a mapping that can be changed."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from zarr_vectors.core.node import Node, plain_attributes
from zarr_vectors.core.pending import GONE
from zarr_vectors.typing import JsonObject

__all__ = ["Attributes"]


class Attributes(MutableMapping[str, Any]):
    """Attributes of a group; each change is a commit, and a change inside a value is none.

    Example:
        >>> import zarr_vectors as zv
        >>> attrs = zv.create_store("memory://attributes-doc").attrs
        >>> attrs["user_metadata"] = {"mine": {"a": 1}}
        >>> "user_metadata" in attrs, attrs.pop("user_metadata"), "user_metadata" in attrs
        (True, {'mine': {'a': 1}}, False)
    """

    def __init__(self, group: Node) -> None:
        self._group = group

    def to_dict(self) -> JsonObject:
        """A copy of all attributes."""
        return self._group.read_array_meta("")

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self.to_dict():
            raise KeyError(key)
        self._group.merge_attributes("", {key: GONE})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several attributes in one commit."""
        self._group.merge_attributes("", plain_attributes(dict(*args, **kwargs)))

    def clear(self) -> None:
        """Remove all attributes in one commit."""
        self._group.merge_attributes("", dict.fromkeys(self.to_dict(), GONE))

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def __repr__(self) -> str:
        return f"Attributes({self.to_dict()})"
