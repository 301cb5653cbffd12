"""The table of what is done to sound stores, and what must then be found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr

import zarr_vectors as zv
from tests.query.damage import stored
from tests.validate.spoiling import (
    Spoil,
    attributes,
    both,
    cell,
    document,
    drop,
    flipped,
    gone,
    links,
    listed,
    numbers,
    put,
    table,
    text,
    truncated,
)

__all__ = ["CASES", "LEVEL", "Case"]

ZV = "zarr_vectors"
LEVEL = "zarr_vectors_level"
ROW_IDS = "0/vertex_attributes/row_id"
Case = tuple[str, str, Spoil, str, str]
"""Name, base, what is done to it, and the kind and path of a problem that must be found; the path may end in a cell."""

DATASETS: Any = lambda found: found["attributes"]["multiscales"][0]["datasets"]  # noqa: E731
AXES: Any = lambda found: found["attributes"]["multiscales"][0]["axes"]  # noqa: E731


def scale(level: int, values: list[float]) -> Spoil:
    return document("", lambda found: DATASETS(found)[level]["coordinateTransformations"][0].update(scale=values))


def shift(level: int, values: list[float]) -> Spoil:
    return document("", lambda found: DATASETS(found)[level]["coordinateTransformations"][1].update(translation=values))


def staged(place: Path) -> None:
    (place / ".zv").mkdir()
    (place / ".zv" / "a").write_text("")


def published(place: Path) -> None:
    with zv.open(place, "r+") as store:
        store.publish()


def renamed(old: str, new: str) -> Spoil:
    return lambda place: (place / old).rename(place / new)


def fact(name: str, value: float) -> Spoil:
    """Another value of a fact of the first chunk in the cell index."""

    def spoil(place: Path) -> None:
        array = zarr.open_array(place / "0/cell_index/cells", mode="r+")
        columns: Any = array.attrs["columns"]
        array[list(columns).index(name), 0] = value

    return spoil


STRUCTURE: list[Case] = [
    ("no root", "points", drop("zarr.json"), "store_missing", ""),
    ("another group", "points", attributes("", zarr_vectors=None), "store_missing", ""),
    ("root cut off", "points", truncated("zarr.json"), "document_corrupt", ""),
    ("root is a list", "points", text("zarr.json", "[]"), "document_corrupt", ""),
    ("level cut off", "points", truncated("0/zarr.json"), "document_corrupt", "0"),
    ("array cut off", "points", truncated("0/vertices/zarr.json"), "document_corrupt", "0/vertices"),
    ("nested too deeply", "points", text("0/groups/zarr.json", "[" * 100_000), "document_corrupt", "0/groups"),
    ("an array of v2", "points", document("0/groups", lambda d: d.update(zarr_format=2)),
     "document_corrupt", "0/groups"),
    ("no level", "points", drop("0"), "level_missing", ""),
    ("level without document", "points", drop("0/zarr.json"), "level_missing", "0"),
    ("no vertices", "points", drop("0/vertices"), "array_missing", "0/vertices"),
    ("no fragments", "points", drop("0/vertex_fragments"), "array_missing", "0/vertex_fragments"),
    ("no manifests", "points", drop("0/object_index/manifests"), "array_missing", "0/object_index/manifests"),
    ("a named array is gone", "points", drop("0/vertex_attributes/v"), "array_missing", "0/vertex_attributes/v"),
    ("an array is not named", "points", attributes("0", zarr_vectors_arrays=[]), "array_unnamed", "0/vertices"),
    ("a copy out of date", "points", both(published, listed("0/vertices", lambda keys: keys[::-1])),
     "published_copy", "0/vertices"),
    ("level with zeros", "points", renamed("0", "00"), "bad_name", "00"),
    ("a name that leads out", "points", attributes("0", zarr_vectors_arrays=lambda n: [*n, "../x"]), "bad_name", "0"),
    ("family of no delta", "graph", renamed("0/links/0", "0/links/one"), "bad_name", "0/links/one"),
    ("no family", "graph", drop("0/links/0"), "family_empty", "0/links"),
    ("no group above", "points", drop("0/vertex_attributes/zarr.json"), "group_missing", "0/vertex_attributes"),
    ("a folder of nothing", "points", drop("0/groups/zarr.json"), "stray_folder", "0/groups"),
    ("no ome", "points", attributes("", ome=None), "ome_missing", ""),
    ("level without attributes", "points", attributes("0", zarr_vectors_level=None), "level_undescribed", "0"),
    ("a commit without record", "points", attributes("", zarr_vectors_commit={"id": "x", "record": ".zv/x/r"}),
     "commit_unreadable", ""),
    ("a stage", "points", staged, "leftovers", ".zv"),
    ("version 0.7", "points", attributes("", ZV, zv_version="0.7.0"), "version_unknown", ""),
    ("an unknown capability", "points", attributes("", ZV, required_capabilities=["x"]), "version_unknown", ""),
]  # fmt: skip
DOCUMENTS: list[Case] = [
    ("edges of 0", "points", attributes("", ZV, chunk_shape=[0, 4, 4]), "root_metadata", ""),
    ("bounds of rank 2", "points", attributes("", ZV, bounds=[[0, 0], [1, 1]]), "root_metadata", ""),
    ("bounds the wrong way", "points", attributes("", ZV, bounds=lambda b: b[::-1]), "root_metadata", ""),
    ("bounds of text", "points", attributes("", ZV, bounds=[["a"] * 3, [1, 1, 1]]), "root_metadata", ""),
    ("bins that do not fill", "points", attributes("", ZV, base_bin_shape=[3, 3, 3]), "root_metadata", ""),
    ("unknown convention", "points", attributes("", ZV, links_convention="x"), "root_metadata", ""),
    ("unknown storage", "points", attributes("", ZV, cross_level_storage="x"), "root_metadata", ""),
    ("depth below -1", "points", attributes("", ZV, cross_level_depth=-2), "root_metadata", ""),
    ("offset of rank 1", "points", attributes("", ZV, coordinate_offset=[1]), "root_metadata", ""),
    ("a spec of nothing", "points", attributes("", ZV, attribute_specs={"vertex": {"v": 1}}), "root_metadata", ""),
    ("no types", "points", attributes("", ZV, geometry_types=[]), "no_geometry_types", ""),
    ("no axes", "points", attributes("", multiscales=None), "ngff_axes", ""),
    ("two axes", "points", document("", lambda d: AXES(d).pop()), "ngff_axes", ""),
    ("axes of one name", "points", document("", lambda d: AXES(d)[0].update(name="y")), "ngff_axes", ""),
    ("ome is text", "points", attributes("", ome="x"), "check_failed", ""),
    ("scale of level 1", "pyramid", scale(1, [3.0, 2.0, 2.0]), "ngff_scale", "1"),
    ("scale of level 0", "points", scale(0, [2.0, 1.0, 1.0]), "ngff_scale", "0"),
    ("scale below 0", "pyramid", scale(1, [-2.0, 2.0, 2.0]), "ngff_scale", "1"),
    ("scale of rank 2", "pyramid", scale(1, [2.0, 2.0]), "ngff_scale", "1"),
    ("translation of level 0", "points", shift(0, [1.0, 2.0, 2.0]), "ngff_scale", "0"),
    ("translation of level 1", "pyramid", shift(1, [10.0, 10.0, 9.0]), "ngff_scale", "1"),
    ("no entry of a level", "pyramid", document("", lambda d: DATASETS(d).pop()), "ngff_level", "1"),
    ("an entry twice", "points", document("", lambda d: DATASETS(d).append(DATASETS(d)[0])), "ngff_scale", ""),
    ("an entry of nothing", "pyramid", drop("1"), "ngff_stale", ""),
    ("another level number", "pyramid", attributes("1", LEVEL, level=2), "level_metadata", "1"),
    ("count below 0", "points", attributes("0", LEVEL, vertex_count=-1), "level_metadata", "0"),
    ("count of text", "points", attributes("0", LEVEL, vertex_count="many"), "level_metadata", "0"),
    ("sparsity 7", "points", attributes("0", LEVEL, object_sparsity=7), "level_metadata", "0"),
    ("parent of level 0", "points", attributes("0", LEVEL, parent_level=1), "level_metadata", "0"),
    ("chunks of no multiple", "pyramid", attributes("1", LEVEL, chunk_shape=[15, 20, 20]), "level_metadata", "1"),
    ("chunks of rank 1", "pyramid", attributes("1", LEVEL, chunk_shape=[20]), "level_metadata", "1"),
    ("attribute without values", "points", attributes("0", LEVEL, chunk_attribute_name="v"), "level_metadata", "0"),
    ("a name of nothing", "points", attributes("0", LEVEL, arrays_present=["nope"]), "arrays_present", "0"),
    ("data type", "points", document("0/vertices", lambda d: d.update(data_type="int8")),
     "array_metadata", "0/vertices"),
    ("shape of rank 2", "points", document("0/vertices", lambda d: d.update(shape=[1, 1])),
     "array_metadata", "0/vertices"),
    ("shape below 0", "points", document("0/vertices", lambda d: d.update(shape=[-1] * 3)),
     "array_metadata", "0/vertices"),
    ("no codecs", "points", document("0/vertices", lambda d: d.update(codecs=[])), "array_metadata", "0/vertices"),
    ("dtype of nothing", "points", attributes("0/vertices", dtype="x"), "array_metadata", "0/vertices"),
    ("dtype of objects", "points", attributes("0/vertices", dtype="O"), "array_metadata", "0/vertices"),
    ("encoding", "points", attributes("0/vertices", encoding="x"), "array_metadata", "0/vertices"),
    ("fragments of another encoding", "points", attributes("0/vertex_fragments", encoding="x"),
     "array_metadata", "0/vertex_fragments"),
    ("no dtype", "points", attributes("0/vertex_attributes/v", dtype=None), "array_metadata", "0/vertex_attributes/v"),
    ("another family", "points", attributes("0/vertices", zv_array="links"), "array_metadata", "0/vertices"),
    ("origin", "points", attributes("0/vertices", chunk_grid_origin=[0, "a", 0]), "presence_list", "0/vertices"),
    ("no presence list", "points", attributes("0/vertices", nonempty_chunks=None), "presence_list", "0/vertices"),
    ("presence is text", "points", attributes("0/vertices", nonempty_chunks="0.0.0"), "presence_list", "0/vertices"),
    ("a key of letters", "points", listed("0/vertices", lambda k: [*k, "a.b.c"]),
     "presence_list", "0/vertices [a.b.c]"),
    ("a key of rank 2", "points", listed("0/vertices", lambda k: [*k, "1.1"]), "presence_list", "0/vertices [1.1]"),
    ("a key outside", "points", listed("0/vertices", lambda k: [*k, "99.0.0"]), "presence_list", "0/vertices [99.0.0]"),
    ("a key twice", "points", listed("0/vertices", lambda k: [*k, "0.0.0"]), "presence_list", "0/vertices [0.0.0]"),
    ("a key of 30 digits", "points", listed("0/vertices", lambda k: [*k, "9" * 30 + ".0.0"]),
     "presence_list", "0/vertices"),
    ("keys in another order", "points", listed("0/vertices", lambda k: k[::-1]), "presence_order", "0/vertices"),
    ("table of another type", "points", document("0/groups", lambda d: d.update(data_type="int8", fill_value=0)),
     "table_metadata", "0/groups"),
    ("ids of text", "points", document("0/object_index/object_ids", lambda d: d.update(data_type="x")),
     "table_metadata", "0/object_index/object_ids"),
    ("a billion ids", "points", document("0/object_index/object_ids", lambda d: d.update(shape=[10**12])),
     "table_metadata", "0/object_index/object_ids"),
    ("a billion manifests", "points", document("0/object_index/manifests", lambda d: d.update(shape=[10**12])),
     "table_metadata", "0/object_index/manifests"),
    ("unknown layout", "points", attributes("0/object_index", layout="x"), "index_header", "0/object_index"),
    ("index of rank 2", "points", attributes("0/object_index", sid_ndim=2), "index_header", "0/object_index"),
    ("a run of text", "points", attributes("0/object_index", object_ids_run=["a", 2]),
     "index_header", "0/object_index"),
    ("a segment of letters", "graph", renamed("0/links/0/+1.0.0", "0/links/0/east"),
     "link_documents", "0/links/0/east"),
    ("other offsets", "graph", attributes("0/links/0/+1.0.0", offsets=[[0, 0, 0]]),
     "link_documents", "0/links/0/+1.0.0"),
    ("no permutation", "graph", attributes("0/links/0/+1.0.0", has_perm=False), "link_documents", "0/links/0/+1.0.0"),
    ("width 3", "graph", attributes("0/links/0", link_width=3), "link_documents", "0/links/0"),
    ("policy", "graph", attributes("0/links/0", store="twice"), "link_documents", "0/links/0"),
    ("links of rank 2", "graph", attributes("0/links/0", sid_ndim=2), "link_documents", "0/links/0"),
    ("values of no links", "graph", drop("0/links/0/0.0.0"), "link_documents", "0/link_attributes/w/0/0.0.0"),
]  # fmt: skip
V, F, A, T = "0/vertices", "0/vertex_fragments", "0/vertex_attributes/v", "0/vertex_attributes/t"
OWNER, MANIFESTS, IDS = "0/fragment_attributes/object_id", "0/object_index/manifests", "0/object_index/object_ids"
LINK = "0/links/0/+1.0.0"
CELLS: list[Case] = [
    *((f"{name} without a cell", "points", gone(name), "cell_missing", f"0/{name} [0.0.0]")
      for name in ("vertices", "vertex_fragments", "vertex_attributes/v", "fragment_attributes/object_id")),
    *((f"a bit of {name}", "points", flipped(name), "cell_corrupt", f"0/{name} [0.0.0]")
      for name in ("vertices", "vertex_fragments", "vertex_attributes/v", "fragment_attributes/object_id")),
    ("a link cell is gone", "graph", gone("links/0/+1.0.0"), "cell_missing", f"{LINK} [0.0.0]"),
    ("a bit of a link cell", "graph", flipped("links/0/+1.0.0"), "cell_corrupt", f"{LINK} [0.0.0]"),
    ("an empty file", "points", lambda p: stored(p, "vertices")[0].write_bytes(b""), "cell_corrupt", f"{V} [0.0.0]"),
    ("a cell that is not there", "points", listed(V, lambda k: k.remove("0.0.0")), "cell_unlisted", f"{V} [0.0.0]"),
    ("a presence list cut short", "points", listed(V, lambda k: k[:1]), "vertex_count", "0"),
    ("no presence of anything", "points", listed(V, lambda _: []), "cell_unlisted", f"{V} [0.0.0]"),
    ("a shard is gone", "sharded", gone("vertices"), "cell_missing", f"{V} [0.0.0]"),
    ("a shard cut off", "sharded", lambda p: (f := stored(p, "vertices")[0]).write_bytes(f.read_bytes()[:-3]),
     "cell_corrupt", f"{V} [0.0.0]"),
    ("a bit of a shard", "sharded", flipped("vertices", 9), "cell_corrupt", V),
    ("a cell in a shard is not named", "sharded", listed(V, lambda k: k.remove("0.0.0")),
     "cell_unlisted", f"{V} [0.0.0]"),
    ("a stray file", "points", lambda p: (p / V / "c/notes").write_text(""), "stray_object", V),
    ("torn rows", "points", cell(V, lambda d: d[:-1]), "row_size", f"{V} [0.0.0]"),
    ("no index", "points", both(gone("vertex_fragments"), listed(F, lambda k: k.remove("0.0.0"))),
     "fragment_index_missing", f"{F} [0.0.0]"),
    ("no magic", "points", cell(F, numbers("<u4", put((0, 1)))), "fragment_index", f"{F} [0.0.0]"),
    ("a fragment beyond", "points", cell(F, numbers("<i8", put((1, 10**6)), 24)), "fragment_rows", f"{F} [0.0.0]"),
    ("a fragment of 2**62 rows", "points", cell(F, numbers("<i8", put((0, 1), (1, 2**62)), 24)), "fragment_index", F),
    ("fragments that do not tile", "points", cell(F, numbers("<i8", lambda v: v.reshape(-1, 2)[::-1].ravel(), 24)),
     "fragments_tile", f"{F} [0.0.0]"),
    ("rows of no fragment", "points", cell(F, numbers("<i8", lambda v: put((1, v[1] - 1))(v), 24)),
     "rows_unreferenced", f"{F} [0.0.0]"),
    ("a short attribute", "points", cell(A, lambda d: d[:-8]), "attribute_rows", f"{A} [0.0.0]"),
    ("an attribute of no vertices", "points", cell(A, lambda d: d, key="1.1.1", other=True), "attribute_rows", A),
    ("a short attribute of fragments", "points", cell(OWNER, lambda d: d[8:]), "attribute_rows", f"{OWNER} [0.0.0]"),
    ("a code of nothing", "points", cell(T, numbers("i1", put((0, 9)))), "category_code", f"{T} [0.0.0]"),
    ("another width", "points", attributes(A, row_shape=[2]), "row_shape", A),
    ("a vertex elsewhere", "points", cell(V, numbers("<f8", put((0, 9)))), "position_outside_chunk", f"{V} [0.0.0]"),
    ("a vertex at NaN", "points", cell(V, numbers("<f8", put((0, np.nan)))), "position_not_finite", f"{V} [0.0.0]"),
    ("an infinite vertex", "points", cell(V, numbers("<f8", put((0, np.inf)))), "position_not_finite", f"{V} [0.0.0]"),
    ("bounds that are too small", "points", attributes("", ZV, bounds=[[0, 0, 0], [3, 9, 9]]),
     "position_outside_bounds", V),
    ("a stale count", "points", attributes("0", LEVEL, vertex_count=299), "vertex_count", "0"),
    ("row ids to be given again", "numbered", attributes("0", LEVEL, next_row_id=59), "next_row_id", "0"),
    ("row ids below 0", "numbered", attributes("0", LEVEL, next_row_id=-1), "level_metadata", "0"),
    ("row ids of floats", "numbered", attributes(ROW_IDS, dtype="float64"), "row_ids", ROW_IDS),
    ("row ids of nothing", "points", attributes("0", LEVEL, next_row_id=300), "row_ids", ROW_IDS),
    ("a vertex in another bin", "binned", cell(V, lambda d: d[-12:] + d[12:]), "bin_position", f"{V} [0.0.0]"),
    ("fewer bins", "binned", attributes("", ZV, base_bin_shape=[4, 4, 4]), "bin_count", f"{F} [0.0.0]"),
]  # fmt: skip
OBJECTS: list[Case] = [
    *((f"a chunk of {name} is gone", "points", gone(name), "table_corrupt", f"0/{name} [0]")
      for name in ("object_index/object_ids", "object_index/manifests", "object_attributes/n", "groups")),
    ("a bit of a table", "points", flipped("object_attributes/n"), "table_corrupt", "0/object_attributes/n [0]"),
    ("a manifest cut off", "points", table(MANIFESTS, lambda m: [m[0][:-1], *m[1:]]),
     "manifest_corrupt", f"{MANIFESTS} [0]"),
    ("a fragment of none", "points", table(MANIFESTS, lambda m: [*m[:3], m[3][:-8] + bytes([99] + [0] * 7), *m[4:]]),
     "manifest_fragment", f"{MANIFESTS} [3]"),
    ("a chunk far away", "points",
     table(MANIFESTS, lambda m: [b"\1\0\0\0" + numbers("<i8", put((0, 77)))(m[0][4:28]) + m[0][28:37], *m[1:]]),
     "manifest_chunk", f"{MANIFESTS} [0]"),
    ("an object without fragments", "points", table(MANIFESTS, lambda m: [b"", *m[1:]]),
     "index_count", "0/object_index"),
    ("fragments of nobody", "points", table(MANIFESTS, lambda m: [b"", *m[1:]]), "fragment_unowned", f"{F} [0.0.0]"),
    ("a stale header", "points", attributes("0/object_index", num_objects=12), "index_count", "0/object_index"),
    ("ids of another order", "points", table(IDS, lambda ids: ids[::-1]), "index_ids", "0/object_index"),
    ("ids that are not the run", "refs", table(IDS, put((5, 4))), "index_ids", "0/object_index"),
    ("an id twice", "points", table(IDS, put((1, 0))), "object_id_repeated", f"{IDS} [0]"),
    ("fewer ids", "points", document(IDS, lambda d: d.update(shape=[10])), "table_rows", IDS),
    ("more values than objects", "points", document("0/object_attributes/n", lambda d: d.update(shape=[12])),
     "table_rows", "0/object_attributes/n"),
    ("fewer values than objects", "points", document("0/object_attributes/n", lambda d: d.update(shape=[9])),
     "object_rows", "0/object_attributes/n"),
    ("fewer values than groups", "points", document("0/group_attributes/g", lambda d: d.update(shape=[2])),
     "table_rows", "0/group_attributes/g"),
    ("another owner", "points", cell(OWNER, numbers("<i8", put((2, 3)))), "fragment_owner", f"{OWNER} [0.0.0]"),
    ("an owner that does not exist", "points", cell(OWNER, numbers("<i8", put((0, 4)))), "fragment_owner", OWNER),
    ("another place along a line", "lines", cell("0/fragment_attributes/object_offset", numbers("<i8", put((0, 1)))),
     "fragment_offset", "0/fragment_attributes/object_offset [0.0.0]"),
    ("a stranger in a group", "points", table("0/groups", lambda g: [numbers("<i8", put((0, 4)))(g[0]), *g[1:]]),
     "group_member", "0/groups [0]"),
    ("half a member", "points", table("0/groups", lambda g: [g[0][:-3], *g[1:]]), "group_corrupt", "0/groups [0]"),
    ("a range of nothing", "points", attributes("0/groups", group_ranges={"1": [5, 2]}),
     "group_corrupt", "0/groups [1]"),
    ("a range of strangers", "points", attributes("0/groups", group_ranges={"1": [4, 6]}),
     "group_member", "0/groups [1]"),
    ("a range of no group", "points", attributes("0/groups", group_ranges={"9": [0, 2]}),
     "group_corrupt", "0/groups [9]"),
    ("more groups", "points", attributes("0/groups", num_groups=5), "table_rows", "0/groups"),
    ("references of others", "refs",
     table("0/object_index/fragment_refs", lambda m: [m[0][:-1] + bytes([m[0][-1] ^ 1]), *m[1:]]),
     "references_differ", "0/object_index/fragment_refs [0]"),
    ("a parametric object of no type", "parametric", table("parametric/objects", lambda rows: put((0, 77))(rows[1])),
     "header_corrupt", "parametric/objects [1]"),
    ("fewer names", "parametric", document("parametric/names", lambda d: d.update(shape=[1])),
     "table_rows", "parametric/names"),
    ("a header that is an array", "points",
     lambda p: shutil.copytree(p / "0/groups", p / "headers/trk"),
     "header_corrupt", "headers/trk"),
]  # fmt: skip
LINKS: list[Case] = [
    ("torn links", "graph", cell(LINK, lambda d: d[:-1]), "link_records", f"{LINK} [0.0.0]"),
    ("groups of nothing", "graph", cell(LINK, numbers("<i8", put((0, 99)))), "link_records", f"{LINK} [0.0.0]"),
    ("a row beyond", "graph", links(LINK, put((2, 3))), "link_row", f"{LINK} [0.0.0]"),
    ("a row below 0", "graph", links(LINK, put((1, -1))), "link_row", f"{LINK} [0.0.0]"),
    ("a row beyond in a chunk", "mesh", cell("0/links/0/0.0.0_0.0.0", numbers("<i8", put((0, 3)))),
     "link_row", "0/links/0/0.0.0_0.0.0 [0.0.0]"),
    ("a rank of nothing", "graph", links(LINK, put((0, 2))), "link_order", f"{LINK} [0.0.0]"),
    ("links to nowhere", "graph", both(drop(f"{V}/c/1"), listed(V, lambda k: k.remove("1.0.0"))), "link_chunk", LINK),
    ("a backward segment", "graph",
     both(renamed(LINK, "0/links/0/-1.0.0"), attributes("0/links/0/-1.0.0", offsets=[[-1, 0, 0]])),
     "link_order", "0/links/0/-1.0.0"),
    ("a stale count of links", "graph", attributes("0/links/0", num_physical_records=9), "link_count", "0/links/0"),
    ("a stale count of logical links", "graph", attributes("0/links/0", num_links=9), "link_count", "0/links/0"),
    ("groups of other links", "graph", cell("0/link_fragments", numbers("<i8", put((1, 9)), 24)),
     "link_fragments", "0/link_fragments [0.0.0]"),
    ("no groups", "graph", both(gone("link_fragments"), listed("0/link_fragments", lambda k: k.remove("0.0.0"))),
     "link_fragments", "0/link_fragments [0.0.0]"),
    ("values of fewer links", "graph", cell("0/link_attributes/w/0/+1.0.0", lambda d: d[:-8]),
     "link_attribute_rows", "0/link_attributes/w/0/+1.0.0 [0.0.0]"),
    ("a link to a metavertex of none", "pyramid", links("0/links/+1/0.0.0", put((1, 99))),
     "link_row", "0/links/+1/0.0.0"),
    ("a link from a vertex of none", "pyramid", links("0/links/+1/0.0.0", put((0, 99))),
     "link_row", "0/links/+1/0.0.0"),
    ("links to a level of none", "pyramid", both(drop("1")), "link_level_missing", "0/links/+1"),
]  # fmt: skip
KINDS: list[Case] = [
    ("unknown kind", "points", attributes("", ZV, geometry_types=["blob"]), "kind_unknown", ""),
    ("convention of others", "lines", attributes("", ZV, links_convention="explicit"), "kind_convention", ""),
    ("a graph as a mesh", "graph", attributes("", ZV, geometry_types=["mesh"]), "link_width", "0/links/0"),
    ("a mesh as a graph", "mesh", attributes("", ZV, geometry_types=["graph"]), "link_width", "0/links/0"),
    ("a graph as points", "graph", attributes("", ZV, geometry_types=["point_cloud"]), "cloud_links", "0/links/0"),
    ("a line without its links", "lines", both(drop("0/links/0"), attributes("0", zarr_vectors_arrays=None)),
     "line_links", "0/links/0 [0.0.0]"),
    ("a line with other links", "lines", links(LINK, put((1, 0))), "line_links", "0/links/0 [0.0.0]"),
    ("lines of three vertices", "lines", attributes("", ZV, geometry_types=["line"]),
     "line_length", f"{MANIFESTS} [0]"),
    ("a circle", "skeleton", cell("0/links/0/0.0.0", numbers("<i8", put((0, 1), (1, 2)))),
     "skeleton_cycle", "0/links/0 [0.0.0]"),
    ("two parents", "skeleton",
     cell("0/links/0/0.0.0", lambda d: d + numbers("<i8", put((1, 0)))(d)), "skeleton_parents", "0/links/0 [0.0.0]"),
    ("an edge of one vertex", "graph", cell("0/links/0/0.0.0", numbers("<i8", put((1, 0)))),
     "link_degenerate", "0/links/0 [0.0.0]"),
    ("ids with gaps", "points", attributes("", ZV, object_index_convention="identity"),
     "identity_ids", "0/object_index"),
]  # fmt: skip
COUNT = "1/vertex_attributes/count"
LEVELS: list[Case] = [
    ("a gap", "pyramid", renamed("1", "2"), "level_gap", ""),
    ("its own parent", "pyramid", attributes("1", LEVEL, parent_level=1), "level_parent", "1"),
    ("no parent", "pyramid", attributes("1", LEVEL, parent_level=None), "level_parent", "1"),
    ("more vertices", "pyramid", both(renamed("0", "x"), renamed("1", "0"), renamed("x", "1")), "level_growth", "1"),
    ("smaller bins", "pyramid", both(scale(1, [0.5] * 3), shift(1, [2.5] * 3)), "level_bins", "1"),
    ("other ids", "pyramid", table("1/object_index/object_ids", put((0, 99))), "level_objects", "1"),
    ("more objects below", "pyramid", attributes("1", LEVEL, inherited_num_objects=2), "level_objects", "1"),
    ("links that are not there", "pyramid", drop("0/links/+1"), "level_links", "0/links/+1"),
    ("fewer links back", "pyramid", cell("1/links/-1/0.0.0", lambda d: d[:-16]), "level_links", "0/links/+1"),
    ("stale", "our pyramid", attributes("1", LEVEL, pyramid=lambda facts: {**facts, "stale": True}),
     "level_stale", "1"),
    ("another factor", "our pyramid", attributes("2", LEVEL, pyramid=lambda facts: {**facts, "factor": [3, 2, 2]}),
     "level_factor", "2"),
    ("a factor below 1", "our pyramid", attributes("2", LEVEL, pyramid=lambda facts: {**facts, "factor": [0.5] * 3}),
     "level_metadata", "2"),
    ("a factor of rank 1", "our pyramid", attributes("2", LEVEL, pyramid=lambda facts: {**facts, "factor": [2]}),
     "level_metadata", "2"),
    ("another sparsity", "our pyramid", attributes("2", LEVEL, pyramid=lambda facts: {**facts, "sparsity": 4}),
     "level_metadata", "2"),
    ("a stale parent", "our pyramid", attributes("1", LEVEL, pyramid=lambda facts: {**facts, "stale": True}),
     "level_stale", "2"),
    ("an error below that of the parent", "our pyramid",
     attributes("2", LEVEL, pyramid=lambda facts: {**facts, "max_error": 0.0}), "level_error", "2"),
    ("a vertex that stands for more", "our pyramid", cell(COUNT, numbers("<i8", put((0, 99)))), "level_count", "1"),
    ("a vertex that stands for more, of objects that are kept", "our sparse pyramid",
     cell(COUNT, numbers("<i8", put((0, 99)))), "level_count", "1"),
    ("an error below 0", "our pyramid", attributes("2", LEVEL, pyramid=lambda facts: {**facts, "max_error": -1}),
     "level_metadata", "2"),
    ("facts of text", "our pyramid", attributes("2", LEVEL, pyramid="x"), "level_metadata", "2"),
    ("no capability", "pyramid", attributes("", ZV, format_capabilities=[]), "capability", ""),
]  # fmt: skip
CELLS_OF_INDEX = "0/cell_index/cells"
INDEX: list[Case] = [
    ("an index that is gone", "our pyramid", drop("0/cell_index"), "index_missing", CELLS_OF_INDEX),
    ("an index cut off", "our pyramid", truncated(f"{CELLS_OF_INDEX}/c/0/0"), "index_corrupt", CELLS_OF_INDEX),
    ("an index of another form", "our pyramid", document(CELLS_OF_INDEX, lambda d: d["attributes"].clear()),
     "index_corrupt", CELLS_OF_INDEX),
    ("stamps of nothing", "our pyramid", document("0/cell_index/stamps", lambda d: d["attributes"].clear()),
     "index_corrupt", "0/cell_index"),
    ("a box too small", "our pyramid", fact("high/0", -1e9), "index_differs", CELLS_OF_INDEX),
    ("a line that reaches too little", "lines", fact("reach_high/0", -1e9), "index_differs", CELLS_OF_INDEX),
    ("an edge that reaches too little", "graph", fact("reach_low/1", 1e9), "index_differs", CELLS_OF_INDEX),
    ("a face that reaches too little", "mesh", fact("reach_high/2", -1e9), "index_differs", CELLS_OF_INDEX),
    ("too many rows", "our pyramid", fact("rows", 1e6), "index_differs", CELLS_OF_INDEX),
]  # fmt: skip
CASES = [*INDEX, *STRUCTURE, *DOCUMENTS, *CELLS, *OBJECTS, *LINKS, *KINDS, *LEVELS]
