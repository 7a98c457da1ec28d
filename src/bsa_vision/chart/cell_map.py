"""From a photo's pixels back to the body: which cell a pixel shows."""

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.gather import PhotoEvidence

#: Further than this from the middle of any cell that the photo shows, a pixel shows none. Cells are
#: up to 14 mm wide, and at the rim of the body, where skin is seen too flat, there are none.
REACH_MM = 20.0


def cell_of_pixel(
    evidence: PhotoEvidence, shape: tuple[int, int], full_size: tuple[int, int]
) -> NDArray[np.int32]:
    """Index of the cell that each pixel shows, -1 where none: (height, width).

    Parameters
    ----------
    shape : (height, width) of the picture, of any resolution.
    full_size : (width, height) of the full-size photo.
    """
    height, width = shape
    scale = width / full_size[0]
    x, y = np.rint((evidence.at + 0.5) * scale - 0.5).astype(np.intp).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[inside], y[inside]
    if not x.size:
        return np.full(shape, -1, np.int32)
    away = np.ones(shape, np.uint8)
    away[y, x] = 0
    distance, nearest = cv2.distanceTransformWithLabels(
        away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    cell = np.full(int(nearest.max()) + 1, -1, np.int32)
    cell[nearest[y, x]] = evidence.cells[inside]
    reach_px = REACH_MM / float(np.median(evidence.mm_per_px)) * scale
    shown: NDArray[np.int32] = np.where(distance <= reach_px, cell[nearest], -1).astype(np.int32)
    return shown
