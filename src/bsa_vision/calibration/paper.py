"""How the light falls over the sheet: its white paper as a flat field, and as a white balance."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.records import Pixels8, ScaleFit
from bsa_vision.calibration.scale import pixels_of_copy
from bsa_vision.calibration.sheets import SHEETS, Sheet
from bsa_vision.calibration.srgb import LINEAR_TO_XYZ_D50, srgb_to_linear
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray, frozen

GRID_MM = 2.0
#: Paper further from the card than this share of the card's longer side says little about it.
NEAR_CARD = 0.4
#: Share of the paper that must look like paper (not shadow, hand, blood) for a fit.
MIN_PAPER_SHARE = 0.5
#: Paper may differ from its median this much in light, and this much between channels in codes.
LIGHT_RANGE = (0.55, 1.6)
MAX_TINT = 70
ROUNDS = 3


@dataclass(frozen=True)
class PaperLight:
    """Light on the paper: ln(linear luminance) as a quadratic in sheet mm, and its mean colour.

    Attributes
    ----------
    coefficients : (6,) of 1, x, y, x^2, x y, y^2 in decimetres from the card's centre.
    centre_mm : the card's centre.
    linear : (3,) mean linear colour of the paper.
    roughness : rms of ln(luminance) about the fit.
    """

    coefficients: FloatArray
    centre_mm: tuple[float, float]
    linear: FloatArray
    roughness: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", frozen(self.coefficients, np.float64))
        object.__setattr__(self, "linear", frozen(self.linear, np.float64))

    def gain(self, points_mm: FloatArray) -> FloatArray:
        """Light at points (n, 2) of the sheet over its geometric mean there, (n,)."""
        log_light = _basis(points_mm, self.centre_mm) @ self.coefficients
        return np.asarray(np.exp(log_light - log_light.mean()))


def measure_paper(pixels: Pixels8, photo_scale: float, scale: ScaleFit) -> PaperLight | Refused:
    """Fit the light on the white paper around the card (``"paper_hidden"`` when little shows)."""
    sheet = SHEETS[scale.sheet]
    rectified, points_mm = _sample_sheet(pixels, photo_scale, scale, sheet)
    wanted = _expected_paper(points_mm, sheet)
    colours, places = rectified[wanted], points_mm[wanted]
    linear = srgb_to_linear(colours)
    luminance = linear @ LINEAR_TO_XYZ_D50[1]
    typical = float(np.median(luminance)) if len(luminance) else 0.0
    tint = colours.max(axis=1).astype(int) - colours.min(axis=1)
    kept = (
        (luminance > LIGHT_RANGE[0] * typical)
        & (luminance < LIGHT_RANGE[1] * typical)
        & (tint < MAX_TINT)
        & (colours.min(axis=1) > 0)
    )
    if typical <= 0 or kept.mean() < MIN_PAPER_SHARE:
        return Refused(
            "paper_hidden",
            "Needed the white paper of the sheet, found too little of it.",
            "Uncover the sheet and light it evenly.",
        )
    basis, target = _basis(places[kept], sheet.card.centre_mm), np.log(luminance[kept])
    for _ in range(ROUNDS):
        coefficients = np.linalg.solve(basis.T @ basis, basis.T @ target)
        miss = np.abs(target - basis @ coefficients)
        near = miss <= 3 * np.median(miss) + 1e-3
        basis, target = basis[near], target[near]
    roughness = float(np.sqrt(((target - basis @ coefficients) ** 2).mean()))
    return PaperLight(
        coefficients, sheet.card.centre_mm, np.median(linear[kept], axis=0), roughness
    )


def _basis(points_mm: FloatArray, centre_mm: tuple[float, float]) -> FloatArray:
    x, y = ((points_mm - centre_mm) / 100).T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _sample_sheet(
    pixels: Pixels8, photo_scale: float, scale: ScaleFit, sheet: Sheet
) -> tuple[Pixels8, FloatArray]:
    """The sheet on a grid of `GRID_MM`, (h, w, 3), black off the photo; its points, (h, w, 2)."""
    width, height = (int(side / GRID_MM) for side in sheet.size_mm)
    x, y = np.meshgrid((np.arange(width) + 0.5) * GRID_MM, (np.arange(height) + 0.5) * GRID_MM)
    to_mm = np.array([[GRID_MM, 0, GRID_MM / 2], [0, GRID_MM, GRID_MM / 2], [0, 0, 1.0]])
    rectified = cv2.warpPerspective(
        pixels,
        pixels_of_copy(photo_scale) @ scale.homography @ to_mm,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return np.asarray(rectified, dtype=np.uint8), np.stack([x, y], axis=-1)


def _expected_paper(points_mm: FloatArray, sheet: Sheet) -> NDArray[np.bool_]:
    """Where a sheet is bare: near the card, off the card, the markers and the paper's rim."""
    card = sheet.card
    half = np.array(card.outline_mm) / 2
    off = np.abs(points_mm - np.array(card.centre_mm)) - half
    reach = NEAR_CARD * max(card.outline_mm)
    bare = (off.max(axis=-1) > 0.6 * card.slack_mm) & (off.max(axis=-1) < reach)
    rim = 0.03 * min(sheet.size_mm)
    bare &= (points_mm > rim).all(axis=-1) & (points_mm < np.array(sheet.size_mm) - rim).all(
        axis=-1
    )
    quiet = 0.12 * sheet.marker_mm
    for marker_id in sheet.marker_corners:
        corners = sheet.marker(marker_id)
        inside = (points_mm > corners.min(axis=0) - quiet) & (
            points_mm < corners.max(axis=0) + quiet
        )
        bare &= ~inside.all(axis=-1)
    return np.asarray(bare)
