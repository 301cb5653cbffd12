"""What a store is, as titled lists of facts and tables: the content of ``zarr-vectors info``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zarr_vectors.cli.console import byte_text

__all__ = ["Section", "Table", "describe"]

_COUNTS = (("lines", "line_count"), ("edges", "edge_count"), ("faces", "face_count"))
_WKT_NAME = re.compile(r'[A-Z_]+\["(?P<name>[^"]+)"')


@dataclass(frozen=True)
class Table:
    """Rows below column names."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading, the facts below it, and tables."""

    title: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...] = ()


def describe(info: Mapping[str, Any]) -> list[Section]:
    """The store as a whole, then each level.

    Args:
        info: As ``ZVStore.info`` gives it.
    """
    axes = info["axes"]
    return [_describe_store(info, axes), *(_describe_level(level, axes) for level in info["levels"])]


def _describe_store(info: Mapping[str, Any], axes: Sequence[Mapping[str, Any]]) -> Section:
    facts = [
        ("format", f"zarr vectors {info['zv_version']}"),
        ("geometry", ", ".join(info["geometry_types"])),
    ]
    if info.get("crs"):
        facts.append(("crs", _crs_text(info["crs"])))
    if info.get("published"):
        facts.append(("published", "yes: it cannot be changed"))
    if info.get("headers"):
        facts.append(("headers", ", ".join(info["headers"])))
    if not info["levels"]:
        facts.append(("levels", "none"))
    low, high = info["bounds"] or (["-"] * len(axes), ["-"] * len(axes))
    rows = tuple(
        (axis["name"], axis.get("unit") or "-", axis.get("type") or "-", _number(lower), _number(upper))
        for axis, lower, upper in zip(axes, low, high, strict=True)
    )
    return Section(str(info["url"]), tuple(facts), (Table(("axis", "unit", "type", "from", "to"), rows),))


def _describe_level(level: Mapping[str, Any], axes: Sequence[Mapping[str, Any]]) -> Section:
    vertices, size = level["vertex_count"], level["bytes"]
    each = f", {size / vertices:,.1f} per vertex" if vertices and size is not None else ""
    facts = [
        ("vertices", f"{vertices:,}"),
        *((word, f"{level[key]:,}") for word, key in _COUNTS if level.get(key) is not None),
        ("chunks", _pieces(level["chunk_count"], level["chunk_shape"], "of", axes)),
        ("shards", _shards(level["shard_count"], level["shard_shape"])),
        ("bytes", "-" if size is None else f"{byte_text(size)}{each}"),
        ("positions", _positions(level)),
        ("codecs", ", ".join(level["codec"])),
    ]
    if level.get("bin_shape") and level["bin_shape"] != level["chunk_shape"]:
        at = [word for word, _ in facts].index("shards")
        facts.insert(at, ("bins", _lengths(level["bin_shape"], axes)))
    if level.get("object_count"):
        facts.append(("objects", f"{level['object_count']:,}"))
    if level.get("group_count"):
        facts.append(("groups", f"{level['group_count']:,}"))
    facts += _pyramid_facts(level.get("pyramid"), axes)
    tables = [_attribute_table("attribute", level["attributes"])] if level["attributes"] else []
    if level.get("link_attributes"):
        title = "face attribute" if level.get("face_count") is not None else "edge attribute"
        tables.append(_attribute_table(title, level["link_attributes"]))
    for title, key in (("object attribute", "object_attributes"), ("group attribute", "group_attributes")):
        if level.get(key):
            rows = tuple((name, str(dtype)) for name, dtype in level[key].items())
            tables.append(Table((title, "dtype"), rows))
    return Section(f"level {level['level']}", tuple(facts), tuple(tables))


def _pyramid_facts(facts: Mapping[str, Any] | None, axes: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """How a coarser level was made."""
    if facts is None:
        return []
    told = [("made by", facts["method"])]
    if facts.get("max_error") is not None:
        told.append(("error", f"at most {_lengths([facts['max_error']], axes)} from level 0"))
    if facts.get("left_out"):
        told.append(("left out", ", ".join(facts["left_out"])))
    if facts.get("stale"):
        told.append(("stale", "yes: a finer level has changed; build it anew with zarr-vectors pyramid --refresh"))
    return told


def _attribute_table(title: str, attributes: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per attribute; columns that would be empty for all are left out."""
    values = {
        name: {
            "dtype": facts["dtype"],
            "channels": facts.get("channels") if (facts.get("channels") or 1) > 1 else None,
            "categories": facts.get("categories"),
            "unit": facts.get("unit"),
            "stored": "per fragment" if facts.get("per_fragment") else None,
        }
        for name, facts in attributes.items()
    }
    columns = [key for key in next(iter(values.values())) if any(row[key] is not None for row in values.values())]
    rows = tuple((name, *(_cell(row[key]) for key in columns)) for name, row in values.items())
    return Table((title, *columns), rows)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _pieces(count: int, shape: Sequence[float], word: str, axes: Sequence[Mapping[str, Any]]) -> str:
    return f"{count:,} {word} {_lengths(shape, axes)}"


def _lengths(shape: Sequence[float], axes: Sequence[Mapping[str, Any]]) -> str:
    units = {axis.get("unit") for axis in axes}
    unit = units.pop() if len(units) == 1 else None
    return " x ".join(_number(length) for length in shape) + (f" {unit}" if unit else "")


def _shards(count: int | None, shape: Sequence[int] | None) -> str:
    if shape is None:
        return "none, one object per chunk"
    return f"{count or 0:,} of {' x '.join(f'{length:,}' for length in shape)} chunks"


def _positions(level: Mapping[str, Any]) -> str:
    """Dtype of the positions, and what was done to them."""
    dtype = str(level["position_dtype"])
    if level.get("vertex_encoding", "raw") == "raw":
        return dtype
    facts = level.get("draco")
    error = (
        "unknown error"
        if facts is None
        else f"{facts['quantization_bits']} bits, off by {facts['max_error']:.3g} at most"
    )
    return f"{dtype}, {level['vertex_encoding']}: {error}"


def _crs_text(crs: Any) -> str:
    """The name or code of a coordinate reference system, as far as its JSON tells it."""
    if not isinstance(crs, Mapping):
        return str(crs)
    code = crs.get("id")
    if isinstance(code, Mapping) and "code" in code:
        return f"{code.get('authority', '')}:{code['code']}".lstrip(":")
    for key in ("name", "epsg", "wkt"):
        if crs.get(key):
            text = " ".join(str(crs[key]).split())
            named = _WKT_NAME.match(text)
            return named["name"] if named else f"EPSG:{text}" if key == "epsg" else text[:96]
    return ", ".join(map(str, crs))


def _number(value: Any) -> str:
    """A coordinate with thousands separators and no more digits than it has."""
    if not isinstance(value, (int, float)):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    whole, point, digits = f"{value:.9g}".partition(".")
    return f"{int(whole):,}{point}{digits}" if whole.lstrip("-").isdigit() and "e" not in digits else f"{value:.9g}"
