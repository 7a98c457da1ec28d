"""Find ArUco markers and place their corners between pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.sheets import MARKER_DICTIONARY
from bsa_vision.core.frames import FloatArray

#: Long side at which markers are sought first; they are refined at the photo's own size.
SEARCH_SIDE = 1024
#: Photos up to this long side are also searched enlarged, for markers of few pixels.
ENLARGE_SIDE = 1280
WANTED_MARKERS = 4
#: Nothing smaller can hold two markers, of 6 x 6 modules each.
LEAST_SIDE = 12
DISPLAY_GAMMA = 2.2
SIDE_SAMPLES = 24
#: The edge is sought this far from where the detector put it, in marker sides (the first inner
#: module begins at a sixth), and within these bounds in pixels.
REACH_SIDES = 1 / 8
REACH_PX = (2.0, 8.0)
PROFILE_STEP = 0.5


@dataclass(frozen=True)
class Marker:
    """A marker seen: its id and its corners (4, 2) in pixels, the marker's own TL, TR, BR, BL."""

    id: int
    corners: FloatArray

    @property
    def side_px(self) -> float:
        """Mean length of the four sides."""
        return float(
            np.linalg.norm(self.corners - np.roll(self.corners, -1, axis=0), axis=1).mean()
        )


def find_markers(grey: NDArray[np.uint8], ids: frozenset[int]) -> list[Marker]:
    """Markers of the given ids in a grey photo (H, W), corners refined to sub-pixel.

    A reduced copy is searched first; the photo itself, and for small photos an enlarged copy, only
    while fewer than four markers were found.
    """
    longest = max(grey.shape)
    block = max(1, round(longest / SEARCH_SIDE))
    factors = [1 / block] * (block > 1) + [1.0] + [2.0] * (longest <= ENLARGE_SIDE)
    found: list[Marker] = []
    for factor in factors:
        seen = _detect(grey, ids, factor)
        if len(seen) > len(found):
            found = seen
        if len({marker.id for marker in found}) >= WANTED_MARKERS:
            break
    return [Marker(marker.id, refine_corners(grey, marker.corners)) for marker in found]


def _detect(grey: NDArray[np.uint8], ids: frozenset[int], factor: float) -> list[Marker]:
    """Markers in a copy of the photo resized by a factor, in pixels of the photo."""
    height, width = (int(side * factor) for side in grey.shape)
    if min(height, width) < LEAST_SIDE:
        return []
    # Whole blocks only: their averages are exact, and many times faster.
    whole = grey[: int(height / factor), : int(width / factor)]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    searched = grey if factor == 1 else cv2.resize(whole, (width, height), interpolation=how)
    parameters = cv2.aruco.DetectorParameters()
    corners, found, _ = cv2.aruco.ArucoDetector(MARKER_DICTIONARY, parameters).detectMarkers(
        searched
    )
    if found is None:
        return []
    return [
        Marker(int(marker_id), (quad[0].astype(np.float64) + 0.5) / factor - 0.5)
        for quad, marker_id in zip(corners, found.ravel(), strict=True)
        if int(marker_id) in ids
    ]


def refine_corners(grey: NDArray[np.uint8], corners: FloatArray) -> FloatArray:
    """Corners (4, 2) as the meeting points of lines fitted to the marker's four sides.

    Across each side the edge is the steepest point of the light, found to sub-pixel. A corner that
    would move further than the search reached keeps its place.
    """
    along = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(along, axis=1)
    if lengths.min() < 1:
        return corners
    # Corners run clockwise with y down, so this normal points out of the marker.
    normals = np.stack([along[:, 1], -along[:, 0]], axis=1) / lengths[:, None]
    reach = float(np.clip(lengths.mean() * REACH_SIDES, *REACH_PX))
    offsets = np.arange(-reach, reach + PROFILE_STEP / 2, PROFILE_STEP)
    places = np.linspace(0.08, 0.92, SIDE_SAMPLES)
    base = corners[:, None] + places[None, :, None] * along[:, None]
    where = base[:, :, None] + offsets[None, None, :, None] * normals[:, None, None]
    distance, clear = _edges(grey, where.reshape(4 * SIDE_SAMPLES, -1, 2).astype(np.float32))
    points = base + distance.reshape(4, -1, 1) * normals[:, None]
    kept = clear.reshape(4, -1)
    lines = [_line(points[side][kept[side]]) for side in range(4)]
    refined = corners.copy()
    for i in range(4):
        meeting = np.cross(lines[i - 1], lines[i])
        if abs(meeting[2]) > 1e-9:
            moved = meeting[:2] / meeting[2]
            if np.linalg.norm(moved - corners[i]) <= 1.5 * reach:
                refined[i] = moved
    return refined


def _edges(
    grey: NDArray[np.uint8], where: NDArray[np.float32]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Signed distance of the edge on each profile (n, steps, 2), and whether it is clear."""
    profile = cv2.remap(
        grey, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    # In linear light blur is symmetric; in gamma-coded light a dark square seems too small.
    light = (profile.astype(np.float64) / 255) ** DISPLAY_GAMMA
    slope = cv2.GaussianBlur(np.gradient(light, axis=1), (5, 1), 0)
    best = np.clip(slope.argmax(axis=1), 1, slope.shape[1] - 2)
    rows = np.arange(len(best))
    before, peak, after = slope[rows, best - 1], slope[rows, best], slope[rows, best + 1]
    bend = before - 2 * peak + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
    middle = (slope.shape[1] - 1) / 2
    distance = PROFILE_STEP * (best - middle + np.clip(shift, -1, 1))
    return distance, peak >= 0.4 * np.median(peak)


def _line(points: FloatArray) -> FloatArray:
    """Homogeneous line (3,) through points (n, 2), outliers weighed down (Huber)."""
    if len(points) < 2:
        return np.zeros(3)
    vx, vy, x, y = cv2.fitLine(points.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
    return np.array([-vy, vx, vy * x - vx * y], dtype=np.float64)
