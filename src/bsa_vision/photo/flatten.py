"""Array operations between a decoder and the record: to 8 bits without alpha, smaller, upright."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bsa_vision.core.errors import Refused

Pixels = NDArray[np.uint8]


def _transverse(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180), np.uint8)


# What brings the stored picture upright, by EXIF orientation (CIPA DC-008, tag 0x0112).
UPRIGHT: dict[int, Callable[[Pixels], cv2.typing.MatLike]] = {
    2: lambda pixels: cv2.flip(pixels, 1),
    3: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    4: lambda pixels: cv2.flip(pixels, 0),
    5: cv2.transpose,
    6: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    7: _transverse,
    8: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def flatten(image: Image.Image) -> tuple[Pixels, str] | Refused:
    """Pixels and mode ("L", "RGB" or "CMYK", as in `to_srgb`) of a Pillow image.

    16-bit grey keeps its upper 8 bits, as Pillow's own readers do for 16-bit colour: an error below
    one level of 255. Transparent parts become white.
    """
    mode = image.mode
    if mode in ("L", "RGB", "CMYK"):
        return np.asarray(image), mode
    if mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8), "L"
    if mode == "1":
        return np.asarray(image.convert("L")), "L"
    if mode in ("LA", "PA", "RGBA", "RGBa") or (mode == "P" and "transparency" in image.info):
        return _over_white(image.convert("RGBA")), "RGB"
    if mode in ("P", "RGBX", "YCbCr"):
        return np.asarray(image.convert("RGB")), "RGB"
    return Refused(
        "photo_format_unsupported",
        f"Need grey, colour or CMYK pixels of 8 or 16 bits, got pixels of kind {mode}.",
        "Export the photo as JPEG at full size.",
    )


def _over_white(image: Image.Image) -> Pixels:
    """An RGBA image laid on white paper."""
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return np.asarray(white)


def shrink(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Pixels averaged down to `size` (width, height); as they are where that is their size."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def orient(pixels: Pixels, orientation: int) -> Pixels:
    """The picture upright, from its EXIF orientation (1 to 8; 1 returns the array itself)."""
    turn = UPRIGHT.get(orientation)
    return pixels if turn is None else np.asarray(turn(pixels), np.uint8)
