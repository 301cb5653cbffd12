"""What a LAS file says besides its points: checks, records, CRS, and ``headers["las"]`` both ways.

What cannot be written again is listed under ``headers["las"]["omitted"]``: the records of a COPC octree, which describe
a layout that an export no longer has, waveform packets, and extended records above 1 MiB.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import numpy as np

from zarr_vectors.exceptions import IngestError, ZVError
from zarr_vectors.optional import require
from zarr_vectors.typing import JsonObject

__all__ = [
    "ExtendedRecords",
    "check_points",
    "crs_of",
    "document_of",
    "fill_header",
    "laspy_errors",
    "load_laspy",
    "load_lazrs",
    "read_header",
    "truncated",
    "units_of",
]

WKT_BIT, INTERNAL_WAVEFORM_BIT = 0b10000, 0b10
LARGEST_RECORD = 1 << 20
LARGEST_CHUNK = 1 << 20
CHUNKS_AT, CHUNK_COUNT = struct.Struct("<q"), struct.Struct("<4xI")
RECORD, EXTENDED_RECORD = struct.Struct("<2x16sHH32s"), struct.Struct("<2x16sHQ32s")
DESCRIBED_ANEW = {("laszip encoded", 22204), ("LASF_Spec", 4)}
WAVEFORM_PACKETS = ("LASF_Spec", 65535)
PROJECTION = "LASF_Projection"
WKT_ID, KEYS_ID, DOUBLES_ID, TEXTS_ID = 2112, 34735, 34736, 34737
EPSG_UNITS = {9001: "meter", 9002: "foot", 9003: "US_survey_foot", 9102: "degree"}
FACTOR_UNITS = {1.0: "meter", 0.3048: "foot", 1200 / 3937: "US_survey_foot", math.pi / 180: "degree"}
WKT_TOKENS = re.compile(r'"(?:[^"]|"")*"|[A-Za-z_]\w*(?=\s*[\[(])|[-+]?\d[-+.\deE]*|[\])]')
PROJECTED, GEOGRAPHIC = {"PROJCS", "PROJCRS", "PROJECTEDCRS"}, {"GEOGCS", "GEOGCRS", "GEOGRAPHICCRS"}
VERTICAL = {"VERT_CS", "VERTCRS", "VERTICALCRS"}


def load_laspy() -> Any:
    """The module ``laspy``; raises ``MissingDependencyError``."""
    return require("laspy", "LAS files need")


def load_lazrs() -> Any:
    """The module ``lazrs``; raises ``MissingDependencyError``."""
    return require("lazrs", "LAZ files need")


@contextmanager
def laspy_errors(laspy: Any, kind: type[ZVError], message: str) -> Iterator[None]:
    """Turn what laspy and lazrs raise for impossible content into an error of ours."""
    # LazrsError is a RuntimeError; the other builtins are what laspy's own decoding and encoding of headers raises.
    builtin = (RuntimeError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, AssertionError)
    try:
        yield
    except ZVError:
        raise
    except (laspy.errors.LaspyException, struct.error, *builtin) as error:
        raise kind(message, got=f"{type(error).__name__}: {error}") from error


def truncated(path: Path, expected: str, got: str) -> IngestError:
    """The error for a file whose header and content contradict each other."""
    return IngestError(f"{path} is truncated or its header is wrong", expected=expected, got=got)


def read_header(path: Path, laspy: Any) -> tuple[Any, list[JsonObject], list[JsonObject]]:
    """The header as laspy reads it, the variable length records and the extended ones.

    Raises:
        IngestError: Not a LAS file, or truncated before the points or inside the records.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(393)
        _check_start(path, raw, size)
        at, points_at, count = struct.unpack_from("<HII", raw, 94)
        vlrs = _read_records(path, file, RECORD, at, count, points_at)
        file.seek(0)
        with laspy_errors(laspy, IngestError, f"{path} has a header that cannot be used"):
            header = laspy.LasHeader.read_from(file)
            header.point_format.dtype()
        at, count = header.start_of_first_evlr, header.number_of_evlrs
        return header, vlrs, _read_records(path, file, EXTENDED_RECORD, at, count, size)


def _check_start(path: Path, raw: bytes, size: int) -> None:
    """Refuse what laspy would decode to nonsense, or loop over without end, before laspy sees it."""
    if not raw:
        raise IngestError(f"{path} is empty", expected="a LAS header of at least 227 bytes")
    if raw[:4] != b"LASF":
        raise IngestError(f"{path} is not a LAS file", expected="signature b'LASF'", got=repr(raw[:4]))
    if len(raw) < 227:
        raise truncated(path, "a header of at least 227 bytes", f"{len(raw)} bytes")
    major, minor = raw[24], raw[25]
    if major != 1 or minor > 5:
        raise IngestError(f"{path} has an unknown LAS version", expected="1.0 to 1.5", got=f"{major}.{minor}")
    least = {3: 235, 4: 375, 5: 393}.get(minor, 227)
    header_size, points_at, records = struct.unpack_from("<HII", raw, 94)
    if not least <= header_size <= points_at <= size:
        got = f"header of {header_size} bytes, points at {points_at}, file of {size} bytes"
        raise truncated(path, f"header of at least {least} bytes, then points, inside the file", got)
    if header_size + records * RECORD.size > points_at:
        raise truncated(path, f"{records} variable length records before the points", f"{points_at} bytes")


def _read_records(path: Path, file: BinaryIO, layout: struct.Struct, at: int, count: int, end: int) -> list[JsonObject]:
    """(Extended) variable length records as JSON, with the bytes as they are and not as laspy parses them."""
    records: list[JsonObject] = []
    for index in range(count):
        if at + layout.size > end:
            raise truncated(path, f"{count} records", f"the end inside record {index}")
        file.seek(at)
        user, record_id, length, description = layout.unpack(file.read(layout.size))
        at += layout.size + length
        if at > end:
            raise truncated(path, f"{length} bytes of record {index}", f"{end - at + length} bytes")
        record: JsonObject = {"user_id": _text(user), "record_id": record_id, "description": _text(description)}
        if _is_carried(record) and length <= LARGEST_RECORD:
            record["data"] = base64.b64encode(file.read(length)).decode("ascii")
        records.append(record)
    return records


def _text(raw: str | bytes) -> str:
    return raw.split(b"\0")[0].decode("latin-1") if isinstance(raw, bytes) else raw


def _is_carried(record: JsonObject) -> bool:
    """Whether a record means something in another file.

    laspy describes compression and extra bytes anew. COPC info and hierarchy are file offsets of an octree that an
    export does not have; waveform packets are found by a file offset as well.
    """
    key = record["user_id"], record["record_id"]
    return key[0] != "copc" and key not in DESCRIBED_ANEW and key != WAVEFORM_PACKETS


def check_points(path: Path, laspy: Any, header: Any) -> bool:
    """Refuse a file that holds less points than it claims, or points of which its header does not know.

    Returns:
        Whether the compressed chunks, if any, are small enough to be decoded in parallel, each as a whole.
    """
    if header.are_points_compressed:
        return _check_chunks(path, laspy, header)
    size, held = header.point_format.size, path.stat().st_size - header.offset_to_point_data
    if header.point_count * size > held:
        raise truncated(path, f"{header.point_count} points", f"{held // size} points")
    ends = [at for at in (header.start_of_first_evlr, header.start_of_waveform_data_packet_record) if at]
    if not header.point_count and min([held, *(at - header.offset_to_point_data for at in ends)]) >= size:
        raise truncated(path, "0 points, as the header says", f"{held} bytes of points")
    return True


def _check_chunks(path: Path, laspy: Any, header: Any) -> bool:
    lazrs = load_lazrs()
    held = path.stat().st_size - header.offset_to_point_data
    if not header.point_count and held < CHUNKS_AT.size:
        return True
    with laspy_errors(
        laspy, IngestError, f"{path} is truncated, damaged, or compressed in a way that lazrs does not know"
    ):
        layout = lazrs.LazVlr(header.vlrs[header.vlrs.index("LasZipVlr")].record_data)
        with path.open("rb") as file:
            count = _count_chunks(path, file, header.offset_to_point_data, held)
            least = 0 if layout.uses_variable_size_chunks() else -(-header.point_count // max(1, layout.chunk_size()))
            most = header.point_count if layout.uses_variable_size_chunks() else least
            # Some writers end with an empty chunk. lazrs allocates what the table claims, so it is checked before.
            if not least <= count <= most + 1:
                raise truncated(path, f"{header.point_count} points", f"{count} chunks of {layout.chunk_size()} points")
            file.seek(header.offset_to_point_data)
            table = lazrs.read_chunk_table(file, layout)
    points, stored = sum(rows for rows, _ in table), sum(length for _, length in table)
    # With a chunk size the table repeats it for the last chunk, which may hold less.
    complete = points == header.point_count if layout.uses_variable_size_chunks() else points >= header.point_count
    if not complete or stored > held or (stored and not header.point_count):
        raise truncated(path, f"{header.point_count} points", f"{points} points in {stored} bytes")
    if layout.item_size() != header.point_format.size:
        expected = f"compressed records of {header.point_format.size} bytes"
        raise truncated(path, expected, f"{layout.item_size()} bytes")
    if header.point_format.id in _LAYERS:
        _check_layers(path, header, [length for _, length in table])
    return max((rows for rows, _ in table), default=0) <= LARGEST_CHUNK


_LAYERS = {6: 9, 7: 10, 8: 11, 9: 10, 10: 12}
"""How many layers a chunk has, by point format; each extra byte has one more."""


def _check_layers(path: Path, header: Any, lengths: Sequence[int]) -> None:
    """Refuse layers that are larger than their chunk: lazrs ends the process where it cannot allocate one."""
    point = header.point_format
    sizes = np.dtype(("<u4", _LAYERS[point.id] + point.num_extra_bytes))
    at = header.offset_to_point_data + CHUNKS_AT.size
    with path.open("rb") as file:
        for number, length in enumerate(lengths):
            # After the first point, and the number of points.
            file.seek(at + point.size + 4)
            head = file.read(min(sizes.itemsize, max(0, length - point.size - 4)))
            largest = int(np.frombuffer(head[: len(head) // 4 * 4], "<u4").max(initial=0))
            if largest > length:
                raise truncated(path, f"layers of at most {length} bytes in chunk {number}", f"one of {largest} bytes")
            at += length


def _count_chunks(path: Path, file: BinaryIO, start: int, held: int) -> int:
    file.seek(start)
    (at,) = CHUNKS_AT.unpack(file.read(CHUNKS_AT.size))
    if at == -1:
        # A writer that could not seek back leaves the place of the table at the end of the file.
        file.seek(start + held - CHUNKS_AT.size)
        (at,) = CHUNKS_AT.unpack(file.read(CHUNKS_AT.size))
    if not CHUNKS_AT.size <= at - start <= held - CHUNK_COUNT.size:
        raise truncated(path, "a table of compressed chunks inside the file", f"a table at byte {at}")
    file.seek(at)
    return int(CHUNK_COUNT.unpack(file.read(CHUNK_COUNT.size))[0])


def crs_of(records: Sequence[JsonObject]) -> JsonObject | None:
    """``{"wkt": text}`` and ``{"geotiff_keys": {key id: value}}``, as far as the records hold them."""
    found = {r["record_id"]: base64.b64decode(r["data"]) for r in records if r["user_id"] == PROJECTION and "data" in r}
    wkt = found.get(WKT_ID, b"").split(b"\0")[0].decode("utf-8", "replace").strip()
    crs: JsonObject = {"wkt": wkt} if wkt else {}
    directory, texts = found.get(KEYS_ID, b""), found.get(TEXTS_ID, b"")
    shorts = struct.unpack(f"<{len(directory) // 2}H", directory[: len(directory) // 2 * 2])
    doubles = np.frombuffer(found.get(DOUBLES_ID, b"").ljust(8)[: len(found.get(DOUBLES_ID, b"")) // 8 * 8], "<f8")
    keys: JsonObject = {}
    for at in range(4, min(len(shorts) - 3, 4 + 4 * (shorts[3] if len(shorts) > 3 else 0)), 4):
        key, place, count, value = shorts[at : at + 4]
        if place == 0 and key:
            keys[str(key)] = value
        elif place == DOUBLES_ID and np.isfinite(doubles[value : value + count]).all():
            numbers = doubles[value : value + count].tolist()
            keys[str(key)] = numbers[0] if len(numbers) == 1 else numbers
        elif place == TEXTS_ID:
            keys[str(key)] = texts[value : value + count].decode("latin-1").rstrip("|\0")
    return crs | ({"geotiff_keys": keys} if keys else {}) or None


def _crs_records(crs: JsonObject) -> list[JsonObject]:
    """The records that state a CRS; none when it is in terms that LAS does not have."""
    chunks = [(WKT_ID, str(crs["wkt"]).encode() + b"\0")] if crs.get("wkt") else []
    entries: list[tuple[int, int, int, int]] = []
    doubles: list[float] = []
    texts = b""
    for key, value in sorted((int(key), value) for key, value in (crs.get("geotiff_keys") or {}).items()):
        if isinstance(value, int):
            entries.append((key, 0, 1, value))
        elif isinstance(value, str):
            raw = value.encode("latin-1", "replace") + b"|"
            entries.append((key, TEXTS_ID, len(raw), len(texts)))
            texts += raw
        else:
            numbers = [float(number) for number in np.atleast_1d(value)]
            entries.append((key, DOUBLES_ID, len(numbers), len(doubles)))
            doubles += numbers
    if entries:
        directory = [(1, 1, 0, len(entries)), *entries]
        chunks.append((KEYS_ID, b"".join(struct.pack("<4H", *entry) for entry in directory)))
        chunks += [(DOUBLES_ID, struct.pack(f"<{len(doubles)}d", *doubles))] * bool(doubles)
        chunks += [(TEXTS_ID, texts + b"\0")] * bool(texts)
    head = {"user_id": PROJECTION, "description": ""}
    return [head | {"record_id": key, "data": base64.b64encode(raw).decode("ascii")} for key, raw in chunks]


def units_of(crs: JsonObject | None) -> tuple[str | None, str | None]:
    """The unit of the horizontal axes and of the vertical one; None where the CRS does not say."""
    keys = (crs or {}).get("geotiff_keys", {})
    projected = keys.get("1024") == 1 or "3072" in keys or "3076" in keys
    angular = None if projected or "2048" not in keys else keys.get("2054", 9102)
    codes = {"horizontal": keys.get("3076") if projected else angular, "vertical": keys.get("4099")}
    found = {axis: EPSG_UNITS.get(code) if isinstance(code, int) else None for axis, code in codes.items()}
    found |= _wkt_units((crs or {}).get("wkt", ""))
    return found["horizontal"], found["vertical"]


def _wkt_units(wkt: str) -> dict[str, str | None]:
    """The first unit that a horizontal and a vertical system states, for itself or for an axis; WKT 1 and 2."""
    found: dict[str, str | None] = {}
    path: list[str] = []
    tokens = WKT_TOKENS.findall(wkt)
    for index, token in enumerate(tokens):
        if token in {"]", ")"}:
            path = path[:-1]
        elif token[0].isalpha() or token[0] == "_":
            path.append(token.upper())
            owner = [name for name in path[:-1] if name != "AXIS"][-1:]
            if path[-1] not in {"UNIT", "LENGTHUNIT", "ANGLEUNIT"} or not owner or index + 2 >= len(tokens):
                continue
            if owner[0] in VERTICAL:
                found.setdefault("vertical", _unit_of_factor(tokens[index + 2]))
            elif owner[0] in PROJECTED or (owner[0] in GEOGRAPHIC and not PROJECTED.intersection(path)):
                found.setdefault("horizontal", _unit_of_factor(tokens[index + 2]))
    return found


def _unit_of_factor(text: str) -> str | None:
    try:
        factor = float(text)
    except ValueError:
        return None
    return next((unit for known, unit in FACTOR_UNITS.items() if math.isclose(factor, known, rel_tol=1e-8)), None)


def document_of(header: Any, vlrs: list[JsonObject], evlrs: list[JsonObject]) -> JsonObject:
    """``headers["las"]``: what it takes to write the file again."""
    described = header.vlrs.get("ExtraBytesVlr")
    entries = described[0].extra_bytes_structs if described else []
    extra = []
    for index, dim in enumerate(header.point_format.extra_dimensions):
        no_data = entries[index].no_data if index < len(entries) and entries[index].data_type else None
        extra.append(
            {
                "name": dim.name,
                "dtype": str(dim.dtype.base),
                "channels": dim.num_elements,
                "description": dim.description,
                "scales": None if dim.scales is None else np.asarray(dim.scales).tolist(),
                "offsets": None if dim.offsets is None else np.asarray(dim.offsets).tolist(),
                "no_data": None if no_data is None or not np.isfinite(no_data).all() else no_data.tolist(),
            }
        )
    omitted = [r for r in vlrs + evlrs if "data" not in r and (r["user_id"], r["record_id"]) not in DESCRIBED_ANEW]
    if header.start_of_waveform_data_packet_record and header.version.minor < 4:
        user, record_id = WAVEFORM_PACKETS
        omitted.append({"user_id": user, "record_id": record_id, "description": "waveform data packets"})
    return {
        "version": str(header.version),
        "point_format": header.point_format.id,
        "scales": header.scales.tolist(),
        "offsets": header.offsets.tolist(),
        "file_source_id": header.file_source_id,
        "global_encoding": header.global_encoding.value,
        "gps_time_offset": header.gps_time_offset,
        "uuid": str(header.uuid),
        "system_identifier": _text(header.system_identifier),
        "generating_software": _text(header.generating_software),
        "creation_date": header.creation_date and header.creation_date.isoformat(),
        "extra_bytes": extra,
        "vlrs": [record for record in vlrs if "data" in record],
        "evlrs": [record for record in evlrs if "data" in record],
        "omitted": omitted,
    }


class ExtendedRecords(list[JsonObject]):
    """Extended records for laspy's writer, which calls ``write_to``; written byte for byte."""

    def write_to(self, stream: BinaryIO, as_extended: bool) -> None:
        """Write all records where the stream stands."""
        if not as_extended:
            raise ValueError("only extended records can be written here")
        for record in self:
            data = base64.b64decode(record["data"])
            user, text = record["user_id"].encode("latin-1"), record["description"].encode("latin-1")
            stream.write(EXTENDED_RECORD.pack(user, record["record_id"], len(data), text) + data)


def fill_header(laspy: Any, header: Any, kept: JsonObject, crs: JsonObject | None) -> ExtendedRecords:
    """Fill a new header from ``headers["las"]`` and the CRS, all but scales and offsets.

    Returns:
        The extended records, which a writer puts after the points.
    """
    vlrs, evlrs = list(filter(_is_carried, kept.get("vlrs", ()))), list(filter(_is_carried, kept.get("evlrs", ())))
    encoding = int(kept.get("global_encoding", WKT_BIT if header.point_format.id >= 6 else 0))
    stated = _crs_records(crs) if crs and crs != crs_of(vlrs + evlrs) else []
    if stated:
        vlrs, evlrs = ([r for r in records if r["user_id"] != PROJECTION] for records in (vlrs, evlrs))
        vlrs += stated
        encoding = encoding | WKT_BIT if "wkt" in (crs or {}) else encoding
    header.global_encoding.value = encoding & ~INTERNAL_WAVEFORM_BIT
    header.file_source_id = int(kept.get("file_source_id", 0))
    header.gps_time_offset = int(kept.get("gps_time_offset", 0))
    header.uuid = UUID(kept["uuid"]) if "uuid" in kept else header.uuid
    # As bytes, because laspy refuses text that is not ASCII while real files have it.
    header.system_identifier = str(kept.get("system_identifier", "OTHER")).encode("latin-1", "replace")
    header.generating_software = str(kept.get("generating_software", "zarr-vectors")).encode("latin-1", "replace")
    if kept.get("creation_date"):
        header.creation_date = date.fromisoformat(kept["creation_date"])
    header.vlrs = [
        laspy.VLR(r["user_id"], r["record_id"], r["description"].encode("latin-1"), base64.b64decode(r["data"]))
        for r in vlrs
    ]
    for described in header.vlrs.get("ExtraBytesVlr"):
        for entry in described.extra_bytes_structs:
            if entry.data_type:
                # laspy takes the extremes of a scalar dimension from the first point of each batch: claim none.
                entry.options &= ~(entry.MIN_BIT_MASK | entry.MAX_BIT_MASK)
    return ExtendedRecords(evlrs)
