"""Is a photo fit to measure on: blur, exposure, glare, tilt, with a remedy for each in words."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.records import Pixels8, Quality, ScaleFit
from bsa_vision.core.errors import Refused
from bsa_vision.photo.records import Photo

Grey = NDArray[np.uint8]

#: Long side at which photos are judged, so that blur means the same at every resolution.
WORK_SIDE = 1024
#: A strong edge is one of the steepest of the photo.
STRONG_EDGE_SHARE = 0.005
LEAST_EDGE_CONTRAST = 30
EDGE_WINDOW = 15

LEAST_SEEN_SHARE = 0.02
CLIPPED_CODE = 254
DARK_CODE = 20
#: A highlight has every channel this bright, and is narrower than this (px at the working size).
GLARE_CODE = 240
GLARE_WINDOW = 31

USABLE_SHARPNESS = 0.20
POOR_SHARPNESS = 0.10
#: Blurred over about 13 px of the working size, a hand's breadth on a whole body; also photos in
#: which no edge is found at all (`edge_sharpness` gives 0).
UNUSABLE_SHARPNESS = 0.075
#: A body before a black cloth may fill as little as a tenth of the photo.
UNUSABLE_PERCENT = 95.0

_BLUR_REMEDY = "Hold the camera still, let it focus on the skin, use more light."
_CLIPPED_REMEDY = "Lower the exposure or move the lamp away: bright skin is burnt out."
_DARK_REMEDY = "Add light or raise the exposure: most of the photo is black."


def judge(photo: Photo, scale: ScaleFit | Refused) -> Quality:
    """Judge a photo.

    Parameters
    ----------
    photo : the photo.
    scale : its sheet, whose paper and card are left out of the exposure figures.
    """
    small = _reduced(photo.pixels)
    seen = _without_sheet(small, photo, scale)
    brightest, darkest = _channel_extremes(small)
    sharpness = edge_sharpness(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8))
    clipped = _percent(brightest >= CLIPPED_CODE, seen)
    dark = _percent(brightest < DARK_CODE, seen)
    glare = _percent(_glare(darkest), seen)
    tilt = scale.tilt_deg if isinstance(scale, ScaleFit) else None
    grade, remedies = _verdict(sharpness, clipped, dark, glare, tilt)
    refused = _unusable(sharpness, clipped, dark)
    verdict = "unusable" if refused else grade
    return Quality(verdict, sharpness, clipped, dark, glare, tilt, remedies, refused)


def _reduced(pixels: Pixels8) -> Pixels8:
    """The photo averaged over whole blocks of pixels to a long side of about `WORK_SIDE`."""
    block = max(1, round(max(pixels.shape[:2]) / WORK_SIDE))
    height, width = (max(1, side // block) for side in pixels.shape[:2])
    whole = pixels[: height * block, : width * block]
    reduced = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.uint8)


def _channel_extremes(pixels: Pixels8) -> tuple[Grey, Grey]:
    """The brightest and the darkest channel of each pixel, (H, W) each."""
    red, green, blue = cv2.split(pixels)
    brightest = cv2.max(cv2.max(red, green), blue)
    darkest = cv2.min(cv2.min(red, green), blue)
    return np.asarray(brightest, dtype=np.uint8), np.asarray(darkest, dtype=np.uint8)


def _without_sheet(small: Pixels8, photo: Photo, scale: ScaleFit | Refused) -> NDArray[np.bool_]:
    """Pixels that are not on the sheet; all of them when next to nothing would be left."""
    mask = np.ones(small.shape[:2], dtype=np.uint8)
    if isinstance(scale, ScaleFit):
        factor = small.shape[1] / photo.full_size[0]
        outline = (scale.corners_px + 0.5) * factor - 0.5
        bounded = np.clip(np.round(outline), -(10**6), 10**6).astype(np.int32)
        cv2.fillConvexPoly(mask, bounded, 0)
    seen = mask.astype(bool)
    return seen if seen.mean() > LEAST_SEEN_SHARE else np.ones_like(seen)


def _percent(condition: NDArray[np.bool_], seen: NDArray[np.bool_]) -> float:
    return float(100 * (condition & seen).sum() / seen.sum())


def edge_sharpness(grey: Grey) -> float:
    """Share of a strong edge's contrast that is crossed within one pixel, 0..1.

    A step blurred by a Gaussian of s pixels gives 0.4 / s; 0 where there is no edge to judge by.
    """
    window = np.ones((EDGE_WINDOW, EDGE_WINDOW), dtype=np.uint8)
    contrast = cv2.subtract(cv2.dilate(grey, window), cv2.erode(grey, window))
    light = grey.astype(np.float32)
    across = cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    slope = cv2.magnitude(across, down)
    # A quarter of the pixels tell the threshold as well as all of them.
    strong = slope >= np.quantile(slope[::2, ::2], 1 - STRONG_EDGE_SHARE)
    strong &= contrast >= LEAST_EDGE_CONTRAST
    if not strong.any():
        return 0.0
    return float(np.median(slope[strong] / contrast[strong]))


def _glare(darkest_channel: Grey) -> NDArray[np.bool_]:
    """Small colourless highlights: every channel bright, and not part of a wide white surface."""
    bright = (darkest_channel >= GLARE_CODE).astype(np.uint8)
    window = np.ones((GLARE_WINDOW, GLARE_WINDOW), dtype=np.uint8)
    wide = cv2.morphologyEx(bright, cv2.MORPH_OPEN, window)
    return np.asarray((bright > 0) & (cv2.dilate(wide, window) == 0))


def _verdict(
    sharpness: float, clipped: float, dark: float, glare: float, tilt: float | None
) -> tuple[str, tuple[str, ...]]:
    """The worst of the separate grades, and what to do about each that is not good."""
    checks: list[tuple[float, float, float, str]] = [
        (-sharpness, -USABLE_SHARPNESS, -POOR_SHARPNESS, _BLUR_REMEDY),
        (clipped, 5.0, 20.0, _CLIPPED_REMEDY),
        (dark, 60.0, 85.0, _DARK_REMEDY),
        (glare, 1.0, 5.0, "Avoid flash and lamps that mirror in wet skin; light from the side."),
    ]
    if tilt is not None:
        checks.append((tilt, 40.0, 60.0, "Hold the camera square to the skin and the sheet."))
    return _grade(checks)


def _unusable(sharpness: float, clipped: float, dark: float) -> Refused | None:
    """Why nothing can be measured on a photo, or None. Exposure first: no light, no edges."""
    most = f"Needed at most {UNUSABLE_PERCENT:g} % of the photo"
    if dark > UNUSABLE_PERCENT:
        return Refused("quality_unusable", f"{most} black, got {dark:.1f} %.", _DARK_REMEDY)
    if clipped > UNUSABLE_PERCENT:
        return Refused(
            "quality_unusable", f"{most} burnt out, got {clipped:.1f} %.", _CLIPPED_REMEDY
        )
    if sharpness < UNUSABLE_SHARPNESS:
        return Refused(
            "quality_unusable",
            f"Needed a sharpness of {UNUSABLE_SHARPNESS:g} or more, got {sharpness:.3f}.",
            _BLUR_REMEDY,
        )
    return None


def _grade(checks: Iterable[tuple[float, float, float, str]]) -> tuple[str, tuple[str, ...]]:
    grades = ["good"]
    remedies = []
    for value, usable_from, poor_from, remedy in checks:
        if value > usable_from:
            grades.append("poor" if value > poor_from else "usable")
            remedies.append(remedy)
    worst = max(grades, key=["good", "usable", "poor"].index)
    return worst, tuple(remedies)
