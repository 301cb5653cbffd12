"""The list of cells that an array has, as its document gives it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

__all__ = ["PresenceText"]

_KEY = b"0123456789.-"
_NEAR = 20_000
"""Bytes in which the next key is most often found; Python searches longer texts in another way, which begins slower."""


class PresenceText(Sequence[str]):
    """Chunk keys as the text of a JSON list, which is cut up when somebody asks for single keys.

    A list of a large array is most of what opening a level has to parse, and many reads need numbers only.

    Args:
        text: A JSON list of keys without spaces, as :meth:`of` has found it.
        length: How many keys.

    Example:
        >>> keys = PresenceText.of(b'["0.1","0.12"]')
        >>> len(keys), keys[1], keys == ["0.1", "0.12"]
        (2, '0.12', True)
        >>> PresenceText.of(b'["a.b"]') is None
        True
    """

    __slots__ = ("_items", "_length", "text")

    def __init__(self, text: bytes, length: int) -> None:
        self.text = text
        self._length = length
        self._items: list[str] | None = None

    @classmethod
    def of(cls, text: bytes) -> PresenceText | None:
        """The list that a text is; None where it may be something else than a list of texts of digits and dots."""
        between = text.translate(None, _KEY)
        length = len(between) // 3
        if not length or between != b"[" + b'"",' * (length - 1) + b'""]':
            return None
        return cls(text, length)

    def surely_has(self, keys: Iterable[str]) -> bool:
        """Whether all of these keys are listed, in the order of texts; False says nothing.

        For few keys this is much faster than cutting up the list. Lists of this library are in that order.

        Example:
            >>> keys = PresenceText.of(b'["0.1","0.10","0.2","1.2"]')
            >>> keys.surely_has(["0.2", "0.10"]), keys.surely_has(["0.3"])
            (True, False)
        """
        at = 0
        for key in ('"' + '"\n"'.join(sorted(keys)) + '"').encode().split(b"\n"):
            place = self.text.find(key, at, at + _NEAR)
            at = place if place >= 0 else self.text.find(key, at)
            if at < 0:
                return False
        return True

    @property
    def items(self) -> list[str]:
        """The keys."""
        if self._items is None:
            self._items = self.text[2:-2].decode().split('","')
        return self._items

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self.items[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    def __contains__(self, key: object) -> bool:
        return key in self.items

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PresenceText):
            return self.text == other.text
        return self.items == list(other) if isinstance(other, (list, tuple)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def __repr__(self) -> str:
        return f"PresenceText({self.text[:60]!r})"
