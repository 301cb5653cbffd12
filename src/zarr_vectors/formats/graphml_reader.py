"""The elements of a GraphML file as lists, read in one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.typing import AnyArray

__all__ = ["DTYPES", "NAMESPACE", "GraphText", "Key", "read_graphml"]

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
DTYPES: dict[str, Any] = {
    "boolean": np.dtype(bool),
    "int": np.dtype(np.int32),
    "long": np.dtype(np.int64),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "string": None,
}
"""The types of GraphML; None for text."""

_REFUSED = {"hyperedge": "hyperedges", "port": "ports"}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_WORDS = {"Infinity": "inf", "-Infinity": "-inf", "INF": "inf", "-INF": "-inf"}


@dataclass
class Key:
    """A column: what a ``key`` declares, and the values that elements have.

    Args:
        name: Its ``attr.name``.
        kind: Its ``attr.type``.
        default: Of elements without a value.
        rows: Numbers of the elements that have a value.
        values: These values.
    """

    name: str
    kind: str
    default: Any = None
    rows: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def column(self, count: int) -> Column:
        """A row for each of so many elements."""
        dtype = DTYPES[self.kind]
        if dtype is None:
            texts = np.full(count, self.default, dtype=object)
            texts[self.rows] = self.values
            return Categorical.from_values(texts, name=self.name)
        missing = np.ones(count, dtype=bool)
        missing[self.rows] = False
        lacks = self.default is None and missing.any()
        filler: Any = np.nan if lacks and dtype.kind == "f" else 0 if self.default is None else self.default
        column: AnyArray = np.full(count, filler, dtype=dtype)
        column[self.rows] = self.values
        return np.ma.MaskedArray(column, mask=missing) if lacks and dtype.kind != "f" else column


@dataclass
class GraphText:
    """The one graph of a file.

    Args:
        directed: Whether edges are.
        ids: Of nodes.
        node_lines: Of nodes.
        ends: Source and target of each edge.
        edge_lines: Of edges.
        edge_ids: Of edges; None where an edge has none.
        node_keys, edge_keys: Columns by the id of their ``key``; those of another program's drawings are left out.
    """

    directed: bool = False
    ids: list[str] = field(default_factory=list)
    node_lines: list[int] = field(default_factory=list)
    ends: list[tuple[str, str]] = field(default_factory=list)
    edge_lines: list[int] = field(default_factory=list)
    edge_ids: list[str | None] = field(default_factory=list)
    node_keys: dict[str, Key] = field(default_factory=dict)
    edge_keys: dict[str, Key] = field(default_factory=dict)


def read_graphml(path: Path) -> GraphText:
    """Read a GraphML file.

    Raises:
        IngestError: It is no XML, no GraphML, or holds something that a plain graph does not; with the line.
    """
    reader = _Reader(path)
    try:
        with path.open("rb") as file:
            reader.parser.ParseFile(file)
    except IngestError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        # An encoding that Python does not know is a LookupError, one of several bytes a ValueError.
        if isinstance(error, (KeyError, IndexError)):
            raise
        raise IngestError(f"{path} is not well-formed XML", got=f"{error}") from error
    if not reader.graphs:
        raise IngestError(f"{path} holds no graph", expected="an element graph in an element graphml")
    return reader.graph


class _Reader:
    """What is done at each tag."""

    def __init__(self, path: Path) -> None:
        self.graph = GraphText()
        self.graphs = 0
        self._path = path
        self._open: list[str] = []
        self._text: list[str] | None = None
        self._key: Key | None = None
        self._declared: list[Key] = []
        self._ignored: set[str] = set()
        self.parser: Any = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._entity

    def _error(self, what: str, got: str, expected: Any = None) -> IngestError:
        line = self.parser.CurrentLineNumber
        return IngestError(f"{self._path}: {what}", expected=expected, got=f"{got} in line {line}")

    def _entity(self, name: str, *_: Any) -> None:
        raise self._error("entities are not read", f"{name!r}")

    def _start(self, tag: str, given: dict[str, str]) -> None:
        space, _, name = tag.rpartition(" ")
        if not self._open and name != "graphml":
            raise self._error("this is no GraphML", f"<{name}>", "<graphml>")
        self._open.append(name)
        if space not in {NAMESPACE, ""}:
            return
        if self._text is not None and self._key is not None:
            raise self._error("a value must be text", f"<{name}>")
        if name in _REFUSED:
            raise self._error(f"{_REFUSED[name]} are not read", f"<{name}>")
        step: Callable[[dict[str, str]], None] | None = {
            "key": self._start_key,
            "default": self._start_default,
            "graph": self._start_graph,
            "node": self._start_node,
            "edge": self._start_edge,
            "data": self._start_data,
        }.get(name)
        if step is not None:
            step(given)

    def _start_key(self, given: dict[str, str]) -> None:
        ident, name, kind = given.get("id"), given.get("attr.name"), given.get("attr.type", "string")
        if ident is None:
            raise self._error("a key must have an id", "none")
        self._key, self._declared = None, []
        if name is None:
            self._ignored.add(ident)
            return
        if kind not in DTYPES:
            raise self._error("attr.type is not known", repr(kind), f"one of {', '.join(DTYPES)}")
        domain = given.get("for", "all")
        for wanted, keys in (("node", self.graph.node_keys), ("edge", self.graph.edge_keys)):
            if domain in {wanted, "all"}:
                if ident in keys:
                    raise self._error("a key is there twice", repr(ident))
                keys[ident] = self._key = Key(name, kind)
                self._declared.append(self._key)
        if self._key is None:
            self._ignored.add(ident)

    def _start_default(self, _: dict[str, str]) -> None:
        self._text = []

    def _start_graph(self, given: dict[str, str]) -> None:
        self.graphs += 1
        if self.graphs > 1:
            raise self._error("a file must hold one graph, and none inside another", f"graph {self.graphs}")
        self.graph.directed = given.get("edgedefault", "directed") == "directed"

    def _start_node(self, given: dict[str, str]) -> None:
        if "id" not in given:
            raise self._error("a node must have an id", "none")
        self.graph.ids.append(given["id"])
        self.graph.node_lines.append(self.parser.CurrentLineNumber)

    def _start_edge(self, given: dict[str, str]) -> None:
        if "source" not in given or "target" not in given:
            raise self._error("an edge must have a source and a target", f"{sorted(given)}")
        own = given.get("directed", str(self.graph.directed).lower())
        if _BOOLEANS.get(own) is not self.graph.directed:
            raise self._error("edges must all be directed, or none", f"directed={own!r}")
        self.graph.ends.append((given["source"], given["target"]))
        self.graph.edge_ids.append(given.get("id"))
        self.graph.edge_lines.append(self.parser.CurrentLineNumber)

    def _start_data(self, given: dict[str, str]) -> None:
        parent = self._open[-2]
        ident = given.get("key", "")
        self._key, self._text = None, None
        if parent not in {"node", "edge"} or ident in self._ignored:
            return
        keys = self.graph.node_keys if parent == "node" else self.graph.edge_keys
        if ident not in keys:
            raise self._error(f"the data of {parent}s names a key that there is not", repr(ident))
        self._key, self._text = keys[ident], []

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        name = tag.rpartition(" ")[2]
        self._open.pop()
        if name not in {"data", "default"} or self._text is None:
            return
        text, self._text = "".join(self._text), None
        if self._key is None:
            return
        value = self._value(self._key, text)
        if name == "default":
            for key in self._declared:
                key.default = value
            return
        elements = self.graph.ids if self._open[-1] == "node" else self.graph.ends
        row = len(elements) - 1
        if self._key.rows and self._key.rows[-1] == row:
            raise self._error("an element has two values of one key", repr(self._key.name))
        self._key.rows.append(row)
        self._key.values.append(value)

    def _value(self, key: Key, text: str) -> Any:
        """The value that a text stands for."""
        dtype = DTYPES[key.kind]
        if dtype is None:
            return text
        bare = text.strip()
        try:
            if dtype.kind == "b":
                return _BOOLEANS[bare.lower()]
            if dtype.kind == "f":
                return float(_WORDS.get(bare, bare))
            number = int(bare)
        except (ValueError, KeyError):
            raise self._error(f"{key.name!r} must be of type {key.kind}", repr(text[:80])) from None
        if not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
            raise self._error(f"{key.name!r} must fit in {dtype}", repr(text[:80]))
        return number
