"""From markers to scale: millimetres per pixel and tilt where the sheet lies."""

import cv2
import numpy as np

from bsa_vision.calibration.markers import find_markers
from bsa_vision.calibration.placing import PlacedSheet, place_sheets
from bsa_vision.calibration.records import ScaleFit
from bsa_vision.calibration.sheets import SHEETS, Sheet
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray
from bsa_vision.core.units import FULL_FRAME_DIAGONAL_MM, MmPerPx
from bsa_vision.photo.records import Photo

#: Main cameras of phones are 23-30 mm (35 mm equivalent): a log-normal prior on focal length.
FOCAL_35MM_PRIOR = 26.5
FOCAL_LOG_SIGMA = 0.15
FOCAL_OPTIONS = 25
#: Standard deviation of a refined corner, in pixels, where the paper is flat.
CORNER_SIGMA_PX = 0.3


def fit_scale(photo: Photo, sheet: str | None = None) -> ScaleFit | Refused:
    """Find the marker sheet in a photo and fit its plane.

    Parameters
    ----------
    photo : the photo; its pixels may be fewer than those of the full-size photo.
    sheet : name of the sheet to accept; recognised among `SHEETS` when None.

    Returns
    -------
    The fit, in pixels of the full-size photo, or `Refused` (``"no_sheet"``, ``"sheet_hidden"``).

    Raises
    ------
    KeyError
        For a sheet name that is not in `SHEETS`.
    """
    wanted = list(SHEETS.values()) if sheet is None else [SHEETS[sheet]]
    ids = frozenset(key for entry in wanted for key in entry.marker_corners)
    grey = np.asarray(cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    markers = find_markers(grey, ids)
    placed = place_sheets(markers, wanted)
    if not placed:
        return _refuse(sorted({marker.id for marker in markers}), sheet)
    return _describe(placed, photo)


def _refuse(ids: list[int], sheet: str | None) -> Refused:
    name = "a calibration sheet" if sheet is None else f"the sheet {sheet}"
    if not ids:
        return Refused(
            "no_sheet",
            f"Needed {name} in the photo, found none of its markers.",
            "Lay the printed sheet flat beside the skin, whole and in focus, and photograph again.",
        )
    return Refused(
        "sheet_hidden",
        f"Needed two or more markers that lie as on {name}, found markers {ids} that do not.",
        "Uncover the sheet, flatten it, and have all four of its markers in the photo.",
    )


def _describe(placed: list[PlacedSheet], photo: Photo) -> ScaleFit:
    """The record of the best of the sheets placed."""
    best = placed[0]
    sheet = best.sheet
    to_full = np.linalg.inv(pixels_of_copy(photo.scale))
    homography = to_full @ best.homography
    homography = homography / homography[2, 2]
    focal_px, tilt_deg = _tilt(homography, best, photo)
    hidden = len(best.markers) < len(sheet.marker_corners)
    flags = ["partly_hidden"] * hidden + ["two_sheets"] * (len(placed) > 1)
    flags += ["focal_assumed"] * (photo.focal_px is None) + ["tilt_unknown"] * (tilt_deg is None)
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


def pixels_of_copy(scale: float) -> FloatArray:
    """(3, 3) from pixels of the full-size photo to those of a copy resized by `scale`."""
    half = (scale - 1) / 2
    return np.array([[scale, 0, half], [0, scale, half], [0, 0, 1.0]])


def mm_per_px_at(homography: FloatArray, point_mm: tuple[float, float]) -> MmPerPx:
    """Millimetres per pixel at a point of the sheet: the root of the local ratio of areas."""
    x, y, w = homography @ np.array([point_mm[0], point_mm[1], 1.0])
    jacobian = (homography[:2, :2] - np.outer([x / w, y / w], homography[2, :2])) / w
    return MmPerPx(float(1 / np.sqrt(abs(np.linalg.det(jacobian)))))


def _tilt(homography: FloatArray, placed: PlacedSheet, photo: Photo) -> tuple[float, float | None]:
    """Focal length (px of the full-size photo) and tilt of the sheet (degrees), None if unsolved.

    Without a focal length in the photo the most probable one is taken: how well a camera of that
    focal length explains the homography, times the prior for phones.
    """
    width, height = photo.full_size
    prior = FOCAL_35MM_PRIOR / FULL_FRAME_DIAGONAL_MM * float(np.hypot(width, height))
    options = prior * np.exp(FOCAL_LOG_SIGMA * np.linspace(-3, 3, FOCAL_OPTIONS))
    if photo.focal_px is not None:
        options = np.array([photo.focal_px])
    flat_mm = np.concatenate([placed.sheet.marker(marker.id) for marker in placed.markers])
    image_px = cv2.perspectiveTransform(flat_mm[None], homography)[0]
    object_mm = np.column_stack([flat_mm, np.zeros(len(flat_mm))])
    bend_px = placed.residual_mm / float(mm_per_px_at(homography, placed.sheet.centre_mm))
    sigma = max(CORNER_SIGMA_PX / photo.scale, bend_px)
    best: tuple[float, float, float | None] = (np.inf, float(options[len(options) // 2]), None)
    for focal in options:
        k = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        solved, rvec, tvec = cv2.solvePnP(object_mm, image_px, k, None, flags=cv2.SOLVEPNP_IPPE)
        if not solved:
            continue
        projected = cv2.projectPoints(object_mm, rvec, tvec, k, None)[0][:, 0]
        misfit = float(((projected - image_px) ** 2).sum()) / sigma**2
        cost = misfit + float(np.log(focal / prior) / FOCAL_LOG_SIGMA) ** 2
        if cost < best[0]:
            best = (cost, float(focal), _angle(placed.sheet, np.asarray(rvec), np.asarray(tvec)))
    return best[1], best[2]


def _angle(sheet: Sheet, rvec: FloatArray, tvec: FloatArray) -> float:
    """Degrees between the sheet's normal and the line of sight to its centre."""
    rotation = cv2.Rodrigues(rvec)[0]
    centre = rotation @ np.array([*sheet.centre_mm, 0.0]) + tvec.ravel()
    cosine = abs(float(rotation[:, 2] @ centre)) / float(np.linalg.norm(centre))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))
