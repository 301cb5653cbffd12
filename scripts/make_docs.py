"""Make the reference: one HTML page for each module, from its docstrings.

    python scripts/make_docs.py [FOLDER]

The pages go to docs/api unless a folder is given.
"""

from __future__ import annotations

import sys
from pathlib import Path
from pkgutil import walk_packages

import pdoc
import pdoc.render

import zarr_vectors

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "api"


def modules() -> list[str]:
    """Names of the package and of all modules in it, but for those that run when they are imported."""
    found = walk_packages(zarr_vectors.__path__, f"{zarr_vectors.__name__}.")
    names = [zarr_vectors.__name__, *(module.name for module in found)]
    return [name for name in names if not name.endswith("__main__")]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    pdoc.render.configure(docformat="google")
    pdoc.pdoc(*modules(), output_directory=folder)
    print(f"The pages are in {folder}; begin with {folder / 'index.html'}")


if __name__ == "__main__":
    main()
