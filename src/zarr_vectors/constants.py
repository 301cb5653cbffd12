"""Names and fixed values of the Zarr Vectors format 0.9.2."""

from __future__ import annotations

from typing import Final

FORMAT_VERSION: Final = "0.9.2"
"""Stamped as ``zv_version``; apart from the version of this package."""

ROOT_KEY: Final = "zarr_vectors"
LEVEL_KEY: Final = "zarr_vectors_level"
ARRAYS_KEY: Final = "zarr_vectors_arrays"
"""Level attribute (additive): the path of every array of the level, so that nothing needs listing."""
COMMIT_KEY: Final = "zarr_vectors_commit"
"""Root attribute (additive): the record of a commit that is being published."""
PUBLISHED_KEY: Final = "zarr_vectors_published"
"""Root attribute (additive): the root document holds all others, and nobody changes the store."""
GENERATION_KEY: Final = "zarr_vectors_generation"
"""Root attribute (additive): how many commits have changed the store, so that readers can tell that one has."""
CELL_INDEX_KEY: Final = "zarr_vectors_cell_index"
"""Attribute of a level (additive): the version of its cell index, where it has one."""
JOBS_KEY: Final = "zarr_vectors_jobs"
"""Root attribute (additive): jobs of partitioned writers that are open, by id; what is theirs is not swept."""

NONEMPTY_CHUNKS: Final = "nonempty_chunks"
"""Attribute of chunk-grid arrays: the keys of the cells that there are."""
CHUNK_GRID_ORIGIN: Final = "chunk_grid_origin"
"""Attribute of chunk-grid arrays: the chunk coordinate of cell 0, where it is not 0."""

VERTICES: Final = "vertices"
VERTEX_FRAGMENTS: Final = "vertex_fragments"
VERTEX_ATTRIBUTES: Final = "vertex_attributes"
FRAGMENT_ATTRIBUTES: Final = "fragment_attributes"
LINKS: Final = "links"
LINK_FRAGMENTS: Final = "link_fragments"
LINK_ATTRIBUTES: Final = "link_attributes"
OBJECT_INDEX: Final = "object_index"
OBJECT_MANIFESTS: Final = "object_index/manifests"
OBJECT_IDS: Final = "object_index/object_ids"
FRAGMENT_REFS: Final = "object_index/fragment_refs"
"""Array (additive): the references of each stored chunk of manifests by column, see ``encoding.references``."""
OBJECT_ATTRIBUTES: Final = "object_attributes"
GROUPS: Final = "groups"
GROUP_ATTRIBUTES: Final = "group_attributes"
PARAMETRIC: Final = "parametric"
HEADERS: Final = "headers"

CELL_INDEX: Final = "cell_index"
FRAGMENT_OWNER: Final = "fragment_attributes/object_id"
FRAGMENT_OFFSET: Final = "fragment_attributes/object_offset"
"""Fragment attribute (additive): number, along its line, of each fragment's first vertex."""
ROW_ID: Final = "row_id"
NEXT_ROW_ID: Final = "next_row_id"
"""Level metadata (additive): where row ids continue."""

GEOM_POINT_CLOUD: Final = "point_cloud"
GEOM_LINE: Final = "line"
GEOM_POLYLINE: Final = "polyline"
GEOM_STREAMLINE: Final = "streamline"
GEOM_GRAPH: Final = "graph"
GEOM_SKELETON: Final = "skeleton"
GEOM_MESH: Final = "mesh"
VALID_GEOMETRY_TYPES: Final = frozenset(
    {
        GEOM_POINT_CLOUD,
        GEOM_LINE,
        GEOM_POLYLINE,
        GEOM_STREAMLINE,
        GEOM_GRAPH,
        GEOM_SKELETON,
        GEOM_MESH,
    }
)

LINKS_EXPLICIT: Final = "explicit"
LINKS_IMPLICIT_SEQUENTIAL: Final = "implicit_sequential"
LINKS_IMPLICIT_BRANCHES: Final = "implicit_sequential_with_branches"
VALID_LINKS_CONVENTIONS: Final = frozenset({LINKS_EXPLICIT, LINKS_IMPLICIT_SEQUENTIAL, LINKS_IMPLICIT_BRANCHES})

OBJIDX_STANDARD: Final = "standard"
OBJIDX_IDENTITY: Final = "identity"
VALID_OBJIDX_CONVENTIONS: Final = frozenset({OBJIDX_STANDARD, OBJIDX_IDENTITY})

CROSS_CHUNK_EXPLICIT: Final = "explicit_links"
CROSS_CHUNK_BOUNDARY: Final = "boundary_deduplication"
CROSS_CHUNK_BOTH: Final = "both"
VALID_CROSS_CHUNK_STRATEGIES: Final = frozenset({CROSS_CHUNK_EXPLICIT, CROSS_CHUNK_BOUNDARY, CROSS_CHUNK_BOTH})

XLEVEL_NONE: Final = "none"
XLEVEL_IMPLICIT: Final = "implicit"
XLEVEL_EXPLICIT: Final = "explicit"
VALID_XLEVEL_STORAGE: Final = frozenset({XLEVEL_NONE, XLEVEL_IMPLICIT, XLEVEL_EXPLICIT})

ENCODING_RAW: Final = "raw"
ENCODING_DRACO: Final = "draco"
VALID_ENCODINGS: Final = frozenset({ENCODING_RAW, ENCODING_DRACO})
FRAGMENT_INDEX_ENCODING: Final = "fragment_index_v1"

COARSEN_NONE: Final = "none"
COARSEN_MANUAL: Final = "manual"
COARSEN_PER_OBJECT: Final = "per_object"
VALID_COARSENING_METHODS: Final = frozenset({COARSEN_NONE, COARSEN_MANUAL, COARSEN_PER_OBJECT})

CAP_PRESERVED_OBJECT_IDS: Final = "preserved_object_ids"
CAP_SHARED_FRAGMENTS: Final = "shared_fragments"
CAP_MULTISCALE_LINKS: Final = "multiscale_links"
CAP_FRAGMENT_INDEX: Final = "fragment_index"
VALID_CAPABILITIES: Final = frozenset(
    {CAP_PRESERVED_OBJECT_IDS, CAP_SHARED_FRAGMENTS, CAP_MULTISCALE_LINKS, CAP_FRAGMENT_INDEX}
)

MANIFEST_LAYOUT_V1: Final = "vlen_manifests_v1"
MANIFEST_LAYOUT_V2: Final = "vlen_manifests_v2"
MANIFEST_CHUNK: Final = 16384
OBJECT_ATTRIBUTE_CHUNK: Final = 65536
MAX_OBJECTS: Final = 2**26
"""The most rows that an object index of 0.9.2 takes."""

OWNER_NONE: Final = -1
OWNER_SEVERAL: Final = -2

DEFAULT_BOUNDS_SIDE: Final = 128.0
DEFAULT_AXES_NAMES: Final = ("x", "y", "z", "w")
DEFAULT_REDUCTION_FACTOR: Final = 8
DEFAULT_CROSS_LEVEL_DEPTH: Final = 1
