"""Photo files in, one document on their colour card, scale sheet and quality out."""

from pathlib import Path
from typing import Any

from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.calibration.records import CalibratedPhoto, ColourFit, ScaleFit
from bsa_vision.calibration.sheets import SHEETS
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.photo.decode import read_photo

CALIBRATION_FORMAT = "bsa-vision-calibration/1"


def calibrate_photos(photos: list[Path], sheet: str | None, progress: Progress) -> dict[str, Any]:
    """Calibrate each photo; one that cannot be used is an entry with its reason.

    Parameters
    ----------
    photos : photo files.
    sheet : name of the sheet in them, or None to recognise it.
    progress : told after each photo.

    Raises
    ------
    InputError
        When the sheet's name is unknown or a photo is not there.
    """
    if sheet is not None and sheet not in SHEETS:
        reason = f"--sheet: needed one of {', '.join(SHEETS)}, got {sheet!r}."
        raise InputError(reason, "Leave it out to have the sheet recognised.")
    for path in photos:
        if not _is_there(path):
            reason = f"{path}: there is no such photo."
            raise InputError(reason, "Check the path.")
    entries = []
    for number, path in enumerate(photos, start=1):
        photo = read_photo(path)
        if isinstance(photo, Refused):
            entries.append(_refused_entry(path, photo))
        else:
            entries.append(_entry(path, calibrate(photo, sheet)))
        progress(ProgressEvent("photos", path.name, number, len(photos)))
    return {"format": CALIBRATION_FORMAT, "photos": entries}


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # behind a folder that cannot be entered; reading it says so


def _refused_entry(path: Path, refused: Refused) -> dict[str, Any]:
    return {
        "file": str(path),
        "colour": None,
        "colour_reason": refused.reason,
        "scale": None,
        "scale_reason": refused.reason,
        "verdict": "refused",
        "code": refused.code,
        "reason": refused.reason,
        "remedies": [refused.remedy],
        "quality": None,
        "quality_reason": refused.reason,
    }


def _entry(path: Path, calibrated: CalibratedPhoto) -> dict[str, Any]:
    quality = calibrated.quality
    colour, colour_reason = _colour(calibrated.colour)
    scale, scale_reason = _scale(calibrated.scale)
    refused = quality.refused
    return {
        "file": str(path),
        "colour": colour,
        "colour_reason": colour_reason,
        "scale": scale,
        "scale_reason": scale_reason,
        "verdict": "refused" if refused else quality.verdict,
        "code": refused.code if refused else None,
        "reason": refused.reason if refused else None,
        "remedies": list(quality.remedies),
        "quality": {
            "sharpness": float(quality.sharpness),
            "clipped_percent": float(quality.clipped_percent),
            "dark_percent": float(quality.dark_percent),
            "glare_percent": float(quality.glare_percent),
        },
        "quality_reason": quality.reason,
    }


def _colour(colour: ColourFit | Refused) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(colour, Refused):
        return None, str(colour)
    return {
        "method": colour.method,
        "de00_raw_mean": colour.de00_raw_mean,
        "de00_loo_mean": colour.de00_loo_mean,
        "de00_loo_max": colour.de00_loo_max,
        "candidates": dict(colour.candidates),
        "patches_used": colour.patches_used,
        "flags": list(colour.flags),
    }, colour.reason


def _scale(scale: ScaleFit | Refused) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(scale, Refused):
        return None, str(scale)
    return {
        "sheet": scale.sheet,
        "mm_per_px": float(scale.mm_per_px),
        "tilt_deg": scale.tilt_deg,
        "residual_mm_rms": float(scale.residual_mm_rms),
        "marker_ids": [int(marker) for marker in scale.marker_ids],
        "corners_px": scale.corners_px.tolist(),
        "homography": scale.homography.tolist(),
        "focal_px": float(scale.focal_px),
        "flags": list(scale.flags),
    }, scale.reason
