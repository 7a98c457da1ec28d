"""The whole chain on a made-up patient: render, score with the shipped model, report."""

import os
from pathlib import Path

from bsa_vision.app.phantom import render_phantom
from bsa_vision.app.progress import Progress
from bsa_vision.app.score import SeriesOutcome, score_many

#: A patient whose skin detaches and heals within the five visits.
DEMO_SEED = 1
SERIES_NAME = "demo-patient"


def run_demo(out: Path, progress: Progress) -> SeriesOutcome:
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
    return outcome
