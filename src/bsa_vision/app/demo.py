"""The whole chain on a made-up patient: render, score with the shipped model, report."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from bsa_vision.app.phantom import render_phantom
from bsa_vision.app.progress import Progress
from bsa_vision.app.score import SeriesOutcome, score_many
from bsa_vision.core.labels import COUNTED, LABEL_NAMES

#: A patient whose skin detaches and heals within the five visits.
DEMO_SEED = 1
SERIES_NAME = "demo-patient"


@dataclass(frozen=True)
class DemoOutcome:
    """What was measured, and what is true of the rendered patient.

    Attributes
    ----------
    outcome : of scoring the series.
    true_counted_bsa : percent of the skin's surface by day, as if no dressing hid any.
    """

    outcome: SeriesOutcome
    true_counted_bsa: dict[int, float]


def run_demo(out: Path, progress: Progress) -> DemoOutcome:
    """Render a small series into `out`/series and score it into `out`/results.

    The masks are the network's, not the true ones that come with the rendering: the demo shows
    what the program does with photos. A demo that was run before is rendered and scored anew.
    """
    workers = min(os.cpu_count() or 1, 4)
    series = out / "series" / SERIES_NAME
    render_phantom(series, seed=DEMO_SEED, small=True, workers=workers, progress=progress)
    (outcome,) = score_many(
        [series],
        out / "results",
        masks="model",
        workers=workers,
        overwrite=True,
        progress=progress,
    )
    return DemoOutcome(outcome, _true_counted_bsa(series))


def _true_counted_bsa(series: Path) -> dict[int, float]:
    truth = json.loads((series / "truth" / "truth.json").read_text(encoding="utf-8"))
    counted = [LABEL_NAMES[label] for label in COUNTED]
    return {
        visit["day"]: sum(visit["percent_if_no_dressing"][name] for name in counted)
        for visit in truth["visits"]
    }
