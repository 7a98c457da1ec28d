"""Find the 24 patches of the colour card on a sheet that was found, and sample them.

The markers say where to look: the card's surroundings are rectified and the grid of patches is
moved over them until every patch is even inside. A card lies by hand, so it may be some
millimetres off, a little turned, or upside down.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.patch_grid import settle_grid
from bsa_vision.calibration.records import Pixels8, ScaleFit
from bsa_vision.calibration.reference import reference_linear
from bsa_vision.calibration.scale import pixels_of_copy
from bsa_vision.calibration.sheets import SHEETS, CardPlace
from bsa_vision.calibration.srgb import srgb_to_linear
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray, frozen

#: Pixels across a patch in the rectified card, and the share of it that is sampled.
PATCH_PX = 24
SAMPLE_SHARE = 0.55
#: A patch needs this many pixels in the photo: half of them are edge.
MIN_PATCH_PHOTO_PX = 5.0
#: A card's patches agree with their reference at least this well (mean over channels of the
#: correlation of square roots of linear light); photographed cards reach 0.98.
MIN_AGREEMENT = 0.85
CERTAIN_AGREEMENT = 0.95
#: A patch is clipped when more than this share of a channel's pixels is at an end of the range.
MAX_CLIPPED_SHARE = 0.05
CODE_RANGE = (1, 254)
#: A patch is spoilt (glare, hair, dirt) when its brightness spreads this much more than that of
#: the middle patch, and by more than noise.
SPOILT_RATIO = 4.0
SPOILT_CODES = 8.0


@dataclass(frozen=True)
class CardSample:
    """The card as photographed.

    Attributes
    ----------
    linear : (24, 3) mean linear sRGB of each patch, chart order.
    clipped : (24,) whether a channel of the patch is at an end of its range.
    spoilt : (24,) whether something lies or shines on the patch.
    centres_mm : (24, 2) where the patches lie on the sheet.
    agreement : how well the patches resemble the reference, at most 1.
    rectified : (h, w, 3) uint8, the card seen square-on, for showing.
    """

    linear: FloatArray
    clipped: NDArray[np.bool_]
    spoilt: NDArray[np.bool_]
    centres_mm: FloatArray
    agreement: float
    rectified: Pixels8

    def __post_init__(self) -> None:
        object.__setattr__(self, "linear", frozen(self.linear, np.float64))
        object.__setattr__(self, "clipped", frozen(self.clipped, np.bool_))
        object.__setattr__(self, "spoilt", frozen(self.spoilt, np.bool_))
        object.__setattr__(self, "centres_mm", frozen(self.centres_mm, np.float64))
        object.__setattr__(self, "rectified", frozen(self.rectified, np.uint8))


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
    sheet = SHEETS[scale.sheet]
    best = _sample_at(pixels, photo_scale, scale, sheet.card)
    for place in sheet.cards[1:]:
        if _agreement(best) >= CERTAIN_AGREEMENT:
            break
        best = max(best, _sample_at(pixels, photo_scale, scale, place), key=_agreement)
    if isinstance(best, CardSample) and best.agreement < MIN_AGREEMENT:
        return Refused(
            "card_unreadable",
            f"Needed a ColorChecker Classic on the sheet's card area, got patches that agree with "
            f"it to {max(best.agreement, 0.0):.2f} (at least {MIN_AGREEMENT:.2f}).",
            "Lay the card on its place, uncovered, without shadow or reflection on it.",
        )
    return best


def _agreement(sample: CardSample | Refused) -> float:
    return sample.agreement if isinstance(sample, CardSample) else -1.0


def _sample_at(
    pixels: Pixels8, photo_scale: float, scale: ScaleFit, place: CardPlace
) -> CardSample | Refused:
    """What lies on one place for a card, whatever it is; refused where patches are too small."""
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
    centres = settle_grid(rectified, nominal, PATCH_PX, place.slack_mm * per_mm)
    linear, spread, clipped = _sample(rectified, centres)
    upright, turned = card_agreement(linear), card_agreement(linear[::-1])
    order = slice(None) if upright >= turned else slice(None, None, -1)
    spoilt = spread > max(SPOILT_CODES, SPOILT_RATIO * float(np.median(spread)))
    return CardSample(
        linear=linear[order],
        clipped=clipped[order],
        spoilt=spoilt[order],
        centres_mm=(centres / per_mm + origin_mm)[order],
        agreement=max(upright, turned),
        rectified=rectified,
    )


def _rectify(
    pixels: Pixels8, photo_scale: float, scale: ScaleFit, place: CardPlace
) -> tuple[Pixels8, FloatArray]:
    """The card's surroundings square-on, `PATCH_PX` per patch, and the mm of its first pixel."""
    per_mm = PATCH_PX / place.patch_mm
    centres = place.centres()
    margin = place.patch_mm * 0.75 + place.slack_mm
    low, high = centres.min(axis=0) - margin, centres.max(axis=0) + margin
    size = np.ceil((high - low) * per_mm).astype(int)
    to_mm = np.array([[1 / per_mm, 0, low[0]], [0, 1 / per_mm, low[1]], [0, 0, 1.0]])
    to_pixels = pixels_of_copy(photo_scale) @ scale.homography @ to_mm
    # Where the photo is finer than the rectified card, its pixels are averaged, not picked.
    finer = max(1, int(place.patch_mm / float(scale.mm_per_px) * photo_scale / PATCH_PX))
    finely = cv2.warpPerspective(
        pixels,
        to_pixels @ np.linalg.inv(pixels_of_copy(finer)),
        (int(size[0]) * finer, int(size[1]) * finer),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    if finer > 1:
        finely = cv2.resize(finely, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(finely, dtype=np.uint8), low


def _sample(
    rectified: Pixels8, centres: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Mean linear colour (24, 3), spread of brightness in codes (24,) and clipping (24,)."""
    side = int(SAMPLE_SHARE * PATCH_PX)
    half = (side - 1) / 2
    corner = np.round(centres - half).astype(int)
    limit = np.array([rectified.shape[1] - side, rectified.shape[0] - side])
    corner = np.clip(corner, 0, limit)
    step = np.arange(side)
    rows = corner[:, 1, None, None] + step[None, :, None]
    columns = corner[:, 0, None, None] + step[None, None, :]
    patches = rectified[rows, columns].reshape(len(centres), side * side, 3)
    brightness = patches.mean(axis=2)
    # Specks and scratches fall to the ends of the brightness order.
    low, high = np.quantile(brightness, [0.1, 0.9], axis=1, keepdims=True)
    kept = ((brightness >= low) & (brightness <= high))[..., None]
    linear = (srgb_to_linear(patches) * kept).sum(axis=1) / kept.sum(axis=1)
    ends = np.maximum(
        (patches <= CODE_RANGE[0]).mean(axis=1), (patches >= CODE_RANGE[1]).mean(axis=1)
    )
    return linear, brightness.std(axis=1), ends.max(axis=1) > MAX_CLIPPED_SHARE


def card_agreement(linear: FloatArray) -> float:
    """How well 24 patches (24, 3) resemble the card: mean correlation over the channels."""
    seen = np.sqrt(np.maximum(linear, 0))
    known = np.sqrt(np.maximum(reference_linear(), 0))
    seen = seen - seen.mean(axis=0)
    known = known - known.mean(axis=0)
    norm = np.sqrt((seen**2).sum(axis=0) * (known**2).sum(axis=0))
    return float(((seen * known).sum(axis=0) / np.maximum(norm, 1e-9)).mean())
