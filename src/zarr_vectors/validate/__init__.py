"""Finding out what is wrong with a store.

The function ``validate`` stands at the door of the package too, under the name of this module, and carries itself as
an attribute, so that ``zarr_vectors.validate(...)`` and ``zarr_vectors.validate.validate(...)`` are the same.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zarr_vectors.packages import stand_for_package

if TYPE_CHECKING:
    from zarr_vectors.validate.problems import ValidationResult

__all__ = ["validate"]


def validate(store_path: Any, level: int = 5, *, storage_options: Any = None) -> ValidationResult:
    """Check a store against the rules of the format, and return everything that is wrong with it.

    Nothing is changed. Memory is bounded by some chunks and by a few numbers for each chunk, fragment and object; rules
    about the connections of lines and skeletons (level 4) also keep a number or two for each vertex or link.

    Args:
        store_path: A path, a URL, an open zarr store, or an open store or group of this library.
        level: How far to look, each level with all before it. 1: nodes and documents are there. 2: documents say what
            the format allows. 3: cells can be read and agree with one another: rows, fragments, attributes, objects,
            groups, links, presence lists, counts, bounds. 4: geometry is of the kind that the store names. 5: levels
            of resolution fit together.
        storage_options: For object stores, as in ``zarr_vectors.open``.

    Returns:
        A ``ValidationResult``: ``ok``, ``errors`` and ``warnings`` (values with ``kind``, ``path``, ``cell``,
        ``severity`` and ``message``), ``unchecked`` (what could not be looked for, as where a store cannot be listed),
        ``summary()`` as text, ``to_json()``, and ``check()``, which raises.

    Raises:
        InputError: There is no such level of validation, or ``store_path`` is nothing that can be opened.
        ConcurrentEditError: Others have changed the store while it was read, and again while it was read once more.
        MissingDependencyError: A package is not installed without which cells cannot be read.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.write("memory://validate-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
        >>> result = zv.validate("memory://validate-doc")
        >>> result.ok, result.problems
        (True, ())
    """
    # What it takes to read is imported when it is needed, as at the door.
    result: ValidationResult = import_module("zarr_vectors.validate.run").validate_store(
        store_path, level, storage_options
    )
    return result


stand_for_package(validate)
