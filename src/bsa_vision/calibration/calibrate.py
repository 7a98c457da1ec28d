"""A photo in, a photo with true colours and a known scale out."""

from bsa_vision.calibration.card import sample_card
from bsa_vision.calibration.colour import fit_colour, white_balance
from bsa_vision.calibration.paper import measure_paper
from bsa_vision.calibration.quality import judge
from bsa_vision.calibration.records import CalibratedPhoto, ColourFit, ScaleFit
from bsa_vision.calibration.scale import fit_scale
from bsa_vision.core.errors import Refused
from bsa_vision.photo.records import Photo


def calibrate(photo: Photo, sheet: str | None = None) -> CalibratedPhoto:
    """Find sheet and card, fit the colours' correction, judge the quality.

    Parameters
    ----------
    photo : the photo as read.
    sheet : name of the sheet that is in it; recognised when None.

    Returns
    -------
    The calibrated photo. What could not be had (`colour`, `scale`) is `Refused` inside it, and the
    pixels are then the photo's own.

    Raises
    ------
    KeyError
        For a sheet name that is not in `sheets.SHEETS`.
    """
    scale = fit_scale(photo, sheet)
    colour = _fit_colour(photo, scale)
    return CalibratedPhoto(photo, colour, scale, judge(photo, scale))


def _fit_colour(photo: Photo, scale: ScaleFit | Refused) -> ColourFit | Refused:
    if isinstance(scale, Refused):
        return Refused(
            "no_card", "Needed the colour card on a sheet, found no sheet.", scale.remedy
        )
    card = sample_card(photo.pixels, photo.scale, scale)
    paper = measure_paper(photo.pixels, photo.scale, scale)
    light = None if isinstance(paper, Refused) else paper
    fitted = card if isinstance(card, Refused) else fit_colour(card, light)
    if isinstance(fitted, Refused) and light is not None:
        return white_balance(light, f"no readable card: {fitted.reason}")
    return fitted
