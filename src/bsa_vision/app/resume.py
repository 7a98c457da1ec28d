"""What a run was asked for, and whether a series is already scored so."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bsa_vision import __version__
from bsa_vision.app.series import Series
from bsa_vision.chart.cell_map import OFF_BODY_ODDS, ON_BODY_ODDS
from bsa_vision.chart.cells import CHART_VERSION
from bsa_vision.chart.regions import Weighting
from bsa_vision.core.errors import InputError
from bsa_vision.core.provenance import document_digest
from bsa_vision.dense.card import DEFAULT_PLACES, place_model_id
from bsa_vision.measures.settings import EndpointSettings, MeasureSettings
from bsa_vision.measures.severity import RULES
from bsa_vision.pipeline import REPLICATES, WORK_SIDE
from bsa_vision.report.write import RESULTS_NAME
from bsa_vision.segmentation.card import file_sha256


@dataclass(frozen=True)
class RunSettings:
    """What a run was asked for; part of every result.

    Attributes
    ----------
    weighting : of the cells.
    masks : ``"auto"``, ``"given"`` or ``"model"``.
    model, model_name, model_digest : the network, or None where all masks are given.
    model_notes : what its card says of how it was made.
    measures : settings of the measures.
    place_model : the network that places photos without landmarks.
    """

    weighting: Weighting
    masks: str
    model: str | None
    model_name: str | None
    model_digest: str | None
    model_notes: tuple[str, ...] = ()
    measures: MeasureSettings = field(default_factory=MeasureSettings)
    place_model: str = DEFAULT_PLACES

    def document(self) -> dict[str, Any]:
        """The settings that decide the numbers, JSON-able."""
        return {
            "masks": self.masks,
            "working_side_px": WORK_SIDE,
            "placement_replicates": REPLICATES,
            "place_model": place_model_id(self.place_model),
            "background_odds": {"on_body": ON_BODY_ODDS, "off_body": OFF_BODY_ODDS},
        }


def measure_settings(severity_rule: str, responder_cut_off: float) -> MeasureSettings:
    """The settings of the measures with another rule of the class or cut-off of a responder.

    Raises
    ------
    InputError
        There is no such rule, or the cut-off is no percentage of the maximum.
    """
    if severity_rule not in RULES:
        reason = f"There is no severity rule {severity_rule!r}."
        raise InputError(reason, f"Give one of {', '.join(RULES)}.")
    if not 0 < responder_cut_off <= 100:
        reason = f"Needed a responder cut-off above 0, at most 100 %, got {responder_cut_off:g}."
        raise InputError(reason, "Give the lowest rate of a responder, in percent.")
    # A cut-off stands either before the others or among them.
    beside = tuple(one for one in EndpointSettings.responder_beside if one != responder_cut_off)
    return MeasureSettings(
        endpoints=EndpointSettings(
            severity_rule=severity_rule,
            responder_cut_off=responder_cut_off,
            responder_beside=beside,
        )
    )


def input_digest(series: Series, settings: RunSettings) -> str:
    """Digest of everything that decides a series' results; not of the order of listing."""
    patient = series.patient
    return document_digest(
        {
            "software": __version__,
            "chart": CHART_VERSION,
            "model": settings.model_digest,
            "weighting": settings.weighting,
            "settings": settings.document(),
            "measures": settings.measures.as_document(),
            "study": series.study,
            "patient": [
                patient.id,
                patient.sex,
                patient.age_years,
                patient.height_cm,
                patient.weight_kg,
                series.death_day,
            ],
            "photos": sorted(
                [
                    visit.day,
                    entry.name,
                    entry.view,
                    _file_digest(entry.path),
                    _file_digest(entry.landmarks),
                    _file_digest(entry.mask),
                ]
                for visit in series.visits
                for entry in visit.photos
            ),
        }
    )


def written_document(out: Path, digest: str) -> dict[str, Any] | None:
    """The results of an earlier run with the same digest, or None.

    A run in which the software failed on a photo is to be repeated: it counts as none.
    """
    try:
        document = _read_results(out)
        same = document["provenance"]["settings"]["input_digest"] == digest
        codes = {photo["code"] for visit in document["visits"] for photo in visit["photos"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document if same and "photo_failed" not in codes else None


def written_patient(out: Path) -> str | None:
    """Whose results an earlier run has written, or None when there are none to be read."""
    try:
        return str(_read_results(out)["patient"]["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_results(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / RESULTS_NAME).read_text(encoding="utf-8"))
    return document


def _file_digest(path: Path | None) -> str:
    """Digest of a file's bytes, read in pieces; what cannot be read has its own."""
    if path is None:
        return "none"
    try:
        # A pipe would be waited for without end.
        return file_sha256(path) if path.is_file() else "no file"
    except OSError:
        return "unreadable"
