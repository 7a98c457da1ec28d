"""Photos of calibration sheets, rendered from the sheets' geometry with a known camera."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.reference import reference_linear
from bsa_vision.calibration.sheets import MARKER_DICTIONARY, CardPlace, Sheet
from bsa_vision.core.frames import FloatArray
from bsa_vision.photo.records import Photo

Light = NDArray[np.float32]

PAPER = 0.85
INK = 0.03
GROUND = (0.20, 0.12, 0.07)
DRAWN_PX_PER_MM = 4
OVERSAMPLING = 2


@dataclass(frozen=True)
class View:
    """A pinhole camera looking at a sheet.

    Attributes
    ----------
    size : (width, height) of the photo.
    focal_px : its focal length.
    tilt_deg, axis_deg : the sheet's tilt off the line of sight, and the axis it is tilted about.
    turn_deg : turn of the sheet in its own plane.
    distance_mm : from the camera to the sheet's centre.
    aim_px : where the sheet's centre is seen.
    """

    size: tuple[int, int] = (900, 1200)
    focal_px: float = 975.0
    tilt_deg: float = 20.0
    axis_deg: float = 30.0
    turn_deg: float = 0.0
    distance_mm: float = 600.0
    aim_px: tuple[float, float] = (450.0, 600.0)

    def homography(self, sheet: Sheet) -> FloatArray:
        """Sheet mm to pixels."""
        width, height = self.size
        k = np.array(
            [
                [self.focal_px, 0, (width - 1) / 2],
                [0, self.focal_px, (height - 1) / 2],
                [0, 0, 1.0],
            ]
        )
        sight = np.linalg.solve(k, np.array([*self.aim_px, 1.0]))
        sight /= np.linalg.norm(sight)
        # The frame whose z axis is the line of sight: there the tilt is the sheet's own.
        across = np.cross([0.0, 1.0, 0.0], sight)
        across /= np.linalg.norm(across)
        frame = np.stack([across, np.cross(sight, across), sight], axis=1)
        axis = np.deg2rad(self.axis_deg)
        tilt = cv2.Rodrigues(
            np.deg2rad(self.tilt_deg) * np.array([np.cos(axis), np.sin(axis), 0.0])
        )[0]
        turn = cv2.Rodrigues(np.array([0.0, 0.0, np.deg2rad(self.turn_deg)]))[0]
        rotation = frame @ tilt @ turn
        centre = np.array([*sheet.centre_mm, 0.0])
        translation = self.distance_mm * sight - rotation @ centre
        return k @ np.column_stack([rotation[:, 0], rotation[:, 1], translation])


def draw_sheet(sheet: Sheet, card: CardPlace | None, hidden: tuple[int, ...] = ()) -> Light:
    """The sheet seen square-on in linear light, `DRAWN_PX_PER_MM`, with a card where given."""
    s = DRAWN_PX_PER_MM
    width, height = (round(side * s) for side in sheet.size_mm)
    image = np.full((height, width, 3), PAPER, dtype=np.float32)
    for marker_id, (x, y) in sheet.marker_corners.items():
        if marker_id not in hidden:
            _stamp_marker(image, marker_id, (x * s, y * s), sheet.marker_mm * s)
    if card is not None:
        _lay_card(image, card)
    return image


def _stamp_marker(image: Light, marker_id: int, corner: tuple[float, float], side: float) -> None:
    """Draw a marker whose edges fall anywhere between pixels, averaged over their area."""
    bits = cv2.aruco.generateImageMarker(MARKER_DICTIONARY, marker_id, 6)
    fine = 8
    left, top = int(corner[0]) - 1, int(corner[1]) - 1
    span = int(side) + 4
    at = (np.arange(span * fine) + 0.5) / fine
    column = np.floor((at + left - corner[0]) / side * 6).astype(int)
    row = np.floor((at + top - corner[1]) / side * 6).astype(int)
    inside = ((column >= 0) & (column < 6))[None] & ((row >= 0) & (row < 6))[:, None]
    dark = inside & (bits[np.clip(row, 0, 5)][:, np.clip(column, 0, 5)] == 0)
    share = dark.reshape(span, fine, span, fine).mean(axis=(1, 3))[..., None]
    part = image[top : top + span, left : left + span]
    part[...] = part * (1 - share) + INK * share


def _lay_card(image: Light, card: CardPlace) -> None:
    s = DRAWN_PX_PER_MM
    half = np.array(card.outline_mm) / 2
    low, high = (
        np.round((np.array(card.centre_mm) + sign * half) * s).astype(int) for sign in (-1, 1)
    )
    image[low[1] : high[1], low[0] : high[0]] = INK
    for centre, colour in zip(card.centres(), np.clip(reference_linear(), 0, 1), strict=True):
        low, high = (
            np.round((centre + sign * card.patch_mm / 2) * s).astype(int) for sign in (-1, 1)
        )
        image[low[1] : high[1], low[0] : high[0]] = colour


def photograph(scenes: list[tuple[Light, FloatArray]], size: tuple[int, int]) -> Light:
    """Linear light (H, W, 3) of drawn sheets, each with its homography from mm to pixels."""
    n = OVERSAMPLING
    width, height = size
    fine = np.full((height * n, width * n, 3), GROUND, dtype=np.float32)
    to_fine = np.array([[n, 0, (n - 1) / 2], [0, n, (n - 1) / 2], [0, 0, 1.0]])
    s = DRAWN_PX_PER_MM
    to_mm = np.array([[1 / s, 0, 0.5 / s], [0, 1 / s, 0.5 / s], [0, 0, 1.0]])
    for drawn, homography in scenes:
        transform = to_fine @ homography @ to_mm
        cv2.warpPerspective(
            drawn, transform, (width * n, height * n), fine, cv2.INTER_LINEAR,
            cv2.BORDER_TRANSPARENT,
        )  # fmt: skip
    return cv2.resize(fine, size, interpolation=cv2.INTER_AREA)


def expose(linear: Light, noise: float = 0.0) -> NDArray[np.uint8]:
    """sRGB codes of linear light (IEC 61966-2-1), with Gaussian noise in codes."""
    light = np.clip(linear, 0, 1)
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    codes = 255 * signal + np.random.default_rng(7).normal(0, 1, linear.shape) * noise
    return np.clip(np.round(codes), 0, 255).astype(np.uint8)


def as_photo(
    pixels: NDArray[np.uint8],
    focal_px: float | None = None,
    full_size: tuple[int, int] | None = None,
) -> Photo:
    """A photo record around pixels."""
    height, width = pixels.shape[:2]
    return Photo(pixels, "0" * 64, full_size or (width, height), None, focal_px, "PNG")


def sheet_photo(sheet: Sheet, view: View, card: CardPlace | None, noise: float = 1.0) -> Photo:
    """A photo of one sheet, with its focal length."""
    light = photograph([(draw_sheet(sheet, card), view.homography(sheet))], view.size)
    return as_photo(expose(light, noise), view.focal_px)
