"""Level 0 of a store written anew, while all else that the store says and holds stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.headers import HEADER_NAMES
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.metadata.ngff import dataset_entry, upsert_dataset
from zarr_vectors.metadata.root import LevelMetadata, RootMetadata
from zarr_vectors.spatial.lattice import DEFAULT_BITS
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.kept import array_attributes, with_kept
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.quantise import Packing
from zarr_vectors.typing import JsonObject

__all__ = ["Refill"]

_FAMILIES = (
    constants.VERTICES,
    constants.VERTEX_FRAGMENTS,
    constants.VERTEX_ATTRIBUTES,
    constants.FRAGMENT_ATTRIBUTES,
    constants.LINKS,
    constants.LINK_FRAGMENTS,
    constants.LINK_ATTRIBUTES,
    constants.OBJECT_INDEX,
    constants.OBJECT_ATTRIBUTES,
    constants.GROUPS,
    constants.GROUP_ATTRIBUTES,
)
"""What a level's rows are stored in."""


@dataclass(frozen=True, kw_only=True)
class Refill:
    """A store whose level 0 is written anew.

    Args:
        root: The store as it is.
        level: Its level 0 as it is.
        packing: How rows that have been rounded once go back into Draco cells without being moved again.
        also: Objects outside the level that are written in the same commit.
        keeps_groups: Whether groups are those of the store, which other writers may have let name unknown objects.
        renamed: What arrays were called whose descriptions go on with others, by what these are called; paths below
            the level, or beginnings of them.
        root_facts: What the root says from now on, beside what follows from the write.
    """

    across = None
    """Links between levels are not written anew."""

    root: RootState
    level: LevelState
    packing: Packing | None = None
    also: tuple[Put, ...] = ()
    keeps_groups: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    root_facts: JsonObject = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Of the level that is written."""
        return self.level.number

    @property
    def document(self) -> JsonObject | None:
        """The level's own document as it is."""
        return self.level.document

    def options(self, options: WriteOptions, bounds: Any) -> WriteOptions:
        """How to write into the store: cut and compressed as it is.

        Args:
            options: What else is said of the write.
            bounds: Of the store afterwards.
        """
        level, document = self.level, self.level.vertices.document
        codecs = document.codecs if document.sharding is None else document.sharding.inner
        facts = level.metadata.draco
        layout = Layout(
            chunk_shape=level.chunk_shape,
            bin_shape=self.root.metadata.base_bin_shape,
            shard_shape=level.vertices.block if document.is_sharded else None,
            compressor=[dict(codec) for codec in codecs if codec.get("name") != "vlen-bytes"],
            vertex_encoding=constants.ENCODING_DRACO if level.is_draco else constants.ENCODING_RAW,
            draco_quantization_bits=DEFAULT_BITS if facts is None else facts.quantization_bits,
        )
        return replace(
            options,
            mode="replace",
            per_fragment=tuple(dict.fromkeys([*level.fragment_columns, *options.per_fragment])),
            layout=layout,
            bounds=bounds,
            crs=self.root.metadata.crs,
            dtype=level.position_dtype,
        )

    def root_document(self, facts: JsonObject, kind: Kind, headers: Iterable[str]) -> JsonObject:
        """The root with new facts, a ``None`` among which removes one.

        Args:
            facts: Of the ``zarr_vectors`` object.
            kind: Of what is written.
            headers: Names of headers that are written along.
        """
        old = self.root.metadata
        types = list(dict.fromkeys([*old.geometry_types, kind.geometry_type]))
        merged = {**old.to_json(), **facts, **self.root_facts, "geometry_types": types}
        metadata = RootMetadata.parse({key: v for key, v in merged.items() if v is not None}, where="zarr.json")
        attributes = {**self.root.attributes, constants.ROOT_KEY: metadata.to_json()}
        half = [float(edge) / 2 for edge in metadata.bin_shape]
        attributes["multiscales"] = upsert_dataset(
            attributes["multiscales"], dataset_entry(0, [1.0] * metadata.ndim, half)
        )
        names = {*(attributes.get(HEADER_NAMES) or ()), *headers}
        if names:
            attributes[HEADER_NAMES] = sorted(names)
        return {**self.root.document, "attributes": attributes}

    def level_facts(self, facts: JsonObject) -> JsonObject:
        """The level's metadata with new facts; foreign ones are kept."""
        known = {*LevelMetadata.model_fields, constants.NEXT_ROW_ID}
        kept = {key: value for key, value in self.level.metadata.to_json().items() if key not in known}
        return {**kept, **facts}

    def described(self, puts: Iterable[Put]) -> Iterator[Put]:
        """The same objects, documents of arrays with what others have said in the old ones."""
        for path, data in puts:
            old = self._old_attributes.get(path.removesuffix("/zarr.json")) if path.endswith("/zarr.json") else None
            yield path, data if old is None else with_kept(bytes(data), old)
        yield from self.also

    @cached_property
    def _old_attributes(self) -> dict[str, Mapping[str, Any]]:
        attributes, level = array_attributes(self.level), self.level.number
        moved = {
            f"{level}/{new}{path.removeprefix(f'{level}/{old}')}": path
            for new, old in self.renamed.items()
            for path in attributes
            if f"{path}/".startswith(f"{level}/{old}/")
        }
        return attributes | {new: attributes[path] for new, path in moved.items()}

    def deletes(self, storage: Storage) -> Iterator[str]:
        """Stored objects of the old rows."""
        for family in _FAMILIES:
            yield from storage.list_keys(f"{self.level.number}/{family}", recursive=True)
