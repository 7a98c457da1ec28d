"""From markers to scale: which sheet, where it lies, millimetres per pixel, tilt."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from bsa_vision.calibration.markers import Marker, find_markers
from bsa_vision.calibration.records import Pixels8, ScaleFit
from bsa_vision.calibration.sheets import SHEETS, Sheet
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray
from bsa_vision.core.units import MmPerPx
from bsa_vision.photo.records import Photo

#: Markers that pin the plane: one marker alone leaves tilt and distance to the noise of a few px.
MIN_MARKERS = 2
#: A fit whose corners miss by more than this share of a marker's side is another sheet.
MAX_RESIDUAL_SIDES = 0.04
#: How far off, in marker sides, a marker may be from where the markers so far predict it.
GROW_TOLERANCE_SIDES = 1.0
#: Phone main cameras are 23-30 mm (35 mm equivalent); log-normal prior on focal length.
FOCAL_35MM_PRIOR = 26.5
FOCAL_LOG_SIGMA = 0.15
DIAGONAL_35MM = 43.267
#: Standard deviation of a refined corner, in pixels (measured 0.1), with room for bent paper.
CORNER_SIGMA_PX = 0.3


@dataclass(frozen=True)
class _Placed:
    """A sheet laid through some markers."""

    sheet: Sheet
    markers: tuple[Marker, ...]
    homography: FloatArray
    residual_mm: float

    @property
    def rank(self) -> tuple[int, float]:
        """More markers first, then the larger in the photo."""
        return len(self.markers), sum(marker.side_px for marker in self.markers)


def fit_scale(photo: Photo, sheet: str | None = None) -> ScaleFit | Refused:
    """Find the marker sheet in a photo and fit its plane.

    Parameters
    ----------
    photo : the photo; its pixels may be smaller than the full-size photo.
    sheet : name of the sheet to accept; recognised among `SHEETS` when None.

    Returns
    -------
    The fit, in pixels of the full-size photo, or `Refused` (``"no_sheet"``, ``"sheet_hidden"``).
    """
    wanted = list(SHEETS.values()) if sheet is None else [SHEETS[sheet]]
    ids = frozenset(key for entry in wanted for key in entry.marker_corners)
    markers = find_markers(cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY), ids)
    placed = place_sheets(markers, wanted)
    if not placed:
        return _refuse(len({marker.id for marker in markers}))
    return _to_fit(placed, photo)


def _refuse(seen: int) -> Refused:
    if seen == 0:
        return Refused(
            "no_sheet",
            "Needed a calibration sheet in the photo, found none of its markers.",
            "Lay the printed sheet flat beside the skin, whole and in focus, and photograph again.",
        )
    return Refused(
        "sheet_hidden",
        f"Needed at least {MIN_MARKERS} markers of one sheet in its plane, found {seen}.",
        "Uncover the sheet so that all four of its corner markers are in the photo.",
    )


def place_sheets(markers: Iterable[Marker], sheets: Iterable[Sheet]) -> list[_Placed]:
    """Lay sheets through the markers seen, best first; a marker belongs to one sheet only."""
    left = list(markers)
    wanted = list(sheets)
    placed: list[_Placed] = []
    while True:
        grown = [
            candidate
            for sheet in wanted
            for seed in left
            if seed.id in sheet.marker_corners
            for candidate in [_grow(sheet, seed, left)]
            if candidate is not None
        ]
        if not grown:
            return sorted(placed, key=lambda entry: entry.rank, reverse=True)
        most = max(len(entry.markers) for entry in grown)
        best = min(
            (entry for entry in grown if len(entry.markers) == most),
            key=lambda entry: entry.residual_mm / entry.sheet.marker_mm,
        )
        placed.append(best)
        left = [marker for marker in left if not any(marker is used for used in best.markers)]


def _grow(sheet: Sheet, seed: Marker, markers: list[Marker]) -> _Placed | None:
    """Lay a sheet through one marker, then through each further marker that agrees with it."""
    used = [seed]
    homography, residual = _fit(sheet, used)
    while len(used) < len(sheet.marker_corners):
        options = [
            (_miss(sheet, homography, marker), index)
            for index, marker in enumerate(markers)
            if marker.id in sheet.marker_corners
            and all(marker.id != other.id for other in used)
        ]
        if not options:
            break
        miss, index = min(options)
        # A single marker predicts its neighbours only roughly.
        if miss > GROW_TOLERANCE_SIDES * (2.0 if len(used) == 1 else 1.0):
            break
        extended, extended_residual = _fit(sheet, [*used, markers[index]])
        if extended_residual > MAX_RESIDUAL_SIDES * sheet.marker_mm:
            break
        used.append(markers[index])
        homography, residual = extended, extended_residual
    if len(used) < MIN_MARKERS:
        return None
    return _Placed(sheet, tuple(used), homography, residual)


def _miss(sheet: Sheet, homography: FloatArray, marker: Marker) -> float:
    """Mean distance of a marker's corners from their prediction, in sides of the marker."""
    predicted = cv2.perspectiveTransform(sheet.marker(marker.id)[None], homography)[0]
    return float(np.linalg.norm(predicted - marker.corners, axis=1).mean()) / marker.side_px


def _fit(sheet: Sheet, markers: list[Marker]) -> tuple[FloatArray, float]:
    """Homography from sheet mm to pixels by least squares, and its residual in mm (rms)."""
    sheet_mm = np.concatenate([sheet.marker(marker.id) for marker in markers])
    photo_px = np.concatenate([marker.corners for marker in markers])
    homography, _ = cv2.findHomography(sheet_mm, photo_px, 0)
    if homography is None:
        return np.eye(3), np.inf
    back = cv2.perspectiveTransform(photo_px[None], np.linalg.inv(homography))[0]
    return homography, float(np.sqrt(((back - sheet_mm) ** 2).sum(axis=1).mean()))


def _to_fit(placed: list[_Placed], photo: Photo) -> ScaleFit:
    best = placed[0]
    sheet = best.sheet
    factor = photo.scale
    half = (1 / factor - 1) / 2
    to_full = np.array([[1 / factor, 0, half], [0, 1 / factor, half], [0, 0, 1.0]])
    homography = to_full @ best.homography
    homography = homography / homography[2, 2]
    focal_px, tilt_deg = _tilt(homography, best, photo)
    flags = []
    if len(best.markers) < len(sheet.marker_corners):
        flags.append("partly_hidden")
    if len(placed) > 1:
        flags.append("two_sheets")
    if photo.focal_px is None:
        flags.append("focal_assumed")
    return ScaleFit(
        sheet=sheet.name,
        homography=homography,
        mm_per_px=mm_per_px_at(homography, sheet.centre_mm),
        tilt_deg=tilt_deg,
        residual_mm_rms=best.residual_mm,
        marker_ids=tuple(sorted(marker.id for marker in best.markers)),
        corners_px=cv2.perspectiveTransform(sheet.outline()[None], homography)[0],
        focal_px=focal_px,
        flags=tuple(flags),
    )


def mm_per_px_at(homography: FloatArray, point_mm: tuple[float, float]) -> MmPerPx:
    """Millimetres per pixel at a point of the sheet: the root of the local area ratio."""
    x, y, w = homography @ np.array([point_mm[0], point_mm[1], 1.0])
    jacobian = (homography[:2, :2] - np.outer([x / w, y / w], homography[2, :2])) / w
    return MmPerPx(float(1 / np.sqrt(abs(np.linalg.det(jacobian)))))


def _tilt(homography: FloatArray, placed: _Placed, photo: Photo) -> tuple[float, float]:
    """Focal length (px of the full-size photo) and tilt of the sheet (degrees).

    Without a focal length in the photo the most probable one is taken: how well a camera of that
    focal length explains the markers, times a prior for phones.
    """
    width, height = photo.full_size
    prior = FOCAL_35MM_PRIOR / DIAGONAL_35MM * float(np.hypot(width, height))
    if photo.focal_px is not None:
        options = np.array([photo.focal_px])
    else:
        options = prior * np.exp(FOCAL_LOG_SIGMA * np.linspace(-3, 3, 25))
    object_mm = np.concatenate([placed.sheet.marker(m.id) for m in placed.markers])
    object_mm = np.column_stack([object_mm, np.zeros(len(object_mm))])
    image_px = cv2.perspectiveTransform(object_mm[None, :, :2].copy(), homography)[0]
    best = (np.inf, prior, 0.0)
    for focal in options:
        k = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        solved, rvec, tvec = cv2.solvePnP(
            object_mm, image_px, k, None, flags=cv2.SOLVEPNP_IPPE
        )
        if not solved:
            continue
        projected = cv2.projectPoints(object_mm, rvec, tvec, k, None)[0][:, 0]
        misfit = ((projected - image_px) ** 2).sum() / (CORNER_SIGMA_PX / photo.scale) ** 2
        cost = float(misfit + (np.log(focal / prior) / FOCAL_LOG_SIGMA) ** 2)
        if cost < best[0]:
            best = (cost, float(focal), _angle(placed.sheet, rvec, tvec))
    return best[1], best[2]


def _angle(sheet: Sheet, rvec: FloatArray, tvec: FloatArray) -> float:
    """Degrees between the sheet's normal and the line of sight to its centre."""
    rotation = cv2.Rodrigues(rvec)[0]
    centre = rotation @ np.array([*sheet.centre_mm, 0.0]) + tvec.ravel()
    cosine = abs(rotation[:, 2] @ centre) / np.linalg.norm(centre)
    return float(np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))))
