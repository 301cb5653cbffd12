"""A coarser level written whole, into a store that is there and stays as it is otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import prod

from zarr_vectors import constants
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.metadata.ngff import axes_of, dataset_entry, level_names, ome_node, upsert_dataset
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.query.across import groups_across
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import Layout, ResolvedLayout
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.across import Across
from zarr_vectors.types.kept import array_attributes, with_described
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.typing import JsonObject

__all__ = ["NewLevel"]

_AXIS = ("chunk_dims", "chunk_attribute_name", "chunk_attribute_values", "chunk_axis")
"""What a level says of the axis before the spatial ones."""
_SHARD_CELLS = 4096
"""Cells of a shard up to which it takes several places on that axis: each has 16 bytes in the shard's index."""


@dataclass(frozen=True, kw_only=True)
class NewLevel:
    """A coarser level of a store.

    Args:
        root: The store as it is.
        model: The level that it is made from, whose way of storing cells it has.
        number: Of the new level, from 1.
        replaced: Whether the level exists, and is written anew.
        bins: Edge lengths of the level's bins, in data units.
        chunk_shape: Edge lengths of its chunks, multiples of the root's and of the bins.
        facts: What the level says of how it was made.
        root_facts: What the root says from now on, beside what it says already.
        across: What links it to other levels; None for no such links.
        also: Objects outside the level that are written in the same commit.
    """

    root: RootState
    model: LevelState
    number: int
    replaced: bool
    bins: tuple[float, ...]
    chunk_shape: tuple[float, ...]
    facts: JsonObject
    root_facts: JsonObject = field(default_factory=dict)
    across: Across | None = None
    also: tuple[Put, ...] = ()

    packing = None
    document = None
    keeps_groups = True
    """Groups are those of the finer level, which other writers may have let name unknown objects."""

    def options(self, options: WriteOptions) -> WriteOptions:
        """How to write the level: cut as it is told, stored as the finer level is."""
        array = self.model.vertices.document
        codecs = array.codecs if array.sharding is None else array.sharding.inner
        layout = Layout(
            chunk_shape=self.chunk_shape,
            shard_shape="auto" if array.is_sharded else None,
            compressor=[dict(codec) for codec in codecs if codec.get("name") != "vlen-bytes"],
        )
        dtype = self.model.position_dtype
        return replace(options, mode="replace", layout=layout, bounds=self.root.metadata.bounds, dtype=dtype)

    def led(self, layout: ResolvedLayout) -> ResolvedLayout:
        """The layout with the axis that the model's chunks have before the spatial ones."""
        lead = self.model.metadata.leading_axes
        if not lead:
            return layout
        model, spatial = self.model.vertices.grid, layout.grid
        grid = Grid((*model.origin[:lead], *spatial.origin), (*model.shape[:lead], *spatial.shape))
        shards = layout.shard_shape
        if shards is not None:
            room = max(1, _SHARD_CELLS // prod(shards))
            shards = (*(min(length, room) for length in model.shape[:lead]), *shards)
        return replace(layout, grid=grid, shard_shape=shards)

    def root_document(self, facts: JsonObject, kind: Kind, headers: Iterable[str]) -> JsonObject:  # noqa: ARG002 (as of a refill)
        """The root with the level in its NGFF blocks; what a new store would say of itself is left out."""
        old = self.root.metadata
        metadata = RootMetadata.parse({**old.to_json(), **self.root_facts}, where="zarr.json")
        attributes = {**self.root.attributes, constants.ROOT_KEY: metadata.to_json()}
        block = attributes["multiscales"]
        if metadata.base_bin_shape != old.base_bin_shape and not any(old.coordinate_offset or ()):
            half = [float(edge) / 2 for edge in metadata.bin_shape]
            block = upsert_dataset(block, dataset_entry(0, [1.0] * metadata.ndim, half))
        scale = [a / b for a, b in zip(self.bins, metadata.bin_shape, strict=True)]
        block = upsert_dataset(block, dataset_entry(self.number, scale, [edge / 2 for edge in self.bins]))
        attributes["multiscales"] = block
        known = level_names(self.root.attributes.get("ome"), self.root.attributes["multiscales"])
        numbers = sorted({self.number, *(int(name) for name in known if name.isdecimal())})
        name = (self.root.attributes.get("ome") or {}).get("name") or ""
        attributes["ome"] = ome_node(str(name), axes_of(block), numbers, self.root.attributes.get("ome"))
        return {**self.root.document, "attributes": attributes}

    def level_facts(self, facts: JsonObject) -> JsonObject:
        """The level's metadata, with how it was made."""
        chunks = {"chunk_shape": list(self.chunk_shape)} if self.chunk_shape != self.root.metadata.chunk_shape else {}
        told = self.model.metadata.to_json()
        axis = {name: told[name] for name in _AXIS if name in told}
        parsed = LevelMetadata.parse({**facts, **self.facts, **chunks, **axis}, where=f"{self.number}/zarr.json")
        return parsed.to_json()

    def described(self, puts: Iterable[Put]) -> Iterator[Put]:
        """The same objects with the units and descriptions of the finer level's attributes, and those outside."""
        old = array_attributes(self.model)
        for path, data in puts:
            level, _, name = path.removesuffix("/zarr.json").partition("/")
            said = old.get(f"{self.model.number}/{name}") if path.endswith("/zarr.json") else None
            yield path, data if said is None or level != str(self.number) else with_described(bytes(data), said)
        yield from self.also

    def deletes(self, storage: Storage) -> Iterator[str]:
        """Stored objects of the level as it was, and of links of other levels to it."""
        if self.replaced:
            yield from storage.list_keys(str(self.number), recursive=True)
        for other in level_numbers(storage, self.root.attributes):
            for name in groups_across(storage, other) if other != self.number else ():
                if other + int(name.rpartition("/")[2]) == self.number:
                    yield from storage.list_keys(f"{other}/{name}", recursive=True)
