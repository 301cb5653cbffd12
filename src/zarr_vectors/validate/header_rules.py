"""Level 3: headers, and tables of parametric objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.typing import JsonObject
from zarr_vectors.validate.nodes import Nodes, attributes_of, is_group
from zarr_vectors.validate.problems import Findings
from zarr_vectors.validate.table_rules import read_chunks

__all__ = ["check_headers"]


def check_headers(storage: Storage, nodes: Nodes, findings: Findings) -> None:
    """Check what lies beside the levels."""
    for path, document in nodes.below(constants.HEADERS).items():
        if not is_group(document):
            findings.add("header_corrupt", f"{constants.HEADERS}/{path}", "it is an array, not a group")
    if constants.PARAMETRIC in nodes.documents:
        findings.attempt(constants.PARAMETRIC, lambda: _check_parametric(storage, nodes, findings), "header_corrupt")


def _check_parametric(storage: Storage, nodes: Nodes, findings: Findings) -> None:
    types = attributes_of(nodes.documents[constants.PARAMETRIC]).get("parametric_types") or {}
    coefficients = _coefficients(types, findings)
    tables: dict[str, TableArray] = {}
    for name, document in nodes.below(constants.PARAMETRIC).items():
        if is_group(document):
            continue
        path = f"{constants.PARAMETRIC}/{name}"
        try:
            tables[name] = TableArray(path, ArrayDocument.parse(document, where=path), findings.store)
        except MetadataError as error:
            findings.add_error("table_metadata", path, error)
    objects = tables.get("objects")
    count = 0 if objects is None else objects.rows
    for name, table in tables.items():
        parts = [values for _, values in read_chunks(storage, table, findings)]
        per_object = name == "names" or name.startswith(f"{constants.OBJECT_ATTRIBUTES}/")
        if per_object and table.rows != count:
            findings.add("table_rows", table.path, f"{table.rows} rows for {count} parametric objects")
        if table is objects and all(values is not None for values in parts):
            rows = np.concatenate([np.zeros((0, *table.document.shape[1:])), *parts])
            _check_rows(table, rows, coefficients, findings)


def _coefficients(types: Any, findings: Findings) -> dict[int, int]:
    """Number of coefficients of each type."""
    found: dict[int, int] = {}
    for number, said in types.items() if isinstance(types, dict) else ():
        names = said.get("coefficients") if isinstance(said, dict) else None
        if not str(number).isdecimal() or not isinstance(names, list):
            findings.add("header_corrupt", constants.PARAMETRIC, f"type {number!r} is malformed")
        else:
            found[int(number)] = len(names)
    return found


def _check_rows(table: TableArray, rows: Any, coefficients: dict[int, int], findings: Findings) -> None:
    said: JsonObject = table.document.attributes
    stated = said.get("num_objects", len(rows))
    if stated != len(rows):
        findings.add("table_rows", table.path, f"num_objects is {stated}, there are {len(rows)} rows")
    if rows.ndim != 2 or not rows.shape[1]:
        findings.add("header_corrupt", table.path, f"objects have the shape {rows.shape}")
        return
    for row in np.flatnonzero(~np.isin(rows[:, 0], list(coefficients))).tolist():
        findings.add("header_corrupt", table.path, f"type {rows[row, 0]} is not one of those of the store", cell=row)
    known = np.flatnonzero(np.isin(rows[:, 0], list(coefficients)))
    needed = np.array([coefficients[int(number)] for number in rows[known, 0]], dtype=np.int64)
    given = np.isfinite(rows[known, 1:]).sum(axis=1)
    for at in np.flatnonzero(given < needed).tolist():
        findings.add("header_corrupt", table.path, f"{given[at]} coefficients of {needed[at]}", cell=int(known[at]))
