"""Points of the skin seen in a photo: what a body is fitted to, marked by hand or found."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.landmarks import Landmark
from bsa_vision.chart.places import nearest_cells
from bsa_vision.chart.warp import SHAPE_SD_MM
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray
from bsa_vision.dense.api import STRIDE, PlaceMap

#: Standard error of a clicked landmark: a fraction of the long side (5 px of 2000) and, because the
#: fitted body is not the patient's, millimetres on the skin.
CLICK_FRACTION = 0.0025
SHAPE_MISFIT_MM = 7.0
#: Found points taken from a photo, and how many independent ones they are worth: the errors of
#: neighbours are the same error.
FOUND_POINTS = 120
INDEPENDENT_POINTS = 25
#: Standard error of the fitted skin as a share of the error expected of the found points' places.
COMMON_SHARE = 1.0
#: Least probability that a pixel shows skin, and of its side where it is away from the midline.
_LEAST_SKIN, _LEAST_SIDE = 0.73, 0.73
_MIDLINE_M = 0.03
#: A photo with fewer found points, or a smaller share of sure sides, is not placed.
_LEAST_POINTS, _LEAST_SURE = 30, 0.5


@dataclass(frozen=True)
class Sightings:
    """N points of the skin and where they are seen.

    Attributes
    ----------
    face, barycentric : (N,) and (N, 3), on the body model.
    seen : (N, 2) pixels of the full-size photo.
    error_px, error_mm : (N,) standard errors in the photo and on the skin; both apply.
    common_mm : standard error on the skin that neighbours share, whatever their number: what
        remains between the fitted body and the patient.
    """

    face: NDArray[np.intp]
    barycentric: FloatArray
    seen: FloatArray
    error_px: FloatArray
    error_mm: FloatArray
    common_mm: float

    def __len__(self) -> int:
        return len(self.face)

    def sigma(self, mm_per_px: float) -> FloatArray:
        """Standard errors (N,) in pixels where a pixel is that many millimetres."""
        sigma: FloatArray = np.hypot(self.error_px, self.error_mm / mm_per_px)
        return sigma

    def with_others(self, others: "Sightings") -> "Sightings":
        """These points, then the others."""
        return Sightings(
            np.concatenate([self.face, others.face]),
            np.concatenate([self.barycentric, others.barycentric]),
            np.concatenate([self.seen, others.seen]),
            np.concatenate([self.error_px, others.error_px]),
            np.concatenate([self.error_mm, others.error_mm]),
            max(self.common_mm, others.common_mm),
        )


def marked(marks: Sequence[Landmark], seen: FloatArray, long_side: int) -> Sightings:
    """Landmarks clicked at pixels (N, 2) of a photo with that long side."""
    count = len(marks)
    return Sightings(
        face=np.array([mark.face for mark in marks], np.intp),
        barycentric=np.array([mark.barycentric for mark in marks]).reshape(count, 3),
        seen=np.asarray(seen, np.float64).reshape(count, 2),
        error_px=np.full(count, CLICK_FRACTION * long_side),
        error_mm=np.full(count, SHAPE_MISFIT_MM),
        common_mm=SHAPE_SD_MM,
    )


def found(places: PlaceMap, full_size: tuple[int, int]) -> Sightings | Refused:
    """Points spread over the skin that a network placed in a photo of `full_size`.

    Points whose side of the body is open are left out; where most are, the photo is refused.
    """
    sure_skin = (places.skin > _LEAST_SKIN).astype(np.uint8)
    # The rim of the skin mixes with what lies behind it.
    rows, columns = np.nonzero(cv2.erode(sure_skin, np.ones((3, 3), np.uint8)))
    if len(rows) < _LEAST_POINTS:
        return Refused(
            "body_not_found",
            f"Need skin on {_LEAST_POINTS} points of the photo, found {len(rows)}.",
            "Take the photo so that the body part fills it, or mark at least 4 landmarks.",
        )
    left = places.left[rows, columns]
    sided = np.maximum(left, 1 - left) > _LEAST_SIDE
    known = sided | (places.places[rows, columns, 0] < _MIDLINE_M)
    if known.mean() < _LEAST_SURE or known.sum() < _LEAST_POINTS:
        return Refused(
            "side_open",
            f"Left or right is open for {1 - known.mean():.0%} of the skin in the photo.",
            "State the view, show more of the body, or mark at least 4 landmarks.",
        )
    chosen = np.flatnonzero(known)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(FOUND_POINTS, len(chosen))).astype(int)]
    at = places.places[rows[chosen], columns[chosen]].astype(np.float64)
    at[:, 0] = np.where(left[chosen] > 0.5, 1, -1) * np.abs(at[:, 0])
    cell, distance = nearest_cells(at)
    scale = np.array(full_size) / np.array(places.size)
    middles = (np.column_stack([columns[chosen], rows[chosen]]) + 0.5) * STRIDE
    # Of an error of places half lies along the picture, and neighbours share it.
    spread = np.hypot(places.spread[rows[chosen], columns[chosen]], distance) * 1000
    shared = np.sqrt(max(1.0, len(chosen) / INDEPENDENT_POINTS))
    cells = load_cells()
    return Sightings(
        face=cells.face[cell].astype(np.intp),
        barycentric=cells.centre[cell].astype(np.float64),
        seen=middles * scale - 0.5,
        error_px=np.zeros(len(chosen)),
        error_mm=np.hypot(spread, SHAPE_MISFIT_MM) * shared,
        common_mm=max(SHAPE_SD_MM, COMMON_SHARE * float(np.median(spread))),
    )
