"""Admit a photo file, or refuse it in words before anything costly is done with it.

The order keeps a hostile or broken file cheap: the kind comes from the first bytes, not the name;
the size in pixels from the header before any pixel is decoded; a cut file is recognised by its
structure. At most `MAX_FILE_BYTES` are ever read.
"""

import io
import stat
import struct
import zlib
from pathlib import Path

import cv2
import pillow_heif
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from bsa_vision.core.errors import Refused
from bsa_vision.photo import containers

#: Shortest side, in pixels, that can show anything to measure.
MIN_SIDE = 64
#: Above the largest phone sensors' usual output; 0.3 GB when decoded.
MAX_PIXELS = 100_000_000
#: Holds an uncompressed 16-bit colour photo of 66 megapixels.
MAX_FILE_BYTES = 400_000_000
#: Progressive JPEGs have about 10; each further one costs a pass over all pixels.
MAX_JPEG_SCANS = 100

# What the decoders are known to raise on damaged files (Pillow documents none of it; found by
# feeding them damaged files).
DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    cv2.error,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# Constructed directly, because `Image.open` warns about sizes by a process-wide limit of its own.
PILLOW_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "TIFF": TiffImageFile,
}
# TIFF tags that tell a camera raw file (TIFF/EP, DNG) from a photo.
TIFF_SUBFILE_TYPE, TIFF_DNG_VERSION = 254, 50706

TAKE_AGAIN = "Copy the photo from the camera again, or take it again."
DAMAGED = Refused(
    "photo_damaged", "Need a photo that can be decoded, got a damaged file.", TAKE_AGAIN
)
TRUNCATED = Refused(
    "photo_truncated", "Need the whole photo file, got one that ends too early.", TAKE_AGAIN
)
RAW = Refused(
    "photo_format_unsupported",
    "Need a JPEG, PNG, TIFF or HEIC photo, got a camera raw file (DNG or TIFF/EP).",
    "Export the photo as JPEG at full size from the camera or phone.",
)


def admit(path: Path) -> tuple[bytes, str] | Refused:
    """The file's bytes and format, once its outside and its header are found acceptable."""
    try:
        status = path.stat()
        outside = _judge_outside(status.st_mode, status.st_size)
        if outside is not None:
            return outside
        with path.open("rb") as file:
            kind = containers.recognise(file.read(containers.HEAD_BYTES))
            if isinstance(kind, Refused):
                return kind
            header = _judge_header(file, kind)
            if header is not None and header is not DAMAGED:
                return header
            file.seek(0)
            data = file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return Refused(
            "photo_missing",
            "Need a photo file, found none at this path.",
            "Check the file's name and folder.",
        )
    except OSError as error:
        return Refused(
            "photo_unreadable",
            f"Need a readable file, the system reports: {error.strerror or error}.",
            "Check the file's permissions and the disk.",
        )
    structure = _judge_structure(data, kind)
    return structure or header or (data, kind)


def _judge_outside(mode: int, size: int) -> Refused | None:
    """Refuse what is no file, is empty or is too long to read."""
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        return Refused("photo_not_a_file", f"Need a photo file, got {what}.", "Name a file.")
    if size == 0:
        return Refused("photo_empty", "Need a photo, got a file of zero bytes.", TAKE_AGAIN)
    if size > MAX_FILE_BYTES:
        return Refused(
            "photo_file_too_large",
            f"Need a file of at most {MAX_FILE_BYTES // 10**6} MB, got {size // 10**6} MB.",
            "Export the photo as JPEG.",
        )
    return None


def _judge_header(file: io.BufferedReader, kind: str) -> Refused | None:
    """Refuse by the size that the header declares; `DAMAGED` where it cannot be read."""
    file.seek(0)
    try:
        if kind == "HEIC":
            return _judge_size(*pillow_heif.open_heif(file).size)
        # The reader takes the file as its own but leaves closing it to the caller.
        image = PILLOW_READERS[kind](file)
        if isinstance(image, TiffImageFile) and _is_camera_raw(image):
            return RAW
        return _judge_size(*image.size)
    except DECODER_ERRORS:
        return DAMAGED


def _judge_size(width: int, height: int) -> Refused | None:
    if width * height > MAX_PIXELS:
        return Refused(
            "photo_too_large",
            f"Need at most {MAX_PIXELS // 10**6} megapixels, "
            f"got {width * height / 1e6:.0f} ({width} x {height}).",
            "Set the camera to a smaller size, or export the photo smaller.",
        )
    if min(width, height) < MIN_SIDE:
        return Refused(
            "photo_too_small",
            f"Need at least {MIN_SIDE} pixels on each side, got {width} x {height}.",
            "Use the photo at its original size.",
        )
    return None


def _judge_structure(data: bytes, kind: str) -> Refused | None:
    """Refuse a file that stops before its end, or asks for too many passes."""
    if kind == "JPEG":
        scans = containers.jpeg_scan_count(data)
        if scans is not None and scans > MAX_JPEG_SCANS:
            return Refused(
                "photo_too_complex",
                f"Need a JPEG of at most {MAX_JPEG_SCANS} scans, got {scans}.",
                "Export the photo as an ordinary JPEG.",
            )
        return TRUNCATED if scans is None else None
    complete = {
        "PNG": containers.png_is_complete,
        "HEIC": containers.heic_is_complete,
        "TIFF": containers.tiff_directory_is_inside,
    }[kind]
    return None if complete(data) else TRUNCATED


def _is_camera_raw(image: TiffImageFile) -> bool:
    """Whether the first picture is only the preview of sensor data kept elsewhere in the file."""
    tags = image.tag_v2
    return TIFF_DNG_VERSION in tags or bool(int(tags.get(TIFF_SUBFILE_TYPE, 0)) & 1)
