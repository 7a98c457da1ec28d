"""Which sheets lie in a photo, and where: sheets laid through the markers that were seen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from bsa_vision.calibration.markers import Marker
from bsa_vision.calibration.sheets import Sheet
from bsa_vision.core.frames import FloatArray

#: One marker alone leaves the plane's tilt to the noise of a few pixels, and the sheet unknown.
MIN_MARKERS = 2
#: A fit whose corners miss by more than this share of a marker's side is another sheet. Folded
#: paper misses by 0.01, the wrong sheet of the table by 0.2 and more.
MAX_RESIDUAL_SIDES = 0.04
#: How far off, in marker sides, a marker may be from where one marker, or more, predict it.
GROW_FROM_ONE_SIDES = 2.0
GROW_SIDES = 1.0


@dataclass(frozen=True)
class PlacedSheet:
    """A sheet laid through some markers.

    Attributes
    ----------
    homography : (3, 3) sheet mm to the pixels in which the markers were found.
    residual_mm : root mean square distance of the markers' corners from their places.
    """

    sheet: Sheet
    markers: tuple[Marker, ...]
    homography: FloatArray
    residual_mm: float

    @property
    def is_whole(self) -> bool:
        """Whether every marker of the sheet was found."""
        return len(self.markers) == len(self.sheet.marker_corners)


def place_sheets(markers: Iterable[Marker], sheets: Sequence[Sheet]) -> list[PlacedSheet]:
    """Lay sheets through the markers seen; a marker belongs to one sheet only.

    Returns
    -------
    The sheets found, those with more markers first and then the larger in the photo.
    """
    left = list(markers)
    placed: list[PlacedSheet] = []
    while (best := _best(left, sheets)) is not None:
        placed.append(best)
        used = {id(marker) for marker in best.markers}
        left = [marker for marker in left if id(marker) not in used]
    return sorted(
        placed,
        key=lambda entry: (len(entry.markers), sum(marker.side_px for marker in entry.markers)),
        reverse=True,
    )


def _best(markers: list[Marker], sheets: Sequence[Sheet]) -> PlacedSheet | None:
    """The sheet through most markers, of several the one that fits best."""
    found = [entry for sheet in sheets for entry in _place(sheet, markers)]
    most = max((len(entry.markers) for entry in found), default=0)
    return min(
        (entry for entry in found if len(entry.markers) == most),
        key=lambda entry: entry.residual_mm / entry.sheet.marker_mm,
        default=None,
    )


def _place(sheet: Sheet, markers: list[Marker]) -> list[PlacedSheet]:
    """The sheet grown from each marker; growing ends at the first that is whole."""
    placed: list[PlacedSheet] = []
    for seed in markers:
        grown = _grow(sheet, seed, markers) if seed.id in sheet.marker_corners else None
        if grown is not None:
            placed.append(grown)
            if grown.is_whole:
                break
    return placed


def _grow(sheet: Sheet, seed: Marker, markers: list[Marker]) -> PlacedSheet | None:
    """Lay a sheet through one marker, then through each further marker that agrees with it."""
    used = [seed]
    homography, residual_mm = _fit(sheet, used)
    open_markers = [marker for marker in markers if marker.id in sheet.marker_corners]
    while True:
        taken = {marker.id for marker in used}
        open_markers = [marker for marker in open_markers if marker.id not in taken]
        misses = [_miss(sheet, homography, marker) for marker in open_markers]
        limit = GROW_FROM_ONE_SIDES if len(used) == 1 else GROW_SIDES
        if not misses or min(misses) > limit:
            break
        nearest = open_markers.pop(int(np.argmin(misses)))
        wider, wider_residual = _fit(sheet, [*used, nearest])
        # One that does not fit (of another sheet, or half covered) is passed over.
        if wider_residual <= MAX_RESIDUAL_SIDES * sheet.marker_mm:
            used.append(nearest)
            homography, residual_mm = wider, wider_residual
    if len(used) < MIN_MARKERS:
        return None
    return PlacedSheet(sheet, tuple(used), homography, residual_mm)


def _miss(sheet: Sheet, homography: FloatArray, marker: Marker) -> float:
    """Mean distance of a marker's corners from their prediction, in sides of the marker."""
    predicted = cv2.perspectiveTransform(sheet.marker(marker.id)[None], homography)[0]
    return float(np.linalg.norm(predicted - marker.corners, axis=1).mean()) / marker.side_px


def _fit(sheet: Sheet, markers: list[Marker]) -> tuple[FloatArray, float]:
    """Homography from sheet mm to pixels by least squares, and its residual in mm (rms)."""
    sheet_mm = np.concatenate([sheet.marker(marker.id) for marker in markers])
    photo_px = np.concatenate([marker.corners for marker in markers])
    homography, _ = cv2.findHomography(sheet_mm, photo_px, 0)
    if homography is None or abs(np.linalg.det(homography)) < 1e-12:
        return np.eye(3), np.inf
    back = cv2.perspectiveTransform(photo_px[None], np.linalg.inv(homography))[0]
    fitted = np.asarray(homography, dtype=np.float64)
    return fitted, float(np.sqrt(((back - sheet_mm) ** 2).sum(axis=1).mean()))
