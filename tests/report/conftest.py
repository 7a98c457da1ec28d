"""Documents made by measuring a strip of cells by hand."""

from collections import defaultdict

import numpy as np
import pytest

from bsa_vision.chart.fuse import EvidenceMap
from bsa_vision.chart.guide import PhotoToTake
from bsa_vision.chart.patient import Patient
from bsa_vision.measures.records import ChartFacts, VisitEvidence
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import IntervalSettings, MeasureSettings
from bsa_vision.report.results import PhotoFacts, Provenance, SeriesFacts, results_document

PATIENT = Patient("PH-0007", "female", 44.0, 165.0, 62.0)
N_CELLS = 200


def chart():
    cells = np.arange(N_CELLS)
    return ChartFacts.from_cells(
        weights=np.full(N_CELLS, 100 / N_CELLS),
        areas_cm2=np.full(N_CELLS, 80.0),
        region=np.minimum(cells // 80, 1),
        side=np.where(cells < 80, 0, np.where(cells < 140, -1, 1)),
        region_names=("anterior_trunk", "thigh"),
        edges=np.column_stack([cells[:-1], cells[1:]]),
    )


def visit(day, detached, healed, seen=190):
    """`detached` cells, then `healed` ones, then unaffected skin; all beyond `seen` unassessed."""
    cells = np.arange(N_CELLS)
    states = np.where(cells < detached, 3, np.where(cells < detached + healed, 4, 0))
    assessed = cells < seen
    probabilities = np.eye(5, dtype=np.float32)[states] * assessed[:, None]
    hidden = ~assessed & (cells % 2 == 0)
    none = np.zeros((0, N_CELLS, 5), dtype=np.float32)
    weight = assessed.astype(np.float32)
    return VisitEvidence(day, EvidenceMap(probabilities, weight, hidden, none, model_share=weight))


def scored(day, name, **changes):
    facts = {
        "digest": "ab" * 32,
        "mask_source": "model",
        "registration_error_px": 6.0,
        "registration_error_mm": 4.8,
        "colour_method": "affine",
        "colour_de00": 1.9,
        "colour_de00_raw": 7.7,
        "mm_per_px": 0.8,
        "tilt_deg": 12.0,
        "quality": "good",
    }
    return PhotoFacts(day, f"D{day:02d}/{name}.jpg", name, "scored", **{**facts, **changes})


PHOTOS = (
    scored(0, "trunk_front"),
    scored(0, "trunk_back", colour_de00=None, colour_reason="No colour card was found."),
    PhotoFacts(
        5,
        "D05/trunk_front.jpg",
        "trunk_front",
        "refused",
        "photo_truncated",
        "The photo ends before its last line.",
        "Copy it again from the camera.",
        registration_reason="The photo ends before its last line.",
        colour_reason="The photo ends before its last line.",
        scale_reason="The photo ends before its last line.",
        quality_reason="The photo ends before its last line.",
    ),
    scored(
        5,
        "trunk_back",
        quality="usable",
        quality_remedies=("Hold the camera still.",),
        colour_flags=("uneven_light",),
        scale_flags=("partly_hidden", "focal_assumed"),
    ),
)

NOTES = ("Learned from 12 photos of wax.", "Never saw skin.")


#: By day; visits of other days have all they need.
TO_TAKE = defaultdict(
    tuple, {0: (PhotoToTake("trunk_left", "left flank, left arm raised", 2.125, False),)}
)


def build(visits, photos=PHOTOS, study="RESCUE", **changes):
    measures = measure_series(
        visits, chart(), MeasureSettings(intervals=IntervalSettings(draws=60)), **changes
    )
    provenance = Provenance(
        "bsa-vision 0.1.0", "small", "cd" * 32, "anny-1/abc", {"masks": "auto"}, NOTES
    )
    return results_document(
        SeriesFacts(study, PATIENT, "lund-browder"), measures, photos, TO_TAKE, provenance
    )


@pytest.fixture(scope="session")
def build_document():
    return build


@pytest.fixture(scope="session")
def make_visit():
    return visit


@pytest.fixture(scope="session")
def document():
    """Three visits with skin healing, the last one planned among them."""
    return build([visit(0, 40, 0), visit(5, 60, 4), visit(15, 4, 58)])


@pytest.fixture(scope="session")
def empty_document():
    """Nothing was assessed on any visit."""
    return build([visit(0, 0, 0, seen=0), visit(5, 0, 0, seen=0)])
