"""The results document ``"bsa-vision-results/1"``: every number of a series, or why there is none.

Percentages are of BSA unless a name says otherwise. A number that cannot be given is null and a
reason stands beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from bsa_vision.chart.guide import PhotoToTake
from bsa_vision.chart.patient import Patient
from bsa_vision.core.labels import COUNTED, SKIN_STATES
from bsa_vision.measures.records import Estimate
from bsa_vision.measures.reepithelialisation import NewDetachment, Rate, ResponderCall
from bsa_vision.measures.series import RegionMeasures, SeriesMeasures, VisitMeasures
from bsa_vision.measures.severity import SeverityCall

FORMAT = "bsa-vision-results/1"

#: Decimals in the document: finer than any error, coarse enough to hide rounding of the machine.
PERCENT_DECIMALS = 3
_DECIMALS = {"mm": 2, "px": 2, "mm_per_px": 5, "de00": 3, "deg": 2}

#: Keys of the estimates of a visit or region, in the order of tables.
ESTIMATE_KEYS = (
    "counted_bsa",
    *(state.name.lower() for state in reversed(COUNTED)),
    *(state.name.lower() for state in reversed(SKIN_STATES) if state not in COUNTED),
)

#: A mask cannot tell what was felt from what only looks like it (see annotations/README.md).
_NOT_CONFIRMED = "no mark of a bedside examination enters the measurement yet"
_NOT_AFTER_D0 = "the visit is not after day 0, with which later ones are compared"

Document = dict[str, Any]
PlacementVerdict = Literal["use", "use_with_caution", "ask_for_landmarks"]


@dataclass(frozen=True)
class SeriesFacts:
    """Whose series it is and how it was weighted.

    Attributes
    ----------
    study : name of the study, may be empty.
    patient : a pseudonym with sex, age, height and weight.
    weighting : ``"lund-browder"`` or ``"personal"``.
    """

    study: str
    patient: Patient
    weighting: str


@dataclass(frozen=True)
class PhotoFacts:
    """What became of one photo; a missing number has its reason beside it.

    Attributes
    ----------
    day, file, view : as listed in the series.
    status : ``"scored"`` when its skin entered the measures, else ``"refused"``.
    code, reason, remedy : of the refusal.
    digest : SHA-256 of the original file. captured_at : ISO 8601, or None.
    mask_source : ``"given"``, ``"model"`` or None.
    registration_error_px, registration_error_mm : root mean square distance between the landmarks
        and the fitted body, in the photo and on the skin.
    distrusted_landmarks : landmarks that did not fit the others.
    placed_by : ``"landmarks"``, ``"photo"`` (a network found the body in it) or None.
    placement_error_mm : median distance expected between skin and where it was placed.
    placement_verdict : see `app.facts`; None for a photo refused for what landmarks do not mend.
    colour_method, colour_de00, colour_de00_raw : correction chosen, its leave-one-patch-out mean
        CIEDE2000 and the mean before it. colour_flags : those of `ColourFit`.
    mm_per_px, tilt_deg : at the calibration sheet. scale_flags : those of `ScaleFit`.
    quality : ``"good"``, ``"usable"``, ``"poor"``, ``"unusable"`` or None.
    quality_reason : why there is no quality, or why it is unusable.
    quality_remedies : what to do better.
    """

    day: int
    file: str
    view: str
    status: Literal["scored", "refused"]
    code: str | None = None
    reason: str | None = None
    remedy: str | None = None
    digest: str | None = None
    captured_at: str | None = None
    mask_source: str | None = None
    registration_error_px: float | None = None
    registration_error_mm: float | None = None
    registration_reason: str | None = None
    distrusted_landmarks: tuple[str, ...] = ()
    placed_by: Literal["landmarks", "photo"] | None = None
    placement_error_mm: float | None = None
    placement_verdict: PlacementVerdict | None = None
    colour_method: str | None = None
    colour_de00: float | None = None
    colour_de00_raw: float | None = None
    colour_flags: tuple[str, ...] = ()
    colour_reason: str | None = None
    mm_per_px: float | None = None
    tilt_deg: float | None = None
    scale_flags: tuple[str, ...] = ()
    scale_reason: str | None = None
    quality: str | None = None
    quality_reason: str | None = None
    quality_remedies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """What made the numbers; the settings of the measures are added to it.

    Attributes
    ----------
    software : name and version.
    model_name, model_digest : of the segmentation weights; None when all masks were given.
    chart_version : version of the body chart.
    settings : further settings of the run, JSON-able.
    model_notes : what the model's card says of how it was made, a sentence or more each.
    """

    software: str
    model_name: str | None
    model_digest: str | None
    chart_version: str
    settings: Mapping[str, Any]
    model_notes: tuple[str, ...] = ()


def results_document(
    facts: SeriesFacts,
    measures: SeriesMeasures,
    photos: Sequence[PhotoFacts],
    to_take: Mapping[int, Sequence[PhotoToTake]],
    provenance: Provenance,
) -> Document:
    """Assemble the document; equal inputs give equal documents.

    Parameters
    ----------
    photos : of all visits, in the order in which they shall be listed.
    to_take : by day, the photos that would show what those do not.
    """
    patient = facts.patient
    return {
        "format": FORMAT,
        "study": facts.study,
        "patient": {
            "id": patient.id,
            "sex": patient.sex,
            "age_years": patient.age_years,
            "height_cm": patient.height_cm,
            "weight_kg": patient.weight_kg,
        },
        "weighting": facts.weighting,
        "visits": [
            _visit(visit, [photo for photo in photos if photo.day == visit.day], to_take[visit.day])
            for visit in measures.visits
        ],
        "endpoints": _endpoints(measures),
        "provenance": {
            "software": provenance.software,
            "model": {
                "name": provenance.model_name,
                "digest": provenance.model_digest,
                "notes": list(provenance.model_notes),
            },
            "chart_version": provenance.chart_version,
            "severity_rule": measures.severity.rule,
            "settings": {**provenance.settings, "measures": measures.settings.as_document()},
        },
    }


def results_schema() -> Document:
    """The JSON Schema of the document, as shipped."""
    text = resources.files("bsa_vision.report").joinpath("results.schema.json").read_text("utf-8")
    schema: Document = json.loads(text)
    return schema


def _percent(value: float | None) -> float | None:
    # Adding 0.0 turns -0.0 into 0.0.
    return None if value is None else round(float(value), PERCENT_DECIMALS) + 0.0


def _rounded(value: float | None, unit: str) -> float | None:
    return None if value is None else round(float(value), _DECIMALS[unit]) + 0.0


def _with_reason(document: Document, reason: str | None) -> Document:
    return document if reason is None else {**document, "reason": reason}


def _estimate(estimate: Estimate) -> Document:
    numbers: Document = {
        "percent": _percent(estimate.percent),
        "low": _percent(estimate.low),
        "high": _percent(estimate.high),
    }
    return _with_reason(numbers, estimate.reason)


def _severity(call: SeverityCall) -> Document:
    found: Document = {
        "class": call.severity,
        "possible": list(call.possible),
        "straddles": call.straddles,
        "rule": call.rule,
    }
    return _with_reason(found, call.reason)


def _rate(rate: Rate) -> Document:
    return {
        **_estimate(rate.estimate),
        "uncapped_percent": _percent(rate.uncapped),
        "percent_at_visit": _percent(rate.at_visit),
        "percent_at_visit_reason": rate.at_visit_reason,
        "status": rate.status,
        "flags": list(rate.flags),
    }


def _new_detachment(new: NewDetachment) -> Document:
    found: Document = {
        "percent": _percent(new.percent),
        "cumulative_percent": _percent(new.cumulative_percent),
        "comparable_percent": _percent(new.comparable_percent),
    }
    return _with_reason(found, new.reason)


def _visit(
    visit: VisitMeasures, photos: Sequence[PhotoFacts], to_take: Sequence[PhotoToTake]
) -> Document:
    low, high = visit.bounds
    return {
        "day": visit.day,
        **{name: _estimate(estimate) for name, estimate in visit.estimates.items()},
        # Nikolsky's sign is felt: only a mark made at the bedside could confirm a share.
        "detachable_confirmed": None,
        "detachable_confirmed_reason": _NOT_CONFIRMED,
        "seen_percent": {name: _percent(value) for name, value in visit.seen_percent.items()},
        "reepithelialised_inferred_percent": _percent(visit.inferred_percent),
        "reepithelialised_ruled_out_percent": _percent(visit.ruled_out_percent),
        "counted_bsa_bounds": {"all_healthy": _percent(low), "all_affected": _percent(high)},
        "not_assessed_percent": _percent(visit.not_assessed_percent),
        "never_seen_percent": _percent(visit.never_seen_percent),
        "hidden_percent": _percent(visit.hidden_percent),
        "filled_percent": _percent(visit.filled_percent),
        "max_counted_bsa_to_day": _percent(visit.running_maximum),
        "max_counted_bsa_to_day_reason": None
        if visit.running_maximum is not None
        else f"no visit up to day {visit.day} could be measured",
        "reepithelialisation_rate": _rate(visit.rate),
        "severity": _severity(visit.severity),
        "new_detachment": visit.new_detachment and _new_detachment(visit.new_detachment),
        "new_detachment_reason": None if visit.new_detachment else _NOT_AFTER_D0,
        "flags": list(visit.flags),
        "regions": [_region(region) for region in visit.regions],
        "photos": [_photo(photo) for photo in photos],
        "photos_to_take": [
            {
                "view": photo.view,
                "how": photo.how,
                "shows_percent": _percent(photo.percent),
                "again": photo.again,
            }
            for photo in to_take
        ],
    }


def _region(region: RegionMeasures) -> Document:
    return {
        "region": region.where.region,
        "side": region.where.side or None,
        "bsa_percent": _percent(region.bsa_percent),
        **{name: _estimate(estimate) for name, estimate in region.estimates.items()},
        "not_assessed_percent": _percent(region.not_assessed_percent),
        "never_seen_percent": _percent(region.never_seen_percent),
        "hidden_percent": _percent(region.hidden_percent),
    }


def _photo(photo: PhotoFacts) -> Document:
    return {
        "file": photo.file,
        "view": photo.view,
        "status": photo.status,
        "code": photo.code,
        "reason": photo.reason,
        "remedy": photo.remedy,
        "digest": photo.digest,
        "captured_at": photo.captured_at,
        "mask_source": photo.mask_source,
        "registration_error_px": _rounded(photo.registration_error_px, "px"),
        "registration_error_mm": _rounded(photo.registration_error_mm, "mm"),
        "registration_reason": photo.registration_reason,
        "distrusted_landmarks": list(photo.distrusted_landmarks),
        "placed_by": photo.placed_by,
        "placement_error_mm": _rounded(photo.placement_error_mm, "mm"),
        "placement_verdict": photo.placement_verdict,
        "colour_method": photo.colour_method,
        "colour_de00": _rounded(photo.colour_de00, "de00"),
        "colour_de00_raw": _rounded(photo.colour_de00_raw, "de00"),
        "colour_flags": list(photo.colour_flags),
        "colour_reason": photo.colour_reason,
        "mm_per_px": _rounded(photo.mm_per_px, "mm_per_px"),
        "tilt_deg": _rounded(photo.tilt_deg, "deg"),
        "scale_flags": list(photo.scale_flags),
        "scale_reason": photo.scale_reason,
        "quality": photo.quality,
        "quality_reason": photo.quality_reason,
        "quality_remedies": list(photo.quality_remedies),
    }


def _endpoints(measures: SeriesMeasures) -> Document:
    maximum = measures.maximum
    return {
        "max_counted_bsa": {
            **_estimate(maximum.estimate),
            "day": maximum.day,
            "status": maximum.status,
            "flags": list(maximum.flags),
        },
        "severity": _severity(measures.severity),
        "reepithelialisation_rate": {str(day): _rate(rate) for day, rate in measures.rates.items()},
        "responder_d7": _responder(measures),
        "death_day": measures.death_day,
        **_new_detachment_after_d0(measures.visits),
    }


def _new_detachment_after_d0(visits: Sequence[VisitMeasures]) -> Document:
    """That of the last visit on which it is known; a later visit may have shown nothing."""
    after = [(visit.day, visit.new_detachment) for visit in visits if visit.new_detachment]
    if not after:
        reason = "there is no visit after day 0"
        return {"new_detachment_after_d0": None, "new_detachment_after_d0_reason": reason}
    day, new = next((found for found in after[::-1] if found[1].percent is not None), after[-1])
    return {
        "new_detachment_after_d0": {"day": day, **_new_detachment(new)},
        "new_detachment_after_d0_reason": None,
    }


def _responder(measures: SeriesMeasures) -> Document:
    first, *beside = measures.responder
    return {
        **_responder_call(first),
        "day": measures.settings.endpoints.responder_day,
        "beside": [_responder_call(call) for call in beside],
    }


def _responder_call(call: ResponderCall) -> Document:
    found: Document = {
        "responder": call.responder,
        "cut_off": call.cut_off,
        "straddles": call.straddles,
    }
    return _with_reason(found, call.reason)
