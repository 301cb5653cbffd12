"""Make the JSON Schemas that the package ships anew from the models of documents.

Usage: python scripts/make_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from zarr_vectors.metadata.schema import SCHEMA_NAMES, json_schema

FOLDER = Path(__file__).resolve().parents[1] / "src" / "zarr_vectors" / "metadata" / "schemas"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in SCHEMA_NAMES:
        text = json.dumps(json_schema(name), indent=2, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
