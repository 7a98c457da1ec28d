"""Decode an admitted photo file to pixels, as small as the reader wants them."""

import io
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from bsa_vision.core.errors import Refused
from bsa_vision.photo.admission import DAMAGED, DECODER_ERRORS, TRUNCATED
from bsa_vision.photo.exif import CaptureFacts, parse_exif
from bsa_vision.photo.flatten import flatten

# TIFF tags: offsets and byte counts of strips, and of tiles.
TIFF_OFFSETS_AND_COUNTS = ((273, 279), (324, 325))


@dataclass(frozen=True)
class Raster:
    """Decoded pixels before resizing, colour and orientation.

    `full_size` is (width, height) before `facts.orientation` is applied; `mode` is "L", "RGB" or
    "CMYK" and names the layout of `pixels` as in `to_srgb`.
    """

    pixels: NDArray[np.uint8]
    mode: str
    full_size: tuple[int, int]
    profile: bytes | None
    facts: CaptureFacts


def decode_raster(data: bytes, kind: str, max_side: int | None) -> Raster | Refused:
    """Decode by format; whatever a decoder throws becomes a refusal."""
    decoder = {
        "JPEG": _decode_jpeg,
        "PNG": _decode_png,
        "TIFF": _decode_tiff,
        "HEIC": _decode_heic,
    }[kind]
    try:
        return decoder(data, max_side)
    except DECODER_ERRORS as error:
        return TRUNCATED if "truncated" in str(error) else DAMAGED


def _decode_jpeg(data: bytes, max_side: int | None) -> Raster | Refused:
    """OpenCV for grey and colour (a third faster than Pillow), Pillow for CMYK."""
    image = JpegImageFile(io.BytesIO(data))
    width, height = image.size
    part = _dct_part((width, height), max_side)
    profile, facts = image.info.get("icc_profile"), parse_exif(image.info.get("exif"))
    if image.mode == "CMYK":
        image.draft(None, (width // part, height // part))
        return Raster(np.asarray(image), "CMYK", (width, height), profile, facts)
    # Orientation is left to `orient`, as for every other format.
    flags = (
        cv2.IMREAD_IGNORE_ORIENTATION
        | {
            1: 0,
            2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
            4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
            8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
        }[part]
    )
    if image.mode == "RGB":
        # The "reduced grey" flags carry the scale alone; this one makes them colour.
        flags |= cv2.IMREAD_COLOR_RGB
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        return DAMAGED
    return Raster(np.asarray(pixels, np.uint8), image.mode, (width, height), profile, facts)


def _dct_part(size: tuple[int, int], max_side: int | None) -> int:
    """The greatest of 1, 2, 4, 8 by which the photo can be divided and keep `max_side` pixels.

    Only divisors of both sides count: a decoder rounds a broken last pixel up to a whole one, which
    would stretch the picture.
    """
    if max_side is None:
        return 1
    fits = (
        part
        for part in (8, 4, 2)
        if max(size) // part >= max_side and not any(side % part for side in size)
    )
    return next(fits, 1)


def _decode_png(data: bytes, max_side: int | None) -> Raster | Refused:  # noqa: ARG001 (every decoder is called alike)
    image = PngImageFile(io.BytesIO(data))
    # EXIF may follow the pixels, so it is known only once they are loaded.
    image.load()
    return _raster(image, parse_exif(image.info.get("exif")))


def _decode_tiff(data: bytes, max_side: int | None) -> Raster | Refused:  # noqa: ARG001 (every decoder is called alike)
    image = TiffImageFile(io.BytesIO(data))
    if not _tiff_pixels_are_inside(image, len(data)):
        return TRUNCATED
    facts = parse_exif(data)
    # Pillow turns TIFF images upright itself while loading.
    image.load()
    return _raster(image, _upright(facts))


def _decode_heic(data: bytes, max_side: int | None) -> Raster | Refused:  # noqa: ARG001 (every decoder is called alike)
    heif = pillow_heif.open_heif(data)
    # The container's own rotation is applied by the decoder; EXIF's repeats it (ISO/IEC 23008-12).
    return _raster(heif.to_pillow(), _upright(parse_exif(heif.info.get("exif"))))


def _raster(image: Image.Image, facts: CaptureFacts) -> Raster | Refused:
    flat = flatten(image)
    if isinstance(flat, Refused):
        return flat
    pixels, mode = flat
    return Raster(pixels, mode, image.size, image.info.get("icc_profile"), facts)


def _upright(facts: CaptureFacts) -> CaptureFacts:
    return replace(facts, orientation=1)


def _tiff_pixels_are_inside(image: TiffImageFile, file_bytes: int) -> bool:
    """Whether every strip or tile of pixels ends inside the file."""
    for offsets_tag, counts_tag in TIFF_OFFSETS_AND_COUNTS:
        offsets, counts = image.tag_v2.get(offsets_tag, ()), image.tag_v2.get(counts_tag, ())
        ends = (offset + count for offset, count in zip(offsets, counts, strict=False))
        if any(end > file_bytes for end in ends):
            return False
    return True
