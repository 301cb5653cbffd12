"""The header of TrackVis files: its fields, their form as JSON, and the way from its coordinates to RAS+ millimetres.

The fields are those of the TrackVis file format, version 2. What they mean for coordinates follows nibabel, whose
reading of them is what other programs agree on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zarr_vectors.exceptions import ExportError, IngestError, ZVError
from zarr_vectors.formats.streamlines import Reference, empty_file, from_json, to_json
from zarr_vectors.typing import AnyArray, FloatArray, JsonObject

__all__ = [
    "DTYPE",
    "HEADER_SIZE",
    "Channels",
    "affine_of",
    "channels_of",
    "document_of",
    "header_from",
    "new_header",
    "read_header",
    "set_channels",
]

HEADER_SIZE = 1000
NAME_SIZE = 20
MOST_NAMES = 10
MOST_CHANNELS = (1 << 15) - 4
DTYPE = np.dtype(
    [
        ("id_string", "S6"),
        ("dim", "i2", 3),
        ("voxel_size", "f4", 3),
        ("origin", "f4", 3),
        ("n_scalars", "i2"),
        ("scalar_name", f"S{NAME_SIZE}", MOST_NAMES),
        ("n_properties", "i2"),
        ("property_name", f"S{NAME_SIZE}", MOST_NAMES),
        ("vox_to_ras", "f4", (4, 4)),
        ("reserved", "S444"),
        ("voxel_order", "S4"),
        ("pad2", "S4"),
        ("image_orientation_patient", "f4", 6),
        ("pad1", "S2"),
        ("invert_x", "S1"),
        ("invert_y", "S1"),
        ("invert_z", "S1"),
        ("swap_xy", "S1"),
        ("swap_yz", "S1"),
        ("swap_zx", "S1"),
        ("n_count", "i4"),
        ("version", "i4"),
        ("hdr_size", "i4"),
    ]
)
ORDERS: dict[Literal["<", ">"], str] = {"<": "little", ">": "big"}
LETTERS = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}
"""The RAS+ axis and direction that each letter of a voxel order names."""
DEFAULT_ORDER = "LPS"
VERSIONS = (1, 2, 3)

Channels = list[tuple[str, int]]
"""Names of scalars or properties, and how many values each has."""


def read_header(path: Path) -> AnyArray:
    """The header as one record, whose dtype has the byte order of the file.

    Raises:
        IngestError: Not TRK, truncated, or with numbers that cannot be used.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "a.trk")
        ...     _ = file.write_bytes(new_header(Reference(np.eye(4), (9, 9, 9))).tobytes())
        ...     read_header(file)["dim"].tolist()
        [9, 9, 9]
    """
    with path.open("rb") as file:
        raw = file.read(HEADER_SIZE)
    if not raw:
        raise empty_file(path, f"a TRK header of {HEADER_SIZE} bytes")
    if not raw.startswith(b"TRACK"):
        raise IngestError(f"{path} is not a TRK file", expected="first bytes 'TRACK'", got=repr(raw[:6]))
    if len(raw) < HEADER_SIZE:
        raise IngestError(f"{path} is truncated", expected=f"a header of {HEADER_SIZE} bytes", got=f"{len(raw)} bytes")
    header: AnyArray = np.frombuffer(raw, DTYPE.newbyteorder("<"))[0]
    if header["hdr_size"] != HEADER_SIZE:
        header = np.frombuffer(raw, DTYPE.newbyteorder(">"))[0]
    if header["hdr_size"] != HEADER_SIZE:
        got = f"{raw[-4:].hex(' ')} at byte {HEADER_SIZE - 4}"
        raise IngestError(f"{path} has no byte order", expected=f"hdr_size {HEADER_SIZE}", got=got)
    if header["version"] not in VERSIONS:
        version = int(header["version"])
        expected = f"one of {list(VERSIONS)}"
        raise IngestError(f"{path} has a version that is not known", expected=expected, got=version)
    for name in ("n_scalars", "n_properties", "n_count"):
        if header[name] < 0:
            raise IngestError(f"{path} has a negative {name}", expected="0 or more", got=int(header[name]))
    return header


def affine_of(header: AnyArray, what: str, error: type[ZVError]) -> FloatArray:
    """The ``(4, 4)`` affine from the file's coordinates to RAS+ millimetres.

    The file counts millimetres from the corner of the first voxel along the axes of ``voxel_order``; in RAS+ whole
    voxels are centres. The affine is rounded to float32, as nibabel rounds it. Without ``vox_to_ras`` that is the
    identity, without ``voxel_order`` LPS.

    Raises:
        error: ``what`` has fields that give no invertible affine.

    Example:
        >>> affine_of(new_header(Reference(np.diag([2.0, 2, 2, 1]), (9, 9, 9))), "the header", ExportError)[0].tolist()
        [1.0, 0.0, 0.0, -1.0]
    """
    sizes, to_ras = header["voxel_size"].astype(np.float64), header["vox_to_ras"].astype(np.float32)
    if header["version"] == 1 or to_ras[3, 3] == 0:
        to_ras = np.eye(4, dtype=np.float32)
    if not (np.isfinite(sizes).all() and sizes.all()):
        raise error(f"{what} has voxel sizes that cannot be used", expected="numbers apart from 0", got=sizes.tolist())
    to_ras[3] = [0, 0, 0, 1]
    if not np.isfinite(to_ras).all() or not np.linalg.det(to_ras[:3, :3].astype(np.float64)):
        expected, got = "an invertible affine", to_ras.tolist()
        raise error(f"{what} has a vox_to_ras that cannot be used", expected=expected, got=got)
    order = header["voxel_order"].item().decode("latin-1").upper() or DEFAULT_ORDER
    if sorted(LETTERS.get(letter, (-1, 0))[0] for letter in order) != [0, 1, 2]:
        got = repr(order)
        raise error(f"{what} has a voxel order that cannot be used", expected="three letters such as 'RAS'", got=got)
    scale = np.diag([*(1 / sizes), 1.0])
    to_centre = np.eye(4)
    to_centre[:3, 3] = -0.5
    affine = to_ras @ _reorientation(order, to_ras, header["dim"].astype(np.float64)) @ to_centre @ scale
    rounded = affine.astype(np.float32).astype(np.float64)
    if not np.isfinite(rounded).all() or not np.linalg.det(rounded[:3, :3]):
        raise error(f"{what} has no usable affine", expected="one that can be inverted", got=rounded.tolist())
    return rounded


def _reorientation(order: str, to_ras: AnyArray, dim: FloatArray) -> FloatArray:
    """From voxels along the axes that the header names to voxels along those that the affine has."""
    there = _orientation(to_ras)
    matrix = np.eye(4)
    for row, letter in enumerate(order):
        axis, sign = LETTERS[letter]
        column = next(at for at, (other, _) in enumerate(there) if other == axis)
        flip = sign * there[column][1]
        matrix[row, :3] = 0
        matrix[row, column] = flip
        matrix[row, 3] = 0 if flip > 0 else dim[row] - 1
    return matrix


def _orientation(affine: AnyArray) -> list[tuple[int, int]]:
    """The RAS+ axis that each voxel axis is closest to, and its direction."""
    linear = affine[:3, :3].astype(np.float64)
    left, _, right = np.linalg.svd(linear / np.sqrt(np.sum(linear * linear, axis=0)))
    rotation = left @ right
    found = [(0, 1)] * 3
    free = [0, 1, 2]
    for column in np.argsort(-np.max(rotation**2, axis=0), kind="stable").tolist():
        axis = free.pop(int(np.argmax(np.abs(rotation[free, column]))))
        found[column] = (axis, 1 if rotation[axis, column] > 0 else -1)
    return found


def channels_of(header: AnyArray, count: str, names: str) -> Channels:
    r"""How ``n_scalars`` or ``n_properties`` values are shared among their names, as nibabel shares them.

    A name with several values has their number after a zero byte. What is left over without a name is called like
    the field; a name that comes again gets a number.

    Example:
        >>> header = new_header(Reference(np.eye(4), (1, 1, 1)))
        >>> header["n_scalars"], header["scalar_name"][0] = 5, b"rgb\x003"
        >>> channels_of(header, "n_scalars", "scalar_name")
        [('rgb', 3), ('scalars', 2)]
    """
    left = int(header[count])
    channels: dict[str, int] = {}
    for field in header[names].tolist():
        name, *rest = field.decode("latin-1").split("\0")
        width = min(left, int(rest[0]) if rest and rest[0].isascii() and rest[0].isdigit() else 1)
        if name and width:
            channels[_unused(name, channels)] = width
            left -= width
    if left:
        channels[_unused(count.removeprefix("n_"), channels)] = left
    return list(channels.items())


def _unused(name: str, known: dict[str, int]) -> str:
    number = 0
    unused = name
    while unused in known:
        number += 1
        unused = f"{name}_{number}"
    return unused


def set_channels(header: AnyArray, count: str, names: str, channels: Channels) -> Channels:
    r"""Write names and numbers of values into a header, unless it says the same already; returns their order there.

    Raises:
        ExportError: More names than there are places, or a name that is too long.

    Example:
        >>> header = new_header(Reference(np.eye(4), (1, 1, 1)))
        >>> set_channels(header, "n_scalars", "scalar_name", [("rgb", 3)])
        [('rgb', 3)]
        >>> int(header["n_scalars"]), header["scalar_name"][0]
        (3, np.bytes_(b'rgb\x003'))
    """
    known = channels_of(header, count, names)
    if sorted(known) == sorted(channels):
        return known
    what = count.removeprefix("n_")
    if len(channels) > MOST_NAMES or sum(width for _, width in channels) > MOST_CHANNELS:
        expected, got = f"up to {MOST_NAMES} names with {MOST_CHANNELS} values", [name for name, _ in channels]
        raise ExportError(f"TRK cannot hold so many {what}", expected=expected, got=got)
    header[names] = [_name_field(what, name, width) for name, width in channels] + [b""] * (MOST_NAMES - len(channels))
    header[count] = sum(width for _, width in channels)
    return channels


def _name_field(what: str, name: str, width: int) -> bytes:
    text = name if width == 1 else f"{name}\0{width}"
    if not name or "\0" in name or len(text) > NAME_SIZE or any(ord(letter) > 255 for letter in name):
        room = NAME_SIZE - (len(text) - len(name))
        expected = f"1 to {room} Latin-1 letters for {width} values"
        raise ExportError(f"TRK cannot hold a name among its {what}", expected=expected, got=repr(name))
    return text.encode("latin-1")


def new_header(reference: Reference) -> AnyArray:
    """A little endian header for streamlines in an image; ``n_count`` is 0.

    Example:
        >>> new_header(Reference(np.eye(4), (4, 5, 6)))["voxel_order"]
        np.bytes_(b'RAS')
    """
    header: AnyArray = np.zeros(1, DTYPE.newbyteorder("<"))[0]
    affine = reference.affine.astype(np.float32)
    letters = {place: letter for letter, place in LETTERS.items()}
    limits = np.iinfo(np.int16)
    header["id_string"] = b"TRACK"
    header["dim"] = np.clip(reference.dimensions, 1, limits.max)
    header["voxel_size"] = np.linalg.norm(affine[:3, :3], axis=0)
    header["vox_to_ras"] = affine
    header["voxel_order"] = "".join(letters[place] for place in _orientation(affine)).encode()
    header["version"], header["hdr_size"] = 2, HEADER_SIZE
    return header


def document_of(header: AnyArray) -> JsonObject:
    """A header as JSON, from which ``header_from`` makes the same bytes.

    Text is Latin-1 without the zero bytes at its end. Should a number have bits that JSON cannot tell, ``bytes`` holds
    the whole header in hexadecimal.

    Example:
        >>> document_of(new_header(Reference(np.eye(4), (4, 5, 6))))["dim"]
        [4, 5, 6]
    """
    document: JsonObject = {"byte_order": ORDERS[">" if header.dtype["n_count"].str[0] == ">" else "<"]}
    for name in DTYPE.names or ():
        value = header[name]
        if DTYPE[name].base.kind == "S":
            texts = [text.decode("latin-1") for text in np.atleast_1d(value).tolist()]
            document[name] = texts if DTYPE[name].shape else texts[0]
        else:
            document[name] = to_json(np.atleast_1d(value)) if np.ndim(value) else value.item()
    if header_from(document).tobytes() != header.tobytes():
        document["bytes"] = header.tobytes().hex()
    return document


def header_from(document: JsonObject) -> AnyArray:
    """The header that ``document_of`` was given.

    Raises:
        ExportError: The JSON is not what an ingest keeps.

    Example:
        >>> header_from({"byte_order": "big"} | document_of(new_header(Reference(np.eye(4), (4, 5, 6))))).nbytes
        1000
    """
    where = "headers/trk"
    order = next((order for order, name in ORDERS.items() if name == document.get("byte_order")), None)
    if order is None:
        got = repr(document.get("byte_order"))
        raise ExportError(f"{where} is not what an ingest keeps", expected="byte_order little or big", got=got)
    dtype = DTYPE.newbyteorder(order)
    try:
        raw = bytes.fromhex(document.get("bytes", ""))
    except (TypeError, ValueError) as error:
        raise ExportError(f"{where}/bytes is not hexadecimal", got=repr(document["bytes"])[:80]) from error
    if len(raw) == HEADER_SIZE:
        given: AnyArray = np.frombuffer(bytearray(raw), dtype)[0]
        return given
    header: AnyArray = np.zeros(1, dtype)[0]
    for name in DTYPE.names or ():
        field = DTYPE[name]
        value = document.get(name)
        if field.base.kind == "S":
            header[name] = _texts(f"{where}/{name}", value, field)
        else:
            header[name] = from_json(value, field.base, field.shape, f"{where}/{name}")
    return header


def _texts(where: str, value: Any, field: np.dtype[Any]) -> Any:
    items: Sequence[Any] = value if field.shape and isinstance(value, list) else [value]
    size, number = field.base.itemsize, field.shape[0] if field.shape else 1
    texts = [item for item in items if isinstance(item, str) and len(item) <= size]
    if len(texts) != number or len(items) != number or any(ord(letter) > 255 for text in texts for letter in text):
        expected = f"{number} Latin-1 texts of {size} letters at most"
        raise ExportError(f"{where} is not what an ingest keeps", expected=expected, got=repr(value)[:80])
    encoded = [text.encode("latin-1") for text in texts]
    return encoded if field.shape else encoded[0]
