"""From a photo's pixels back to the body: which cell a pixel shows, and whether it shows one."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.gather import PhotoEvidence, SeenCells
from bsa_vision.core.labels import Label

#: Further than this from the middle of any cell that the photo shows, a pixel shows none. Cells are
#: up to 14 mm wide, and at the rim of the body, where skin is seen too flat, there are none.
REACH_MM = 20.0
#: A pixel so near to the middle of a cell lies on the body, where the cell's place is as sure as
#: this (one standard deviation): half the width of a forearm.
ON_BODY_MM, ON_BODY_SD_MM = 8.0, 20.0
#: A pixel so far from any cell, besides twice the standard deviation of the cell's place, does not.
OFF_BODY_MM = 80.0
#: What the odds of background, as the network sees them, are multiplied with on the body and off
#: it. A tenth of the body is covered in a photo, and two thirds of a photo are not body; the
#: network knows part of that. Chosen on eight rendered patients (docs/BENCHMARKS.md).
ON_BODY_ODDS, OFF_BODY_ODDS = 0.3, 10.0

FloatMap = NDArray[np.float32]


@dataclass(frozen=True)
class _Nearest:
    """For each pixel the nearest of some points: its index (-1 without points), and how far, px."""

    index: NDArray[np.int32]
    distance_px: FloatMap


def cell_of_pixel(
    evidence: PhotoEvidence, shape: tuple[int, int], full_size: tuple[int, int]
) -> NDArray[np.int32]:
    """Index of the cell that each pixel shows, -1 where none: (height, width).

    Parameters
    ----------
    shape : (height, width) of the picture, of any resolution.
    full_size : (width, height) of the full-size photo.
    """
    nearest = _nearest(evidence.at, shape, full_size)
    if not len(evidence.cells):
        return nearest.index
    reach_px = REACH_MM / float(np.median(evidence.mm_per_px)) * shape[1] / full_size[0]
    shown = (nearest.index >= 0) & (nearest.distance_px <= reach_px)
    return np.where(shown, evidence.cells[nearest.index], -1).astype(np.int32)


def knowing_the_body(
    probabilities: NDArray[np.uint8], seen: SeenCells, full_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Class probabilities that know where the body is: a pink sheet is no skin, nor skin a sheet.

    Background is made less likely where the placed photo shows a cell, and more likely far from
    any; how the other classes compare with one another stays.

    Parameters
    ----------
    probabilities : (h, w, 7) as softmax x 255, of the whole photo at any resolution.
    full_size : (width, height) of the full-size photo that `seen` refers to.
    """
    height, width = probabilities.shape[:2]
    nearest = _nearest(seen.samples[:, 0], (height, width), full_size)
    if (nearest.index < 0).all():
        return probabilities
    mm_per_px = (seen.mm_per_px * full_size[0] / width).astype(np.float32)[nearest.index]
    sd_mm = seen.sd_mm.astype(np.float32)[nearest.index]
    distance_mm = nearest.distance_px * mm_per_px
    odds = np.ones((height, width), np.float32)
    odds[(distance_mm <= ON_BODY_MM) & (sd_mm <= ON_BODY_SD_MM)] = ON_BODY_ODDS
    odds[distance_mm > OFF_BODY_MM + 2 * sd_mm] = OFF_BODY_ODDS
    weighed = probabilities.astype(np.float32)
    weighed[..., Label.BACKGROUND] *= odds
    weighed *= 255 / weighed.sum(axis=2, keepdims=True)
    return np.asarray(weighed + 0.5, np.uint8)


def _nearest(
    at: NDArray[np.floating], shape: tuple[int, int], full_size: tuple[int, int]
) -> _Nearest:
    """The nearest of points (M, 2) in a full-size photo to each pixel of a smaller picture."""
    height, width = shape
    x, y = np.rint((at + 0.5) * (width / full_size[0]) - 0.5).astype(np.intp).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[inside], y[inside]
    if not x.size:
        return _Nearest(np.full(shape, -1, np.int32), np.full(shape, np.inf, np.float32))
    away = np.ones(shape, np.uint8)
    away[y, x] = 0
    distance, nearest = cv2.distanceTransformWithLabels(
        away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    index = np.full(int(nearest.max()) + 1, -1, np.int32)
    index[nearest[y, x]] = np.flatnonzero(inside)
    return _Nearest(index[nearest], np.asarray(distance, np.float32))
