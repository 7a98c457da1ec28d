"""What the results say of a photo."""

from bsa_vision.app.photo_job import PhotoDone
from bsa_vision.calibration.records import ColourFit, ScaleFit
from bsa_vision.pipeline import PhotoResult
from bsa_vision.report.results import PhotoFacts, PlacementVerdict

#: Expected errors of placement up to which a photo is used as it is, millimetres: of photos of
#: validation patients that are expected to be no further off, cells are off by 15 mm at most in the
#: median, and by 50 mm at 95 % (docs/BENCHMARKS.md).
USED_WITHIN_MM = 18.0
#: Refusals that landmarks, or better ones, mend.
ASK_FOR_LANDMARKS = frozenset(
    {
        "body_not_found",
        "side_open",
        "placement_contradicts",
        "placement_uncertain",
        "landmarks_too_few",
        "landmarks_contradict",
        "landmarks_mirrored",
        "landmarks_unreadable",
        "landmark_unknown",
        "no_skin_found",
    }
)
NO_LANDMARKS = "Placed by what was found in the photo; there were no landmarks to miss."


def _verdict(result: PhotoResult) -> PlacementVerdict | None:
    """What to make of a photo's placement; None where it was refused for another reason."""
    if result.refused is not None:
        return "ask_for_landmarks" if result.refused.code in ASK_FOR_LANDMARKS else None
    error_mm = result.placement_error_mm
    if error_mm is None:
        return None
    return "use" if error_mm <= USED_WITHIN_MM else "use_with_caution"


def photo_facts(done: PhotoDone) -> PhotoFacts:
    """The record of one photo: every number, or the reason why there is none."""
    result, entry = done.result, done.job.entry
    refused, calibration = result.refused, result.calibration
    colour = calibration.colour if calibration else None
    scale = calibration.scale if calibration else None
    rms = result.placement_rms
    # What was never looked at has the reason why the photo was not.
    unread = refused.reason if refused and calibration is None else None
    return PhotoFacts(
        day=done.job.day,
        file=entry.name,
        view=entry.view,
        status="refused" if refused else "scored",
        code=refused.code if refused else None,
        reason=refused.reason if refused else None,
        remedy=refused.remedy if refused else None,
        digest=result.photo.digest if result.photo else None,
        captured_at=result.photo.captured_at if result.photo else None,
        mask_source=result.mask_source,
        registration_error_px=rms[0] if rms else None,
        registration_error_mm=rms[1] if rms else None,
        registration_reason=None if rms else (refused.reason if refused else NO_LANDMARKS),
        distrusted_landmarks=result.distrusted,
        placed_by=result.placed_by,
        placement_error_mm=result.placement_error_mm,
        placement_verdict=_verdict(result),
        colour_method=colour.method if isinstance(colour, ColourFit) else None,
        colour_de00=colour.de00_loo_mean if isinstance(colour, ColourFit) else None,
        colour_de00_raw=colour.de00_raw_mean if isinstance(colour, ColourFit) else None,
        colour_flags=colour.flags if isinstance(colour, ColourFit) else (),
        colour_reason=colour.reason if colour else unread,
        mm_per_px=scale.mm_per_px if isinstance(scale, ScaleFit) else None,
        tilt_deg=scale.tilt_deg if isinstance(scale, ScaleFit) else None,
        scale_flags=scale.flags if isinstance(scale, ScaleFit) else (),
        scale_reason=scale.reason if scale else unread,
        quality=calibration.quality.verdict if calibration else None,
        quality_reason=calibration.quality.reason if calibration else unread,
        quality_remedies=calibration.quality.remedies if calibration else (),
    )
