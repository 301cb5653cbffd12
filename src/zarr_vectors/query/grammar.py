"""Conditions on attributes as text: its grammar, and where it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from zarr_vectors.exceptions import InputError
from zarr_vectors.optional import require
from zarr_vectors.query.expressions import And, Compare, Expression, IsIn, IsNull, Not, Or, all_of

__all__ = ["GRAMMAR", "MOST_TEXT", "expression_of"]

MOST_TEXT = 300_000
"""Characters of the longest text that is taken."""

_MOST_DIGITS = 3900
_SHOWN = 70
"""Characters of the text that an error shows."""

GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: single (_AND single)*
?single: _NOT single -> opposite
    | "(" either ")"
    | operand (COMPARISON operand)+ -> comparison
    | name _IN values -> contained
    | name _NOT _IN values -> not_contained
    | name _IS NULL -> missing
    | name _IS _NOT NULL -> not_missing
    | name _BETWEEN operand _AND operand -> between
    | name _NOT _BETWEEN operand _AND operand -> not_between
values: "(" (operand ("," operand)*)? ")"
?operand: name | value
name: NAME | TICKED
value: NUMBER | TEXT | TRUE | FALSE | INFINITE | NAN | NULL

COMPARISON: "==" | "=" | "!=" | "<>" | "<=" | "<" | ">=" | ">"
_AND.2: /and\b/i
_OR.2: /or\b/i
_NOT.2: /not\b/i
_IN.2: /in\b/i
_IS.2: /is\b/i
NULL.2: /null\b/i
_BETWEEN.2: /between\b/i
TRUE.2: /true\b/i
FALSE.2: /false\b/i
INFINITE.2: /[+-]?inf\b/i
NAN.2: /[+-]?nan\b/i
NUMBER: /[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?/i
NAME: /((vertex|fragment|object|edge|face)\.)?[^\W\d]\w*/
TICKED: /`([^`]|``)+`/
TEXT: /'([^'\\]|''|\\.)*'/s | /"([^"\\]|""|\\.)*"/s
%ignore /\s+/
"""

_SAME = {"=": "==", "<>": "!="}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}

_VALUE = "a value (a number, text in quotes, true or false)"
_WORDS = {
    "NAME": "the name of an attribute",
    "TICKED": "the name of an attribute",
    **dict.fromkeys(("NUMBER", "TEXT", "TRUE", "FALSE", "INFINITE", "NAN"), _VALUE),
    "NULL": "null",
    "COMPARISON": "a comparison (= != < <= > >=)",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "$END": "the end",
}
_HINTS = {
    "'": "the text in quotes has no end",
    '"': "the text in quotes has no end",
    "`": "the name in backticks has no end, or is empty",
    "&": "write and",
    "|": "write or",
    "~": "write not",
    "!": "write not, or != for unequal",
    "/": "put the name of an attribute in backticks where it is not a word",
    ".": "put the name of an attribute in backticks where it is not a word; vertex, fragment, object, edge or face may "
    "stand before it",
    "-": "put the name of an attribute in backticks where it is not a word",
}


def expression_of(text: str) -> Expression:
    """The condition that a text tells; ``str`` of it tells the same.

    Raises:
        InputError: It cannot be understood; the error shows where.

    Example:
        >>> expression_of("0 < z <= 5")
        And(parts=(Compare(name='z', op='>', value=0), Compare(name='z', op='<=', value=5)))
        >>> expression_of("(x > 1")
        Traceback (most recent call last):
        zarr_vectors.exceptions.InputError: where cannot be understood (expected ), got the end); it goes wrong here:
          (x > 1
                ^
    """
    if len(text) > MOST_TEXT:
        raise InputError("where is too long", expected=f"at most {MOST_TEXT:,} characters", got=f"{len(text):,}")
    if not text.strip():
        raise InputError("where is empty", hint="leave it out to read everything")
    parser, wrong_token, wrong_character = _parser()
    try:
        found = parser.parse(text)
    except wrong_token as error:
        at = len(text) if error.token.type == "$END" else error.token.start_pos
        got = "the end" if error.token.type == "$END" else str(error.token)
        raise _error(text, at, _worded(error.accepts or error.expected), got) from None
    except wrong_character as error:
        at = error.pos_in_stream
        raise _error(text, at, _worded(error.allowed or ()), text[at], _HINTS.get(text[at])) from None
    except _WrongWordError as error:
        raise _error(text, error.at, error.expected, error.got, error.hint) from None
    assert isinstance(found, Expression)
    return found


@cache
def _parser() -> tuple[Any, type[Any], type[Any]]:
    """The parser, and what it raises for words and for characters that it does not expect."""
    lark = require("lark", "where= as text needs")
    # Conditions are made while the text is parsed, so that no depth of it needs a stack of Python.
    builder: Any = _Builder()
    parser = lark.Lark(GRAMMAR, parser="lalr", transformer=builder)
    return parser, lark.UnexpectedToken, lark.UnexpectedCharacters


class _WrongWordError(Exception):
    """Words that are well-formed but cannot be meant, at a place of the text."""

    def __init__(self, at: int, expected: str | None, got: str, hint: str | None = None) -> None:
        super().__init__(got)
        self.at, self.expected, self.got, self.hint = at, expected, got, hint


@dataclass(frozen=True)
class _Word:
    """The name of an attribute, or a value, and where it stands."""

    at: int
    text: str
    is_name: bool
    value: Any


class _Builder:
    """What each rule of the grammar makes of its parts."""

    def either(self, parts: list[Expression]) -> Expression:
        return Or(tuple(parts))

    def both(self, parts: list[Expression]) -> Expression:
        return And(tuple(parts))

    def opposite(self, parts: list[Expression]) -> Expression:
        return Not(parts[0])

    def comparison(self, parts: list[Any]) -> Expression:
        """``0 < z <= 5`` compares each two neighbours."""
        found = [_compared(left, str(op), right) for (left, right), op in _neighbours(parts)]
        return all_of(found)

    def contained(self, parts: list[Any]) -> Expression:
        return IsIn(parts[0].value, tuple(_value(word) for word in parts[1]))

    def not_contained(self, parts: list[Any]) -> Expression:
        return Not(self.contained(parts))

    def missing(self, parts: list[_Word]) -> Expression:
        return IsNull(parts[0].value)

    def not_missing(self, parts: list[_Word]) -> Expression:
        return Not(self.missing(parts))

    def between(self, parts: list[_Word]) -> Expression:
        name, low, high = parts
        return And((Compare(name.value, ">=", _value(low)), Compare(name.value, "<=", _value(high))))

    def not_between(self, parts: list[_Word]) -> Expression:
        return Not(self.between(parts))

    def values(self, parts: list[_Word]) -> list[_Word]:
        return parts

    def name(self, tokens: list[Any]) -> _Word:
        token = tokens[0]
        ticked = token.type == "TICKED"
        return _Word(token.start_pos, token, True, token[1:-1].replace("``", "`") if ticked else str(token))

    def value(self, tokens: list[Any]) -> _Word:
        token = tokens[0]
        return _Word(token.start_pos, str(token), False, _value_of(token))


def _value_of(token: Any) -> Any:
    match token.type:
        case "TEXT":
            return _unquoted(token)
        case "TRUE" | "FALSE":
            return token.type == "TRUE"
        case "INFINITE":
            return float(token)
        case "NUMBER":
            return _number(token)
    hint = "nothing equals a missing value: write is null, or is not null"
    raise _WrongWordError(token.start_pos, _VALUE, str(token), hint)


def _number(token: Any) -> int | float:
    if len(token) > _MOST_DIGITS:
        raise _WrongWordError(token.start_pos, f"at most {_MOST_DIGITS} digits", f"{len(token)} of them")
    return int(token) if token.lstrip("+-").isdigit() else float(token)


def _unquoted(token: Any) -> str:
    quote, inside = token[0], token[1:-1]

    def meant(found: re.Match[str]) -> str:
        pair = found.group()
        if pair[0] == "\\" and pair[1] not in _ESCAPES:
            at = token.start_pos + 1 + found.start()
            raise _WrongWordError(at, r"one of \\ \' \" \n \r \t", pair, "write a backslash itself twice")
        return _ESCAPES[pair[1]]

    return re.sub(rf"\\.|{quote}{quote}", meant, inside, flags=re.DOTALL)


def _value(word: _Word) -> Any:
    if word.is_name:
        raise _WrongWordError(word.at, _VALUE, word.text, "put text in quotes")
    return word.value


def _neighbours(parts: Sequence[Any]) -> Iterable[tuple[tuple[_Word, _Word], str]]:
    return zip(pairwise(parts[::2]), parts[1::2], strict=True)


def _compared(left: _Word, op: str, right: _Word) -> Expression:
    op = _SAME.get(op, op)
    if left.is_name and right.is_name:
        hint = "put text in quotes; attributes cannot be compared with each other"
        raise _WrongWordError(right.at, _VALUE, right.text, hint)
    if left.is_name:
        return Compare(left.value, op, right.value)
    if right.is_name:
        return Compare(right.value, _TURNED.get(op, op), left.value)
    raise _WrongWordError(right.at, "the name of an attribute", right.text, "names have no quotes, or backticks")


def _worded(terminals: Iterable[str]) -> str:
    """What was expected, in the order of the grammar's own words."""
    names = set(terminals)
    if "NUMBER" in names:
        # The grammar takes it for a value only to be able to say why it is none.
        names.discard("NULL")
    words = sorted({_WORDS.get(name, name.strip("_").lower()) for name in names}, key=lambda word: (-len(word), word))
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" or {words[-1]}" if words else "something else"


def _error(text: str, at: int, expected: str | None, got: str, hint: str | None = None) -> InputError:
    """An error with the place drawn under the text."""
    start = max(0, at - _SHOWN // 2)
    shown = re.sub(r"\s", " ", text[start : start + _SHOWN])
    picture = f"  {shown.rstrip()}\n  {' ' * (at - start)}^"
    return InputError(
        "where cannot be understood",
        expected=expected,
        got=got,
        hint=f"{hint or 'it goes wrong here'}:\n{picture}",
    )
