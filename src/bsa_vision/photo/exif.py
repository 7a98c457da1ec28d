"""Read from EXIF the four facts that the measurement needs, and nothing else.

A walk over the TIFF structure of an EXIF block (CIPA DC-008, Exif 3.0, section 4.6) that looks at
the tags named here only. The GPS directory, serial numbers, owner names and maker notes are never
decoded, so that they cannot leak. Damaged EXIF never spoils a photo: what cannot be read counts as
absent.
"""

import math
import re
import struct
from dataclasses import dataclass
from datetime import datetime

from bsa_vision.core.units import FULL_FRAME_DIAGONAL_MM

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
DATE_TIME_ORIGINAL = 0x9003
OFFSET_TIME_ORIGINAL = 0x9011
FOCAL_LENGTH = 0x920A
PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION = 0xA002, 0xA003
FOCAL_PLANE_X_RESOLUTION, FOCAL_PLANE_RESOLUTION_UNIT = 0xA20E, 0xA210
FOCAL_LENGTH_IN_35MM_FILM = 0xA405
WANTED = {
    DATE_TIME_ORIGINAL,
    OFFSET_TIME_ORIGINAL,
    FOCAL_LENGTH,
    PIXEL_X_DIMENSION,
    PIXEL_Y_DIMENSION,
    FOCAL_PLANE_X_RESOLUTION,
    FOCAL_PLANE_RESOLUTION_UNIT,
    FOCAL_LENGTH_IN_35MM_FILM,
}

# Sensors of small compact cameras to medium format, lenses from ultra-wide to short telephoto: a
# focal plane beyond these was miswritten, or left behind by a resize.
SENSOR_DIAGONAL_MM = (5.0, 60.0)
PLAUSIBLE_FOCAL_35MM = (12.0, 150.0)

# TIFF field types (TIFF 6.0, section 2) that the wanted tags use.
ASCII, SHORT, LONG, RATIONAL = 2, 3, 4, 5
BYTES_PER_VALUE = {ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8}
# Longest wanted text is "YYYY:MM:DD HH:MM:SS" with its final NUL.
MAX_TEXT_BYTES = 64

Value = int | float | str | None

#: Resolution unit -> millimetres; inches where none is written (CIPA DC-008).
UNIT_MM: dict[Value, float] = {None: 25.4, 2: 25.4, 3: 10.0}

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
    pixel_size : (width, height) of the picture when it was taken, before any orientation.
    """

    orientation: int = 1
    captured_at: str | None = None
    focal_35mm: float | None = None
    pixel_size: tuple[int, int] | None = None

    def is_crop(self, size: tuple[int, int]) -> bool:
        """Whether a picture of `size` (width, height) is a part of the one taken.

        A resize keeps the aspect ratio, up to the rounding of its sides; a turn swaps them. A crop
        that keeps the ratio to 1 % cannot be told from a resize.
        """
        if self.pixel_size is None:
            return False
        short, long = sorted(size)
        ratio = max(self.pixel_size) / min(self.pixel_size)
        return abs(long / short / ratio - 1) > 0.01 + 1 / short


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
    orientation = _orientation(main.get(ORIENTATION))
    exif = main.get(EXIF_IFD)
    if not isinstance(exif, int):
        return CaptureFacts(orientation)
    try:
        tags = _read_directory(tiff, order, exif, WANTED)
    except struct.error:
        return CaptureFacts(orientation)
    pixel_size = _pixel_size(tags.get(PIXEL_X_DIMENSION), tags.get(PIXEL_Y_DIMENSION))
    return CaptureFacts(
        orientation,
        _iso_time(tags.get(DATE_TIME_ORIGINAL), tags.get(OFFSET_TIME_ORIGINAL)),
        _focal(tags.get(FOCAL_LENGTH_IN_35MM_FILM)) or _focal_of_plane(tags, pixel_size),
        pixel_size,
    )


def _read_directory(tiff: bytes, order: str, offset: int, wanted: set[int]) -> dict[int, Value]:
    """Values of the wanted tags of the directory at `offset`; raises struct.error at the end."""
    (count,) = struct.unpack_from(f"{order}H", tiff, offset)
    values: dict[int, Value] = {}
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
        elif kind == RATIONAL and length == 1 and where + size <= len(tiff):
            above, below = struct.unpack_from(f"{order}LL", tiff, where)
            values[tag] = above / below if below else None
        elif kind != RATIONAL and length == 1:
            code = "H" if kind == SHORT else "L"
            (values[tag],) = struct.unpack_from(f"{order}{code}", tiff, where)
    return values


def _orientation(value: Value) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _pixel_size(width: Value, height: Value) -> tuple[int, int] | None:
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None


def _focal(value: Value) -> float | None:
    # The standard writes 0 where the focal length is unknown.
    return float(value) if isinstance(value, int) and value > 0 else None


def _focal_of_plane(tags: dict[int, Value], pixel_size: tuple[int, int] | None) -> float | None:
    """35 mm equivalent from the lens and the pixels per unit on the sensor, where plausible."""
    focal_mm, density = tags.get(FOCAL_LENGTH), tags.get(FOCAL_PLANE_X_RESOLUTION)
    unit_mm = UNIT_MM.get(tags.get(FOCAL_PLANE_RESOLUTION_UNIT))
    if pixel_size is None or not unit_mm:
        return None
    if not (isinstance(focal_mm, float) and isinstance(density, float) and density > 0):
        return None
    diagonal_mm = math.hypot(*pixel_size) / density * unit_mm
    if not SENSOR_DIAGONAL_MM[0] <= diagonal_mm <= SENSOR_DIAGONAL_MM[1]:
        return None
    focal_35mm = focal_mm / diagonal_mm * FULL_FRAME_DIAGONAL_MM
    plausible = PLAUSIBLE_FOCAL_35MM[0] <= focal_35mm <= PLAUSIBLE_FOCAL_35MM[1]
    return focal_35mm if plausible else None


def _iso_time(time: Value, offset: Value) -> str | None:
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
