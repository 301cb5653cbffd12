"""Text of the command line to values. Pure: nothing here knows typer, stores or files.

Every function takes the text of one option and raises ``ValueError`` with a message that tells what was wrong and
how it is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np

from zarr_vectors.pyramid.sparsity import STRATEGIES
from zarr_vectors.typing import IntArray, JsonObject

__all__ = [
    "BoxArgument",
    "parse_aggregations",
    "parse_ball",
    "parse_box",
    "parse_compressor",
    "parse_factors",
    "parse_fill",
    "parse_ids",
    "parse_kept",
    "parse_names",
    "parse_numbers",
    "parse_shape",
    "parse_shard_shape",
    "parse_size",
]

Side: TypeAlias = float | None
BoxArgument: TypeAlias = tuple[list[Side], list[Side]] | dict[str, tuple[Side, Side]]
Scalar: TypeAlias = bool | int | float | str

MAX_IDS = 2**26
"""The most ids that one option may name; a range beyond it is most likely a slip of the key."""

_ID_RANGE = re.compile(r"(?P<first>-?\d+)(?:(?:-|\.\.)(?P<last>-?\d+))?")
_LEVELS = {"zstd": range(1, 23), "gzip": range(1, 10)}
_INT64 = range(-(2**63), 2**63)


def parse_box(text: str) -> BoxArgument:
    """A closed box, as two corners or side by side for some of the axes. Empty sides are open.

    Raises:
        ValueError: It is neither, a number is none, or a lower side lies above its upper one.

    Example:
        >>> parse_box("0,0,0,10,10,2.5")
        ([0.0, 0.0, 0.0], [10.0, 10.0, 2.5])
        >>> parse_box("x=0:10,y=:5,z=3")
        {'x': (0.0, 10.0), 'y': (None, 5.0), 'z': (3.0, 3.0)}
    """
    if "=" in text or ":" in text:
        return _parse_named_box(text)
    parts = text.split(",")
    if len(parts) % 2 or len(parts) > 8:
        raise ValueError(
            f"{text!r} has {len(parts)} numbers; give two corners of as many numbers as there are axes, "
            "such as x0,y0,z0,x1,y1,z1, or name the axes as in x=0:10,y=:5"
        )
    half = len(parts) // 2
    lows = [_side(part, -math.inf) for part in parts[:half]]
    highs = [_side(part, math.inf) for part in parts[half:]]
    for axis, (low, high) in enumerate(zip(lows, highs, strict=True)):
        _check_order(f"axis {axis}", low, high)
    return lows, highs


def parse_ball(text: str) -> tuple[list[float], float]:
    """A centre and a radius.

    Raises:
        ValueError: It is no list of numbers, or the radius is negative.

    Example:
        >>> parse_ball("1,2,3,0.5")
        ([1, 2, 3], 0.5)
    """
    numbers = parse_numbers(text)
    if len(numbers) < 2 or numbers[-1] < 0:
        raise ValueError(f"{text!r} is no ball; give the centre and, last, the radius, such as x,y,z,r")
    return numbers[:-1], numbers[-1]


def parse_ids(text: str) -> IntArray:
    """Ids and closed ranges of ids, each once, in the order given.

    Raises:
        ValueError: An entry is no integer or range, runs backwards or does not fit in int64, or they are too many.

    Example:
        >>> parse_ids("9,1,3-5,4,-2").tolist()
        [9, 1, 3, 4, 5, -2]
    """
    ranges = []
    for part in _split(text, "ids such as 1,2,5-9"):
        match = _ID_RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no id; give integers and ranges such as 1,2,5-9")
        first = int(match["first"])
        last = first if match["last"] is None else int(match["last"])
        if first not in _INT64 or last not in _INT64:
            raise ValueError(f"{part!r} does not fit in 64 bits")
        if last < first:
            raise ValueError(f"{part!r} runs backwards; write the smaller id first")
        ranges.append((first, last - first + 1))
    if sum(count for _, count in ranges) > MAX_IDS:
        raise ValueError(f"more than {MAX_IDS:,} ids; give a smaller range, or none for all")
    ids = np.concatenate([np.arange(count, dtype=np.int64) + first for first, count in ranges])
    _, firsts = np.unique(ids, return_index=True)
    return np.asarray(ids[np.sort(firsts)])


def parse_names(text: str) -> list[str]:
    """Names separated by commas, each once; an empty text is no name at all.

    Raises:
        ValueError: A name is empty or repeated.

    Example:
        >>> parse_names("intensity, red"), parse_names("")
        (['intensity', 'red'], [])
    """
    if not text.strip():
        return []
    names = _split(text, "names such as intensity,red")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} is named more than once")
    return names


def parse_numbers(text: str) -> list[float]:
    """Finite numbers, whole ones as such.

    Raises:
        ValueError: One of them is none.

    Example:
        >>> parse_numbers("0, 2.5, 100")
        [0, 2.5, 100]
    """
    numbers = [_number(part) for part in _split(text, "numbers such as 0,10,100")]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{text!r} must be finite")
    return [int(number) if number.is_integer() else number for number in numbers]


def parse_shape(text: str) -> float | tuple[float, ...]:
    """One positive length for all axes, or one for each.

    Raises:
        ValueError: A length is no finite number above 0, or there are more than four.

    Example:
        >>> parse_shape("10"), parse_shape("10,10,2.5")
        (10.0, (10.0, 10.0, 2.5))
    """
    lengths = tuple(_number(part) for part in _split(text, "lengths such as 10,10,10, or one for all axes"))
    if any(not math.isfinite(length) or length <= 0 for length in lengths):
        raise ValueError(f"{text!r} must be finite and above 0")
    if len(lengths) > 4:
        raise ValueError(f"{text!r} has {len(lengths)} lengths; there are at most 4 axes")
    return lengths[0] if len(lengths) == 1 else lengths


def parse_shard_shape(text: str) -> Literal["auto"] | int | tuple[int, ...] | None:
    """Chunks per shard: ``auto``, ``none`` for no shards, one count for all axes, or one for each.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> parse_shard_shape("auto"), parse_shard_shape("none"), parse_shard_shape("8"), parse_shard_shape("8,8,4")
        ('auto', None, 8, (8, 8, 4))
    """
    word = text.strip().lower()
    if word == "auto":
        return "auto"
    if word == "none":
        return None
    parts = _split(text, "chunks per shard such as 8,8,8")
    if len(parts) > 4 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"{text!r} must be auto, none, or positive whole numbers of chunks such as 8,8,8")
    counts = tuple(int(part) for part in parts)
    return counts[0] if len(counts) == 1 else counts


def parse_compressor(text: str) -> str | list[JsonObject]:
    """A compressor by name, ``zstd`` and ``gzip`` also with a level.

    Raises:
        ValueError: The name or the level is not known.

    Example:
        >>> parse_compressor("zstd"), parse_compressor("gzip:6")
        ('zstd', [{'name': 'gzip', 'configuration': {'level': 6}}])
    """
    name, colon, level = text.strip().lower().partition(":")
    if not colon and name in ("zstd", "blosc", "none"):
        return name
    levels = _LEVELS.get(name)
    if levels is None or (colon and not (re.fullmatch(r"[0-9]{1,2}", level) and int(level) in levels)):
        raise ValueError(f"{text!r} is none of zstd, zstd:1 to zstd:22, gzip, gzip:1 to gzip:9, blosc, none")
    chosen: JsonObject = {"level": int(level) if colon else 6}
    return [{"name": name, "configuration": chosen | ({"checksum": True} if name == "zstd" else {})}]


def parse_fill(entries: Iterable[str]) -> dict[str, Scalar]:
    """``name=value`` pairs; a value is a number, true or false where it reads like one, else text.

    Raises:
        ValueError: An entry has no name or no ``=``, or a name comes twice.

    Example:
        >>> parse_fill(["class=2", "height=nan", "seen=false", "label=a=b"])
        {'class': 2, 'height': nan, 'seen': False, 'label': 'a=b'}
    """
    values: dict[str, Scalar] = {}
    for entry in entries:
        name, equals, text = entry.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ValueError(f"{entry!r} must be written name=value")
        if name in values:
            raise ValueError(f"{name} is given more than once")
        values[name] = _scalar(text)
    return values


def parse_aggregations(entries: Iterable[str]) -> dict[str, str]:
    """``name=how`` pairs.

    Raises:
        ValueError: An entry has no name or no ``=``, or a name comes twice.

    Example:
        >>> parse_aggregations(["class=mode", "height=max"])
        {'class': 'mode', 'height': 'max'}
    """
    return {name: str(how) for name, how in parse_fill(entries).items()}


def parse_factors(text: str) -> list[tuple[float, float]]:
    """A factor for each level, and of how many objects it keeps one after a colon.

    Raises:
        ValueError: Something in it is no number from 1.

    Example:
        >>> parse_factors("2,2,4:2")
        [(2.0, 1.0), (2.0, 1.0), (4.0, 2.0)]
    """
    pairs = [part.partition(":") for part in text.split(",")]
    try:
        found = [(float(factor), float(sparsity) if colon else 1.0) for factor, colon, sparsity in pairs]
    except ValueError as error:
        raise ValueError(f"{text!r} must be numbers, such as 2,2,4:2") from error
    if not all(1 <= number < math.inf for pair in found for number in pair):
        raise ValueError(f"{text!r} has a number that is not from 1: bins and objects of coarser levels grow no finer")
    return found


def parse_kept(text: str) -> tuple[str, str | None]:
    """Which objects stay, and the object attribute that tells.

    Raises:
        ValueError: There is no such choice.

    Example:
        >>> parse_kept("length"), parse_kept("attribute:size")
        (('length', None), ('attribute', 'size'))
    """
    strategy, _, attribute = text.partition(":")
    if strategy not in STRATEGIES or (strategy == "attribute") != bool(attribute):
        known = [*(one for one in STRATEGIES if one != "attribute"), "attribute:NAME"]
        raise ValueError(f"{text!r} must be one of {', '.join(known)}")
    return strategy, attribute or None


def parse_size(text: str) -> tuple[float, float]:
    """Width and height in inches, as ``8x6`` or ``8,6``.

    Raises:
        ValueError: It is not two numbers from 1 to 100.

    Example:
        >>> parse_size("8x6")
        (8.0, 6.0)
    """
    parts = re.split(r"[x×,]", text.strip().lower())
    if len(parts) != 2:
        raise ValueError(f"{text!r} must be a width and a height in inches, such as 8x6")
    width, height = (_number(part) for part in parts)
    if not (1 <= width <= 100 and 1 <= height <= 100):
        raise ValueError(f"{text!r} must lie between 1 and 100 inches")
    return width, height


def _parse_named_box(text: str) -> dict[str, tuple[Side, Side]]:
    sides: dict[str, tuple[Side, Side]] = {}
    for part in _split(text, "sides such as x=0:10,y=:5"):
        name, equals, span = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not span or span.count(":") > 1:
            raise ValueError(f"{part!r} must be written axis=from:to, where either side may be left out")
        if name in sides:
            raise ValueError(f"axis {name} is given more than once")
        low_text, colon, high_text = span.partition(":")
        low = _side(low_text, -math.inf)
        high = _side(high_text, math.inf) if colon else low
        _check_order(f"axis {name}", low, high)
        sides[name] = (low, high)
    return sides


def _split(text: str, example: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"{text!r} has an empty entry; give {example}")
    return parts


def _check_order(axis: str, low: Side, high: Side) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"{axis} runs from {low:g} down to {high:g}; write the smaller number first")


def _side(text: str, unlimited: float) -> Side:
    """A number, or None for an open side: left out, or infinite in the right direction."""
    if not text.strip():
        return None
    value = _number(text)
    if value == unlimited:
        return None
    if math.isinf(value):
        raise ValueError(f"{text.strip()!r} leaves nothing inside the box; leave a side empty to open it")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is no number") from None
    if math.isnan(value):
        raise ValueError("nan is no coordinate or length")
    return value


def _scalar(text: str) -> Scalar:
    word = text.strip()
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return text
