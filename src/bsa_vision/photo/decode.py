"""Read a photo file as a `Photo`: upright, in sRGB, no larger than wanted; or refuse in words."""

from pathlib import Path

import numpy as np

from bsa_vision.core.errors import Refused
from bsa_vision.core.provenance import sha256_hex
from bsa_vision.core.units import FULL_FRAME_DIAGONAL_MM
from bsa_vision.photo.admission import admit
from bsa_vision.photo.colour_profile import to_srgb
from bsa_vision.photo.flatten import orient, shrink
from bsa_vision.photo.rasters import decode_raster
from bsa_vision.photo.records import Photo


def read_photo(path: Path, max_side: int | None = None) -> Photo | Refused:
    """Read a JPEG, PNG, TIFF or HEIC photo as displayed, in sRGB uint8.

    The format is that of the content, whatever the name says. EXIF orientation (or the HEIC
    container's own) is applied once; 16-bit samples keep their upper 8 bits; transparent parts
    become white; an embedded colour profile is honoured. Of several pictures in a file, the primary
    one is read. The focal length of a cropped photo counts as unknown.

    Parameters
    ----------
    path : the file.
    max_side : the longer side of the result in pixels; None, or more than the photo has, keeps the
        full resolution. A JPEG is then decoded at a half, quarter or eighth where that suffices.

    Returns
    -------
    Photo, or Refused with one of the codes photo_missing, photo_not_a_file, photo_unreadable,
    photo_empty, photo_file_too_large, photo_not_an_image, photo_format_unsupported,
    photo_too_small, photo_too_large, photo_too_complex, photo_truncated, photo_damaged.

    Raises
    ------
    ValueError
        If `max_side` is less than 1.
    """
    if max_side is not None and max_side < 1:
        msg = f"max_side: need at least 1, got {max_side}"
        raise ValueError(msg)
    source = admit(path)
    if isinstance(source, Refused):
        return source
    data, kind = source
    raster = decode_raster(data, kind, max_side)
    if isinstance(raster, Refused):
        return raster
    pixels = shrink(raster.pixels, _target_size(raster.full_size, max_side))
    pixels = orient(to_srgb(pixels, raster.mode, raster.profile), raster.facts.orientation)
    pixels.setflags(write=False)
    width, height = raster.full_size
    # The field of view that the camera wrote is that of the whole picture.
    focal = None if raster.facts.is_crop(raster.full_size) else raster.facts.focal_35mm
    return Photo(
        pixels=pixels,
        digest=sha256_hex(data),
        full_size=(height, width) if raster.facts.orientation >= 5 else (width, height),
        captured_at=raster.facts.captured_at,
        focal_px=focal / FULL_FRAME_DIAGONAL_MM * float(np.hypot(width, height)) if focal else None,
        source_format=kind,
    )


def _target_size(full_size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """(width, height) whose longer side is exactly min(max_side, full), with the same aspect."""
    longest = max(full_size)
    if max_side is None or max_side >= longest:
        return full_size
    width, height = (max(1, round(side * max_side / longest)) for side in full_size)
    return width, height
