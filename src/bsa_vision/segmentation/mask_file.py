"""Mask files, read and written here alone: pixels are codes, never a palette's colours."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bsa_vision.core.errors import Refused

_ONE_BYTE_MODES = ("L", "P")


def read_mask(path: Path) -> NDArray[np.uint8] | Refused:
    """Codes (H, W) of an 8-bit mask with one channel; of a palette picture, its indices.

    Returns
    -------
    The codes, or Refused with one of the codes mask_missing, mask_mode, mask_unreadable.
    """
    if not path.is_file():
        return Refused("mask_missing", f"{path.name}: there is no such mask.", "Check its path.")
    try:
        with Image.open(path) as image:
            if image.mode not in _ONE_BYTE_MODES:
                reason = f"{path.name}: needed 8-bit codes in one channel, got {image.mode}."
                return Refused("mask_mode", reason, "Save the mask as 8-bit greyscale.")
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        reason = f"{path.name}: cannot be read as a PNG mask."
        return Refused("mask_unreadable", reason, "Write the mask again.")


def encode_mask(labels: NDArray[np.uint8]) -> bytes:
    """Codes (H, W) as an 8-bit PNG with one channel.

    Compressed lightly: masks are flat, so more effort saves little and takes longer than finding
    the mask did.
    """
    return cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
