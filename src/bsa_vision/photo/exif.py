"""Read from EXIF the four facts that the measurement needs, and nothing else.

A walk over the TIFF structure of an EXIF block (CIPA DC-008, Exif 3.0, section 4.6) that looks at
four tags only. The GPS directory, serial numbers, owner names and maker notes are never decoded, so
that they cannot leak. Damaged EXIF never spoils a photo: what cannot be read counts as absent.
"""

import re
import struct
from dataclasses import dataclass
from datetime import datetime

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
DATE_TIME_ORIGINAL = 0x9003
OFFSET_TIME_ORIGINAL = 0x9011
FOCAL_LENGTH_IN_35MM_FILM = 0xA405

# TIFF field types (TIFF 6.0, section 2) that the wanted tags use.
ASCII, SHORT, LONG = 2, 3, 4
BYTES_PER_VALUE = {ASCII: 1, SHORT: 2, LONG: 4}
# Longest wanted text is "YYYY:MM:DD HH:MM:SS" with its final NUL.
MAX_TEXT_BYTES = 64

DATE_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
UTC_OFFSET = re.compile(r"[+-]\d\d:\d\d")


@dataclass(frozen=True)
class CaptureFacts:
    """What a camera wrote about the taking of a photo.

    Attributes
    ----------
    orientation : EXIF orientation, 1 (upright) to 8.
    captured_at : ISO 8601 local time, with an offset from UTC where there is one.
    focal_35mm : focal length in mm of a 36 x 24 mm camera with the same diagonal field of view.
    """

    orientation: int = 1
    captured_at: str | None = None
    focal_35mm: float | None = None


def parse_exif(block: bytes | None) -> CaptureFacts:
    """Facts from an EXIF block (with or without its "Exif" prefix) or from a whole TIFF file."""
    if not block:
        return CaptureFacts()
    tiff = block[6:] if block.startswith(b"Exif\0\0") else block
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return CaptureFacts()
    try:
        (first,) = struct.unpack_from(f"{order}L", tiff, 4)
        main = _read_directory(tiff, order, first, {ORIENTATION, EXIF_IFD})
    except struct.error:
        return CaptureFacts()
    captured_at, focal_35mm = _capture(tiff, order, main.get(EXIF_IFD))
    return CaptureFacts(_orientation(main.get(ORIENTATION)), captured_at, focal_35mm)


def _capture(tiff: bytes, order: str, offset: int | str | None) -> tuple[str | None, float | None]:
    """Capture time and 35 mm equivalent focal length, from the Exif directory at `offset`."""
    if not isinstance(offset, int):
        return None, None
    wanted = {DATE_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL, FOCAL_LENGTH_IN_35MM_FILM}
    try:
        tags = _read_directory(tiff, order, offset, wanted)
    except struct.error:
        return None, None
    time = _iso_time(tags.get(DATE_TIME_ORIGINAL), tags.get(OFFSET_TIME_ORIGINAL))
    return time, _focal(tags.get(FOCAL_LENGTH_IN_35MM_FILM))


def _read_directory(tiff: bytes, order: str, offset: int, wanted: set[int]) -> dict[int, int | str]:
    """Values of the wanted tags of the directory at `offset`; raises struct.error at the end."""
    (count,) = struct.unpack_from(f"{order}H", tiff, offset)
    values: dict[int, int | str] = {}
    for start in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHL", tiff, start)
        if tag not in wanted or kind not in BYTES_PER_VALUE:
            continue
        size = BYTES_PER_VALUE[kind] * length
        where = start + 8
        if size > 4:
            (where,) = struct.unpack_from(f"{order}L", tiff, where)
        if kind == ASCII:
            text = tiff[where : where + min(size, MAX_TEXT_BYTES)]
            values[tag] = text.split(b"\0")[0].decode("ascii", "replace").strip()
        elif length == 1:
            code = "H" if kind == SHORT else "L"
            (values[tag],) = struct.unpack_from(f"{order}{code}", tiff, where)
    return values


def _orientation(value: int | str | None) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _focal(value: int | str | None) -> float | None:
    # The standard writes 0 where the focal length is unknown.
    return float(value) if isinstance(value, int) and value > 0 else None


def _iso_time(time: int | str | None, offset: int | str | None) -> str | None:
    """ISO 8601 from EXIF texts; None unless it is a real date and time."""
    match = DATE_TIME.fullmatch(time) if isinstance(time, str) else None
    if match is None:
        return None
    year, month, day, clock = match.groups()
    text = f"{year}-{month}-{day}T{clock}"
    if isinstance(offset, str) and UTC_OFFSET.fullmatch(offset):
        text += offset
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return None
