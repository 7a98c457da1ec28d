"""Find the 24 patches of the colour card on a sheet that was found, and sample them.

The markers say where to look: the card's surroundings are rectified and the grid of patches is
moved over them until every patch is even inside. A card lies by hand, so it may be some
millimetres off, a little turned, or upside down.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.records import Pixels8, ScaleFit
from bsa_vision.calibration.reference import reference_linear
from bsa_vision.calibration.sheets import CARD_COLUMNS, CARD_ROWS, SHEETS, CardPlace
from bsa_vision.calibration.srgb import srgb_to_linear
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray, frozen

#: Pixels across a patch in the rectified card.
PATCH_PX = 24
#: Share of a patch that is looked at when the grid is placed, and that is sampled.
EVEN_SHARE = 0.75
SAMPLE_SHARE = 0.55
#: A card's patches agree with their reference at least this well (mean over channels of the
#: correlation of square roots of linear light); other surfaces stay far below.
MIN_AGREEMENT = 0.85
#: A patch with more of its pixels at an end of the range than this is clipped.
MAX_CLIPPED_SHARE = 0.05
MIN_PATCH_PHOTO_PX = 5.0


@dataclass(frozen=True)
class CardSample:
    """The card as photographed.

    Attributes
    ----------
    linear : (24, 3) mean linear sRGB of each patch, chart order.
    spread : (24,) standard deviation of each patch's brightness, in sRGB codes.
    clipped : (24,) whether a channel of the patch is at an end of its range.
    centres_mm : (24, 2) where the patches lie on the sheet.
    agreement : how well the patches resemble the reference, at most 1.
    rectified : (h, w, 3) uint8, the card seen square-on, for showing.
    """

    linear: FloatArray
    spread: FloatArray
    clipped: NDArray[np.bool_]
    centres_mm: FloatArray
    agreement: float
    rectified: Pixels8

    def __post_init__(self) -> None:
        object.__setattr__(self, "linear", frozen(self.linear, np.float64))
        object.__setattr__(self, "spread", frozen(self.spread, np.float64))
        object.__setattr__(self, "clipped", frozen(self.clipped, np.bool_))
        object.__setattr__(self, "centres_mm", frozen(self.centres_mm, np.float64))


@dataclass(frozen=True)
class _Grid:
    """Placement of the patch grid in the rectified card: offset px, turn radians, stretch."""

    dx: float = 0.0
    dy: float = 0.0
    turn: float = 0.0
    stretch_x: float = 1.0
    stretch_y: float = 1.0

    def points(self, nominal: FloatArray, middle: FloatArray) -> FloatArray:
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        relative = (nominal - middle) * (self.stretch_x, self.stretch_y)
        turned = relative @ np.array([[cos, sin], [-sin, cos]])
        return np.asarray(turned + middle + (self.dx, self.dy))


def sample_card(pixels: Pixels8, photo_scale: float, scale: ScaleFit) -> CardSample | Refused:
    """Locate and sample the card on a sheet.

    Parameters
    ----------
    pixels : (H, W, 3) sRGB, possibly smaller than the full-size photo.
    photo_scale : width of `pixels` over the width of the full-size photo.
    scale : where the sheet lies in the full-size photo.

    Returns
    -------
    The sample, or `Refused` with ``"card_small"`` or ``"card_unreadable"``.
    """
    place = SHEETS[scale.sheet].card
    patch_px = place.patch_mm / float(scale.mm_per_px) * photo_scale
    if patch_px < MIN_PATCH_PHOTO_PX:
        return Refused(
            "card_small",
            f"Needed {MIN_PATCH_PHOTO_PX:.0f} pixels across a colour patch, got {patch_px:.1f}.",
            "Take the photo from nearer, or lay the sheet nearer to the camera.",
        )
    rectified, origin_mm = _rectify(pixels, photo_scale, scale, place)
    per_mm = PATCH_PX / place.patch_mm
    nominal = (place.centres() - origin_mm) * per_mm
    grid = _settle(rectified, nominal, place.slack_mm * per_mm)
    middle = nominal.mean(axis=0)
    centres = grid.points(nominal, middle)
    half = SAMPLE_SHARE * PATCH_PX / 2
    linear, spread, clipped = _sample(rectified, centres, half)
    agreement, upside_down = max(
        (card_agreement(linear), False), (card_agreement(linear[::-1]), True)
    )
    if agreement < MIN_AGREEMENT:
        return Refused(
            "card_unreadable",
            f"Needed a ColorChecker Classic on the sheet's card area, got patches that agree with "
            f"it to {max(agreement, 0):.2f} (at least {MIN_AGREEMENT:.2f}).",
            "Lay the card on its place, uncovered and without a shadow or reflection on it.",
        )
    order = slice(None, None, -1) if upside_down else slice(None)
    return CardSample(
        linear=linear[order],
        spread=spread[order],
        clipped=clipped[order],
        centres_mm=(centres / per_mm + origin_mm)[order],
        agreement=agreement,
        rectified=rectified,
    )


def _rectify(
    pixels: Pixels8, photo_scale: float, scale: ScaleFit, place: CardPlace
) -> tuple[Pixels8, FloatArray]:
    """The card's surroundings square-on, `PATCH_PX` per patch, and the mm of its first pixel."""
    per_mm = PATCH_PX / place.patch_mm
    centres = place.centres()
    margin = place.patch_mm / 2 + place.slack_mm + place.patch_mm * 0.25
    low, high = centres.min(axis=0) - margin, centres.max(axis=0) + margin
    width, height = (int(np.ceil(side * per_mm)) for side in high - low)
    to_mm = np.array([[1 / per_mm, 0, low[0]], [0, 1 / per_mm, low[1]], [0, 0, 1.0]])
    s = photo_scale
    to_pixels = np.array([[s, 0, (s - 1) / 2], [0, s, (s - 1) / 2], [0, 0, 1.0]])
    transform = to_pixels @ scale.homography @ to_mm
    # Pixels finer than the rectified grid are averaged first, so that noise is not picked out.
    source_per_pixel = place.patch_mm / float(scale.mm_per_px) * photo_scale / PATCH_PX
    if source_per_pixel > 2.0:
        oversample = int(source_per_pixel)
        fine = np.diag([1 / oversample, 1 / oversample, 1.0])
        fine[:2, 2] = (1 / oversample - 1) / 2
        large = cv2.warpPerspective(
            pixels,
            transform @ fine,
            (width * oversample, height * oversample),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        rectified = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    else:
        rectified = cv2.warpPerspective(
            pixels, transform, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
    return rectified, low


def _settle(rectified: Pixels8, nominal: FloatArray, slack_px: float) -> _Grid:
    """Move the grid over the rectified card until every patch is as even as it can be."""
    side = int(EVEN_SHARE * PATCH_PX) | 1
    light = rectified.astype(np.float32)
    mean = cv2.boxFilter(light, -1, (side, side))
    square = cv2.boxFilter(light * light, -1, (side, side))
    uneven = np.sqrt(np.maximum(square - mean * mean, 0).sum(axis=2))
    middle = nominal.mean(axis=0)

    def cost(grid: _Grid) -> float:
        points = grid.points(nominal, middle).astype(np.float32)
        values = cv2.remap(
            uneven, points[None, :, 0], points[None, :, 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=(255.0,),
        )
        return float(values.mean())

    # The shift alone first: half a pitch is as far as the grid can be told from its neighbour.
    reach = min(slack_px, 0.55 * PATCH_PX)
    steps = np.arange(-reach, reach + 1e-6, 2.0)
    turns = np.deg2rad([-4.0, -2.0, 0.0, 2.0, 4.0])
    best = min(
        (_Grid(dx, dy, turn) for turn in turns for dx in steps for dy in steps), key=cost
    )
    for step in (1.0, 0.5, 0.25):
        best = _descend(best, step, cost)
    return best


def _descend(start, step, cost):
    best, lowest = start, cost(start)
    moved = True
    while moved:
        moved = False
        for name, size in (("dx", step), ("dy", step), ("turn", step * 0.01), ("stretch_x", step * 0.01), ("stretch_y", step*0.01)):
            for sign in (-1, 1):
                from dataclasses import replace
                option = replace(best, **{name: getattr(best, name) + sign * size})
                value = cost(option)
                if value < lowest:
                    best, lowest, moved = option, value, True
    return best


def _sample(
    rectified: Pixels8, centres: FloatArray, half: float
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Mean linear colour, spread and clipping of each patch."""
    linear = np.empty((len(centres), 3))
    spread = np.empty(len(centres))
    clipped = np.empty(len(centres), dtype=bool)
    height, width = rectified.shape[:2]
    for index, (x, y) in enumerate(centres):
        left, right = int(np.clip(x - half, 0, width - 2)), int(np.clip(x + half, 1, width - 1))
        top, bottom = int(np.clip(y - half, 0, height - 2)), int(np.clip(y + half, 1, height - 1))
        patch = rectified[top : bottom + 1, left : right + 1].reshape(-1, 3)
        brightness = patch.mean(axis=1)
        # Scratches and specks fall to the ends of the brightness order.
        low, high = np.percentile(brightness, [10, 90])
        kept = patch[(brightness >= low) & (brightness <= high)]
        linear[index] = srgb_to_linear(kept).mean(axis=0)
        spread[index] = brightness.std()
        clipped[index] = bool((patch >= 254).mean(axis=0).max() > MAX_CLIPPED_SHARE) or bool(
            (patch <= 1).mean(axis=0).max() > MAX_CLIPPED_SHARE
        )
    return linear, spread, clipped


def card_agreement(linear: FloatArray) -> float:
    """How well 24 patches (24, 3) resemble the card: mean correlation over the channels."""
    seen = np.sqrt(np.maximum(linear, 0))
    known = np.sqrt(np.maximum(reference_linear(), 0))
    seen = seen - seen.mean(axis=0)
    known = known - known.mean(axis=0)
    norm = np.sqrt((seen**2).sum(axis=0) * (known**2).sum(axis=0))
    return float(((seen * known).sum(axis=0) / np.maximum(norm, 1e-9)).mean())
