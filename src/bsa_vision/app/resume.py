"""Whether a series is already scored: the same photos, model and settings, or not."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bsa_vision import __version__
from bsa_vision.app.series import Series
from bsa_vision.chart.cells import CHART_VERSION
from bsa_vision.chart.regions import Weighting
from bsa_vision.core.provenance import document_digest
from bsa_vision.measures.settings import MeasureSettings
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
    """

    weighting: Weighting
    masks: str
    model: str | None
    model_name: str | None
    model_digest: str | None

    def document(self) -> dict[str, Any]:
        """The settings that decide the numbers, JSON-able."""
        return {
            "masks": self.masks,
            "working_side_px": WORK_SIDE,
            "placement_replicates": REPLICATES,
        }


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
            "measures": MeasureSettings().as_document(),
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
        document: dict[str, Any] = json.loads((out / RESULTS_NAME).read_text(encoding="utf-8"))
        same = document["provenance"]["settings"]["input_digest"] == digest
        codes = {photo["code"] for visit in document["visits"] for photo in visit["photos"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document if same and "photo_failed" not in codes else None


def _file_digest(path: Path | None) -> str:
    """Digest of a file's bytes, read in pieces; what cannot be read has its own."""
    if path is None:
        return "none"
    try:
        # A pipe would be waited for without end.
        return file_sha256(path) if path.is_file() else "no file"
    except OSError:
        return "unreadable"
