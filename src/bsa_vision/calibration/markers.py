"""Find ArUco markers and place their corners between pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.sheets import MARKER_DICTIONARY
from bsa_vision.core.frames import FloatArray

#: Long side at which markers are sought first; they are refined at full size.
SEARCH_SIDE = 1024
SIDE_SAMPLES = 24
WANTED_MARKERS = 4
DISPLAY_GAMMA = 2.2


@dataclass(frozen=True)
class Marker:
    """A marker seen: its id and its corners (4, 2) in pixels, the marker's own TL, TR, BR, BL."""

    id: int
    corners: FloatArray

    @property
    def side_px(self) -> float:
        """Mean length of the four sides."""
        return float(np.linalg.norm(self.corners - np.roll(self.corners, -1, axis=0), axis=1).mean())


def find_markers(grey: NDArray[np.uint8], ids: frozenset[int]) -> list[Marker]:
    """Markers of the given ids in a grey photo (H, W), corners refined to sub-pixel.

    A reduced copy is searched first; the full photo only when fewer than four were found.
    """
    height, width = grey.shape
    factor = SEARCH_SIDE / max(height, width)
    found: list[Marker] = []
    if factor < 1:
        small = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        found = _detect(small, ids, factor)
    if len({marker.id for marker in found}) < WANTED_MARKERS:
        whole = _detect(grey, ids, 1.0)
        if len(whole) >= len(found):
            found = whole
    return [Marker(marker.id, refine_corners(grey, marker.corners)) for marker in found]


def _detect(grey: NDArray[np.uint8], ids: frozenset[int], factor: float) -> list[Marker]:
    parameters = cv2.aruco.DetectorParameters()
    parameters.minMarkerPerimeterRate = 0.02
    detector = cv2.aruco.ArucoDetector(MARKER_DICTIONARY, parameters)
    corners, found_ids, _ = detector.detectMarkers(grey)
    if found_ids is None:
        return []
    return [
        Marker(int(marker_id), (quad[0].astype(np.float64) + 0.5) / factor - 0.5)
        for quad, marker_id in zip(corners, found_ids.ravel(), strict=True)
        if int(marker_id) in ids
    ]


def refine_corners(grey: NDArray[np.uint8], corners: FloatArray) -> FloatArray:
    """Corners (4, 2) as the meeting points of lines fitted to the marker's four sides.

    Along each side, the edge is found to sub-pixel as the steepest point of the brightness across
    it. A side whose edge is not clear keeps its first place.
    """
    side_px = float(np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1).mean())
    # The search must not reach the first inner module (a sixth of the side) nor the next marker.
    reach = float(np.clip(side_px / 8, 2.0, 8.0))
    lines = [
        _fit_side(grey, corners[i], corners[(i + 1) % 4], reach) for i in range(4)
    ]
    refined = corners.copy()
    for i in range(4):
        point = np.cross(lines[i - 1], lines[i])
        if abs(point[2]) > 1e-9:
            candidate = point[:2] / point[2]
            if np.linalg.norm(candidate - corners[i]) <= 1.5 * reach:
                refined[i] = candidate
    return refined


def _fit_side(
    grey: NDArray[np.uint8], start: FloatArray, end: FloatArray, reach: float
) -> FloatArray:
    """Homogeneous line (3,) through the edge between two corners."""
    along = end - start
    length = float(np.linalg.norm(along))
    # Corners run clockwise with y down, so this normal points out of the marker.
    normal = np.array([along[1], -along[0]]) / length
    offsets = np.arange(-reach, reach + 0.25, 0.5)
    base = start + np.linspace(0.08, 0.92, SIDE_SAMPLES)[:, None] * along
    where = (base[:, None, :] + offsets[None, :, None] * normal).astype(np.float32)
    profile = cv2.remap(
        grey, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float64)
    # In linear light blur is symmetric; in gamma-coded light the dark square would seem smaller.
    profile = (profile / 255) ** DISPLAY_GAMMA
    slope = cv2.GaussianBlur(np.gradient(profile, axis=1), (5, 1), 0)
    best = np.clip(slope.argmax(axis=1), 1, len(offsets) - 2)
    rows = np.arange(len(best))
    before, peak, after = slope[rows, best - 1], slope[rows, best], slope[rows, best + 1]
    bend = before - 2 * peak + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
    distance = offsets[best] + 0.5 * np.clip(shift, -1, 1)
    clear = peak > 0.4 * np.median(peak)
    points = base + distance[:, None] * normal
    return _robust_line(points[clear])


def _robust_line(points: FloatArray) -> FloatArray:
    """Homogeneous line (3,) by total least squares with Huber weights."""
    line = cv2.fitLine(points.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
    vx, vy, x, y = (float(value) for value in line)
    return np.array([-vy, vx, vy * x - vx * y])
