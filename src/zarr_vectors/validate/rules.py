"""The table of rules: what each kind of problem means, at which level it is looked for, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["RULES", "Rule", "Severity"]

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of problem means.

    Args:
        level: From which level of validation on it is looked for.
        severity: Of a problem of this kind, unless the problem says otherwise.
        meaning: What is wrong, as a sentence for people.
    """

    level: int
    severity: Severity
    meaning: str


def _table(level: int, severity: Severity, **meanings: str) -> dict[str, Rule]:
    return {kind: Rule(level, severity, meaning) for kind, meaning in meanings.items()}


_STRUCTURE = {
    **_table(
        1,
        "error",
        store_missing="There is no store at this place, or a zarr group of another format.",
        version_unknown="The version, or a capability that the store requires, is not one that this library reads.",
        document_corrupt="A document is not a JSON object, or not one of a zarr node.",
        commit_unreadable="The record of a commit that is being published cannot be read.",
        level_missing="The store has no level, or no level of a number that it names.",
        level_undescribed="A level has no attributes of its own.",
        array_missing="An array that must be there, or that the level names, is not there.",
        bad_name="A node has a name that the format does not allow there.",
        published_copy="The root document of a published store has no copy of a document that is stored, or another.",
    ),
    **_table(
        1,
        "warning",
        commit_pending="A commit has happened and is not published yet; the next writer finishes it.",
        leftovers="A writer that died, or is still at work, has staged objects; the next one or `repair` removes them.",
        stray_folder="A folder with content has no document, so that nothing can read what is in it.",
        group_missing="A group above a node has no document.",
        ome_missing="The root has no `ome` node.",
        family_empty="A group of links has no family in it.",
        array_unnamed="The level does not name an array that it has; readers that cannot list do not find it.",
    ),
}
_DOCUMENTS = {
    **_table(
        2,
        "error",
        root_metadata="The root's `zarr_vectors` object is malformed, or contradicts itself.",
        level_metadata="A level's `zarr_vectors_level` object is malformed, or contradicts itself or the root.",
        array_metadata="The document of an array is malformed, or does not fit what the array is.",
        presence_list="The presence list of an array is malformed, or there is none.",
        ngff_axes="The axes are missing, or differ between root, `multiscales` and `ome`.",
        ngff_scale="The NGFF entry of a level does not say the bins of the level.",
        ngff_level="A level has no NGFF entry.",
        index_header="The header of the object index is malformed.",
        row_ids="The level says where row ids continue, and does not hold any.",
        link_documents="The documents of links are malformed, or contradict one another.",
        table_metadata="The document of a table is malformed, or does not fit what the table is.",
    ),
    **_table(
        2,
        "warning",
        no_geometry_types="The store does not say what it holds.",
        ngff_stale="NGFF names levels that do not exist, or leaves out some.",
        presence_order="The presence list of an array is not sorted as text.",
        arrays_present="`arrays_present` names an array that is not there.",
    ),
}
_CONSISTENCY = {
    **_table(
        3,
        "error",
        cell_missing="A cell that the presence list names is gone.",
        cell_corrupt="A cell cannot be decoded, or fails its checksum.",
        cell_unlisted="A cell is stored, but the presence list does not name it, so that no reader finds it.",
        row_size="A cell is not a whole number of rows.",
        fragment_index="A fragment index is malformed.",
        fragment_index_missing="A chunk with vertices has no fragment index.",
        fragment_rows="A fragment names rows that its chunk does not have.",
        fragments_tile="The level says that fragments tile their chunks, and they do not.",
        bin_count="A chunk of a binned cloud has more fragments than bins.",
        position_outside_chunk="A vertex does not lie in its chunk.",
        position_outside_bounds="A vertex does not lie in the bounds of the store.",
        attribute_rows="An attribute does not have one row for each vertex, or fragment, of the chunk.",
        category_code="A code has no category.",
        vertex_count="The level does not have as many vertices as it states.",
        next_row_id="Row ids do not continue above those that there are, which an append would give out again.",
        table_corrupt="A chunk of a table is gone, or cannot be decoded.",
        table_rows="A table does not have as many rows as what it belongs to.",
        manifest_corrupt="A manifest is malformed.",
        manifest_chunk="A manifest names a chunk that has no vertices.",
        manifest_fragment="A manifest names a fragment that its chunk does not have.",
        index_count="The object index does not have as many objects as its header states.",
        index_ids="The object ids are not what the header of the object index says of them.",
        object_id_repeated="Several objects have the same id.",
        fragment_owner="A fragment states another owner than the manifests say.",
        fragment_offset="A fragment states another place along its line than the manifests say.",
        references_differ="References by column say something else than the manifests that they were made from.",
        group_corrupt="A group is not a list of object ids.",
        group_member="A group has a member that is no object of the level.",
        link_records="A cell of links is malformed.",
        link_row="A link names a row that its chunk does not have.",
        link_chunk="A link leads to a chunk that has no vertices.",
        link_order="A link is not stored where the policy of its family puts it.",
        link_count="A family of links does not have as many records as it states.",
        link_fragments="The groups of links in a chunk do not fit its links.",
        link_attribute_rows="An attribute of links does not have one row for each link.",
        index_corrupt="The cell index of a level is malformed or cannot be decoded; queries go without it.",
        header_corrupt="A header, or a table of parametric objects, is malformed.",
        check_failed="A check could not be made, because of what the store holds.",
    ),
    **_table(
        3,
        "warning",
        no_vertices="The level has no vertices.",
        index_missing="The level says that it has a cell index, and it is not there; queries go without it.",
        position_not_finite="A position is NaN or infinite.",
        bin_position="A vertex does not lie in the bin of its fragment.",
        rows_unreferenced="A chunk has rows that no fragment names; nothing reads them.",
        fragment_unowned="A level of objects has fragments with vertices that no object names.",
        row_shape="The width of an attribute is not the one that its document states.",
        object_rows="An object attribute is shorter than the object index; the rest has no value.",
        vertices_lost="A Draco cell has fewer vertices than were encoded.",
        stray_object="Something is stored in an array that is none of its chunks.",
        link_level_missing="A family of links leads to a level that does not exist.",
    ),
}
_CONFORMANCE = {
    **_table(
        4,
        "error",
        kind_convention="Links are kept in another way than the kind of geometry has them.",
        link_width="Links have another number of ends than the kind of geometry needs.",
        line_links="The links of a line are not those that the order of its fragments says.",
        line_length="A line of kind `line` does not have two vertices.",
        skeleton_cycle="A vertex of a skeleton is its own ancestor.",
        skeleton_parents="A vertex of a skeleton has several parents.",
        identity_ids="The object ids are not 0 to n-1, as the store says.",
        index_differs="The cell index says of a chunk what is not so, and queries believe it.",
    ),
    **_table(
        4,
        "warning",
        kind_unknown="The store names a kind of geometry that is not known.",
        cloud_links="A point cloud has links.",
        link_degenerate="A link has the same vertex at two of its ends.",
    ),
}
_PYRAMID = {
    **_table(
        5,
        "error",
        level_gap="The numbers of the levels are not 0 to n-1.",
        level_parent="A level names a parent that does not exist, or is no finer level.",
        level_growth="A level has more vertices than the finer one before it.",
        level_bins="The bins of a level are smaller than those of a finer one.",
        level_factor="The bins of a level are not so many times those of its parent as it says.",
        level_error="A level states a smaller error than the one that it was made from.",
        level_objects="A level that keeps object ids does not have the ids of its parent.",
    ),
    **_table(
        5,
        "warning",
        level_stale="A finer level has changed since the level was made from it.",
        level_count="The vertices of a level do not stand for all vertices of level 0 of its objects.",
        level_presence="A level has an object that its parent has dropped.",
        level_links="Links between levels are not those that the root says, or differ from those of the other level.",
        capability="The root does not state a capability that the store makes use of.",
    ),
}
RULES: dict[str, Rule] = {**_STRUCTURE, **_DOCUMENTS, **_CONSISTENCY, **_CONFORMANCE, **_PYRAMID}
"""Every kind of problem."""
