"""What calibration hands on: scale, colour, quality, and the photo with its colours corrected."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray, frozen
from bsa_vision.core.units import MmPerPx
from bsa_vision.photo.records import Photo

Pixels8 = NDArray[np.uint8]


@dataclass(frozen=True)
class ScaleFit:
    """Where the marker sheet lies in the photo and what a pixel is worth there.

    Attributes
    ----------
    sheet : name of the sheet (`calibration.sheets.SHEETS`).
    homography : (3, 3), sheet millimetres (origin at the sheet's top-left corner, x right, y down)
        to pixels of the full-size photo.
    mm_per_px : at the centre of the sheet, in its plane: the root of the area ratio.
    tilt_deg : angle between the sheet's normal and the line of sight to its centre; None when no
        camera explains the homography.
    residual_mm_rms : root mean square distance between the markers' corners found and predicted.
    marker_ids : markers used.
    corners_px : (4, 2) outline of the sheet in the full-size photo: its own TL, TR, BR, BL.
    focal_px : focal length the tilt rests on, pixels of the full-size photo.
    flags : ``"partly_hidden"`` (a marker was not found), ``"two_sheets"`` (the nearer, more
        complete one was used), ``"focal_assumed"`` (no focal length in the photo),
        ``"tilt_unknown"``.
    """

    sheet: str
    homography: FloatArray
    mm_per_px: MmPerPx
    tilt_deg: float | None
    residual_mm_rms: float
    marker_ids: tuple[int, ...]
    corners_px: FloatArray
    focal_px: float
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "homography", frozen(self.homography, np.float64))
        object.__setattr__(self, "corners_px", frozen(self.corners_px, np.float64))

    @property
    def reason(self) -> str | None:
        """Why there is no tilt, or None."""
        return None if self.tilt_deg is not None else "no camera explains the sheet's outline"


@dataclass(frozen=True)
class ColourFit:
    """A colour correction and how well it predicts patches that it has not seen.

    Attributes
    ----------
    method : the model chosen, a key of `candidates`, or ``"white-balance"``.
    de00_raw_mean : mean CIEDE2000 of the card's patches as photographed; None without a card.
    de00_loo_mean, de00_loo_max : mean and worst CIEDE2000, each patch predicted by a model fitted
        to the other patches; of patches with the paper's light divided out where that helped, so
        without the light's unevenness, which stays in the photo. None without a card.
    candidates : leave-one-out mean of every model that was tried, all on the same patches.
    patches_used : patches that entered the fit (clipped ones do not).
    lut : (n, n, n, 3), corrected sRGB (0..1) on a regular grid of sRGB; axes red, green, blue.
    flags : ``"white_balance_only"`` (no readable card), ``"patches_clipped"``,
        ``"patches_spoilt"``, ``"uneven_light"``, ``"weak_fit"`` (suspect a print or a faded card).
    reason : why there is no error of the colours, or None.
    """

    method: str
    de00_raw_mean: float | None
    de00_loo_mean: float | None
    de00_loo_max: float | None
    candidates: dict[str, float]
    patches_used: int
    lut: NDArray[np.float32] = field(repr=False)
    flags: tuple[str, ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lut", frozen(self.lut, np.float32))

    def apply(self, pixels: Pixels8) -> Pixels8:
        """Correct the colours of sRGB pixels (H, W, 3) uint8, by trilinear interpolation."""
        if self.method == "none":
            return pixels
        # Pillow stores the table with red running fastest.
        table = np.ascontiguousarray(self.lut.transpose(2, 1, 0, 3)).ravel()
        size = self.lut.shape[0]
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.filter(ImageFilter.Color3DLUT(size, table, _copy_table=False)))


@dataclass(frozen=True)
class Quality:
    """Whether a photo can be measured on, and what to do better.

    Attributes
    ----------
    verdict : ``"good"``, ``"usable"``, ``"poor"`` or ``"unusable"``.
    sharpness : share of a strong edge's contrast that is crossed within one pixel, at a long side
        of about 1024; near 0.4 in a sharp photo, under 0.2 in a blurred one.
    clipped_percent, dark_percent, glare_percent : share of the photo's pixels.
    tilt_deg : of the sheet; None without one.
    remedies : what to do, one sentence each; empty when the verdict is good.
    refused : why nothing can be measured, when the verdict is unusable, else None.
    """

    verdict: str
    sharpness: float
    clipped_percent: float
    dark_percent: float
    glare_percent: float
    tilt_deg: float | None
    remedies: tuple[str, ...]
    refused: Refused | None = None

    @property
    def reason(self) -> str | None:
        """Why the photo is unusable, or None."""
        return self.refused.reason if self.refused else None


@dataclass(frozen=True)
class CalibratedPhoto:
    """A photo with what its card, its sheet and its sharpness say."""

    photo: Photo
    colour: ColourFit | Refused
    scale: ScaleFit | Refused
    quality: Quality

    @cached_property
    def pixels(self) -> Pixels8:
        """(H, W, 3) uint8 with corrected colours; the photo's own where `colour` is refused.

        Made when first asked for: who needs a smaller picture applies `colour` to that.
        """
        if isinstance(self.colour, Refused):
            return self.photo.pixels
        return self.colour.apply(self.photo.pixels)
