"""Draw docs/pyramids.png: a mesh, a neuron, a tractogram and a LiDAR tile, each at three levels.

Needs the files that scripts/fetch_real_data.py fetches.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.image
from matplotlib.figure import Figure

import zarr_vectors as zv
from zarr_vectors.formats.registry import ingest
from zarr_vectors.view.plot import plot

ROOT = Path(__file__).resolve().parents[1]
FETCHED = ROOT / "tests" / "data" / "fetched"
LEVELS = 3


@dataclass(frozen=True)
class Example:
    """A row of the picture.

    Args:
        name: Of what is shown.
        file: Where it comes from.
        factors: Of its pyramid, as ``ZVStore.build_pyramid`` takes them.
        options: Of ``plot``.
    """

    name: str
    file: Path
    factors: list[tuple[float, float]]
    options: dict[str, Any]


EXAMPLES = (
    Example("Stanford dragon", FETCHED / "dragon.ply", [(8, 1), (2, 1)], {"axes": "xy"}),
    Example("a neuron", FETCHED / "mp_ma_40984_gc2.CNG.swc", [(4, 1), (4, 1)], {"axes": "xy", "color": "type"}),
    Example("300 streamlines", FETCHED / "tracks300.trk", [(4, 2), (4, 3)], {"color": "direction"}),
    Example("a LiDAR tile", ROOT / "demo" / "autzen_trim.laz", [(4, 1), (3, 1)], {"axes": "xy", "color": "z"}),
)


def main() -> None:
    """Write the picture."""
    figure = Figure(figsize=(12, 3.1 * len(EXAMPLES)), layout="constrained")
    places = figure.subplots(len(EXAMPLES), LEVELS)
    with tempfile.TemporaryDirectory() as folder:
        for row, example in zip(places, EXAMPLES, strict=True):
            pictures, titles = draw(example, Path(folder))
            for place, picture, title in zip(row, pictures, titles, strict=True):
                place.imshow(matplotlib.image.imread(picture))
                place.set_title(title, fontsize=9)
                place.set_axis_off()
    figure.savefig(ROOT / "docs" / "pyramids.png", dpi=110)


def draw(example: Example, folder: Path) -> tuple[list[Path], list[str]]:
    """A picture and a title for each level."""
    url = folder / f"{example.file.stem}.zarrvectors"
    ingest(example.file, str(url))
    store = zv.open(url, "r+")
    store.build_pyramid(example.factors)
    pictures, titles = [], []
    for level in store:
        value = level.read()
        pictures.append(plot(value, folder / f"{example.file.stem}-{level.number}.png", size=(4, 3), **example.options))
        error = f", error at most {level.error_bound:.3g}" if level.number else ""
        titles.append(f"{example.name}: {value.vertex_count:,} vertices{error}")
    return pictures, titles


if __name__ == "__main__":
    main()
