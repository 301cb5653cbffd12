"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import typer

from zarr_vectors.cli.console import checked
from zarr_vectors.cli.parse import BoxArgument, parse_ball, parse_box, parse_ids, parse_names
from zarr_vectors.typing import IntArray

__all__ = [
    "AttributesOption",
    "BoxOption",
    "GroupIdsOption",
    "LevelOption",
    "Mode",
    "ModeOption",
    "NearOption",
    "ObjectIdsOption",
    "PerFragmentOption",
    "Picked",
    "QuietOption",
    "StoreArgument",
    "WhereOption",
]


class Mode(StrEnum):
    """What a box selects."""

    VERTICES = "vertices"
    OBJECTS = "objects"
    CLIP = "clip"


StoreArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="STORE", help="Path or URL of a store.", show_default=False)
]
BoxOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--bbox",
        metavar="BOX",
        help="Only what lies in this closed box: x0,y0,z0,x1,y1,z1, or x=0:10,y=:5 for some axes and open sides.",
    ),
]
ObjectIdsOption: TypeAlias = Annotated[
    str | None, typer.Option("--object-ids", metavar="IDS", help="Only these objects: 1,2,5-9.")
]
GroupIdsOption: TypeAlias = Annotated[
    str | None, typer.Option("--group-ids", metavar="IDS", help="Only the objects of these groups: 0,2-3.")
]
WhereOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Only what meets this condition on attributes: \"intensity > 100 and class in ('a', 'b')\".",
    ),
]
NearOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--near", metavar="BALL", help="Only what is no farther from x,y,z than r, given as x,y,z,r."),
]
AttributesOption: TypeAlias = Annotated[
    str | None, typer.Option("--attributes", metavar="NAMES", help="Only these attributes: a,b. Empty for none.")
]
PerFragmentOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--per-fragment", metavar="NAMES", help="Attributes kept once for each part of an object in a chunk."),
]
ModeOption: TypeAlias = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="What --bbox takes: the vertices in the box, whole objects that it meets, or what is left when all is "
        "cut at it. By default vertices of points, objects of other kinds.",
        case_sensitive=False,
    ),
]
LevelOption: TypeAlias = Annotated[int, typer.Option("--level", min=0, help="Resolution level; 0 is the finest.")]
QuietOption: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


@dataclass(frozen=True, kw_only=True)
class Picked:
    """What the selecting options ask for; None where one is not given."""

    bbox: BoxArgument | None = None
    object_ids: IntArray | None = None
    group_ids: IntArray | None = None
    attributes: list[str] | None = None
    mode: str | None = None
    where: str | None = None
    near: tuple[list[float], float] | None = None

    @classmethod
    def parse(
        cls,
        bbox: str | None,
        object_ids: str | None = None,
        group_ids: str | None = None,
        attributes: str | None = None,
        mode: Mode | None = None,
        where: str | None = None,
        near: str | None = None,
    ) -> Picked:
        """Take the text of the options.

        Raises:
            typer.BadParameter: One of them cannot be understood.
        """
        return cls(
            bbox=checked("--bbox", parse_box, bbox),
            object_ids=checked("--object-ids", parse_ids, object_ids),
            group_ids=checked("--group-ids", parse_ids, group_ids),
            attributes=checked("--attributes", parse_names, attributes),
            mode=None if mode is None else mode.value,
            where=where,
            near=checked("--near", parse_ball, near),
        )

    @property
    def takes_all_rows(self) -> bool:
        """Whether no row is left out."""
        return all(value is None for value in self.rows.values())

    @property
    def rows(self) -> dict[str, Any]:
        """The keywords that choose objects and rows, as ``export`` takes them."""
        by_id = {"object_ids": self.object_ids, "group_ids": self.group_ids}
        return {"bbox": self.bbox, **by_id, "where": self.where, "near": self.near}

    @property
    def all(self) -> dict[str, Any]:
        """The keywords that choose rows and attributes."""
        return self.rows | {"attributes": self.attributes}

    @property
    def read(self) -> dict[str, Any]:
        """The keywords that choose rows and how a box takes them, as ``ZVLevel.read`` has them."""
        return self.rows | {"mode": self.mode}
