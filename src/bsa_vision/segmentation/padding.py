"""Fit photos to a network's grid. No torch."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def network_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """The (width, height) at which the network sees a photo of `size`."""
    factor = long_side / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def resample(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a photo to (width, height): area averaging down, linear up."""
    down = size[0] * size[1] < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if down else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def pad_to_multiple(image: Pixels, multiple: int) -> Pixels:
    """Repeat the last row and column until both sides are multiples of `multiple`."""
    height, width = image.shape[:2]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return image
    padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, dtype=np.uint8)
