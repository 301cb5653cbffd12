"""Cutting a store into other chunks: by group, object id, attribute or space.

The function ``rechunk`` stands at the door of the package too, under the name of this module, and carries itself as
an attribute, so that ``zarr_vectors.rechunk(...)`` and ``zarr_vectors.rechunk.rechunk(...)`` are the same.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from zarr_vectors.packages import stand_for_package
from zarr_vectors.rechunk.spec import RechunkSpec

__all__ = ["RechunkSpec", "rechunk", "rechunk_by_attribute"]


def rechunk(store_path: Any, spec: RechunkSpec, output: Any = None, *, coarser: str = "keep") -> dict[str, Any]:
    """Cut a store into other chunks, with everything that it holds.

    Chunks get an axis before the spatial ones, along which each bin of objects has chunks of its own (none with
    ``by="spatial"``, which also takes away one that is there). Objects keep their ids; all attributes, groups, links,
    headers and what other writers have added stay. An object in several groups goes to the bin of the first one; what
    has no group or no value goes to one more bin at the end. Vertices that several objects share stay shared. Coarser
    levels get chunks as many times larger as they had, and links between levels follow the vertices. Memory is bounded
    by shards, not by the store.

    Args:
        store_path: A path, a URL, or an open zarr store.
        spec: By what to chunk.
        output: Where to write the new store, which must not exist; None to rechunk in place, as one commit: the store
            stays as it is until all of the new one is there.
        coarser: What becomes of coarser levels: ``"keep"`` cuts them into the same bins, and raises where they do not
            tell what belongs to which; ``"spatial"`` cuts them by space alone, and leaves out their links to level 0
            where that is not; ``"drop"`` leaves them out.

    Returns:
        ``objects_rechunked``, ``bins_created`` (those with vertices), ``output_path``, ``total_vertices``,
        ``rechunk_dims`` (names of the axes of chunk keys), ``objects_in_several_bins`` (stored in the first),
        ``objects_in_no_bin`` (without a group or value), ``links_left_out`` (families of links to levels that do not
        exist, or whose chunks have another number of axes), ``levels_rechunked`` and ``levels_dropped``.

    Raises:
        InputError: The specification cannot be used, or names an attribute that is not there; nothing was written.
        StoreError: The store has no objects or groups to be chunked by.
        ConventionError: Objects of different bins share vertices, or a coarser level does not tell of bins; nothing was
            written.
        StoreNotFoundError, StoreExistsError: There is no store, or something at ``output``.

    Example:
        >>> import numpy as np, zarr_vectors as zv
        >>> cloud = zv.Points(np.arange(8.0).reshape(4, 2), object_ids=[7, 7, 8, 9], groups={0: [8], 1: [7, 8]})
        >>> _ = zv.write("memory://rechunk-doc", cloud)
        >>> report = zv.rechunk("memory://rechunk-doc", zv.RechunkSpec("group"))
        >>> report["bins_created"], report["objects_in_several_bins"], report["objects_in_no_bin"]
        (3, 1, 1)
        >>> zv.open("memory://rechunk-doc")[0].read(group_ids=[1]).object_ids.tolist()
        [7, 7, 8]
    """
    # What it takes to read and write is imported when it is needed, as at the door.
    report: dict[str, Any] = import_module("zarr_vectors.rechunk.run").rechunk_store(store_path, spec, output, coarser)
    return report


def rechunk_by_attribute(
    store_path: Any,
    attribute_name: str,
    *,
    output: Any = None,
    spatial_chunk_shape: Any = None,
    coarser: str = "keep",
) -> dict[str, Any]:
    """Cut a store into chunks of one attribute value each, however many values there are.

    Args:
        store_path: A path, a URL, or an open zarr store.
        attribute_name: An object attribute or, where there is none of that name, a vertex attribute.
        output: As of ``rechunk``.
        spatial_chunk_shape: New edge lengths of chunks in data units, one per axis; by default they stay.
        coarser: As of ``rechunk``.

    Returns:
        What ``rechunk`` returns.

    Raises:
        InputError: There is no such attribute, or it cannot be chunked by; nothing was written.

    Example:
        >>> import numpy as np, zarr_vectors as zv
        >>> spots = zv.Points(np.arange(8.0).reshape(4, 2), attributes={"gene": ["ACTB", "GAPDH", "ACTB", None]})
        >>> _ = zv.write("memory://rechunk-doc-2", spots)
        >>> zv.rechunk_by_attribute("memory://rechunk-doc-2", "gene")["bins_created"]
        3
        >>> zv.open("memory://rechunk-doc-2")[0].read().attributes["gene"] == "ACTB"
        array([ True,  True, False, False])
    """
    spec = RechunkSpec(f"attribute:{attribute_name}", spatial_chunk_shape=spatial_chunk_shape, categorical=True)
    return rechunk(store_path, spec, output, coarser=coarser)


stand_for_package(rechunk)
